package trace

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// ValidTexts returns spans of which all texts are UTF-8, with U+FFFD for what is not: readers of Protocol Buffers refuse a whole message for one
// text that is not. Spans that are so already are as they were given; nothing that is given is changed.
func ValidTexts(spans []Span) []Span { return validator().spans(spans) }

// ValidAttrs is ValidTexts of attributes.
func ValidAttrs(attrs []Attr) []Attr { return validator().attrs(attrs) }

func validator() *replacer {
	return &replacer{text: validText, value: func(v Value) (Value, bool) {
		was := v.str
		if v.typ == TypeString {
			v.str = validText(v.str)
		}
		return v, v.str != was
	}}
}

// ReplaceValues returns spans in which the values of attributes, those within others too, are what fn makes of them; changed says that this is
// not the same. Spans of which none is changed are as they were given; nothing that is given is changed.
func ReplaceValues(spans []Span, fn func(v Value) (out Value, changed bool)) []Span {
	return (&replacer{text: func(s string) string { return s }, value: fn}).spans(spans)
}

func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// replacer makes other spans of spans.
type replacer struct {
	text  func(s string) string
	value func(v Value) (out Value, changed bool)
}

func (r *replacer) spans(spans []Span) []Span {
	resources, scopes := map[*Resource]*Resource{}, map[*Scope]*Scope{}
	return replaced(spans, func(was Span) (Span, bool) {
		s := r.span(was)
		s.Resource, s.Scope = once(resources, was.Resource, r.resource), once(scopes, was.Scope, r.scope)
		return s, s.Resource != was.Resource || s.Scope != was.Scope || s.Name != was.Name || s.State != was.State || s.StatusMessage != was.StatusMessage ||
			!sameSlice(s.Attrs, was.Attrs) || !sameSlice(s.Events, was.Events) || !sameSlice(s.Links, was.Links)
	})
}

func (r *replacer) span(s Span) Span {
	s.Name, s.State, s.StatusMessage, s.Attrs = r.text(s.Name), r.text(s.State), r.text(s.StatusMessage), r.attrs(s.Attrs)
	s.Events = replaced(s.Events, func(e Event) (Event, bool) {
		v := e
		v.Name, v.Attrs = r.text(e.Name), r.attrs(e.Attrs)
		return v, v.Name != e.Name || !sameSlice(v.Attrs, e.Attrs)
	})
	s.Links = replaced(s.Links, func(l Link) (Link, bool) {
		v := l
		v.State, v.Attrs = r.text(l.State), r.attrs(l.Attrs)
		return v, v.State != l.State || !sameSlice(v.Attrs, l.Attrs)
	})
	return s
}

func (r *replacer) resource(was *Resource) *Resource {
	out := *was
	out.Attrs, out.SchemaURL = r.attrs(was.Attrs), r.text(was.SchemaURL)
	if sameSlice(out.Attrs, was.Attrs) && out.SchemaURL == was.SchemaURL {
		return was
	}
	return &out
}

func (r *replacer) scope(was *Scope) *Scope {
	out := *was
	out.Name, out.Version, out.Attrs, out.SchemaURL = r.text(was.Name), r.text(was.Version), r.attrs(was.Attrs), r.text(was.SchemaURL)
	if out.Name == was.Name && out.Version == was.Version && sameSlice(out.Attrs, was.Attrs) && out.SchemaURL == was.SchemaURL {
		return was
	}
	return &out
}

func (r *replacer) attrs(attrs []Attr) []Attr {
	return replaced(attrs, func(a Attr) (Attr, bool) {
		key := r.text(a.Key)
		v, changed := r.value(a.Value)
		if v.typ == TypeArray || v.typ == TypeMap {
			inner := r.attrs(v.list)
			changed = changed || !sameSlice(inner, v.list)
			v.list = inner
		}
		return Attr{key, v}, changed || key != a.Key
	})
}

// replaced returns list, or a copy of it if fn changes any of its elements.
func replaced[T any](list []T, fn func(T) (v T, changed bool)) []T {
	out, copied := list, false
	for i := range list {
		v, changed := fn(list[i])
		if !changed {
			continue
		}
		if !copied {
			out, copied = slices.Clone(list), true
		}
		out[i] = v
	}
	return out
}

// sameSlice reports whether two slices have the same elements in the same place.
func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// once returns what fn makes of a value that spans share, always the same.
func once[T any](known map[*T]*T, v *T, fn func(*T) *T) *T {
	out, ok := known[v]
	if !ok {
		if v != nil {
			out = fn(v)
		}
		known[v] = out
	}
	return out
}
