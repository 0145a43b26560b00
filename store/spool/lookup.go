package spool

import (
	"context"
	"maps"
	"slices"

	"github.com/clewtrace/clew/store/census"
	"github.com/clewtrace/clew/trace"
)

// Trace returns all spans of a trace, from wherever they lie. It returns an error of kind NotFound when there are none.
func (s *Spool) Trace(ctx context.Context, id trace.ID, _ trace.Range) (*trace.Trace, error) {
	z := s.codecs.Get().(*codec)
	defer s.codecs.Put(z)
	r := newReader(z, s.headers)
	r.held = trace.BudgetOf(ctx)
	defer r.close()
	return s.state.Load().trace(ctx, id, r) // whose spans are held for as long as the query
}

// spanMemory is what a span takes while a trace is read and looked at, beside what it refers to.
const spanMemory = trace.SpanBytes + 96

func (st *state) trace(ctx context.Context, id trace.ID, r *reader) (*trace.Trace, error) {
	var spans []trace.Span
	var err error
	if st.deleted.has(id) {
		return nil, trace.Errorf(trace.NotFound, "no trace %s", id)
	}
	for _, b := range st.blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if spans, err = b.trace(id, r, spans); err != nil {
			return nil, err
		}
	}
	for _, h := range st.heads() {
		if spans, err = h.trace(id, r, spans); err != nil {
			return nil, err
		}
	}
	if len(spans) == 0 {
		return nil, trace.Errorf(trace.NotFound, "no trace %s", id)
	}
	if !repeated(spans) {
		return &trace.Trace{ID: id, Spans: spans}, nil
	}
	if r.want != nil { // duplicates are told by everything they have
		w := r.want
		r.want = nil
		r.drop()
		defer func() { r.want = w }()
		return st.trace(ctx, id, r)
	}
	if keep := trace.Distinct(spans); len(keep) < len(spans) {
		out := make([]trace.Span, len(keep))
		for k, i := range keep {
			out[k] = spans[i]
		}
		spans = out
	}
	return &trace.Trace{ID: id, Spans: spans}, nil
}

// repeated reports whether two spans have the same ID.
func repeated(spans []trace.Span) bool {
	const few = 64 // comparing all with all is faster than a map
	if len(spans) <= few {
		for i := range spans {
			for j := range i {
				if spans[i].ID == spans[j].ID {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[trace.SpanID]struct{}, len(spans))
	for i := range spans {
		seen[spans[i].ID] = struct{}{}
	}
	return len(seen) < len(spans)
}

// start returns when a trace's earliest span starts that is readable, without reading spans; the largest number if there is none.
func (st *state) start(id trace.ID, r *reader) uint64 {
	start := ^uint64(0)
	for _, b := range st.blocks {
		for _, p := range b.find(id, r.z) {
			// What is damaged was reported.
			if h, err := r.header(groupAt{b, p[0]}); err == nil && h.traces[p[1]].id == id {
				start = min(start, h.traces[p[1]].start)
			}
		}
	}
	for _, h := range st.heads() {
		start = min(start, h.start(id))
	}
	return start
}

// Services returns the names of all services, sorted.
func (s *Spool) Services(context.Context) ([]string, error) {
	st := s.state.Load()
	seen := make(map[string]struct{}, len(st.names))
	for service := range st.names {
		seen[service] = struct{}{}
	}
	for _, h := range st.heads() {
		h.mu.RLock()
		for i := range h.rows.shapes {
			seen[h.rows.shapes[i].service] = struct{}{}
		}
		h.mu.RUnlock()
	}
	out := make([]string, 0, len(seen))
	for service := range seen {
		out = append(out, service)
	}
	slices.Sort(out)
	return out, nil
}

// Operations returns a service's operations, sorted by name, then kind; for "" those of all services.
func (s *Spool) Operations(_ context.Context, service string) ([]trace.Operation, error) {
	st := s.state.Load()
	names := census.Operations{}
	for name, ops := range st.names {
		if service == "" || name == service {
			names[name] = maps.Clone(ops)
		}
	}
	for _, h := range st.heads() {
		h.operations(service, names)
	}
	return names.Of(service), nil
}

// namesOf returns the operations that blocks name.
func namesOf(blocks []*block) census.Operations {
	names := census.Operations{}
	for _, b := range blocks {
		names.AddAll(b.footer.Operations)
	}
	return names
}
