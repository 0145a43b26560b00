package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// TestIsolation has one tenant do all it can to keep a server busy: requests that stop in the middle, more spans than can be stored, more
// questions than may run. Each request of another tenant is answered all the same, at the first try.
func TestIsolation(t *testing.T) {
	s := testkit.Start(t, "--tenants.list", "loud, quiet, capped spans_per_second=100", "--receive.body_bytes", "2MiB", "--receive.span_bytes", "1MiB",
		"--receive.held_bytes", "8MiB", "--receive.udp_queue_bytes", "1MiB", "--query.concurrency", "4")
	stop := make(chan struct{})
	var noise sync.WaitGroup
	var sent, refused atomic.Int64
	for n := range 40 {
		hold(t, s, n)
	}
	large := batch(1, 4000)
	flood := func(method, url string, body []byte) {
		noise.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				code, _, _ := ask(t, method, url, "loud", body)
				sent.Add(1)
				if code >= 400 {
					refused.Add(1)
				}
			}
		})
	}
	for range 24 {
		flood("POST", s.URL("otlp_http")+"/v1/traces", large)
		flood("GET", s.URL("query")+"/api/traces?service=shared&limit=1000&lookback=1h", nil)
	}
	defer noise.Wait()
	defer close(stop)
	for sent.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	for n := range 12 {
		if code, text, _ := ask(t, "POST", s.URL("otlp_http")+"/v1/traces", "quiet", ownedBy("quiet")); code != 200 {
			t.Errorf("OTLP/HTTP, request %d: %d %s", n, code, text)
		}
		if err := export(t, s, "quiet", ownedBy("quiet")); err != nil {
			t.Errorf("OTLP/gRPC, call %d: %v", n, err)
		}
		if code, text, _ := ask(t, "POST", s.URL("zipkin")+"/api/v2/spans", "quiet", zipkinOf("quiet")); code != 202 {
			t.Errorf("Zipkin, request %d: %d %s", n, code, text)
		}
		if code, text, _ := ask(t, "GET", s.URL("query")+"/api/traces/"+idOf(1).String(), "quiet", nil); code != 200 {
			t.Errorf("query %d: %d %.200s", n, code, text)
		}
	}
	limited(t, s)
	counts := metrics(t, s)
	for _, want := range []string{
		`clew_tenant_stored_spans_total{tenant="quiet"} 108`, `clew_tenant_received_spans_total{tenant="quiet"} 108`, `clew_tenant_queries_total{tenant="quiet"} 12`,
		`clew_tenant_query_errors_total{kind="busy",tenant="quiet"} 0`, `clew_tenant_refused_requests_total{reason="share",tenant="quiet"} 0`,
	} {
		if !strings.Contains(counts, "\n"+want+"\n") {
			t.Errorf("the metrics have no %s", want)
		}
	}
	if strings.Contains(counts, `clew_tenant_refused_requests_total{reason="share",tenant="loud"} 0`) {
		t.Error("the loud one was never told that it has its share")
	}
	t.Logf("%d requests of the loud tenant, %d refused", sent.Load(), refused.Load())
}

// limited has a tenant with a limit send more: it is told when to come back, over each protocol, and others are not.
func limited(t *testing.T, s *testkit.Server) {
	t.Helper()
	if code, text, _ := ask(t, "POST", s.URL("otlp_http")+"/v1/traces", "capped", batch(7, 4000)); code != 200 { // 35 s too much at once
		t.Errorf("the first request: %d %s", code, text)
	}
	code, text, header := ask(t, "POST", s.URL("otlp_http")+"/v1/traces", "capped", batch(7, 1))
	if code != http.StatusServiceUnavailable && code != http.StatusTooManyRequests || header.Get("Retry-After") == "" || !strings.Contains(text, "more than it may") {
		t.Errorf("OTLP/HTTP above the limit: %d %q %s", code, header.Get("Retry-After"), text)
	}
	if err := export(t, s, "capped", batch(7, 1)); err == nil || !strings.Contains(err.Error(), "more than it may") {
		t.Errorf("OTLP/gRPC above the limit: %v", err)
	}
	if code, text, _ := ask(t, "POST", s.URL("zipkin")+"/api/v2/spans", "capped", zipkinOf("capped")); code < 429 || !strings.Contains(text, "more than it may") {
		t.Errorf("Zipkin above the limit: %d %s", code, text)
	}
	if code, text, _ := ask(t, "GET", s.URL("query")+"/api/services", "capped", nil); code != 200 {
		t.Errorf("a query of who sent too much: %d %s", code, text)
	}
}

// hold sends half of a request for the loud tenant and then nothing, until the test ends.
func hold(t *testing.T, s *testkit.Server, n int) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Address("otlp_http"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	head := fmt.Sprintf("POST /v1/traces?%d HTTP/1.1\r\nHost: clew\r\nX-Scope-OrgID: loud\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000000\r\n\r\n", n)
	go func() {
		_, _ = io.Copy(conn, io.MultiReader(strings.NewReader(head), bytes.NewReader(make([]byte, 500_000)))) // it may be refused, and closed
	}()
}
