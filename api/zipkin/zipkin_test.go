package zipkin

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openzipkin/zipkin-go/model"
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
	Register(mux, api.NewGate(4, slog.New(slog.DiscardHandler), prometheus.NewRegistry()), query.New(store))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func get(t testing.TB, s *httptest.Server, path string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "http://elsewhere")
	r, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("GET %s: not open to other origins", path)
	}
	return r, b
}

const window = "&endTs=1763885410000&lookback=2000"

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
	for file, path := range map[string]string{
		"services":                "services",
		"spans":                   "spans?serviceName=shop/web",
		"spans_none":              "spans?serviceName=nobody",
		"remote_services":         "remoteServices?serviceName=shop/web",
		"trace":                   "trace/" + strings.ToUpper(id),
		"trace_short":             "trace/ab",
		"trace_many":              "traceMany?traceIds=00000000000000ab,1234," + id,
		"traces":                  "traces?serviceName=shop/web&spanName=reserve" + window,
		"traces_none":             "traces?serviceName=nobody" + window,
		"autocomplete_keys":       "autocompleteKeys",
		"autocomplete_values":     "autocompleteValues?key=environment",
		"dependencies":            "dependencies?endTs=1763885410000&lookback=2000",
		"dependencies_none":       "dependencies?endTs=1",
		"traces_without_anything": "traces?" + window[1:] + "&limit=1",
	} {
		r, body := get(t, s, "/api/v2/"+path)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("GET %s: %s, %s: %s", path, r.Status, r.Header.Get("Content-Type"), body)
			continue
		}
		testkit.Golden(t, "testdata/"+file+".json", body)
	}
}

// TestRefusals checks Zipkin's statuses and texts.
func TestRefusals(t *testing.T) {
	s := server(t)
	for path, want := range map[string]string{
		"trace/1234":                             "404 0000000000001234 not found",
		"trace/5b8efff798038103d269b633813fc60c": "404 5b8efff798038103d269b633813fc60c not found",
		"trace/0x12":                             "400 0x12 should be lower-hex encoded with no prefix",
		"traceMany":                              "400 Mandatory parameter/header/attribute is missing: traceIds",
		"traceMany?traceIds=ab":                  "400 Use /api/v2/trace/{traceId} endpoint to retrieve a single trace",
		"traceMany?traceIds=ab,cd,00ab":          "400 redundant traceId: 00ab",
		"traceMany?traceIds=ab,":                 "400 traceId is empty",
		"traces?limit=0":                         "400 limit <= 0",
		"traces?limit=ten":                       "400 For input string: \"ten\"",
		"traces?endTs=0":                         "400 endTs <= 0",
		"traces?lookback=-1":                     "400 lookback <= 0",
		"traces?minDuration=0":                   "400 minDuration <= 0",
		"traces?minDuration=2&maxDuration=1":     "400 maxDuration < minDuration",
		"traces?serviceName=%zz":                 "400 Status: 400\nDescription: Invalid request path\n",
		"dependencies":                           "400 Mandatory parameter/header/attribute is missing: endTs",
		"nothing":                                "404 404 Not Found",
		"traces?limit=":                          "400 Cannot set null to primitive type parameter: limit",
		"traces?limit=2147483648":                "400 For input string: \"2147483648\"",
		"traces?limit=0&endTs=-1":                "400 endTs <= 0",
		"traces?limit=x&lookback=y":              "400 For input string: \"y\"",
		"traces?maxDuration=5":                   "400 maxDuration is only valid with minDuration",
		"dependencies?endTs=":                    "400 Cannot set null to primitive type parameter: endTs",
		"dependencies?endTs=1&lookback=0":        "400 lookback <= 0",
		"spans?a;serviceName=b":                  "400 Mandatory parameter/header/attribute is missing: serviceName",
	} {
		r, body := get(t, s, "/api/v2/"+path)
		if got := fmt.Sprint(r.StatusCode, " ", string(body)); got != want || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("GET %s: %q (%s); want %q", path, got, r.Header.Get("Content-Type"), want)
		}
	}
}

// TestNamesCached checks when lists of names may be cached: once there are more than three services, however long the list is.
func TestNamesCached(t *testing.T) {
	named := func(n int) []trace.Span {
		var out []trace.Span
		for i := range n {
			s := testkit.Sample()[3]
			s.ID, s.Parent = trace.SpanID{7: byte(i + 1)}, trace.SpanID{}
			s.Resource = &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(fmt.Sprint("s", i))}}}
			out = append(out, s)
		}
		return out
	}
	for n, want := range map[int]string{3: "", 4: "max-age=300, must-revalidate"} {
		s := server(t, named(n))
		for _, path := range []string{"services", "spans?serviceName=s1", "remoteServices?serviceName=s1"} {
			if r, _ := get(t, s, "/api/v2/"+path); r.Header.Get("Cache-Control") != want {
				t.Errorf("%s of %d services: Cache-Control %q; want %q", path, n, r.Header.Get("Cache-Control"), want)
			}
		}
	}
}

