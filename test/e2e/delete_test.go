package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// secret is what must not be found after its trace was deleted.
const secret = "hunter2-hunter2"

// confided returns the OTLP bytes of a trace with a secret in an attribute.
func confided(i int) []byte {
	start := uint64(time.Now().UnixNano())
	res := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("confided")}}}
	spans := make([]trace.Span, 3)
	for k := range spans {
		spans[k] = trace.Span{
			TraceID: idOf(i), ID: trace.SpanID{7: byte(k + 1)}, Name: "login", Start: start + uint64(k), End: start + 10, Resource: res, Scope: &trace.Scope{},
			Attrs: []trace.Attr{{Key: "password", Value: trace.String(fmt.Sprint(secret, "-", i))}},
		}
	}
	return trace.AppendTraces(nil, spans)
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

// seen returns the calls whose answers tell of a trace.
func seen(t testing.TB, s *testkit.Server, i int) (out []string) {
	t.Helper()
	id := idOf(i).String()
	for _, url := range []string{
		s.URL("query") + "/api/traces/" + id, s.URL("query") + "/api/traces?service=confided&limit=1000&lookback=1h",
		s.URL("zipkin") + "/api/v2/trace/" + id, s.URL("zipkin") + "/api/v2/traces?serviceName=confided&limit=1000",
		s.URL("query") + "/api/v1/traces/" + id, s.URL("query") + "/api/v1/search?service=confided&limit=1000",
		s.URL("query") + "/api/v1/traces/" + id + "/columns", s.URL("query") + "/api/v1/traces/" + id + "/rows?from=0&to=3&version=3",
	} {
		// A missing trace's ID is in the error; only the body of an answer counts.
		if status, body := get(t, url); status == http.StatusOK && (strings.Contains(body, id) || strings.Contains(body, fmt.Sprint(secret, "-", i))) {
			out = append(out, url)
		}
	}
	return out
}

// TestDelete deletes traces of a real server from the command line: by ID and by search, out of the sight of every API at once, over a
// crash, and off the disk.
func TestDelete(t *testing.T) {
	s := testkit.Start(t, "--store.head_age", "1s")
	const n = 12
	for i := range n {
		if status, err := post(s.URL("otlp_http"), bytes.NewReader(confided(i))); status != http.StatusOK || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
		if i == n/2 {
			for deadline := time.Now().Add(time.Minute); !strings.Contains(metrics(t, s), "\nclew_store_blocks 1\n"); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("no block is made")
				}
			}
		}
	}
	for _, i := range []int{0, n - 1} { // in a block, in a head
		if got := seen(t, s, i); len(got) != 8 {
			t.Fatalf("before it is deleted, trace %d is seen by %v", i, got)
		}
	}
	admin := "--admin=" + s.URL("admin")
	run := func(status int, out string, args ...string) {
		t.Helper()
		r := testkit.Run(t, nil, append([]string{"delete", admin}, args...)...)
		if r.Status != status || !strings.Contains(r.Stdout+r.Stderr, out) {
			t.Errorf("clew delete %v: status %d, %s%s; want %d, %q", args, r.Status, r.Stdout, r.Stderr, status, out)
		}
	}
	run(0, "deleted   1 trace\n", idOf(0).String())
	if got := seen(t, s, 0); len(got) > 0 {
		t.Errorf("deleted, and still seen by %v", got)
	}
	run(1, "no trace "+idOf(0).String(), idOf(0).String())
	run(0, "found     11 traces; nothing was deleted", "--service", "confided", "--dry-run")
	run(0, "deleted   1 trace\n", "--tag", fmt.Sprint("password=", secret, "-", n-1), "--start", "1h", "--end", "0s")
	run(2, "is empty", "--service", "confided", "--tag", "")
	run(2, "nothing to delete", "--dry-run")
	run(2, "not both", "--service", "confided", idOf(1).String())
	run(1, "contradict", "--service", "confided", "--all")
	late(t, s, 0)

	dead := []int{0, n - 1}
	for _, i := range dead {
		if got := seen(t, s, i); len(got) > 0 {
			t.Errorf("deleted, and still seen by %v", got)
		}
	}
	s.Kill()
	s = testkit.StartIn(t, s.Dir)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(metrics(t, s), "\nclew_store_deletions_pending 0\n"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the deleted traces do not go from the disk")
		}
	}
	for i := range n {
		want := 8
		if i == 0 || i == n-1 {
			want = 0
		}
		if got := seen(t, s, i); len(got) != want {
			t.Errorf("trace %d is seen by %d calls after a crash; want %d", i, len(got), want)
		}
	}
	if !strings.Contains(metrics(t, s), "\nclew_store_tombstones 2\n") {
		t.Error("tombstones went before their hour was over")
	}
	onDisk(t, s.Dir, dead...)
}

