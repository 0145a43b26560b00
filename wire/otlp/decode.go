// Package otlp turns OTLP/JSON into OTLP's binary form, spans into OTLP/JSON, and writes OTLP's answers.
//
// The binary form needs no package of its own: it is the form of a trace.Batch. Source: the OTLP specification 1.x, "JSON
// Protobuf Encoding", and opentelemetry-proto.
package otlp

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// AppendBinary appends an ExportTraceServiceRequest, given in OTLP/JSON, in its binary form, which is never the longer of the two.
// What breaks a limit of trace.Batch breaks it there, too: an ID that is not hexadecimal is left out, so that its span alone is
// refused. Errors are of kind Invalid and say where.
func AppendBinary(dst, b []byte) ([]byte, error) {
	t := transcoder{r: wire.NewJSON(b), out: dst}
	t.r.Object(func(key []byte) {
		if string(key) == "resourceSpans" {
			t.messages(1, t.resourceSpans)
		} else {
			t.r.Skip()
		}
	})
	t.r.End()
	if err := t.r.Err(); err != nil {
		return nil, trace.Errorf(trace.Invalid, "not OTLP/JSON: %v", err)
	}
	return t.fill(), nil
}

// transcoder reads JSON and writes protobuf, field by field, in the order in which they come. The length of a message stands in
// front of it but is known behind it. It is put there at once where the message is small; the lengths of others are put in at the
// end, all in one go, since to move a large message once for each message around it would take seconds where these are many.
type transcoder struct {
	r      *wire.JSON
	out    []byte
	gaps   []gap // by where their messages end
	filled int   // bytes that the gaps will take
}

// gap is where the length of a message is missing.
type gap struct{ at, length int }

// smallMessage is how many bytes are moved at once.
const smallMessage = 256

// message writes a field whose body fn writes; null writes none.
func (t *transcoder) message(num protowire.Number, fn func()) {
	if t.r.Null() {
		return
	}
	t.out = protowire.AppendTag(t.out, num, protowire.BytesType)
	at, filled := len(t.out), t.filled
	fn()
	n := len(t.out) - at
	length := n + t.filled - filled
	if length >= smallMessage {
		t.gaps = append(t.gaps, gap{at, length})
		t.filled += protowire.SizeVarint(uint64(length))
		return
	}
	var head [2]byte
	h := protowire.AppendVarint(head[:0], uint64(length))
	t.out = append(t.out, h...)
	copy(t.out[at+len(h):], t.out[at:at+n])
	copy(t.out[at:], h)
}

// fill puts in the missing lengths, the last first, so that every byte moves once.
func (t *transcoder) fill() []byte {
	slices.SortFunc(t.gaps, func(a, b gap) int { return cmp.Compare(b.at, a.at) })
	from := len(t.out)
	t.out = append(t.out, make([]byte, t.filled)...)
	to := len(t.out)
	for _, g := range t.gaps {
		to -= copy(t.out[to-(from-g.at):to], t.out[g.at:from])
		from = g.at
		size := protowire.SizeVarint(uint64(g.length))
		to -= size
		protowire.AppendVarint(t.out[to:to], uint64(g.length))
	}
	return t.out
}

// messages writes a field for each element of an array, whose members member writes.
func (t *transcoder) messages(num protowire.Number, member func(key []byte)) {
	t.r.Array(func() { t.message(num, func() { t.r.Object(member) }) })
}

func (t *transcoder) bytes(num protowire.Number, b []byte) {
	if len(b) > 0 {
		t.out = protowire.AppendBytes(protowire.AppendTag(t.out, num, protowire.BytesType), b)
	}
}

func (t *transcoder) varint(num protowire.Number, v uint64) {
	if v != 0 {
		t.out = protowire.AppendVarint(protowire.AppendTag(t.out, num, protowire.VarintType), v)
	}
}

func (t *transcoder) fixed64(num protowire.Number, v uint64) {
	if v != 0 {
		t.out = protowire.AppendFixed64(protowire.AppendTag(t.out, num, protowire.Fixed64Type), v)
	}
}

func (t *transcoder) fixed32(num protowire.Number, v uint64) {
	if v != 0 {
		t.out = protowire.AppendFixed32(protowire.AppendTag(t.out, num, protowire.Fixed32Type), uint32(v))
	}
}

