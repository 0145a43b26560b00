// Package jaeger turns spans into the JSON that Jaeger's query service answers with, and its UI and Grafana read.
//
// The mapping is that of OpenTelemetry's Jaeger translation: parents become CHILD_OF references, links FOLLOWS_FROM, events logs,
// resource attributes the process's tags.
package jaeger

import (
	"encoding/base64"
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

// Encode returns a trace in Jaeger's form.
func Encode(t *trace.Trace) Trace {
	out := Trace{TraceID: t.ID.String(), Spans: make([]Span, len(t.Spans)), Processes: map[string]Process{}}
	processes := map[*trace.Resource]string{}
	bodies := map[string]string{} // equal resources of different batches are one process
	for i := range t.Spans {
		s := &t.Spans[i]
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
		out.Spans[i] = encode(s, p)
	}
	return out
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

func encode(s *trace.Span, process string) Span {
	out := Span{
		TraceID: s.TraceID.String(), SpanID: s.ID.String(), Flags: s.Flags & 0xff, OperationName: s.Name, References: []Reference{},
		StartTime: s.Start / 1000, Duration: uint64(s.Duration()) / 1000, Logs: []Log{}, ProcessID: process, Tags: tags(s),
	}
	if !s.Parent.IsZero() {
		out.References = append(out.References, Reference{"CHILD_OF", out.TraceID, s.Parent.String()})
	}
	for _, l := range s.Links {
		out.References = append(out.References, Reference{"FOLLOWS_FROM", l.TraceID.String(), l.SpanID.String()})
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

func text(k, v string) KeyValue { return KeyValue{k, "string", v} }

func keyValue(a trace.Attr) KeyValue {
	switch a.Value.Type() {
	case trace.TypeBool:
		return KeyValue{a.Key, "bool", a.Value.Bool()}
	case trace.TypeInt:
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
