package trace

import "slices"

// A Scan asks a store for traces. A trace is wanted if for each element of Spans it has at least one span on which
// all of that element's conditions hold, and, unless Any is empty, a span on which all conditions of one of its elements hold. A store may return more traces than that, never fewer; whoever asked
// evaluates the scan again with Match.
type Scan struct {
	Range  Range    // of the matching spans' start; not a condition on the rest of the trace
	Spans  [][]Cond // empty: every trace with a span in Range
	Any    [][]Cond // alternatives
	Before Position // return only traces that come after this position in the order; zero: from the newest
	// Whole says that a Visitor is to get whole traces alone, no Table, of those that have such spans.
	Whole bool
	// Roots says that a Visitor asks tables for roots, RootColumn or TraceRootColumn: their traces are whole then, also outside of Range.
	Roots bool
	// Outline says that of the spans' attributes, events and links only those are needed that Spans and Any look at, the attribute
	// "error", and those of Keys: a store may leave the others out, and all else that only the page of a span shows, unless Details is set.
	Outline bool
	Keys    []string // with Outline: attributes of spans that are needed, too
	Details bool     // with Outline: events, links, trace states and messages of the status are needed, too
	// MaxBytes ends the scan with an error of OverBudget when more than so many bytes of blocks were read; 0: no limit.
	MaxBytes int64
}

// Position is a place in the one order of traces: start time descending, then trace ID ascending. The zero
// Position is before everything.
type Position struct {
	Start uint64 // start of the trace's earliest span
	ID    ID
}

// IsZero reports whether p is the place before the newest trace.
func (p Position) IsZero() bool { return p == Position{} }

// Precedes reports whether p comes before q, that is, p is newer, or as new with a lower ID.
func (p Position) Precedes(q Position) bool {
	if p.Start != q.Start {
		return p.Start > q.Start
	}
	return string(p.ID[:]) < string(q.ID[:])
}

// Field is what a condition looks at.
type Field uint8

// The fields of conditions.
const (
	FieldService      Field = iota // the resource's service.name
	FieldName                      // the span's name
	FieldKind                      // Value is an Int: a Kind
	FieldStatus                    // Value is an Int: a StatusCode
	FieldDuration                  // Value is an Int, ns
	FieldAttr                      // the attribute Key of the span or of its resource, or of one of them, see Cond.Scope
	FieldEvent                     // an event's name, or an event's attribute Key if that is set
	FieldTag                       // FieldAttr, or an event's attribute: what Jaeger calls a tag
	FieldMark                      // FieldAttr, or an event with the name Key: what Zipkin's annotationQuery names
	FieldError                     // Value is a Bool: whether the status is error or an attribute "error" is true
	FieldScopeName                 // the name of the instrumentation scope
	FieldScopeVersion              // and its version
)

// Op is how a condition compares. A missing field meets no condition.
type Op uint8

// The comparisons.
const (
	OpExists Op = iota // there is such a field
	OpText             // its Value.Text equals the condition's: for dialects that have only strings
	OpEqual            // same type and content
	OpGreaterEqual
	OpLessEqual
	OpAny  // equal, as by OpEqual, to one of Values; of an array, one of its elements is
	OpTest // Test of it is true
)

// Cond is one simple condition on one span.
type Cond struct {
	Field Field
	Scope AttrScope // of FieldAttr: ScopeSpan, ScopeResource, or ScopeAny, which is either
	Key   string    // of FieldAttr, FieldEvent, FieldTag and FieldMark
	Op    Op
	Value Value // of OpTest, which does not look at it: the test as a text for people

	Values []Value          // of OpAny
	Test   func(Value) bool // of OpTest; for several goroutines at once
}

// Allows returns an error of OverBudget if so many bytes of blocks are more than MaxBytes.
func (sc *Scan) Allows(bytes int64) error {
	if sc.MaxBytes > 0 && bytes > sc.MaxBytes {
		return OverBudget(sc.MaxBytes, "bytes read", "query.bytes")
	}
	return nil
}

// Match reports whether the trace meets the scan (Before left aside): the exact evaluation.
func (sc *Scan) Match(t *Trace) bool {
	if len(sc.Spans) == 0 && len(sc.Any) == 0 {
		for i := range t.Spans {
			if sc.Range.Contains(t.Spans[i].Start) {
				return true
			}
		}
		return false
	}
	if len(sc.Any) > 0 && !slices.ContainsFunc(sc.Any, func(conds []Cond) bool { return sc.anyMatches(t, conds) }) {
		return false
	}
	for _, conds := range sc.Spans {
		if !sc.anyMatches(t, conds) {
			return false
		}
	}
	return true
}

