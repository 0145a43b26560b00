package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/clewtrace/clew/internal/testkit"
)

const steps = `
process:
  steps:
    - kind: filter
      trace_conditions: ['IsMatch(span.name, "healthz")']
    - kind: transform
      trace_statements: ['set(span.attributes["tier"], "gold") where resource.attributes["service.name"] == "shop"']
    - kind: redact
      rules: [{patterns: [email]}, {keys: ["*password*"], action: drop}]
    - {kind: rename, original: was}
    - {kind: resource, insert: {k8s.cluster.name: prod}}
    - {kind: sample, percent: 100}
    - {kind: limit, when: {services: [noisy]}, spans_per_second: 5}
    - {kind: sample, name: half, when: {services: [half]}, percent: 50}
`

// TestProcessing: spans of OpenTelemetry's SDK come out of a chain as it changes them, and every span is accounted for.
func TestProcessing(t *testing.T) {
	s := configured(t, steps)
	ctx := t.Context()
	sent := 0
	for _, service := range []string{"shop", "noisy", "half"} {
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(s.Address("otlp_http")), otlptracehttp.WithInsecure())
		if err != nil {
			t.Fatal(err)
		}
		provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", service))))
		for i := range 40 {
			_, span := provider.Tracer("test").Start(ctx, fmt.Sprintf("GET /users/%d", 100+i))
			span.SetAttributes(attribute.String("mail", "by ann@example.com"), attribute.String("db.password", "x"))
			span.AddEvent("mailed ann@example.com")
			span.End()
			_, health := provider.Tracer("test").Start(ctx, "GET /healthz")
			health.End()
			sent += 2
		}
		if err := provider.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
	}
	shop := mustGet(t, s.URL("query")+"/api/traces?service=shop&limit=100")
	for text, want := range map[string]int{
		`"operationName":"GET /users/{id}"`: 40, `"healthz"`: 0, "ann@example.com": 0, `"by ***"`: 40, "mailed ***": 40, "password": 0, `"tier"`: 40, `"was"`: 40, "k8s.cluster.name": 40,
	} {
		if n := strings.Count(shop, text); n != want {
			t.Errorf("%s is there %d times; want %d", text, n, want)
		}
	}
	if half := mustGet(t, s.URL("query")+"/api/traces?service=half&limit=100"); !strings.Contains(half, "/users/{id}") || strings.Count(half, `"operationName"`) == 40 {
		t.Errorf("half: %d spans are left of 40", strings.Count(half, `"operationName"`))
	}

	counts := mustGet(t, s.URL("admin")+"/metrics")
	dropped := metric(t, s, `clew_process_dropped_spans_total{reason="filtered",step="filter",tenant="default"}`) + metric(t, s, `clew_process_dropped_spans_total{reason="sampled_out",step="half",tenant="default"}`)
	stored := metric(t, s, `clew_stored_spans_total{protocol="otlp/http"}`)
	refused := metric(t, s, `clew_refused_spans_total{protocol="otlp/http",reason="rate_limited"}`)
	if received := metric(t, s, `clew_received_spans_total{protocol="otlp/http"}`); received != float64(sent) || stored+refused+dropped != received || refused == 0 {
		t.Errorf("%v received of %d sent; %v stored, %v refused, %v dropped\n%s", received, sent, stored, refused, dropped, counts)
	}
}

// TestRateLimitAnswers: what is over a rate is told in part, or, if it is all, to come again.
func TestRateLimitAnswers(t *testing.T) {
	s := testkit.Start(t, "--process.steps", "[{kind: limit, spans_per_second: 1, spans_burst: 3}]")
	send := func() (int, string, http.Header) {
		r, err := http.Post(s.URL("otlp_http")+"/v1/traces", "application/x-protobuf", strings.NewReader(string(batch(1, 5))))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		body := make([]byte, 500)
		n, _ := r.Body.Read(body)
		return r.StatusCode, string(body[:n]), r.Header
	}
	if status, body, _ := send(); status != http.StatusOK || !strings.Contains(body, "2 of 5 spans were refused") || !strings.Contains(body, "sends more than 1 spans a second") {
		t.Errorf("over in part: %d %q", status, body)
	}
	if status, body, h := send(); status != http.StatusServiceUnavailable || h.Get("Retry-After") == "" || !strings.Contains(body, "sends more than") {
		t.Errorf("all over: %d %q, Retry-After %q", status, body, h.Get("Retry-After"))
	}
}
