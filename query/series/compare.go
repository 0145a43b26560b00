package series

import (
	"cmp"
	"slices"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/trace"
)

// Comparison counts, for each attribute and value, the spans of a selection, and those of the rest, the baseline. It is for one worker, as an
// Aggregator is.
type Comparison struct {
	Hold func(bytes int64) error // is asked for memory that was taken; nil: there is enough

	grid  Grid
	steps Cursor
	topN  int
	sides [2]map[string]*attribute // baseline, selection; by name
	cells int
	paid  int    // of cells
	key   []byte // of a value, for looking it up
}

// attribute is what is known of an attribute on one side.
type attribute struct {
	total  []float64
	values map[string]*count
	many   bool // more than maxValues were seen; values is nil
}

type count struct {
	value eval.Value
	sum   float64
	steps []float64
}

const (
	// maxValues is how many values of an attribute are counted: one that has more is an ID of some kind, by which nobody compares.
	maxValues = 1000
	// maxCompared bounds the numbers that are kept for a comparison, to 128 MiB.
	maxCompared = 16 << 20
)

// The labels of a comparison.
const (
	LabelMeta  = "__meta_type"  // baseline, selection, baseline_total or selection_total
	LabelError = "__meta_error" // TooManyValues
	// TooManyValues says that an attribute has more values than are counted, so that only its total is known.
	TooManyValues = "__too_many_values__"
)

// NewComparison returns a Comparison without spans that will answer with the topN most frequent values of each attribute on each side.
func NewComparison(g Grid, topN int) *Comparison {
	return &Comparison{grid: g, steps: g.Cursor(), topN: topN, sides: [2]map[string]*attribute{{}, {}}}
}

// Add counts a span's attributes. They have different names. The error is of kind TooLarge.
func (c *Comparison) Add(at uint64, selected bool, labels []eval.Label) error {
	s, ok := c.Slot(at, selected)
	if !ok {
		return nil
	}
	for _, l := range labels {
		e := c.Entry(l)
		if err := e.Add(s, 1); err != nil {
			return err
		}
	}
	return nil
}

// Slot is a step of one side of a comparison: the step, twice, and one more of the selection.
type Slot int

// Slot returns where a span counts that starts at a moment; ok is false if that is in none of the steps.
func (c *Comparison) Slot(at uint64, selected bool) (s Slot, ok bool) {
	i, ok := c.steps.At(at)
	if s = Slot(2 * i); selected {
		s++
	}
	return s, ok
}

// Slots returns how many slots there are.
func (c *Comparison) Slots() int { return 2 * c.grid.Steps }

// attribute returns an attribute of a side.
func (c *Comparison) attribute(side int, name string) *attribute {
	a := c.sides[side][name]
	if a == nil {
		a = &attribute{total: make([]float64, c.grid.Steps), values: map[string]*count{}}
		c.cells += c.grid.Steps
		c.sides[side][name] = a
	}
	return a
}

// Many reports whether an attribute has too many values on the side of a slot, so that they are not counted there any more.
func (c *Comparison) Many(name string, s Slot) bool {
	a := c.sides[s&1][name]
	return a != nil && a.many
}

// Entry is a value of an attribute, to be counted at several slots.
type Entry struct {
	counts *Comparison
	label  eval.Label
	sides  [2]struct {
		attr  *attribute // nil: not looked up yet
		count *count     // nil: there are too many values
	}
}

// Entry returns an Entry, which is to be used before other values of the attribute are counted.
func (c *Comparison) Entry(l eval.Label) Entry { return Entry{counts: c, label: l} }

// Add counts spans at a slot. The error is of kind TooLarge.
func (e *Entry) Add(s Slot, spans int) (err error) {
	side := &e.sides[s&1]
	if side.attr == nil {
		side.attr = e.counts.attribute(int(s&1), e.label.Name)
		side.count = e.counts.of(side.attr, e.label.Value)
		err = e.counts.fits()
	}
	i, n := s>>1, float64(spans)
	side.attr.total[i] += n
	if side.count != nil {
		side.count.sum += n
		side.count.steps[i] += n
	}
	return err
}

