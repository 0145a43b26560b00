package jaeger

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// fields reads the fields of a protobuf message one after the other. next returns false at the end, and where the message is broken.
type fields struct {
	id     uint64 // number<<3 | wire type, for a switch over the known ones
	num    uint64 // a varint's value, or that of a number of fixed size
	body   []byte // of what has a length
	broken bool

	b []byte
}

// The wire types, to be added to a number shifted by 3.
const (
	varint  = uint64(protowire.VarintType)
	fixed64 = uint64(protowire.Fixed64Type)
	length  = uint64(protowire.BytesType)
)

func (f *fields) next() bool {
	if len(f.b) == 0 || f.broken {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.b)
	if n < 0 {
		f.broken = true
		return false
	}
	f.b, f.id = f.b[n:], uint64(num)<<3|uint64(typ)
	switch typ {
	case protowire.VarintType:
		f.num, n = protowire.ConsumeVarint(f.b)
	case protowire.Fixed64Type:
		f.num, n = protowire.ConsumeFixed64(f.b)
	case protowire.BytesType:
		f.body, n = protowire.ConsumeBytes(f.b)
	case protowire.Fixed32Type:
		_, n = protowire.ConsumeFixed32(f.b)
	default: // groups, which proto3 does not have
		n = -1
	}
	if f.broken = n < 0; f.broken {
		return false
	}
	f.b = f.b[n:]
	return true
}

// AppendPost appends the spans of a PostSpansRequest of Jaeger's collector to dst as an OTLP TracesData message. After an error, of kind
// Invalid or TooLarge, the result is dst.
func (d *Decoder) AppendPost(dst, b []byte) ([]byte, error) {
	d.begin(dst)
	d.proto = true
	f := d.fields(b)
	for f.next() {
		if f.id == 1<<3|length {
			d.protoBatch(f.body)
		}
	}
	d.whole(&f, "PostSpansRequest")
	return d.end(dst)
}

// AppendModel appends the spans of a Batch of model.proto, as AppendPost does.
func (d *Decoder) AppendModel(dst, b []byte) ([]byte, error) {
	d.begin(dst)
	d.proto = true
	d.protoBatch(b)
	return d.end(dst)
}

// AppendSpan appends one Span of model.proto, with its process in it, as Jaeger writes it to Kafka; the rest is as of AppendPost.
func (d *Decoder) AppendSpan(dst, b []byte) ([]byte, error) {
	d.begin(dst)
	d.proto = true
	d.protoSpan(b)
	return d.end(dst)
}

// fields returns the fields of a message: none after an error.
func (d *Decoder) fields(b []byte) fields {
	if d.err != nil {
		b = nil
	}
	return fields{b: b}
}

func (d *Decoder) whole(f *fields, message string) {
	if f.broken {
		d.fail(trace.Invalid, "not a batch of Jaeger's model.proto: broken field in "+message)
	}
}

func (d *Decoder) protoBatch(b []byte) {
	d.closeResource(len(d.out))
	d.batch = nil
	f := d.fields(b)
	for f.next() { // the process comes behind the spans
		if f.id == 2<<3|length {
			d.batch = f.body
		}
	}
	d.whole(&f, "Batch")
	for f = d.fields(b); f.next() && d.err == nil; {
		if f.id == 1<<3|length {
			d.protoSpan(f.body)
		}
	}
}

// protoResource makes the resource of the open process.
func (d *Decoder) protoResource() {
	if !d.proto {
		return
	}
	d.resource = d.resource[:0]
	process := d.process
	if len(process) == 0 {
		process = d.batch
	}
	f := d.fields(process)
	var name []byte
	for f.next() {
		if f.id == 1<<3|length {
			name = f.body
		}
	}
	if d.whole(&f, "Process"); process != nil {
		d.serviceName(name)
	}
	for f = d.fields(process); f.next(); {
		if f.id == 2<<3|length {
			t := d.protoTag(f.body)
			d.addProcessTag(&t)
		}
	}
}

