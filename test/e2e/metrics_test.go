package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/clewtrace/clew/internal/testkit"
)

// family is a metric as /metrics describes it.
type family struct {
	typ, help string
	labels    map[string]bool
	series    []string
}

func scrape(t testing.TB, s *testkit.Server) ([]byte, map[string]*family) {
	t.Helper()
	r, err := http.Get(s.URL("admin") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*family{}
	var last *family
	label := regexp.MustCompile(`([a-z_]+)="`)
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			last = &family{help: help, labels: map[string]bool{}}
			out[name] = last
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			_, last.typ, _ = strings.Cut(rest, " ")
			continue
		}
		last.series = append(last.series, line)
		for _, m := range label.FindAllStringSubmatch(line, -1) {
			if m[1] != "le" && m[1] != "quantile" {
				last.labels[m[1]] = true
			}
		}
	}
	return raw, out
}

// TestMetrics makes a server count one of everything, and checks that the metrics are well formed, that docs/metrics.md has every one of them,
// and that /metrics has every one that the code names.
func TestMetrics(t *testing.T) {
	// Of Kafka there is all but a broker, which alone knows how far a group is behind.
	s := testkit.Start(t, "--forward.to", `[{name: there, protocol: otlp_http, endpoint: "http://127.0.0.1:9"}]`, "--kafka.brokers", "127.0.0.1:1", "--kafka.topics", "[{name: spans, format: otlp_proto}]",
		"--process.steps", "[{kind: rename}, {kind: wasm, file: ../../process/wasm/testdata/normalise_sql.wasm}]")
	good := batch(1, 3)
	bad := bytes.Clone(good)
	at := bytes.Index(bad, []byte{0x0a, 16, 1})
	clear(bad[at+2 : at+18]) // the first span's trace ID
	for body, want := range map[string]int{string(good): 200, string(bad): 200, "nonsense": 400} {
		if status, err := post(s.URL("otlp_http"), strings.NewReader(body)); status != want || err != nil {
			t.Fatalf("%d, %v; want %d", status, err, want)
		}
	}
	for _, path := range []string{"/api/services", "/api/traces/zz"} {
		r, err := http.Get(s.URL("query") + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
	}
	raw, families := scrape(t, s)

	problems, err := promlint.New(bytes.NewReader(raw)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, want := range []string{
		`clew_received_spans_total{protocol="otlp/http"} 6`, `clew_stored_spans_total{protocol="otlp/http"} 5`,
		`clew_refused_spans_total{protocol="otlp/http",reason="bad_trace_id"} 1`, `clew_refused_requests_total{protocol="otlp/http",reason="invalid"} 1`,
		`clew_store_appended_spans_total 5`, `clew_store_spans 5`, `clew_store_expired_spans_total{reason="age"} 0`, `clew_store_expired_spans_total{reason="bytes"} 0`,
		`clew_query_seconds_count{api="jaeger",call="services"} 1`, `clew_query_errors_total{api="jaeger",call="traces_by_id",kind="invalid"} 1`,
		`clew_receive_seconds_count{protocol="otlp/http"} 2`, `clew_forward_queued_spans_total{destination="there"} 5`, `clew_forward_queue_spans{destination="there"} 5`,
	} {
		if !strings.Contains(string(raw), "\n"+want+"\n") {
			t.Errorf("/metrics has no %s", want)
		}
	}
	families["clew_kafka_lag_records"] = &family{
		typ: "gauge", labels: map[string]bool{"topic": true, "partition": true}, help: "Records of a partition that the group has not committed yet; of the partitions that this member reads.",
	}
	secured := startSecured(t)
	raw, more := scrape(t, secured)
	for name, f := range more {
		if families[name] == nil { // the store's have a tenant there
			families[name] = f
		}
	}
	for _, want := range []string{
		`clew_auth_refused_total{listener="otlp_http",reason="no_credential"} 1`, `clew_tenant_stored_spans_total{tenant="a"} 5`, `clew_tenant_stored_spans_total{tenant="default"} 0`,
		`clew_tls_reload_failures_total{listener="zipkin"} 0`,
	} {
		if !strings.Contains(string(raw), "\n"+want+"\n") {
			t.Errorf("/metrics has no %s", want)
		}
	}
	exports := map[string]bool{"clew_abi_": true, "clew_alloc": true, "clew_init": true, "clew_process": true} // of modules, which are no metrics
	for _, name := range namedInCode(t) {
		if families[name] == nil && !exports[name] {
			t.Errorf("%s is named in the code and not in /metrics", name)
		}
	}
	document(t, families)
}

// startSecured starts a server with TLS at a port, credentials and tenants, of which it has let one in and refused another.
func startSecured(t *testing.T) *testkit.Server {
	t.Helper()
	pair := testkit.NewAuthority(t, "ca").Issue("server", time.Now().Add(time.Hour))
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("collector 0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := testkit.Start(t, "--tenants.list", "a", "--auth.token_file", tokens, "--auth.except", "query,admin",
		"--tls.listeners", fmt.Sprintf("{zipkin: {cert_file: %q, key_file: %q}}", pair.CertFile, pair.KeyFile))
	for token, want := range map[string]int{"Bearer 0123456789abcdef": 200, "": 401} {
		req, err := http.NewRequest(http.MethodPost, s.URL("otlp_http")+"/v1/traces", bytes.NewReader(batch(1, 5)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-protobuf")
		req.Header.Set("X-Scope-OrgID", "a")
		if token != "" {
			req.Header.Set("Authorization", token)
		}
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("with %q: %d; want %d", token, r.StatusCode, want)
		}
	}
	return s
}

// namedInCode returns the metrics that the code names.
func namedInCode(t testing.TB) []string {
	t.Helper()
	root, err := testkit.Root()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	name := regexp.MustCompile(`"(clew_[a-z_]+)"`)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") || d.Name() == "bench" || d.Name() == "test") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		for _, m := range name.FindAllStringSubmatch(string(b), -1) {
			found[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found))
}

// document compares the table in docs/metrics.md with the metrics.
func document(t *testing.T, families map[string]*family) {
	t.Helper()
	root, err := testkit.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "docs", "metrics.md")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- metrics: written by go test ./test/e2e -run TestMetrics -update -->\n", "<!-- end of metrics -->\n"
	before, rest, ok1 := strings.Cut(string(doc), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no %s … %s", path, begin, end)
	}
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		if strings.HasPrefix(name, "clew_") {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, f.typ, strings.Join(slices.Sorted(maps.Keys(f.labels)), ", "), f.help)
		}
	}
	testkit.Golden(t, path, []byte(before+begin+b.String()+end+after))
}

// TestProfiles checks that profiles are served only when asked for.
func TestProfiles(t *testing.T) {
	for flag, want := range map[string]int{"--admin.pprof=false": 404, "--admin.pprof": 200} {
		s := testkit.Start(t, flag)
		r, err := http.Get(s.URL("admin") + "/debug/pprof/heap")
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: /debug/pprof/heap is %d; want %d", flag, r.StatusCode, want)
		}
	}
}
