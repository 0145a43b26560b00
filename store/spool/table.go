package spool

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/trace"
)

// Tables hands all spans that sc wants to a visitor, and perhaps others: as columns, a shape of a group at a time, or, of traces whose
// spans lie in several places or in heads, as whole traces. It reads on as many goroutines as the visitor has workers, each its own group.
// Of sc, Before is of no meaning; with Whole, it hands out whole traces alone, those that match. It fills rep, to the bytes of which it adds.
func (s *Spool) Tables(ctx context.Context, sc trace.Scan, rep *trace.ScanReport, v trace.Visitor) error {
	t := &tables{spool: s, state: s.state.Load(), scan: sc, sought: soughtBy(&sc), visitor: v, rep: rep, whole: map[trace.ID]bool{}, blocks: map[*block]bool{}}
	t.bytes.Store(rep.Bytes)
	t.plan()
	held := trace.BudgetOf(ctx)
	if err := held.Take(seenMemory * int64(len(t.apart)+len(t.whole)) / 4); err != nil {
		return err
	}
	read := t.group
	if sc.Whole {
		read = t.wholes
		if err := t.planWholes(); err != nil {
			return err
		}
	}
	if err := t.each(ctx, len(t.groups), read); err != nil {
		return err
	}
	if err := held.Take(seenMemory * int64(len(t.whole)) / 2); err != nil {
		return err
	}
	ids := slices.SortedFunc(maps.Keys(t.whole), func(a, b trace.ID) int { return slices.Compare(a[:], b[:]) })
	return t.each(ctx, len(ids), func(ctx context.Context, w *tableWorker, i int) error { return t.trace(ctx, w, ids[i]) })
}

// tables is one call of Tables.
type tables struct {
	spool   *Spool
	state   *state
	scan    trace.Scan
	sought  []sought // one of them
	visitor trace.Visitor
	groups  []groupAt
	far     []*block        // those that have nothing in the range
	apart   map[uint64]bool // hashes of traces that are in a head, or in several places

	mu     sync.Mutex
	rep    *trace.ScanReport
	whole  map[trace.ID]bool // traces to be read whole
	blocks map[*block]bool   // read
	bytes  atomic.Int64      // read
}

type tableWorker struct {
	number int
	reader *reader
	told   int64 // of the bytes that the reader has read
}

// plan finds out which groups are to be read, and which traces are not to be read from groups alone.
func (t *tables) plan() {
	var near []*block
	for _, b := range t.state.blocks {
		n := len(t.groups)
		for i := range b.footer.Groups {
			if info := &b.footer.Groups[i]; t.scan.Range.Overlaps(info.Oldest, info.Newest) {
				t.groups = append(t.groups, groupAt{b, i})
			}
		}
		if len(t.groups) == n {
			t.far = append(t.far, b)
			continue
		}
		near = append(near, b)
		if !canHave(b, t.sought) {
			t.groups = t.groups[:n]
		}
	}
	if t.scan.Roots {
		near = t.state.blocks
	}
	z := t.spool.codecs.Get().(*codec)
	defer t.spool.codecs.Put(z)
	t.apart = repeatedHashes(near, z)
	if t.scan.Whole {
		return
	}
	for _, h := range t.state.heads() {
		h.mu.RLock()
		overlaps := t.scan.Range.Overlaps(h.oldest, h.newest)
		for i := 0; i < len(h.chains) && (overlaps || t.scan.Roots); i++ {
			t.apart[idHash(h.chains[i].id)] = true
			if overlaps {
				t.whole[h.chains[i].id] = true
			}
		}
		if overlaps {
			t.rep.Blocks++
			t.rep.Groups++
		}
		h.mu.RUnlock()
	}
}

