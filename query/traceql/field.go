package traceql

import (
	"slices"
	"strings"
)

// Scope is where a field of a span is.
type Scope uint8

// The scopes of fields.
const (
	ScopeAny             Scope = iota // .key: the span's attribute, or else the resource's
	ScopeSpan                         // span.key
	ScopeResource                     // resource.key
	ScopeEvent                        // event.key: of any event of the span
	ScopeLink                         // link.key: of any link of the span
	ScopeInstrumentation              // instrumentation.key
	ScopeIntrinsic                    // no attribute: see Field.Intrinsic
)

// String returns the word that stands before an attribute's dot; it is empty for ScopeAny.
func (s Scope) String() string {
	return [...]string{"", "span", "resource", "event", "link", "instrumentation", "intrinsic"}[s]
}

// attrScopes are the words that may stand before an attribute's dot; parent comes on top of them.
var attrScopes = map[string]Scope{
	"span": ScopeSpan, "resource": ScopeResource, "event": ScopeEvent, "link": ScopeLink, "instrumentation": ScopeInstrumentation,
}

// Intrinsic is what every span has, whatever its attributes.
type Intrinsic uint8

// The intrinsics, with the type of their values.
const (
	NoIntrinsic            Intrinsic = iota
	SpanDuration                     // TypeDuration
	SpanName                         // TypeString
	SpanStatus                       // TypeStatus
	SpanStatusMessage                // TypeString
	SpanKind                         // TypeKind
	SpanID                           // TypeString: 16 hexadecimal digits
	SpanParentID                     // TypeString: 16 hexadecimal digits; nil of a root
	SpanChildCount                   // TypeInt: spans whose parent this is
	TraceDuration                    // TypeDuration: from the earliest start to the latest end
	TraceRootName                    // TypeString: nil without a root
	TraceRootService                 // TypeString: nil without a root
	TraceID                          // TypeString: 32 hexadecimal digits
	EventName                        // TypeString: of any event
	EventTimeSinceStart              // TypeDuration: from the span's start to any event
	LinkTraceID                      // TypeString: of any link
	LinkSpanID                       // TypeString: of any link
	InstrumentationName              // TypeString
	InstrumentationVersion           // TypeString
	NestedSetLeft                    // TypeInt: place in the trace's tree; a span's descendants lie between its left and its right
	NestedSetRight                   // TypeInt
	NestedSetParent                  // TypeInt: the parent's left; negative of a root
)

// An intrinsic's names: scoped, as in span:duration, and the older one without a scope. One of them may be missing.
var intrinsics = [...]struct {
	scoped, short string
	typ           Type
}{
	SpanDuration:           {"span:duration", "duration", TypeDuration},
	SpanName:               {"span:name", "name", TypeString},
	SpanStatus:             {"span:status", "status", TypeStatus},
	SpanStatusMessage:      {"span:statusMessage", "statusMessage", TypeString},
	SpanKind:               {"span:kind", "kind", TypeKind},
	SpanID:                 {"span:id", "", TypeString},
	SpanParentID:           {"span:parentID", "parent", TypeString},
	SpanChildCount:         {"span:childCount", "childCount", TypeInt},
	TraceDuration:          {"trace:duration", "traceDuration", TypeDuration},
	TraceRootName:          {"trace:rootName", "rootName", TypeString},
	TraceRootService:       {"trace:rootService", "rootServiceName", TypeString},
	TraceID:                {"trace:id", "", TypeString},
	EventName:              {"event:name", "", TypeString},
	EventTimeSinceStart:    {"event:timeSinceStart", "", TypeDuration},
	LinkTraceID:            {"link:traceID", "", TypeString},
	LinkSpanID:             {"link:spanID", "", TypeString},
	InstrumentationName:    {"instrumentation:name", "", TypeString},
	InstrumentationVersion: {"instrumentation:version", "", TypeString},
	NestedSetLeft:          {"", "nestedSetLeft", TypeInt},
	NestedSetRight:         {"", "nestedSetRight", TypeInt},
	NestedSetParent:        {"", "nestedSetParent", TypeInt},
}

// Type returns the type of an intrinsic's values.
func (i Intrinsic) Type() Type { return intrinsics[i].typ }

// String returns the scoped name, as in span:duration, or the only one there is.
func (i Intrinsic) String() string {
	if n := intrinsics[i]; n.scoped != "" {
		return n.scoped
	}
	return intrinsics[i].short
}

// intrinsicNamed returns the intrinsic with a name, scoped or short, or NoIntrinsic.
func intrinsicNamed(name string) (i Intrinsic, short bool) {
	for i, n := range intrinsics {
		if i == int(NoIntrinsic) {
			continue
		}
		if name == n.scoped || name == n.short {
			return Intrinsic(i), name == n.short
		}
	}
	return NoIntrinsic, false
}

// Intrinsics returns the names of all intrinsics, each once, scoped where there is a scope.
func Intrinsics() []string {
	var names []string
	for i := range intrinsics {
		if i != int(NoIntrinsic) {
			names = append(names, Intrinsic(i).String())
		}
	}
	return names
}

// Field is what an expression reads of a span. Fields compare with ==.
type Field struct {
	Scope     Scope
	Parent    bool      // of the parent span, not of the span itself; nil of a root
	Intrinsic Intrinsic // of ScopeIntrinsic, else 0
	Key       string    // the attribute's, of all other scopes
}

// Type returns the type of the field's values: TypeAny of attributes, whose types are those of the data.
func (f Field) Type() Type {
	if f.Scope == ScopeIntrinsic {
		return f.Intrinsic.Type()
	}
	return TypeAny
}

// Many reports whether the field may have several values on one span, one for each event or link; an array is one value.
func (f Field) Many() bool {
	switch f.Intrinsic {
	case EventName, EventTimeSinceStart, LinkTraceID, LinkSpanID:
		return true
	}
	return f.Scope == ScopeEvent || f.Scope == ScopeLink
}

// String returns the field as it is written in a query.
func (f Field) String() string {
	if f.Scope == ScopeIntrinsic {
		if f.Parent {
			return "parent:" + strings.TrimPrefix(f.Intrinsic.String(), "span:")
		}
		return f.Intrinsic.String()
	}
	s := f.Scope.String() + "."
	if f.Parent {
		s = "parent." + strings.TrimPrefix(s, ".")
	}
	return s + quoteKey(f)
}

// quoteKey returns an attribute's key, in quotes where it would be read as something else without.
func quoteKey(f Field) string {
	key := f.Key
	plain := key != "" && !strings.ContainsFunc(key, func(r rune) bool { return !isKeyRune(r) || r == '"' })
	if f.Scope == ScopeAny {
		scope, _, _ := strings.Cut(key, ".")
		plain = plain && !isDigit(key[0]) && (!f.Parent || !slices.Contains(parentScopes, scope))
	}
	if plain {
		return key
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
}

// parentScopes are the scopes that may stand after "parent.".
var parentScopes = []string{"span", "resource", "instrumentation"}
