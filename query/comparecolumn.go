package query

import (
	"slices"

	"github.com/clewtrace/clew/query/column"
	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/series"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// columnComparing is what one worker has counted for a compare().
type columnComparing struct {
	*comparing
	selection *column.Condition // shared by the workers
	fields    map[traceql.Field]*column.Field
}

// another returns one for another worker.
func (c *columnComparing) another(n *traceql.Metrics, g series.Grid) *columnComparing {
	return &columnComparing{newComparing(n.Compare, g), c.selection, map[traceql.Field]*column.Field{}}
}

// comparedRows is the rows of a table that count.
type comparedRows struct {
	table  *trace.Table
	rows   column.Rows
	places *series.Places
}

// count counts the attributes of some rows of a table.
func (c *columnComparing) count(t *trace.Table, rows column.Rows) error {
	selected, err := c.selection.Select(t)
	if err != nil {
		return err
	}
	starts, err := t.Columns.Numbers(trace.StartColumn)
	if err != nil {
		return err
	}
	x := comparedRows{t, column.Rows{Is: make([]bool, t.Rows)}, c.counts.NewPlaces(t.Rows)}
	for row, start := range starts {
		if rows.Has(row) && (t.Hidden == nil || !t.Hidden[row]) {
			c.counts.Put(x.places, row, start, selected.Has(row) && c.selected.Contains(start))
			x.rows.Is[row] = x.places.Has(row)
		}
	}
	switch {
	case x.places.Empty():
		return nil
	case t.Wide:
		return c.spans(x)
	}
	for _, f := range compared {
		if err := c.field(x, f.name, f.field); err != nil {
			return err
		}
	}
	for i := range t.Attrs {
		if err := c.attr(x, i); err != nil {
			return err
		}
	}
	return c.shared(x)
}

// spans counts the rows of a table of which no column says what attributes they have.
func (c *columnComparing) spans(x comparedRows) error {
	roots, err := x.table.Columns.Numbers(trace.TraceRootColumn)
	if err != nil {
		return err
	}
	for row := range x.table.Rows {
		if !x.rows.Has(row) {
			continue
		}
		one := &trace.Trace{Spans: make([]trace.Span, 1, 2)}
		if err := x.table.Columns.Span(row, &one.Spans[0]); err != nil {
			return err
		}
		if root := x.table.Roots[roots[row]]; root != nil { // it starts at 0, and so is the earliest
			one.Spans = append(one.Spans, *root)
		}
		if err := c.add(eval.NewContext(one).At(0)); err != nil {
			return err
		}
	}
	return nil
}

// attr counts an attribute that all rows have.
func (c *columnComparing) attr(x comparedRows, i int) error {
	a := x.table.Attrs[i]
	if a.Type == trace.TypeEmpty || slices.ContainsFunc(x.table.Attrs[:i], func(b trace.TableAttr) bool { return b.Key == a.Key }) {
		return nil
	}
	f := traceql.Field{Scope: traceql.ScopeSpan, Key: a.Key}
	if c.counts.Counted(c.name(f), x.places) {
		return nil
	}
	return c.field(x, c.name(f), f)
}

// shared counts the attributes of the rows' resources and of their scope.
func (c *columnComparing) shared(x comparedRows) error {
	index, err := x.table.Columns.Numbers(trace.ResourceColumn)
	if err != nil {
		return err
	}
	seen := map[traceql.Field]bool{}
	for _, a := range x.table.Scope.Attrs {
		seen[traceql.Field{Scope: traceql.ScopeInstrumentation, Key: a.Key}] = true
	}
	known := make([]bool, len(x.table.Resources))
	for row, i := range index {
		if known[i] || !x.rows.Has(row) {
			continue
		}
		known[i] = true
		for _, a := range x.table.Resources[i].Attrs {
			seen[traceql.Field{Scope: traceql.ScopeResource, Key: a.Key}] = true
		}
	}
	for f := range seen {
		if err := c.field(x, c.name(f), f); err != nil {
			return err
		}
	}
	return nil
}

// field counts a field of the rows.
func (c *columnComparing) field(x comparedRows, name string, f traceql.Field) error {
	read := c.fields[f]
	if read == nil {
		read, _ = column.Read(f) // all are of the span alone, or of its trace's root
		c.fields[f] = read
	}
	v, err := read.Values(x.table, x.rows)
	if err != nil {
		return err
	}
	for i := range v.List {
		if f.Scope == traceql.ScopeIntrinsic && blank(v.List[i]) {
			v.List[i] = eval.Nil
		}
	}
	if v.Index != nil {
		return c.counts.AddEach(name, x.places, v.Index, v.List)
	}
	if v.List[0].IsNil() {
		return nil
	}
	return c.counts.AddAll(name, x.places, v.List[0])
}