// each calls fn with the numbers below n, on several goroutines.
func (t *tables) each(ctx context.Context, n int, fn func(ctx context.Context, w *tableWorker, i int) error) error {
	work, ctx := errgroup.WithContext(ctx)
	next := make(chan int)
	work.Go(func() error {
		defer close(next)
		for i := range n {
			select {
			case next <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for number := range min(t.visitor.Workers(), n) {
		work.Go(func() (err error) {
			defer func() { // nobody else would: it would be the end of the process
				if p := recover(); p != nil {
					err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				}
			}()
			z := t.spool.codecs.Get().(*codec)
			defer t.spool.codecs.Put(z)
			w := &tableWorker{number, newReader(z, t.spool.headers), 0}
			w.reader.want, w.reader.held = wanted(&t.scan), trace.BudgetOf(ctx)
			defer w.reader.close()
			defer t.count(w.reader)
			for i := range next {
				if err := cmp.Or(fn(ctx, w, i), t.spend(w)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// spend counts what a worker has read, and what groups it keeps, against the most that may be.
func (t *tables) spend(w *tableWorker) error {
	n := w.reader.read - w.told
	w.told += n
	if err := t.scan.Allows(t.bytes.Add(n)); err != nil {
		return err
	}
	return w.reader.hold(0)
}

func (t *tables) count(r *reader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rep.Bytes += r.read
	t.rep.BlocksSkipped = len(t.state.blocks) - len(t.blocks)
}

// trace reads one whole trace.
func (t *tables) trace(ctx context.Context, w *tableWorker, id trace.ID) error {
	whole, err := t.state.trace(ctx, id, w.reader)
	if trace.KindOf(err) == trace.NotFound { // deleted, or damaged
		return nil
	}
	if err != nil {
		return err
	}
	defer w.reader.drop()
	return t.visitor.Trace(w.number, whole)
}

// group reads one group.
func (t *tables) group(ctx context.Context, w *tableWorker, i int) error {
	at := t.groups[i]
	ok, read := at.block.mayHave(at.index, t.sought)
	if w.reader.read += read; !ok {
		return nil
	}
	g, err := w.reader.group(at)
	if t.note(at.block, err); g == nil { // damaged
		return nil
	}
	m := newMatcher(g.rows, condsOf(t.sought))
	var rest *layout
	kept := make([]bool, len(g.shapes))
	defer func() { t.keep(kept) }()
	for k := range g.shapes {
		if !m.mayBe(&g.shapes[k]) {
			continue
		}
		if _, kept[k] = m.tests(g.rowsOf(uint32(k))); !kept[k] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if rest == nil {
			rest = g.layout()
			rest.hide(g, t)
		}
		rows := g.shape(uint32(k))
		if rows == nil {
			t.note(at.block, errColumn)
			continue
		}
		err := t.visitor.Table(w.number, rest.table(g, uint32(k), rows))
		if trace.KindOf(err) == trace.Corrupt {
			g.damaged(uint32(k), err)
			t.note(at.block, err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tables) keep(shapes []bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rep.Keep(shapes)
}

// note counts a group that was read, or that damage was found.
func (t *tables) note(b *block, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.rep.Incomplete = damagedPart
		return
	}
	t.rep.Groups++
	if !t.blocks[b] {
		t.blocks[b] = true
		t.rep.Blocks++
	}
}

// A layout says of each row of a group which trace has it, and what its parent is.
type layout struct {
	owners  [][]uint32 // by shape and row: index into group.traces
	parents [][]uint64 // by shape and row: see parentOf
	hidden  []bool     // by trace; nil: none is

	resources []*trace.Resource
	roots     []*trace.Span // of traces, each kind of root once, behind none; nil: not looked for yet
	rootOf    []uint32      // by trace: index into roots
}

// The parent of a row is none, or an explicit one by its number in group.parents, or the span of a row, by shape and row.
const (
	noParent       = 0
	explicitParent = 1 << 63
	rowParent      = 1 << 62
)

// layout walks the group's traces once.
func (g *group) layout() *layout {
	l := &layout{owners: make([][]uint32, len(g.shapes)), parents: make([][]uint64, len(g.shapes)), resources: make([]*trace.Resource, len(g.resources))}
	for i := range g.resources {
		l.resources[i] = g.resources[i].decoded
	}
	owners, parents := make([]uint32, len(g.firsts)), make([]uint64, len(g.firsts))
	for s, n := range g.counts {
		l.owners[s], owners = owners[:n:n], owners[n:]
		l.parents[s], parents = parents[:n:n], parents[n:]
	}
	for i := range g.traces {
		t := &g.list[g.traces[i].template]
		first := g.firsts[g.offsets[i]:g.offsets[i+1]]
		explicit := g.explicit[i]
		for k, s := range t.shapes {
			row := first[k]
			l.owners[s][row] = uint32(i)
			switch p := t.parents[k]; p {
			case 0:
			case 1:
				l.parents[s][row] = explicitParent | uint64(explicit)
				explicit++
			default:
				at := k + 1 - int(p)
				l.parents[s][row] = rowParent | uint64(t.shapes[at])<<32 | uint64(first[at])
			}
		}
	}
	return l
}

// hide marks the traces that are deleted, and those that are to be read whole.
func (l *layout) hide(g *group, t *tables) {
	for i := range g.traces {
		id := g.traces[i].id
		apart := len(t.apart) > 0 && t.apart[idHash(id)]
		if !apart && !t.state.deleted.has(id) {
			continue
		}
		if l.hidden == nil {
			l.hidden = make([]bool, len(g.traces))
		}
		l.hidden[i] = true
		if apart {
			t.mu.Lock()
			t.whole[id] = true
			t.mu.Unlock()
		}
	}
}

func (l *layout) table(g *group, k uint32, rows *shapeRows) *trace.Table {
	c := &tableColumns{group: g, layout: l, shape: k, rows: rows, owners: l.owners[k], parents: l.parents[k]}
	s := &rows.shape
	out := &trace.Table{
		Rows: rows.n, Service: s.service, Name: s.name, Kind: s.kind, Status: s.status, Scope: g.scopes[s.scope].decoded, Wide: s.wide, Columns: c,
		Attrs: make([]trace.TableAttr, len(s.keys)), Resources: l.resources,
	}
	c.table = out
	for i, key := range s.keys {
		out.Attrs[i] = trace.TableAttr{Key: key.key, Type: key.typ}
	}
	if l.hidden != nil {
		out.Hidden = make([]bool, rows.n)
		for i, owner := range c.owners {
			out.Hidden[i] = l.hidden[owner]
		}
	}
	return out
}

// tableColumns is the columns of a shape's rows.
type tableColumns struct {
	group   *group
	layout  *layout
	table   *trace.Table
	shape   uint32
	rows    *shapeRows
	owners  []uint32
	parents []uint64
	starts  []uint64
	lengths []uint64
}

func (c *tableColumns) load(col *pack.Column) error { return c.group.reader.z.Load(col, c.rows.n) }

// Numbers returns one of the columns of numbers.
func (c *tableColumns) Numbers(n trace.NumberColumn) ([]uint64, error) {
	switch n {
	case trace.StartColumn:
		return c.absolute()
	case trace.DurationColumn:
		return c.durations()
	case trace.ResourceColumn:
		err := c.group.rows.loadResource(c.rows)
		return c.rows.resource.Nums, err
	case trace.RootColumn:
		return c.roots()
	case trace.TraceRootColumn:
		return c.traceRoots()
	}
	return c.plain()
}

// absolute adds the traces' starts to those in the column.
func (c *tableColumns) absolute() ([]uint64, error) {
	if c.starts != nil {
		return c.starts, nil
	}
	if err := c.load(&c.rows.start); err != nil {
		return nil, err
	}
	c.starts = make([]uint64, c.rows.n)
	for i, owner := range c.owners {
		c.starts[i] = c.group.traces[owner].start + c.rows.start.Nums[i]
	}
	return c.starts, nil
}

// durations leaves out what Span.Duration leaves out.
func (c *tableColumns) durations() ([]uint64, error) {
	if c.lengths != nil {
		return c.lengths, nil
	}
	if err := c.load(&c.rows.duration); err != nil {
		return nil, err
	}
	c.lengths = c.rows.duration.Nums
	if slices.ContainsFunc(c.lengths, func(d uint64) bool { return int64(d) < 0 }) {
		c.lengths = slices.Clone(c.lengths)
		for i, d := range c.lengths {
			c.lengths[i] = uint64(max(0, int64(d)))
		}
	}
	return c.lengths, nil
}

func (c *tableColumns) Attr(k int) (trace.Column, error) {
	col := &c.rows.attrs[k]
	if err := c.load(col); err != nil {
		return trace.Column{}, err
	}
	if isNumber(c.rows.keys[k].typ) {
		return trace.Column{Nums: col.Nums}, nil
	}
	t := trace.Texts{Data: col.Data, Ends: col.Ends, Index: col.Index}
	if col.Form == pack.Same {
		t.Ends = nil
	}
	return trace.Column{Texts: t}, nil
}

func (c *tableColumns) Value(k, row int) (trace.Value, error) {
	return c.rows.attr(c.group.rows.z, k, row)
}

func (c *tableColumns) roots() ([]uint64, error) {
	out := make([]uint64, len(c.parents))
	for row, p := range c.parents {
		if p&rowParent != 0 {
			continue
		}
		var parent trace.SpanID
		if p != noParent {
			parent = c.group.parents[p&^explicitParent]
		}
		is := p == noParent
		if c.doubtful(row, parent) {
			var err error
			if is, err = c.arrangedRoot(row); err != nil {
				return nil, err
			}
		}
		if is {
			out[row] = 1
		}
	}
	return out, nil
}

// doubtful reports whether the whole tree of a row's trace tells if the row is a root: it shares its ID with another span, or its parent
// is there, and not above it.
func (c *tableColumns) doubtful(row int, parent trace.SpanID) bool {
	i, id := c.owners[row], c.rows.id(uint32(row))
	first := c.group.firsts[c.group.offsets[i]:c.group.offsets[i+1]]
	for k, s := range c.group.list[c.group.traces[i].template].shapes {
		rows := c.group.shape(s)
		if rows == nil {
			continue
		}
		other := rows.id(first[k])
		if !parent.IsZero() && other == parent || other == id && (s != c.shape || int(first[k]) != row) {
			return true
		}
	}
	return false
}

// arrangedRoot reports whether a row is a root in its trace's tree.
func (c *tableColumns) arrangedRoot(row int) (bool, error) {
	spans, ats, err := c.group.outline(int(c.owners[row]))
	if err != nil {
		return false, err
	}
	for _, r := range trace.Arrange(spans).Rows {
		if r.Span >= 0 && ats[r.Span].shape == c.shape && int(ats[r.Span].row) == row {
			return r.Parent < 0, nil
		}
	}
	return false, nil
}

func (c *tableColumns) traceRoots() ([]uint64, error) {
	if c.layout.roots == nil {
		if err := c.layout.findRoots(c.group); err != nil {
			return nil, err
		}
	}
	c.table.Roots = c.layout.roots
	out := make([]uint64, len(c.owners))
	for row, i := range c.owners {
		out[row] = uint64(c.layout.rootOf[i])
	}
	return out, nil
}

// findRoots finds the root of each trace: most have one span without a parent, and of that its shape tells all.
func (l *layout) findRoots(g *group) error {
	l.roots, l.rootOf = []*trace.Span{nil}, make([]uint32, len(g.traces))
	known := map[rootKind]uint32{}
	for i := range g.traces {
		root, err := g.root(i)
		if err != nil {
			return err
		}
		if root == (rootKind{}) {
			continue
		}
		if known[root] == 0 {
			known[root] = uint32(len(l.roots))
			l.roots = append(l.roots, &trace.Span{Name: root.name, Resource: &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(root.service)}}}})
		}
		l.rootOf[i] = known[root]
	}
	return nil
}

// rootKind is what is shown of a root.
type rootKind struct{ service, name string }

// root returns what is shown of the root of trace i; the zero value if it has none.
func (g *group) root(i int) (rootKind, error) {
	t := &g.list[g.traces[i].template]
	root, several := -1, false
	explicit := g.explicit[i]
	first := g.firsts[g.offsets[i]:g.offsets[i+1]]
	for k, p := range t.parents {
		switch p {
		case 0:
			several = root >= 0
			root = k
		case 1: // it may be its own parent
			rows := g.shape(t.shapes[k])
			several = several || rows != nil && rows.id(first[k]) == g.parents[explicit]
			explicit++
		}
		if several {
			return g.arrangedTraceRoot(i)
		}
	}
	if root < 0 {
		return rootKind{}, nil
	}
	s := &g.shapes[t.shapes[root]]
	if s.wide || g.shape(t.shapes[root]) == nil { // or damaged
		return g.arrangedTraceRoot(i)
	}
	return rootKind{s.service, s.name}, nil
}

// arrangedTraceRoot is root for a trace that has to be looked at span by span.
func (g *group) arrangedTraceRoot(i int) (rootKind, error) {
	spans, _, err := g.outline(i)
	if err != nil {
		return rootKind{}, err
	}
	if k := trace.Root(spans); k >= 0 {
		return rootKind{spans[k].Service(), spans[k].Name}, nil
	}
	return rootKind{}, nil
}

// outline returns the spans of trace i without their attributes, and where they are.
func (g *group) outline(i int) ([]trace.Span, []at, error) {
	ats := g.ats(i, nil)
	spans := make([]trace.Span, len(ats))
	for k := range ats {
		if err := ats[k].span(g.traces[i].id, &want{}, &spans[k]); err != nil {
			return nil, nil, err
		}
	}
	return spans, ats, nil
}

func (c *tableColumns) plain() ([]uint64, error) {
	if err := c.load(&c.rows.rest); err != nil {
		return nil, err
	}
	out := make([]uint64, c.rows.n)
	for row := range out {
		if len(c.rows.rest.Bytes(row)) == 0 {
			out[row] = 1
		}
	}
	return out, nil
}

func (c *tableColumns) IDs(row int) (trace.ID, trace.SpanID) {
	return c.group.traces[c.owners[row]].id, c.rows.id(uint32(row))
}

func (c *tableColumns) Span(row int, out *trace.Span) error {
	starts, err := c.absolute()
	if err != nil {
		return err
	}
	id, span := c.IDs(row)
	a := at{src: c.group.rows, shape: c.shape, row: uint32(row), id: span, parent: c.parent(row), start: starts[row]}
	return a.span(id, c.group.reader.want, out)
}

// parent returns the ID of a row's parent. It is zero if that was damaged.
func (c *tableColumns) parent(row int) (id trace.SpanID) {
	switch p := c.parents[row]; {
	case p == noParent:
	case p&explicitParent != 0:
		id = c.group.parents[p&^explicitParent]
	default:
		if rows := c.group.shape(uint32(p &^ rowParent >> 32)); rows != nil {
			id = rows.id(uint32(p))
		}
	}
	return id
}
