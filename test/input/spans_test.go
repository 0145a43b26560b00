package input_test

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// wrong is a trace in which something is wrong or unusual.
type wrong struct {
	name   string
	spans  func(id trace.ID) []trace.Span
	kept   int    // spans that can be read back
	reason string // of the refused ones
	n      int    // how many are refused
}

// change returns three spans of which the second is changed: what is wrong with it must not touch its neighbours.
func change(f func(s *trace.Span)) func(trace.ID) []trace.Span {
	return func(id trace.ID) []trace.Span {
		spans := []trace.Span{good(id, 1), good(id, 2), good(id, 3)}
		f(&spans[1])
		return spans
	}
}

func value(v trace.Value) func(trace.ID) []trace.Span {
	return change(func(s *trace.Span) { s.Attrs = []trace.Attr{{Key: "k", Value: v}} })
}

func nested(depth int) trace.Value {
	v := trace.Int(1)
	for range depth {
		v = trace.Array(v)
	}
	return v
}

func wrongs() []wrong {
	hour := uint64(time.Hour)
	bad := "a\xff\xc0b\x00"
	return []wrong{
		{"start 0", change(func(s *trace.Span) { s.Start = 0 }), 2, "no_start_time", 1},
		{"start in 1970", change(func(s *trace.Span) { s.Start = 1 }), 2, "too_old", 1},
		{"start a year ago", change(func(s *trace.Span) { s.Start -= 365 * 24 * hour }), 2, "too_old", 1},
		{"start in 25 hours", change(func(s *trace.Span) { s.Start += 25 * hour }), 2, "in_the_future", 1},
		{"start at the end of time", change(func(s *trace.Span) { s.Start = math.MaxUint64 }), 2, "in_the_future", 1},
		{"end before start", change(func(s *trace.Span) { s.End = s.Start - hour }), 3, "", 0},
		{"end 0", change(func(s *trace.Span) { s.End = 0 }), 3, "", 0},
		{"end at the end of time", change(func(s *trace.Span) { s.End = math.MaxUint64 }), 3, "", 0},
		{"events and links at any time", change(func(s *trace.Span) {
			s.Events = []trace.Event{{}, {Time: math.MaxUint64}, {Time: 1, Name: bad}}
			s.Links = []trace.Link{{}, {State: bad}}
		}), 3, "", 0},
		{"no trace ID", change(func(s *trace.Span) { s.TraceID = trace.ID{} }), 2, "bad_trace_id", 1},
		{"no span ID", change(func(s *trace.Span) { s.ID = trace.SpanID{} }), 2, "bad_span_id", 1},
		{"two spans with one ID", change(func(s *trace.Span) { s.ID, s.Name = trace.SpanID{7: 1}, "other" }), 3, "", 0},
		{"one span twice", func(id trace.ID) []trace.Span {
			s := good(id, 1)
			return []trace.Span{s, s, good(id, 2)}
		}, 2, "", 0},
		{"its own parent", change(func(s *trace.Span) { s.Parent = s.ID }), 3, "", 0},
		{"a cycle", func(id trace.ID) []trace.Span {
			spans := []trace.Span{good(id, 1), good(id, 2), good(id, 3)}
			for i := range spans {
				spans[i].Parent = spans[(i+1)%3].ID
			}
			return spans
		}, 3, "", 0},
		{"a parent that is missing", change(func(s *trace.Span) { s.Parent = trace.SpanID{9} }), 3, "", 0},
		{"not UTF-8", change(func(s *trace.Span) {
			s.Name, s.State, s.StatusMessage, s.Status = bad, bad, bad, trace.StatusError
			s.Attrs = []trace.Attr{{Key: bad, Value: trace.String(bad)}, {Key: "m", Value: trace.Map(trace.Attr{Key: bad, Value: trace.Array(trace.String(bad))})}}
			s.Resource = &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(bad)}, {Key: bad, Value: trace.Bytes([]byte(bad))}}, SchemaURL: bad}
			s.Scope = &trace.Scope{Name: bad, Version: bad, SchemaURL: bad}
		}), 3, "", 0},
		{"text that breaks pages", change(func(s *trace.Span) { s.Name = "</script><img src=x onerror=alert(1)>\u2028\u202e\x00" }), 3, "", 0},
		{"numbers that JSON has not", change(func(s *trace.Span) {
			s.Attrs = []trace.Attr{{Key: "nan", Value: trace.Double(math.NaN())}, {Key: "inf", Value: trace.Double(math.Inf(1))}, {Key: "list", Value: trace.Array(trace.Double(math.Inf(-1)))}}
		}), 3, "", 0},
		{"10 MB in one value", value(trace.String(strings.Repeat("x", 10_000_000))), 3, "", 0},
		{"10 MB of bytes", value(trace.Bytes(make([]byte, 10_000_000))), 3, "", 0},
		{"17 MiB in one value", value(trace.String(strings.Repeat("x", 17<<20))), 2, "span_too_large", 1},
		{"a name of 1 MB", change(func(s *trace.Span) { s.Name = strings.Repeat("name ", 200_000) }), 3, "", 0},
		{"a key of 1 MB", change(func(s *trace.Span) { s.Attrs = []trace.Attr{{Key: strings.Repeat("k", 1_000_000)}} }), 3, "", 0},
		{"10,000 attributes", change(func(s *trace.Span) {
			for i := range 10_000 {
				s.Attrs = append(s.Attrs, trace.Attr{Key: fmt.Sprint("attribute.", i), Value: trace.Int(int64(i))})
			}
		}), 3, "", 0},
		{"10,000 attributes of one key", change(func(s *trace.Span) {
			for i := range 10_000 {
				s.Attrs = append(s.Attrs, trace.Attr{Key: "k", Value: trace.Int(int64(i))})
			}
		}), 3, "", 0},
		{"10,000 events and links", change(func(s *trace.Span) {
			s.Events, s.Links = make([]trace.Event, 10_000), make([]trace.Link, 10_000)
		}), 3, "", 0},
		{"300,000 attributes", change(func(s *trace.Span) {
			for i := range 300_000 {
				s.Attrs = append(s.Attrs, trace.Attr{Key: fmt.Sprint("a", i), Value: trace.Int(int64(i))})
			}
		}), 2, "too_many_items", 1},
		{"arrays 64 deep", value(nested(64)), 3, "", 0},
		{"arrays 65 deep", value(nested(65)), 2, "too_deep", 1},
		{"arrays 10,000 deep", value(nested(10_000)), 2, "too_deep", 1},
		{"100,000 spans", func(id trace.ID) []trace.Span {
			spans := make([]trace.Span, 100_000)
			for i := range spans {
				spans[i] = good(id, 0)
				spans[i].ID = trace.SpanID{1, byte(i >> 16), byte(i >> 8), byte(i)}
				if i > 0 { // a chain: each the child of the one before
					spans[i].Parent, spans[i].Resource, spans[i].Scope = spans[i-1].ID, spans[0].Resource, spans[0].Scope
				}
			}
			return spans
		}, 100_000, "", 0},
	}
}

