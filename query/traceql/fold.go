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
func (n *Const) float() float64 {
	if n.Kind == TypeFloat {
		return n.Value.Double()
	}
	return float64(n.Value.Int())
}

// foldNumbers calculates with two constants.
func foldNumbers(at int, op Op, x, y *Const) (*Const, *Error) {
	c := &Const{At: x.At, Kind: arithmetic(op, x.Kind, y.Kind)}
	exact := x.Kind != TypeFloat && y.Kind != TypeFloat && c.Kind != TypeFloat
	byZero := y.Value.Int() == 0 && (op == OpDiv || op == OpMod)
	if exact && !byZero {
		i, ok := calculate(op, x.Value.Int(), y.Value.Int())
		if !ok || c.Kind == TypeDuration && i == math.MinInt64 { // a duration's sign is written apart
			return c, errorAt(at, `"%s" of %s and %s does not fit in 64 bits`, op, show(x), show(y))
		}
		c.Value = trace.Int(i)
		return c, nil
	}
	f := calculateFloat(op, x.float(), y.float())
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return c, errorAt(at, `"%s" of %s and %s is no number`, op, show(x), show(y))
	}
	c.Value = trace.Double(f)
	if c.Kind == TypeDuration {
		if f = math.Round(f); f >= math.MaxInt64 || f <= math.MinInt64 {
			return c, errorAt(at, `"%s" of %s and %s does not fit in 64 bits`, op, show(x), show(y))
		}
		c.Value = trace.Int(int64(f))
	}
	return c, nil
}

// calculate calculates with integers; ok is false if the result does not fit.
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
	case OpDiv: // of a duration by an integer
		return x / y, x != math.MinInt64 || y != -1
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
