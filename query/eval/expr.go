package eval

import (
	"cmp"
	"slices"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// Predicate is a condition on a span, ready to be evaluated often. It is safe for concurrent use.
type Predicate struct {
	test  test
	needs Needs
}

// test is a condition on a span.
type test func(a At) bool

// operand is an expression that yields values: one, or, if many is set, any number.
type operand struct {
	one  reading
	many readings
}

// all appends the operand's values: of one that is nil, nil.
func (o operand) all(a At, to []Value) []Value {
	if o.many != nil {
		return o.many(a, to)
	}
	return append(to, o.one(a))
}

// Compile makes a predicate of a checked expression of TypeBool; nil holds on every span.
func Compile(e traceql.Expr) *Predicate {
	if e == nil {
		return &Predicate{test: func(At) bool { return true }}
	}
	p := &Predicate{needs: ExprNeeds(e)}
	p.test = condition(e)
	return p
}

// Needs returns what must be known of a span's trace.
func (p *Predicate) Needs() Needs { return p.needs }

// Match reports whether the condition holds on a span. Where Needs is the zero value, a.Trace may be nil.
func (p *Predicate) Match(a At) bool { return p.test(a) }

// MatchSpan is Match of a predicate that needs nothing but the span.
func (p *Predicate) MatchSpan(s *trace.Span) bool { return p.test(At{Span: s}) }

// ExprNeeds returns what an expression needs.
func ExprNeeds(e traceql.Expr) (n Needs) {
	EachField(e, func(f traceql.Field) { n = n.and(NeedsOf(f)) })
	return n
}

// EachField calls fn with each field that an expression reads, from left to right.
func EachField(e traceql.Expr, fn func(traceql.Field)) {
	traceql.Walk(e, func(e traceql.Expr) bool {
		if f, ok := e.(*traceql.FieldRef); ok {
			fn(f.Field)
		}
		return true
	})
}

// condition compiles an expression of TypeBool.
func condition(e traceql.Expr) test {
	switch e := e.(type) {
	case *traceql.Const:
		holds := e.Value.Bool()
		return func(At) bool { return holds }
	case *traceql.Unary:
		x := condition(e.X)
		return func(a At) bool { return !x(a) }
	case *traceql.Binary:
		return operator(e)
	case *traceql.In:
		return in(e)
	case *traceql.Match:
		return not(e.Not, anyOf(operandOf(e.X), Tester(e)))
	case *traceql.IsNil:
		x := operandOf(e.X)
		return not(!e.Not, anyOf(x, func(v Value) bool { return !v.IsNil() }))
	}
	return compareWith(e, traceql.OpEqual, Value{traceql.TypeBool, trace.Bool(true)})
}

func not(yes bool, t test) test {
	if !yes {
		return t
	}
	return func(a At) bool { return !t(a) }
}

// anyOf reports whether any of an operand's values meets a condition.
func anyOf(x operand, is func(Value) bool) test {
	if x.many == nil {
		return func(a At) bool { return is(x.one(a)) }
	}
	return func(a At) bool {
		var room [8]Value
		return slices.ContainsFunc(x.many(a, room[:0]), is)
	}
}

// operator compiles an operator that yields a boolean.
func operator(e *traceql.Binary) test {
	switch e.Op {
	case traceql.OpAnd:
		x, y := condition(e.X), condition(e.Y)
		return func(a At) bool { return x(a) && y(a) }
	case traceql.OpOr:
		x, y := condition(e.X), condition(e.Y)
		return func(a At) bool { return x(a) || y(a) }
	}
	if c, ok := e.Y.(*traceql.Const); ok {
		return compareWith(e.X, e.Op, Const(c))
	}
	x, y := operandOf(e.X), operandOf(e.Y)
	op := e.Op
	if op == traceql.OpNotEqual { // none is equal
		op = traceql.OpEqual
	}
	if x.many == nil && y.many == nil {
		return not(op != e.Op, func(a At) bool { return Compare(op, x.one(a), y.one(a)) })
	}
	return not(op != e.Op, func(a At) bool {
		var left, right [8]Value
		ys := y.all(a, right[:0])
		return slices.ContainsFunc(x.all(a, left[:0]), func(v Value) bool {
			return slices.ContainsFunc(ys, func(w Value) bool { return Compare(op, v, w) })
		})
	})
}

// compareWith compiles a comparison with a constant.
func compareWith(e traceql.Expr, op traceql.Op, c Value) test {
	if t := compareFast(e, op, c); t != nil {
		return t
	}
	x := operandOf(e)
	if op == traceql.OpNotEqual {
		return not(true, anyOf(x, func(v Value) bool { return Compare(traceql.OpEqual, v, c) }))
	}
	return anyOf(x, func(v Value) bool { return Compare(op, v, c) })
}

// compareFast compiles what is asked most without a Value in between, or returns nil.
func compareFast(e traceql.Expr, op traceql.Op, c Value) test {
	f, ok := e.(*traceql.FieldRef)
	if !ok || f.Field.Parent {
		return nil
	}
	switch n := c.Value.Int(); {
	case f.Field.Intrinsic == traceql.SpanStatus && c.Type == traceql.TypeStatus:
		return func(a At) bool { return (int64(a.Span.Status) == n) == (op == traceql.OpEqual) }
	case f.Field.Intrinsic == traceql.SpanKind && c.Type == traceql.TypeKind:
		return func(a At) bool { return (int64(a.Span.Kind) == n) == (op == traceql.OpEqual) }
	case f.Field.Intrinsic == traceql.SpanDuration && c.Value.Type() == trace.TypeInt:
		return func(a At) bool { return holds(op, cmp.Compare(int64(a.Span.Duration()), n)) }
	case f.Field.Intrinsic == traceql.SpanName && op == traceql.OpEqual:
		name := c.Value.Str()
		return func(a At) bool { return a.Span.Name == name }
	}
	return nil
}

// in compiles a list.
func in(e *traceql.In) test { return not(e.Not, anyOf(operandOf(e.X), Tester(e))) }

// Tester returns what an In or a Match says of one value of its X, Not left aside. An array passes if one of its elements does.
func Tester(e traceql.Expr) func(Value) bool {
	if m, ok := e.(*traceql.Match); ok {
		return func(v Value) bool { return match(m, v) }
	}
	n := e.(*traceql.In)
	values := make([]Value, len(n.Values))
	texts := map[string]bool{} // a list may be long
	for i, v := range n.Values {
		values[i] = Value{n.Kind, v}
		if n.Kind == traceql.TypeNumber {
			values[i] = Of(v)
		}
		if n.Kind == traceql.TypeString {
			texts[v.Str()] = true
		}
	}
	return func(v Value) bool {
		if v.Type == traceql.TypeString {
			return texts[v.Value.Str()]
		}
		return slices.ContainsFunc(values, func(c Value) bool { return Compare(traceql.OpEqual, v, c) })
	}
}

// operandOf compiles an expression that yields values.
func operandOf(e traceql.Expr) operand {
	switch e := e.(type) {
	case *traceql.Const:
		c := Const(e)
		return operand{one: func(At) Value { return c }}
	case *traceql.FieldRef:
		if many := severalOf(e.Field); many != nil {
			return operand{many: many}
		}
		return operand{one: readingOf(e.Field)}
	case *traceql.Unary:
		if e.Op == traceql.OpNeg {
			return negate(operandOf(e.X))
		}
	case *traceql.Binary:
		if e.Op.Arithmetic() {
			return calculation(e.Op, operandOf(e.X), operandOf(e.Y))
		}
	}
	t := condition(e)
	return operand{one: func(a At) Value { return Value{traceql.TypeBool, trace.Bool(t(a))} }}
}

// negate is 0 - x, but for the sign of a float's zero.
func negate(x operand) operand {
	minus := func(v Value) Value {
		if v.Type == traceql.TypeFloat {
			return float(-v.Value.Double())
		}
		return Calculate(traceql.OpSub, integer(0), v)
	}
	if x.many == nil {
		return operand{one: func(a At) Value { return minus(x.one(a)) }}
	}
	return operand{many: func(a At, to []Value) []Value {
		n := len(to)
		to = x.many(a, to)
		for i := n; i < len(to); i++ {
			to[i] = minus(to[i])
		}
		return to
	}}
}

// maxPairs is how many results a calculation has on a span at most, if both of its operands have several values: those of 128 events with 128.
const maxPairs = 128 * 128

func (c *Context) tooManyPairs(x, y int) {
	c.err = trace.Errorf(trace.TooLarge, "the query calculates with each pair of %d and %d values of one span's events or links, more than %d; calculate with one of them alone, or find such spans in another way", x, y, maxPairs)
}

// Multiplies reports whether an expression calculates with two operands of several values each. It must be evaluated with the span's trace, whose
// Err says whether they were too many.
func Multiplies(e traceql.Expr) bool {
	switch e := e.(type) {
	case *traceql.Unary:
		return Multiplies(e.X)
	case *traceql.Binary:
		return e.Op.Arithmetic() && operandOf(e.X).many != nil && operandOf(e.Y).many != nil || Multiplies(e.X) || Multiplies(e.Y)
	case *traceql.In:
		return Multiplies(e.X)
	case *traceql.Match:
		return Multiplies(e.X)
	}
	return false
}

// calculation calculates with each pair of the operands' values.
func calculation(op traceql.Op, x, y operand) operand {
	if x.many == nil && y.many == nil {
		return operand{one: func(a At) Value { return Calculate(op, x.one(a), y.one(a)) }}
	}
	return operand{many: func(a At, to []Value) []Value {
		var left, right [8]Value
		xs, ys := x.all(a, left[:0]), y.all(a, right[:0])
		if len(ys) > 0 && len(xs) > maxPairs/len(ys) && x.many != nil && y.many != nil {
			a.Trace.tooManyPairs(len(xs), len(ys))
			return to
		}
		for _, v := range xs {
			for _, w := range ys {
				to = append(to, Calculate(op, v, w))
			}
		}
		return to
	}}
}

// Valuer returns a function that evaluates an expression on a span; of several values it makes a list.
func Valuer(e traceql.Expr) func(a At) Value {
	x := operandOf(e)
	if x.many == nil {
		return x.one
	}
	return func(a At) Value {
		var room [8]Value
		return listed(x.many(a, room[:0]))
	}
}
