package jaeger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/otlp"
)

// metricFamily is what Jaeger's page reads, and nothing else.
type metricFamily struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Help    string `json:"help"`
	Metrics []struct {
		Labels []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"labels"`
		Points []struct {
			Gauge struct {
				Value any `json:"doubleValue"`
			} `json:"gaugeValue"`
			Time time.Time `json:"timestamp"`
		} `json:"metricPoints"`
	} `json:"metrics"`
}

// strict decodes JSON that may have no other fields than v has.
func strict(t testing.TB, raw []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
}

// minute is when the spans of these tests start.
var minute = time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC)

// served makes a span that starts so long after minute.
func served(service, name string, after, took time.Duration) trace.Span {
	r := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(service)}}}
	s := trace.Span{Name: name, Kind: trace.KindServer, Resource: r, Scope: &trace.Scope{}, Start: uint64(minute.Add(after).UnixNano())}
	s.End = s.Start + uint64(took)
	s.TraceID, s.ID = trace.ID{1, 8: byte(after >> 32), 9: byte(after >> 24), 10: byte(after >> 16), 15: byte(took)}, trace.SpanID{1, 7: byte(len(name))}
	return s
}

// shown returns a family's series as text: labels, then each point's second and value.
func shown(t testing.TB, s *httptest.Server, path string) (name string, series []string) {
	t.Helper()
	status, raw := get(t, s, path)
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, status, raw)
	}
	var f metricFamily
	strict(t, raw, &f)
	if f.Type != "GAUGE" || f.Help == "" || f.Metrics == nil {
		t.Errorf("GET %s: %.300s", path, raw)
	}
	for _, m := range f.Metrics {
		if m.Labels[0].Name != "service_name" {
			t.Errorf("the first label is %s", m.Labels[0].Name)
		}
		var b strings.Builder
		for _, l := range m.Labels {
			b.WriteString(l.Value + " ")
		}
		for _, p := range m.Points {
			if v, ok := p.Gauge.Value.(float64); ok {
				fmt.Fprintf(&b, "%v=%.3g ", p.Time.Sub(minute).Seconds(), v)
			} else {
				fmt.Fprintf(&b, "%v=%v ", p.Time.Sub(minute).Seconds(), p.Gauge.Value)
			}
		}
		series = append(series, strings.TrimSpace(b.String()))
	}
	return f.Name, series
}

func TestMetrics(t *testing.T) {
	failed := served("shop", "pay", 25*time.Second, 40*time.Millisecond)
	failed.Status = trace.StatusError
	client := served("shop", "ask", 26*time.Second, time.Second)
	client.Kind = trace.KindClient
	dir := t.TempDir()
	store := filled(t, dir, []trace.Span{
		served("shop", "list", 0, 10*time.Millisecond), served("shop", "list", 5*time.Second, 10*time.Millisecond), served("shop", "list", 21*time.Second, 10*time.Millisecond),
		failed, client, served("stock", "get", 9*time.Second, time.Millisecond), served("shop", "list", time.Hour, 0),
	})
	measured(t, serve(t, store))
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	measured(t, serve(t, open(t, dir))) // from a block
}

func measured(t *testing.T, s *httptest.Server) {
	t.Helper()
	const rest = "&step=10000&ratePer=20000&lookback=40000"
	ask := func(call, query string) (string, []string) {
		return shown(t, s, fmt.Sprintf("/api/metrics/%s?%s%s&endTs=%d", call, query, rest, minute.Add(40*time.Second).UnixMilli()))
	}
	for _, c := range []struct {
		call, query, name string
		want              []string
	}{
		{"calls", "service=shop", "service_call_rate", []string{"shop 0=0.05 10=0.1 20=0.05 30=0.1 40=0.1"}},
		{"calls", "service=shop&service=stock&service=none", "service_call_rate", []string{"shop 0=0.05 10=0.1 20=0.05 30=0.1 40=0.1", "stock 0=0 10=0.05 20=0.05 30=0 40=0"}},
		{"calls", "service=shop&groupByOperation=true", "service_operation_call_rate", []string{"shop list 0=0.05 10=0.1 20=0.05 30=0.05 40=0.05", "shop pay 0=0 10=0 20=0 30=0.05 40=0.05"}},
		{"calls", "service=shop&spanKind=client", "service_call_rate", []string{"shop 0=0 10=0 20=0 30=0.05 40=0.05"}},
		{"calls", "service=shop&spanKind=client&spanKind=server", "service_call_rate", []string{"shop 0=0.05 10=0.1 20=0.05 30=0.15 40=0.15"}},
		{"errors", "service=shop", "service_error_rate", []string{"shop 0=0 10=0 20=0 30=0.5 40=0.5"}},
		{"errors", "service=stock", "service_error_rate", []string{"stock 0=NaN 10=0 20=0 30=NaN 40=NaN"}},
		{"latencies", "service=none&quantile=0.5", "service_latencies", nil},
		{"latencies", "service=stock&quantile=1&groupByOperation=1", "service_operation_latencies", []string{"stock get 0=NaN 10=1 20=1 30=NaN 40=NaN"}},
		{"latencies", "service=shop&quantile=1", "service_latencies", []string{"shop 0=10.4 10=10.4 20=10.4 30=41.7 40=41.7"}},
	} {
		if name, got := ask(c.call, c.query); name != c.name || !cmp.Equal(got, c.want) {
			t.Errorf("%s?%s: %s %q; want %s %q", c.call, c.query, name, got, c.name, c.want)
		}
	}
	if status, raw := get(t, s, "/api/metrics/minstep"); status != 200 || string(raw) != `{"data":1,"total":0,"limit":0,"offset":0,"errors":null}` {
		t.Errorf("minstep: %d %s", status, raw)
	}
}

// TestMetricsAlike compares what is counted of random spans, from memory and from a block, with what plain loops count.
func TestMetricsAlike(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var spans []trace.Span
	for i := range 2000 {
		s := served(fmt.Sprint("s", random.IntN(2)), fmt.Sprint("op", random.IntN(3)), time.Duration(random.Int64N(100_000))*time.Millisecond, time.Duration(random.Int64N(1e9)))
		s.TraceID, s.ID = trace.ID{1, 14: byte(i >> 10), 15: byte(i >> 2)}, trace.SpanID{1, 6: byte(i >> 8), 7: byte(i)}
		switch random.IntN(8) {
		case 0:
			s.Kind = trace.KindClient
		case 1:
			s.Status = trace.StatusError
		case 2:
			s.Attrs = []trace.Attr{{Key: "error", Value: trace.Bool(random.IntN(2) == 0)}}
		case 3:
			s.Attrs = []trace.Attr{{Key: "error", Value: trace.String([]string{"true", "false"}[random.IntN(2)])}}
		case 4:
			s.Attrs = []trace.Attr{{Key: "error", Value: trace.Int(1)}, {Key: "error", Value: trace.Bool(true)}}
		case 5: // a shape of its own
			s.Name = fmt.Sprint("rare", i)
			for k := range 5 {
				s.Attrs = append(s.Attrs, trace.Attr{Key: fmt.Sprint("k", i, k), Value: trace.Int(1)})
			}
		}
		spans = append(spans, s)
	}
	const step, ratePer = 7 * time.Second, 20 * time.Second
	end := minute.Add(91 * time.Second)
	var want [2][]string
	for n := range 2 {
		for at := minute; !at.After(end); at = at.Add(step) {
			calls, failed := 0, 0
			for i := range spans {
				s := &spans[i]
				if s.Kind == trace.KindServer && s.Service() == fmt.Sprint("s", n) && s.Start <= uint64(at.UnixNano()) && s.Start > uint64(at.Add(-ratePer).UnixNano()) {
					calls++
					if s.IsError() {
						failed++
					}
				}
			}
			want[n] = append(want[n], fmt.Sprintf("%v=%.3g/%.3g", at.Sub(minute).Seconds(), float64(calls)/20, float64(failed)/float64(calls)))
		}
	}
	dir := t.TempDir()
	store := filled(t, dir, spans)
	for range 2 {
		s := serve(t, store)
		for n := range 2 {
			query := fmt.Sprintf("?service=s%d&step=7000&ratePer=20000&lookback=91000&endTs=%d", n, end.UnixMilli())
			_, calls := shown(t, s, "/api/metrics/calls"+query)
			_, errors := shown(t, s, "/api/metrics/errors"+query)
			c, e := strings.Fields(calls[0])[1:], strings.Fields(errors[0])[1:]
			var got []string
			for k := range c {
				_, rate, _ := strings.Cut(e[k], "=")
				got = append(got, c[k]+"/"+rate)
			}
			if !cmp.Equal(got, want[n]) {
				t.Errorf("s%d: %s", n, cmp.Diff(want[n], got))
			}
			_, byOperation := shown(t, s, "/api/metrics/latencies"+query+"&quantile=0.5&groupByOperation=true")
			if len(byOperation) < 50 {
				t.Errorf("%d operations", len(byOperation))
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		store = open(t, dir)
	}
}

// TestQuantiles compares the quantiles of many durations with exact ones.
func TestQuantiles(t *testing.T) {
	durations := []time.Duration{0, 1, 3, 1000, 1001}
	for i := range 2000 {
		durations = append(durations, time.Duration(math.Pow(1.013, float64(i))))
	}
	s, q := newSeries([2]string{}, 1), []float64{0, 0.01, 0.5, 0.9, 0.99, 1}
	for _, d := range durations {
		s.takeDuration(call{took: d}, 0, 1)
	}
	slices.Sort(durations)
	for _, q := range q {
		exact := float64(durations[int(q*float64(len(durations)-1))]) / 1e6
		if got := s.quantiles(1, q)[0]; math.Abs(got-exact) > 0.05*exact+1e-6 {
			t.Errorf("quantile %v is %v; want about %v", q, got, exact)
		}
	}
}

func TestMetricsErrors(t *testing.T) {
	s := server(t)
	for path, want := range map[string]string{
		"calls?":                                 "'service'",
		"calls?service=":                         "'service'",
		"calls?service=a&spanKind=x":             "'spanKind': unsupported span kind: 'x'",
		"calls?service=a&groupByOperation=x":     "'groupByOperation'",
		"calls?service=a&step=0":                 "'step'",
		"calls?service=a&step=x":                 "'step'",
		"calls?service=a&ratePer=0":              "'ratePer'",
		"calls?service=a&lookback=-1":            "'lookback'",
		"calls?service=a&endTs=9007199254740990": "'endTs'",
		"errors?service=a&step=1":                "'step': there would be more than 11000 points",
		"latencies?service=a":                    "'quantile'",
		"latencies?service=a&quantile=1.1":       "'quantile'",
		"latencies?service=a&quantile=NaN":       "'quantile'",
	} {
		status, raw := get(t, s, "/api/metrics/"+path)
		var b struct{ Errors []errorBody }
		if err := json.Unmarshal(raw, &b); err != nil || status != 400 || len(b.Errors) != 1 || !strings.Contains(b.Errors[0].Msg, want) {
			t.Errorf("%s: %d %s; want %q", path, status, raw, want)
		}
	}
}

// TestDeepDependencies asks for the ways through each service of the sample.
func TestDeepDependencies(t *testing.T) {
	s := server(t, testkit.Sample())
	when := fmt.Sprintf("&start=%d&end=%d", testkit.SampleTime/1000, testkit.SampleTime/1000+1_000_000)
	for file, path := range map[string]string{
		"deep": "/api/deep-dependencies?service=stock", "deep_operation": "/analytics/v1/dependencies?service=stock&operation=none", "deep_root": "/analytics/v1/dependencies?service=shop/web",
	} {
		status, raw := get(t, s, path+when)
		var b struct {
			Dependencies []struct {
				Path []struct {
					Service   string `json:"service"`
					Operation string `json:"operation"`
				} `json:"path"`
				Attributes []struct {
					Key   string `json:"key"`
					Value string `json:"value"`
				} `json:"attributes"`
			} `json:"dependencies"`
		}
		strict(t, raw, &b)
		if status != 200 || b.Dependencies == nil {
			t.Errorf("%s: %d %s", path, status, raw)
		}
		testkit.Golden(t, "testdata/"+file+".json", raw)
	}
	if status, raw := get(t, s, "/analytics/v1/dependencies"); status != 400 || !strings.Contains(string(raw), "'service'") {
		t.Errorf("without a service: %d %s", status, raw)
	}
	if status, raw := get(t, s, "/analytics/v1/dependencies?service=stock&start=0&end=0"); status != 200 || string(raw) != `{"dependencies":[]}` {
		t.Errorf("of now: %d %s", status, raw)
	}
}

// TestQuality counts what is wrong with a service's spans.
func TestQuality(t *testing.T) {
	now := uint64(time.Now().Add(-time.Minute).UnixNano())
	make := func(id, parent byte, kind trace.Kind, service string) trace.Span {
		r := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(service)}}}
		return trace.Span{TraceID: trace.ID{15: 1}, ID: trace.SpanID{7: id}, Parent: trace.SpanID{7: parent}, Kind: kind, Start: now, End: now + 10, Name: "x", Resource: r, Scope: &trace.Scope{}}
	}
	spans := []trace.Span{
		make(1, 0, trace.KindServer, "a"), make(2, 1, trace.KindClient, "a"), make(2, 1, trace.KindServer, "b"), make(3, 9, trace.KindUnspecified, "a"), make(4, 2, trace.KindServer, "c"),
		make(5, 4, trace.KindInternal, "a"), make(5, 4, trace.KindInternal, "a"),
	}
	spans[2].Start, spans[5].Name = now-5, "y" // before its client
	s := server(t, spans)
	read := func(service string) (q quality, counts []string) {
		_, raw := get(t, s, "/api/quality-metrics?hours=2&service="+service)
		strict(t, raw, &q)
		for _, m := range q.Metrics {
			counts = append(counts, fmt.Sprintf("%s %d %d", m.Name, m.PassCount, m.FailureCount))
			for _, list := range []struct {
				n        int
				examples []example
			}{{m.PassCount, m.PassExamples}, {m.FailureCount, m.FailureExamples}} { // all of one trace
				if len(list.examples) != min(list.n, 1) || list.n > 0 && len(list.examples[0].SpanIDs) != min(list.n, maxExamples) || m.Details == nil {
					t.Errorf("%+v", m)
				}
			}
		}
		return q, counts
	}
	q, got := read("a")
	want := []string{"Parent is there 4 1", "ID is its own 3 2", "Kind is given 4 1", "Ends after it starts 5 0", "Clocks agree 0 0"}
	if !cmp.Equal(got, want) || len(q.Scores) != 2 || q.Scores[0].Value != 80 || q.Scores[1].Value != 80 {
		t.Errorf("%v, scores %v; want %v", got, q.Scores, want)
	}
	if _, got := read("b"); got[4] != "Clocks agree 0 1" {
		t.Errorf("%v", got)
	}
	if q, _ := read("none"); q.Scores[0].Value != 0 {
		t.Errorf("%v", q)
	}
	for _, path := range []string{"", "?service=a&hours=0", "?service=a&hours=x"} {
		if status, raw := get(t, s, "/api/quality-metrics"+path); status != 400 {
			t.Errorf("%s: %d %s", path, status, raw)
		}
	}
}

func post(t testing.TB, s *httptest.Server, path string, body []byte) (int, []byte) {
	t.Helper()
	r, err := s.Client().Post(s.URL+path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, raw
}

func decoded(t testing.TB, raw []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestTransform has files shown: what comes back is what a search finds when they are stored.
func TestTransform(t *testing.T) {
	sample := testkit.Sample()
	s := server(t, sample)
	id := sample[0].TraceID
	mine := slices.DeleteFunc(slices.Clone(sample), func(s trace.Span) bool { return s.TraceID != id })
	_, want := get(t, s, "/api/traces/"+id.String()+"?raw=true")
	if status, raw := post(t, s, "/api/transform", otlp.AppendJSON(nil, mine)); status != 200 || !cmp.Equal(decoded(t, raw), decoded(t, want)) {
		t.Errorf("%d %s", status, cmp.Diff(decoded(t, raw), decoded(t, want)))
	}
	other := slices.Clone(sample)
	for i := range other {
		other[i].TraceID[0]++
	}
	status, raw := post(t, s, "/api/transform", otlp.AppendJSON(nil, append(other, sample...)))
	var b struct{ Data []struct{ TraceID string } }
	if err := json.Unmarshal(raw, &b); err != nil || status != 200 || len(b.Data) != 2 {
		t.Errorf("%d %d traces: %v", status, len(b.Data), err)
	}
	for body, want := range map[string]string{
		"":   "not OTLP/JSON",
		"{":  "not OTLP/JSON",
		"[]": "not OTLP/JSON",
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"x"}]}]}]}`: "1 of 1 spans cannot be shown",
	} {
		if status, raw := post(t, s, "/api/transform", []byte(body)); status != 400 || !strings.Contains(string(raw), want) {
			t.Errorf("%q: %d %s", body, status, raw)
		}
	}
	if status, raw := post(t, s, "/api/transform", bytes.Repeat([]byte(" "), maxTransform+1)); status != 413 {
		t.Errorf("large: %d %s", status, raw)
	}
	if status, raw := post(t, s, "/api/transform", []byte(`{}`)); status != 200 || string(raw) != `{"data":[],"total":0,"limit":0,"offset":0,"errors":null}` {
		t.Errorf("nothing: %d %s", status, raw)
	}
}

