package eval

import (
	"slices"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// listed makes one value of a field's several, as of the events of a span: a list of them, each once; the value itself of one, Nil of none.
func listed(vs []Value) Value {
	var all []Value
	for _, v := range vs {
		all = appendOnce(all, v)
	}
	switch len(all) {
	case 0:
		return Nil
	case 1:
		return all[0]
	}
	list := make([]trace.Value, len(all))
	for i, v := range all {
		list[i] = v.Value
	}
	return Value{traceql.TypeAny, trace.Array(list...)}
}

// appendOnce appends a value, or the elements of a list, leaving out what is there, and nil.
func appendOnce(to []Value, v Value) []Value {
	if v.Value.Type() == trace.TypeArray {
		for _, e := range v.Value.List() {
			if e := Of(e.Value); !slices.ContainsFunc(to, e.same) && !e.IsNil() {
				to = append(to, e)
			}
		}
		return to
	}
	if v.IsNil() || slices.ContainsFunc(to, v.same) {
		return to
	}
	return append(to, v)
}

func (v Value) same(w Value) bool { return v.Type == w.Type && v.Value.Equal(w.Value) }

// IsList reports whether a value is a list of some values, to each of whose groups a span with it belongs.
func (v Value) IsList() bool { return v.Value.Type() == trace.TypeArray && len(v.Value.List()) > 0 }

// Elements returns the values of a list, each once, or the value itself, if it is none. The type is that of the expression whose value it is.
func (v Value) Elements(of traceql.Type) []Value {
	if !v.IsList() {
		return []Value{v}
	}
	all := appendOnce(nil, v)
	if len(all) == 0 {
		return []Value{v}
	}
	if of == traceql.TypeDuration {
		for i := range all {
			all[i].Type = of
		}
	}
	return all
}

// Readable returns the value of an expression of a type as it is shown: a list of durations is one of texts with units, since a list's values have no type but that of attributes.
func (v Value) Readable(of traceql.Type) Value {
	if of != traceql.TypeDuration || !v.IsList() {
		return v
	}
	var texts []trace.Value
	for _, e := range v.Elements(of) {
		texts = append(texts, trace.String(e.Text()))
	}
	return Value{v.Type, trace.Array(texts...)}
}
