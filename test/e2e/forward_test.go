package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// forwardTo is the settings of a destination.
func forwardTo(address, more string) []string {
	return []string{"--forward.to", fmt.Sprintf(`[{name: there, protocol: otlp_grpc, endpoint: "http://%s", retry_min: 10ms, retry_max: 100ms%s}]`, address, more)}
}

// sendTo sends n spans of a trace of their own, numbered from a number on, and reports whether they were acknowledged.
func sendTo(url string, from, n int) bool {
	now := uint64(time.Now().UnixNano())
	res := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("forwarded")}}}
	spans := make([]trace.Span, n)
	for i := range spans {
		k := from + i
		spans[i] = trace.Span{
			TraceID: trace.ID{0xf0, 12: byte(from >> 24), 13: byte(from >> 16), 14: byte(from >> 8), 15: byte(from)}, ID: trace.SpanID{1, 4: byte(k >> 24), 5: byte(k >> 16), 6: byte(k >> 8), 7: byte(k)},
			Name: "work", Start: now, End: now + 10, Resource: res, Scope: &trace.Scope{},
		}
	}
	r, err := http.Post(url+"/v1/traces", "application/x-protobuf", strings.NewReader(string(trace.AppendTraces(nil, spans))))
	if err != nil {
		return false
	}
	_ = r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// spanIDs returns the IDs of the spans of the trace that sendTo sent from a number on.
func spanIDs(t testing.TB, s *testkit.Server, from int) map[string]bool {
	t.Helper()
	id := trace.ID{0xf0, 12: byte(from >> 24), 13: byte(from >> 16), 14: byte(from >> 8), 15: byte(from)}
	r, err := http.Get(s.URL("query") + "/api/traces/" + id.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	out := map[string]bool{}
	if r.StatusCode == http.StatusNotFound {
		return out
	}
	var a struct {
		Data []struct{ Spans []struct{ SpanID string } }
	}
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	for _, tr := range a.Data {
		for _, span := range tr.Spans {
			out[span.SpanID] = true
		}
	}
	return out
}

// metric returns a series' value, or -1 if there is none.
func metric(t testing.TB, s *testkit.Server, series string) float64 {
	t.Helper()
	raw, _ := scrape(t, s)
	for line := range strings.Lines(string(raw)) {
		var v float64
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			if _, err := fmt.Sscan(rest, &v); err == nil {
				return v
			}
		}
	}
	return -1
}

// eventually waits for something to be so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

const queued = `clew_forward_queue_spans{destination="there"}`

// TestForwardCrash kills a server that forwards, and the one that it forwards to, again and again while spans come in. Every acknowledged span must
// be at both in the end.
func TestForwardCrash(t *testing.T) {
	kills := 12
	if testing.Short() {
		kills = 4
	}
	last, dir, lastDir := testkit.Start(t), t.TempDir(), t.TempDir()
	last.Kill()
	address := last.Address("otlp_grpc") // it comes back here
	const batch = 25
	var acknowledged []int
	next := 1
	for n := range kills {
		clew := testkit.StartIn(t, dir, forwardTo(address, "")...)
		up := n%3 != 0 // else its queue fills
		if up {
			last = testkit.StartIn(t, lastDir, "--listen.otlp_grpc", address)
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if sendTo(clew.URL("otlp_http"), next, batch) {
					acknowledged = append(acknowledged, next)
				}
				next += batch
			}
		}()
		time.Sleep(time.Duration(50+n*37%200) * time.Millisecond) // the moment is any
		clew.Kill()
		close(stop)
		<-done
		if up {
			last.Kill()
		}
	}
	last = testkit.StartIn(t, lastDir, "--listen.otlp_grpc", address)
	clew := testkit.StartIn(t, dir, forwardTo(address, "")...)
	eventually(t, "the queue is empty", func() bool { return metric(t, clew, queued) == 0 })
	if len(acknowledged) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	for _, from := range acknowledged {
		for name, s := range map[string]*testkit.Server{"forwarding": clew, "last": last} {
			if got := spanIDs(t, s, from); len(got) != batch {
				t.Errorf("the %s server has %d of the %d spans from %d on", name, len(got), batch, from)
			}
		}
	}
	t.Logf("%d batches were acknowledged, %d sent", len(acknowledged), next/batch)
}

// TestForwardStop: a stop sends what is left if the destination takes it, and leaves it on disk, without waiting, if not.
func TestForwardStop(t *testing.T) {
	last, dir := testkit.Start(t), t.TempDir()
	dead := testkit.Start(t)
	dead.Kill()
	clew := testkit.StartIn(t, dir, forwardTo(dead.Address("otlp_grpc"), "")...)
	for from := range 5 {
		if !sendTo(clew.URL("otlp_http"), 100*(from+1), 20) {
			t.Fatal("not acknowledged")
		}
	}
	if err := clew.Stop(); err != nil {
		t.Fatal(err)
	}
	if len(clew.Logged("spans stay in the queue", `"spans":100`)) != 1 {
		t.Error("it does not say that 100 spans stay in the queue")
	}
	clew = testkit.StartIn(t, dir, forwardTo(last.Address("otlp_grpc"), "")...)
	if err := clew.Stop(); err != nil { // at once: it sends before it ends
		t.Fatal(err)
	}
	for from := range 5 {
		if got := spanIDs(t, last, 100*(from+1)); len(got) != 20 {
			t.Errorf("%d of 20 spans came", len(got))
		}
	}
}

