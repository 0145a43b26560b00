package jaeger

import (
	"bytes"
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
)

// Decoder turns batches of spans, as Jaeger's clients send them, into OTLP bytes. It makes no objects, and can be used again; what it
// says of a batch holds until the next.
//
// The mapping is OpenTelemetry's, with two aims beyond its translation's: nothing is lost, and nothing is guessed. So tags whose key
// comes twice are kept, process tags keep their names, an HTTP status is no span status, and what OTLP has no place for is an
// attribute, which the Encoder turns back: flags other than "sampled", and warnings.
//
// Source: jaeger-idl, thrift/jaeger.thrift and proto/api_v2/model.proto.
type Decoder struct {
	// Limit is the size to which the output may grow; more is an error of kind TooLarge. Messages that say something become at most
	// some 2.3 times as large, and mostly smaller; empty ones would become 35 times as large.
	Limit int

	Client Client // of the batch read last, if it came as Thrift

	r       thrift.Reader
	out     []byte
	resAt   int // where the body of the open ResourceSpans begins; 0: none are open
	scopeAt int // where the body of the open ScopeSpans begins; 0: none are open
	scope   scope
	err     *trace.Error

	s        span
	spanAt   int          // where its field begins
	held     [notHeld]tag // the first tag of each special key; those that did not come have no key
	errors   int          // tags named error beside the one held
	failed   bool         // whether one of those says so
	refs     []reference
	warnings []byte // as elements of an array

	head      []byte
	resource  []byte   // body of the Resource of the open ResourceSpans, written at their end
	proto     bool     // whether the batch is in model.proto's form
	batch     []byte   // proto: its Process, as it came
	process   []byte   // proto: that of the open ResourceSpans
	traceID   trace.ID // what span.traceID points to, if it came as numbers
	spanID    [8]byte  // what span.id points to, if it came as a number
	eventName tag      // of the event being read; no key: none came
	names     int      // fields named event of that one
}

// Client is what a batch says of the client that sent it: what it lost since it started.
type Client struct {
	UUID                        []byte // the process tag client-uuid; a part of what was read
	SeqNo                       int64  // the number of the batch; 0: none was given
	Stats                       bool   // whether those below were given
	FullQueue, TooLarge, Failed int64  // spans dropped: its queue was full, they were too large for a packet, they could not be encoded or sent
}

// scope is a scope's name and version.
type scope struct{ name, version []byte }

// span is what is known of a span apart from its tags and logs, which are written as they come.
type span struct {
	traceID, id []byte
	parent      trace.SpanID
	start       uint64 // ns
	duration    int64  // ns
	flags       uint32
	name        []byte
	process     []byte // proto: its own
}

// reference is a SpanRef.
type reference struct {
	trace   trace.ID
	span    trace.SpanID
	childOf bool
}

// tag is a KeyValue. Its texts are parts of what is read.
type tag struct {
	key []byte // never nil
	typ trace.ValueType
	num uint64 // as trace.AttrRef has it
	str []byte // of TypeString and TypeBytes
}

// isText reports whether there is a tag, with a text that is not empty.
func (t *tag) isText() bool { return t.key != nil && t.typ == trace.TypeString && len(t.str) > 0 }

// The attributes that stand for what only Jaeger has. The name for warnings is the one that Jaeger 2 itself gives them.
const (
	attrService  = "service.name"
	attrFlags    = "jaeger.flags" // an integer: all flags, where there are others than "sampled"
	attrWarnings = "@jaeger@warnings"
	attrRefType  = "opentracing.ref_type"
)

// The fields of OTLP as the byte in front of them.
const (
	inResource byte = 1<<3 | 2 // Resource.attributes
	inEvent    byte = 3<<3 | 2 // Event.attributes
	inSpan     byte = 9<<3 | 2 // Span.attributes
)

// begin makes the decoder ready for a batch, whose spans are appended to dst.
func (d *Decoder) begin(dst []byte) {
	d.out, d.resAt, d.scopeAt, d.err = dst, 0, 0, nil
	d.resource, d.batch, d.process, d.proto, d.Client = d.resource[:0], nil, nil, false, Client{}
}

// end returns the output. Of a batch with an error, that is what was there before it.
func (d *Decoder) end(dst []byte) ([]byte, error) {
	d.closeResource(len(d.out))
	out := d.out
	d.out, d.r = nil, thrift.Reader{}
	const large = 1 << 20
	if cap(d.warnings)+cap(d.resource) > large || cap(d.refs) > large/32 { // not to be held for ever
		d.warnings, d.resource, d.refs = nil, nil, nil
	}
	if d.err != nil {
		return out[:len(dst)], d.err
	}
	return out, nil
}

func (d *Decoder) fail(kind trace.ErrorKind, text string) {
	if d.err == nil {
		d.err = trace.Errorf(kind, "%s", text)
	}
	d.r.Fail("stopped")
}

// room checks that n bytes more may be written.
func (d *Decoder) room(n int) bool {
	if len(d.out)+n <= d.Limit {
		return true
	}
	d.fail(trace.TooLarge, "far more spans, tags or references than bytes to fill them; send smaller batches")
	return false
}

// lengthSize is how many bytes the length of a message takes that is not known at its beginning: enough for 32 GiB. A varint
// may be longer than it must be, and there are few of these.
const lengthSize = 5

