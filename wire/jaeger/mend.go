package jaeger

import (
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// Mend returns a trace as Encoder shows it when it is not Raw, in tree pre-order: server spans that share their client's ID have one of their own, a
// span that is its own ancestor is a root, one that ends before it starts has no duration, and the spans' warnings, an attribute as
// OpenTelemetry's Jaeger translation has it, say so. The trace that is given is not changed.
func Mend(t *trace.Trace) *trace.Trace {
	tree := trace.Arrange(t.Spans)
	ids := identify(t.Spans, tree, false)
	out := &trace.Trace{ID: t.ID, Spans: make([]trace.Span, 0, len(t.Spans))}
	for i, row := range tree.Rows {
		if row.Span < 0 {
			continue
		}
		s := t.Spans[row.Span]
		var warnings []string
		switch {
		case row.Parent >= 0 && tree.Rows[row.Parent].Span >= 0:
			adopt(&s, ids[row.Parent])
		case row.Parent < 0 && !s.Parent.IsZero():
			s.Parent = trace.SpanID{}
			warnings = append(warnings, warningCycle)
		}
		s.ID = ids[i]
		if s.End < s.Start {
			warnings = append(warnings, turnedWarning(&s))
			s.End = s.Start
		}
		warn(&s, warnings)
		out.Spans = append(out.Spans, s)
	}
	return out
}

// adopt gives a span a parent, also in the links that tell in what way it is one.
func adopt(s *trace.Span, parent trace.SpanID) {
	if s.Parent == parent {
		return
	}
	if slices.ContainsFunc(s.Links, func(l trace.Link) bool { return tellsOfParent(s, &l) }) {
		s.Links = slices.Clone(s.Links)
		for i := range s.Links {
			if tellsOfParent(s, &s.Links[i]) {
				s.Links[i].SpanID = parent
			}
		}
	}
	s.Parent = parent
}

const warningCycle = "its parent is itself or among its descendants; shown without a parent"

// turnedWarning says that a span ends before it starts.
func turnedWarning(s *trace.Span) string {
	return "ends " + strconv.FormatUint(s.Start-s.End, 10) + " ns before it starts; shown with duration 0"
}

// warn adds warnings to those that a span came with.
func warn(s *trace.Span, texts []string) {
	if len(texts) == 0 {
		return
	}
	var all []trace.Value
	attrs := make([]trace.Attr, 0, len(s.Attrs)+1)
	for i := range s.Attrs {
		if !isWarnings(&s.Attrs[i]) {
			attrs = append(attrs, s.Attrs[i])
			continue
		}
		for _, w := range s.Attrs[i].Value.List() {
			all = append(all, w.Value)
		}
	}
	for _, text := range texts {
		all = append(all, trace.String(text))
	}
	s.Attrs = append(attrs, trace.Attr{Key: attrWarnings, Value: trace.Array(all...)})
}

// SpanEncoder writes spans of model.proto, each with its process. One is for one answer and one goroutine: it keeps what spans share.
type SpanEncoder struct{ w protoWriter }

// Append appends a span as a field of a message, such as the spans of a SpansResponseChunk, number 1.
func (e *SpanEncoder) Append(b []byte, number int, s *trace.Span) []byte {
	if e.w.processes == nil {
		e.w.processes = map[*trace.Resource][]byte{}
	}
	e.w.out = b
	e.w.message(protowire.Number(number), func() {
		e.w.span(s)
		e.w.bytes(10, e.w.process(s.Resource))
	})
	return e.w.out
}
