package trace

import "time"

// Kind is a span's kind, with OTLP's numbers. Other numbers may come over the wire and are kept.
type Kind uint8

// The kinds of span.
const (
	KindUnspecified Kind = iota
	KindInternal
	KindServer
	KindClient
	KindProducer
	KindConsumer
)

var kindNames = [...]string{"unspecified", "internal", "server", "client", "producer", "consumer"}

// String returns the kind in lower case; unknown numbers are "unspecified".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[0]
}

// ParseKind returns the kind with a name as String gives it, in any case.
func ParseKind(s string) (Kind, bool) {
	for i, n := range kindNames {
		if equalFold(n, s) {
			return Kind(i), true
		}
	}
	return 0, false
}

func equalFold(lower, s string) bool {
	if len(lower) != len(s) {
		return false
	}
	for i := range len(s) {
		if s[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// StatusCode is a span's status, with OTLP's numbers.
type StatusCode uint8

// The status codes.
const (
	StatusUnset StatusCode = iota
	StatusOK
	StatusError
)

// String returns unset, ok or error.
func (c StatusCode) String() string {
	switch c {
	case StatusOK:
		return "ok"
	case StatusError:
		return "error"
	}
	return "unset"
}

// Resource is what emitted a span: a process, a pod. Spans of one batch share it by pointer.
type Resource struct {
	Attrs     []Attr
	Dropped   uint32 // attributes the sender left out
	SchemaURL string
}

// Service returns the resource's service.name as text, or "unknown_service" as OpenTelemetry's SDKs call it.
func (r *Resource) Service() string {
	if r != nil {
		if v, ok := Get(r.Attrs, "service.name"); ok && v.Text() != "" {
			return v.Text()
		}
	}
	return UnknownService
}

// UnknownService is the service of spans whose resource has no service.name.
const UnknownService = "unknown_service"

// Scope is the instrumentation library that made a span. Spans of one batch share it by pointer.
type Scope struct {
	Name, Version string
	Attrs         []Attr
	Dropped       uint32
	SchemaURL     string
}

// Event is something that happened at a moment in a span.
type Event struct {
	Time    uint64 // Unix ns
	Name    string
	Attrs   []Attr
	Dropped uint32
}

// Link points to a span of the same or another trace.
type Link struct {
	TraceID ID
	SpanID  SpanID
	State   string // W3C tracestate
	Flags   uint32
	Attrs   []Attr
	Dropped uint32
}

// Span is one span, whole. Resource and Scope are never nil in spans that a store or a decoder returns.
type Span struct {
	TraceID       ID
	ID            SpanID
	Parent        SpanID // zero: a root
	State         string // W3C tracestate
	Flags         uint32 // W3C trace flags, and OTLP's "parent is remote" bits
	Name          string
	Kind          Kind
	Start, End    uint64 // Unix ns; End may lie before Start when the sender said so
	Attrs         []Attr
	Dropped       uint32
	Events        []Event
	DroppedEvents uint32
	Links         []Link
	DroppedLinks  uint32
	Status        StatusCode
	StatusMessage string
	Resource      *Resource
	Scope         *Scope
}

// Duration returns End - Start, and 0 when End lies before Start or more than the 292 years behind it that a Duration can say.
func (s *Span) Duration() time.Duration { return max(0, time.Duration(s.End-s.Start)) }

// Service returns the name of the service that emitted the span.
func (s *Span) Service() string { return s.Resource.Service() }

// Trace is the spans with one trace ID that a store has, in no particular order; see Arrange.
type Trace struct {
	ID    ID
	Spans []Span
}

// Range is a span of time in Unix ns, both ends inclusive; a zero To has no end.
type Range struct{ From, To uint64 }

// Contains reports whether t lies in the range.
func (r Range) Contains(t uint64) bool { return t >= r.From && (r.To == 0 || t <= r.To) }

// Overlaps reports whether any moment from lo to hi lies in the range.
func (r Range) Overlaps(lo, hi uint64) bool { return hi >= r.From && (r.To == 0 || lo <= r.To) }
