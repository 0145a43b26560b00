package traceql

// Type is the type of a value in a query.
type Type uint8

// The types. Attributes are TypeAny: what they hold is known when a span is looked at. A comparison between values of different
// types is false then, and arithmetic on what is no number yields nothing.
const (
	TypeAny Type = iota
	TypeNil
	TypeBool
	TypeString
	TypeInt
	TypeFloat
	TypeDuration // an integer of nanoseconds
	TypeNumber   // TypeInt, TypeFloat or TypeDuration, which depends on the data
	TypeStatus
	TypeKind
)

// String returns the type as a person calls it.
func (t Type) String() string {
	return [...]string{"attribute", "nil", "boolean", "string", "integer", "float", "duration", "number", "status", "kind"}[t]
}

// phrase returns the type with its article.
func (t Type) phrase() string {
	if t == TypeAny || t == TypeInt {
		return "an " + t.String()
	}
	return "a " + t.String()
}

// Numeric reports whether values of the type are numbers for certain.
func (t Type) Numeric() bool { return t >= TypeInt && t <= TypeNumber }

// alike reports whether values of two types can be equal.
func alike(a, b Type) bool {
	return a == TypeAny || b == TypeAny || a == b || a.Numeric() && b.Numeric()
}

// arithmetic returns the type of what an operator makes of two numbers.
func arithmetic(op Op, x, y Type) Type {
	if op == OpPow {
		return TypeFloat
	}
	if !x.Numeric() || !y.Numeric() || x == TypeNumber || y == TypeNumber {
		return TypeNumber
	}
	switch {
	case op == OpDiv && y == TypeDuration: // a share
		return TypeFloat
	case x == TypeDuration || y == TypeDuration:
		return TypeDuration
	case x == TypeFloat || y == TypeFloat:
		return TypeFloat
	}
	return TypeInt
}

// Type returns the constant's type.
func (n *Const) Type() Type { return n.Kind }

// Type returns the type of the field's values.
func (n *FieldRef) Type() Type { return n.Field.Type() }

// Type returns TypeBool of OpNot, and of OpNeg the type of a number.
func (n *Unary) Type() Type {
	if n.Op == OpNot {
		return TypeBool
	}
	if t := n.X.Type(); t.Numeric() {
		return t
	}
	return TypeNumber
}

// Type returns TypeBool of comparisons, OpAnd and OpOr, and of arithmetic the type of a number.
func (n *Binary) Type() Type {
	switch {
	case !n.Op.Arithmetic():
		return TypeBool
	case n.Kind != TypeAny:
		return n.Kind
	}
	return arithmetic(n.Op, n.X.Type(), n.Y.Type())
}

// Type returns TypeBool.
func (*In) Type() Type { return TypeBool }

// Type returns TypeBool.
func (*Match) Type() Type { return TypeBool }

// Type returns TypeBool.
func (*IsNil) Type() Type { return TypeBool }
