package jaeger

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// protoWriter appends messages of Jaeger's model.proto (jaeger-idl, proto/api_v2/model.proto). Fields with their zero value are left out.
type protoWriter struct {
	out       []byte
	processes map[*trace.Resource][]byte // bodies
}

// AppendPostSpans appends a PostSpansRequest, as jaeger.api_v2.CollectorService takes it. The batch has the first span's process; spans of other
// resources have their own.
func AppendPostSpans(b []byte, spans []trace.Span) []byte {
	if len(spans) == 0 {
		return b
	}
	w := protoWriter{out: b, processes: map[*trace.Resource][]byte{}}
	w.message(1, func() { // batch
		for i := range spans {
			w.message(1, func() {
				w.span(&spans[i])
				if r := spans[i].Resource; r != spans[0].Resource {
					w.bytes(10, w.process(r))
				}
			})
		}
		w.bytes(2, w.process(spans[0].Resource))
	})
	return w.out
}

// process returns the body of the Process that a resource is.
func (w *protoWriter) process(r *trace.Resource) []byte {
	body, ok := w.processes[r]
	if !ok {
		p := protoWriter{}
		p.text(1, r.Service())
		eachProcessTag(r, func(key string, v trace.Value) { p.message(2, func() { p.keyValue(key, v) }) })
		body = p.out
		w.processes[r] = body
	}
	return body
}

func (w *protoWriter) span(s *trace.Span) {
	w.bytes(1, s.TraceID[:])
	w.bytes(2, s.ID[:])
	w.text(3, s.Name)
	eachReference(s, func(r target) {
		w.message(4, func() {
			w.bytes(1, r.trace[:])
			w.bytes(2, r.span[:])
			if r.follows {
				w.number(3, 1)
			}
		})
	})
	w.number(5, uint64(flagsOf(s)))
	w.message(6, func() { w.time(s.Start) })
	w.message(7, func() { w.time(durationOf(s)) })
	eachTag(s, func(key string, v trace.Value) { w.message(8, func() { w.keyValue(key, v) }) })
	for i := range s.Events {
		e := &s.Events[i]
		w.message(9, func() {
			w.message(1, func() { w.time(e.Time) })
			eachField(e, func(key string, v trace.Value) { w.message(2, func() { w.keyValue(key, v) }) })
		})
	}
	eachWarning(s, func(text string) { w.bytes(12, []byte(validText(text))) })
}

// time writes a Timestamp or a Duration.
func (w *protoWriter) time(ns uint64) {
	w.number(1, ns/1e9)
	w.number(2, ns%1e9)
}

func (w *protoWriter) keyValue(key string, v trace.Value) {
	w.text(1, key)
	switch v.Type() {
	case trace.TypeBool:
		w.number(2, 1)
		if v.Bool() {
			w.number(4, 1)
		}
	case trace.TypeInt:
		w.number(2, 2)
		w.number(5, uint64(v.Int()))
	case trace.TypeDouble:
		w.number(2, 3)
		if bits := math.Float64bits(v.Double()); bits != 0 {
			w.out = binary.LittleEndian.AppendUint64(protowire.AppendTag(w.out, 6, protowire.Fixed64Type), bits)
		}
	case trace.TypeBytes:
		w.number(2, 4)
		w.bytes(7, []byte(v.Str()))
	default:
		w.text(3, v.Text())
	}
}

func (w *protoWriter) bytes(number protowire.Number, v []byte) {
	w.out = protowire.AppendBytes(protowire.AppendTag(w.out, number, protowire.BytesType), v)
}

func (w *protoWriter) text(number protowire.Number, s string) {
	if s != "" {
		w.out = protowire.AppendString(protowire.AppendTag(w.out, number, protowire.BytesType), validText(s))
	}
}

func (w *protoWriter) number(number protowire.Number, v uint64) {
	if v != 0 {
		w.out = protowire.AppendVarint(protowire.AppendTag(w.out, number, protowire.VarintType), v)
	}
}

// message appends a message whose fields fn writes. Its length is written behind it and moved in front.
func (w *protoWriter) message(number protowire.Number, fn func()) {
	w.out = append(protowire.AppendTag(w.out, number, protowire.BytesType), 0)
	at := len(w.out)
	fn()
	n := len(w.out) - at
	if more := protowire.SizeVarint(uint64(n)) - 1; more > 0 {
		w.out = append(w.out, make([]byte, more)...)
		copy(w.out[at+more:], w.out[at:at+n])
	}
	binary.PutUvarint(w.out[at-1:cap(w.out)], uint64(n))
}
