package jaeger

import (
	"encoding/binary"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
)

// thriftWriter writes structs of Jaeger's jaeger.thrift (jaeger-idl, thrift/jaeger.thrift).
type thriftWriter struct {
	thrift.Writer
	tags []keyValue
	refs []target
}

type keyValue struct {
	key string
	v   trace.Value
}

// AppendThriftBatch appends a Batch in Thrift's binary protocol, as POST /api/traces of Jaeger's collector takes it, of spans that share the
// first one's resource. Times are in µs.
func AppendThriftBatch(b []byte, spans []trace.Span) []byte {
	if len(spans) == 0 {
		return b
	}
	w := thriftWriter{Writer: thrift.Writer{Out: b}}
	w.batch(spans)
	return w.Out
}

// AppendEmitBatch appends a message that calls Agent.emitBatch, in Thrift's compact protocol, as Jaeger's agent takes it on port 6831, of spans
// that share the first one's resource.
func AppendEmitBatch(b []byte, spans []trace.Span) []byte {
	if len(spans) == 0 {
		return b
	}
	w := thriftWriter{Writer: thrift.Writer{Out: b, Compact: true}}
	w.Message(thrift.Message{Type: thrift.Oneway, Name: []byte("emitBatch")})
	w.Struct()
	w.Field(1<<8 | thrift.Struct)
	w.batch(spans)
	w.End()
	return w.Out
}

func (w *thriftWriter) batch(spans []trace.Span) {
	w.Struct()
	w.Field(1<<8 | thrift.Struct)
	w.Struct()
	w.Field(1<<8 | thrift.String)
	w.text(spans[0].Service())
	eachProcessTag(spans[0].Resource, w.note)
	w.writeTags(2)
	w.End()
	w.Field(2<<8 | thrift.List)
	w.List(thrift.Struct, len(spans))
	for i := range spans {
		w.span(&spans[i])
	}
	w.End()
}

func (w *thriftWriter) span(s *trace.Span) {
	w.Struct()
	w.long(1, half(s.TraceID[8:]))
	w.long(2, half(s.TraceID[:8]))
	w.long(3, half(s.ID[:]))
	w.long(4, half(s.Parent[:]))
	w.Field(5<<8 | thrift.String)
	w.text(s.Name)
	w.references(s)
	w.Field(7<<8 | thrift.I32)
	w.I32(int32(flagsOf(s)))
	w.long(8, int64(s.Start/1000))
	w.long(9, int64(durationOf(s)/1000))
	eachTag(s, w.note)
	w.writeTags(10)
	w.Field(11<<8 | thrift.List)
	w.List(thrift.Struct, len(s.Events))
	for i := range s.Events {
		w.Struct()
		w.long(1, int64(s.Events[i].Time/1000))
		eachField(&s.Events[i], w.note)
		w.writeTags(2)
		w.End()
	}
	w.End()
}

func (w *thriftWriter) references(s *trace.Span) {
	w.refs = w.refs[:0]
	eachReference(s, func(r target) { w.refs = append(w.refs, r) })
	w.Field(6<<8 | thrift.List)
	w.List(thrift.Struct, len(w.refs))
	for _, r := range w.refs {
		w.Struct()
		w.Field(1<<8 | thrift.I32)
		if r.follows {
			w.I32(1)
		} else {
			w.I32(0)
		}
		w.long(2, half(r.trace[8:]))
		w.long(3, half(r.trace[:8]))
		w.long(4, half(r.span[:]))
		w.End()
	}
}

func half(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }

func (w *thriftWriter) long(number thrift.Field, v int64) {
	w.Field(number<<8 | thrift.I64)
	w.I64(v)
}

func (w *thriftWriter) text(s string) { w.String(validText(s)) }

// note keeps a tag for writeTags: a list begins with its length.
func (w *thriftWriter) note(key string, v trace.Value) { w.tags = append(w.tags, keyValue{key, v}) }

// writeTags writes the tags that were noted as a field.
func (w *thriftWriter) writeTags(number thrift.Field) {
	w.Field(number<<8 | thrift.List)
	w.List(thrift.Struct, len(w.tags))
	for _, t := range w.tags {
		w.tag(t)
	}
	w.tags = w.tags[:0]
}

func (w *thriftWriter) tag(t keyValue) {
	w.Struct()
	w.Field(1<<8 | thrift.String)
	w.text(t.key)
	kind := func(n int32) {
		w.Field(2<<8 | thrift.I32)
		w.I32(n)
	}
	switch t.v.Type() {
	case trace.TypeDouble:
		kind(1)
		w.Field(4<<8 | thrift.Double)
		w.Double(t.v.Double())
	case trace.TypeBool:
		kind(2)
		w.Field(5<<8 | thrift.Bool)
		w.Bool(t.v.Bool())
	case trace.TypeInt:
		kind(3)
		w.long(6, t.v.Int())
	case trace.TypeBytes:
		kind(4)
		w.Field(7<<8 | thrift.String)
		w.String(t.v.Str())
	default:
		kind(0)
		w.Field(3<<8 | thrift.String)
		w.text(t.v.Text())
	}
	w.End()
}
