package spool

import (
	"cmp"
	"container/heap"
	"context"
	"iter"
	"slices"

	"github.com/clewtrace/clew/store/census"
	"github.com/clewtrace/clew/trace"
)

// Scan yields whole traces, newest first, that have a span on which one of sc's alternatives holds, or else its narrowest conjunction.
//
// It reads groups from the one with the newest trace on, a stretch of traces at a time, and yields a trace as soon as nothing that is left
// can have a newer one. What it finds is only the part of a trace that a group or head has; the whole trace is read when its turn comes,
// and put back in line if its true start is earlier.
func (s *Spool) Scan(ctx context.Context, sc trace.Scan, rep *trace.ScanReport) iter.Seq2[*trace.Trace, error] {
	return func(yield func(*trace.Trace, error) bool) {
		z := s.codecs.Get().(*codec)
		defer s.codecs.Put(z)
		sn := &scanner{
			ctx: ctx, scan: sc, sought: soughtBy(&sc), rep: rep, reader: newReader(z, s.headers),
			state: s.state.Load(), seen: map[trace.ID]bool{}, blocks: map[*block]bool{}, heads: map[*head]bool{},
		}
		sn.reader.want, sn.reader.held = wanted(&sc), trace.BudgetOf(ctx)
		defer sn.reader.close()
		if err := sn.run(yield); err != nil {
			yield(nil, err)
		}
	}
}

// narrowest returns the conjunction with the most conditions: a trace must meet all, so looking for one finds it.
func narrowest(spans [][]trace.Cond) []trace.Cond {
	var best []trace.Cond
	for _, conds := range spans {
		if len(conds) > len(best) {
			best = conds
		}
	}
	return best
}

type scanner struct {
	ctx    context.Context
	scan   trace.Scan
	sought []sought // one of them
	rep    *trace.ScanReport
	reader *reader
	state  *state
	seen   map[trace.ID]bool
	queue  candidates
	blocks map[*block]bool // read
	heads  map[*head]bool
	paid   int // of seen
}

// candidate is a trace in line. First its position is that of the part that was found, which is not before the true one.
type candidate struct {
	position trace.Position
	placed   bool         // position is that of the whole trace
	whole    *trace.Trace // read, but then found to start later than was thought
	held     int64        // memory for it
}

type candidates []candidate

func (c candidates) Len() int           { return len(c) }
func (c candidates) Less(i, j int) bool { return c[i].position.Precedes(c[j].position) }
func (c candidates) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)        { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	old := *c
	x := old[len(old)-1]
	*c = old[:len(old)-1]
	return x
}

func (sn *scanner) run(yield func(*trace.Trace, error) bool) error {
	left := sn.parts()
	heap.Init(&left)
	defer func() { sn.rep.BlocksSkipped, sn.rep.Bytes = len(sn.state.blocks)-len(sn.blocks), sn.reader.read }()
	for len(left) > 0 {
		p := &left[0]
		more, err := sn.emit(p.last, yield)
		if err != nil || !more {
			return err
		}
		if err := sn.ctx.Err(); err != nil {
			return err
		}
		whole := true
		if p.head == nil {
			whole = sn.group(p)
		} else if err := sn.stretch(p.head, p.stretch); err != nil {
			return err
		}
		if err := cmp.Or(sn.pay(), sn.scan.Allows(sn.reader.read)); err != nil {
			return err
		}
		if whole {
			heap.Pop(&left)
		} else {
			heap.Fix(&left, 0)
		}
	}
	_, err := sn.emit(0, yield)
	return err
}

// part is a group, or what is left of one, or a stretch of a head's chains. No trace in it starts after last.
type part struct {
	last    uint64
	group   groupAt
	scan    *groupScan // of a group that was begun
	head    *head      // nil: a group
	stretch int
}

// parts is a heap, the one with the newest traces first.
type parts []part

func (p parts) Len() int           { return len(p) }
func (p parts) Less(i, j int) bool { return p[i].last > p[j].last }
func (p parts) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *parts) Push(x any)        { *p = append(*p, x.(part)) }
func (p *parts) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

// parts returns all that may have a match.
func (sn *scanner) parts() (all parts) {
	for _, h := range sn.state.heads() {
		h.mu.RLock()
		if sn.scan.Range.Overlaps(h.oldest, h.newest) {
			for i, last := range h.lasts {
				all = append(all, part{last: last, head: h, stretch: i})
			}
		}
		h.mu.RUnlock()
	}
	for _, b := range sn.state.blocks {
		for i := range b.footer.Groups {
			if info := &b.footer.Groups[i]; sn.scan.Range.Overlaps(info.Oldest, info.Newest) && canHave(b, sn.sought) {
				all = append(all, part{last: info.Last, group: groupAt{b, i}})
			}
		}
	}
	return all
}

