// Package jaeger turns spans into the JSON that Jaeger's query service answers with, and its UI and Grafana read.
//
// The mapping is that of OpenTelemetry's Jaeger translation: parents become CHILD_OF references, links FOLLOWS_FROM, events logs,
// resource attributes the process's tags.
package jaeger

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/clewtrace/clew/trace"
)

// Trace is one trace.
type Trace struct {
	TraceID   string             `json:"traceID"`
	Spans     []Span             `json:"spans"`
	Processes map[string]Process `json:"processes"`
	Warnings  []string           `json:"warnings"`
}

// Span is one span; times are µs.
type Span struct {
	TraceID       string      `json:"traceID"`
	SpanID        string      `json:"spanID"`
	Flags         uint32      `json:"flags,omitempty"`
	OperationName string      `json:"operationName"`
	References    []Reference `json:"references"`
	StartTime     uint64      `json:"startTime"`
	Duration      uint64      `json:"duration"`
	Tags          []KeyValue  `json:"tags"`
	Logs          []Log       `json:"logs"`
	ProcessID     string      `json:"processID"`
	Warnings      []string    `json:"warnings"`
}

// Reference is a parent or a link.
type Reference struct {
	RefType string `json:"refType"`
	TraceID string `json:"traceID"`
	SpanID  string `json:"spanID"`
}

// KeyValue is a tag. Type is string, bool, int64, float64 or binary (Value in base64).
type KeyValue struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// Log is an event; Timestamp is µs.
type Log struct {
	Timestamp uint64     `json:"timestamp"`
	Fields    []KeyValue `json:"fields"`
}

// Process is a service and its tags.
type Process struct {
	ServiceName string     `json:"serviceName"`
	Tags        []KeyValue `json:"tags"`
}

// Encode returns a trace in Jaeger's form, spans in tree pre-order. As Jaeger's query service does it, server spans that share their
// client's ID, which is Zipkin's way, get an ID of their own and the client as parent, and what was mended is in the warnings.
// raw leaves all as it came.
func Encode(t *trace.Trace, raw bool) Trace {
	out := Trace{TraceID: FormatID(t.ID), Spans: make([]Span, 0, len(t.Spans)), Processes: map[string]Process{}}
	processes := map[*trace.Resource]string{}
	bodies := map[string]string{} // equal resources of different batches are one process
	tree := trace.Arrange(t.Spans)
	ids := identify(t.Spans, tree)
	for row, r := range tree.Rows {
		if r.Span < 0 {
			continue
		}
		s := &t.Spans[r.Span]
		p, ok := processes[s.Resource]
		if !ok {
			body := string(trace.AppendResource(nil, s.Resource))
			if p, ok = bodies[body]; !ok {
				p = fmt.Sprint("p", len(bodies)+1)
				bodies[body] = p
				out.Processes[p] = process(s.Resource)
			}
			processes[s.Resource] = p
		}
		id, parent := s.ID, s.Parent
		var warnings []string
		if !raw {
			id = ids[row]
			switch {
			case r.Parent >= 0 && tree.Rows[r.Parent].Span >= 0:
				parent = ids[r.Parent]
			case r.Parent < 0 && !parent.IsZero():
				parent = trace.SpanID{}
				warnings = append(warnings, "its parent is itself or among its descendants; shown without a parent")
			}
			if s.End < s.Start {
				warnings = append(warnings, fmt.Sprintf("ends %d ns before it starts; shown with duration 0", s.Start-s.End))
			}
		}
		e := encode(s, id, parent)
		e.ProcessID, e.Warnings = p, warnings
		out.Spans = append(out.Spans, e)
	}
	return out
}

// identify returns an ID for each row: its own, or one that is free for a server span below the client that it shares it with.
func identify(spans []trace.Span, tree trace.Tree) []trace.SpanID {
	ids := make([]trace.SpanID, len(tree.Rows))
	taken := map[trace.SpanID]bool{}
	for i, r := range tree.Rows {
		ids[i] = r.ID
		taken[r.ID] = true
	}
	next := uint64(0)
	for i, r := range tree.Rows {
		if r.Parent < 0 || r.Span < 0 || tree.Rows[r.Parent].ID != r.ID || spans[r.Span].Kind != trace.KindServer {
			continue
		}
		for free := false; !free; free = !taken[ids[i]] {
			next++
			binary.BigEndian.PutUint64(ids[i][:], next)
		}
	}
	return ids
}

