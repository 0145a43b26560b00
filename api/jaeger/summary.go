package jaeger

import (
	"slices"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// summary is a trace in a list, as api/v3's trace summaries have it. JSON is protobuf's: 64-bit numbers are texts.
type summary struct {
	TraceID   string           `json:"traceId"`
	Service   string           `json:"rootServiceName"`
	Operation string           `json:"rootOperationName"`
	Start     uint64           `json:"minStartTimeUnixNano,string"`
	End       uint64           `json:"maxEndTimeUnixNano,string"`
	Spans     int              `json:"spanCount"`
	Errors    int              `json:"errorSpanCount"`
	Orphans   int              `json:"orphanSpanCount"`
	Services  []serviceSummary `json:"services"`
}

type serviceSummary struct {
	Name   string `json:"name"`
	Spans  int    `json:"spanCount"`
	Errors int    `json:"errorSpanCount"`
}

// summarize returns what a list shows of a trace. Its root is the earliest span without a parent or, if each names one, the earliest of which
// the parent is not there.
func summarize(t *trace.Trace) summary {
	out := summary{TraceID: t.ID.String(), Spans: len(t.Spans)}
	there := make(map[trace.SpanID]struct{}, len(t.Spans))
	for i := range t.Spans {
		there[t.Spans[i].ID] = struct{}{}
	}
	var root *trace.Span
	byName := map[string]*serviceSummary{}
	for i := range t.Spans {
		s := &t.Spans[i]
		if _, ok := there[s.Parent]; !ok {
			if !s.Parent.IsZero() {
				out.Orphans++
			}
			if root == nil || precedes(s, root) {
				root = s
			}
		}
		if i == 0 || s.Start < out.Start {
			out.Start = s.Start
		}
		out.End = max(out.End, s.End, s.Start)
		of := byName[s.Service()]
		if of == nil {
			of = &serviceSummary{Name: s.Service()}
			byName[of.Name] = of
		}
		of.Spans++
		if s.IsError() {
			of.Errors++
			out.Errors++
		}
	}
	if root == nil { // a circle
		root = &t.Spans[0]
	}
	out.Service, out.Operation = root.Service(), root.Name
	for _, s := range byName {
		out.Services = append(out.Services, *s)
	}
	slices.SortFunc(out.Services, func(a, b serviceSummary) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// precedes reports whether a span is rather the root than another.
func precedes(s, than *trace.Span) bool {
	if s.Parent.IsZero() != than.Parent.IsZero() {
		return s.Parent.IsZero()
	}
	if s.Start != than.Start {
		return s.Start < than.Start
	}
	return string(s.ID[:]) < string(than.ID[:])
}

// append appends a TraceSummary of query_service.proto.
func (s *summary) append(b []byte) []byte {
	b = appendText(b, 1, s.TraceID)
	b = appendText(b, 2, s.Service)
	b = appendText(b, 3, s.Operation)
	b = appendFixed64(b, 4, s.Start)
	b = appendFixed64(b, 5, s.End)
	b = appendNumber(b, 6, uint64(s.Spans))
	b = appendNumber(b, 7, uint64(s.Errors))
	b = appendNumber(b, 8, uint64(s.Orphans))
	for i := range s.Services {
		of := &s.Services[i]
		b = appendMessage(b, 9, appendNumber(appendNumber(appendText(nil, 1, of.Name), 2, uint64(of.Spans)), 3, uint64(of.Errors)))
	}
	return b
}
