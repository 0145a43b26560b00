package jaeger

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/clewtrace/clew/trace"
)

// What Jaeger's formats share when spans are written: the same mapping as in the JSON of Encoder. Scopes' attributes, schema URLs, dropped
// counts, and the state and attributes of links have no place in them.

// eachTag calls fn with each of a span's tags.
func eachTag(s *trace.Span, fn func(key string, v trace.Value)) {
	text := func(key, value string) {
		if value != "" {
			fn(key, trace.String(value))
		}
	}
	text("otel.scope.name", s.Scope.Name)
	text("otel.scope.version", s.Scope.Version)
	for i := range s.Attrs {
		if a := &s.Attrs[i]; !isFlags(a) && !isWarnings(a) {
			fn(a.Key, a.Value)
		}
	}
	if s.Kind != trace.KindUnspecified {
		text("span.kind", s.Kind.String())
	}
	switch s.Status {
	case trace.StatusOK:
		text("otel.status_code", "OK")
	case trace.StatusError:
		text("otel.status_code", "ERROR")
		if !slices.ContainsFunc(s.Attrs, func(a trace.Attr) bool { return a.Key == "error" && a.Value.Text() == "true" }) {
			fn("error", trace.Bool(true))
		}
	}
	text("otel.status_description", s.StatusMessage)
	text("w3c.tracestate", s.State)
}

// eachField calls fn with each field of an event.
func eachField(e *trace.Event, fn func(key string, v trace.Value)) {
	if _, named := trace.Get(e.Attrs, "event"); e.Name != "" && !named {
		fn("event", trace.String(e.Name))
	}
	for i := range e.Attrs {
		fn(e.Attrs[i].Key, e.Attrs[i].Value)
	}
}

// eachProcessTag calls fn with each tag of the process that a resource is.
func eachProcessTag(r *trace.Resource, fn func(key string, v trace.Value)) {
	named := false
	for i := range r.Attrs {
		if !named && r.Attrs[i].Key == attrService {
			named = true
			continue
		}
		fn(r.Attrs[i].Key, r.Attrs[i].Value)
	}
}

// target is a span that another refers to, in what way.
type target struct {
	trace   trace.ID
	span    trace.SpanID
	follows bool // FOLLOWS_FROM, else CHILD_OF
}

// eachReference calls fn with each reference of a span, the parent first.
func eachReference(s *trace.Span, fn func(r target)) {
	told := s.Parent.IsZero()
	for i := range s.Links {
		if l := &s.Links[i]; !s.Parent.IsZero() && tellsOfParent(s, l) {
			told = true
			fn(target{l.TraceID, l.SpanID, refType(l) == "FOLLOWS_FROM"})
		}
	}
	if !told {
		fn(target{trace: s.TraceID, span: s.Parent})
	}
	for i := range s.Links {
		l := &s.Links[i]
		if s.Parent.IsZero() || !tellsOfParent(s, l) {
			fn(target{l.TraceID, l.SpanID, refType(l) == "FOLLOWS_FROM"})
		}
	}
}

// eachWarning calls fn with each warning that came with a span.
func eachWarning(s *trace.Span, fn func(text string)) {
	for i := range s.Attrs {
		if isWarnings(&s.Attrs[i]) {
			for _, w := range s.Attrs[i].Value.List() {
				fn(w.Value.Text())
			}
			return
		}
	}
}

// durationOf returns a span's duration in ns; one that ends before it starts has none.
func durationOf(s *trace.Span) uint64 {
	if s.End <= s.Start {
		return 0
	}
	return s.End - s.Start
}

// validText returns a text as UTF-8: readers of Protocol Buffers refuse a whole message for a text that is not.
func validText(s string) string {
	if utf8.ValidString(s) { // in a fraction of the time
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
