package eval

import (
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// reading reads a field of a span.
type reading func(a At) Value

// readings reads all values of a field that may have several, and appends them.
type readings func(a At, to []Value) []Value

// Fielder returns a function that reads a field of a span: Nil if it is not there, and a list of several values, as of events.
func Fielder(f traceql.Field) func(a At) Value {
	many := severalOf(f)
	if many == nil {
		return readingOf(f)
	}
	return func(a At) Value {
		var room [8]Value
		return listed(many(a, room[:0]))
	}
}

// Numbers returns a function that appends the numbers that a field has on a span.
func Numbers(f traceql.Field) func(a At, to []float64) []float64 {
	x := operandOf(&traceql.FieldRef{Field: f})
	return func(a At, to []float64) []float64 {
		var room [8]Value
		for _, v := range x.all(a, room[:0]) {
			if n, ok := v.Float(); ok {
				to = append(to, n)
			}
		}
		return to
	}
}

// readingOf returns how a field that has one value is read.
func readingOf(f traceql.Field) reading {
	own := f
	own.Parent = false
	if f.Parent {
		read := readingOf(own)
		return func(a At) Value {
			p, ok := a.parent()
			if !ok {
				return Nil
			}
			return read(p)
		}
	}
	switch key := f.Key; f.Scope {
	case traceql.ScopeAny:
		of := ofResource(key)
		return func(a At) Value {
			if v := get(a.Span.Attrs, key); !v.IsNil() {
				return v
			}
			return of(a)
		}
	case traceql.ScopeSpan:
		return func(a At) Value { return get(a.Span.Attrs, key) }
	case traceql.ScopeResource:
		return ofResource(key)
	case traceql.ScopeInstrumentation:
		return func(a At) Value {
			if a.Span.Scope == nil {
				return Nil
			}
			return get(a.Span.Scope.Attrs, key)
		}
	}
	if read := ofSpan(f.Intrinsic); read != nil {
		return read
	}
	return ofTrace(f.Intrinsic)
}

// ofResource reads an attribute of the resource.
func ofResource(key string) reading {
	return func(a At) Value {
		attrs := resourceOf(a.Span)
		for i := range attrs {
			if attrs[i].Key == key {
				return OfResource(&attrs[i])
			}
		}
		return Nil
	}
}

// OfResource returns the value of a resource's attribute. The name of a service is a text, whatever its type, as everywhere in Clew.
func OfResource(a *trace.Attr) Value {
	v := Of(a.Value)
	if a.Key != "service.name" || v.IsNil() || v.Type == traceql.TypeString {
		return v
	}
	return text(v.Value.Text())
}

func resourceOf(s *trace.Span) []trace.Attr {
	if s.Resource == nil {
		return nil
	}
	return s.Resource.Attrs
}

// get returns the first attribute with a key.
func get(attrs []trace.Attr, key string) Value {
	for i := range attrs {
		if attrs[i].Key == key {
			return Of(attrs[i].Value)
		}
	}
	return Nil
}

// filled is a text that is nil if it is empty: OTLP has no other way to say that there is none.
func filled(s string) Value {
	if s == "" {
		return Nil
	}
	return text(s)
}

// ofSpan reads what a span itself has, or is nil of other intrinsics.
func ofSpan(i traceql.Intrinsic) reading {
	switch i {
	case traceql.SpanDuration:
		return func(a At) Value { return duration(int64(a.Span.Duration())) }
	case traceql.SpanName:
		return func(a At) Value { return text(a.Span.Name) }
	case traceql.SpanStatus:
		return func(a At) Value { return status(a.Span.Status) }
	case traceql.SpanStatusMessage:
		return func(a At) Value { return text(a.Span.StatusMessage) }
	case traceql.SpanKind:
		return func(a At) Value { return kind(a.Span.Kind) }
	case traceql.SpanID:
		return func(a At) Value { return text(a.Span.ID.String()) }
	case traceql.SpanParentID:
		return func(a At) Value {
			if a.Span.Parent.IsZero() {
				return Nil
			}
			return text(a.Span.Parent.String())
		}
	case traceql.TraceID:
		return func(a At) Value { return text(a.Span.TraceID.String()) }
	case traceql.InstrumentationName, traceql.InstrumentationVersion:
		return func(a At) Value {
			if a.Span.Scope == nil {
				return Nil
			}
			if i == traceql.InstrumentationName {
				return filled(a.Span.Scope.Name)
			}
			return filled(a.Span.Scope.Version)
		}
	}
	return nil
}

// ofTrace reads what needs the whole trace.
func ofTrace(i traceql.Intrinsic) reading {
	read := func(a At) Value {
		c, n := a.Trace, int(a.Index)
		switch i {
		case traceql.SpanChildCount:
			c.arrange()
			return integer(int64(c.children[c.rows[n]]))
		case traceql.TraceDuration:
			first, last := c.Bounds()
			return duration(max(0, int64(last-first)))
		case traceql.TraceRootName:
			if r := c.Root(); r != nil {
				return text(r.Name)
			}
		case traceql.TraceRootService:
			if r := c.Root(); r != nil {
				return text(r.Service())
			}
		case traceql.NestedSetLeft, traceql.NestedSetRight, traceql.NestedSetParent:
			left, right, parent := c.NestedSet(n)
			switch i {
			case traceql.NestedSetLeft:
				return integer(left)
			case traceql.NestedSetRight:
				return integer(right)
			}
			return integer(parent)
		}
		return Nil
	}
	return func(a At) Value {
		if a.Trace == nil {
			return Nil
		}
		return read(a)
	}
}

// severalOf returns how a field is read that may have several values on a span, or nil of other fields.
func severalOf(f traceql.Field) readings {
	switch {
	case f.Scope == traceql.ScopeEvent:
		return ofEvents(func(_ *trace.Span, e *trace.Event) Value { return get(e.Attrs, f.Key) })
	case f.Scope == traceql.ScopeLink:
		return ofLinks(func(l *trace.Link) Value { return get(l.Attrs, f.Key) })
	case f.Intrinsic == traceql.EventName:
		return ofEvents(func(_ *trace.Span, e *trace.Event) Value { return text(e.Name) })
	case f.Intrinsic == traceql.EventTimeSinceStart:
		return ofEvents(func(s *trace.Span, e *trace.Event) Value { return duration(int64(e.Time - s.Start)) })
	case f.Intrinsic == traceql.LinkTraceID:
		return ofLinks(func(l *trace.Link) Value { return text(l.TraceID.String()) })
	case f.Intrinsic == traceql.LinkSpanID:
		return ofLinks(func(l *trace.Link) Value { return text(l.SpanID.String()) })
	}
	return nil
}

func ofEvents(read func(*trace.Span, *trace.Event) Value) readings {
	return func(a At, to []Value) []Value {
		for i := range a.Span.Events {
			if v := read(a.Span, &a.Span.Events[i]); !v.IsNil() {
				to = append(to, v)
			}
		}
		return to
	}
}

func ofLinks(read func(*trace.Link) Value) readings {
	return func(a At, to []Value) []Value {
		for i := range a.Span.Links {
			if v := read(&a.Span.Links[i]); !v.IsNil() {
				to = append(to, v)
			}
		}
		return to
	}
}

// Needs is what must be known of a span's trace to evaluate something on the span.
type Needs struct {
	Tree  bool // how the spans hang together: parents, children, nested sets
	Trace bool // its bounds or its root
}

// Whole reports whether the whole trace is needed.
func (n Needs) Whole() bool { return n.Tree || n.Trace }

func (n Needs) and(m Needs) Needs { return Needs{n.Tree || m.Tree, n.Trace || m.Trace} }

// NeedsOf returns what a field needs.
func NeedsOf(f traceql.Field) Needs {
	n := Needs{Tree: f.Parent}
	switch f.Intrinsic {
	case traceql.SpanChildCount, traceql.NestedSetLeft, traceql.NestedSetRight, traceql.NestedSetParent:
		n.Tree = true
	case traceql.TraceDuration, traceql.TraceRootName, traceql.TraceRootService:
		n.Trace = true
	}
	return n
}
