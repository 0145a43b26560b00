package query_test

import (
	"regexp"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

func (g *maker) query() *traceql.Query {
	g.depth = 0
	q := &traceql.Query{}
	if g.IntN(4) == 0 {
		q.Metrics = g.series(2)
		if g.IntN(5) == 0 {
			q.Hints = append(q.Hints, traceql.Hint{Name: "exemplars", Value: &traceql.Const{Kind: traceql.TypeInt, Value: trace.Int(3)}})
		}
		return q
	}
	q.Search, q.Spans = g.pipeline(2), g.IntN(3) == 0
	if g.IntN(4) == 0 {
		q.Order = &traceql.Order{Key: traceql.OrderKey(g.IntN(3)), Asc: g.IntN(2) == 0}
	}
	return q
}

func (g *maker) pipeline(depth int) *traceql.Pipeline {
	p := &traceql.Pipeline{Stages: []traceql.Stage{g.spanset(depth)}}
	if depth > 0 && g.IntN(12) == 0 {
		p.Stages[0] = &traceql.ScalarFilter{Op: g.comparison(), X: g.scalarPipeline(depth - 1), Y: g.scalarPipeline(depth - 1)}
	}
	for range g.IntN(3) {
		switch g.IntN(6) {
		case 0:
			p.Stages = append(p.Stages, g.spanset(depth))
		case 1, 2:
			p.Stages = append(p.Stages, &traceql.ScalarFilter{Op: g.comparison(), X: g.aggregate(), Y: &traceql.Const{Kind: traceql.TypeInt, Value: trace.Int(int64(g.IntN(4)))}})
		case 3:
			p.Stages = append(p.Stages, &traceql.GroupBy{By: g.operand(1)})
		case 4:
			p.Stages = append(p.Stages, &traceql.Coalesce{})
		case 5:
			p.Stages = append(p.Stages, &traceql.Select{Fields: []*traceql.FieldRef{g.field(), g.field()}})
		}
	}
	return p
}

func (g *maker) scalarPipeline(depth int) traceql.Scalar {
	return &traceql.ScalarPipeline{Pipeline: g.pipeline(depth), Value: g.aggregate()}
}

func (g *maker) aggregate() *traceql.Aggregate {
	a := &traceql.Aggregate{Func: traceql.AggregateFunc(g.IntN(5))}
	if a.Func != traceql.Count {
		a.Of = pick(g, g.number(), g.field())
	}
	return a
}

func (g *maker) number() *traceql.FieldRef {
	return pick(g,
		&traceql.FieldRef{Field: traceql.Field{Scope: traceql.ScopeIntrinsic, Intrinsic: traceql.SpanDuration}, Short: true},
		&traceql.FieldRef{Field: traceql.Field{Scope: traceql.ScopeSpan, Key: "n"}},
		&traceql.FieldRef{Field: traceql.Field{Scope: traceql.ScopeAny, Key: "k"}})
}

func (g *maker) comparison() traceql.Op {
	return pick(g, traceql.OpEqual, traceql.OpNotEqual, traceql.OpLess, traceql.OpLessEqual, traceql.OpGreater, traceql.OpGreaterEqual)
}

func (g *maker) spanset(depth int) traceql.Spanset {
	if depth == 0 || g.IntN(2) == 0 {
		f := &traceql.Filter{}
		if g.IntN(8) > 0 {
			f.Cond = g.condition(3)
		}
		return f
	}
	switch g.IntN(10) {
	case 0:
		return &traceql.Absent{X: g.spanset(depth - 1)}
	case 1:
		if p := g.pipeline(depth - 1); len(p.Stages) > 1 {
			return &traceql.Nested{Pipeline: p}
		}
	}
	c := &traceql.Combine{Relation: traceql.Relation(g.IntN(7)), X: g.spanset(depth - 1), Y: g.spanset(depth - 1)}
	if c.Relation > traceql.Or {
		c.Not = g.IntN(3) == 0
		c.Both = !c.Not && g.IntN(3) == 0
	}
	return c
}

func (g *maker) condition(depth int) traceql.Expr {
	if depth > 0 {
		switch g.IntN(5) {
		case 0:
			return &traceql.Unary{Op: traceql.OpNot, X: g.condition(depth - 1)}
		case 1, 2:
			return &traceql.Binary{Op: pick(g, traceql.OpAnd, traceql.OpOr), X: g.condition(depth - 1), Y: g.condition(depth - 1)}
		}
	}
	x := traceql.Expr(g.field())
	switch g.IntN(9) {
	case 0:
		return &traceql.IsNil{X: x, Not: g.IntN(2) == 0}
	case 1:
		return g.in(x)
	case 2:
		text := pick(g, "a.*", "GET|POST", "shop|db", "[ab]+", ".*", "", "db?", "(?i)get", "a|b|", "unknown.*")
		return &traceql.Match{X: x, Not: g.IntN(3) == 0, Patterns: []traceql.Pattern{{Text: text, Re: regexp.MustCompile(text)}}}
	case 3:
		return &traceql.Binary{Op: g.comparison(), X: g.operand(2), Y: g.operand(2)}
	case 4:
		return g.traceID()
	}
	return &traceql.Binary{Op: g.comparison(), X: x, Y: g.constant(x.Type())}
}

// traceID is a condition on a trace's ID, or on several.
func (g *maker) traceID() traceql.Expr {
	x := &traceql.FieldRef{Field: traceql.Field{Scope: traceql.ScopeIntrinsic, Intrinsic: traceql.TraceID}}
	one := func() trace.Value {
		return trace.String(trace.ID{byte(g.IntN(4)), 14: byte(g.IntN(6)), 15: 7}.String())
	}
	if g.IntN(2) == 0 {
		return &traceql.Binary{Op: pick(g, traceql.OpEqual, traceql.OpNotEqual), X: x, Y: &traceql.Const{Kind: traceql.TypeString, Value: one()}}
	}
	n := &traceql.In{X: x, Not: g.IntN(3) == 0, Kind: traceql.TypeString}
	for range 1 + g.IntN(40) {
		n.Values = append(n.Values, one())
	}
	return n
}

func (g *maker) in(x traceql.Expr) traceql.Expr {
	n := &traceql.In{X: x, Not: g.IntN(3) == 0}
	first := g.constant(x.Type())
	n.Kind = first.Kind
	for n.Values = append(n.Values, first.Value); g.IntN(3) > 0; {
		c := g.constant(x.Type())
		switch {
		case c.Kind == n.Kind:
		case c.Kind.Numeric() && n.Kind.Numeric():
			n.Kind = traceql.TypeNumber
		default:
			continue
		}
		n.Values = append(n.Values, c.Value)
	}
	return n
}

// operand is a field, or a calculation.
func (g *maker) operand(depth int) traceql.Expr {
	if depth == 0 || g.IntN(2) == 0 {
		return g.field()
	}
	if g.IntN(5) == 0 {
		return &traceql.Unary{Op: traceql.OpNeg, X: g.operand(depth - 1)}
	}
	op := pick(g, traceql.OpAdd, traceql.OpSub, traceql.OpMul, traceql.OpDiv, traceql.OpMod, traceql.OpPow)
	return &traceql.Binary{Op: op, X: g.operand(depth - 1), Y: pick(g, traceql.Expr(g.constant(traceql.TypeInt)), g.operand(depth-1))}
}

func (g *maker) field() *traceql.FieldRef {
	f := traceql.Field{Scope: pick(g, traceql.Scope(g.IntN(7)), traceql.ScopeAny, traceql.ScopeSpan, traceql.ScopeResource)}
	if f.Scope == traceql.ScopeIntrinsic || g.IntN(3) == 0 {
		f.Scope = traceql.ScopeIntrinsic
		f.Intrinsic = traceql.Intrinsic(1 + g.IntN(int(traceql.NestedSetParent)))
		if g.IntN(2) == 0 {
			f.Intrinsic = pick(g, traceql.SpanName, traceql.SpanKind, traceql.SpanStatus, traceql.SpanDuration)
		}
	} else {
		f.Key = g.key()
		if f.Scope == traceql.ScopeResource && g.IntN(2) == 0 {
			f.Key = "service.name"
		}
	}
	if g.IntN(10) == 0 && (f.Scope == traceql.ScopeSpan || f.Scope == traceql.ScopeResource || f.Scope == traceql.ScopeAny) {
		f.Parent = true
	}
	return &traceql.FieldRef{Field: f}
}

// constant is one that is often equal to what spans have.
func (g *maker) constant(t traceql.Type) *traceql.Const {
	c := &traceql.Const{Kind: t}
	switch t {
	case traceql.TypeString:
		c.Value = trace.String(pick(g, g.text(), g.name(), pick(g, "shop", "db", "pay", "lib", "unknown_service")))
	case traceql.TypeDuration:
		c.Value = trace.Int(int64(g.IntN(12_000)))
	case traceql.TypeInt:
		c.Value = trace.Int(int64(g.IntN(7)))
	case traceql.TypeStatus:
		c.Value = trace.Int(int64(g.IntN(3)))
	case traceql.TypeKind:
		c.Value = trace.Int(int64(g.IntN(6)))
	case traceql.TypeFloat:
		c.Value = trace.Double(float64(g.IntN(8)) / 2)
	case traceql.TypeBool:
		c.Value = trace.Bool(g.IntN(2) == 0)
	default:
		return g.constant(pick(g, traceql.TypeString, traceql.TypeInt, traceql.TypeFloat, traceql.TypeBool, traceql.TypeString, traceql.TypeInt))
	}
	return c
}

func (g *maker) series(depth int) traceql.Series {
	if depth > 0 {
		switch g.IntN(8) {
		case 0:
			return &traceql.Top{X: g.series(depth - 1), Bottom: g.IntN(2) == 0, N: 1 + g.IntN(3)}
		case 1:
			return &traceql.Threshold{X: g.series(depth - 1), Op: g.comparison(), Value: g.constant(traceql.TypeInt)}
		case 2:
			return &traceql.SeriesOp{Op: pick(g, traceql.OpAdd, traceql.OpSub, traceql.OpMul, traceql.OpDiv), X: g.series(0), Y: pick(g, g.series(0), traceql.Series(g.constant(traceql.TypeInt)))}
		}
	}
	m := &traceql.Metrics{Pipeline: g.pipeline(1), Func: traceql.MetricsFunc(g.IntN(8))}
	if m.Func >= traceql.MinOverTime {
		m.Of = g.number()
	}
	if m.Func == traceql.QuantileOverTime {
		m.Quantiles = []float64{0.5, 0.9}
	}
	for range g.IntN(3) {
		m.By = append(m.By, g.field())
	}
	if depth == 2 && g.IntN(10) == 0 {
		return &traceql.Metrics{Pipeline: m.Pipeline, Func: traceql.Compare, Compare: &traceql.Comparison{Selection: &traceql.Filter{Cond: g.condition(1)}, TopN: 3}}
	}
	return m
}
