package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// The ways in which a query can be answered, as explain calls them.
const (
	newestWay = "whole traces, the newest first, until the page is full"
	wholeWay  = "whole traces, on all cores: all that match must be known before the first is"
	windowWay = "whole traces, on all cores, in windows of time, the newest first, until the page is full"
	columnWay = "columns of spans, on all cores; whole traces only of those that lie in several places, or in memory"
	countWay  = "whole traces, on all cores"
	idWay     = "traces by their IDs"
	orderWay  = "whole traces, one by one"
)

// explain says what was done, and by which way.
func (p *plan) explain(r *Report, way, found string) []string {
	lines := []string{"look for traces" + rangeText(p.scan.Range) + " in which a span has"}
	if p.never {
		return []string{"nothing can match: no span is looked for", found}
	}
	switch {
	case p.byID:
		lines[0], way = "look up"+rangeText(p.scan.Range), idWay
		for _, id := range p.ids {
			lines = append(lines, "  trace "+id.String())
		}
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
	if left := p.left(); len(left) > 0 {
		lines = append(lines, "evaluated on what comes, and not asked of the store:")
		for _, cond := range left {
			lines = append(lines, "  "+cond)
		}
	}
	lines = append(lines, "the way: "+way)
	switch {
	case !p.scan.Outline || p.byID:
		lines = append(lines, "read of each trace everything")
	case len(p.scan.Keys) > 0 || p.scan.Details:
		lines = append(lines, "read of each trace its spans, "+strings.Join(p.details(), ", "))
	default:
		lines = append(lines, "read of each trace its spans, without attributes")
	}
	return append(lines,
		fmt.Sprintf("looked into %d blocks and heads, in %d parts of them; %d blocks were ruled out unread; %d bytes read", r.Blocks, r.Groups, r.BlocksSkipped, r.Bytes),
		fmt.Sprintf("kept %d of the %d shapes of spans in these parts", r.ShapesKept, r.Shapes),
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

func timeText(ns uint64) string { return time.Unix(0, int64(ns)).UTC().Format(time.RFC3339Nano) }

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

// left returns the conditions of a query that stores are not asked for: they are evaluated on the traces that come.
func (p *plan) left() []string {
	var l leftover
	for _, n := range p.nodes {
		l.pipeline(n, len(p.scan.Any) > 0)
	}
	return l.conds
}

// leftover collects conditions that stores are not asked for.
type leftover struct{ conds []string }

func (l *leftover) pipeline(n *traceql.Pipeline, result bool) {
	for i, s := range n.Stages {
		switch s := s.(type) {
		case traceql.Spanset:
			l.spanset(s, result)
		case *traceql.ScalarFilter:
			if i > 0 {
				continue
			}
			all := append(scalarPipelines(s.X), scalarPipelines(s.Y)...)
			for _, p := range all {
				l.pipeline(p, result && ofScalars(s).say())
			}
		}
	}
}

// spanset collects a set's conditions; result says that the store is asked for the spans that it selects.
func (l *leftover) spanset(s traceql.Spanset, result bool) {
	switch s := s.(type) {
	case *traceql.Filter:
		l.expr(s.Cond, result)
	case *traceql.Nested:
		l.pipeline(s.Pipeline, result)
	case *traceql.Absent:
		l.spanset(s.X, false)
	case *traceql.Combine:
		x, y := selects(s)
		if x && y { // or: one that says nothing is enough
			result = result && ofSpanset(s).say()
		}
		l.spanset(s.X, x && result)
		l.spanset(s.Y, y && result)
	}
}

// expr collects a condition, or those of its parts between && that the store is not asked for.
func (l *leftover) expr(e traceql.Expr, asked bool) {
	if e == nil {
		return
	}
	if b, ok := e.(*traceql.Binary); ok && b.Op == traceql.OpAnd {
		l.expr(b.X, asked)
		l.expr(b.Y, asked)
		return
	}
	if text := e.String(); (!asked || !ofExpr(e, false).say()) && !slices.Contains(l.conds, text) {
		l.conds = append(l.conds, text)
	}
}
