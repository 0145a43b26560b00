package input_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// hang is how long a test waits for what should come at once before it says that it does not come.
const hang = 2 * time.Minute

// enoughFiles raises this process's soft limit of open files, and skips the test where the hard one is too low. The server does it for
// itself: Go raises the limit of every program at its start.
func enoughFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < n {
		t.Skipf("at most %d files may be open here; the test needs %d", limit.Max, n)
	}
	if old := limit; limit.Cur < n {
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old) })
	}
}

// connections are to be closed at the end of a test.
type connections struct {
	mu   sync.Mutex
	list []net.Conn
}

func (c *connections) dial(address string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, hang)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, conn)
	return conn, conn.SetDeadline(time.Now().Add(hang))
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.list {
		_ = conn.Close()
	}
}

// ask sends an empty export request on a connection and reads the answer.
func ask(conn net.Conn) error {
	if _, err := io.WriteString(conn, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return err
	}
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	if a.StatusCode != http.StatusOK || a.Close {
		return fmt.Errorf("answered %s, closing %v", a.Status, a.Close)
	}
	return a.Body.Close()
}

// askGRPC sends an empty export request as HTTP/2's first stream, or a later one of an odd number, and reads frames up to the answer's end.
func askGRPC(conn net.Conn, stream byte) error {
	frame := func(kind, flags, stream byte, payload string) string {
		return string([]byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, stream}) + payload
	}
	const headers, data, settings, endStream, endHeaders = 1, 0, 4, 1, 4
	out := ""
	if stream == 1 {
		out = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(settings, 0, 0, "")
	}
	var block strings.Builder // HPACK: fields that are neither compressed nor remembered
	for _, field := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":authority", "x"},
		{":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		block.WriteByte(0)
		for _, text := range field {
			block.WriteByte(byte(len(text)))
			block.WriteString(text)
		}
	}
	out += frame(headers, endHeaders, stream, block.String()) + frame(data, endStream, stream, "\x00\x00\x00\x00\x00")
	if _, err := io.WriteString(conn, out); err != nil {
		return err
	}
	sawMessage := false
	for {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, conn, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
			return err
		}
		sawMessage = sawMessage || head[3] == data && head[8] == stream
		if head[8] == stream && head[4]&endStream != 0 {
			if !sawMessage {
				return errors.New("answered with an error")
			}
			return nil
		}
	}
}

// TestIdleConnections: ten thousand clients that have sent once and stay connected do not keep others from being served.
func TestIdleConnections(t *testing.T) {
	t.Run("otlp_http", func(t *testing.T) {
		idleConnections(t, "otlp_http", ask, ask)
	})
	t.Run("otlp_grpc", func(t *testing.T) {
		idleConnections(t, "otlp_grpc", func(c net.Conn) error { return askGRPC(c, 1) }, func(c net.Conn) error { return askGRPC(c, 3) })
	})
}

func idleConnections(t *testing.T, port string, first, again func(net.Conn) error) {
	const n = 10_000
	enoughFiles(t, n+500)
	s := testkit.Start(t)
	before, _ := memory(t, s.PID())
	var conns connections
	defer conns.close()
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for range 50 {
		wg.Go(func() {
			for range n / 50 {
				conn, err := conns.dial(s.Address(port))
				if err == nil {
					err = first(conn)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		t.Fatalf("%d and more errors: %v", len(errs), err)
	default:
	}
	after, _ := memory(t, s.PID())
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil || len(files) < n {
		t.Errorf("the server has %d files open, %v; want %d connections", len(files), err, n)
	}
	t.Logf("%d idle connections: %d MiB of memory, %d before", n, after, before)

	id := newID()
	if refused, _ := send(t, s, []trace.Span{good(id, 1)}); refused != 0 {
		t.Errorf("%d spans were refused", refused)
	}
	if got := readBack(t, s, id); got != [3]int{1, 1, 1} {
		t.Errorf("Clew, Jaeger and Zipkin have %v spans; want 1", got)
	}
	for _, conn := range conns.list[:100] { // they are still good
		if err := again(conn); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSlowClients: who sends a byte now and then is cut off, in the head and in the body, and keeps nobody else from being served.
func TestSlowClients(t *testing.T) {
	s := testkit.Start(t, "--receive.timeout", "3s")
	const head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
	var conns connections
	defer conns.close()
	var wg sync.WaitGroup
	slow := func(port, begin string, want ...string) {
		conn, err := conns.dial(s.Address(port))
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Error(err)
			return
		}
		stop := make(chan struct{})
		wg.Go(func() { // a byte now and then, so that the connection is never silent
			for {
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
					_, _ = io.WriteString(conn, "x")
				}
			}
		})
		wg.Go(func() {
			defer close(stop)
			got, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s %.20q: not cut off", port, begin)
			}
			for _, text := range want {
				// A reset may overtake the answer.
				if err == nil && !strings.Contains(string(got), text) {
					t.Errorf("%s %.20q: answered %q; want %q in it", port, begin, got, text)
				}
			}
		})
	}
	for range 100 {
		slow("otlp_http", head+"X-Slow: ")
		slow("otlp_http", head+"Content-Length: 100000\r\n\r\n", "503 Service Unavailable", "Retry-After: 1", "did not arrive in time")
		slow("zipkin", "POST /api/v2/spans HTTP/1.1\r\nHost: x\r\nContent-Encoding: zstd\r\nContent-Length: 100000\r\n\r\n", "503 Service Unavailable", "did not arrive in time")
		slow("query", "GET /api/v1/services HTTP/1.1\r\nX-Slow: ")
		slow("otlp_grpc", "PRI * HTTP/2.0\r\n")
	}
	id := newID()
	for i := range 20 {
		if refused, _ := send(t, s, []trace.Span{good(id, byte(i+1))}); refused != 0 {
			t.Errorf("%d spans were refused", refused)
		}
	}
	if got := readBack(t, s, id); got != [3]int{20, 20, 20} {
		t.Errorf("Clew, Jaeger and Zipkin have %v spans; want 20", got)
	}
	wg.Wait()
	for protocol, want := range map[string]int{"otlp/http": 100, "zipkin": 100} {
		if got := counters(t, s)[fmt.Sprintf(`clew_refused_requests_total{protocol=%q,reason="cut_off"}`, protocol)]; got != want {
			t.Errorf("%s: %d slow bodies were counted; want %d", protocol, got, want)
		}
	}
	balance(t, s)
}
