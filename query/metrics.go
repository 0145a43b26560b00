package query

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/series"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// SeriesRequest asks for the series that a query of metrics makes of spans.
type SeriesRequest struct {
	Query *traceql.Query // one with Query.Metrics
	// Range is of the spans' start; From and To must be given. It is widened to whole steps, so that the same step has the same number
	// in every answer.
	Range trace.Range
	Step  time.Duration // between samples, which lie at its multiples; 0: one sample of the whole range, at its end (an instant query)
	// Exemplars is how many spans to name at most, as examples; 0: none. A hint of the query goes before it.
	Exemplars int

	// Partial is called about once a second with what there is so far, the spans of which are the newest; not of queries about single spans, which
	// are answered by columns. An error ends the query with it. May be nil.
	Partial func(*SeriesAnswer) error
	// AllowPartial says that a query that runs out of a budget, or of its context's time, is to be answered with what it has, and
	// Report.Incomplete, instead of an error.
	AllowPartial bool
}

// SeriesAnswer is series, in order of their labels.
type SeriesAnswer struct {
	Series []Series
	Report Report
	Plan   []string // of a query that begins with explain: what is done, line by line; Series is empty then
}

// Series is numbers over time.
type Series struct {
	// Labels are what by() grouped by, under the names that the query has for it, and those that series.Label… name. Their values have types;
	// that of a span without the attribute is nil.
	Labels    []eval.Label
	Samples   []Sample          // in order of time; rates and counts have one at each step, others where there are spans
	Exemplars []series.Exemplar // in order of time
}

// Sample is the number of the spans that start in the step that ends at its time: after Time - Step, up to and with Time.
type Sample struct {
	Time  int64 // Unix ms
	Value float64
}

