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
	known     []int32 // by slot: the place of a table's rows that count there, and 1; 0: there is none
}

// another returns one for another worker.
func (c *columnComparing) another(n *traceql.Metrics, g series.Grid) *columnComparing {
	mine := newComparing(n.Compare, g)
	mine.counts.Hold = c.counts.Hold
	return &columnComparing{mine, c.selection, map[traceql.Field]*column.Field{}, make([]int32, mine.counts.Slots())}
}

// comparedRows is where the rows of a table count.
type comparedRows struct {
	table  *trace.Table
	places column.Places
	slots  []series.Slot  // by place
	all    []column.Count // of each place
}

// count counts the attributes of some rows of a table.
func (c *columnComparing) count(t *trace.Table, rows column.Rows) error {
	x, err := c.place(t, rows)
	switch {
	case err != nil || len(x.slots) == 0:
		return err
	case t.Wide:
		return c.spans(x)
	}
	for _, part := range []func(*comparedRows) error{c.alike, c.resources, c.roots, c.messages} {
		if err := part(x); err != nil {
			return err
		}
	}
	for i := range t.Attrs {
		if err := c.attr(x, i); err != nil {
			return err
		}
	}
	return nil
}

// place finds out where rows of a table count.
func (c *columnComparing) place(t *trace.Table, rows column.Rows) (*comparedRows, error) {
	selected, err := c.selection.Select(t)
	if err != nil {
		return nil, err
	}
	starts, err := t.Columns.Numbers(trace.StartColumn)
	if err != nil {
		return nil, err
	}
	x := &comparedRows{table: t, places: column.Places{Of: make([]int32, t.Rows)}}
	for row, start := range starts {
		x.places.Of[row] = -1
		if !rows.Has(row) || t.Hidden != nil && t.Hidden[row] {
			continue
		}
		slot, ok := c.counts.Slot(start, selected.Has(row) && c.selected.Contains(start))
		if !ok {
			continue
		}
		k := c.known[slot]
		if k == 0 {
			x.slots, x.places.Rows = append(x.slots, slot), append(x.places.Rows, 0)
			k = int32(len(x.slots))
			c.known[slot] = k
		}
		x.places.Of[row] = k - 1
		x.places.Rows[k-1]++
	}
	for place, slot := range x.slots {
		x.all = append(x.all, column.Count{Place: place, Rows: x.places.Rows[place]})
		c.known[slot] = 0
	}
	return x, nil
}

// spans counts the rows of a table of which no column says what attributes they have.
func (c *columnComparing) spans(x *comparedRows) error {
	roots, err := x.table.Columns.Numbers(trace.TraceRootColumn)
	if err != nil {
		return err
	}
	for row := range x.table.Rows {
		if x.places.Of[row] < 0 {
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
func (c *columnComparing) attr(x *comparedRows, i int) error {
	a := x.table.Attrs[i]
	if a.Type == trace.TypeEmpty || slices.ContainsFunc(x.table.Attrs[:i], func(b trace.TableAttr) bool { return b.Key == a.Key }) {
		return nil
	}
	f := traceql.Field{Scope: traceql.ScopeSpan, Key: a.Key}
	name := c.name(f)
	if slices.ContainsFunc(x.slots, func(s series.Slot) bool { return !c.counts.Many(name, s) }) {
		return c.field(x, name, f)
	}
	return c.addLabel(x, eval.Label{Name: name, Value: eval.Nil}, x.all)
}

// alike counts what all rows have alike: their names, and their scope.
func (c *columnComparing) alike(x *comparedRows) error {
	t := x.table
	c.labels = c.labels[:0]
	c.intrinsics(eval.At{Span: &trace.Span{Name: t.Name, Kind: t.Kind, Status: t.Status, Scope: t.Scope}}, ofTable)
	c.attrs(traceql.ScopeInstrumentation, t.Scope.Attrs)
	return c.addLabels(x, x.all)
}

// resources counts the attributes of the rows' resources.
func (c *columnComparing) resources(x *comparedRows) error {
	return c.by(x, trace.ResourceColumn, func(i int) { c.attrs(traceql.ScopeResource, x.table.Resources[i].Attrs) })
}

// roots counts what the roots of the rows' traces have.
func (c *columnComparing) roots(x *comparedRows) error {
	return c.by(x, trace.TraceRootColumn, func(i int) {
		if root := x.table.Roots[i]; root != nil {
			c.intrinsics(eval.NewContext(&trace.Trace{Spans: []trace.Span{*root}}).At(0), ofRoot)
		}
	})
}

// by counts the labels of what a column has indexes of; label makes them.
func (c *columnComparing) by(x *comparedRows, index trace.NumberColumn, label func(i int)) error {
	counts, err := column.CountBy(x.table, index, &x.places)
	if err != nil {
		return err
	}
	return byValue(counts, func(of []column.Count) error {
		c.labels = c.labels[:0]
		label(of[0].Value)
		return c.addLabels(x, of)
	})
}

// messages counts the status messages, which are in no column.
func (c *columnComparing) messages(x *comparedRows) error {
	return c.field(x, statusMessage, traceql.Field{Scope: traceql.ScopeIntrinsic, Intrinsic: traceql.SpanStatusMessage})
}

// byValue calls fn with the counts of each value.
func byValue(counts []column.Count, fn func([]column.Count) error) error {
	for n := 0; len(counts) > 0; counts, n = counts[n:], 0 {
		for n < len(counts) && counts[n].Value == counts[0].Value {
			n++
		}
		if err := fn(counts[:n]); err != nil {
			return err
		}
	}
	return nil
}

// addLabels counts rows that have the labels.
func (c *columnComparing) addLabels(x *comparedRows, of []column.Count) error {
	for _, l := range c.labels {
		if err := c.addLabel(x, l, of); err != nil {
			return err
		}
	}
	return nil
}

// addLabel counts rows that have a label.
func (c *columnComparing) addLabel(x *comparedRows, l eval.Label, of []column.Count) error {
	e := c.counts.Entry(l)
	for _, n := range of {
		if err := e.Add(x.slots[n.Place], n.Rows); err != nil {
			return err
		}
	}
	return nil
}

// field counts a field of the rows.
func (c *columnComparing) field(x *comparedRows, name string, f traceql.Field) error {
	read := c.fields[f]
	if read == nil {
		read, _ = column.Read(f) // all are of the span alone, or of its trace's root
		c.fields[f] = read
	}
	t, err := read.Tally(x.table, &x.places)
	if err != nil {
		return err
	}
	return byValue(t.Counts, func(of []column.Count) error {
		v := t.List[of[0].Value]
		if v.IsNil() || f.Scope == traceql.ScopeIntrinsic && blank(v) {
			return nil
		}
		return c.addLabel(x, eval.Label{Name: name, Value: v}, of)
	})
}