func (sc *Scan) anyMatches(t *Trace, conds []Cond) bool {
	for i := range t.Spans {
		if sc.Range.Contains(t.Spans[i].Start) && MatchSpan(&t.Spans[i], conds) {
			return true
		}
	}
	return false
}

// MatchSpan reports whether all conditions hold on a span.
func MatchSpan(s *Span, conds []Cond) bool {
	for i := range conds {
		if !conds[i].Match(s) {
			return false
		}
	}
	return true
}

// Match reports whether the condition holds on a span.
func (c *Cond) Match(s *Span) bool {
	switch c.Field {
	case FieldService:
		return c.Compare(String(s.Service()))
	case FieldName:
		return c.Compare(String(s.Name))
	case FieldKind:
		return c.Compare(Int(int64(s.Kind)))
	case FieldStatus:
		return c.Compare(Int(int64(s.Status)))
	case FieldDuration:
		return c.Compare(Int(int64(s.Duration())))
	case FieldAttr:
		return c.Scope != ScopeResource && c.matchAttrs(s.Attrs) || c.Scope != ScopeSpan && c.matchAttrs(s.Resource.Attrs)
	case FieldEvent:
		return c.matchEvents(s.Events)
	case FieldMark:
		if c.matchAttrs(s.Attrs) || c.matchAttrs(s.Resource.Attrs) {
			return true
		}
		for i := range s.Events {
			if s.Events[i].Name == c.Key {
				return true
			}
		}
	case FieldError:
		return c.Compare(Bool(s.IsError()))
	case FieldScopeName:
		return c.Compare(String(s.Scope.Name))
	case FieldScopeVersion:
		return c.Compare(String(s.Scope.Version))
	case FieldTag:
		return c.matchAttrs(s.Attrs) || c.matchAttrs(s.Resource.Attrs) || c.matchEvents(s.Events)
	}
	return false
}

// IsError reports whether the span failed: by its status, or by an attribute, as older instrumentation says it.
func (s *Span) IsError() bool {
	if s.Status == StatusError {
		return true
	}
	v, ok := Get(s.Attrs, "error")
	return ok && v.Text() == "true"
}

func (c *Cond) matchEvents(events []Event) bool {
	for i := range events {
		if c.Key == "" && c.Compare(String(events[i].Name)) || c.Key != "" && c.matchAttrs(events[i].Attrs) {
			return true
		}
	}
	return false
}

func (c *Cond) matchAttrs(attrs []Attr) bool {
	for i := range attrs {
		if attrs[i].Key == c.Key && c.Compare(attrs[i].Value) {
			return true
		}
	}
	return false
}

// Compare applies the condition's comparison to a value that is there.
func (c *Cond) Compare(v Value) bool {
	switch c.Op {
	case OpExists:
		return true
	case OpText:
		return v.Text() == c.Value.Text()
	case OpEqual:
		return v.Equal(c.Value)
	case OpGreaterEqual:
		return v.typ == TypeInt && c.Value.typ == TypeInt && v.Int() >= c.Value.Int()
	case OpLessEqual:
		return v.typ == TypeInt && c.Value.typ == TypeInt && v.Int() <= c.Value.Int()
	case OpAny:
		return c.isAny(v)
	case OpTest:
		return c.Test(v)
	}
	return false
}

func (c *Cond) isAny(v Value) bool {
	if slices.ContainsFunc(c.Values, v.Equal) {
		return true
	}
	if v.typ != TypeArray {
		return false
	}
	for i := range v.list {
		if slices.ContainsFunc(c.Values, v.list[i].Value.Equal) {
			return true
		}
	}
	return false
}

// ScanReport says what a scan read and what it left out. The zero report is of a complete scan that read nothing.
type ScanReport struct {
	Blocks        int    // blocks (and heads) read
	BlocksSkipped int    // blocks ruled out without reading their columns
	Groups        int    // parts of blocks and heads in which was looked for matches
	Shapes        int    // what spans of these parts have in common, as service, name, kind and keys: how many there are, each counted in each part
	ShapesKept    int    // of these, those whose spans may match: others are not looked at
	Bytes         int64  // compressed bytes read from blocks, those of whole traces included
	Incomplete    string // why something was left out; empty: nothing was
}

// Keep counts the shapes of a part, of which those that are kept may have a match.
func (r *ScanReport) Keep(kept []bool) {
	r.Shapes += len(kept)
	for _, k := range kept {
		if k {
			r.ShapesKept++
		}
	}
}

// Operation is a span name that a service uses, with the kind of its spans.
type Operation struct {
	Name string
	Kind Kind
}

// Stats is what a store holds.
type Stats struct {
	Spans, Blocks  int64
	Bytes          int64  // on disk
	Oldest, Newest uint64 // span starts, Unix ns; 0 while empty
}
