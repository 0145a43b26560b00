package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// conform asks a backend everything, and holds that it differs where the table in docs/conformance.md says so and nowhere else.
func conform(t *testing.T, b *backend, known map[string]string) {
	t.Helper()
	a, err := newAsker(b)
	if err != nil {
		t.Fatal(err)
	}
	if address := b.at["jaeger-grpc"]; address != "" {
		dir := filepath.Join("..", "jaegerquery", "idl")
		if a.jaeger, err = connect(testkit.Program(t, dir), dir, address); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.jaeger.Close() }) // it has nothing to lose
	}
	list, err := questions(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.load(t.Context(), a.occasion); err != nil {
		t.Fatal(err)
	}
	results, err := a.run(t.Context(), list, time.Minute, known)
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, r := range results {
		name := r.dialect + "/" + r.name
		asked[name] = true
		switch what, there := known[name]; {
		case r.diff != "" && !there:
			t.Errorf("%s\n%s\n%s", name, r.request(), r.diff)
		case r.diff == "" && there && !strings.HasPrefix(what, "At times"):
			t.Errorf("%s: docs/conformance.md says that it differs (%s), and it does not", name, what)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !asked[name] {
			t.Errorf("docs/conformance.md names %s, which is no question", name)
		}
	}
	t.Logf("%d questions, %d known differences", len(results), len(known))
}

// differences returns the rows of the table of a peer in docs/conformance.md: what it does, by dialect/question.
func differences(t *testing.T, peer string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(raw), "\n### "+peer+"\n")
	if !ok {
		t.Fatalf("docs/conformance.md has no part %s", peer)
	}
	table, _, _ = strings.Cut(table, "\n#")
	out := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		name, row := strings.CutPrefix(cells[0], "| `")
		if !row {
			continue
		}
		name = strings.TrimSuffix(name, "`")
		if len(cells) != 3 || len(cells[1]) < 5 || len(cells[2]) < 5 {
			t.Errorf("%s: a row is a question, what the peer does, and why Clew does otherwise", line)
			continue
		}
		out[name] = cells[1]
	}
	return out
}

func TestClew(t *testing.T) {
	t.Parallel()
	s := testkit.Start(t)
	conform(t, &backend{otlp: s.URL("otlp_http"), at: map[string]string{
		"jaeger": s.URL("query"), "jaeger-v3": s.URL("query"), "jaeger-grpc": s.Address("query_grpc"), "zipkin": s.URL("zipkin"),
		"tempo": s.URL("tempo"), "tempo-grpc": s.Address("tempo"), // the same port, as Grafana dials it
	}}, nil)
}

func TestZipkin(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Zipkin's server")
	}
	t.Parallel()
	url := testkit.Zipkin(t, filepath.Join("..", "zipkin", "server"), testkit.FreeAddresses(t, 1)[0])
	conform(t, &backend{at: map[string]string{"zipkin": url}}, differences(t, "Zipkin 3.6.1"))
}

const jaegerConfig = `
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines: {traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry: {metrics: {level: none}}
extensions:
  jaeger_query: {storage: {traces: store, traces_archive: archive}, http: {endpoint: "%s"}, grpc: {endpoint: "%s"}}
  jaeger_storage: {backends: {store: {memory: {max_traces: 1000}}, archive: {memory: {max_traces: 1000}}}}
receivers:
  otlp: {protocols: {http: {endpoint: "%s"}}}
exporters: {jaeger_storage_exporter: {trace_storage: store}}
`

func TestJaeger(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a Jaeger")
	}
	t.Parallel()
	program := testkit.Jaeger(t)
	p := testkit.FreeAddresses(t, 3)
	config := filepath.Join(t.TempDir(), "jaeger.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, jaegerConfig, p[0], p[1], p[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.StartPeer(t, exec.Command(program, "--config", config), testkit.Listening(p...))
	conform(t, &backend{otlp: "http://" + p[2], at: map[string]string{"jaeger": "http://" + p[0], "jaeger-v3": "http://" + p[0], "jaeger-grpc": p[1]}}, differences(t, "Jaeger 1.76.0"))
}

// TestWrong asks a server that answers everything with the same JSON, which is right for nothing: each question must notice.
func TestWrong(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"data": [], "unknown": 1}`)) // the client sees when it fails
	}))
	t.Cleanup(server.Close)
	url := server.URL
	a, err := newAsker(&backend{at: map[string]string{"jaeger": url, "jaeger-v3": url, "zipkin": url, "tempo": url}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := questions(a.backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	results, err := a.run(t.Context(), list, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.diff == "" {
			t.Errorf("%s/%s is content with anything", r.dialect, r.name)
		}
	}
}
