package trace

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// ValidTexts returns spans of which all texts are UTF-8, with U+FFFD for what is not: readers of Protocol Buffers refuse a whole message for one
// text that is not. Spans that are so already are as they were given; nothing that is given is changed.
func ValidTexts(spans []Span) []Span {
	resources, scopes := map[*Resource]*Resource{}, map[*Scope]*Scope{}
	out, copied := spans, false
	for i := range spans {
		s := validSpan(spans[i])
		s.Resource = once(resources, s.Resource, validResource)
		s.Scope = once(scopes, s.Scope, validScope)
		if spanIs(&s, &spans[i]) {
			continue
		}
		if !copied {
			out, copied = slices.Clone(spans), true
		}
		out[i] = s
	}
	return out
}

// spanIs reports whether validSpan has left a span as it was.
func spanIs(s, was *Span) bool {
	same := func(a, b string) bool { return len(a) == len(b) && a == b }
	return s.Resource == was.Resource && s.Scope == was.Scope && same(s.Name, was.Name) && same(s.State, was.State) && same(s.StatusMessage, was.StatusMessage) &&
		sameSlice(s.Attrs, was.Attrs) && sameSlice(s.Events, was.Events) && sameSlice(s.Links, was.Links)
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

func validResource(r *Resource) *Resource {
	out := *r
	out.Attrs, out.SchemaURL = validAttrs(r.Attrs), validText(r.SchemaURL)
	if sameSlice(out.Attrs, r.Attrs) && out.SchemaURL == r.SchemaURL {
		return r
	}
	return &out
}

func validScope(s *Scope) *Scope {
	out := *s
	out.Name, out.Version, out.Attrs, out.SchemaURL = validText(s.Name), validText(s.Version), validAttrs(s.Attrs), validText(s.SchemaURL)
	if out.Name == s.Name && out.Version == s.Version && sameSlice(out.Attrs, s.Attrs) && out.SchemaURL == s.SchemaURL {
		return s
	}
	return &out
}

func validSpan(s Span) Span {
	s.Name, s.State, s.StatusMessage, s.Attrs = validText(s.Name), validText(s.State), validText(s.StatusMessage), validAttrs(s.Attrs)
	s.Events = replaced(s.Events, func(e Event) (Event, bool) {
		v := e
		v.Name, v.Attrs = validText(e.Name), validAttrs(e.Attrs)
		return v, v.Name != e.Name || !sameSlice(v.Attrs, e.Attrs)
	})
	s.Links = replaced(s.Links, func(l Link) (Link, bool) {
		v := l
		v.State, v.Attrs = validText(l.State), validAttrs(l.Attrs)
		return v, v.State != l.State || !sameSlice(v.Attrs, l.Attrs)
	})
	return s
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

func validAttrs(attrs []Attr) []Attr {
	return replaced(attrs, func(a Attr) (Attr, bool) {
		v := a
		v.Key = validText(a.Key)
		changed := v.Key != a.Key
		switch a.Value.typ {
		case TypeString:
			v.Value.str = validText(a.Value.str)
			changed = changed || v.Value.str != a.Value.str
		case TypeArray, TypeMap:
			v.Value.list = validAttrs(a.Value.list)
			changed = changed || !sameSlice(v.Value.list, a.Value.list)
		}
		return v, changed
	})
}

func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
