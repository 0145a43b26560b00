// Package input_test sends the real server what it should not be sent, and reads back what became of it.
package input_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// newID returns a trace ID that no other test has.
func newID() (id trace.ID) {
	for i := range id {
		id[i] = byte(rand.Uint32() | 1)
	}
	return id
}

// good returns a span of a trace that nothing is wrong with.
func good(id trace.ID, span byte) trace.Span {
	now := uint64(time.Now().UnixNano())
	return trace.Span{
		TraceID: id, ID: trace.SpanID{7: span}, Name: "op", Kind: trace.KindServer, Start: now, End: now + 1e6,
		Resource: &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("input")}}}, Scope: &trace.Scope{},
	}
}

func post(t testing.TB, url, contentType string, body []byte) (int, []byte) {
	t.Helper()
	a, err := http.Post(url, contentType, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, b
}

// send sends spans over OTLP/HTTP and returns how many were refused, and what was said of it.
func send(t testing.TB, s *testkit.Server, spans []trace.Span) (int, string) {
	t.Helper()
	status, body := post(t, s.URL("otlp_http")+"/v1/traces", "application/x-protobuf", trace.AppendTraces(nil, spans))
	if status != http.StatusOK {
		t.Fatalf("answered %d %.300q", status, body)
	}
	var a collector.ExportTraceServiceResponse
	if err := proto.Unmarshal(body, &a); err != nil {
		t.Fatal(err)
	}
	return int(a.GetPartialSuccess().GetRejectedSpans()), a.GetPartialSuccess().GetErrorMessage()
}

// get returns the status and the body, and holds that it is JSON in valid UTF-8.
func get(t testing.TB, url string) (int, []byte) {
	t.Helper()
	a, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(b) {
		t.Errorf("%s: not UTF-8", url)
	}
	if a.StatusCode == http.StatusOK && !json.Valid(b) {
		t.Errorf("%s: not JSON: %.200s", url, b)
	}
	return a.StatusCode, b
}

// readBack returns how many spans each of the APIs has of a trace: Clew's, Jaeger's and Zipkin's. It counts a key that each span has once;
// in a text it would have backslashes. (To decode 100,000 spans takes many times as long, with the race detector most of all.)
func readBack(t testing.TB, s *testkit.Server, id trace.ID) (n [3]int) {
	t.Helper()
	for i, from := range []struct{ url, key string }{
		{s.URL("query") + "/api/v1/traces/", `"startTimeUnixNano":`},
		{s.URL("query") + "/api/traces/", `"operationName":`},
		{s.URL("zipkin") + "/api/v2/trace/", `"traceId":`},
	} {
		switch status, b := get(t, from.url+id.String()); status {
		case http.StatusOK:
			n[i] = bytes.Count(b, []byte(from.key))
			if i == 0 {
				checkColumns(t, s, id)
			}
		case http.StatusNotFound:
			n[i] = 0
		default:
			n[i] = -1
		}
	}
	return n
}

// counters returns the receivers' counters from the admin port, with their labels.
func counters(t testing.TB, s *testkit.Server) map[string]int {
	t.Helper()
	a, err := http.Get(s.URL("admin") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	out := map[string]int{}
	for lines := bufio.NewScanner(a.Body); lines.Scan(); {
		k, v, ok := strings.Cut(lines.Text(), " ")
		if !ok || !strings.HasPrefix(k, "clew_received_spans") && !strings.HasPrefix(k, "clew_stored_spans") && !strings.HasPrefix(k, "clew_refused") {
			continue
		}
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			t.Fatal(err)
		}
		out[k] = int(f)
	}
	return out
}

// balance holds that received = stored + refused, over all protocols.
func balance(t testing.TB, s *testkit.Server) {
	t.Helper()
	sum := map[string]int{}
	for k, v := range counters(t, s) {
		name, _, _ := strings.Cut(k, "{")
		sum[name] += v
	}
	if sum["clew_received_spans_total"] == 0 || sum["clew_received_spans_total"] != sum["clew_stored_spans_total"]+sum["clew_refused_spans_total"] {
		t.Errorf("received is not stored + refused: %v", sum)
	}
}

// memory returns how much memory a process has, now and at most, in MiB.
func memory(t testing.TB, pid int) (now, peak int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("no /proc here")
	}
	for line := range strings.Lines(string(b)) {
		var kb int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			now = kb >> 10
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			peak = kb >> 10
		}
	}
	return now, peak
}

// checkColumns holds that the page can read a trace: its columns begin with their mark and a head of JSON, and rows have details.
func checkColumns(t testing.TB, s *testkit.Server, id trace.ID) {
	t.Helper()
	base := s.URL("query") + "/api/v1/traces/" + id.String()
	a, err := http.Get(base + "/columns")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	if a.StatusCode != http.StatusOK || len(b) < 8 || string(b[:4]) != "CLC1" {
		t.Errorf("columns: %d %.50q", a.StatusCode, b)
		return
	}
	var head struct{ Version string }
	if err := json.NewDecoder(bytes.NewReader(b[8:])).Decode(&head); err != nil {
		t.Errorf("columns: the head: %v", err)
	}
	if status, _ := get(t, base+"/rows?from=0&to=1&version="+head.Version); status != http.StatusOK {
		t.Errorf("rows: %d", status)
	}
}
