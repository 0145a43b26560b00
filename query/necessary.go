package query

import (
	"math"
	"slices"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// What a store is asked for are necessary conditions: alternatives, of each of which all conditions hold on one span. They let through
// each span that a query finds, and perhaps others.

// always are the alternatives that say nothing: one without a condition.
var always = alternatives{{}}

// alternatives are conditions on a span in disjunctive normal form: joined by and inside and by or outside. None at all: there is no such span.
type alternatives [][]trace.Cond

// say reports whether there is a span that they rule out.
func (a alternatives) say() bool {
	return !slices.ContainsFunc(a, func(conds []trace.Cond) bool { return len(conds) == 0 })
}

// maxAlternatives is how many a store is asked for: each costs a look at every shape.
const maxAlternatives = 32

func (a alternatives) or(b alternatives) alternatives {
	all := slices.Concat(a, b)
	if len(all) > maxAlternatives || !all.say() {
		return always
	}
	return all
}

func (a alternatives) and(b alternatives) alternatives {
	if len(a)*len(b) > maxAlternatives { // one of them is enough, and asks for more than it needs
		if len(a) < len(b) {
			return a
		}
		return b
	}
	all := alternatives{}
	for _, x := range a {
		for _, y := range b {
			all = append(all, slices.Concat(x, y))
		}
	}
	return all
}

// ofPipeline returns what holds on the spans that are left at the end of a pipeline.
func ofPipeline(p *traceql.Pipeline) alternatives {
	all := always
	for i, s := range p.Stages {
		switch s := s.(type) {
		case traceql.Spanset:
			all = all.and(ofSpanset(s))
		case *traceql.ScalarFilter:
			if i == 0 {
				all = ofScalars(s)
			}
		}
	}
	return all
}

// ofScalars returns what holds on the spans that a comparison of pipelines passes on: those of all of them.
func ofScalars(n *traceql.ScalarFilter) alternatives {
	pipelines := append(scalarPipelines(n.X), scalarPipelines(n.Y)...)
	if len(pipelines) == 0 {
		return always
	}
	all := alternatives{}
	for _, p := range pipelines {
		all = all.or(ofPipeline(p))
	}
	return all
}

func scalarPipelines(s traceql.Scalar) []*traceql.Pipeline {
	switch s := s.(type) {
	case *traceql.ScalarPipeline:
		return []*traceql.Pipeline{s.Pipeline}
	case *traceql.ScalarOp:
		return append(scalarPipelines(s.X), scalarPipelines(s.Y)...)
	}
	return nil
}

// ofSpanset returns what holds on the spans that a set selects.
func ofSpanset(s traceql.Spanset) alternatives {
	switch s := s.(type) {
	case *traceql.Filter:
		if s.Cond == nil {
			return always
		}
		return ofExpr(s.Cond, false)
	case *traceql.Nested:
		return ofPipeline(s.Pipeline)
	case *traceql.Combine:
		switch x, y := selects(s); {
		case !x:
			return ofSpanset(s.Y)
		case !y:
			return ofSpanset(s.X)
		}
		return ofSpanset(s.X).or(ofSpanset(s.Y))
	}
	return always // an absence selects all spans
}

// selects reports of which of its sides an operator selects spans.
func selects(s *traceql.Combine) (x, y bool) {
	switch {
	case s.Relation > traceql.Or: // between X and Y, for the sake of Y
		return s.Both, true
	case s.Relation == traceql.And && eval.Silent(s.X) != eval.Silent(s.Y):
		return !eval.Silent(s.X), !eval.Silent(s.Y)
	}
	return true, true
}

// ofExpr returns what holds on spans on which an expression is true, or, with not, is false.
func ofExpr(e traceql.Expr, not bool) alternatives {
	switch e := e.(type) {
	case *traceql.Const:
		if e.Value.Bool() == not {
			return nil
		}
	case *traceql.Unary:
		if e.Op == traceql.OpNot {
			return ofExpr(e.X, !not)
		}
	case *traceql.Binary:
		if e.Op == traceql.OpAnd || e.Op == traceql.OpOr {
			x, y := ofExpr(e.X, not), ofExpr(e.Y, not)
			if (e.Op == traceql.OpAnd) != not {
				return x.and(y)
			}
			return x.or(y)
		}
		if c, ok := e.Y.(*traceql.Const); ok {
			return ofComparison(e, c, not)
		}
	case *traceql.In:
		return ofIn(e, not)
	case *traceql.Match:
		return ofMatch(e, not)
	case *traceql.IsNil:
		if f, ok := e.X.(*traceql.FieldRef); ok && e.Not != not {
			return conditionOn(f.Field, trace.Cond{Op: trace.OpExists})
		}
	}
	return always
}

// ofComparison is of a field and a constant. What is not there meets !=, and what is negated, so that only fields that are always
// there can be asked for those.
func ofComparison(e *traceql.Binary, c *traceql.Const, not bool) alternatives {
	f, ok := e.X.(*traceql.FieldRef)
	if !ok {
		return always
	}
	op, v := e.Op, eval.Const(c)
	if op == traceql.OpNotEqual {
		op, not = traceql.OpEqual, !not
	}
	if op == traceql.OpEqual && !not {
		if values, ok := equalValues(v); ok {
			return conditionOn(f.Field, trace.Cond{Op: trace.OpAny, Values: values})
		}
	}
	return tested(&traceql.Binary{Op: op, X: f, Y: c}, f.Field, not, func(x eval.Value) bool { return eval.Compare(op, x, v) })
}

// equalValues returns the values of attributes that are equal to one; ok is false of what no attribute is equal to.
func equalValues(v eval.Value) (values []trace.Value, ok bool) {
	switch v.Type {
	case traceql.TypeString, traceql.TypeBool:
		return []trace.Value{v.Value}, true
	case traceql.TypeInt, traceql.TypeDuration:
		values = []trace.Value{trace.Int(v.Value.Int())}
		if f := float64(v.Value.Int()); eval.Compare(traceql.OpEqual, v, eval.Of(trace.Double(f))) {
			values = append(values, trace.Double(f))
		}
	case traceql.TypeFloat:
		f := v.Value.Double()
		values = []trace.Value{trace.Double(f)}
		if i := int64(f); f > -1<<63 && f < 1<<63 && float64(i) == f {
			values = append(values, trace.Int(i))
		}
	}
	if f, _ := v.Float(); f == 0 { // there are two zeros
		values = append(values, trace.Double(0), trace.Double(math.Copysign(0, -1)))
	}
	return values, values != nil && v.Numeric()
}

func ofIn(e *traceql.In, not bool) alternatives {
	f, ok := e.X.(*traceql.FieldRef)
	if !ok {
		return always
	}
	values, known := []trace.Value{}, true
	for _, v := range e.Values {
		typed := eval.Value{Type: e.Kind, Value: v}
		if e.Kind == traceql.TypeNumber {
			typed = eval.Of(v)
		}
		equal, ok := equalValues(typed)
		values, known = append(values, equal...), known && ok
	}
	if not = not != e.Not; !not && known {
		return conditionOn(f.Field, trace.Cond{Op: trace.OpAny, Values: values})
	}
	x := *e
	x.Not = false
	return tested(&x, f.Field, not, eval.Tester(&x))
}

func ofMatch(e *traceql.Match, not bool) alternatives {
	f, ok := e.X.(*traceql.FieldRef)
	if !ok {
		return always
	}
	if not = not != e.Not; !not {
		if values, ok := patternValues(e.Patterns); ok {
			return conditionOn(f.Field, trace.Cond{Op: trace.OpAny, Values: values})
		}
	}
	x := *e
	x.Not = false
	return tested(&x, f.Field, not, eval.Tester(&x))
}

// patternValues returns the texts that patterns match, if they are few.
func patternValues(patterns []traceql.Pattern) (values []trace.Value, ok bool) {
	for i := range patterns {
		texts, ok := patterns[i].Strings()
		if !ok {
			return nil, false
		}
		for _, s := range texts {
			values = append(values, trace.String(s))
		}
	}
	return values, true
}

// tested is of an expression on a field, and the test of one of its values. Negated, it says something of fields only that are on every span, and have one value.
func tested(e traceql.Expr, f traceql.Field, not bool, test func(eval.Value) bool) alternatives {
	if !not {
		return conditionOn(f, trace.Cond{Op: trace.OpTest, Value: trace.String(e.String()), Test: func(v trace.Value) bool { return test(typed(f, v)) }})
	}
	switch f.Intrinsic {
	case traceql.SpanName, traceql.SpanKind, traceql.SpanStatus, traceql.SpanDuration:
		return conditionOn(f, trace.Cond{Op: trace.OpTest, Value: trace.String("!(" + e.String() + ")"), Test: func(v trace.Value) bool { return !test(typed(f, v)) }})
	}
	return always
}

// typed gives the value that a store compares for a field the type that the language has for it.
func typed(f traceql.Field, v trace.Value) eval.Value {
	if f.Scope == traceql.ScopeIntrinsic {
		return eval.Value{Type: f.Type(), Value: v}
	}
	return eval.Of(v)
}

// conditionOn completes a condition that is compared with the value of a field; fields that stores do not know say nothing.
func conditionOn(f traceql.Field, c trace.Cond) alternatives {
	if f.Parent {
		return always
	}
	switch c.Key = f.Key; f.Scope {
	case traceql.ScopeResource:
		if f.Key == "service.name" {
			return serviceIs(c)
		}
		c.Field, c.Scope = trace.FieldAttr, trace.ScopeResource
	case traceql.ScopeSpan:
		c.Field, c.Scope = trace.FieldAttr, trace.ScopeSpan
	case traceql.ScopeAny:
		c.Field = trace.FieldAttr
		if f.Key == "service.name" {
			c.Scope = trace.ScopeSpan
			return alternatives{{c}}.or(serviceIs(c))
		}
	case traceql.ScopeEvent:
		if c.Field = trace.FieldEvent; f.Key == "" {
			return always
		}
	case traceql.ScopeIntrinsic:
		field, ok := storedFields[f.Intrinsic]
		if !ok {
			return always
		}
		c.Field = field
	default:
		return always
	}
	return alternatives{{c}}
}

// storedFields are the intrinsics that stores know.
var storedFields = map[traceql.Intrinsic]trace.Field{
	traceql.SpanName: trace.FieldName, traceql.SpanKind: trace.FieldKind, traceql.SpanStatus: trace.FieldStatus, traceql.SpanDuration: trace.FieldDuration,
	traceql.EventName: trace.FieldEvent, traceql.InstrumentationName: trace.FieldScopeName, traceql.InstrumentationVersion: trace.FieldScopeVersion,
}

// serviceIs is a condition on the service, which stores know best. They call it trace.UnknownService where there is none, or an empty one.
func serviceIs(c trace.Cond) alternatives {
	if c.Op == trace.OpAny && len(c.Values) == 1 {
		c.Op, c.Value, c.Values = trace.OpEqual, c.Values[0], nil
	}
	if c.Compare(trace.String("")) || c.Op == trace.OpExists {
		return always
	}
	c.Field, c.Key = trace.FieldService, ""
	return alternatives{{c}}
}
