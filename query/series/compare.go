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
	grid  Grid
	topN  int
	sides [2]map[string]*attribute // baseline, selection; by name
	cells int
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
	return &Comparison{grid: g, topN: topN, sides: [2]map[string]*attribute{{}, {}}}
}

// Add counts a span's attributes. They have different names. The error is of kind TooLarge.
func (c *Comparison) Add(at uint64, selected bool, labels []eval.Label) error {
	i, ok := c.grid.At(at)
	if !ok {
		return nil
	}
	side := 0
	if selected {
		side = 1
	}
	for _, l := range labels {
		a := c.attribute(side, l.Name)
		a.total[i]++
		if n := c.of(a, l.Value); n != nil {
			n.sum++
			n.steps[i]++
		}
	}
	return c.fits()
}

// Places is where the rows of a table count in a comparison.
type Places struct {
	at    []int32   // by row: the step, twice, and one more of the selection; negative: nowhere
	found []int32   // each place that a row has
	rows  []float64 // by place: how many rows have it
}

// NewPlaces returns places for so many rows, of which none counts yet.
func (c *Comparison) NewPlaces(rows int) *Places {
	p := &Places{at: make([]int32, rows), rows: make([]float64, 2*c.grid.Steps)}
	for i := range p.at {
		p.at[i] = -1
	}
	return p
}

// Put has a row count, if its span starts in the grid.
func (c *Comparison) Put(p *Places, row int, start uint64, selected bool) {
	i, ok := c.grid.At(start)
	if !ok {
		return
	}
	at := int32(2 * i)
	if selected {
		at++
	}
	if p.at[row] = at; p.rows[at] == 0 {
		p.found = append(p.found, at)
	}
	p.rows[at]++
}

// Empty reports whether no row counts.
func (p *Places) Empty() bool { return len(p.found) == 0 }

// Has reports whether a row counts.
func (p *Places) Has(row int) bool { return p.at[row] >= 0 }

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

// Counted reports whether of an attribute that all rows have only how many is counted, and counts them then: its values are too many.
func (c *Comparison) Counted(name string, p *Places) bool {
	for _, at := range p.found {
		if a := c.sides[at&1][name]; a == nil || !a.many {
			return false
		}
	}
	for _, at := range p.found {
		c.sides[at&1][name].total[at>>1] += p.rows[at]
	}
	return true
}

// AddAll counts a value that all rows have.
func (c *Comparison) AddAll(name string, p *Places, v eval.Value) error {
	for _, at := range p.found {
		a := c.attribute(int(at&1), name)
		a.total[at>>1] += p.rows[at]
		if n := c.of(a, v); n != nil {
			n.sum += p.rows[at]
			n.steps[at>>1] += p.rows[at]
		}
	}
	return c.fits()
}

// AddEach counts the values that rows have: for each row, which of a list. Values that are nil are left out.
func (c *Comparison) AddEach(name string, p *Places, index []int32, list []eval.Value) error {
	var attrs [2]*attribute
	counts := make([]*count, 2*len(list))
	for row, at := range p.at {
		if at < 0 || index[row] < 0 || list[index[row]].IsNil() {
			continue
		}
		side := at & 1
		if attrs[side] == nil {
			attrs[side] = c.attribute(int(side), name)
		}
		a := attrs[side]
		a.total[at>>1]++
		if a.many {
			continue
		}
		n := &counts[2*index[row]+side]
		if *n == nil {
			*n = c.of(a, list[index[row]])
		}
		if *n != nil {
			(*n).sum++
			(*n).steps[at>>1]++
		}
	}
	return c.fits()
}

func (c *Comparison) fits() error {
	if c.cells > maxCompared {
		return trace.Errorf(trace.TooLarge, "the comparison has more than %d numbers; ask for longer steps, or compare fewer spans", maxCompared)
	}
	return nil
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
	n = &count{value: v, steps: make([]float64, c.grid.Steps)}
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