// Series answers a request. Errors of kind Invalid are the caller's: no range, too many steps, a search. Of kind TooLarge are those of a budget that
// was used up, the number of series among them; they name it.
func (e *Engine) Series(ctx context.Context, r SeriesRequest) (*SeriesAnswer, error) {
	m, err := e.newMetrics(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := m.report.end(m.run(ctx), r.AllowPartial); err != nil {
		return nil, err
	}
	if err := m.held.Take(m.answerMemory()); err != nil {
		return nil, err
	}
	a := m.answer()
	if r.Query.Explain {
		a.Plan, a.Series = m.plan.explain(&m.report, m.way, fmt.Sprintf("made %d series", len(a.Series))), nil
	}
	return a, nil
}

// metrics is one query of metrics under way.
type metrics struct {
	SeriesRequest
	engine *Engine
	held   *trace.Budget
	grid   series.Grid
	plan   *plan // of all leaves
	leaves map[*traceql.Metrics]*leaf
	weight func(*trace.Span) float64
	way    string // by which it is answered
	report Report
}

// leaf is one function of metrics, and what it counts.
type leaf struct {
	plan *plan
	by   []func(eval.At) eval.Value
	of   func(a eval.At, to []float64) []float64 // nil: spans are counted
	agg  *series.Aggregator
	comp *comparing // of compare()
	row  []eval.Value
	node *traceql.Metrics
}

func (e *Engine) newMetrics(ctx context.Context, r SeriesRequest) (*metrics, error) {
	if r.Query == nil || r.Query.Metrics == nil {
		return nil, trace.Errorf(trace.Invalid, "the query is a search, which finds traces and has no series; end it with a function of metrics, as in { } | rate()")
	}
	grid, err := series.NewGrid(r.Range, r.Step)
	if err != nil {
		return nil, err
	}
	m := &metrics{SeriesRequest: r, engine: e, held: trace.BudgetOf(ctx), grid: grid, leaves: map[*traceql.Metrics]*leaf{}, weight: weightOf(r.Query)}
	m.Exemplars = exemplarsOf(r)
	eachMetrics(r.Query.Metrics, func(n *traceql.Metrics) { m.leaves[n] = m.newLeaf(n) })
	m.plan = planMetrics(m)
	return m, nil
}

// exemplarsOf returns how many exemplars a request wants, its query's hint regarded.
func exemplarsOf(r SeriesRequest) int {
	const usual = 100
	h, ok := r.Query.Hint("exemplars")
	switch {
	case !ok:
		return r.Exemplars
	case h.Kind == traceql.TypeInt:
		return int(min(h.Value.Int(), 10_000))
	case !h.Value.Bool():
		return 0
	case r.Exemplars > 0:
		return r.Exemplars
	}
	return usual
}

// eachMetrics calls fn with each function of metrics in a tree, from left to right.
func eachMetrics(s traceql.Series, fn func(*traceql.Metrics)) {
	switch s := s.(type) {
	case *traceql.Metrics:
		fn(s)
	case *traceql.SeriesOp:
		eachMetrics(s.X, fn)
		eachMetrics(s.Y, fn)
	case *traceql.Top:
		eachMetrics(s.X, fn)
	case *traceql.Threshold:
		eachMetrics(s.X, fn)
	}
}

func (m *metrics) newLeaf(n *traceql.Metrics) *leaf {
	l := &leaf{plan: planPipeline(n.Pipeline, m.grid.Range()), node: n}
	if n.Func == traceql.Compare {
		l.comp = newComparing(n.Compare, m.grid)
		l.comp.counts.Hold = m.held.Take
		return l
	}
	spec := series.Spec{Func: n.Func, Quantiles: n.Quantiles, Grid: m.grid, Exemplars: m.Exemplars, Limits: series.DefaultLimits(), Unit: unitOf(n), Hold: m.held.Take}
	for _, f := range n.By {
		spec.By = append(spec.By, f.String())
		l.by = append(l.by, eval.Fielder(f.Field))
	}
	if n.Of != nil {
		l.of = eval.Numbers(n.Of.Field)
	}
	l.agg, l.row = series.New(spec), make([]eval.Value, len(l.by))
	return l
}

// unitOf returns by what the numbers of a function are divided: durations are answered in seconds.
func unitOf(n *traceql.Metrics) float64 {
	if n.Of != nil && n.Of.Type() == traceql.TypeDuration {
		return 1e9
	}
	return 1
}

func (m *metrics) run(ctx context.Context) error {
	if m.plan.never {
		return nil
	}
	if b := newByColumn(m); b != nil {
		m.way = columnWay
		return b.run(ctx)
	}
	if m.Partial == nil && !m.compares() {
		m.way = countWay
		return m.byWholes(ctx)
	}
	m.way = orderWay
	return m.byTrace(ctx)
}

// compares reports whether the query is a compare().
func (m *metrics) compares() bool {
	for _, l := range m.leaves {
		if l.comp != nil {
			return true
		}
	}
	return false
}

// byTrace goes over whole traces, the newest first, which any query can be answered from.
func (m *metrics) byTrace(ctx context.Context) error {
	c := &eval.Context{Stop: ctx.Err}
	told := time.Now()
	for t, err := range m.engine.Scan(ctx, m.plan.scan, &m.report.ScanReport) {
		if err != nil {
			return err
		}
		if err := m.engine.Limits.spend(&m.report, t); err != nil {
			return err
		}
		c.Reset(t)
		n := int64(len(t.Spans)) * groupBytes
		if err := m.held.Take(n); err != nil {
			return err
		}
		for _, l := range m.leaves {
			if err := m.add(l, c); err != nil {
				return err
			}
		}
		c.Reset(nil) // the store gives back what the trace holds
		m.held.Give(n)
		if m.Partial != nil && !m.Query.Explain && time.Since(told) >= time.Second {
			if err := m.part(); err != nil {
				return err
			}
			told = time.Now()
		}
	}
	return nil
}

// part tells what there is so far.
func (m *metrics) part() error {
	n := m.answerMemory()
	if err := m.held.Take(n); err != nil {
		return err
	}
	defer m.held.Give(n)
	return m.Partial(m.answer())
}

// add counts the spans that a leaf's pipeline leaves of a trace.
func (m *metrics) add(l *leaf, c *eval.Context) error {
	sets := l.plan.pipeline.Eval(c)
	for _, set := range sets {
		for _, i := range set.Spans {
			if err := l.add(c.At(int(i)), m.weight); err != nil {
				return err
			}
		}
	}
	return c.Err()
}

// add counts a span, once for each number that the function's field has on it, and in each of the groups that it belongs to.
func (l *leaf) add(a eval.At, weight func(*trace.Span) float64) error {
	if l.comp != nil {
		return l.comp.add(a)
	}
	s := series.Sample{Time: a.Span.Start, Weight: weight(a.Span), Value: float64(a.Span.Duration()), TraceID: a.Span.TraceID, SpanID: a.Span.ID}
	for i, read := range l.by {
		l.row[i] = read(a)
	}
	if l.of == nil {
		return l.count(s)
	}
	var room [8]float64
	for _, s.Value = range l.of(a, room[:0]) {
		if err := l.count(s); err != nil {
			return err
		}
	}
	return nil
}

func (l *leaf) count(s series.Sample) error {
	if !slices.ContainsFunc(l.row, eval.Value.IsList) {
		return l.agg.Add(l.row, s)
	}
	return unnest(l.row, l.node.By, func(row []eval.Value) error { return l.agg.Add(row, s) })
}

// answer makes series of what was counted. It may be called again when more was.
func (m *metrics) answer() *SeriesAnswer {
	a := &SeriesAnswer{Report: m.report}
	for _, r := range m.rows(m.Query.Metrics).Rows {
		s := Series{Labels: r.Labels}
		for _, x := range r.Exemplars {
			if x.Value-x.Value == 0 { // a number, and not beyond all numbers
				s.Exemplars = append(s.Exemplars, x)
			}
		}
		for i, v := range r.Values {
			if v-v == 0 {
				s.Samples = append(s.Samples, Sample{m.grid.Time(i), v})
			}
		}
		a.Series = append(a.Series, s)
	}
	return a
}

// rows evaluates what is done with series.
func (m *metrics) rows(s traceql.Series) series.Operand {
	switch s := s.(type) {
	case *traceql.SeriesOp:
		return series.Calculate(s.Op, m.rows(s.X), m.rows(s.Y))
	case *traceql.Top:
		return series.Operand{Rows: series.Keep(m.rows(s.X).Rows, s.N, s.Bottom)}
	case *traceql.Threshold:
		return series.Operand{Rows: series.Filter(m.rows(s.X).Rows, s.Op, number(s.Value))}
	case *traceql.Const:
		return series.Operand{Number: number(s), Scalar: true}
	}
	l := m.leaves[s.(*traceql.Metrics)]
	if l.comp != nil {
		return series.Operand{Rows: l.comp.counts.Rows()}
	}
	return series.Operand{Rows: l.agg.Rows()}
}

// number returns a constant as series have it: durations in seconds.
func number(c *traceql.Const) float64 {
	f, _ := eval.Const(c).Float()
	if c.Kind == traceql.TypeDuration {
		f /= 1e9
	}
	return f
}

// DefaultStep returns a step for a range that makes some 240 samples: of round lengths, and of 50 ms multiples below a minute.
func DefaultStep(r trace.Range) time.Duration {
	window := time.Duration(r.To - r.From)
	if window < time.Minute {
		const least = 50 * time.Millisecond
		return max(least, window/240/least*least)
	}
	for _, round := range []time.Duration{time.Hour, 5 * time.Minute, time.Minute, 15 * time.Second, 5 * time.Second, time.Second} {
		if step := window / 240 / round * round; step > 0 {
			return step
		}
	}
	return time.Second
}