func putLength(b []byte, n int) {
	for i := range b[:len(b)-1] {
		b[i] = byte(n>>(7*i)) | 0x80
	}
	b[len(b)-1] = byte(n >> (7 * (len(b) - 1)))
}

func (d *Decoder) closeScope(end int) {
	if d.scopeAt > 0 {
		putLength(d.out[d.scopeAt-lengthSize:d.scopeAt], end-d.scopeAt)
		d.scopeAt = 0
	}
}

// closeResource ends the open ResourceSpans at end. What is written behind that, a span, is moved.
func (d *Decoder) closeResource(end int) {
	d.closeScope(end)
	if d.resAt == 0 || !d.room(len(d.resource)) { // a large one might be written again and again
		return
	}
	d.head = d.head[:0]
	if len(d.resource) > 0 {
		d.head = protowire.AppendBytes(append(d.head, 1<<3|2), d.resource)
	}
	d.insert(end)
	putLength(d.out[d.resAt-lengthSize:d.resAt], end+len(d.head)-d.resAt)
	d.resAt = 0
}

// insert puts d.head into the output.
func (d *Decoder) insert(at int) {
	n := len(d.out) - at
	d.out = append(d.out, d.head...)
	copy(d.out[at+len(d.head):], d.out[at:at+n])
	copy(d.out[at:], d.head)
	if d.spanAt == at {
		d.spanAt += len(d.head)
	}
}

// place puts the span that was written into ScopeSpans of its scope, and those into ResourceSpans: the open ones, or new ones.
func (d *Decoder) place(sc scope) {
	if d.resAt > 0 && !bytes.Equal(d.s.process, d.process) {
		d.closeResource(d.spanAt)
	}
	if d.scopeAt > 0 && bytes.Equal(sc.name, d.scope.name) && bytes.Equal(sc.version, d.scope.version) {
		return
	}
	d.closeScope(d.spanAt)
	d.head = d.head[:0]
	if d.resAt == 0 {
		d.head = append(d.head, 1<<3|2, 0, 0, 0, 0, 0)
		d.resAt, d.process = d.spanAt+len(d.head), d.s.process
		d.protoResource()
	}
	d.head = append(d.head, 2<<3|2, 0, 0, 0, 0, 0)
	d.scopeAt, d.scope = d.spanAt+len(d.head), sc
	if len(sc.name)+len(sc.version) > 0 {
		d.head = protowire.AppendVarint(append(d.head, 1<<3|2), uint64(sizeText(sc.name)+sizeText(sc.version)))
		d.head = appendField(d.head, 1<<3|2, sc.name)
		d.head = appendField(d.head, 2<<3|2, sc.version)
	}
	d.insert(d.spanAt)
}

// sizeText returns the size of a field with a text, which is left out if it is empty.
func sizeText(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	return 1 + protowire.SizeBytes(len(b))
}

// appendField appends a field with a text or bytes, if they are not empty.
func appendField(dst []byte, field byte, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	return append(protowire.AppendVarint(append(dst, field), uint64(len(b))), b...)
}

// putAttr appends an attribute as a field.
func putAttr(dst []byte, field byte, t *tag) []byte {
	if k, v := len(t.key), len(t.str); t.typ == trace.TypeString && k > 0 && k+v < 120 { // most: all lengths have one byte
		dst = append(dst, field, byte(k+v+6), 1<<3|2, byte(k))
		dst = append(dst, t.key...)
		dst = append(dst, 2<<3|2, byte(v+2), 1<<3|2, byte(v))
		return append(dst, t.str...)
	}
	var size int
	switch t.typ {
	case trace.TypeString, trace.TypeBytes:
		size = 1 + protowire.SizeBytes(len(t.str))
	case trace.TypeBool:
		size = 2
	case trace.TypeInt:
		size = 1 + protowire.SizeVarint(t.num)
	case trace.TypeDouble:
		size = 9
	}
	dst = protowire.AppendVarint(append(dst, field), uint64(sizeText(t.key)+1+protowire.SizeBytes(size)))
	dst = appendField(dst, 1<<3|2, t.key)
	dst = protowire.AppendVarint(append(dst, 2<<3|2), uint64(size))
	switch t.typ {
	case trace.TypeString:
		dst = append(protowire.AppendVarint(append(dst, 1<<3|2), uint64(len(t.str))), t.str...)
	case trace.TypeBool:
		dst = append(dst, 2<<3, byte(t.num))
	case trace.TypeInt:
		dst = protowire.AppendVarint(append(dst, 3<<3), t.num)
	case trace.TypeDouble:
		dst = binary.LittleEndian.AppendUint64(append(dst, 4<<3|1), t.num)
	case trace.TypeBytes:
		dst = append(protowire.AppendVarint(append(dst, 7<<3|2), uint64(len(t.str))), t.str...)
	}
	return dst
}

// nanoseconds turns µs since 1970 into ns. What is before is no time, 0; what does not fit is the end of time.
func nanoseconds(us int64) uint64 {
	if us <= 0 {
		return 0
	}
	if us > math.MaxInt64/1000 {
		return math.MaxUint64
	}
	return uint64(us) * 1000
}

// inNanoseconds turns a length of time in µs, which may be negative, into ns.
func inNanoseconds(us int64) int64 {
	return max(min(us, math.MaxInt64/1000), math.MinInt64/1000) * 1000
}
