package load

import (
	"bytes"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/clewtrace/clew/trace"
)

// testTime is when the tests' traces are from.
var testTime = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// requests returns the bodies that a generator makes at 20,000 spans a second.
func requests(seed uint64, n int) [][]byte {
	g := New(seed, 0)
	var all [][]byte
	for i := range n {
		b, _ := g.Request(nil, 800, testTime.Add(time.Duration(i)*40*time.Millisecond))
		all = append(all, b)
	}
	return all
}

func decode(t *testing.T, body []byte) *collector.ExportTraceServiceRequest {
	t.Helper()
	var req collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		t.Fatal(err)
	}
	return &req
}

func TestSameSeedSameBytes(t *testing.T) {
	a, b, c := requests(7, 3), requests(7, 3), requests(8, 3)
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			t.Errorf("request %d of one seed differs from one run to the next", i)
		}
		if bytes.Equal(a[i], c[i]) {
			t.Errorf("request %d of two seeds is the same", i)
		}
	}
}

func TestClewReadsIt(t *testing.T) {
	var b trace.Batch
	for i, body := range requests(1, 20) {
		if err := b.Index(body, trace.DefaultLimits()); err != nil || b.Refused.Total() > 0 || b.InvalidText > 0 {
			t.Fatalf("request %d: %v, %d refused: %s", i, err, b.Refused.Total(), b.Refused.First)
		}
	}
}

// TestFigures holds the load near what it stands for.
func TestFigures(t *testing.T) {
	var (
		spans, attrs, size, resources, resourceAttrs       int
		events, links, failed, split, long, tooLong, roots int
		stream                                             []byte
		traces                                             = map[string]int{}  // spans
		in                                                 = map[string]int{}  // requests
		known                                              = map[string]bool{} // span IDs
		parents                                            []string
		names, serviceNames                                = map[string]bool{}, map[string]bool{}
	)
	for _, body := range requests(1, 80) {
		size += len(body)
		stream = append(stream, body...)
		here := map[string]bool{}
		for _, rs := range decode(t, body).ResourceSpans {
			resources++
			resourceAttrs += len(rs.Resource.Attributes)
			serviceNames[rs.Resource.Attributes[0].Value.GetStringValue()] = true
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					spans++
					attrs += len(s.Attributes)
					events += len(s.Events)
					links += len(s.Links)
					names[s.Name] = true
					if s.Status.GetCode() == tracev1.Status_STATUS_CODE_ERROR {
						failed++
					}
					if n := len(s.ParentSpanId); n == 0 {
						roots++
					} else {
						parents = append(parents, string(s.ParentSpanId))
					}
					known[string(s.SpanId)] = true
					traces[string(s.TraceId)]++
					here[string(s.TraceId)] = true
					switch d := time.Duration(s.EndTimeUnixNano - s.StartTimeUnixNano); {
					case d < 0 || d > time.Minute:
						tooLong++
					case d > time.Second:
						long++
					}
				}
			}
		}
		for id := range here {
			in[id]++
		}
	}
	for _, n := range in {
		if n > 1 {
			split++
		}
	}
	orphans := 0
	for _, p := range parents {
		if !known[p] {
			orphans++
		}
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		t.Fatal(err)
	}
	ratio := func(a, b int) float64 { return float64(a) / float64(b) }
	for _, f := range []struct {
		what     string
		got      float64
		min, max float64
	}{
		{"services", float64(len(serviceNames)), 17, 17},
		{"pods", float64(len(New(1, 0).pods)), 57, 57},
		{"names", float64(len(names)), 30, 100},
		{"spans a trace", ratio(spans, len(traces)), 23.5, 25.5},
		{"attributes a span", ratio(attrs, spans), 10.1, 10.5},
		{"attributes a resource", ratio(resourceAttrs, resources), 14.5, 16},
		{"bytes a span", ratio(size, spans), 455, 490},
		{"bytes a span, zstd -3", ratio(len(enc.EncodeAll(stream, nil)), spans), 45, 53},
		{"failed of 1000 spans", 1000 * ratio(failed, spans), 2, 20},
		{"events of 1000 spans", 1000 * ratio(events, spans), 0.5, 10},
		{"links of 1000 spans", 1000 * ratio(links, spans), 0.5, 10},
		{"traces in two requests, of 100", 100 * ratio(split, len(traces)), 3, 10},
		{"roots a trace", ratio(roots, len(traces)), 0.98, 1},
		{"parents that are not there, of 1000 spans", 1000 * ratio(orphans, spans), 0, 2},
		{"spans over a second, of 1000", 1000 * ratio(long, spans), 0, 5},
		{"spans with a broken duration", float64(tooLong), 0, 0},
	} {
		t.Logf("%-45s %8.2f", f.what, f.got)
		if f.got < f.min || f.got > f.max {
			t.Errorf("%s: %.2f; want %.2f to %.2f", f.what, f.got, f.min, f.max)
		}
	}
}

func TestShapes(t *testing.T) {
	sizes := map[int]int{}
	var order []string
	byTrace := map[string]int{}
	for _, body := range requests(3, 60) {
		for _, rs := range decode(t, body).ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					if byTrace[string(s.TraceId)]++; byTrace[string(s.TraceId)] == 1 {
						order = append(order, string(s.TraceId))
					}
				}
			}
		}
	}
	for _, id := range order {
		sizes[min(byTrace[id]/10, 20)]++
	}
	for i := range 5 {
		if sizes[i] == 0 {
			t.Errorf("no trace has %d to %d spans: %v", i*10, i*10+9, sizes)
		}
	}
	if sizes[20] == 0 && sizes[15] == 0 && sizes[10] == 0 {
		t.Errorf("no trace is long: %v", sizes)
	}
}

func TestNoGarbage(t *testing.T) {
	g := New(1, 0)
	var b []byte
	at := testTime
	for range 200 { // until the buffers have their size
		at = at.Add(time.Millisecond)
		b, _ = g.Request(b[:0], 800, at)
	}
	if n := testing.AllocsPerRun(100, func() {
		at = at.Add(time.Millisecond)
		b, _ = g.Request(b[:0], 800, at)
	}); n > 2 {
		t.Errorf("%.1f allocations a request; want none but for the growth of a buffer", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	g := New(1, 0)
	var body []byte
	spans, at := 0, testTime
	for b.Loop() {
		var m Made
		body, m = g.Request(body[:0], 800, at)
		at = at.Add(40 * time.Millisecond)
		spans += m.Spans
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(spans), "ns/span")
	b.SetBytes(int64(len(body)))
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New(1, 0)
	}
}
