package trace

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// ValueType is the type of an attribute's value.
type ValueType uint8

// The types of values, as in OTLP's AnyValue.
const (
	TypeEmpty  ValueType = iota // an AnyValue with nothing set
	TypeString                  // UTF-8 text
	TypeBool
	TypeInt    // signed 64-bit
	TypeDouble // IEEE 754
	TypeArray  // of values of any type
	TypeMap    // of key and value, in order, keys not necessarily unique
	TypeBytes
)

func (t ValueType) String() string {
	return [...]string{"empty", "string", "bool", "int", "double", "array", "map", "bytes"}[t]
}

// Value is one attribute value. The zero Value is the empty one.
type Value struct {
	typ  ValueType
	num  uint64
	str  string
	list []Attr // Array: keys are empty
}

// Attr is a key and its value.
type Attr struct {
	Key   string
	Value Value
}

// String returns a text value.
func String(s string) Value { return Value{typ: TypeString, str: s} }

// Bool returns a boolean value.
func Bool(b bool) Value {
	if b {
		return Value{typ: TypeBool, num: 1}
	}
	return Value{typ: TypeBool}
}

// Int returns an integer value.
func Int(i int64) Value { return Value{typ: TypeInt, num: uint64(i)} }

// Double returns a floating-point value.
func Double(f float64) Value { return Value{typ: TypeDouble, num: math.Float64bits(f)} }

// Bytes returns a value of bytes; b is copied.
func Bytes(b []byte) Value { return Value{typ: TypeBytes, str: string(b)} }

// Array returns an array of values.
func Array(vs ...Value) Value {
	list := make([]Attr, len(vs))
	for i, v := range vs {
		list[i].Value = v
	}
	return Value{typ: TypeArray, list: list}
}

// Map returns an ordered map; attrs is kept, not copied.
func Map(attrs ...Attr) Value { return Value{typ: TypeMap, list: attrs} }

// Type returns the value's type.
func (v Value) Type() ValueType { return v.typ }

// Str returns the text of a String or the bytes of a Bytes value as a string.
func (v Value) Str() string { return v.str }

// Bool returns the value of a Bool.
func (v Value) Bool() bool { return v.num != 0 }

// Int returns the value of an Int.
func (v Value) Int() int64 { return int64(v.num) }

// Double returns the value of a Double.
func (v Value) Double() float64 { return math.Float64frombits(v.num) }

// Bits returns the value of a Bool (0 or 1), an Int (two's complement) or a Double (IEEE 754).
func (v Value) Bits() uint64 { return v.num }

// List returns an Array's elements (with empty keys) or a Map's entries; it must not be changed.
func (v Value) List() []Attr { return v.list }

// Text returns the value as a person reads it and as Jaeger's and Zipkin's tags compare it: text as it is, numbers
// as JSON has them, bytes in hexadecimal, arrays and maps as JSON (bytes inside them in base64).
func (v Value) Text() string {
	switch v.typ {
	case TypeString:
		return v.str
	case TypeBool:
		return strconv.FormatBool(v.Bool())
	case TypeInt:
		return strconv.FormatInt(v.Int(), 10)
	case TypeDouble:
		return formatDouble(v.Double())
	case TypeBytes:
		return hex.EncodeToString([]byte(v.str))
	case TypeArray, TypeMap:
		return string(v.appendJSON(nil))
	}
	return ""
}

// formatDouble writes a number as JSON and JavaScript do: what a page shows, and what a person types to find it.
func formatDouble(f float64) string {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		s := strconv.FormatFloat(f, 'e', -1, 64)
		return strings.Replace(s, "e-0", "e-", 1)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func (v Value) appendJSON(b []byte) []byte {
	switch v.typ {
	case TypeString:
		return appendJSONString(b, v.str)
	case TypeBytes:
		return appendJSONString(b, base64.StdEncoding.EncodeToString([]byte(v.str)))
	case TypeDouble:
		if f := v.Double(); math.IsNaN(f) || math.IsInf(f, 0) {
			return appendJSONString(b, v.Text())
		}
		return append(b, v.Text()...)
	case TypeBool, TypeInt:
		return append(b, v.Text()...)
	case TypeArray:
		b = append(b, '[')
		for i, e := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = e.Value.appendJSON(b)
		}
		return append(b, ']')
	case TypeMap:
		b = append(b, '{')
		for i, e := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSONString(b, e.Key), ':')
			b = e.Value.appendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func appendJSONString(b []byte, s string) []byte {
	q, err := json.Marshal(strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil { // a string always marshals
		panic(err)
	}
	return append(b, q...)
}

// Equal reports whether two values have the same type and content; NaN equals NaN.
func (v Value) Equal(w Value) bool {
	if v.typ != w.typ || v.num != w.num || v.str != w.str || len(v.list) != len(w.list) {
		return false
	}
	for i := range v.list {
		if v.list[i].Key != w.list[i].Key || !v.list[i].Value.Equal(w.list[i].Value) {
			return false
		}
	}
	return true
}

// Get returns the value of the first attribute with a key.
func Get(attrs []Attr, key string) (Value, bool) {
	for i := range attrs {
		if attrs[i].Key == key {
			return attrs[i].Value, true
		}
	}
	return Value{}, false
}
