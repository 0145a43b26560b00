package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// configured starts a server with a configuration file.
func configured(t *testing.T, yaml string) *testkit.Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clew.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	return testkit.Start(t, "--config", path)
}

func mustGet(t *testing.T, url string) string {
	t.Helper()
	status, body, _ := ask(t, http.MethodGet, url, "", nil)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", url, status, body)
	}
	return body
}

// TestModules: spans of OpenTelemetry's SDK come out of two modules, one in Go and one in Rust, as these change them.
func TestModules(t *testing.T) {
	s := configured(t, fmt.Sprintf(`
process:
  steps:
    - kind: wasm
      name: scrub
      file: %s
      config: "checkout, payment"
      timeout: 1m
    - kind: wasm
      name: sql
      file: %s
      timeout: 1m
`, testkit.GoProcessor(t, "scrub"), testkit.RustProcessor(t)))
	ctx := t.Context()
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(s.Address("otlp_grpc")), otlptracegrpc.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "checkout"))))
	tracer := provider.Tracer("test")
	ctx, root := tracer.Start(ctx, "POST /pay")
	root.SetAttributes(attribute.String("user", "ann@example.com"))
	_, query := tracer.Start(ctx, "query")
	query.SetAttributes(attribute.String("db.query.text", "SELECT * FROM cards WHERE owner = 'ann' AND year = 2024"))
	query.End()
	_, health := tracer.Start(ctx, "GET /healthz")
	health.End()
	root.End()
	if err := provider.Shutdown(context.WithoutCancel(ctx)); err != nil {
		t.Fatal(err)
	}

	stored := mustGet(t, s.URL("query")+"/api/traces/"+root.SpanContext().TraceID().String())
	for text, want := range map[string]bool{
		"POST /pay": true, "[e-mail]": true, "ann@": false, `"tier"`: true, "/healthz": false, "SELECT * FROM cards WHERE owner = ? AND year = ?": true, "2024": false,
	} {
		if strings.Contains(stored, text) != want {
			t.Errorf("%q in what is stored: want %v: %s", text, want, stored)
		}
	}
	raw, _ := scrape(t, s)
	for _, line := range []string{
		`clew_process_dropped_spans_total{reason="module",step="scrub",tenant="default"} 1`, `clew_received_spans_total{protocol="otlp/grpc"} 3`,
		`clew_stored_spans_total{protocol="otlp/grpc"} 2`, `clew_wasm_instances{step="scrub"} 1`, `clew_wasm_failures_total{reason="crash",step="sql"} 0`,
	} {
		if !bytes.Contains(raw, []byte(line+"\n")) {
			t.Errorf("metrics lack %s", line)
		}
	}
}

// spansOf returns the OTLP bytes of a span of a service.
func spansOf(service string, n int) []byte {
	now := uint64(time.Now().UnixNano())
	return trace.AppendTraces(nil, []trace.Span{{
		TraceID: idOf(n), ID: trace.SpanID{7: 1}, Name: "work", Start: now, End: now + 10, Scope: &trace.Scope{},
		Resource: &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(service)}}},
	}})
}

// TestBadModules: while modules hang, crash and want all memory, the spans that they are not for are stored, questions are answered,
// what they failed to process is refused for now, or goes on unprocessed if that is configured, and the memory stays within bounds.
func TestBadModules(t *testing.T) {
	yaml := "process:\n  steps:\n"
	for _, m := range []string{"hang", "crash", "hungry", "garbage"} {
		path, err := filepath.Abs("../../process/wasm/testdata/" + m + ".wasm")
		if err != nil {
			t.Fatal(err)
		}
		yaml += fmt.Sprintf("    - {kind: wasm, name: %s, file: %q, timeout: 200ms, memory_bytes: 64MiB, when: {services: [%s]}}\n", m, path, m)
		yaml += fmt.Sprintf("    - {kind: wasm, name: lax-%s, file: %q, timeout: 200ms, memory_bytes: 64MiB, error_mode: ignore, when: {services: [lax-%s]}}\n", m, path, m)
	}
	s := configured(t, yaml)
	var wg sync.WaitGroup
	for i, service := range []string{"hang", "crash", "hungry", "garbage", "lax-hang", "lax-crash", "lax-hungry", "lax-garbage", "fine", "fine", "fine"} {
		wg.Go(func() {
			for n := range 12 {
				want := http.StatusOK
				if i < 4 {
					want = http.StatusServiceUnavailable
				}
				status, body, head := ask(t, http.MethodPost, s.URL("otlp_http")+"/v1/traces", "", spansOf(service, 100*i+n+1))
				if status != want || (head.Get("Retry-After") != "") != (i < 4) {
					t.Errorf("%s: %d %q, Retry-After %q; want %d", service, status, body, head.Get("Retry-After"), want)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for asked := 0; ; asked++ {
		mustGet(t, s.URL("query")+"/api/services")
		mustGet(t, s.URL("admin")+"/readyz")
		select {
		case <-done:
		default:
			continue
		}
		t.Logf("%d questions were answered meanwhile", asked)
		break
	}
	raw, _ := scrape(t, s)
	for _, line := range []string{
		`clew_stored_spans_total{protocol="otlp/http"} 84`, `clew_received_spans_total{protocol="otlp/http"} 132`, `clew_refused_spans_total{protocol="otlp/http",reason="busy"} 48`,
		`clew_wasm_unprocessed_spans_total{step="hang"} 12`, `clew_wasm_unprocessed_spans_total{step="lax-crash"} 12`, `clew_wasm_paused{step="crash"} 1`,
		`clew_wasm_instances{step="hungry"} 0`, `clew_wasm_memory_bytes{step="hungry"} 0`,
	} {
		if !bytes.Contains(raw, []byte(line+"\n")) {
			t.Errorf("metrics lack %s", line)
		}
	}
	for step, reason := range map[string]string{"hang": "timeout", "crash": "crash", "hungry": "memory", "lax-garbage": "output"} {
		if !regexpOf(step, reason).Match(raw) {
			t.Errorf("no failure of %s is counted for %s", step, reason)
		}
	}
	if peak := peakMemory(t, s.PID()); peak > 500<<20 { // at 64 MiB, two modules on each core, and the rest
		t.Errorf("the server took %d MiB", peak>>20)
	} else {
		t.Logf("the server took %d MiB at most", peak>>20)
	}
}

func regexpOf(step, reason string) *regexp.Regexp {
	return regexp.MustCompile(`clew_wasm_failures_total\{reason="` + reason + `",step="` + step + `"\} [1-9]`)
}

// peakMemory returns the most that a process had of memory.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("there is no /proc here")
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
