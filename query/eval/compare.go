package eval

import (
	"cmp"
	"math"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// Compare applies a comparison to two values. An array meets it if one of its elements does, and != if no element is equal.
func Compare(op traceql.Op, a, b Value) bool {
	if op == traceql.OpNotEqual {
		return !Compare(traceql.OpEqual, a, b)
	}
	if a.Type == traceql.TypeAny {
		return anyElement(a, func(e Value) bool { return Compare(op, e, b) })
	}
	if b.Type == traceql.TypeAny {
		return anyElement(b, func(e Value) bool { return Compare(op, a, e) })
	}
	c, ok := order(a, b)
	if !ok {
		return false
	}
	if op == traceql.OpEqual {
		return c == 0
	}
	return a.ordered() && holds(op, c)
}

// anyElement reports whether an element of an array meets a test. Arrays in arrays, maps and bytes meet none.
func anyElement(v Value, is func(Value) bool) bool {
	if v.Value.Type() != trace.TypeArray {
		return false
	}
	list := v.Value.List()
	for i := range list {
		if e := Of(list[i].Value); e.Type != traceql.TypeAny && is(e) {
			return true
		}
	}
	return false
}

// ordered reports whether values of the type can be less than others.
func (v Value) ordered() bool { return v.Type == traceql.TypeString || v.Numeric() }

// holds reports whether a comparison holds, given how its sides compare.
func holds(op traceql.Op, c int) bool {
	switch op {
	case traceql.OpEqual:
		return c == 0
	case traceql.OpNotEqual:
		return c != 0
	case traceql.OpLess:
		return c < 0
	case traceql.OpLessEqual:
		return c <= 0
	case traceql.OpGreater:
		return c > 0
	case traceql.OpGreaterEqual:
		return c >= 0
	}
	return false
}

// order compares two single values; ok is false if they are of types that cannot be equal, or one is no number, or nil.
func order(a, b Value) (c int, ok bool) {
	if a.Numeric() && b.Numeric() {
		return orderNumbers(a, b)
	}
	if a.Type != b.Type {
		return 0, false
	}
	switch a.Type {
	case traceql.TypeString:
		return cmp.Compare(a.Value.Str(), b.Value.Str()), true
	case traceql.TypeBool:
		return cmp.Compare(boolInt(a.Value.Bool()), boolInt(b.Value.Bool())), true
	case traceql.TypeStatus, traceql.TypeKind:
		return cmp.Compare(a.Value.Int(), b.Value.Int()), true
	}
	return 0, false
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func orderNumbers(a, b Value) (c int, ok bool) {
	af, bf := a.Type == traceql.TypeFloat, b.Type == traceql.TypeFloat
	switch {
	case !af && !bf:
		return cmp.Compare(a.Value.Int(), b.Value.Int()), true
	case af && bf:
		x, y := a.Value.Double(), b.Value.Double()
		return cmp.Compare(x, y), !math.IsNaN(x) && !math.IsNaN(y)
	case af:
		c, ok = orderMixed(b.Value.Int(), a.Value.Double())
		return -c, ok
	}
	return orderMixed(a.Value.Int(), b.Value.Double())
}

// orderMixed compares an integer with a float, exactly: beyond 2^53 integers are told apart that are one as floats.
func orderMixed(i int64, f float64) (c int, ok bool) {
	switch {
	case math.IsNaN(f):
		return 0, false
	case f >= 1<<63:
		return -1, true
	case f < -1<<63:
		return 1, true
	}
	whole := math.Trunc(f)
	return cmp.Or(cmp.Compare(i, int64(whole)), cmp.Compare(whole, f)), true
}

// Match reports whether a pattern matches a text, or an element of an array.
func match(m *traceql.Match, v Value) bool {
	if v.Type == traceql.TypeAny {
		return anyElement(v, func(e Value) bool { return match(m, e) })
	}
	if v.Type != traceql.TypeString {
		return false
	}
	s := v.Value.Str()
	for i := range m.Patterns {
		if m.Patterns[i].Re.MatchString(s) {
			return true
		}
	}
	return false
}

// Calculate applies an arithmetic operator to two numbers. What is no number, or has no result (a division by 0), yields nil.
func Calculate(op traceql.Op, a, b Value) Value {
	if !a.Numeric() || !b.Numeric() {
		return Nil
	}
	if n, ok := traceql.Calculate(op, traceql.Number(a), traceql.Number(b)); ok {
		return Value(n)
	}
	return Nil
}