// TestForwardRound: two servers that forward to each other, and one that forwards to itself, do so once.
func TestForwardRound(t *testing.T) {
	first := testkit.Start(t)
	first.Kill()
	dir := t.TempDir()
	address := first.Address("otlp_grpc")
	second := testkit.Start(t, forwardTo(address, "")...)
	first = testkit.StartIn(t, dir, append(forwardTo(second.Address("otlp_grpc"), ""), "--listen.otlp_grpc", address)...)
	if !sendTo(first.URL("otlp_http"), 100, 20) {
		t.Fatal("not acknowledged")
	}
	eventually(t, "what went round has come back", func() bool {
		return metric(t, first, `clew_forward_dropped_spans_total{destination="there",reason="loop"}`) == 20
	})
	if a, b := metric(t, first, `clew_forward_sent_spans_total{destination="there"}`), metric(t, second, `clew_forward_sent_spans_total{destination="there"}`); a != 20 || b != 20 {
		t.Errorf("%v and %v spans were sent; want 20 each", a, b)
	}
	self := testkit.Start(t)
	self.Kill()
	address = self.Address("otlp_grpc")
	self = testkit.StartIn(t, self.Dir, append(forwardTo(address, ""), "--listen.otlp_grpc", address)...)
	if !sendTo(self.URL("otlp_http"), 200, 20) {
		t.Fatal("not acknowledged")
	}
	eventually(t, "what it sent itself has come", func() bool {
		return metric(t, self, `clew_forward_dropped_spans_total{destination="there",reason="loop"}`) == 20
	})
}

// TestForwardTLS: a destination that wants to know who is there gets spans from those that it trusts, and if they trust it. Others keep them.
func TestForwardTLS(t *testing.T) {
	ours, others := testkit.NewAuthority(t, "ours"), testkit.NewAuthority(t, "others")
	later := time.Now().Add(time.Hour)
	server, right, wrong := ours.Issue("server", later), ours.Issue("forwarder", later), others.Issue("stranger", later)
	last := testkit.Start(t, "--tls.cert_file", server.CertFile, "--tls.key_file", server.KeyFile, "--tls.client_ca_file", ours.CAFile,
		"--tls.listeners", "{query: {enabled: false}, admin: {enabled: false}}")
	for i, c := range []struct {
		name  string
		trust *testkit.Authority
		pair  testkit.Pair
		fails string
	}{
		{"right", ours, right, ""},
		{"another client", ours, wrong, "unknown certificate authority"},
		{"another server", others, right, "certificate signed by unknown authority"},
	} {
		for _, protocol := range []string{"otlp_grpc", "zipkin", "otlp_http", "jaeger_grpc", "jaeger_http"} {
			if c.fails != "" && protocol != "otlp_grpc" && protocol != "zipkin" {
				continue // they are connections like any
			}
			from := 1000*(i+1) + 100*len(protocol) + len(protocol[:1])*int(protocol[len(protocol)-1])
			clew := testkit.Start(t, "--forward.to", fmt.Sprintf(`[{name: there, protocol: %s, endpoint: "https://%s", tls: {ca_file: %s, cert_file: %s, key_file: %s}}]`,
				protocol, last.Address(protocol), c.trust.CAFile, c.pair.CertFile, c.pair.KeyFile))
			if !sendTo(clew.URL("otlp_http"), from, 20) {
				t.Fatal("not acknowledged")
			}
			if c.fails == "" {
				eventually(t, protocol+" has come", func() bool { return len(spanIDs(t, last, from)) == 20 })
			} else {
				eventually(t, c.name+": "+protocol+" has failed", func() bool { return len(clew.Logged("cannot be sent now", c.fails)) > 0 })
				if len(spanIDs(t, last, from)) > 0 || metric(t, clew, queued) != 20 {
					t.Errorf("%s: %s came, or does not wait", c.name, protocol)
				}
			}
			clew.Kill()
		}
	}
}

// TestForwardConfiguration: mistakes stop the start, and say where they are and what would be right.
func TestForwardConfiguration(t *testing.T) {
	for setting, want := range map[string]string{
		`[{name: a}]`: `forward.to: destination 1: protocol: is ""; want one of otlp_grpc`,
		`[{name: a, protocol: zipkin, endpoint: "http://x"}, {name: a, protocol: zipkin, endpoint: "http://y"}]`: `destination 2: name: a is there already`,
		`[{name: a, protocol: otlp_grpc, endpoint: "http://x", on_full: wait}]`:                                  `forward.to: [0].on_full: "wait" is not one of drop_oldest, refuse`,
		`[{name: a, protocol: otlp_grpc, endpoint: "http://x", queue: 1GiB}]`:                                    `forward.to: there is no key [0].queue`,
		`[{name: a, protocol: otlp_grpc, endpoint: "http://x", tls: {ca_file: /nowhere}}]`:                       `tls: is given, but the endpoint is http://x`,
		`[{name: a, protocol: otlp_grpc, endpoint: "https://x", tls: {ca_file: /nowhere}}]`:                      `destination a: tls.ca_file: open /nowhere`,
		`[{name: a, protocol: otlp_grpc, endpoint: "http://x", headers: {a: "${env:CLEW_NOWHERE}"}}]`:            `headers: a: the environment has no CLEW_NOWHERE`,
	} {
		r := testkit.Run(t, nil, append([]string{"serve", "--forward.to", setting}, testkit.Listen("127.0.0.1:0")...)...)
		if r.Status == 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: status %d, %s; want %s", setting, r.Status, r.Stderr, want)
		}
	}
}