// TestSpans sends each of them, and reads all back: from memory, when the server was killed and what was acknowledged came from the log, and from blocks after a stop.
func TestSpans(t *testing.T) {
	s := testkit.Start(t)
	list := wrongs()
	ids := make([]trace.ID, len(list))
	for i, w := range list {
		ids[i] = newID()
		before := counters(t, s)
		spans := w.spans(ids[i])
		refused, message := send(t, s, spans)
		if refused != w.n || (message == "") != (w.n == 0) {
			t.Errorf("%s: %d refused, %.200q; want %d", w.name, refused, message, w.n)
		}
		after := counters(t, s)
		stored, received := `clew_stored_spans_total{protocol="otlp/http"}`, `clew_received_spans_total{protocol="otlp/http"}`
		reason := fmt.Sprintf(`clew_refused_spans_total{protocol="otlp/http",reason=%q}`, w.reason)
		if got := after[received] - before[received]; got != len(spans) {
			t.Errorf("%s: %d were counted as received; want %d", w.name, got, len(spans))
		}
		if got := after[stored] - before[stored]; got != len(spans)-w.n {
			t.Errorf("%s: %d were counted as stored; want %d", w.name, got, len(spans)-w.n)
		}
		if got := after[reason] - before[reason]; got != w.n {
			t.Errorf("%s: %d were counted as %s; want %d", w.name, got, w.reason, w.n)
		}
		begin := time.Now()
		if got := readBack(t, s, ids[i]); got != [3]int{w.kept, w.kept, w.kept} {
			t.Errorf("%s: Clew, Jaeger and Zipkin have %v spans; want %d", w.name, got, w.kept)
		}
		if d := time.Since(begin); d > time.Second {
			t.Logf("%s: reading it back took %v", w.name, d)
		}
	}
	balance(t, s)
	now, peak := memory(t, s.PID())
	t.Logf("memory: %d MiB, at most %d", now, peak)
	for _, url := range []string{
		s.URL("query") + "/api/v1/services", s.URL("query") + "/api/v1/operations?service=input", s.URL("query") + "/api/v1/search?service=input", s.URL("query") + "/api/services",
		s.URL("query") + "/api/traces?service=input&limit=100&lookback=1h", s.URL("zipkin") + "/api/v2/services", s.URL("zipkin") + "/api/v2/traces?serviceName=input&limit=100",
	} {
		begin := time.Now()
		status, _ := get(t, url)
		t.Logf("%s took %v", url, time.Since(begin))
		if status != http.StatusOK {
			t.Errorf("%s: %d", url, status)
		}
	}
	s.Kill()
	if panics := s.Logged("panic"); len(panics) > 0 {
		t.Errorf("it panicked: %.500q", panics)
	}
	for _, from := range []string{"after a crash", "from a block"} {
		s = testkit.StartIn(t, s.Dir)
		for i, w := range list {
			if got := readBack(t, s, ids[i]); got != [3]int{w.kept, w.kept, w.kept} {
				t.Errorf("%s, %s: Clew, Jaeger and Zipkin have %v spans; want %d", w.name, from, got, w.kept)
			}
		}
		if err := s.Stop(); err != nil {
			t.Fatalf("the stop: %v", err)
		}
		if panics := s.Logged("panic"); len(panics) > 0 {
			t.Errorf("it panicked: %.500q", panics)
		}
	}
}

