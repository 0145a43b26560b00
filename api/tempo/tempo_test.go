package tempo

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

// server answers from a real store that holds spans, over HTTP/1 and HTTP/2 without TLS, and returns its address.
func server(t testing.TB, batches ...[]trace.Span) string {
	t.Helper()
	cfg := spool.Default()
	cfg.Dir, cfg.Retention = t.TempDir(), 0
	store, err := spool.Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	for _, spans := range batches {
		var b trace.Batch
		if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		if err := store.Append(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	Register(mux, api.NewGate(4, slog.New(slog.DiscardHandler), prometheus.NewRegistry()), query.New(store), Process{"0.1.0"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Protocols.SetHTTP1(true)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		_ = store.Close()
	})
	return l.Addr().String()
}

type answer struct {
	status      int
	contentType string
	body        string
}

func get(t testing.TB, address, path, accept string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), string(b)}
}

// strictly decodes an answer's JSON, which may have no field that into does not have, as Grafana decodes it.
func strictly(t testing.TB, a answer, into any) {
	t.Helper()
	if a.status != http.StatusOK || a.contentType != "application/json" {
		t.Fatalf("status %d, %s: %s", a.status, a.contentType, a.body)
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

func sampleID() string { return testkit.Sample()[0].TraceID.String() }

func TestProbes(t *testing.T) {
	at := server(t)
	for path, want := range map[string]answer{
		"/api/echo":         {200, plain, "echo"},
		"/ready":            {200, plain, "ready\n"},
		"/status/services":  {200, plain, "clew Running\n"},
		"/api/nothing":      {404, plain, "there is no call GET /api/nothing"},
		"/api/traces/":      {404, plain, "there is no call GET /api/traces/"},
		"/api/search/tag/x": {404, plain, "there is no call GET /api/search/tag/x"},
	} {
		if got := get(t, at, path, ""); got != want {
			t.Errorf("%s: %+v; want %+v", path, got, want)
		}
	}
	var build struct{ Version, Revision, Branch, BuildDate, BuildUser, GoVersion string }
	strictly(t, get(t, at, "/api/status/buildinfo", ""), &build)
	if build.Version != version || build.Revision != "clew 0.1.0" || build.Branch != "clew" {
		t.Errorf("%+v", build)
	}
}

// TestTrace asks for a trace in both versions and both forms: all say the same of each span.
func TestTrace(t *testing.T) {
	at := server(t, testkit.Sample())
	var want collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(trace.AppendTraces(nil, trace.ValidTexts(testkit.Sample())), &want); err != nil { // protobuf's own decoder takes UTF-8 alone
		t.Fatal(err)
	}
	from := func(b string, batches bool) *collector.ExportTraceServiceRequest {
		t.Helper()
		if batches {
			b = strings.Replace(b, `{"batches":`, `{"resourceSpans":`, 1)
		}
		m := &collector.ExportTraceServiceRequest{}
		if err := protojson.Unmarshal([]byte(b), m); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		return m
	}
	v1, v2 := get(t, at, "/api/traces/"+sampleID(), ""), get(t, at, "/api/v2/traces/"+sampleID()+"?start=1&end=2", "application/json")
	var inV2 struct{ Trace json.RawMessage }
	if err := json.Unmarshal([]byte(v2.body), &inV2); err != nil {
		t.Fatal(err)
	}
	p1, p2 := get(t, at, "/api/traces/"+sampleID(), protobuf), get(t, at, "/api/v2/traces/"+sampleID(), "text/html, application/protobuf;q=0.9")
	_, _, n := protowire.ConsumeTag([]byte(p2.body))
	inner, m := protowire.ConsumeBytes([]byte(p2.body)[n:])
	if m < 0 || p1.contentType != protobuf || p2.contentType != protobuf {
		t.Fatalf("%s, %s", p1.contentType, p2.contentType)
	}
	for name, got := range map[string]*collector.ExportTraceServiceRequest{
		"v1 JSON": from(v1.body, true), "v2 JSON": from(string(inV2.Trace), false), "v1 protobuf": decoded(t, []byte(p1.body)), "v2 protobuf": decoded(t, inner),
	} {
		if diff := gocmp.Diff(spansOf(&want), spansOf(got)); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", name, diff)
		}
		if n := len(got.ResourceSpans); n != 3 {
			t.Errorf("%s: %d resources; want 3", name, n)
		}
	}
	for path, want := range map[string]answer{
		"/api/traces/xyz":  {400, plain, `trace ID "xyz": 'z' is not a hexadecimal digit`},
		"/api/v2/traces/0": {400, plain, `trace ID "0": is zero`},
		"/api/traces/abc":  {404, plain, "trace not found"}, "/api/v2/traces/abc": {404, plain, "trace not found"},
		"/api/v2/traces/abc?start=5&end=5":     {400, plain, "http parameter start must be before end. received start=5 end=5"},
		"/api/v2/traces/abc?start=soon":        {400, plain, `invalid start: "soon" is not a time in whole Unix seconds`},
		"/api/v2/traces/abc?end=1763885409123": {400, plain, `invalid end: "1763885409123" is not a time in whole Unix seconds`},
	} {
		if got := get(t, at, path, ""); got != want {
			t.Errorf("%s: %+v; want %+v", path, got, want)
		}
	}
}

func decoded(t *testing.T, b []byte) *collector.ExportTraceServiceRequest {
	t.Helper()
	m := &collector.ExportTraceServiceRequest{} // of the same fields as Tempo's Trace
	if err := proto.Unmarshal(b, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// spansOf returns each span as text, with its resource and scope, sorted.
func spansOf(m *collector.ExportTraceServiceRequest) (out []string) {
	for _, r := range m.ResourceSpans {
		for _, s := range r.ScopeSpans {
			for _, span := range s.Spans {
				if span.Status == nil {
					span.Status = &otlptrace.Status{} // absent and empty are the same
				}
				out = append(out, fmt.Sprint(r.Resource, r.SchemaUrl, s.Scope, s.SchemaUrl, span))
			}
		}
	}
	slices.Sort(out)
	return out
}

// metadata is what answers with names and values say of their cost.
type metadata struct {
	InspectedBytes, TotalBlockBytes       string
	TotalBlocks, TotalJobs, CompletedJobs uint32
}

type tagScopes struct {
	Scopes []struct {
		Name string
		Tags []string
	}
	Metrics metadata
}

func TestTags(t *testing.T) {
	at := server(t, testkit.Sample())
	var all tagScopes
	strictly(t, get(t, at, "/api/v2/search/tags?limit=5000", ""), &all)
	byScope := map[string][]string{}
	for _, s := range all.Scopes {
		byScope[s.Name] = s.Tags
		if !slices.IsSorted(s.Tags) {
			t.Errorf("%s: %v is not sorted", s.Name, s.Tags)
		}
	}
	for scope, want := range map[string][]string{
		"resource": {"host.name", "process.pid", "service.name"}, "instrumentation": {"scope.attr"}, "intrinsic": intrinsics,
		"event": {"event", "exception.type", "no", "retry"}, "link": {"opentracing.ref_type", "why"},
	} {
		if !slices.Equal(byScope[scope], want) {
			t.Errorf("%s: %v; want %v", scope, byScope[scope], want)
		}
	}
	for _, want := range []string{"http.route", "big", "peer.service"} {
		if !slices.Contains(byScope["span"], want) {
			t.Errorf("span: no %s in %v", want, byScope["span"])
		}
	}
	var one tagScopes
	strictly(t, get(t, at, "/api/v2/search/tags?scope=resource&limit=2&stray=1", ""), &one)
	if len(one.Scopes) != 1 || !slices.Equal(one.Scopes[0].Tags, []string{"host.name", "service.name"}) {
		t.Errorf("limited: %+v", one)
	}
	one = tagScopes{}
	strictly(t, get(t, at, "/api/v2/search/tags?scope=span&q="+url.QueryEscape(`{ resource.service.name = "stock" }`), ""), &one)
	if len(one.Scopes) != 1 || !slices.Equal(one.Scopes[0].Tags, []string{"error", "network.local.address"}) {
		t.Errorf("of a service: %+v", one)
	}
	var v1 struct {
		TagNames []string
		Metrics  metadata
	}
	strictly(t, get(t, at, "/api/search/tags", ""), &v1)
	if !slices.IsSorted(v1.TagNames) || !slices.Contains(v1.TagNames, "service.name") || slices.Contains(v1.TagNames, "rootName") {
		t.Errorf("v1: %v", v1.TagNames)
	}
	strictly(t, get(t, at, "/api/search/tags?scope=intrinsic", ""), &v1)
	if !slices.Equal(v1.TagNames, intrinsics) {
		t.Errorf("v1, intrinsic: %v", v1.TagNames)
	}
	if got := get(t, at, "/api/v2/search/tags?start=1&end=2", ""); strings.Contains(got.body, `"resource"`) || !strings.Contains(got.body, `"intrinsic"`) {
		t.Errorf("where nothing was: %s", got.body)
	}
	if got := get(t, at, "/api/v2/search/tags?scope=spam", ""); got.status != 400 || !strings.HasPrefix(got.body, `invalid scope: "spam"`) {
		t.Errorf("an unknown scope: %+v", got)
	}
	if got := get(t, at, "/api/v2/search/tags?limit=-1", ""); got.status != 400 || !strings.HasPrefix(got.body, "invalid limit") {
		t.Errorf("a bad limit: %+v", got)
	}
}

type value struct{ Type, Value string }

func valuesOf(t testing.TB, at, name string) []value {
	t.Helper()
	var got struct {
		TagValues []value
		Metrics   metadata
	}
	strictly(t, get(t, at, "/api/v2/search/tag/"+name, ""), &got)
	return got.TagValues
}

// TestIntrinsics holds that all that are listed can be asked for.
func TestIntrinsics(t *testing.T) {
	for _, name := range intrinsics {
		if f, err := parseField(name); err != nil || f.Intrinsic == traceql.NoIntrinsic {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	for _, name := range traceql.Intrinsics() {
		if !slices.Contains(intrinsics, name) {
			t.Errorf("%s is not listed", name)
		}
	}
}

func TestValues(t *testing.T) {
	extra := testkit.Sample()[:1]
	extra[0].TraceID[0], extra[0].Attrs = 1, []trace.Attr{{Key: "a/b c", Value: trace.String("slashed")}, {Key: "long", Value: trace.String(strings.Repeat("x", 500))}}
	at := server(t, testkit.Sample(), extra)
	keyword := func(list ...string) (out []value) {
		for _, s := range list {
			out = append(out, value{"keyword", s})
		}
		return out
	}
	services := []value{{"string", "shop/web"}, {"string", "stock"}, {"string", "unknown_service"}}
	for name, want := range map[string][]value{
		"resource.service.name/values?tag=resource.service.name&limit=5000": services, // as Grafana asks
		".service.name/values":         services,
		"rootServiceName/values":       services[:1],
		".service.name/values?limit=1": services[:1],
		"event.exception.type/values":  {{"string", "IOError"}},
		"event:name/values":            {{"string", "cache miss"}, {"string", "exception"}, {"string", "named"}},
		"link.why/values":              {{"string", "batch"}},
		"statusMessage/values":         {{"string", "no stock"}},
		"trace:rootName/values":        {{"string", "GET /warenkörbe/{id}"}},
		"instrumentation:name/values":  {{"string", "shoplib"}},
		"span:id/values":               {},
		// with a condition, also with one that is not yet finished
		"resource.host.name/values?q=%7Bresource.service.name=%22stock%22%7D":                         {{"string", "h2"}},
		"resource.host.name/values?q=%7B%20kind%20=%20client%20%7D":                                   {{"string", "h1"}},
		"resource.host.name/values?q=%7B%20kind%20=%20client%20%26%26%20resource.host.name%20=%20%7D": {{"string", "h1"}},
		"resource.host.name/values?q=%7B%20resource.host.name%20=":                                    {{"string", "h1"}, {"string", "h2"}},
		"resource.service.name/values?q=%7B%20status=error%20%26%26%20true%20%7D":                     services[:2],
		"span:name/values?q=%7B%20nestedSetParent%3C0%20%26%26%20true%20%7D%20%7C%20rate()":           {{"string", "GET /warenkörbe/{id}"}, {"string", ""}},
		"span:name/values?q=%7B%20kind=spam%20%7D&limit=1":                                            {{"string", ""}},
		"span.service.name/values":          {},
		"span.http.status_code/values":      {{"int", "200"}},
		".yes/values":                       {{"bool", "true"}},
		"span.ratio/values":                 {{"float", "0.1"}},
		"span.list/values":                  {{"string", "a"}, {"int", "1"}, {"bool", "true"}, {"float", "1.5"}},
		"resource.host.name/values":         {{"string", "h1"}, {"string", "h2"}},
		"span.host.name/values":             {},
		"instrumentation.scope.attr/values": {{"string", "x"}},
		"span.\"a/b%20c\"/values":           {{"string", "slashed"}},
		"span.a/b%20c/values":               {{"string", "slashed"}},
		"span.a%2Fb%20c/values":             {{"string", "slashed"}},
		"span.long/values":                  {},
		"status/values":                     keyword("error", "ok", "unset"),
		"span:kind/values":                  keyword("unspecified", "internal", "server", "client", "producer", "consumer"),
		"span:name/values?limit=2":          {{"string", ""}, {"string", "GET /warenkörbe/{id}"}},
		"duration/values":                   {},
	} {
		got := valuesOf(t, at, name)
		if name == "span.list/values" {
			slices.SortFunc(got, func(a, b value) int { return strings.Compare(a.Value, b.Value) })
			slices.SortFunc(want, func(a, b value) int { return strings.Compare(a.Value, b.Value) })
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v; want %v", name, got, want)
		}
	}
	var v1 struct {
		TagValues []string
		Metrics   metadata
	}
	for name, want := range map[string][]string{
		"service.name": {"shop/web", "stock", "unknown_service"}, "status.code": {"error", "ok", "unset"}, "host.name": {"h1", "h2"}, "resource.host.name": {"h1", "h2"}, "http.status_code": {"200"},
		"root.service.name": {"shop/web"}, "nothing.here": {},
	} {
		if strictly(t, get(t, at, "/api/search/tag/"+name+"/values", ""), &v1); !slices.Equal(v1.TagValues, want) {
			t.Errorf("v1 %s: %v; want %v", name, v1.TagValues, want)
		}
	}
	for name, want := range map[string]string{"service": `invalid tag name: "service" is neither`, "spam.x": "invalid tag name", "span.": "invalid tag name", "a,.b": "invalid tag name", "a)%20|%20by(.b": "invalid tag name"} {
		if got := get(t, at, "/api/v2/search/tag/"+name+"/values", ""); got.status != 400 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
