package query

import (
	"fmt"
	"slices"
	"strings"

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
}

// planPipeline plans a pipeline whose result's spans start in a range.
func planPipeline(n *traceql.Pipeline, r trace.Range) *plan {
	p := &plan{pipeline: eval.Build(n), scan: trace.Scan{Range: r, Outline: true}}
	p.fields = p.pipeline.Fields()
	for _, f := range p.fields {
		p.reads = append(p.reads, eval.Fielder(f))
	}
	p.wants(p.fields...)
	all := ofPipeline(n)
	p.never = len(all) == 0
	p.asks(all)
	return p
}

// asks tells the store which spans are looked for.
func (p *plan) asks(all alternatives) {
	if !slices.ContainsFunc(all, func(conds []trace.Cond) bool { return len(conds) == 0 }) {
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

// planMetrics joins the plans of all functions of a query: the traces that one of them wants are read once.
func planMetrics(m *metrics) *plan {
	p := &plan{scan: trace.Scan{Range: m.grid.Range(), Outline: true}, never: true}
	all := alternatives{}
	eachMetrics(m.Query.Metrics, func(n *traceql.Metrics) {
		l := m.leaves[n]
		p.never = p.never && l.plan.never
		all = all.or(ofPipeline(n.Pipeline))
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

// explain says what was done.
func (p *plan) explain(r *Report, found string) []string {
	lines := []string{"look for traces" + rangeText(p.scan.Range) + " in which a span has"}
	switch {
	case p.never:
		lines[0] = "nothing can match: no span is looked for"
	case len(p.scan.Any) == 0:
		lines[0] = "look for all traces" + rangeText(p.scan.Range)
	}
	for i, conds := range p.scan.Any {
		var parts []string
		for k := range conds {
			parts = append(parts, conditionText(&conds[k]))
		}
		before := "  "
		if i > 0 {
			before = "  or "
		}
		lines = append(lines, before+strings.Join(parts, " and "))
	}
	switch {
	case !p.scan.Outline:
		lines = append(lines, "read of each trace everything")
	case len(p.scan.Keys) > 0 || p.scan.Details:
		lines = append(lines, "read of each trace its spans, "+strings.Join(p.details(), ", "))
	default:
		lines = append(lines, "read of each trace its spans, without attributes")
	}
	return append(lines,
		fmt.Sprintf("looked into %d blocks and heads, in %d parts of them; %d blocks were ruled out unread; %d bytes read", r.Blocks, r.Groups, r.BlocksSkipped, r.Bytes),
		fmt.Sprintf("evaluated %d traces of %d spans", r.Traces, r.Spans),
		found)
}

func (p *plan) details() []string {
	var what []string
	if len(p.scan.Keys) > 0 {
		what = append(what, "the attributes "+strings.Join(p.scan.Keys, " "))
	}
	if p.scan.Details {
		what = append(what, "events and links")
	}
	return what
}

func rangeText(r trace.Range) string {
	switch {
	case r == trace.Range{}:
		return ""
	case r.To == 0:
		return " from " + timeText(r.From)
	}
	return fmt.Sprintf(" from %s to %s", timeText(r.From), timeText(r.To))
}

// fieldTexts are the fields of conditions as explain calls them.
var fieldTexts = map[trace.Field]string{
	trace.FieldService: "service", trace.FieldName: "name", trace.FieldKind: "kind", trace.FieldStatus: "status", trace.FieldDuration: "duration",
	trace.FieldEvent: "an event", trace.FieldScopeName: "instrumentation:name", trace.FieldScopeVersion: "instrumentation:version",
}

func conditionText(c *trace.Cond) string {
	what := fieldTexts[c.Field]
	switch {
	case c.Field == trace.FieldAttr && c.Scope == trace.ScopeAny:
		what = "." + c.Key
	case c.Field == trace.FieldAttr:
		what = c.Scope.String() + "." + c.Key
	case c.Field == trace.FieldEvent && c.Key != "":
		what = "event." + c.Key
	}
	switch c.Op {
	case trace.OpEqual:
		return what + " = " + c.Value.Text()
	case trace.OpAny:
		var texts []string
		for _, v := range c.Values {
			if t := v.Text(); !slices.Contains(texts, t) {
				texts = append(texts, t)
			}
		}
		return what + " = " + strings.Join(texts, "|")
	case trace.OpTest:
		return c.Value.Str() // see tested
	}
	return what
}
