package jaegerquery

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// kialiTrace is two spans as the proxies of Istio send them, of a service as Kiali calls it, one of which failed.
func kialiTrace(start time.Time) []trace.Span {
	text := func(key, value string) trace.Attr { return trace.Attr{Key: key, Value: trace.String(value)} }
	r := &trace.Resource{Attrs: []trace.Attr{text("service.name", "reviews.bookinfo"), text("hostname", "reviews-v1-7")}}
	s := trace.Span{
		TraceID: trace.ID{7, 15: 1}, ID: trace.SpanID{1}, Name: "reviews.bookinfo.svc.cluster.local:9080/*", Kind: trace.KindServer,
		Start: uint64(start.UnixNano()), End: uint64(start.Add(30 * time.Millisecond).UnixNano()), Resource: r, Scope: &trace.Scope{Name: "envoy"},
		Attrs: []trace.Attr{
			text("istio.cluster_id", "Kubernetes"), text("node_id", "sidecar~10.0.0.7~reviews-v1-7.bookinfo~bookinfo.svc.cluster.local"), text("component", "proxy"),
			text("upstream_cluster", "inbound|9080||"), text("http.method", "GET"), text("response_flags", "-"),
			{Key: "http.status_code", Value: trace.Int(200)},
		},
	}
	failed := s
	failed.ID, failed.Parent, failed.Kind, failed.Status = trace.SpanID{2}, s.ID, trace.KindClient, trace.StatusError
	failed.End -= uint64(10 * time.Millisecond)
	return []trace.Span{s, failed}
}

// kiali asks as Kiali's HTTP client does, and decodes the answer.
func kiali(t *testing.T, address, path string, query url.Values, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+path+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Add("Accept", "application/json")
	r.Header.Add("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", path, resp.Status, raw)
	}
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatalf("%s: %v in %s", path, err, raw)
		}
	}
}

// TestKiali makes the calls that Kiali makes of Jaeger, over HTTP and gRPC, and of Tempo, and reads what it reads of the answers.
//
// Source: kiali, tracing/jaeger and tracing/tempo.
func TestKiali(t *testing.T) {
	if testing.Short() {
		t.Skip("installs packages")
	}
	s := testkit.Start(t)
	now := time.Now().Truncate(time.Second)
	send(t, s, s.URL("otlp_http"), kialiTrace(now.Add(-5*time.Minute)))
	t.Run("jaeger", func(t *testing.T) { kialiJaeger(t, s.URL("query"), now) })
	t.Run("grpc", func(t *testing.T) { kialiGRPC(t, connect(t, s.Address("query_grpc")), now) })
	t.Run("tempo", func(t *testing.T) { kialiTempo(t, s.URL("tempo"), now) })
}

func kialiJaeger(t *testing.T, at string, now time.Time) {
	var services struct{ Data []string }
	kiali(t, at, "/api/services", nil, &services)
	if !slices.Equal(services.Data, []string{"reviews.bookinfo"}) {
		t.Errorf("services %q", services.Data)
	}
	type traces struct {
		Data []struct {
			TraceID string
			Spans   []struct {
				SpanID, OperationName string
				StartTime, Duration   uint64
				References            []struct{ RefType, TraceID, SpanID string }
			}
			Processes map[string]struct{ ServiceName string }
		}
		Errors []struct{ Msg string }
	}
	micros := func(t time.Time) string { return fmt.Sprint(t.Unix() * 1e6) }
	form := func(more ...string) url.Values {
		q := url.Values{"service": {"reviews.bookinfo"}, "start": {micros(now.Add(-10 * time.Minute))}, "end": {micros(now)}}
		for i := 0; i < len(more); i += 2 {
			q.Set(more[i], more[i+1])
		}
		return q
	}
	for _, c := range []struct {
		query url.Values
		want  int
	}{
		{form("limit", "100", "tags", `{"istio.cluster_id":"Kubernetes"}`), 1},
		{form("tags", `{"error":"true"}`), 1},
		{form("limit", "20", "minDuration", "30000us"), 1},
		{form("limit", "20", "minDuration", "30001us"), 0},
	} {
		var found traces
		kiali(t, at, "/api/traces", c.query, &found)
		if len(found.Data) != c.want || len(found.Errors) != 0 {
			t.Errorf("%v: %+v; want %d", c.query, found, c.want)
		}
	}
	var one traces
	kiali(t, at, "/api/traces/07000000000000000000000000000001", nil, &one)
	if len(one.Data) != 1 || len(one.Data[0].Spans) != 2 || one.Data[0].Spans[0].Duration != 30_000 || one.Data[0].TraceID != "07000000000000000000000000000001" {
		t.Errorf("%+v", one)
	}
}

