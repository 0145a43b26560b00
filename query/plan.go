package query

import (
	"fmt"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// plan is how a query is answered: what the store is asked for, and what is evaluated on each trace that it yields.
type plan struct {
	scan     trace.Scan
	pipeline *eval.Pipeline
	fields   []traceql.Field
	reads    []func(eval.At) eval.Value // of fields
}

func planSearch(q *traceql.Query, r trace.Range) *plan {
	return planPipeline(q.Search, r)
}

func planPipeline(n *traceql.Pipeline, r trace.Range) *plan {
	p := &plan{pipeline: eval.Build(n), scan: trace.Scan{Range: r}}
	p.fields = p.pipeline.Fields()
	for _, f := range p.fields {
		p.reads = append(p.reads, eval.Fielder(f))
	}
	return p
}

// eval returns the sets that are found in a trace: none if all of their spans start outside of the range.
func (p *plan) eval(c *eval.Context) []eval.Set {
	sets := p.pipeline.Eval(c)
	for _, set := range sets {
		for _, i := range set.Spans {
			if p.scan.Range.Contains(c.Trace.Spans[i].Start) {
				return sets
			}
		}
	}
	return nil
}

// explain says what was done.
func (p *plan) explain(r *Report, found int) []string {
	return []string{
		fmt.Sprintf("read %d blocks and heads, %d bytes; skipped %d blocks", r.Blocks, r.Bytes, r.BlocksSkipped),
		fmt.Sprintf("evaluated %d traces of %d spans; found %d", r.Traces, r.Spans, found),
	}
}

// planMetrics joins the plans of all functions of a query: the traces that one of them wants are read once.
func planMetrics(m *metrics) *plan {
	p := &plan{scan: trace.Scan{Range: m.grid.Range()}}
	return p
}
