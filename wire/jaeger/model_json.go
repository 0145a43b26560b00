package jaeger

import (
	"encoding/base64"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// AppendSpanJSON appends one Span of model.proto in protobuf's JSON form, with its process in it, as Jaeger writes it to Kafka when told to
// write JSON. It is not the JSON of Jaeger's query API: IDs are base64, times are texts. The rest is as of AppendPost.
func (d *Decoder) AppendSpanJSON(dst, b []byte) ([]byte, error) {
	t := modelJSON{r: wire.NewJSON(b), out: make([]byte, 0, len(b))}
	t.r.Object(t.span)
	t.r.End()
	if err := t.r.Err(); err != nil {
		return dst, trace.Errorf(trace.Invalid, "not a span of Jaeger's model.proto in JSON: %v", err)
	}
	return d.AppendSpan(dst, t.out)
}

// modelJSON turns the JSON form into the binary one, field by field, in the order in which they come.
type modelJSON struct {
	r   *wire.JSON
	out []byte
}

// message writes a field whose body fn writes. The length in front of it is put in behind it: messages are small, and three deep.
func (t *modelJSON) message(num protowire.Number, fn func()) {
	if t.r.Null() {
		return
	}
	t.out = protowire.AppendTag(t.out, num, protowire.BytesType)
	at := len(t.out)
	fn()
	var head [10]byte
	t.out = slices.Insert(t.out, at, protowire.AppendVarint(head[:0], uint64(len(t.out)-at))...)
}

func (t *modelJSON) messages(num protowire.Number, member func(key []byte)) {
	t.r.Array(func() { t.message(num, func() { t.r.Object(member) }) })
}

func (t *modelJSON) text(num protowire.Number) { t.bytes(num, t.r.Text()) }

func (t *modelJSON) bytes(num protowire.Number, b []byte) {
	t.out = protowire.AppendBytes(protowire.AppendTag(t.out, num, protowire.BytesType), b)
}

func (t *modelJSON) varint(num protowire.Number, v uint64) {
	t.out = protowire.AppendVarint(protowire.AppendTag(t.out, num, protowire.VarintType), v)
}

func (t *modelJSON) base64(num protowire.Number) {
	b, err := base64.StdEncoding.AppendDecode(nil, t.r.Text())
	if err != nil {
		t.r.Fail("what is not base64")
	}
	t.bytes(num, b)
}

// enum writes a number or one of some names, in order from 0.
func (t *modelJSON) enum(num protowire.Number, names ...string) {
	if !t.r.IsText() {
		t.varint(num, uint64(t.r.Int()))
		return
	}
	name := string(t.r.Text())
	i := slices.Index(names, name)
	if i < 0 {
		t.r.Fail("%.40q instead of one of %v", name, names)
		return
	}
	t.varint(num, uint64(i))
}

// seconds writes a Timestamp or a Duration.
func (t *modelJSON) seconds(num protowire.Number, s, ns int64) {
	t.message(num, func() {
		t.varint(1, uint64(s))
		t.varint(2, uint64(ns))
	})
}

func (t *modelJSON) time(num protowire.Number) {
	text := string(t.r.Text())
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.r.Fail("%.60q instead of a time such as 2006-01-02T15:04:05Z", text)
		return
	}
	t.seconds(num, at.Unix(), int64(at.Nanosecond()))
}

func (t *modelJSON) duration(num protowire.Number) {
	text := string(t.r.Text())
	d, err := time.ParseDuration(text)
	if err != nil {
		t.r.Fail("%.60q instead of a duration such as 1.5s", text)
		return
	}
	t.seconds(num, int64(d/time.Second), int64(d%time.Second))
}

func (t *modelJSON) span(key []byte) {
	switch string(key) {
	case "traceId":
		t.base64(1)
	case "spanId":
		t.base64(2)
	case "operationName":
		t.text(3)
	case "references":
		t.messages(4, t.reference)
	case "flags":
		t.varint(5, t.r.Uint(32))
	case "startTime":
		t.time(6)
	case "duration":
		t.duration(7)
	case "tags":
		t.messages(8, t.tag)
	case "logs":
		t.messages(9, t.event)
	case "process":
		t.message(10, func() { t.r.Object(t.process) })
	case "warnings":
		t.r.Array(func() { t.text(12) })
	default:
		t.r.Skip()
	}
}

func (t *modelJSON) reference(key []byte) {
	switch string(key) {
	case "traceId":
		t.base64(1)
	case "spanId":
		t.base64(2)
	case "refType":
		t.enum(3, "CHILD_OF", "FOLLOWS_FROM")
	default:
		t.r.Skip()
	}
}

func (t *modelJSON) process(key []byte) {
	switch string(key) {
	case "serviceName":
		t.text(1)
	case "tags":
		t.messages(2, t.tag)
	default:
		t.r.Skip()
	}
}

func (t *modelJSON) event(key []byte) {
	switch string(key) {
	case "timestamp":
		t.time(1)
	case "fields":
		t.messages(2, t.tag)
	default:
		t.r.Skip()
	}
}

func (t *modelJSON) tag(key []byte) {
	switch string(key) {
	case "key":
		t.text(1)
	case "vType":
		t.enum(2, "STRING", "BOOL", "INT64", "FLOAT64", "BINARY")
	case "vStr":
		t.text(3)
	case "vBool":
		t.varint(4, protowire.EncodeBool(t.r.Bool()))
	case "vInt64":
		t.varint(5, uint64(t.r.Int()))
	case "vFloat64":
		t.out = protowire.AppendFixed64(protowire.AppendTag(t.out, 6, protowire.Fixed64Type), math.Float64bits(t.r.Double()))
	case "vBinary":
		t.base64(7)
	default:
		t.r.Skip()
	}
}
