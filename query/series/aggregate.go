package series

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// Spec is what an Aggregator makes.
type Spec struct {
	Func      traceql.MetricsFunc // not Compare
	Quantiles []float64           // of QuantileOverTime
	By        []string            // the names of the labels that spans are grouped by
	Unit      float64             // by which results are divided: 1e9 where values are ns and results seconds; 0 is 1
	Grid      Grid
	Exemplars int // to keep at most; 0: none
	Limits    Limits
	Hold      func(bytes int64) error // is asked before memory is taken; nil: there is enough
}

// Limits bound what an Aggregator keeps.
type Limits struct {
	Series int // groups of spans; what comes above is an error
	Cells  int // groups times steps in which there are spans
}

// DefaultLimits hold a query to some hundred MiB.
func DefaultLimits() Limits { return Limits{Series: 10_000, Cells: 4 << 20} }

// Aggregator adds up spans. It is for one worker; what several have are merged. The zero Aggregator is not usable: see New.
type Aggregator struct {
	spec   Spec
	groups map[string]*Group
	cells  int
	key    []byte // of a group, for looking it up
}

// New returns an Aggregator without spans.
func New(s Spec) *Aggregator {
	if s.Unit == 0 {
		s.Unit = 1
	}
	return &Aggregator{spec: s, groups: map[string]*Group{}}
}

// Another returns an Aggregator of the same Spec without spans, for another worker.
func (a *Aggregator) Another() *Aggregator { return New(a.spec) }

