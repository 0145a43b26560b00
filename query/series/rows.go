package series

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// Row is a series: its labels, and a number for each step of the grid, NaN where there is none.
type Row struct {
	Labels    []eval.Label
	Values    []float64
	Exemplars []Exemplar // in order of time
}

// The labels that metrics add to those of by().
const (
	LabelQuantile = "p"        // a float: which quantile
	LabelBucket   = "__bucket" // a float: up to which value, durations in seconds; a power of two of ns, or of the value
)

// Rows returns the series, in order of their labels.
func (a *Aggregator) Rows() []Row {
	var rows []Row
	for _, g := range a.groups {
		if len(g.counts) > 0 {
			rows = append(rows, g.rows()...)
		}
	}
	if len(a.spec.By) == 0 && len(rows) == 0 && (a.spec.Func == traceql.Rate || a.spec.Func == traceql.CountOverTime) {
		rows = append(rows, Row{Values: make([]float64, a.spec.Grid.Steps)}) // no spans are a number of spans, too
	}
	SortRows(rows)
	cutExemplars(rows, a.spec.Exemplars)
	return rows
}

func (g *Group) labels(extra ...eval.Label) []eval.Label {
	labels := make([]eval.Label, 0, len(g.values)+len(extra))
	for i, v := range g.values {
		labels = append(labels, eval.Label{Name: g.agg.spec.By[i], Value: v})
	}
	return append(labels, extra...)
}

func (g *Group) rows() []Row {
	s := &g.agg.spec
	switch s.Func {
	case traceql.QuantileOverTime:
		return g.quantiles()
	case traceql.HistogramOverTime:
		return g.buckets()
	}
	r := Row{Labels: g.labels(), Values: make([]float64, s.Grid.Steps)}
	for i := range r.Values {
		r.Values[i] = g.value(i)
	}
	for i, e := range g.exemplars {
		if s.Func == traceql.Rate || s.Func == traceql.CountOverTime {
			e.Value = r.Values[i]
		} else {
			e.Value /= s.Unit
		}
		r.Exemplars = append(r.Exemplars, e.Exemplar)
	}
	return []Row{r}
}

// value returns the number of step i.
func (g *Group) value(i int) float64 {
	n := 0.0
	if i < len(g.counts) {
		n = g.counts[i]
	}
	switch f := g.agg.spec.Func; {
	case f == traceql.Rate:
		return n / g.agg.spec.Grid.Seconds()
	case f == traceql.CountOverTime:
		return n
	case n == 0:
		return math.NaN()
	case f == traceql.AvgOverTime:
		return g.numbers[i] / n / g.agg.spec.Unit
	}
	return g.numbers[i] / g.agg.spec.Unit
}

func (g *Group) quantiles() []Row {
	s := &g.agg.spec
	var rows []Row
	for k, q := range s.Quantiles {
		r := Row{Labels: g.labels(label(LabelQuantile, trace.Double(q))), Values: empty(s.Grid.Steps)}
		for i := range g.hists {
			if g.hists[i].total > 0 {
				r.Values[i] = g.hists[i].quantile(q) / s.Unit
			}
		}
		if k == len(s.Quantiles)-1 { // an exemplar is of the spans, not of one of their quantiles
			for _, e := range g.exemplars {
				e.Value /= s.Unit
				r.Exemplars = append(r.Exemplars, e.Exemplar)
			}
		}
		rows = append(rows, r)
	}
	return rows
}

func label(name string, v trace.Value) eval.Label { return eval.Label{Name: name, Value: eval.Of(v)} }

// empty returns numbers for n steps of which none is known.
func empty(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = math.NaN()
	}
	return v
}

func (g *Group) buckets() []Row {
	s := &g.agg.spec
	byBound := map[float64]*Row{}
	row := func(upper float64) *Row {
		r := byBound[upper]
		if r == nil {
			r = &Row{Labels: g.labels(label(LabelBucket, trace.Double(upper/s.Unit))), Values: make([]float64, s.Grid.Steps)}
			byBound[upper] = r
		}
		return r
	}
	for i := range g.hists {
		g.hists[i].octaves(func(upper, n float64) { row(upper).Values[i] += n })
	}
	for _, e := range g.exemplars {
		upper := 0.0
		if e.Value > 0 {
			upper = math.Ldexp(1, int(math.Ceil(float64(bucketOf(e.Value))/fine)))
		}
		r := row(upper)
		e.Value /= s.Unit
		r.Exemplars = append(r.Exemplars, e.Exemplar)
	}
	var rows []Row
	for _, r := range byBound {
		rows = append(rows, *r)
	}
	return rows
}

// SortRows puts series in order of their labels.
func SortRows(rows []Row) {
	slices.SortFunc(rows, func(a, b Row) int { return eval.CompareLabels(a.Labels, b.Labels) })
	for i := range rows {
		slices.SortFunc(rows[i].Exemplars, func(a, b Exemplar) int {
			return cmp.Or(cmp.Compare(a.Time, b.Time), strings.Compare(string(a.SpanID[:]), string(b.SpanID[:])))
		})
	}
}

// cutExemplars leaves at most n exemplars, by a hash of their spans: a fair choice that is the same each time.
func cutExemplars(rows []Row, n int) {
	var all []uint64
	for i := range rows {
		for _, e := range rows[i].Exemplars {
			all = append(all, hashOf(e.SpanID, e.TraceID))
		}
	}
	if len(all) <= n {
		return
	}
	slices.Sort(all)
	for i := range rows {
		rows[i].Exemplars = slices.DeleteFunc(rows[i].Exemplars, func(e Exemplar) bool { return hashOf(e.SpanID, e.TraceID) >= all[n] })
	}
}