// id writes an ID given in hexadecimal digits, whatever its length; what is none is left out.
func (t *transcoder) id(num protowire.Number) {
	if !t.r.IsText() {
		t.r.Skip()
		return
	}
	s := t.r.Text()
	var id [64]byte
	if len(s) <= 2*len(id) {
		if n, err := hex.Decode(id[:], s); err == nil {
			t.bytes(num, id[:n])
		}
	}
}

// enum writes a number or a name. A name that is not known is 0, as it would be for who reads the binary form.
func (t *transcoder) enum(num protowire.Number, named func(name string) uint64) {
	if !t.r.IsText() {
		if v := t.r.Int(); v >= math.MinInt32 && v <= math.MaxInt32 {
			t.varint(num, uint64(v))
		}
		return
	}
	s := string(t.r.Text())
	if v, err := strconv.ParseInt(s, 10, 32); err == nil {
		t.varint(num, uint64(v))
		return
	}
	t.varint(num, named(s))
}

func kindNamed(name string) uint64 {
	k, _ := trace.ParseKind(strings.TrimPrefix(name, "SPAN_KIND_"))
	return uint64(k)
}

func statusNamed(name string) uint64 {
	switch name {
	case "STATUS_CODE_OK":
		return uint64(trace.StatusOK)
	case "STATUS_CODE_ERROR":
		return uint64(trace.StatusError)
	}
	return uint64(trace.StatusUnset)
}

func (t *transcoder) resourceSpans(key []byte) {
	switch string(key) {
	case "resource":
		t.message(1, func() { t.r.Object(t.resource) })
	case "scopeSpans", "instrumentationLibrarySpans": // the name before OTLP 0.15
		t.messages(2, t.scopeSpans)
	case "schemaUrl":
		t.bytes(3, t.r.Text())
	default:
		t.r.Skip()
	}
}

func (t *transcoder) resource(key []byte) {
	switch string(key) {
	case "attributes":
		t.attributes(1)
	case "droppedAttributesCount":
		t.varint(2, t.r.Uint(32))
	default:
		t.r.Skip()
	}
}

func (t *transcoder) scopeSpans(key []byte) {
	switch string(key) {
	case "scope", "instrumentationLibrary":
		t.message(1, func() { t.r.Object(t.scope) })
	case "spans":
		t.messages(2, t.span)
	case "schemaUrl":
		t.bytes(3, t.r.Text())
	default:
		t.r.Skip()
	}
}

func (t *transcoder) scope(key []byte) {
	switch string(key) {
	case "name":
		t.bytes(1, t.r.Text())
	case "version":
		t.bytes(2, t.r.Text())
	case "attributes":
		t.attributes(3)
	case "droppedAttributesCount":
		t.varint(4, t.r.Uint(32))
	default:
		t.r.Skip()
	}
}

func (t *transcoder) span(key []byte) {
	switch string(key) {
	case "traceId":
		t.id(1)
	case "spanId":
		t.id(2)
	case "traceState":
		t.bytes(3, t.r.Text())
	case "parentSpanId":
		t.id(4)
	case "name":
		t.bytes(5, t.r.Text())
	case "kind":
		t.enum(6, kindNamed)
	case "startTimeUnixNano":
		t.fixed64(7, t.r.Uint(64))
	case "endTimeUnixNano":
		t.fixed64(8, t.r.Uint(64))
	case "attributes":
		t.attributes(9)
	case "droppedAttributesCount":
		t.varint(10, t.r.Uint(32))
	case "events":
		t.messages(11, t.event)
	case "droppedEventsCount":
		t.varint(12, t.r.Uint(32))
	case "links":
		t.messages(13, t.link)
	case "droppedLinksCount":
		t.varint(14, t.r.Uint(32))
	case "status":
		t.message(15, func() { t.r.Object(t.status) })
	case "flags":
		t.fixed32(16, t.r.Uint(32))
	default:
		t.r.Skip()
	}
}

func (t *transcoder) event(key []byte) {
	switch string(key) {
	case "timeUnixNano":
		t.fixed64(1, t.r.Uint(64))
	case "name":
		t.bytes(2, t.r.Text())
	case "attributes":
		t.attributes(3)
	case "droppedAttributesCount":
		t.varint(4, t.r.Uint(32))
	default:
		t.r.Skip()
	}
}