// Sum returns an Aggregator of what some of its kind have so far, which it leaves as they are. It holds no memory of the budget.
func (a *Aggregator) Sum(of []*Aggregator) (*Aggregator, error) {
	sum := a.Another()
	sum.spec.Hold = nil
	for _, b := range of {
		if err := sum.Merge(b); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

// Group is the spans with equal values of what is grouped by.
type Group struct {
	agg       *Aggregator
	values    []eval.Value
	counts    []float64   // by step: spans, or those with a value
	numbers   []float64   // by step: of min, max, sum and avg; the sum of avg
	hists     []histogram // by step: of quantiles and histograms
	exemplars map[int]exemplar
	lowest    []uint64 // by step: the hash of its exemplar; the largest number if it has none. Nil without exemplars
}

// Exemplar is one of the spans that a sample was made of.
type Exemplar struct {
	Time    uint64 // the span's start, Unix ns
	Value   float64
	TraceID trace.ID
	SpanID  trace.SpanID
}

// exemplar is kept by its hash: the lowest of a step stays, whatever the order in which spans come.
type exemplar struct {
	hash uint64
	Exemplar
}

// Group returns the group with such values, in the order of Spec.By. The error is of kind TooLarge: there are too many.
func (a *Aggregator) Group(values []eval.Value) (*Group, error) {
	a.key = a.key[:0]
	for _, v := range values {
		n := len(a.key)
		a.key = v.AppendKey(append(a.key, 0, 0, 0, 0))
		binary.BigEndian.PutUint32(a.key[n:], uint32(len(a.key)-n)) // no value goes on in the next one
	}
	if g := a.groups[string(a.key)]; g != nil {
		return g, nil
	}
	if len(a.groups) >= a.spec.Limits.Series {
		return nil, trace.Errorf(trace.TooLarge, "the query makes more than %d series; group by something that has fewer values: by(%s) has more", a.spec.Limits.Series, strings.Join(a.spec.By, ", "))
	}
	if err := a.spec.take(groupMemory + 2*int64(len(a.key))); err != nil {
		return nil, err
	}
	g := &Group{agg: a, values: slices.Clone(values)}
	a.groups[string(a.key)] = g
	return g, nil
}

// Sample is a span, for an Aggregator.
type Sample struct {
	Time    uint64  // its start, Unix ns
	Value   float64 // of the field. Of Rate and CountOverTime it is not used
	Weight  float64 // how many spans it stands for: 1
	TraceID trace.ID
	SpanID  trace.SpanID
}

// Add adds a span to the group, in the grid's step i. A span whose value is no number, or beyond all numbers, is left out. The error is of
// kind TooLarge.
func (g *Group) Add(i int, s Sample) error {
	if s.Value-s.Value != 0 {
		return nil
	}
	if err := g.grow(i); err != nil {
		return err
	}
	first := g.counts[i] == 0
	g.counts[i] += s.Weight
	switch g.agg.spec.Func {
	case traceql.MinOverTime:
		if first || s.Value < g.numbers[i] {
			g.numbers[i] = s.Value
		}
	case traceql.MaxOverTime:
		if first || s.Value > g.numbers[i] {
			g.numbers[i] = s.Value
		}
	case traceql.SumOverTime, traceql.AvgOverTime:
		g.numbers[i] += s.Value * s.Weight
	case traceql.QuantileOverTime, traceql.HistogramOverTime:
		before := len(g.hists[i].counts)
		g.hists[i].add(s.Value, s.Weight)
		if err := g.agg.widened(before, len(g.hists[i].counts)); err != nil {
			return err
		}
	}
	if g.agg.spec.Exemplars > 0 {
		if h := hashOf(s.SpanID, s.TraceID); h <= g.lowest[i] {
			g.keep(i, exemplar{h, Exemplar{s.Time, s.Value, s.TraceID, s.SpanID}})
		}
	}
	return nil
}

// hashOf spreads IDs evenly, also those that count up. It is taken of each span.
func hashOf(id trace.SpanID, t trace.ID) uint64 {
	hi, lo := bits.Mul64(binary.BigEndian.Uint64(id[:])^0x9e3779b97f4a7c15, binary.BigEndian.Uint64(t[8:])^0xd6e8feb86659fd93)
	hi, lo = bits.Mul64(hi^lo^0xa0761d6478bd642f, binary.BigEndian.Uint64(t[:8])^0xe7037ed1a0b428db)
	return hi ^ lo
}

func (g *Group) keep(i int, e exemplar) {
	if g.exemplars == nil {
		g.exemplars = map[int]exemplar{}
	}
	old, ok := g.exemplars[i]
	if !ok || cmp.Or(cmp.Compare(e.hash, old.hash), cmp.Compare(e.Time, old.Time), cmp.Compare(e.Value, old.Value)) < 0 { // spans may share an ID
		g.exemplars[i], g.lowest[i] = e, e.hash
	}
}

// grow makes room for step i.
func (g *Group) grow(i int) error {
	if i < len(g.counts) {
		return nil
	}
	a := g.agg
	per := 1
	if a.spec.Func == traceql.QuantileOverTime || a.spec.Func == traceql.HistogramOverTime {
		per = usualBuckets
	}
	// The newest spans come first: the first one makes room for almost all that the group will have.
	n := i + 1 - len(g.counts)
	if err := a.hold(n*per, per); err != nil {
		return err
	}
	g.counts = append(g.counts, make([]float64, n)...)
	for a.spec.Exemplars > 0 && len(g.lowest) < len(g.counts) {
		g.lowest = append(g.lowest, math.MaxUint64)
	}
	switch a.spec.Func {
	case traceql.Rate, traceql.CountOverTime:
	case traceql.QuantileOverTime, traceql.HistogramOverTime:
		g.hists = append(g.hists, make([]histogram, n)...)
	default:
		g.numbers = append(g.numbers, make([]float64, n)...)
	}
	return nil
}

// usualBuckets is how many buckets a step's histogram is counted for, whether it has them or not: some 40 of an operation's durations, in those
// steps in which there are any.
const usualBuckets = 16

// widened counts the buckets that a histogram has gained beyond the usual: of values that are far apart there are up to 17,000.
func (a *Aggregator) widened(before, after int) error {
	if after <= before || after <= usualBuckets {
		return nil
	}
	return a.hold(after-max(before, usualBuckets), usualBuckets)
}

// hold counts n more numbers, of which a sample is made of some.
func (a *Aggregator) hold(n, perSample int) error {
	if a.cells += n; a.cells > a.spec.Limits.Cells {
		return trace.Errorf(trace.TooLarge, "the query's series have more than %d samples; ask for longer steps, or group by something that has fewer values", a.spec.Limits.Cells/perSample)
	}
	bytes := int64(16 * n) // slices are larger than what is in them, and a histogram has some fields beside
	if perSample == 1 {
		bytes *= 2
	}
	if a.spec.Exemplars > 0 {
		bytes += int64(exemplarMemory * n / perSample)
	}
	return a.spec.take(bytes)
}

// A group, and an exemplar, take so many bytes.
const (
	groupMemory    = 512
	exemplarMemory = 128
)

func (s *Spec) take(bytes int64) error {
	if s.Hold == nil {
		return nil
	}
	return s.Hold(bytes)
}

// Samples returns how many samples there will be in the aggregator's rows, about.
func (a *Aggregator) Samples() int {
	return max(a.cells, len(a.groups)*a.spec.Grid.Steps*max(1, len(a.spec.Quantiles)))
}

// Add adds a span to the group with such values: Group and Group.Add in one. A span outside of the grid makes no group.
func (a *Aggregator) Add(values []eval.Value, s Sample) error {
	i, ok := a.spec.Grid.At(s.Time)
	if !ok {
		return nil
	}
	g, err := a.Group(values)
	if err != nil {
		return err
	}
	return g.Add(i, s)
}

// Merge adds what another Aggregator of the same Spec has. The error is of kind TooLarge.
func (a *Aggregator) Merge(b *Aggregator) error {
	for _, theirs := range b.groups {
		g, err := a.Group(theirs.values)
		if err != nil {
			return err
		}
		if err := g.merge(theirs); err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) merge(o *Group) error {
	if len(o.counts) == 0 {
		return nil
	}
	if err := g.grow(len(o.counts) - 1); err != nil {
		return err
	}
	for i, n := range o.counts {
		if n == 0 {
			continue
		}
		first := g.counts[i] == 0
		g.counts[i] += n
		switch g.agg.spec.Func {
		case traceql.MinOverTime:
			if first || o.numbers[i] < g.numbers[i] {
				g.numbers[i] = o.numbers[i]
			}
		case traceql.MaxOverTime:
			if first || o.numbers[i] > g.numbers[i] {
				g.numbers[i] = o.numbers[i]
			}
		case traceql.SumOverTime, traceql.AvgOverTime:
			g.numbers[i] += o.numbers[i]
		case traceql.QuantileOverTime, traceql.HistogramOverTime:
			before := len(g.hists[i].counts)
			g.hists[i].merge(&o.hists[i])
			if err := g.agg.widened(before, len(g.hists[i].counts)); err != nil {
				return err
			}
		}
	}
	for i, e := range o.exemplars {
		g.keep(i, e)
	}
	return nil
}