func TestArchive(t *testing.T) {
	sample := testkit.Sample()
	s := server(t, sample)
	for path, want := range map[string]string{
		sample[0].TraceID.String(): `200 {"data":[],"total":0,"limit":0,"offset":0,"errors":[]}`,
		"1234":                     `404 {"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":404,"msg":"trace not found"}]}`,
		"xyz":                      `400 `,
		"ab?start=yesterday":       `400 `,
	} {
		status, raw := post(t, s, "/api/archive/"+path, nil)
		if got := fmt.Sprintf("%d %s", status, raw); !strings.HasPrefix(got, want) {
			t.Errorf("archive %s: %s; want %s", path, got, want)
		}
	}
}

// TestHints holds that the times around a trace, in ms or µs, do not decide whether it is found, but must be numbers.
func TestHints(t *testing.T) {
	sample := testkit.Sample()
	s := server(t, sample)
	for query, want := range map[string]int{"?start=1&end=2": 200, fmt.Sprintf("?start=%d&end=%d", testkit.SampleTime/1_000_000, testkit.SampleTime/1_000_000+1): 200, "?start=a": 400, "?end=-1": 400, "?raw=2": 400} {
		if status, raw := get(t, s, "/api/traces/"+sample[0].TraceID.String()+query); status != want {
			t.Errorf("%s: %d %s", query, status, raw)
		}
	}
}