func (d *Decoder) protoSpan(b []byte) {
	d.beginSpan()
	s := &d.s
	f := d.fields(b)
	for f.next() {
		switch f.id {
		case 1<<3 | length:
			s.traceID = d.protoTraceID(f.body)
		case 2<<3 | length:
			s.id = f.body
		case 3<<3 | length:
			s.name = f.body
		case 4<<3 | length:
			d.protoReference(f.body)
		case 5<<3 | varint:
			s.flags = uint32(f.num)
		case 6<<3 | length:
			s.start = d.protoTime(f.body)
		case 7<<3 | length:
			s.duration = d.protoDuration(f.body)
		case 8<<3 | length:
			t := d.protoTag(f.body)
			d.addTag(&t)
		case 9<<3 | length:
			d.protoLog(f.body)
		case 10<<3 | length:
			s.process = f.body
		case 12<<3 | length:
			if d.room(len(d.warnings)) {
				value := 1 + protowire.SizeBytes(len(f.body))
				d.warnings = protowire.AppendVarint(append(d.warnings, 1<<3|2), uint64(value))
				d.warnings = protowire.AppendBytes(append(d.warnings, 1<<3|2), f.body)
			}
		}
	}
	d.whole(&f, "Span")
	d.endSpan()
}

// protoTraceID returns an ID of 16 bytes. One of 8, from the time when there were no others, is its second half; all else is left as it is.
func (d *Decoder) protoTraceID(b []byte) []byte {
	if len(b) != 8 {
		return b
	}
	d.traceID = trace.ID{}
	copy(d.traceID[8:], b)
	return d.traceID[:]
}

func (d *Decoder) protoReference(b []byte) {
	var r reference
	kind := uint64(0)
	f := d.fields(b)
	for f.next() {
		switch f.id {
		case 1<<3 | length:
			copy(r.trace[max(0, len(r.trace)-len(f.body)):], f.body)
		case 2<<3 | length:
			copy(r.span[max(0, len(r.span)-len(f.body)):], f.body)
		case 3<<3 | varint:
			kind = f.num
		}
	}
	d.whole(&f, "SpanRef")
	r.childOf = kind == 0
	d.addReference(r)
}

// seconds reads a Timestamp or Duration.
func (d *Decoder) seconds(b []byte, message string) (s int64, ns int32) {
	f := d.fields(b)
	for f.next() {
		switch f.id {
		case 1<<3 | varint:
			s = int64(f.num)
		case 2<<3 | varint:
			ns = int32(f.num)
		}
	}
	d.whole(&f, message)
	return s, ns
}

// mostSeconds is how many seconds fit as ns into an int64, together with an int32 of ns, which is up to 2.2 s.
const mostSeconds = math.MaxInt64/1_000_000_000 - 3

// protoTime reads a Timestamp as ns since 1970: 0 if it is before, the end of time if it does not fit.
func (d *Decoder) protoTime(b []byte) uint64 {
	s, ns := d.seconds(b, "Timestamp")
	switch {
	case s < 0:
		return 0
	case s >= mostSeconds:
		return math.MaxUint64
	}
	return uint64(max(0, s*1e9+int64(ns)))
}

// protoDuration reads a Duration as ns.
func (d *Decoder) protoDuration(b []byte) int64 {
	s, ns := d.seconds(b, "Duration")
	return max(min(s, mostSeconds), -mostSeconds)*1e9 + int64(ns)
}

func (d *Decoder) protoLog(b []byte) {
	at := d.beginEvent()
	var ns uint64
	f := d.fields(b)
	for f.next() {
		switch f.id {
		case 1<<3 | length:
			ns = d.protoTime(f.body)
		case 2<<3 | length:
			t := d.protoTag(f.body)
			d.addField(&t)
		}
	}
	d.whole(&f, "Log")
	d.endEvent(at, ns)
}

// protoTag reads a KeyValue. The value is that of the type that it says it has; a missing one is that type's zero.
func (d *Decoder) protoTag(b []byte) (t tag) {
	var kind, boolean, integer, double uint64
	var text, data []byte
	f := d.fields(b)
	for f.next() {
		switch f.id {
		case 1<<3 | length:
			t.key = f.body
		case 2<<3 | varint:
			kind = f.num
		case 3<<3 | length:
			text = f.body
		case 4<<3 | varint:
			boolean = f.num
		case 5<<3 | varint:
			integer = f.num
		case 6<<3 | fixed64:
			double = f.num
		case 7<<3 | length:
			data = f.body
		}
	}
	d.whole(&f, "KeyValue")
	switch kind { // ValueType
	case 0:
		t.typ, t.str = trace.TypeString, text
	case 1:
		t.typ, t.num = trace.TypeBool, min(boolean, 1)
	case 2:
		t.typ, t.num = trace.TypeInt, integer
	case 3:
		t.typ, t.num = trace.TypeDouble, double
	case 4:
		t.typ, t.str = trace.TypeBytes, data
	default:
		d.fail(trace.Invalid, "not a batch of Jaeger's model.proto: a KeyValue of a type that there is not")
	}
	return t
}
