package query

import (
	"slices"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// plan is how a query is answered: what the store is asked for, and what is evaluated on each trace that it yields.
type plan struct {
	scan     trace.Scan
	pipeline *eval.Pipeline // nil of a plan for several
	fields   []traceql.Field
	reads    []func(eval.At) eval.Value // of fields
	never    bool                       // no span can meet the query
	nodes    []*traceql.Pipeline
	perSpan  int64 // memory that a span takes while its trace is evaluated
	workers  int   // goroutines that evaluate traces, where the order does not matter
	byID     bool  // only the traces of ids can be found: they are looked up
	ids      []trace.ID
}

// planPipeline plans a pipeline whose result's spans start in a range.
func planPipeline(n *traceql.Pipeline, r trace.Range) *plan {
	p := &plan{pipeline: eval.Build(n), nodes: []*traceql.Pipeline{n}, scan: trace.Scan{Range: r, Outline: true}, perSpan: perSpan(n), workers: Workers()}
	p.fields = p.pipeline.Fields()
	for _, f := range p.fields {
		p.reads = append(p.reads, eval.Fielder(f))
	}
	p.wants(p.fields...)
	all := ofPipeline(n)
	p.never = len(all) == 0
	if p.named(n); !p.byID {
		p.asks(all)
	}
	return p
}

// asks tells the store which spans are looked for.
func (p *plan) asks(all alternatives) {
	if all.say() {
		p.scan.Any = all
	}
}

// wants tells the store of what is read of spans.
func (p *plan) wants(fields ...traceql.Field) {
	for _, f := range fields {
		switch f.Scope {
		case traceql.ScopeAny, traceql.ScopeSpan:
			if !slices.Contains(p.scan.Keys, f.Key) {
				p.scan.Keys = append(p.scan.Keys, f.Key)
			}
		case traceql.ScopeEvent, traceql.ScopeLink:
			p.scan.Details = true
		}
		switch f.Intrinsic {
		case traceql.EventName, traceql.EventTimeSinceStart, traceql.LinkTraceID, traceql.LinkSpanID, traceql.SpanStatusMessage:
			p.scan.Details = true
		}
	}
}

// eval returns the sets that are found in a trace: none if all of their spans start outside of the range.
func (p *plan) eval(c *eval.Context) ([]eval.Set, error) {
	sets := p.pipeline.Eval(c)
	if err := c.Err(); err != nil {
		return nil, err
	}
	for _, set := range sets {
		for _, i := range set.Spans {
			if p.scan.Range.Contains(c.Trace.Spans[i].Start) {
				return sets, nil
			}
		}
	}
	return nil, nil
}

// planMetrics joins the plans of all functions of a query: the traces that one of them wants are read once.
func planMetrics(m *metrics) *plan {
	p := &plan{scan: trace.Scan{Range: m.grid.Range(), Outline: true, MaxBytes: m.engine.Limits.Bytes}, never: true, workers: Workers()}
	all := alternatives{}
	eachMetrics(m.Query.Metrics, func(n *traceql.Metrics) {
		l := m.leaves[n]
		p.never = p.never && l.plan.never
		all = all.or(ofPipeline(n.Pipeline))
		p.nodes = append(p.nodes, n.Pipeline)
		for _, f := range n.By {
			l.plan.wants(f.Field)
		}
		if n.Of != nil {
			l.plan.wants(n.Of.Field)
		}
		p.scan.Outline = p.scan.Outline && l.comp == nil // a comparison looks at all there is
		p.scan.Keys = append(p.scan.Keys, l.plan.scan.Keys...)
		p.scan.Details = p.scan.Details || l.plan.scan.Details
	})
	if h, ok := m.Query.Hint("extrapolate"); ok {
		p.scan.Details = true
		if h.Kind == traceql.TypeString {
			p.scan.Keys = append(p.scan.Keys, h.Value.Str())
		}
	}
	p.asks(all)
	return p
}
