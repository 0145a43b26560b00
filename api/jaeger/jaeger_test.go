package jaeger

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

// open opens a store in a folder, and ends it with the test.
func open(t testing.TB, dir string) *spool.Spool {
	t.Helper()
	cfg := spool.Default()
	cfg.Dir, cfg.Retention = dir, 0
	store, err := spool.Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// filled returns a store that holds spans in memory.
func filled(t testing.TB, dir string, batches ...[]trace.Span) *spool.Spool {
	t.Helper()
	store := open(t, dir)
	for _, spans := range batches {
		var b trace.Batch
		if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		if err := store.Append(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// server answers from a real store that holds spans.
func server(t testing.TB, batches ...[]trace.Span) *httptest.Server {
	t.Helper()
	return serve(t, filled(t, t.TempDir(), batches...))
}

func serve(t testing.TB, store *spool.Spool) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	New(api.NewGate(4, slog.New(slog.DiscardHandler), prometheus.NewRegistry()), query.New(store), kept{store}).Register(mux)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// kept is an archive that has what the store has, and keeps nothing.
type kept struct{ *spool.Spool }

func (k kept) Archive(ctx context.Context, id trace.ID) error {
	_, err := k.Trace(ctx, id, trace.Range{})
	return err
}

func get(t testing.TB, s *httptest.Server, path string) (int, []byte) {
	t.Helper()
	r, err := s.Client().Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("GET %s: content type %q", path, got)
	}
	return r.StatusCode, b
}

// sampleRange are the parameters of a search that covers the sample, as Grafana and the UI send them.
var sampleRange = fmt.Sprintf("&start=%d&end=%d", testkit.SampleTime/1000, testkit.SampleTime/1000+1_000_000)

// TestGolden holds whole answers, first from memory, then from a block.
func TestGolden(t *testing.T) {
	sample := testkit.Sample()
	short := slices.Clone(sample[3:4])
	short[0].TraceID, short[0].Parent = trace.ID{15: 0xab}, trace.SpanID{}
	dir := t.TempDir()
	store := filled(t, dir, sample, short)
	golden(t, serve(t, store))
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = open(t, dir)
	if st, err := store.Stats(t.Context()); err != nil || st.Blocks == 0 {
		t.Fatalf("%d blocks, %v", st.Blocks, err)
	}
	golden(t, serve(t, store))
}

func golden(t *testing.T, s *httptest.Server) {
	t.Helper()
	id := testkit.Sample()[0].TraceID.String()
	for _, c := range []struct {
		file, path string
		status     int
	}{
		{"services", "/api/services", 200},
		{"operations_legacy", "/api/services/shop%2Fweb/operations", 200},
		{"operations_legacy", "/api/services/shop/web/operations", 200}, // Grafana does not escape the slash
		{"operations_none", "/api/services/nobody/operations", 200},
		{"operations", "/api/operations?service=shop/web", 200},
		{"operations_server", "/api/operations?service=shop/web&spanKind=server", 200},
		{"operations_error", "/api/operations", 400},
		{"trace", "/api/traces/" + id, 200},
		{"trace", "/api/traces/" + strings.ToUpper(id) + "?start=1763885400000&end=1763885500000", 200}, // ms, from Grafana
		{"trace_raw", "/api/traces/" + id + "?raw=true", 200},
		{"trace_short", "/api/traces/ab", 200},
		{"trace_short", "/api/traces/000000000000000000000000000000ab", 200},
		{"trace_none", "/api/traces/1234", 404},
		{"trace_bad", "/api/traces/xyz", 400},
		{"search", "/api/traces?service=shop/web" + sampleRange, 200},
		{"search_none", "/api/traces?service=shop/web&start=1&end=2", 200},
		{"by_ids", "/api/traces?traceID=ab&traceID=1234&traceID=" + id + "&traceID=00ab", 200},
		{"dependencies", "/api/dependencies?endTs=1763885410000&lookback=604800000", 200},
		{"dependencies_none", "/api/dependencies?endTs=1763885400000&lookback=1000", 200},
		{"unknown", "/api/v1", 404},
	} {
		status, body := get(t, s, c.path)
		if status != c.status {
			t.Errorf("GET %s: status %d; want %d: %s", c.path, status, c.status, body)
		}
		testkit.Golden(t, "testdata/"+c.file+".json", body)
	}
}

func TestPrettyPrint(t *testing.T) {
	s := server(t, testkit.Sample())
	for _, path := range []string{"/api/services?", "/api/traces?service=stock" + sampleRange} {
		_, plain := get(t, s, path)
		_, pretty := get(t, s, path+"&prettyPrint=true")
		var v any
		if err := json.Unmarshal(pretty, &v); err != nil || !strings.HasPrefix(string(pretty), "{\n    \"data\": [") || strings.Contains(string(plain), "\n ") {
			t.Errorf("GET %s: %v\nplain  %.80s\npretty %.80s", path, err, plain, pretty)
		}
	}
}

// found searches and returns the trace IDs, shortened to their last byte.
func found(t testing.TB, s *httptest.Server, query string) (ids []string, errors []errorBody) {
	t.Helper()
	status, raw := get(t, s, "/api/traces?"+query)
	var b struct {
		Data   []struct{ TraceID string }
		Errors []errorBody
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatalf("GET %s: %d %s", query, status, raw)
	}
	ids = []string{}
	for _, d := range b.Data {
		ids = append(ids, d.TraceID[len(d.TraceID)-2:])
	}
	return ids, b.Errors
}

// TestSearchParameters asks for each parameter, alone and together.
func TestSearchParameters(t *testing.T) {
	now := uint64(time.Now().Add(-time.Hour).UnixMicro()) * 1000
	shop := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shop")}, {Key: "zone", Value: trace.String("eu:1")}}}
	other := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("other")}}}
	make := func(n byte, change func(s *trace.Span)) trace.Span {
		s := trace.Span{
			TraceID: trace.ID{1, 15: n}, ID: trace.SpanID{7: n}, Name: "GET /a b", Kind: trace.KindServer, Resource: shop, Scope: &trace.Scope{},
			Start: now + uint64(n)*1_000_000, End: now + uint64(n)*1_000_000 + uint64(n)*1_000_000,
		}
		change(&s)
		return s
	}
	attr := func(k string, v trace.Value) trace.Attr { return trace.Attr{Key: k, Value: v} }
	s := server(t, []trace.Span{
		make(1, func(s *trace.Span) {
			s.Attrs = []trace.Attr{attr("code", trace.Int(200)), attr("a", trace.String("1"))}
		}),
		make(2, func(s *trace.Span) {
			s.Attrs = []trace.Attr{attr("code", trace.String("200")), attr("b", trace.String("2"))}
		}),
		make(3, func(s *trace.Span) {
			s.Attrs = []trace.Attr{attr("error", trace.Bool(true)), attr("ratio", trace.Double(2.5e6))}
		}),
		make(4, func(s *trace.Span) { s.Status, s.Scope = trace.StatusError, &trace.Scope{Name: "lib", Version: "2"} }),
		make(5, func(s *trace.Span) { s.Name, s.Kind, s.Status = "op", trace.KindClient, trace.StatusOK }),
		make(6, func(s *trace.Span) {
			s.Events = []trace.Event{{Time: s.Start, Name: "e", Attrs: []trace.Attr{attr("code", trace.String("7:8"))}}}
		}),
		make(7, func(s *trace.Span) { s.Resource = other }),
	})
	for query, want := range map[string]string{
		"service=shop":                                                            "06 05 04 03 02 01",
		"service=other":                                                           "07",
		"service=Shop":                                                            "",
		"service=shop&limit=2":                                                    "06 05",
		"service=shop&operation=op":                                               "05",
		"service=shop&operation=GET%20/a+b&limit=1":                               "06",
		"service=shop&operation=all&limit=1":                                      "06",
		"service=shop&tag=code:200":                                               "02 01",
		"service=shop&tag=code:7:8":                                               "06",
		"service=shop&tag=code:200&tag=a:1":                                       "01",
		"service=shop&tag=a:1&tag=b:2":                                            "",
		"service=shop&tag=zone:eu:1&limit=1":                                      "06",
		"service=shop&tag=ratio:2500000":                                          "03",
		"service=shop&tag=error:true":                                             "04 03",
		"service=shop&tag=error:false":                                            "06 05 02 01",
		"service=shop&tag=span.kind:client":                                       "05",
		"service=shop&tag=otel.status_code:ERROR":                                 "04",
		"service=shop&tag=otel.status_code:OK":                                    "05",
		"service=shop&tag=otel.scope.name:lib":                                    "04",
		"service=shop&tag=otel.scope.version:3":                                   "",
		`service=shop&tags={"code":"200","a":"1"}`:                                "01",
		`service=shop&tags={"code":"200"}&tag=b:2`:                                "02",
		"service=shop&minDuration=5ms":                                            "06 05",
		"service=shop&maxDuration=2000us":                                         "02 01",
		"service=shop&minDuration=2ms&maxDuration=0.003s":                         "03 02",
		"service=shop&minDuration=0s&maxDuration=0s":                              "06 05 04 03 02 01",
		fmt.Sprintf("service=shop&start=%d&end=%d", now/1000+2000, now/1000+4000): "04 03 02",
		fmt.Sprintf("service=shop&end=%d", now/1000+1000):                         "01",
		fmt.Sprintf("service=shop&end=%d&lookback=1ms", now/1000+3000):            "03 02",
		"service=shop&lookback=2h&raw=true":                                       "06 05 04 03 02 01",
		"service=shop&lookback=1m":                                                "",
		"service=shop&lookback=2w&limit=1":                                        "06",
		fmt.Sprintf("service=shop&start=%d&lookback=custom", now/1000):            "06 05 04 03 02 01",
		"traceID=01000000000000000000000000000003&service=other":                  "03",
	} {
		got, errs := found(t, s, strings.ReplaceAll(query, `"`, "%22"))
		if strings.Join(got, " ") != want || errs != nil {
			t.Errorf("%s: found %q; want %q (errors %v)", query, got, want, errs)
		}
	}
}