// TestManyPaths has more ways through a service than an answer has, some of them twice in a trace.
func TestManyPaths(t *testing.T) {
	now := uint64(time.Now().Add(-time.Minute).UnixNano())
	var spans []trace.Span
	span := func(id, parent int, service, name string) {
		r := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(service)}}}
		s := trace.Span{TraceID: trace.ID{15: 1}, ID: trace.SpanID{1, 6: byte(id >> 8), 7: byte(id)}, Start: now, End: now, Name: name, Resource: r, Scope: &trace.Scope{}}
		if parent >= 0 {
			s.Parent = trace.SpanID{1, 6: byte(parent >> 8), 7: byte(parent)}
		}
		spans = append(spans, s)
	}
	span(0, -1, "root", "in")
	for i := 1; i <= maxPaths+5; i++ {
		span(i, 0, "leaf", fmt.Sprint(max(3, i)))
	}
	s := server(t, spans)
	status, raw := get(t, s, "/api/deep-dependencies?service=root")
	var b struct{ Dependencies []deepPath }
	if err := json.Unmarshal(raw, &b); err != nil || status != 200 || len(b.Dependencies) != maxPaths {
		t.Fatalf("%d, %d paths: %v", status, len(b.Dependencies), err)
	}
	for _, d := range b.Dependencies {
		if len(d.Path) != 2 || len(d.Attributes) != 1 {
			t.Errorf("%+v", d)
		}
	}
}