// canHave reports whether the block's lists of services and operations leave a chance of a match.
func canHave(b *block, all []sought) bool {
	return slices.ContainsFunc(all, func(s sought) bool { return s.in(b) })
}

func (s *sought) in(b *block) bool {
	var ops []trace.Operation
	known := false // ops are all that the service has
	for i := range s.conds {
		c := &s.conds[i]
		if c.Field != trace.FieldService {
			continue
		}
		if c.Op == trace.OpEqual || c.Op == trace.OpText {
			if ops, known = b.footer.Operations[c.Value.Str()]; !known {
				return false
			}
		} else if !anyService(b, c) {
			return false
		}
	}
	if !known || len(ops) >= census.MaxOperations {
		return true
	}
	for i := range s.conds {
		c := &s.conds[i]
		if c.Field == trace.FieldName && !slices.ContainsFunc(ops, func(o trace.Operation) bool { return c.Compare(trace.String(o.Name)) }) {
			return false
		}
	}
	return true
}

func anyService(b *block, c *trace.Cond) bool {
	for service := range b.footer.Operations {
		if c.Compare(trace.String(service)) {
			return true
		}
	}
	return false
}

// emit yields what no group with a trace at boundary or before can precede. It returns false when the caller has enough.
func (sn *scanner) emit(boundary uint64, yield func(*trace.Trace, error) bool) (more bool, err error) {
	for len(sn.queue) > 0 && (sn.queue[0].position.Start > boundary || boundary == 0) {
		c := heap.Pop(&sn.queue).(candidate)
		if !c.placed {
			c.placed = true
			if start := sn.state.start(c.position.ID, sn.reader); start < c.position.Start {
				c.position.Start = start
				heap.Push(&sn.queue, c)
				continue
			}
		}
		if !sn.scan.Before.IsZero() && !sn.scan.Before.Precedes(c.position) {
			continue // on an earlier page: not worth reading
		}
		if c.whole == nil {
			t, err := sn.state.trace(sn.ctx, c.position.ID, sn.reader)
			c.held, sn.reader.spans = sn.reader.spans, 0
			if trace.KindOf(err) == trace.NotFound { // damaged since
				sn.reader.held.Give(c.held)
				continue
			}
			if err != nil {
				return false, err
			}
			c.whole = t
			if start := startOf(t.Spans); start != c.position.Start {
				c.position.Start = start
				heap.Push(&sn.queue, c)
				continue
			}
		}
		if sn.state.deleted.has(c.position.ID) { // since it was read
			sn.reader.held.Give(c.held)
			continue
		}
		sn.rep.Bytes = sn.reader.read
		if err := sn.scan.Allows(sn.rep.Bytes); err != nil {
			return false, err
		}
		more := yield(c.whole, nil)
		if sn.reader.held.Give(c.held); !more { // who keeps it takes memory for it
			return false, nil
		}
	}
	return true, nil
}

func startOf(spans []trace.Span) uint64 {
	start := ^uint64(0)
	for i := range spans {
		start = min(start, spans[i].Start)
	}
	return start
}

// seenMemory is what a trace in line takes, and to know that it was.
const seenMemory = 160

// pay takes memory for the traces that were found since.
func (sn *scanner) pay() error {
	n := len(sn.seen) - sn.paid
	sn.paid += n
	return sn.reader.held.Take(int64(n) * seenMemory)
}

func (sn *scanner) found(id trace.ID, start uint64) {
	if !sn.seen[id] {
		sn.seen[id] = true
		heap.Push(&sn.queue, candidate{position: trace.Position{Start: start, ID: id}})
	}
}

// stretch looks for matches in a stretch of a head's chains.
func (sn *scanner) stretch(h *head, n int) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	sn.rep.Groups++
	m := newMatcher(h.rows, condsOf(sn.sought))
	tests := make([][]test, len(h.rows.shapes))
	possible := make([]bool, len(h.rows.shapes))
	for k, s := range h.rows.shapes {
		tests[k], possible[k] = m.tests(s)
	}
	if !sn.heads[h] {
		sn.heads[h] = true
		sn.rep.Blocks++
		sn.rep.Keep(possible)
	}
	chains := h.chains[n*stretchChains : min(len(h.chains), (n+1)*stretchChains)]
	for k := range slices.Backward(chains) {
		c := &chains[k]
		for i := c.last; i != 0; i = h.locs[i-1].prev {
			l := &h.locs[i-1]
			if !possible[l.shape] || !sn.scan.Range.Contains(h.rows.shapes[l.shape].start.Nums[l.row]) {
				continue
			}
			ok, err := all(tests[l.shape], int(l.row))
			if err != nil {
				return err
			}
			if ok {
				sn.found(c.id, c.start)
				break
			}
		}
	}
	return nil
}
