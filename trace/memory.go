package trace

import "unsafe"

// Memory returns how many bytes the trace takes in memory, about: spans with their attributes, events, links and texts. Resources and
// scopes, which many spans share, are counted once for each run of spans that have the same one.
func (t *Trace) Memory() int64 {
	return int64(cap(t.Spans))*SpanBytes + Beside(t.Spans)
}

// SpanBytes is what a span takes, without what it refers to.
const SpanBytes = int64(unsafe.Sizeof(Span{}))

// Beside returns how many bytes spans take beside themselves, as Memory counts them.
func Beside(spans []Span) int64 {
	n := 0
	for i := range spans {
		s := &spans[i]
		n += attrsMemory(s.Attrs) + len(s.StatusMessage) + len(s.State)
		n += len(s.Events)*int(unsafe.Sizeof(Event{})) + len(s.Links)*int(unsafe.Sizeof(Link{}))
		for k := range s.Events {
			n += attrsMemory(s.Events[k].Attrs) + len(s.Events[k].Name)
		}
		for k := range s.Links {
			n += attrsMemory(s.Links[k].Attrs) + len(s.Links[k].State)
		}
		if i > 0 && s.Resource == spans[i-1].Resource && s.Scope == spans[i-1].Scope {
			continue
		}
		if s.Resource != nil {
			n += int(unsafe.Sizeof(Resource{})) + attrsMemory(s.Resource.Attrs)
		}
		if s.Scope != nil {
			n += int(unsafe.Sizeof(Scope{})) + attrsMemory(s.Scope.Attrs)
		}
	}
	return int64(n)
}

// attrsMemory counts values and not keys, which are shared.
func attrsMemory(attrs []Attr) int {
	n := cap(attrs) * int(unsafe.Sizeof(Attr{}))
	for i := range attrs {
		n += len(attrs[i].Value.str) + attrsMemory(attrs[i].Value.list)
	}
	return n
}
