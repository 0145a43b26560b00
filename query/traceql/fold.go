package traceql

import (
	"cmp"
	"math"
	"math/bits"

	"github.com/clewtrace/clew/trace"
)

// zero is 0 as a number of a type.
func zero(t Type) trace.Value {
	if t == TypeFloat {
		return trace.Double(math.Copysign(0, -1)) // -0 - x is -x of 0, too
	}
	return trace.Int(0)
}

// float returns a number as a float.
func (n *Const) float() float64 { return Number{n.Kind, n.Value}.float() }

// Number is a number: of TypeInt, TypeFloat or TypeDuration, with its value as in Const.
type Number struct {
	Type  Type
	Value trace.Value
}

// Calculate applies an arithmetic operator to two numbers. Two integers yield an integer, by division, too, but for OpPow; what does not fit in
// 64 bits is a float. ok is false if there is no result, as of a division by 0.
func Calculate(op Op, x, y Number) (z Number, ok bool) {
	t := arithmetic(op, x.Type, y.Type)
	if t != TypeFloat && x.Type != TypeFloat && y.Type != TypeFloat {
		if i, ok := calculate(op, x.Value.Int(), y.Value.Int()); ok {
			return Number{t, trace.Int(i)}, true
		}
	}
	f := calculateFloat(op, x.float(), y.float())
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return Number{}, false
	case t == TypeDuration && math.Abs(f) < 1<<63:
		return Number{t, trace.Int(int64(math.Round(f)))}, true
	}
	return Number{TypeFloat, trace.Double(f)}, true
}

// float returns the number as a float.
func (n Number) float() float64 {
	if n.Type == TypeFloat {
		return n.Value.Double()
	}
	return float64(n.Value.Int())
}

// foldNumbers calculates with two constants.
func foldNumbers(at int, op Op, x, y *Const) (*Const, *Error) {
	z, ok := Calculate(op, Number{x.Kind, x.Value}, Number{y.Kind, y.Value})
	c := &Const{At: x.At, Kind: z.Type, Value: z.Value}
	if !ok {
		return c, errorAt(at, `"%s" of %s and %s is no number`, op, show(x), show(y))
	}
	if z.Type != arithmetic(op, x.Kind, y.Kind) || z.Type == TypeDuration && z.Value.Int() == math.MinInt64 { // a duration's sign is written apart
		return c, errorAt(at, `"%s" of %s and %s does not fit in 64 bits`, op, show(x), show(y))
	}
	return c, nil
}

// calculate calculates with integers; ok is false if the result does not fit, or there is none.
func calculate(op Op, x, y int64) (z int64, ok bool) {
	switch op {
	case OpAdd:
		z = x + y
		return z, (z > x) == (y > 0)
	case OpSub:
		z = x - y
		return z, (z < x) == (y > 0)
	case OpMul:
		hi, lo := bits.Mul64(magnitude(x), magnitude(y))
		if (x < 0) != (y < 0) {
			return -int64(lo), hi == 0 && lo <= 1<<63
		}
		return int64(lo), hi == 0 && lo < 1<<63
	case OpDiv:
		if y == 0 || x == math.MinInt64 && y == -1 {
			return 0, false
		}
		return x / y, true
	}
	if y == 0 {
		return 0, false
	}
	return x % y, true
}

// magnitude returns |x|.
func magnitude(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

func calculateFloat(op Op, x, y float64) float64 {
	switch op {
	case OpAdd:
		return x + y
	case OpSub:
		return x - y
	case OpMul:
		return x * y
	case OpDiv:
		return x / y
	case OpMod:
		return math.Mod(x, y)
	}
	return math.Pow(x, y)
}

// compareConstants compares two constants whose types fit.
func compareConstants(op Op, x, y *Const) bool {
	var c int
	switch {
	case x.Kind == TypeString:
		c = cmp.Compare(x.Value.Str(), y.Value.Str())
	case x.Kind == TypeFloat || y.Kind == TypeFloat:
		c = cmp.Compare(x.float(), y.float())
	default: // a Bool is a number, too
		c = cmp.Compare(x.Value.Int(), y.Value.Int())
	}
	switch op {
	case OpEqual:
		return c == 0
	case OpNotEqual:
		return c != 0
	case OpLess:
		return c < 0
	case OpLessEqual:
		return c <= 0
	case OpGreater:
		return c > 0
	}
	return c >= 0
}