// TestSearchErrors checks that what is wrong is named.
func TestSearchErrors(t *testing.T) {
	s := server(t)
	for query, want := range map[string]string{
		"":                                                 "parameter 'service' is required",
		"service=a&limit=0":                                "'limit'",
		"service=a&limit=x":                                "'limit'",
		"service=a&limit=99999999999999":                   "'limit'",
		"service=a&start=yesterday":                        "'start'",
		"service=a&end=-1":                                 "'end'",
		"service=a&minDuration=5":                          "'minDuration'",
		"service=a&maxDuration=-1s":                        "'maxDuration'",
		"service=a&minDuration=2s&maxDuration=1s":          "'maxDuration' should be greater than 'minDuration'",
		"service=a&tag=novalue":                            "malformed 'tag' parameter, expecting key:value, received: novalue",
		"service=a&tags=" + url.QueryEscape(`{"a":1}`):     "malformed 'tags' parameter, cannot unmarshal JSON",
		"service=a&tags=" + url.QueryEscape(`[{"a":"1"}]`): "malformed 'tags' parameter",
		"service=a&lookback=soon":                          "'lookback'",
		"service=a&raw=maybe":                              "'raw'",
		"traceID=nothex":                                   "cannot parse traceID param: trace ID",
		"traceID=0":                                        "is zero",
		"service=%zz":                                      "query string is broken",
		"service=a&traceID=123456789012345678901234567890123": "1 to 32 hexadecimal digits",
	} {
		status, raw := get(t, s, "/api/traces?"+query)
		var b struct {
			Data   any
			Errors []errorBody
		}
		if err := json.Unmarshal(raw, &b); err != nil || status != 400 || b.Data != nil || len(b.Errors) != 1 || b.Errors[0].Code != 400 {
			t.Errorf("%s: %d %s; want status 400, data null and one error", query, status, raw)
			continue
		}
		if !strings.Contains(b.Errors[0].Msg, want) {
			t.Errorf("%s: %q; want %q in it", query, b.Errors[0].Msg, want)
		}
	}
}
