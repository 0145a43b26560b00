package eval

import (
	"cmp"
	"math"
	"math/bits"

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

// Calculate applies an arithmetic operator to two numbers. What is no number, or has no result (a division of an integer by 0), yields nil.
func Calculate(op traceql.Op, a, b Value) Value {
	if !a.Numeric() || !b.Numeric() {
		return Nil
	}
	t := resultType(op, a.Type, b.Type)
	if t != traceql.TypeFloat && a.Type != traceql.TypeFloat && b.Type != traceql.TypeFloat {
		if i, ok := wholeResult(op, a.Value.Int(), b.Value.Int()); ok {
			return Value{t, trace.Int(i)}
		}
	}
	x, _ := a.Float()
	y, _ := b.Float()
	f := floatResult(op, x, y)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Nil
	}
	if t == traceql.TypeDuration && math.Abs(f) < 1<<63 {
		return duration(int64(math.Round(f)))
	}
	return float(f)
}

// resultType is what type an operator's result has; of integers whose result does not fit it is a float, too.
func resultType(op traceql.Op, a, b traceql.Type) traceql.Type {
	switch {
	case op == traceql.OpPow, op == traceql.OpDiv && (a == b || a != traceql.TypeDuration):
		return traceql.TypeFloat
	case a == traceql.TypeDuration || b == traceql.TypeDuration:
		return traceql.TypeDuration
	case a == traceql.TypeFloat || b == traceql.TypeFloat:
		return traceql.TypeFloat
	}
	return traceql.TypeInt
}

// wholeResult calculates with integers; ok is false if the result does not fit, or there is none.
func wholeResult(op traceql.Op, x, y int64) (z int64, ok bool) {
	switch op {
	case traceql.OpAdd:
		z = x + y
		return z, (z > x) == (y > 0)
	case traceql.OpSub:
		z = x - y
		return z, (z < x) == (y > 0)
	case traceql.OpMul:
		hi, lo := bits.Mul64(magnitude(x), magnitude(y))
		if (x < 0) != (y < 0) {
			return -int64(lo), hi == 0 && lo <= 1<<63
		}
		return int64(lo), hi == 0 && lo < 1<<63
	case traceql.OpMod:
		if y == 0 {
			return 0, false
		}
		return x % y, true
	case traceql.OpDiv:
		if y == 0 || y == -1 {
			return 0, false
		}
		return x / y, true
	}
	return 0, false
}

func magnitude(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

func floatResult(op traceql.Op, x, y float64) float64 {
	switch op {
	case traceql.OpAdd:
		return x + y
	case traceql.OpSub:
		return x - y
	case traceql.OpMul:
		return x * y
	case traceql.OpDiv:
		return x / y
	case traceql.OpMod:
		return math.Mod(x, y)
	}
	return math.Pow(x, y)
}