func kialiGRPC(t *testing.T, c *client, now time.Time) {
	c.shows(t, "v2/GetServices", "", `"services":["reviews.bookinfo"]`)
	find := func(tags, shortest string, depth int) string {
		return fmt.Sprintf(`{"query": {"serviceName": "reviews.bookinfo", "startTimeMin": %q, "startTimeMax": %q, "tags": %s, "durationMin": %q, "searchDepth": %d}}`,
			now.Add(-10*time.Minute).Format(time.RFC3339), now.Format(time.RFC3339), tags, shortest, depth)
	}
	for _, question := range []string{find(`{"istio.cluster_id": "Kubernetes"}`, "0s", 10), find(`{"error": "true"}`, "0s", 0), find(`{}`, "0.030s", 20)} {
		if a := c.shows(t, "v2/FindTraces", question, `"serviceName":"reviews.bookinfo"`); spansIn(a, `"operationName"`) != 2 {
			t.Errorf("%s: %s", question, rawMessages(a.Messages))
		}
	}
	if a := c.ask(t, "v2/FindTraces", find(`{"cluster": "Kubernetes"}`, "0s", 10)); a.Code != "OK" || len(a.Messages) != 0 { // as Kiali tries which tags there are
		t.Errorf("%+v", a)
	}
	id := base64.StdEncoding.EncodeToString(slices.Concat([]byte{7}, make([]byte, 14), []byte{1}))
	c.shows(t, "v2/GetTrace", `{"traceId": "`+id+`"}`, `"serviceName":"reviews.bookinfo"`)
}

func kialiTempo(t *testing.T, at string, now time.Time) {
	kiali(t, at, "/status/services", nil, nil) // whether Tempo is there
	var tags struct{ TagNames []string }
	kiali(t, at, "/api/search/tags", nil, &tags)
	if !slices.Contains(tags.TagNames, "istio.cluster_id") {
		t.Errorf("tags %q", tags.TagNames)
	}
	type attribute struct {
		Key   string
		Value struct{ StringValue string }
	}
	type span struct {
		TraceID, SpanID, Name, Kind, StartTimeUnixNano, EndTimeUnixNano, DurationNanos string
		Attributes                                                                     []attribute
	}
	type traces struct {
		Traces []struct {
			TraceID, RootServiceName, RootTraceName, StartTimeUnixNano string
			DurationMs                                                 int
			SpanSet                                                    struct {
				Spans   []span
				Matched int
			}
		}
	}
	var all traces
	kiali(t, at, "/api/search", url.Values{"q": {"{}"}}, &all)
	if len(all.Traces) != 1 || all.Traces[0].RootServiceName != "reviews.bookinfo" {
		t.Errorf("%+v", all)
	}
	const selects = "select(status, .service_name, .node_id, .component, .upstream_cluster, .http.method, .response_flags, resource.hostname)"
	for cond, want := range map[string]int{
		`.service.name = "reviews.bookinfo" `:                                                           2,
		`.service.name = "reviews.bookinfo"  && .istio.cluster_id = "Kubernetes"  `:                     2,
		`.service.name = "reviews.bookinfo"  && .istio.cluster_id = "Kubernetes"   && status = error  `: 2,
		`.service.name = "reviews.bookinfo"  && .node_id =~ ".*"  `:                                     2,
		`.service.name = "ratings.bookinfo" `:                                                           0,
	} {
		var found traces
		kiali(t, at, "/api/search", url.Values{
			"q": {"{ " + cond + " } && {  } | " + selects}, "start": {fmt.Sprint(now.Add(-10 * time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())},
			"minDuration": {"30ms"}, "spss": {"10"}, "limit": {"20"},
		}, &found)
		if want == 0 && len(found.Traces) == 0 {
			continue
		}
		if len(found.Traces) != 1 || found.Traces[0].SpanSet.Matched != want || len(found.Traces[0].SpanSet.Spans) != want || found.Traces[0].DurationMs != 30 {
			t.Errorf("%s: %+v; want %d spans", cond, found, want)
			continue
		}
		has := found.Traces[0].SpanSet.Spans[0]
		for key, value := range map[string]string{"service.name": "reviews.bookinfo", "component": "proxy", "hostname": "reviews-v1-7"} {
			if !slices.ContainsFunc(has.Attributes, func(a attribute) bool { return a.Key == key && a.Value.StringValue == value }) {
				t.Errorf("%s: no %s=%s in %+v", cond, key, value, has)
			}
		}
	}
	var short traces
	kiali(t, at, "/api/search", url.Values{"q": {"{ } | " + selects}, "minDuration": {"31ms"}}, &short)
	if len(short.Traces) != 0 {
		t.Errorf("a trace that is shorter than what is asked for: %+v", short)
	}
	var one struct {
		Batches []struct {
			Resource   struct{ Attributes []attribute }
			ScopeSpans []struct{ Spans []span }
		}
	}
	kiali(t, at, "/api/traces/07000000000000000000000000000001", nil, &one)
	if len(one.Batches) != 1 || len(one.Batches[0].ScopeSpans) != 1 || len(one.Batches[0].ScopeSpans[0].Spans) != 2 || !strings.HasPrefix(one.Batches[0].ScopeSpans[0].Spans[0].Kind, "SPAN_KIND_") {
		t.Errorf("%+v", one)
	}
}