func (c *Comparison) fits() error {
	if c.cells > maxCompared {
		return trace.Errorf(trace.TooLarge, "the comparison has more than %d numbers; ask for longer steps, or compare fewer spans", maxCompared)
	}
	n := c.cells - c.paid
	if n <= 0 || c.Hold == nil {
		return nil
	}
	c.paid = c.cells
	return c.Hold(int64(n) * 12) // with what counts have beside
}

// Samples returns how many samples there will be in the comparison's rows.
func (c *Comparison) Samples() (n int) {
	for _, side := range c.sides {
		for _, a := range side {
			n += (1 + min(len(a.values), c.topN)) * c.grid.Steps
		}
	}
	return n
}

// of returns the count of a value, or nil if there are too many values.
func (c *Comparison) of(a *attribute, v eval.Value) *count {
	if a.many {
		return nil
	}
	c.key = v.AppendKey(c.key[:0])
	n := a.values[string(c.key)]
	if n != nil {
		return n
	}
	if len(a.values) == maxValues {
		a.many, a.values = true, nil
		c.cells -= maxValues * c.grid.Steps
		return nil
	}
	n = &count{value: v.Clone(), steps: make([]float64, c.grid.Steps)}
	c.cells += c.grid.Steps
	a.values[string(c.key)] = n
	return n
}

// Merge adds what another Comparison of the same steps has.
func (c *Comparison) Merge(o *Comparison) error {
	for k := range o.sides {
		for name, theirs := range o.sides[k] {
			a := c.sides[k][name]
			if a == nil {
				c.sides[k][name] = theirs
				c.cells += c.grid.Steps * (1 + len(theirs.values))
				continue
			}
			c.merge(a, theirs)
		}
	}
	return c.fits()
}

func (c *Comparison) merge(a, theirs *attribute) {
	addAll(a.total, theirs.total)
	if theirs.many && !a.many {
		c.cells -= len(a.values) * c.grid.Steps
		a.many, a.values = true, nil
	}
	for _, n := range theirs.values {
		if mine := c.of(a, n.value); mine != nil {
			mine.sum += n.sum
			addAll(mine.steps, n.steps)
		}
	}
}

func addAll(to, from []float64) {
	for i := range to {
		to[i] += from[i]
	}
}

// Rows returns the series of a comparison, in order of their labels: of each attribute and side the most frequent values, and the total of spans that
// have the attribute.
func (c *Comparison) Rows() []Row {
	var rows []Row
	for k, meta := range [2]string{"baseline", "selection"} {
		for name, a := range c.sides[k] {
			total := []eval.Label{label(LabelMeta, trace.String(meta+"_total")), {Name: name, Value: eval.Nil}}
			rows = append(rows, Row{Labels: total, Values: a.total})
			if a.many {
				labels := []eval.Label{label(LabelError, trace.String(TooManyValues)), label(LabelMeta, trace.String(meta)), {Name: name, Value: eval.Nil}}
				rows = append(rows, Row{Labels: labels, Values: a.total})
				continue
			}
			for _, n := range a.top(c.topN) {
				rows = append(rows, Row{Labels: []eval.Label{label(LabelMeta, trace.String(meta)), {Name: name, Value: n.value}}, Values: n.steps})
			}
		}
	}
	SortRows(rows)
	return rows
}

func (a *attribute) top(n int) []*count {
	all := make([]*count, 0, len(a.values))
	for _, v := range a.values {
		all = append(all, v)
	}
	slices.SortFunc(all, func(x, y *count) int {
		return cmp.Or(cmp.Compare(y.sum, x.sum), eval.CompareLabels([]eval.Label{{Value: x.value}}, []eval.Label{{Value: y.value}}))
	})
	return all[:min(n, len(all))]
}