func (t *transcoder) link(key []byte) {
	switch string(key) {
	case "traceId":
		t.id(1)
	case "spanId":
		t.id(2)
	case "traceState":
		t.bytes(3, t.r.Text())
	case "attributes":
		t.attributes(4)
	case "droppedAttributesCount":
		t.varint(5, t.r.Uint(32))
	case "flags":
		t.fixed32(6, t.r.Uint(32))
	default:
		t.r.Skip()
	}
}

func (t *transcoder) status(key []byte) {
	switch string(key) {
	case "message":
		t.bytes(2, t.r.Text())
	case "code":
		t.enum(3, statusNamed)
	default:
		t.r.Skip()
	}
}

func (t *transcoder) attributes(num protowire.Number) { t.keyValues(num, 0) }

func (t *transcoder) keyValues(num protowire.Number, depth int) {
	t.messages(num, func(key []byte) {
		switch string(key) {
		case "key":
			t.bytes(1, t.r.Text())
		case "value":
			t.message(2, func() { t.value(depth) })
		default:
			t.r.Skip()
		}
	})
}

// maxValueDepth is how deep values are written. A span with a deeper one is refused for it, so that the rest does not matter.
const maxValueDepth = 64

// value writes the body of an AnyValue. Inside a oneof what is empty is something, too.
func (t *transcoder) value(depth int) {
	t.r.Object(func(key []byte) {
		if t.r.Null() {
			return
		}
		switch string(key) {
		case "stringValue":
			t.out = protowire.AppendBytes(protowire.AppendTag(t.out, 1, protowire.BytesType), t.r.Text())
		case "boolValue":
			t.out = protowire.AppendVarint(protowire.AppendTag(t.out, 2, protowire.VarintType), protowire.EncodeBool(t.r.Bool()))
		case "intValue":
			t.intValue()
		case "doubleValue":
			t.double(t.r.Double())
		case "arrayValue":
			t.list(5, depth, func() { t.r.Array(func() { t.element(depth + 1) }) })
		case "kvlistValue":
			t.list(6, depth, func() { t.keyValues(1, depth+1) })
		case "bytesValue":
			t.base64(7)
		default:
			t.r.Skip()
		}
	})
}

// intValue writes an integer. The Node.js SDK calls every whole number one, in JSON also a number beyond 64 bits, which is a double.
func (t *transcoder) intValue() {
	s := t.r.Number()
	if v, ok := wire.Whole(s); ok {
		t.out = protowire.AppendVarint(protowire.AppendTag(t.out, 3, protowire.VarintType), uint64(v))
		return
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v != math.Trunc(v) || math.IsInf(v, 0) {
		t.r.Fail("%.40q is not a 64-bit number", s)
		return
	}
	t.double(v)
}

func (t *transcoder) double(v float64) {
	t.out = protowire.AppendFixed64(protowire.AppendTag(t.out, 4, protowire.Fixed64Type), math.Float64bits(v))
}

// element writes an element of an array; null, which JSON's users write for it, is the empty value.
func (t *transcoder) element(depth int) {
	if t.r.Null() {
		t.out = protowire.AppendBytes(protowire.AppendTag(t.out, 1, protowire.BytesType), nil)
		return
	}
	t.message(1, func() { t.value(depth) })
}

// list writes an ArrayValue or KeyValueList, whose values fn reads.
func (t *transcoder) list(num protowire.Number, depth int, fn func()) {
	t.message(num, func() {
		t.r.Object(func(key []byte) {
			if string(key) == "values" && depth < maxValueDepth {
				fn()
			} else {
				t.r.Skip()
			}
		})
	})
}

// base64 writes bytes, which come in the standard or the URL alphabet, with or without padding, as protobuf's JSON mapping asks.
func (t *transcoder) base64(num protowire.Number) {
	s := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(string(t.r.Text())), "=")
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		t.r.Fail("bytesValue is not base64")
		return
	}
	t.out = protowire.AppendBytes(protowire.AppendTag(t.out, num, protowire.BytesType), b)
}
