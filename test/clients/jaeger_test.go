package clients_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/clewtrace/clew/test/clients/known"
)

// jaegerTrace is what Jaeger's query API answers, as far as it is compared here; api/jaeger compares whole answers.
type jaegerTrace struct {
	Data []struct {
		TraceID string
		Spans   []struct {
			TraceID, SpanID, OperationName, ProcessID string
			StartTime, Duration                       uint64
			References                                []struct{ RefType, TraceID, SpanID string }
			Tags                                      []jaegerTag
			Logs                                      []struct {
				Timestamp uint64
				Fields    []jaegerTag
			}
		}
		Processes map[string]struct {
			ServiceName string
			Tags        []jaegerTag
		}
	}
}

type jaegerTag struct {
	Key, Type string
	Value     any
}

// text writes a tag so that two of them can be compared: numbers as they are written.
func (t jaegerTag) text() string { return fmt.Sprintf("%s %s=%v", t.Type, t.Key, t.Value) }

// compareJaeger compares the known trace with Jaeger's form of it, which has microseconds, and fewer types.
func compareJaeger(t *testing.T, want *known.Trace, answer string) {
	t.Helper()
	var got jaegerTrace
	d := json.NewDecoder(strings.NewReader(answer))
	d.UseNumber()
	if err := d.Decode(&got); err != nil || len(got.Data) != 1 {
		t.Fatalf("not one trace in Jaeger's form: %v\n%.1000s", err, answer)
	}
	lines := map[string]bool{}
	for _, s := range got.Data[0].Spans {
		line := func(format string, args ...any) { lines[s.SpanID+" "+fmt.Sprintf(format, args...)] = true }
		line("is %q in %s from %d for %d", s.OperationName, got.Data[0].Processes[s.ProcessID].ServiceName, s.StartTime, s.Duration)
		for _, r := range s.References {
			line("%s %s %s", r.RefType, r.TraceID, r.SpanID)
		}
		for _, tag := range s.Tags {
			line("tag %s", tag.text())
		}
		for _, tag := range got.Data[0].Processes[s.ProcessID].Tags {
			line("process %s", tag.text())
		}
		for _, l := range s.Logs {
			for _, f := range l.Fields {
				line("log %d %s", l.Timestamp, f.text())
			}
		}
	}
	for _, line := range jaegerLines(want) {
		if !lines[line] {
			t.Errorf("Jaeger's form lacks: %s", line)
		}
	}
}

// jaegerLines is what must be in Jaeger's form, a line each.
func jaegerLines(trace *known.Trace) (lines []string) {
	for _, r := range trace.ResourceSpans {
		service, process := "", slices.Clone(r.Resource.Attributes)
		process = slices.DeleteFunc(process, func(a known.Attribute) bool {
			if a.Key == "service.name" {
				service = *a.Value.String
			}
			return a.Key == "service.name"
		})
		for _, scope := range r.ScopeSpans {
			for _, s := range scope.Spans {
				line := func(format string, args ...any) { lines = append(lines, s.SpanID+" "+fmt.Sprintf(format, args...)) }
				if s.End >= s.Start {
					line("is %q in %s from %d for %d", s.Name, service, s.Start/1000, s.End/1000-s.Start/1000)
				}
				if s.ParentID != "" {
					line("CHILD_OF %s %s", s.TraceID, s.ParentID)
				}
				for _, l := range s.Links {
					line("FOLLOWS_FROM %s %s", strings.TrimPrefix(l.TraceID, "0000000000000000"), l.SpanID) // a short ID is written short
				}
				for _, tag := range jaegerTags(s.Attributes) {
					line("tag %s", tag)
				}
				for _, tag := range jaegerTags(process) {
					line("process %s", tag)
				}
				for _, e := range s.Events {
					if e.Name != "" {
						line("log %d string event=%s", e.Time/1000, e.Name)
					}
					for _, tag := range jaegerTags(e.Attributes) {
						line("log %d %s", e.Time/1000, tag)
					}
				}
			}
		}
	}
	return lines
}

// jaegerTags returns the attributes of the types that both have.
func jaegerTags(attributes []known.Attribute) (tags []string) {
	for _, a := range attributes {
		switch v := a.Value; {
		case v.String != nil:
			tags = append(tags, jaegerTag{a.Key, "string", *v.String}.text())
		case v.Bool != nil:
			tags = append(tags, jaegerTag{a.Key, "bool", *v.Bool}.text())
		case v.Int != nil && *v.Int < 1<<53 && *v.Int > -1<<53: // beyond, Jaeger's own answer is a text
			tags = append(tags, jaegerTag{a.Key, "int64", *v.Int}.text())
		case v.Double != nil && a.Key == "double":
			tags = append(tags, jaegerTag{a.Key, "float64", strconv.FormatFloat(float64(*v.Double), 'g', -1, 64)}.text())
		}
	}
	return tags
}
