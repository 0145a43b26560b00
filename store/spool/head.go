package spool

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/clewtrace/clew/store/census"
	"github.com/clewtrace/clew/trace"
)

// A head is the newest spans, in memory, with the spans of each trace chained together.
type head struct {
	mu     sync.RWMutex
	rows   *rows
	traces map[trace.ID]uint32 // index into chains
	chains []chain
	lasts  []uint64 // of each stretch of chains: no trace in it starts later
	locs   []loc    // by arrival
	oldest uint64
	newest uint64
	size   atomic.Int64 // memory, about

	res, scopes []uint32 // scratch of append: a batch's resources and scopes as they are numbered here
}

// chain is one trace's spans: loc last-1, then the one before it, and so on.
type chain struct {
	id    trace.ID
	start uint64 // of the earliest span
	last  uint32 // index into locs + 1
	n     uint32
}

// stretchChains is how many chains a search looks at together: few enough that appends need not wait for it long.
const stretchChains = 1024

type loc struct {
	shape, row uint32
	prev       uint32 // index into locs + 1, 0: no more
}

// newHead returns an empty head, of which about as much is expected as of the one before; nil: nothing is known.
func newHead(before *head) *head {
	h := &head{traces: map[trace.ID]uint32{}}
	var expect sizes
	if before != nil {
		expect = before.rows.sizes()
		h.traces = make(map[trace.ID]uint32, len(before.chains))
		h.chains = make([]chain, 0, len(before.chains)+len(before.chains)/8)
		h.locs = make([]loc, 0, len(before.locs)+len(before.locs)/8)
	}
	h.rows = newRows(expect)
	h.rows.growing = true
	return h
}

// append adds a batch.
func (h *head) append(b *trace.Batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.add(b)
}

// add is append for who holds the lock, which is taken once for a batch.
func (h *head) add(b *trace.Batch) error {
	h.res, h.scopes = h.res[:0], h.scopes[:0]
	for i := range b.Resources {
		k, err := h.rows.internResource(b.Bytes(b.Resources[i].Body), b.Bytes(b.Resources[i].SchemaURL))
		if err != nil {
			return err
		}
		h.res = append(h.res, k)
	}
	for i := range b.Scopes {
		k, err := h.rows.internScope(b.Bytes(b.Scopes[i].Body), b.Bytes(b.Scopes[i].SchemaURL))
		if err != nil {
			return err
		}
		h.scopes = append(h.scopes, k)
	}
	for i := range b.Spans {
		ref := &b.Spans[i]
		s, row := h.rows.add(b, ref, h.res[ref.Resource], h.scopes[ref.Scope])
		k, ok := h.traces[ref.TraceID]
		if !ok {
			k = uint32(len(h.chains))
			h.chains = append(h.chains, chain{id: ref.TraceID, start: ref.Start})
			if int(k)%stretchChains == 0 {
				h.lasts = append(h.lasts, 0)
			}
			h.lasts[k/stretchChains] = max(h.lasts[k/stretchChains], ref.Start)
			h.traces[ref.TraceID] = k
		}
		c := &h.chains[k]
		h.locs = append(h.locs, loc{s, row, c.last})
		c.last = uint32(len(h.locs))
		c.n++
		c.start = min(c.start, ref.Start)
		if h.oldest == 0 || ref.Start < h.oldest {
			h.oldest = ref.Start
		}
		h.newest = max(h.newest, ref.Start)
	}
	h.size.Store(h.rows.bytes + int64(len(h.locs))*headSpanBytes)
	return nil
}

// headSpanBytes is what a span costs in a head beside its columns (a loc and its part of a chain), about.
const headSpanBytes = 20

func (h *head) spans() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.rows.spans
}

// ats returns the spans of a chain. The caller holds the lock, or the head is frozen.
func (h *head) ats(c *chain, out []at) []at {
	out = slices.Grow(out, int(c.n))
	for i := c.last; i != 0; {
		l := &h.locs[i-1]
		s := h.rows.shapes[l.shape]
		out = append(out, at{
			src: h.rows, shape: l.shape, row: l.row,
			id: s.ids[l.row], parent: s.parents[l.row], start: s.start.Nums[l.row],
		})
		i = l.prev
	}
	return out
}

// start returns when the earliest span of a trace starts that the head has; the largest number if it has none.
func (h *head) start(id trace.ID) uint64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if k, ok := h.traces[id]; ok {
		return h.chains[k].start
	}
	return ^uint64(0)
}

// trace appends the spans that the head has of a trace to out, which holds its own copy of everything.
func (h *head) trace(id trace.ID, r *reader, out []trace.Span) ([]trace.Span, error) {
	h.mu.RLock()
	var spans []at
	if k, ok := h.traces[id]; ok {
		spans = h.ats(&h.chains[k], nil)
	}
	h.mu.RUnlock()
	if err := r.hold(spanMemory * int64(len(spans))); err != nil {
		return nil, err
	}
	out = slices.Grow(out, len(spans))                     // it may be a million
	for part := range slices.Chunk(spans, stretchChains) { // memory may have to be waited for, but not with the lock
		n, err := len(out), error(nil)
		if out, err = h.read(id, part, r.want, out); err == nil {
			err = r.holdSpans(out[n:])
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// read appends some spans of a trace to out.
func (h *head) read(id trace.ID, spans []at, w *want, out []trace.Span) ([]trace.Span, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, a := range spans {
		out = append(out, trace.Span{})
		if err := a.span(id, w, &out[len(out)-1]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// operations adds the operations of a service, or of all for "", to names.
func (h *head) operations(service string, names census.Operations) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, s := range h.rows.shapes {
		if service == "" || s.service == service {
			s.operations(nil, names)
		}
	}
}

// operations adds the operations of the group's services to names.
func (g *groupWriter) operations(names census.Operations) {
	for k := range g.shapes {
		r := &g.shapes[k]
		for i := range r.runs {
			run, rows := r.run(i)
			run.from.operations(rows, names)
		}
	}
}

// operations adds the operations of some rows of a shape, whose names are decoded, to names; nil: of all.
func (s *shapeRows) operations(rows []uint32, names census.Operations) {
	if !s.wide {
		names.Add(s.service, s.name, s.kind)
		return
	}
	n := len(rows)
	if rows == nil {
		n = s.n
	}
	for i := range n {
		if rows != nil {
			i = int(rows[i])
		}
		if !names.Add(s.service, string(s.names.Bytes(i)), s.kind) {
			break
		}
	}
}
