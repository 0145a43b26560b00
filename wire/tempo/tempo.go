// Package tempo is the messages of Tempo's query API: what its clients ask, read from protobuf, and the answers, as protobuf and as the JSON that
// protobuf's mapping makes of it. They have no field that Tempo's do not have: Grafana refuses an answer with one that it does not know.
//
// Source: the package tempopb, tempo.proto, of Tempo 3.0, which is licensed under Apache-2.0 other than the rest of Tempo.
package tempo

import (
	"math"

	"github.com/clewtrace/clew/trace"
)

// Search is a SearchResponse.
type Search struct {
	Traces  []Trace
	Metrics Metrics
}

// Trace is a TraceSearchMetadata: what a list of traces shows.
type Trace struct {
	ID                    trace.ID
	RootService, RootName string
	Start                 uint64 // Unix ns
	Duration              uint64 // ns
	Sets                  []SpanSet
	Services              []Service
}

// SpanSet is spans of a trace that match.
type SpanSet struct {
	Spans   []Span // some of them
	Matched int    // how many there are
	Attrs   []trace.Attr
}

// Span is a span in a SpanSet, with the attributes that the question is about.
type Span struct {
	ID              trace.SpanID
	Name            string
	Start, Duration uint64 // Unix ns, ns
	Attrs           []trace.Attr
}

// Service is a service's part in a trace.
type Service struct {
	Name          string
	Spans, Errors int
}

// Metrics is a SearchMetrics, or a MetadataMetrics: what an answer cost. It has the fields that Grafana has known for long.
type Metrics struct {
	// Incomplete is why something was left out, for which most answers have no field; empty: nothing was.
	Incomplete string

	Traces           int   // looked at
	Bytes            int64 // read
	Blocks           int   // there are, those that needed no reading among them
	Jobs, JobsOfWhat int   // done, of how many: what Grafana shows as progress
}

// Tags is a SearchTagsV2Response: names of attributes by scope.
type Tags struct {
	Scopes  []Scope
	Metrics Metrics
}

// Scope is the names of attributes in one scope.
type Scope struct {
	Name string
	Tags []string
}

// Names is a SearchTagsResponse or, with Values, a SearchTagValuesResponse.
type Names struct {
	Values  bool
	Names   []string
	Metrics Metrics
}

// Values is a SearchTagValuesV2Response: values with their types.
type Values struct {
	Values  []Value
	Metrics Metrics
}

// Value is a value of an attribute as text, and its type: string, int, float, bool, duration or keyword.
type Value struct{ Type, Text string }

// Range is a QueryRangeResponse: series over time.
type Range struct {
	Series  []Series
	Metrics Metrics // Incomplete is a part of the message
}

// Series is a TimeSeries or, with one sample that has no time, an InstantSeries.
type Series struct {
	Labels    []trace.Attr
	Samples   []Sample
	Exemplars []Exemplar
}

// Sample is a value at a time.
type Sample struct {
	Time  int64 // Unix ms
	Value float64
}

// Exemplar is a span that is part of a sample: its trace is among the labels.
type Exemplar struct {
	Labels []trace.Attr
	Sample
}

// Instant is a QueryInstantResponse: a value of each series.
type Instant struct {
	Series  []Series // of one sample
	Metrics Metrics  // Incomplete is a part of the message
}

// ms returns ns in ms, as durationMs can say it: its 49 days must not begin anew.
func ms(ns uint64) uint32 { return uint32(min(ns/1e6, math.MaxUint32)) }

// Why returns why something was left out, as do the others.
func (s *Search) Why() string { return s.Metrics.Incomplete }

// Why returns why something was left out.
func (t *Tags) Why() string { return t.Metrics.Incomplete }

// Why returns why something was left out.
func (n *Names) Why() string { return n.Metrics.Incomplete }

// Why returns why something was left out.
func (v *Values) Why() string { return v.Metrics.Incomplete }

// Why returns why something was left out.
func (r *Range) Why() string { return r.Metrics.Incomplete }

// Why returns why something was left out.
func (i *Instant) Why() string { return i.Metrics.Incomplete }