// TestZipkinSpans: the same for what only Zipkin's form can say.
func TestZipkinSpans(t *testing.T) {
	s := testkit.Start(t)
	id := newID()
	now := time.Now().UnixMicro()
	list := fmt.Sprintf(`[{"traceId":"%[1]s","id":"1","timestamp":%[2]d,"duration":18446744073709551615,"kind":"CLIENT","localEndpoint":{"serviceName":"a"}},
		{"traceId":"%[1]s","id":"1","timestamp":%[2]d,"kind":"SERVER","shared":true,"localEndpoint":{"serviceName":"b"}},
		{"traceId":"%[1]s","id":"2"},
		{"traceId":"%[1]s","id":"3","timestamp":18446744073709551615},
		{"traceId":"%[1]s","id":"4","timestamp":1},
		{"traceId":"%[1]s","id":"0","timestamp":%[2]d},
		{"traceId":"0","id":"6","timestamp":%[2]d},
		{"traceId":"%[1]s","id":"7","timestamp":%[2]d,"tags":{"`+"\xff"+`":"`+"\xff"+`"},"annotations":[{"timestamp":0,"value":"`+"\xff"+`"}]}]`, id, now)
	status, body := post(t, s.URL("zipkin")+"/api/v2/spans", "application/json", []byte(list))
	if status != http.StatusAccepted || !strings.HasPrefix(string(body), "4 of 8 spans were refused") {
		t.Errorf("%d %q", status, body)
	}
	if got := readBack(t, s, id); got != [3]int{4, 4, 4} {
		t.Errorf("Clew, Jaeger and Zipkin have %v spans; want 4", got)
	}
	for reason, want := range map[string]int{"in_the_future": 1, "too_old": 1, "bad_span_id": 1, "bad_trace_id": 1} {
		if got := counters(t, s)[fmt.Sprintf(`clew_refused_spans_total{protocol="zipkin",reason=%q}`, reason)]; got != want {
			t.Errorf("%s: %d; want %d", reason, got, want)
		}
	}
	balance(t, s)
}
