package eval

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// Value is what an expression yields on a span. The zero Value is not nil but an attribute without a type of the language: see Type.
type Value struct {
	// Type is TypeNil (there is none), TypeBool, TypeString, TypeInt, TypeFloat, TypeDuration, TypeStatus or TypeKind, or TypeAny of
	// an attribute that is an array, a map or bytes.
	Type traceql.Type
	// Value is as in traceql.Const: a duration is an Int of ns, a status and a kind are Ints with their numbers.
	Value trace.Value
}

// Nil is the value of what is not there.
var Nil = Value{Type: traceql.TypeNil}

// Clone returns the value in memory of its own: that of a table's row, for one, lies in the table.
func (v Value) Clone() Value {
	v.Value = clone(v.Value)
	return v
}

func clone(v trace.Value) trace.Value {
	switch v.Type() {
	case trace.TypeString:
		return trace.String(strings.Clone(v.Str()))
	case trace.TypeArray:
		list := make([]trace.Value, len(v.List()))
		for i, e := range v.List() {
			list[i] = clone(e.Value)
		}
		return trace.Array(list...)
	case trace.TypeMap:
		attrs := make([]trace.Attr, len(v.List()))
		for i, e := range v.List() {
			attrs[i] = trace.Attr{Key: strings.Clone(e.Key), Value: clone(e.Value)}
		}
		return trace.Map(attrs...)
	case trace.TypeBytes:
		return trace.Bytes([]byte(v.Str()))
	}
	return v
}

// Of returns an attribute's value. One with nothing set is nil.
func Of(v trace.Value) Value {
	switch v.Type() {
	case trace.TypeEmpty:
		return Nil
	case trace.TypeString:
		return Value{traceql.TypeString, v}
	case trace.TypeBool:
		return Value{traceql.TypeBool, v}
	case trace.TypeInt:
		return Value{traceql.TypeInt, v}
	case trace.TypeDouble:
		return Value{traceql.TypeFloat, v}
	}
	return Value{traceql.TypeAny, v}
}

// Const returns a constant's value.
func Const(c *traceql.Const) Value { return Value{c.Kind, c.Value} }

func text(s string) Value             { return Value{traceql.TypeString, trace.String(s)} }
func integer(i int64) Value           { return Value{traceql.TypeInt, trace.Int(i)} }
func duration(ns int64) Value         { return Value{traceql.TypeDuration, trace.Int(ns)} }
func float(f float64) Value           { return Value{traceql.TypeFloat, trace.Double(f)} }
func status(s trace.StatusCode) Value { return Value{traceql.TypeStatus, trace.Int(int64(s))} }
func kind(k trace.Kind) Value         { return Value{traceql.TypeKind, trace.Int(int64(k))} }

// IsNil reports whether there is no value.
func (v Value) IsNil() bool { return v.Type == traceql.TypeNil }

// Numeric reports whether the value is a number: an integer, a float or a duration.
func (v Value) Numeric() bool {
	return v.Type == traceql.TypeInt || v.Type == traceql.TypeFloat || v.Type == traceql.TypeDuration
}

// Float returns a number, a duration's in ns; ok is false of anything else, and of a float that is none.
func (v Value) Float() (f float64, ok bool) {
	switch v.Type {
	case traceql.TypeInt, traceql.TypeDuration:
		return float64(v.Value.Int()), true
	case traceql.TypeFloat:
		f = v.Value.Double()
		return f, !math.IsNaN(f)
	}
	return 0, false
}

// Text returns the value as a person reads it: durations with units, statuses and kinds as words, nil as "nil".
func (v Value) Text() string {
	switch v.Type {
	case traceql.TypeNil:
		return "nil"
	case traceql.TypeDuration:
		return time.Duration(v.Value.Int()).String()
	case traceql.TypeStatus:
		return trace.StatusCode(v.Value.Int()).String()
	case traceql.TypeKind:
		return trace.Kind(v.Value.Int()).String()
	}
	return v.Value.Text()
}

// Attr returns the value as an attribute has it: statuses and kinds as words, durations as integers of ns. Nil is the empty value.
func (v Value) Attr() trace.Value {
	switch v.Type {
	case traceql.TypeStatus, traceql.TypeKind:
		return trace.String(v.Text())
	}
	return v.Value
}

// Key returns a text that two values share exactly if they are of one type and equal: what spans are grouped by.
func (v Value) Key() string { return string(v.AppendKey(nil)) }

// AppendKey appends Key.
func (v Value) AppendKey(b []byte) []byte {
	t := v.Value.Type()
	b = append(b, byte(v.Type), byte(t))
	switch t {
	case trace.TypeString, trace.TypeBytes:
		return append(b, v.Value.Str()...)
	case trace.TypeArray, trace.TypeMap:
		return append(b, v.Value.Text()...)
	case trace.TypeDouble:
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v.Value.Double()))
	}
	return binary.BigEndian.AppendUint64(b, uint64(v.Value.Int()))
}
