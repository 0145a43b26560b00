package jaeger

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// AppendPost appends the spans of a PostSpansRequest of Jaeger's collector to dst as an OTLP TracesData message. After an error, of kind
// Invalid or TooLarge, the result is dst.
func (d *Decoder) AppendPost(dst, b []byte) ([]byte, error) {
	d.begin(dst)
	d.proto = true
	f := d.fields(b)
	for f.Next() {
		if f.ID == 1<<3|wire.Length {
			d.protoBatch(f.Body)
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
func (d *Decoder) fields(b []byte) wire.Fields {
	if d.err != nil {
		b = nil
	}
	return wire.NewFields(b)
}

func (d *Decoder) whole(f *wire.Fields, message string) {
	if f.Broken {
		d.fail(trace.Invalid, "not a batch of Jaeger's model.proto: broken field in "+message)
	}
}

func (d *Decoder) protoBatch(b []byte) {
	d.closeResource(len(d.out))
	d.batch = nil
	f := d.fields(b)
	for f.Next() { // the process comes behind the spans
		if f.ID == 2<<3|wire.Length {
			d.batch = f.Body
		}
	}
	d.whole(&f, "Batch")
	for f = d.fields(b); f.Next() && d.err == nil; {
		if f.ID == 1<<3|wire.Length {
			d.protoSpan(f.Body)
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
	for f.Next() {
		if f.ID == 1<<3|wire.Length {
			name = f.Body
		}
	}
	if d.whole(&f, "Process"); process != nil {
		d.serviceName(name)
	}
	for f = d.fields(process); f.Next(); {
		if f.ID == 2<<3|wire.Length {
			t := d.protoTag(f.Body)
			d.addProcessTag(&t)
		}
	}
}

func (d *Decoder) protoSpan(b []byte) {
	d.beginSpan()
	s := &d.s
	f := d.fields(b)
	for f.Next() {
		switch f.ID {
		case 1<<3 | wire.Length:
			s.traceID = d.protoTraceID(f.Body)
		case 2<<3 | wire.Length:
			s.id = f.Body
		case 3<<3 | wire.Length:
			s.name = f.Body
		case 4<<3 | wire.Length:
			d.protoReference(f.Body)
		case 5<<3 | wire.Varint:
			s.flags = uint32(f.Num)
		case 6<<3 | wire.Length:
			s.start = d.protoTime(f.Body)
		case 7<<3 | wire.Length:
			s.duration = d.protoDuration(f.Body)
		case 8<<3 | wire.Length:
			t := d.protoTag(f.Body)
			d.addTag(&t)
		case 9<<3 | wire.Length:
			d.protoLog(f.Body)
		case 10<<3 | wire.Length:
			s.process = f.Body
		case 12<<3 | wire.Length:
			if d.room(len(d.warnings)) {
				value := 1 + protowire.SizeBytes(len(f.Body))
				d.warnings = protowire.AppendVarint(append(d.warnings, 1<<3|2), uint64(value))
				d.warnings = protowire.AppendBytes(append(d.warnings, 1<<3|2), f.Body)
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
	for f.Next() {
		switch f.ID {
		case 1<<3 | wire.Length:
			d.referenceID(r.trace[:], 1, f.Body)
		case 2<<3 | wire.Length:
			d.referenceID(r.span[:], 2, f.Body)
		case 3<<3 | wire.Varint:
			kind = f.Num
		}
	}
	d.whole(&f, "SpanRef")
	r.childOf = kind == 0
	d.addReference(r)
}

// referenceID reads an ID, whose first bytes may be missing. One that is too long is written as it is: the span is refused for it, alone.
func (d *Decoder) referenceID(to []byte, field int, b []byte) {
	switch {
	case len(b) <= len(to):
		copy(to[len(to)-len(b):], b)
	case d.room(len(b)):
		d.out = protowire.AppendVarint(append(d.out, 13<<3|2), uint64(1+protowire.SizeBytes(len(b))))
		d.out = appendField(d.out, byte(field<<3|2), b)
	}
}

// seconds reads a Timestamp or Duration.
func (d *Decoder) seconds(b []byte, message string) (s int64, ns int32) {
	f := d.fields(b)
	for f.Next() {
		switch f.ID {
		case 1<<3 | wire.Varint:
			s = int64(f.Num)
		case 2<<3 | wire.Varint:
			ns = int32(f.Num)
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
	for f.Next() {
		switch f.ID {
		case 1<<3 | wire.Length:
			ns = d.protoTime(f.Body)
		case 2<<3 | wire.Length:
			t := d.protoTag(f.Body)
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
	for f.Next() {
		switch f.ID {
		case 1<<3 | wire.Length:
			t.key = f.Body
		case 2<<3 | wire.Varint:
			kind = f.Num
		case 3<<3 | wire.Length:
			text = f.Body
		case 4<<3 | wire.Varint:
			boolean = f.Num
		case 5<<3 | wire.Varint:
			integer = f.Num
		case 6<<3 | wire.Fixed64:
			double = f.Num
		case 7<<3 | wire.Length:
			data = f.Body
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