// TestSearchParameters asks for each parameter and reads the answers as Grafana does.
func TestSearchParameters(t *testing.T) {
	now := uint64(time.Now().Add(-time.Hour).UnixMilli()) * 1_000_000
	shop := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shop")}, {Key: "zone", Value: trace.String("eu")}}}
	other := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("other")}}}
	build := func(n byte, change func(s *trace.Span)) trace.Span {
		s := trace.Span{
			TraceID: trace.ID{1, 15: n}, ID: trace.SpanID{7: n}, Name: "get /x", Kind: trace.KindServer, Resource: shop, Scope: &trace.Scope{},
			Start: now + uint64(n)*1_000_000, End: now + uint64(n)*1_001_000,
		}
		change(&s)
		return s
	}
	attr := func(k, v string) trace.Attr { return trace.Attr{Key: k, Value: trace.String(v)} }
	s := server(t, []trace.Span{
		build(1, func(s *trace.Span) {
			s.Attrs = []trace.Attr{{Key: "http.status_code", Value: trace.Int(200)}, attr("a", "x and y")}
		}),
		build(2, func(s *trace.Span) { s.Attrs = []trace.Attr{attr("http.path", "/a=b"), attr("peer.service", "db")} }),
		build(3, func(s *trace.Span) { s.Events = []trace.Event{{Time: s.Start, Name: "cache miss"}} }),
		build(4, func(s *trace.Span) { s.Status, s.StatusMessage = trace.StatusError, "boom" }),
		build(4, func(s *trace.Span) { s.ID, s.Name, s.Attrs = trace.SpanID{7: 41}, "op", []trace.Attr{attr("a", "1")} }),
		build(4, func(s *trace.Span) {
			s.ID, s.Resource, s.Attrs = trace.SpanID{7: 42}, other, []trace.Attr{attr("b", "1")}
		}),
	})
	for query, want := range map[string]string{
		"":                                                 "4 3 2 1",
		"serviceName=shop":                                 "4 3 2 1",
		"serviceName=other":                                "4",
		"serviceName=nobody":                               "",
		"limit=2":                                          "4 3",
		"spanName=op":                                      "4",
		"spanName=all&limit=1":                             "4",
		"serviceName=other&spanName=op":                    "", // the name is of another service
		"remoteServiceName=db":                             "2",
		"annotationQuery=http.status_code%3D200":           "1",
		"annotationQuery=http.status_code":                 "1",
		"annotationQuery=http.path%3D/a%3Db":               "2",
		"annotationQuery=cache+miss":                       "3",
		"annotationQuery=zone":                             "4 3 2 1",
		"annotationQuery=zone%3Deu+and+error":              "4",
		"annotationQuery=error":                            "4",
		"annotationQuery=error%3Dtrue":                     "4",
		"annotationQuery=otel.status_code%3DERROR":         "4",
		"annotationQuery=error+and+a%3D1":                  "4", // on two spans
		"annotationQuery=a%3D1+and+b%3D1":                  "4",
		"serviceName=shop&annotationQuery=a%3D1+and+b%3D1": "", // b is of another service
		"annotationQuery=a%3D2":                            "",
		"minDuration=3":                                    "4 3",
		"minDuration=2&maxDuration=3":                      "3 2",
		"minDuration=1&maxDuration=1":                      "1",
		"minDuration=9223372036854775807":                  "",
		"minDuration=4&maxDuration=9223372036854775807":    "4",
		"limit=2147483647":                                 "4 3 2 1",
		"annotationQuery=%3D":                              "",
		"annotationQuery=error+and+":                       "",
		"annotationQuery=%3Dx":                             "",
		"annotationQuery=" + strings.Repeat("zone+and+", 99) + "b%3D1":                 "4",
		"annotationQuery=" + strings.Repeat("zone+and+", 99) + "b+and+zone":            "", // the hundredth part has all that is left
		fmt.Sprintf("endTs=%d&lookback=1", now/1_000_000+3):                            "3 2",
		fmt.Sprintf("endTs=%d", now/1_000_000+1):                                       "1",
		"lookback=1000":                                                                "",
		"endTs=4503599627370495&lookback=4503599627370495&limit=1":                     "4",
		fmt.Sprintf("serviceName=shop&endTs=%d&annotationQuery=", now/1_000_000+2):     "2 1",
		fmt.Sprintf("serviceName=shop&endTs=%d&annotationQuery=%%20", now/1_000_000+1): "",
	} {
		r, body := get(t, s, "/api/v2/traces?"+query)
		var traces [][]model.SpanModel
		if err := json.Unmarshal(body, &traces); err != nil {
			t.Fatalf("%s: %s %v: %s", query, r.Status, err, body)
		}
		var got []string
		for _, tr := range traces {
			got = append(got, fmt.Sprint(tr[0].TraceID.Low))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: found %v; want %s", query, got, want)
		}
	}
}