// FormatID returns a trace ID as Jaeger writes it: 16 digits if the first half is zero, else 32.
func FormatID(id trace.ID) string {
	if [8]byte(id[:8]) == [8]byte{} {
		return hex.EncodeToString(id[8:])
	}
	return id.String()
}

func process(r *trace.Resource) Process {
	p := Process{ServiceName: r.Service(), Tags: []KeyValue{}}
	for _, a := range r.Attrs {
		if a.Key != "service.name" {
			p.Tags = append(p.Tags, keyValue(a))
		}
	}
	return p
}

func encode(s *trace.Span, id, parent trace.SpanID) Span {
	out := Span{
		TraceID: FormatID(s.TraceID), SpanID: id.String(), Flags: s.Flags & flagSampled, OperationName: s.Name, References: []Reference{},
		StartTime: s.Start / 1000, Logs: []Log{}, Tags: tags(s),
	}
	if s.End > s.Start {
		out.Duration = (s.End - s.Start) / 1000
	}
	if !parent.IsZero() {
		out.References = append(out.References, Reference{"CHILD_OF", out.TraceID, parent.String()})
	}
	for _, l := range s.Links {
		if !parent.IsZero() && l.TraceID == s.TraceID && l.SpanID == s.Parent { // tells more of the parent: in what way it is one
			out.References[0].RefType = refType(l)
			continue
		}
		out.References = append(out.References, Reference{refType(l), FormatID(l.TraceID), l.SpanID.String()})
	}
	for _, e := range s.Events {
		log := Log{Timestamp: e.Time / 1000, Fields: []KeyValue{}}
		if _, named := trace.Get(e.Attrs, "event"); e.Name != "" && !named {
			log.Fields = append(log.Fields, text("event", e.Name))
		}
		for _, a := range e.Attrs {
			log.Fields = append(log.Fields, keyValue(a))
		}
		out.Logs = append(out.Logs, log)
	}
	return out
}

// flagSampled is the one W3C flag that Jaeger shows.
const flagSampled = 1

// refType returns what a link is: FOLLOWS_FROM unless the attribute that OpenTracing's bridge sets says otherwise.
func refType(l trace.Link) string {
	if v, ok := trace.Get(l.Attrs, "opentracing.ref_type"); ok && v.Text() == "child_of" {
		return "CHILD_OF"
	}
	return "FOLLOWS_FROM"
}

func tags(s *trace.Span) []KeyValue {
	out := make([]KeyValue, 0, len(s.Attrs)+4)
	if s.Scope.Name != "" {
		out = append(out, text("otel.scope.name", s.Scope.Name))
	}
	if s.Scope.Version != "" {
		out = append(out, text("otel.scope.version", s.Scope.Version))
	}
	for _, a := range s.Attrs {
		out = append(out, keyValue(a))
	}
	if s.Kind != trace.KindUnspecified {
		out = append(out, text("span.kind", s.Kind.String()))
	}
	switch s.Status {
	case trace.StatusOK:
		out = append(out, text("otel.status_code", "OK"))
	case trace.StatusError:
		out = append(out, text("otel.status_code", "ERROR"))
		if v, ok := trace.Get(s.Attrs, "error"); !ok || v.Text() != "true" {
			out = append(out, KeyValue{"error", "bool", true})
		}
	}
	if s.StatusMessage != "" {
		out = append(out, text("otel.status_description", s.StatusMessage))
	}
	if s.State != "" {
		out = append(out, text("w3c.tracestate", s.State))
	}
	return out
}

// maxSafe is the largest integer that a browser's numbers hold exactly; Jaeger writes what is beyond it as text.
const maxSafe = 1<<53 - 1

func text(k, v string) KeyValue { return KeyValue{k, "string", v} }

func keyValue(a trace.Attr) KeyValue {
	switch a.Value.Type() {
	case trace.TypeBool:
		return KeyValue{a.Key, "bool", a.Value.Bool()}
	case trace.TypeInt:
		if i := a.Value.Int(); i > maxSafe || i < -maxSafe {
			return KeyValue{a.Key, "int64", a.Value.Text()}
		}
		return KeyValue{a.Key, "int64", a.Value.Int()}
	case trace.TypeDouble:
		if f := a.Value.Double(); f-f == 0 { // JSON has no NaN and no infinity
			return KeyValue{a.Key, "float64", f}
		}
	case trace.TypeBytes:
		return KeyValue{a.Key, "binary", base64.StdEncoding.EncodeToString([]byte(a.Value.Str()))}
	}
	return text(a.Key, a.Value.Text())
}
