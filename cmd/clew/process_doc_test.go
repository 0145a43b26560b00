package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
)

// TestProcessingDocument runs the examples of docs/processing.md: a configuration, and what it makes of spans.
func TestProcessingDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/processing.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```\n\n```spans\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if yamls := strings.Count(string(doc), "```yaml"); len(examples) != yamls || yamls < 8 {
		t.Errorf("%d of %d configurations have spans under them", len(examples), yamls)
	}
	for _, e := range examples {
		c, _, err := loaded(t, e[1], nil)
		if err == nil {
			err = c.validate()
		}
		if err != nil {
			t.Errorf("%s: %v", e[1], err)
			continue
		}
		runExample(t, c, strings.Split(strings.TrimSpace(e[2]), "\n"))
	}
}

// shown remembers the spans that it is given, by the last byte of their IDs.
type shown map[int]string

func (s shown) Append(_ context.Context, b *trace.Batch) error {
	spans, err := b.Decode()
	for i := range spans {
		s[int(spans[i].ID[7])] = show(&spans[i])
	}
	return err
}

func runExample(t *testing.T, c *config, lines []string) {
	t.Helper()
	var spans []trace.Span
	for i, line := range lines {
		before, _, ok := strings.Cut(line, " => ")
		if !ok {
			t.Fatalf("%s: has no =>", line)
		}
		spans = append(spans, spanOf(t, before, byte(i)))
	}
	var b trace.Batch
	if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	got := shown{}
	chain := c.processed(got, receive.NewBodies(1<<20, 1<<24), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err := chain.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		_, want, _ := strings.Cut(line, " => ")
		now, there := got[i]
		if !there {
			now = "dropped"
			if b.Refused.Total() > 0 {
				now = "refused"
			}
		}
		if now != want {
			t.Errorf("%s\n got %s", line, now)
		}
	}
}

var written = regexp.MustCompile(`^([^:[]+)(?:\[(.*?)\])?: (.*?) \{(.*)\}$`)

// spanOf reads service[resource attributes]: name {attributes}.
func spanOf(t *testing.T, text string, n byte) trace.Span {
	t.Helper()
	m := written.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s: want service: name {attributes}", text)
	}
	s := trace.Span{TraceID: trace.ID{0: 1, 15: n}, ID: trace.SpanID{0: 1, 7: n}, Name: m[3], Start: 1e18, End: 1e18 + 1e9, Scope: &trace.Scope{}}
	s.Resource = &trace.Resource{Attrs: append([]trace.Attr{{Key: "service.name", Value: trace.String(m[1])}}, attrsOf(m[2])...)}
	for _, a := range attrsOf(m[4]) {
		switch a.Key {
		case "trace_id":
			id, err := hex.DecodeString(a.Value.Str())
			if err != nil {
				t.Fatal(err)
			}
			s.TraceID = trace.ID(id)
		case "tracestate":
			s.State = a.Value.Str()
		default:
			s.Attrs = append(s.Attrs, a)
		}
	}
	return s
}

func attrsOf(text string) (out []trace.Attr) {
	for pair := range strings.SplitSeq(text, ", ") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			out = append(out, trace.Attr{Key: key, Value: trace.String(value)})
		}
	}
	return out
}

// show writes a span as spanOf reads it, without its trace ID.
func show(s *trace.Span) string {
	texts := func(attrs []trace.Attr) string {
		var out []string
		for _, a := range attrs {
			out = append(out, a.Key+"="+a.Value.Text())
		}
		return strings.Join(out, ", ")
	}
	resource, attrs := texts(s.Resource.Attrs[1:]), s.Attrs
	if resource != "" {
		resource = "[" + resource + "]"
	}
	if s.State != "" {
		attrs = append(attrs, trace.Attr{Key: "tracestate", Value: trace.String(s.State)})
	}
	return fmt.Sprintf("%s%s: %s {%s}", s.Service(), resource, s.Name, texts(attrs))
}
