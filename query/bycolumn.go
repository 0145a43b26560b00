package query

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clewtrace/clew/query/column"
	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/series"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// byColumn answers a query of metrics that asks of single spans alone: from the store's tables, on all cores.
type byColumn struct {
	metrics *metrics
	leaves  []*columnLeaf
	workers []*columnWorker
	spans   atomic.Int64 // looked at

	counting sync.RWMutex // held for reading by whoever counts
	told     atomic.Int64 // when what was counted so far was handed on, Unix ns
}

// columnLeaf is a leaf whose questions are ready for tables.
type columnLeaf struct {
	*leaf
	cond *column.Condition
	by   []*column.Field
	of   *column.Field    // nil: spans are counted
	comp *columnComparing // of compare()
}

// columnWorker is what one goroutine has counted. It is nobody else's until all have ended.
type columnWorker struct {
	leaves  []*leaf
	comps   []*columnComparing // by leaf; nil but of compare()
	context eval.Context
	traces  int
}

// newByColumn returns nil if the query asks about more than single spans.
func newByColumn(m *metrics) *byColumn {
	if _, ok := m.Query.Hint("extrapolate"); ok { // it reads what is in no column
		return nil
	}
	b := &byColumn{metrics: m}
	b.told.Store(time.Now().UnixNano())
	for n, l := range m.leaves {
		c := newColumnLeaf(n, l)
		if c == nil {
			return nil
		}
		m.plan.scan.Roots = m.plan.scan.Roots || asksForRoots(n)
		b.leaves = append(b.leaves, c)
	}
	for range runtime.GOMAXPROCS(0) {
		w := &columnWorker{}
		for _, l := range b.leaves {
			mine, comp := *l.leaf, (*columnComparing)(nil)
			if l.comp != nil {
				comp = l.comp.another(l.node, m.grid)
				mine.comp = comp.comparing
			} else {
				mine.agg, mine.row = l.agg.Another(), make([]eval.Value, len(l.by))
			}
			w.leaves, w.comps = append(w.leaves, &mine), append(w.comps, comp)
		}
		b.workers = append(b.workers, w)
	}
	return b
}

// asksForRoots reports whether a function of metrics looks at the roots of traces.
func asksForRoots(n *traceql.Metrics) bool {
	if n.Func == traceql.Compare {
		return true
	}
	roots := false
	look := func(f traceql.Field) {
		roots = roots || f.Intrinsic == traceql.TraceRootName || f.Intrinsic == traceql.TraceRootService || f.Intrinsic == traceql.NestedSetParent
	}
	for _, s := range n.Pipeline.Stages {
		if f, ok := s.(*traceql.Filter); ok {
			eval.EachField(f.Cond, look)
		}
	}
	for _, f := range n.By {
		look(f.Field)
	}
	return roots
}

func newColumnLeaf(n *traceql.Metrics, l *leaf) *columnLeaf {
	c := &columnLeaf{leaf: l}
	if l.comp != nil {
		selection, ok := column.Compile(n.Compare.Selection.Cond)
		if !ok {
			return nil
		}
		c.comp = &columnComparing{comparing: l.comp, selection: selection}
	}
	var cond traceql.Expr
	for _, s := range n.Pipeline.Stages {
		f, ok := s.(*traceql.Filter)
		switch {
		case !ok:
			return nil
		case cond == nil:
			cond = f.Cond
		case f.Cond != nil:
			cond = &traceql.Binary{Op: traceql.OpAnd, X: cond, Y: f.Cond}
		}
	}
	var ok bool
	if c.cond, ok = column.Compile(cond); !ok {
		return nil
	}
	for _, f := range n.By {
		by, ok := column.Read(f.Field)
		if !ok {
			return nil
		}
		c.by = append(c.by, by)
	}
	if n.Of != nil {
		if n.Of.Field.Many() { // a row has one number
			return nil
		}
		if c.of, ok = column.Read(n.Of.Field); !ok {
			return nil
		}
	}
	return c
}

func (b *byColumn) run(ctx context.Context) error {
	m := b.metrics
	err := m.engine.Tables(ctx, m.plan.scan, &m.report.ScanReport, b)
	m.report.Spans = b.spans.Load()
	for _, w := range b.workers {
		m.report.Traces += w.traces
		for i, l := range b.leaves {
			if l.comp != nil {
				err = errors.Join(err, l.comp.counts.Merge(w.comps[i].counts))
			} else {
				err = errors.Join(err, l.agg.Merge(w.leaves[i].agg))
			}
		}
	}
	return err
}

// Workers returns how many cores there are.
func (b *byColumn) Workers() int { return len(b.workers) }

// spend counts spans against the query's limit.
func (b *byColumn) spend(n int) error {
	limit := b.metrics.engine.Limits.Spans
	if total := b.spans.Add(int64(n)); limit > 0 && total > limit {
		return trace.OverBudget(limit, "spans", "query.spans")
	}
	return nil
}

// Trace counts the spans of a trace that is in no table.
func (b *byColumn) Trace(worker int, t *trace.Trace) error {
	return b.count(func() error { return b.trace(worker, t) })
}

func (b *byColumn) trace(worker int, t *trace.Trace) error {
	if err := b.spend(len(t.Spans)); err != nil {
		return err
	}
	w := b.workers[worker]
	w.traces++
	w.context.Reset(t)
	defer w.context.Reset(nil) // the store gives back what the trace holds
	for _, l := range w.leaves {
		if err := b.metrics.add(l, &w.context); err != nil {
			return err
		}
	}
	return nil
}

