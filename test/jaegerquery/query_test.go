// Package jaegerquery asks Clew Jaeger's query API with clients that are made of Jaeger's own interface definitions.
package jaegerquery

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// client is the program in idl, connected to a server.
type client struct {
	in  io.Writer
	out *bufio.Reader
}

type answer struct {
	Code     string
	Text     string
	Messages []json.RawMessage
	Largest  int
}

// connect starts the program, and ends it with the test.
func connect(t *testing.T, args ...string) *client {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.Program(t, "idl"), args...)
	cmd.Dir, cmd.Stderr = "idl", os.Stderr // where its module's dependencies are found
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // its output says all
	})
	return &client{in, bufio.NewReader(out)}
}

// ask makes a call; more is other members of it, as JSON.
func (c *client) ask(t *testing.T, call, request string, more ...string) (a answer) {
	t.Helper()
	if request == "" {
		request = "{}"
	}
	if _, err := fmt.Fprintf(c.in, `{"call": %q, "request": %s%s}`+"\n", call, request, strings.Join(append([]string{""}, more...), ", ")); err != nil {
		t.Fatal(err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("%s %s: %v", call, request, err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// shows holds that a call succeeds and what it answers has some texts.
func (c *client) shows(t *testing.T, call, request string, texts ...string) answer {
	t.Helper()
	a := c.ask(t, call, request)
	all := bytes.Join(rawMessages(a.Messages), []byte("\n"))
	for _, text := range texts {
		if a.Code != "OK" || !bytes.Contains(bytes.ReplaceAll(all, []byte(`": `), []byte(`":`)), []byte(text)) {
			t.Errorf("%s %s: %s %s %.3000s; want %s", call, request, a.Code, a.Text, all, text)
		}
	}
	return a
}

func rawMessages(list []json.RawMessage) (out [][]byte) {
	for _, m := range list {
		out = append(out, m)
	}
	return out
}

// fails holds that a call ends with a status.
func (c *client) fails(t *testing.T, call, request, code, text string) {
	t.Helper()
	if a := c.ask(t, call, request); a.Code != code || !strings.Contains(a.Text, text) || len(a.Messages) > 0 {
		t.Errorf("%s %s: %s %q, %d messages; want %s %q", call, request, a.Code, a.Text, len(a.Messages), code, text)
	}
}

func send(t *testing.T, s *testkit.Server, url string, spans []trace.Span) {
	t.Helper()
	resp, err := http.Post(url+"/v1/traces", "application/x-protobuf", bytes.NewReader(trace.AppendTraces(nil, spans)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s", resp.Status)
	}
}

// large is a trace of more than a stream's message may have, and one span that alone is more than that.
func large(id byte) (spans []trace.Span) {
	r, sc := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("large")}}}, &trace.Scope{}
	for i := range 3000 {
		s := trace.Span{TraceID: trace.ID{15: id}, ID: trace.SpanID{1, 6: byte(i >> 8), 7: byte(i)}, Name: "step", Start: uint64(testkit.SampleTime) + uint64(i), Resource: r, Scope: sc}
		s.End = s.Start + 1000
		size := 2000
		if i == 1500 {
			size = 3 << 20
		}
		s.Attrs = []trace.Attr{{Key: "pad", Value: trace.String(strings.Repeat("x", size))}}
		spans = append(spans, s)
	}
	return spans
}

const (
	sampleID  = "5b8efff798038103d269b633813fc60c"
	sampleB64 = "W47/95gDgQPSabYzgT/GDA=="
	during    = `"startTimeMin": "2025-11-23T08:10:09Z", "startTimeMax": "2025-11-23T08:10:19Z"`
)

// TestQueryService makes all calls of both versions.
func TestQueryService(t *testing.T) {
	if testing.Short() {
		t.Skip("installs packages")
	}
	s := testkit.Start(t, "--store.retention", "0")
	send(t, s, s.URL("otlp_http"), testkit.Sample())
	send(t, s, s.URL("otlp_http"), large(7))
	c := connect(t, s.Address("query_grpc"))
	t.Run("v2", func(t *testing.T) { versionTwo(t, c) })
	t.Run("v3", func(t *testing.T) { versionThree(t, c) })
	t.Run("others", func(t *testing.T) {
		c.shows(t, "health", `""`, "SERVING")
		c.shows(t, "health", `"jaeger.api_v2.QueryService"`, "SERVING")
		c.fails(t, "health", `"jaeger.api_v4.QueryService"`, "NotFound", "there is no service")
		if a := c.ask(t, "v3/FindTraces", `{"query": {`+during+`}}`, `"stop": 1`); len(a.Messages) != 1 {
			t.Errorf("%+v", a)
		}
		if a := c.ask(t, "v3/GetServices", "", `"timeout": "1ns"`); a.Code != "DeadlineExceeded" {
			t.Errorf("%+v", a)
		}
		resp, err := http.Get(s.URL("query_grpc"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if raw, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusUnsupportedMediaType || !strings.Contains(string(raw), "16686") {
			t.Errorf("a browser is answered %s %s", resp.Status, raw)
		}
	})
}

// spansIn counts the spans in an answer, by a text that each has once.
func spansIn(a answer, text string) (n int) {
	for _, m := range a.Messages {
		n += bytes.Count(m, []byte(text))
	}
	return n
}

func versionTwo(t *testing.T, c *client) {
	c.shows(t, "v2/GetServices", "", `"services":["large","shop/web","stock"`)
	c.shows(t, "v2/GetOperations", `{"service": "shop/web"}`, `"operationNames":["GET /warenkörbe/{id}"`, `"operations":[{"name":"GET /warenkörbe/{id}","spanKind":"server"}`)
	c.shows(t, "v2/GetOperations", `{"service": "shop/web", "spanKind": "client"}`, `"spanKind":"client"`)
	c.fails(t, "v2/GetOperations", `{"service": "shop/web", "spanKind": "x"}`, "InvalidArgument", "span_kind")
	c.fails(t, "v2/GetOperations", "", "InvalidArgument", "service is required")
	c.shows(t, "v2/GetTrace", `{"traceId": "`+sampleB64+`"}`, `"operationName":"GET /warenkörbe/{id}"`, `"serviceName":"shop/web"`, "caf\uFFFD", `"vBinary":"AAAwOf8="`, `"refType":"FOLLOWS_FROM"`, "ns before it starts")
	raw := c.shows(t, "v2/GetTrace", `{"traceId": "`+sampleB64+`", "rawTraces": true, "startTime": "2001-01-01T00:00:00Z"}`, `"startTime"`)
	if bytes.Contains(raw.Messages[0], []byte("before it starts")) {
		t.Error("a raw trace is mended")
	}
	big := c.ask(t, "v2/GetTrace", `{"traceId": "AAAAAAAAAAAAAAAAAAAABw=="}`)
	if n := spansIn(big, `"operationName"`); n != 3000 || len(big.Messages) < 7 || big.Largest > 3<<20+10_000 {
		t.Errorf("%d spans in %d messages of at most %d bytes: %s", n, len(big.Messages), big.Largest, big.Text)
	}
	c.fails(t, "v2/GetTrace", `{"traceId": "AAAAAAAAAAAAAAAAAAAAEg=="}`, "NotFound", "trace not found")
	c.fails(t, "v2/GetTrace", "", "InvalidArgument", "trace_id")
	c.shows(t, "v2/FindTraces", `{"query": {"serviceName": "stock", `+during+`}}`, `"serviceName":"stock"`)
	c.shows(t, "v2/FindTraces", `{"query": {"serviceName": "shop/web", "operationName": "GET /warenkörbe/{id}", "tags": {"http.status_code": "200"}, "durationMin": "0.1s", "durationMax": "0.2s", "searchDepth": 1, `+during+`}}`, `"serviceName":"stock"`)
	if a := c.ask(t, "v2/FindTraces", `{"query": {"serviceName": "shop/web", "tags": {"http.status_code": "404"}, `+during+`}}`); a.Code != "OK" || len(a.Messages) != 0 {
		t.Errorf("%+v", a)
	}
	c.fails(t, "v2/FindTraces", "", "InvalidArgument", "missing query")
	c.fails(t, "v2/FindTraces", `{"query": {"searchDepth": -1}}`, "InvalidArgument", "search_depth")
	c.fails(t, "v2/FindTraces", `{"query": {"durationMin": "2s", "durationMax": "1s"}}`, "InvalidArgument", "duration_max")
	c.shows(t, "v2/GetDependencies", `{"startTime": "2025-11-23T08:10:09Z", "endTime": "2025-11-23T08:10:19Z"}`, `{"parent":"shop/web","child":"stock","callCount":"1"}`)
	c.fails(t, "v2/GetDependencies", "", "InvalidArgument", "end_time")
	c.shows(t, "v2/ArchiveTrace", `{"traceId": "`+sampleB64+`"}`, `{}`)
	c.fails(t, "v2/ArchiveTrace", `{"traceId": "AAAAAAAAAAAAAAAAAAAAEg=="}`, "NotFound", "trace not found")
}

func versionThree(t *testing.T, c *client) {
	c.shows(t, "v3/GetServices", "", `"services":["large",`)
	c.shows(t, "v3/GetOperations", `{"service": "large"}`, `"operations":[{"name":"step"`)
	c.shows(t, "v3/GetTrace", `{"traceId": "`+sampleID+`"}`, `"name":"GET /warenkörbe/{id}"`, "caf\uFFFD", "@jaeger@warnings", `"schemaUrl":"https://scope"`)
	big := c.ask(t, "v3/GetTrace", `{"traceId": "7", "startTime": "2001-01-01T00:00:00Z", "endTime": "2001-01-01T00:00:00Z"}`)
	if n := spansIn(big, `"startTimeUnixNano"`); n != 3000 || len(big.Messages) < 7 || big.Largest > 3<<20+10_000 {
		t.Errorf("%d spans in %d messages of at most %d bytes: %s", n, len(big.Messages), big.Largest, big.Text)
	}
	c.fails(t, "v3/GetTrace", `{"traceId": "12"}`, "NotFound", "trace not found")
	c.fails(t, "v3/GetTrace", `{"traceId": "no"}`, "InvalidArgument", "trace ID")
	c.shows(t, "v3/FindTraces", `{"query": {"serviceName": "shop/web", "attributes": {"http.status_code": "200"}, "rawTraces": true, `+during+`}}`, `"name":"GET /warenkörbe/{id}"`)
	c.fails(t, "v3/FindTraces", `{"query": {"serviceName": "shop/web"}}`, "InvalidArgument", "query.start_time_min and query.start_time_max are required")
	c.fails(t, "v3/FindTraces", `{"query": {"filter": {"op": "exists", "args": [{"attr": {"key": "a"}}]}, `+during+`}}`, "InvalidArgument", "query.filter")
	c.shows(t, "v3/FindTraceSummaries", `{"query": {"searchDepth": 5, `+during+`}}`,
		`{"traceId":"`+sampleID+`","rootServiceName":"shop/web","rootOperationName":"GET /warenkörbe/{id}","minStartTimeUnixNano":"`, `"orphanSpanCount":`, `"services":[{"name":"large","spanCount":3000}]`)
	c.shows(t, "v3/GetDependencies", `{"startTime": "2025-11-23T08:10:09Z", "endTime": "2025-11-23T08:10:19Z"}`, `{"parent":"shop/web","child":"stock","callCount":"1"}`)
	if a := c.ask(t, "v3/FindTraceSummaries", `{"query": {"startTimeMin": "2025-11-23T08:00:00Z", "startTimeMax": "2025-11-23T08:00:01Z"}}`); a.Code != "OK" || len(a.Messages) != 0 {
		t.Errorf("%+v", a)
	}
}

// TestGuarded asks a server with TLS, credentials and tenants.
func TestGuarded(t *testing.T) {
	if testing.Short() {
		t.Skip("installs packages")
	}
	authority := testkit.NewAuthority(t, "ours")
	cert := authority.Issue("127.0.0.1", time.Now().Add(time.Hour))
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("reader: secret-of-a-reader\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := testkit.Start(t, "--store.retention", "0", "--tls.listeners", fmt.Sprintf("{query_grpc: {cert_file: %q, key_file: %q}}", cert.CertFile, cert.KeyFile),
		"--auth.token_file", tokens, "--auth.require", "query", "--tenants.list", "other")
	send(t, s, s.URL("otlp_http"), testkit.Sample())
	c := connect(t, "-ca", authority.CAFile, s.Address("query_grpc"))
	c.fails(t, "v3/GetServices", "", "Unauthenticated", "")
	header := func(more ...string) string {
		list, err := json.Marshal(append([]string{"authorization", "Bearer secret-of-a-reader"}, more...))
		if err != nil {
			t.Fatal(err)
		}
		return `"header": ` + string(list)
	}
	if a := c.ask(t, "v3/GetServices", "", header()); a.Code != "OK" || !strings.Contains(string(a.Messages[0]), "stock") {
		t.Errorf("%+v", a)
	}
	if a := c.ask(t, "v3/GetServices", "", header("x-scope-orgid", "other")); a.Code != "OK" || strings.Contains(string(a.Messages[0]), "stock") {
		t.Errorf("%+v", a)
	}
	if a := c.ask(t, "v3/GetServices", "", header("x-scope-orgid", "nobody")); a.Code != "PermissionDenied" {
		t.Errorf("%+v", a)
	}
}

// TestDescriptors holds what describes the services against jaeger-idl's definitions.
func TestDescriptors(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	file := filepath.Join(t.TempDir(), "set")
	cmd := exec.CommandContext(t.Context(), testkit.Program(t, "idl"), "-descriptors", file)
	cmd.Dir = "idl"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	set, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "../../api/jaeger/descriptors.binpb", set)
}

// TestReflection learns the services from the server, as grpcurl does.
func TestReflection(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	s := testkit.Start(t)
	c := connect(t, s.Address("query_grpc"))
	for _, version := range []string{"v1", "v1alpha"} {
		c.shows(t, "reflection/"+version, "",
			`grpc.health.v1.Health/Check grpc.health.v1.HealthCheckRequest grpc.health.v1.HealthCheckResponse`,
			`grpc.reflection.v1.ServerReflection/ServerReflectionInfo`,
			`jaeger.api_v2.QueryService/FindTraces jaeger.api_v2.FindTracesRequest jaeger.api_v2.SpansResponseChunk`,
			`jaeger.api_v3.QueryService/FindTraces jaeger.api_v3.FindTracesRequest opentelemetry.proto.trace.v1.TracesData`,
		)
	}
}
