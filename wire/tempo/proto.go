package tempo

import (
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// message appends a field that is a message, whose body fn appends. The length is written behind the body and moved in front of it.
func message(b []byte, num protowire.Number, fn func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	at := len(b)
	b = fn(b)
	n := len(b) - at
	b = protowire.AppendVarint(b, uint64(n))
	var length [10]byte
	w := copy(length[:], b[at+n:])
	copy(b[at+w:], b[at:at+n])
	copy(b[at:], length[:w])
	return b
}

func text(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, strings.ToValidUTF8(s, "\uFFFD"))
}

func number[T ~int | ~int64 | ~uint32 | ~uint64](b []byte, num protowire.Number, v T) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(v))
}

func double(b []byte, num protowire.Number, v float64) []byte {
	if math.Float64bits(v) == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), math.Float64bits(v))
}

func attrs(b []byte, num protowire.Number, list []trace.Attr) []byte {
	list = trace.ValidAttrs(list)
	for i := range list {
		b = message(b, num, func(b []byte) []byte {
			b = text(b, 1, list[i].Key)
			return message(b, 2, func(b []byte) []byte { return trace.AppendValue(b, list[i].Value) })
		})
	}
	return b
}

// AppendTrace appends a TraceByIDResponse: a trace, as AppendTraces of package trace has its spans, and why it is not complete. Texts must be UTF-8.
func AppendTrace(b []byte, spans []trace.Span, bytes int64, partial string) []byte {
	b = message(b, 1, func(b []byte) []byte { return trace.AppendTraces(b, spans) })
	b = message(b, 2, func(b []byte) []byte { return number(b, 1, bytes) })
	return appendPartial(b, partial)
}

// appendPartial appends the status and message of answers that have one, which are fields 3 and 4 of all of them.
func appendPartial(b []byte, why string) []byte {
	if why == "" {
		return b
	}
	return text(number(b, 3, 1), 4, why)
}

// AppendProto appends the message.
func (s *Search) AppendProto(b []byte) []byte {
	for i := range s.Traces {
		b = message(b, 1, s.Traces[i].append)
	}
	return message(b, 2, s.Metrics.appendSearch)
}

func (t *Trace) append(b []byte) []byte {
	b = text(b, 1, t.ID.String())
	b = text(b, 2, t.RootService)
	b = text(b, 3, t.RootName)
	b = number(b, 4, t.Start)
	b = number(b, 5, ms(t.Duration))
	if len(t.Sets) > 0 {
		b = message(b, 6, t.Sets[0].append) // for clients of before there could be several
	}
	for i := range t.Sets {
		b = message(b, 7, t.Sets[i].append)
	}
	for _, s := range t.Services {
		b = message(b, 8, func(b []byte) []byte {
			return message(text(b, 1, s.Name), 2, func(b []byte) []byte { return number(number(b, 1, s.Spans), 2, s.Errors) })
		})
	}
	return b
}

func (s *SpanSet) append(b []byte) []byte {
	for i := range s.Spans {
		b = message(b, 1, s.Spans[i].append)
	}
	b = number(b, 2, s.Matched)
	return attrs(b, 3, s.Attrs)
}

func (s *Span) append(b []byte) []byte {
	b = text(b, 1, s.ID.String())
	b = text(b, 2, s.Name)
	b = number(b, 3, s.Start)
	b = number(b, 4, s.Duration)
	return attrs(b, 5, s.Attrs)
}

func (m *Metrics) appendSearch(b []byte) []byte {
	b = number(b, 1, m.Traces)
	b = number(b, 2, m.Bytes)
	b = number(b, 3, m.Blocks)
	b = number(b, 4, m.Jobs)
	return number(b, 5, m.JobsOfWhat)
}

func (m *Metrics) appendMetadata(b []byte) []byte {
	b = number(b, 1, m.Bytes)
	b = number(b, 2, m.JobsOfWhat)
	b = number(b, 3, m.Jobs)
	return number(b, 4, m.Blocks)
}

// AppendProto appends the message.
func (t *Tags) AppendProto(b []byte) []byte {
	for i := range t.Scopes {
		b = message(b, 1, func(b []byte) []byte {
			b = text(b, 1, t.Scopes[i].Name)
			return texts(b, 2, t.Scopes[i].Tags)
		})
	}
	return message(b, 2, t.Metrics.appendMetadata)
}

// texts appends each text, an empty one, too.
func texts(b []byte, num protowire.Number, list []string) []byte {
	for _, s := range list {
		b = protowire.AppendTag(b, num, protowire.BytesType)
		b = protowire.AppendString(b, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return b
}

// AppendProto appends the message.
func (n *Names) AppendProto(b []byte) []byte {
	return message(texts(b, 1, n.Names), 2, n.Metrics.appendMetadata)
}

// AppendProto appends the message.
func (v *Values) AppendProto(b []byte) []byte {
	for _, one := range v.Values {
		b = message(b, 1, func(b []byte) []byte { return text(text(b, 1, one.Type), 2, one.Text) })
	}
	return message(b, 2, v.Metrics.appendMetadata)
}

// AppendProto appends the message.
func (r *Range) AppendProto(b []byte) []byte {
	for i := range r.Series {
		b = message(b, 1, r.Series[i].append)
	}
	return appendPartial(message(b, 2, r.Metrics.appendSearch), r.Metrics.Incomplete)
}

func (s *Series) append(b []byte) []byte {
	b = attrs(b, 1, s.Labels)
	for _, sample := range s.Samples {
		b = message(b, 2, func(b []byte) []byte { return number(double(b, 1, sample.Value), 2, sample.Time) })
	}
	for i := range s.Exemplars {
		e := &s.Exemplars[i]
		b = message(b, 4, func(b []byte) []byte { return number(double(attrs(b, 1, e.Labels), 2, e.Value), 3, e.Time) })
	}
	return b
}

// AppendProto appends the message.
func (i *Instant) AppendProto(b []byte) []byte {
	for k := range i.Series {
		s := &i.Series[k]
		b = message(b, 1, func(b []byte) []byte { return double(attrs(b, 1, s.Labels), 2, s.Samples[0].Value) })
	}
	return appendPartial(message(b, 2, i.Metrics.appendSearch), i.Metrics.Incomplete)
}