// Table counts a table's spans.
func (b *byColumn) Table(worker int, t *trace.Table) error {
	return b.count(func() error { return b.table(worker, t) })
}

// count calls what counts something.
func (b *byColumn) count(fn func() error) error {
	err := func() error {
		b.counting.RLock()
		defer b.counting.RUnlock()
		return fn()
	}()
	if err != nil {
		return err
	}
	return b.tell()
}

// tell hands on what all workers have counted so far, once a second. What compare() has counted is not: it says little before it is whole.
func (b *byColumn) tell() error {
	m, last, now := b.metrics, b.told.Load(), time.Now().UnixNano()
	if m.Partial == nil || m.Query.Explain || m.compares() || now-last < int64(time.Second) || !b.told.CompareAndSwap(last, now) {
		return nil
	}
	b.counting.Lock()
	defer b.counting.Unlock()
	so := metrics{SeriesRequest: m.SeriesRequest, held: m.held, grid: m.grid, leaves: map[*traceql.Metrics]*leaf{}}
	for i, l := range b.leaves {
		var of []*series.Aggregator
		for _, w := range b.workers {
			of = append(of, w.leaves[i].agg)
		}
		sum, err := l.agg.Sum(of)
		if err != nil {
			return err
		}
		so.leaves[l.node] = &leaf{agg: sum}
	}
	so.report.Spans = b.spans.Load() // the store fills in the rest at the end
	return so.part()
}

func (b *byColumn) table(worker int, t *trace.Table) error {
	if err := b.spend(t.Rows); err != nil {
		return err
	}
	w := b.workers[worker]
	for i, l := range b.leaves {
		rows, err := l.cond.Select(t)
		switch {
		case err != nil:
			return err
		case rows.None:
		case w.comps[i] != nil:
			err = w.comps[i].count(t, rows)
		default:
			err = b.rows(l, t, rows, w.leaves[i].agg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rows adds some rows of a table up.
func (b *byColumn) rows(l *columnLeaf, t *trace.Table, rows column.Rows, agg *series.Aggregator) error {
	exemplars := b.metrics.Exemplars > 0
	starts, err := t.Columns.Numbers(trace.StartColumn)
	if err != nil {
		return err
	}
	var values []float64   // of the field
	var durations []uint64 // the values of exemplars, if there is no field
	if l.of != nil {
		values, err = l.of.Numbers(t, rows)
	} else if exemplars {
		durations, err = t.Columns.Numbers(trace.DurationColumn)
	}
	if err != nil {
		return err
	}
	groups, err := l.groups(t, rows, agg)
	if err != nil {
		return err
	}
	s, steps := series.Sample{Weight: 1}, b.metrics.grid.Cursor()
	for row, start := range starts {
		if !rows.Has(row) || t.Hidden != nil && t.Hidden[row] {
			continue
		}
		step, ok := steps.At(start)
		if !ok {
			continue
		}
		if values != nil {
			if s.Value = values[row]; math.IsNaN(s.Value) {
				continue
			}
		} else if durations != nil {
			s.Value = float64(durations[row])
		}
		if s.Time = start; exemplars {
			s.TraceID, s.SpanID = t.Columns.IDs(row)
		}
		if err := groups.add(row, step, s); err != nil {
			return err
		}
	}
	return nil
}

// tableGroups finds the groups that a table's rows belong to.
type tableGroups struct {
	agg    *series.Aggregator
	values []column.Values // by what is grouped by
	row    []eval.Value
	by     []*traceql.FieldRef
	lists  bool                     // some values are lists
	known  []*series.Group          // by the number of the one value that differs between rows, or the only one
	more   map[uint64]*series.Group // by the numbers of several; nil: there are too many to be numbered
}

func (l *columnLeaf) groups(t *trace.Table, rows column.Rows, agg *series.Aggregator) (*tableGroups, error) {
	g := &tableGroups{agg: agg, row: make([]eval.Value, len(l.by)), by: l.node.By}
	places := 1.0
	for _, by := range l.by {
		v, err := by.Values(t, rows)
		if err != nil {
			return nil, err
		}
		g.values = append(g.values, v)
		g.lists = g.lists || slices.ContainsFunc(v.List, eval.Value.IsList)
		places *= float64(max(len(v.List), 1))
	}
	switch {
	case places <= float64(2*t.Rows+1):
		g.known = make([]*series.Group, int(places))
	case places < 1<<62:
		g.more = map[uint64]*series.Group{}
	}
	return g, nil
}

// add counts a row that is in a step in its group, or in several.
func (g *tableGroups) add(row, step int, s series.Sample) error {
	if !g.lists {
		group, err := g.of(row)
		if err != nil {
			return err
		}
		return group.Add(step, s)
	}
	for i := range g.values {
		g.row[i] = g.values[i].List[g.values[i].At(row)]
	}
	return unnest(g.row, g.by, func(row []eval.Value) error { return g.agg.Add(row, s) })
}

// of returns the group of a row.
func (g *tableGroups) of(row int) (*series.Group, error) {
	place := uint64(0)
	for i := range g.values {
		place = place*uint64(len(g.values[i].List)) + uint64(g.values[i].At(row))
	}
	if g.known != nil && g.known[place] != nil {
		return g.known[place], nil
	}
	if found := g.more[place]; found != nil {
		return found, nil
	}
	for i := range g.values {
		g.row[i] = g.values[i].List[g.values[i].At(row)]
	}
	group, err := g.agg.Group(g.row)
	if err != nil {
		return nil, err
	}
	switch {
	case g.known != nil:
		g.known[place] = group
	case g.more != nil:
		g.more[place] = group
	}
	return group, nil
}
