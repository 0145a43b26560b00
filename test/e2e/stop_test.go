package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// batch makes n spans, each a trace of its own with an ID that tells its number, as an OTLP message.
func batch(first, n int) []byte {
	res := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("numbered")}}}
	start := uint64(time.Now().UnixNano())
	spans := make([]trace.Span, n)
	for i := range spans {
		spans[i] = trace.Span{TraceID: idOf(first + i), ID: trace.SpanID{7: 1}, Name: "op", Start: start, End: start + 1, Resource: res, Scope: &trace.Scope{}}
	}
	return trace.AppendTraces(nil, spans)
}

func idOf(i int) trace.ID {
	return trace.ID{1, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}
}

func post(url string, body io.Reader) (status int, err error) {
	r, err := http.Post(url+"/v1/traces", "application/x-protobuf", body)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Body.Close() }()
	_, err = io.Copy(io.Discard, r.Body)
	return r.StatusCode, err
}

// count returns how many of the traces with the first n numbers are there.
func count(t testing.TB, s *testkit.Server, want map[int]bool) (found int) {
	t.Helper()
	cursor := ""
	for {
		r, err := http.Get(s.URL("query") + "/api/v1/search?service=numbered&limit=2000&cursor=" + cursor)
		if err != nil {
			t.Fatal(err)
		}
		var b struct {
			Traces []struct {
				TraceID string
				Spans   int
			}
			Cursor string
		}
		err = json.NewDecoder(r.Body).Decode(&b)
		_ = r.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range b.Traces {
			id, err := trace.ParseID(tr.TraceID)
			if err != nil || tr.Spans != 1 {
				t.Fatalf("trace %+v: %v", tr, err)
			}
			if want[int(id[12])<<24|int(id[13])<<16|int(id[14])<<8|int(id[15])] {
				found++
			}
		}
		if cursor = b.Cursor; cursor == "" {
			return found
		}
	}
}

// TestStopUnderLoad stops the server while batches arrive: what was acknowledged is there after the next start, which says what it found.
func TestStopUnderLoad(t *testing.T) {
	s := testkit.Start(t)
	const writers, size = 4, 20
	var mu sync.Mutex
	stored := map[int]bool{}
	var work sync.WaitGroup
	for w := range writers {
		work.Go(func() {
			for n := w * 1_000_000; ; n += size {
				status, err := post(s.URL("otlp_http"), bytes.NewReader(batch(n, size)))
				if err != nil || status == http.StatusServiceUnavailable {
					return // it stops
				}
				if status != http.StatusOK {
					t.Errorf("status %d", status)
					return
				}
				mu.Lock()
				for i := range size {
					stored[n+i] = true
				}
				mu.Unlock()
			}
		})
	}
	for enough := false; !enough; {
		time.Sleep(time.Millisecond)
		mu.Lock()
		enough = len(stored) >= 4000
		mu.Unlock()
	}
	if err := s.Stop(); err != nil {
		t.Errorf("ends with %v", err)
	}
	work.Wait()
	for _, msg := range []string{"stopping", "stopped"} {
		if len(s.Logged(`"msg":"`+msg)) == 0 {
			t.Errorf("the log does not say that it is %s", msg)
		}
	}
	again := testkit.StartIn(t, s.Dir)
	if got := count(t, again, stored); got != len(stored) {
		t.Errorf("%d of %d acknowledged spans are there after the restart", got, len(stored))
	}
	if len(again.Logged(`"msg":"store is open"`, `"blocks":1`, `"spans_from_log":0`)) != 1 {
		t.Error("the start does not say that all is in a block")
	}
}

// TestKillSaysWhatItRecovered checks that a start after a crash says what it read from the log.
func TestKillSaysWhatItRecovered(t *testing.T) {
	s := testkit.Start(t)
	if status, err := post(s.URL("otlp_http"), bytes.NewReader(batch(0, 30))); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	s.Kill()
	again := testkit.StartIn(t, s.Dir)
	if len(again.Logged(`"msg":"store is open"`, `"log_segments":1`, `"spans_from_log":30`)) != 1 {
		t.Error("the start does not say that 30 spans came from the log")
	}
}

// ready asks /readyz, and /healthz which always has to answer.
func ready(t testing.TB, address string) (status int, body string) {
	t.Helper()
	for _, path := range []string{"/healthz", "/readyz"} {
		r, err := http.Get("http://" + address + path)
		if err != nil {
			return 0, err.Error()
		}
		b, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if path == "/healthz" && (r.StatusCode != http.StatusOK || string(b) != "ok\n") {
			t.Errorf("/healthz: %d %q", r.StatusCode, b)
		}
		status, body = r.StatusCode, strings.TrimSpace(string(b))
	}
	return status, body
}

// await asks /readyz until it answers so.
func await(t testing.TB, address string, status int, body string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		gotStatus, gotBody := ready(t, address)
		if gotStatus == status && gotBody == body {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz is %d %q; want %d %q", gotStatus, gotBody, status, body)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestReadyDuringRecovery starts a server whose log is a pipe, so that reading it takes as long as the test wants: until then the server
// is alive and not ready, and its ports are open but nobody is served.
func TestReadyDuringRecovery(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "wal", "000000000001.log")
	if err := os.MkdirAll(filepath.Dir(pipe), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	address := testkit.FreeAddresses(t, 1)[0]
	type launched struct {
		s   *testkit.Server
		err error
	}
	done := make(chan launched, 1)
	bin := testkit.Binary(t)
	go func() {
		s, err := testkit.Launch(bin, dir, "--listen.admin", address)
		done <- launched{s, err}
	}()
	t.Cleanup(func() {
		if l := <-done; l.s != nil && !l.s.Ended() {
			l.s.Kill()
		}
	})
	await(t, address, 503, "recovering")
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil { // an empty log
		t.Fatal(err)
	}
	l := <-done
	if l.err != nil {
		t.Fatal(l.err)
	}
	done <- l // for the clean-up
	await(t, address, 200, "ok")
	if err := l.s.Stop(); err != nil {
		t.Error(err)
	}
}

// TestReadyDuringStop stops a server while a request is only half there: it is not ready any more, takes the request all the same, and its
// spans are there after the restart.
func TestReadyDuringStop(t *testing.T) {
	s := testkit.Start(t)
	body := batch(0, 10)
	conn, err := net.Dial("tcp", s.Address("otlp_http"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	half := len(body) / 2
	if _, err := fmt.Fprintf(conn, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:half]); err != nil {
		t.Fatal(err)
	}
	await(t, s.Address("admin"), 200, "ok")
	// The server has to have seen the request's head, or it would close the connection as an idle one.
	time.Sleep(100 * time.Millisecond)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	await(t, s.Address("admin"), 503, "stopping")
	if _, err := conn.Write(body[half:]); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK") {
		t.Fatalf("answer %q, %v", answer, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("ends with %v", err)
	}
	want := map[int]bool{}
	for i := range 10 {
		want[i] = true
	}
	if got := count(t, testkit.StartIn(t, s.Dir), want); got != 10 {
		t.Errorf("%d of 10 spans are there", got)
	}
}

// TestStopCutsOff checks that a client that never ends its request does not hold the server for longer than the time-out.
func TestStopCutsOff(t *testing.T) {
	s := testkit.Start(t, "--process.stop_timeout", "200ms")
	conn, err := net.Dial("tcp", s.Address("otlp_http"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // as above
	if err := s.Stop(); err != nil {
		t.Errorf("ends with %v", err)
	}
	if len(s.Logged("requests under way were cut off")) != 1 {
		t.Error("the log does not say that a request was cut off")
	}
}