func metrics(t testing.TB, s *testkit.Server) string {
	t.Helper()
	_, body := get(t, s.URL("admin")+"/metrics")
	return body
}

// late sends a span of a deleted trace together with others: it is refused alone, its sender is told, and it is counted.
func late(t *testing.T, s *testkit.Server, i int) {
	t.Helper()
	raw := append(confided(i), batch(1000, 2)...)
	r, err := http.Post(s.URL("otlp_http")+"/v1/traces", "application/x-protobuf", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	var reply coltracepb.ExportTraceServiceResponse
	if err := proto.Unmarshal(body, &reply); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", r.StatusCode, err)
	}
	if p := reply.GetPartialSuccess(); p.GetRejectedSpans() != 3 || !strings.Contains(p.GetErrorMessage(), "was deleted") {
		t.Errorf("late spans: %v", p)
	}
	if got := count(t, s, map[int]bool{1000: true, 1001: true}); got != 2 {
		t.Errorf("%d of 2 traces that came with them are there", got)
	}
	if want := `clew_refused_spans_total{protocol="otlp/http",reason="deleted"} 3`; !strings.Contains(metrics(t, s), want) {
		t.Errorf("/metrics has no %s", want)
	}
}

// onDisk fails when a block or the log has the ID of a trace, which neither compresses.
func onDisk(t *testing.T, dir string, traces ...int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range traces {
			id := idOf(i)
			if bytes.Contains(raw, id[:]) {
				t.Errorf("%s still has trace %d", path, i)
			}
		}
	}
}

// TestDeleteAll deletes more traces than one request does, and says how it went.
func TestDeleteAll(t *testing.T) {
	s := testkit.Start(t)
	const n = 2500
	if status, err := post(s.URL("otlp_http"), bytes.NewReader(batch(0, n))); status != http.StatusOK || err != nil {
		t.Fatalf("%d, %v", status, err)
	}
	r := testkit.Run(t, nil, "delete", "--admin", s.Address("admin"), "--all")
	if r.Status != 0 || !strings.HasPrefix(r.Stdout, "deleted   2,500 traces\n") || !strings.Contains(r.Stderr, "1,000 traces found, 1,000 deleted") {
		t.Errorf("status %d\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
	_, body := get(t, s.URL("query")+"/api/v1/search")
	var a struct{ Traces []any }
	if err := json.Unmarshal([]byte(body), &a); err != nil || a.Traces == nil || len(a.Traces) != 0 {
		t.Errorf("%v: %s", err, body)
	}
	if r := testkit.Run(t, nil, "delete", "--admin", s.Address("query"), "--all"); r.Status != 1 || !strings.Contains(r.Stderr, "there is no call") {
		t.Errorf("on the query port: status %d: %s", r.Status, r.Stderr)
	}
	s.Kill()
	if r := testkit.Run(t, nil, "delete", "--admin", s.Address("admin"), "--all"); r.Status != 1 || !strings.Contains(r.Stderr, "is the server running") {
		t.Errorf("without a server: status %d: %s", r.Status, r.Stderr)
	}
}
