// Package known is the known trace as OTLP/JSON: what a client is told to send, and what must come back.
//
// Its types are written down once more, apart from Clew's own, so that a mistake there is not made here as well.
package known

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Trace is an ExportTraceServiceRequest. Limits is for the clients alone: the limits of spans that make their SDK drop the rest.
type Trace struct {
	Limits        *Limits         `json:"limits,omitempty"`
	ResourceSpans []ResourceSpans `json:"resourceSpans"`
}

// Limits are how many of each a span, an event or a link may have.
type Limits struct {
	Attributes      int `json:"attributes"`
	Events          int `json:"events"`
	Links           int `json:"links"`
	EventAttributes int `json:"eventAttributes"`
	LinkAttributes  int `json:"linkAttributes"`
}

// ResourceSpans are a resource and what it sent.
type ResourceSpans struct {
	Resource   Resource     `json:"resource"`
	ScopeSpans []ScopeSpans `json:"scopeSpans"`
	SchemaURL  string       `json:"schemaUrl,omitempty"`
}

// Resource is OTLP's message of that name, as are the following types.
type Resource struct {
	Attributes []Attribute `json:"attributes,omitempty"`
	Dropped    uint32      `json:"droppedAttributesCount,omitempty"`
}

// ScopeSpans are a scope and its spans.
type ScopeSpans struct {
	Scope     Scope  `json:"scope"`
	Spans     []Span `json:"spans"`
	SchemaURL string `json:"schemaUrl,omitempty"`
}

// Scope is an instrumentation scope.
type Scope struct {
	Name       string      `json:"name,omitempty"`
	Version    string      `json:"version,omitempty"`
	Attributes []Attribute `json:"attributes,omitempty"`
	Dropped    uint32      `json:"droppedAttributesCount,omitempty"`
}

// Span is a span. Times are Unix nanoseconds; in testdata they count from the trace's start.
type Span struct {
	TraceID       string      `json:"traceId"`
	SpanID        string      `json:"spanId"`
	ParentID      string      `json:"parentSpanId,omitempty"`
	TraceState    string      `json:"traceState,omitempty"`
	Flags         uint32      `json:"flags,omitempty"`
	Name          string      `json:"name"`
	Kind          int32       `json:"kind,omitempty"`
	Start         uint64      `json:"startTimeUnixNano,string"`
	End           uint64      `json:"endTimeUnixNano,string"`
	Attributes    []Attribute `json:"attributes,omitempty"`
	Dropped       uint32      `json:"droppedAttributesCount,omitempty"`
	Events        []Event     `json:"events,omitempty"`
	DroppedEvents uint32      `json:"droppedEventsCount,omitempty"`
	Links         []Link      `json:"links,omitempty"`
	DroppedLinks  uint32      `json:"droppedLinksCount,omitempty"`
	Status        Status      `json:"status"`
}

// Event is a span's event.
type Event struct {
	Time       uint64      `json:"timeUnixNano,string"`
	Name       string      `json:"name,omitempty"`
	Attributes []Attribute `json:"attributes,omitempty"`
	Dropped    uint32      `json:"droppedAttributesCount,omitempty"`
}

// Link is a span's link.
type Link struct {
	TraceID    string      `json:"traceId"`
	SpanID     string      `json:"spanId"`
	TraceState string      `json:"traceState,omitempty"`
	Flags      uint32      `json:"flags,omitempty"`
	Attributes []Attribute `json:"attributes,omitempty"`
	Dropped    uint32      `json:"droppedAttributesCount,omitempty"`
}

// Status is a span's status.
type Status struct {
	Message string `json:"message,omitempty"`
	Code    int32  `json:"code,omitempty"`
}

// Attribute is a key and its value.
type Attribute struct {
	Key   string `json:"key"`
	Value Value  `json:"value"`
}

// Value is an AnyValue: at most one of its fields is set.
type Value struct {
	String *string `json:"stringValue,omitempty"`
	Bool   *bool   `json:"boolValue,omitempty"`
	Int    *int64  `json:"intValue,omitempty,string"`
	Double *Double `json:"doubleValue,omitempty"`
	Bytes  *[]byte `json:"bytesValue,omitempty"`
	Array  *Array  `json:"arrayValue,omitempty"`
	Map    *Map    `json:"kvlistValue,omitempty"`
}

// Array is a list of values.
type Array struct {
	Values []Value `json:"values"`
}

// Map is a list of keys and values.
type Map struct {
	Values []Attribute `json:"values"`
}

// Double is a number that may be none.
type Double float64

// UnmarshalJSON reads a number, or "NaN", "Infinity" or "-Infinity".
func (d *Double) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	*d = Double(f)
	return err
}

// MarshalJSON writes what UnmarshalJSON reads.
func (d Double) MarshalJSON() ([]byte, error) {
	switch f := float64(d); {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(f)
	}
}

// Parse reads a trace. A field that is not known here is an error: nothing may be left uncompared.
func Parse(text string) (*Trace, error) {
	t := new(Trace)
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(t); err != nil {
		return nil, fmt.Errorf("read a trace: %w\n%.1000s", err, text)
	}
	return t, nil
}

// Read reads a trace from a file.
func Read(path string) (*Trace, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(string(text))
}

// EachSpan calls fn for each span.
func (t *Trace) EachSpan(fn func(*Span)) {
	for i := range t.ResourceSpans {
		for j := range t.ResourceSpans[i].ScopeSpans {
			spans := t.ResourceSpans[i].ScopeSpans[j].Spans
			for k := range spans {
				fn(&spans[k])
			}
		}
	}
}

// RemoveSpans removes the spans that fn says are wrong.
func (t *Trace) RemoveSpans(wrong func(Span) bool) {
	for i := range t.ResourceSpans {
		for j := range t.ResourceSpans[i].ScopeSpans {
			scope := &t.ResourceSpans[i].ScopeSpans[j]
			scope.Spans = slices.DeleteFunc(scope.Spans, wrong)
		}
	}
}

// At moves the trace to a start, Unix nanoseconds, and gives it an ID, also where its own spans are linked to.
func (t *Trace) At(start uint64, id string) {
	old := ""
	t.EachSpan(func(s *Span) {
		old = s.TraceID
		s.TraceID = id
		s.Start += start
		s.End += start
		for i := range s.Events {
			s.Events[i].Time += start
		}
	})
	t.EachSpan(func(s *Span) {
		for i := range s.Links {
			if s.Links[i].TraceID == old {
				s.Links[i].TraceID = id
			}
		}
	})
}

// Tighten sets the limits to what the fullest spans, events and links have, so that whatever an SDK is given beyond is dropped.
func (t *Trace) Tighten() {
	var l Limits
	t.EachSpan(func(s *Span) {
		l.Attributes = max(l.Attributes, len(s.Attributes))
		l.Events = max(l.Events, len(s.Events))
		l.Links = max(l.Links, len(s.Links))
		for _, e := range s.Events {
			l.EventAttributes = max(l.EventAttributes, len(e.Attributes))
		}
		for _, k := range s.Links {
			l.LinkAttributes = max(l.LinkAttributes, len(k.Attributes))
		}
	})
	t.Limits = &l
}
