package scribe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/test/zipkin/v1span"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
)

// sink counts spans, or fails. When gate is set each batch takes a value of it first.
type sink struct {
	mu    sync.Mutex
	spans int
	err   error
	gate  chan struct{}
	began chan string // the names of spans that wait at the gate
}

func (s *sink) Append(_ context.Context, b *trace.Batch) error {
	if s.gate != nil {
		s.began <- string(b.Bytes(b.Spans[0].Name))
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.spans += len(b.Spans)
	}
	return s.err
}

type server struct {
	*Server
	sink    *sink
	reg     *prometheus.Registry
	address string
	served  chan error
}

// start starts a server with a largest frame, and a limit on what is held.
func start(t testing.TB, s *sink, maxFrame, maxHeld int64) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, l, s, receive.NewBodies(maxFrame, maxHeld))
}

// startOn starts a server on a listener.
func startOn(t testing.TB, l net.Listener, s *sink, bodies *receive.Bodies) *server {
	t.Helper()
	reg := prometheus.NewRegistry()
	inlet := receive.Inlet{Sink: s, Meter: receive.NewMeter(reg), Limits: func(context.Context) trace.Limits { return trace.DefaultLimits() }}
	out := &server{New(inlet, bodies, time.Minute, slog.New(slog.DiscardHandler)), s, reg, l.Addr().String(), make(chan error, 1)}
	go func() { out.served <- out.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		_ = out.Close()
		if err := <-out.served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return out
}

func (s *server) dial(t testing.TB) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &client{t, c, bufio.NewReader(c)}
}

// until waits until the server waits for a call of a client, or does not.
func (s *server) until(c *client, waits bool) {
	for is := !waits; is != waits; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		for k, w := range s.conns {
			if k.conn.RemoteAddr().String() == c.LocalAddr().String() {
				is = w
			}
		}
		s.mu.Unlock()
	}
}

// counted holds that a metric has a value.
func (s *server) counted(t testing.TB, line string) {
	t.Helper()
	metrics := httptest.NewRecorder()
	promhttp.HandlerFor(s.reg, promhttp.HandlerOpts{}).ServeHTTP(metrics, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(metrics.Body.String(), "\n"+line+"\n") {
		t.Errorf("%s is not among the metrics", line)
	}
}

type client struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads an answer and returns it as text: its sequence, and what it says.
func (c *client) answer() string {
	c.t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.in, b); err != nil {
		c.t.Fatalf("no whole answer: %v", err)
	}
	return said(c.t, b)
}

func said(t testing.TB, b []byte) string {
	t.Helper()
	r := thrift.NewBinary(b)
	m := r.Message()
	out := fmt.Sprintf("%d %s", m.Seq, m.Name)
	for r.Struct(); r.Next(); {
		switch r.Field {
		case 0<<8 | thrift.I32:
			out += fmt.Sprintf(" %d", r.I32())
		case 1<<8 | thrift.String:
			out += " " + string(r.Bytes())
		case 2<<8 | thrift.I32:
			out += fmt.Sprintf(" (%d)", r.I32())
		default:
			r.Skip()
		}
	}
	if r.Err() != nil || r.At() != len(b) {
		t.Fatalf("answer %x: %v", b, r.Err())
	}
	return out
}

// ended holds that the server closes the connection.
func (c *client) ended() {
	c.t.Helper()
	if _, err := c.in.ReadByte(); err == nil || errors.Is(err, context.DeadlineExceeded) {
		c.t.Errorf("the connection goes on: %v", err)
	}
}

type entryOf struct{ category, message string }

// call is the message of a call of Log, strict or old.
func callOf(seq int32, old bool, entries ...entryOf) []byte {
	var w thrift.Writer
	if old {
		w.String("Log")
		w.Byte(int8(thrift.Call))
		w.I32(seq)
	} else {
		w.Message(thrift.Message{Type: thrift.Call, Name: []byte("Log"), Seq: seq})
	}
	w.Struct()
	w.Field(1<<8 | thrift.List)
	w.List(thrift.Struct, len(entries))
	for _, e := range entries {
		w.Struct()
		w.Field(1<<8 | thrift.String)
		w.String(e.category)
		w.Field(2<<8 | thrift.String)
		w.String(e.message)
		w.End()
	}
	w.End()
	return w.Out
}

func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// spanOf is a span in Thrift.
func spanOf(name string) []byte {
	e := &v1span.Endpoint{Service: "s", IPv4: "127.0.0.1", Port: 80}
	s := v1span.Span{TraceID: "1", ID: "2", Name: name, Timestamp: 5, Annotations: []v1span.Annotation{{Timestamp: 5, Value: "sr", Endpoint: e}, {Timestamp: 9, Value: "ss", Endpoint: e}}}
	return s.One()
}

func plain(name string) string { return base64.StdEncoding.EncodeToString(spanOf(name)) }

// mime is base64 with lines of 76 characters, as Finagle writes it.
func mime(b []byte) string {
	text := base64.StdEncoding.EncodeToString(b)
	var out strings.Builder
	for len(text) > 76 {
		out.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	return out.String() + text
}

func TestLog(t *testing.T) {
	s := start(t, &sink{}, 1<<20, 8<<20)
	c := s.dial(t)
	long := strings.Repeat("long ", 100)
	for i, want := range []struct {
		entries []entryOf
		spans   int
	}{
		{[]entryOf{{"zipkin", plain("a")}}, 1},
		{[]entryOf{{"zipkin", plain("a") + "\n"}, {"zipkin", mime(spanOf(long))}, {"zipkin", mime(spanOf(long)) + "\r\n"}}, 3},
		{[]entryOf{{"zipkin", strings.TrimRight(plain("ab"), "=")}}, 1},
		{[]entryOf{{"other", "not a span"}, {"zipkin", plain("a")}, {"", ""}}, 1},
		{[]entryOf{{"other", "not a span"}}, 0},
		{nil, 0},
	} {
		for _, old := range []bool{false, true} {
			before := s.sink.spans
			c.send(framed(callOf(int32(i), old, want.entries...)))
			if got := c.answer(); got != fmt.Sprintf("%d Log 0", i) || s.sink.spans-before != want.spans {
				t.Errorf("call %d, old %v: %q and %d spans; want OK and %d", i, old, got, s.sink.spans-before, want.spans)
			}
		}
	}
	s.counted(t, `clew_stored_spans_total{protocol="scribe"} 12`)
	s.counted(t, `clew_refused_requests_total{protocol="scribe",reason="category"} 6`)
}

// TestOldHead: a call without a version is answered without one.
func TestOldHead(t *testing.T) {
	s := start(t, &sink{}, 1<<20, 8<<20)
	c := s.dial(t)
	c.send(framed(callOf(7, true)))
	want := framed([]byte("\x00\x00\x00\x03Log\x02\x00\x00\x00\x07\x08\x00\x00\x00\x00\x00\x00\x00"))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c.in, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v; want %x", got, err, want)
	}
}

// TestPipelined: many calls of one connection are under way at once, and are answered in the order in which they came.
func TestPipelined(t *testing.T) {
	k := &sink{gate: make(chan struct{}), began: make(chan string, 100)}
	s := start(t, k, 1<<20, 8<<20)
	c := s.dial(t)
	for i := range 40 {
		c.send(framed(callOf(int32(i), i%2 == 0, entryOf{"zipkin", plain(fmt.Sprint(i))})))
	}
	began := map[string]bool{}
	for range pipelined { // or it would hang here
		began[<-k.began] = true
	}
	if len(began) != pipelined {
		t.Errorf("%d calls were begun", len(began))
	}
	close(k.gate)
	for i := range 40 {
		if got := c.answer(); got != fmt.Sprintf("%d Log 0", i) {
			t.Errorf("answer %d is %q", i, got)
		}
	}
}

func TestTryLater(t *testing.T) {
	busy := start(t, &sink{err: &trace.Error{Kind: trace.Busy, Msg: "the disk is full"}}, 1<<20, 8<<20)
	c := busy.dial(t)
	for i := range 3 {
		c.send(framed(callOf(int32(i), false, entryOf{"zipkin", plain("a")})))
		if got := c.answer(); got != fmt.Sprintf("%d Log 1", i) {
			t.Errorf("a busy sink: %q", got)
		}
	}
	busy.counted(t, `clew_refused_spans_total{protocol="scribe",reason="busy"} 3`)

	// No memory: the call is thrown away as it comes, and the connection goes on.
	s := start(t, &sink{}, 1<<20, 64<<10)
	c = s.dial(t)
	large := strings.Repeat("x", 900<<10)
	for i, call := range [][]byte{callOf(1, false, entryOf{"zipkin", large}), callOf(2, true, entryOf{"zipkin", large})} {
		c.send(framed(call))
		if got := c.answer(); got != fmt.Sprintf("%d Log 1", i+1) {
			t.Errorf("no memory: %q", got)
		}
	}
	c.send(framed(callOf(3, false, entryOf{"zipkin", plain("a")})))
	if got := c.answer(); got != "3 Log 0" || s.sink.spans != 1 {
		t.Errorf("afterwards: %q, %d spans", got, s.sink.spans)
	}
	s.counted(t, `clew_refused_requests_total{protocol="scribe",reason="busy"} 2`)
}

func TestRefusals(t *testing.T) {
	s := start(t, &sink{}, 1<<20, 8<<20)
	c := s.dial(t)
	f := func(message []byte, want, counted string) {
		t.Helper()
		c.send(framed(message))
		if got := c.answer(); !strings.HasPrefix(got, want) {
			t.Errorf("%q; want %q", got, want)
		}
		if counted != "" {
			s.counted(t, `clew_refused_requests_total{protocol="scribe",reason="`+counted+`"} 1`)
		}
	}
	var probe, other, reply thrift.Writer
	probe.Message(thrift.Message{Type: thrift.Call, Name: []byte(finagleProbe), Seq: 8})
	f(append(probe.Out, 0), "8 "+finagleProbe+" no (1)", "")
	other.Message(thrift.Message{Type: thrift.Call, Name: []byte("getStatus"), Seq: 9})
	reply.Message(thrift.Message{Type: thrift.Reply, Name: []byte("Log"), Seq: 10})
	f(append(other.Out, 0), `9 getStatus there is no method "getStatus"; scribe's is Log (1)`, "method")
	f(append(reply.Out, 0), "10 Log message of type 2; want a call (2)", "undecodable")
	f([]byte("GET / HTTP/1.1\r\n"), "0  cut off: 1195725856 bytes wanted at byte 4 of 16 (7)", "")
	f([]byte("\x80\x02\x00\x01"), "0  not a message of Thrift's binary protocol: version 0x8002", "")
	f(callOf(3, false, entryOf{"zipkin", plain("a")}, entryOf{"zipkin", "????"}), "3 Log Malformed reading Span from TBinary: span 1: struct does not end", "invalid")
	f(callOf(4, false, entryOf{"zipkin", plain("a")})[:40], "4 Log ", "")
	f([]byte("\x80\x01\x00\x01\x00\x00\x00\x03Log\x00\x00\x00\x05\x0f\x00\x01\x0c\x7f\xff\xff\xff"), "5 Log list of 2147483647 elements, but 0 bytes are left", "")
	if s.sink.spans != 0 {
		t.Errorf("%d spans were stored", s.sink.spans)
	}
	f(callOf(6, false, entryOf{"zipkin", plain("a")}), "6 Log 0", "")

	// A oneway call is done, and not answered.
	one := callOf(7, false, entryOf{"zipkin", plain("a")})
	one[3] = byte(thrift.Oneway)
	c.send(framed(one))
	f(callOf(8, false), "8 Log 0", "")
	if s.sink.spans != 2 {
		t.Errorf("%d spans were stored", s.sink.spans)
	}
	failing := start(t, &sink{err: errors.New("secret")}, 1<<20, 8<<20)
	c = failing.dial(t)
	f(callOf(1, false, entryOf{"zipkin", plain("a")}), "1 Log internal error; see Clew's log (6)", "")
}

// TestFrames: what is no frame, or too large a one, ends the connection and costs no memory.
func TestFrames(t *testing.T) {
	s := start(t, &sink{}, 1<<20, 8<<20)
	f := func(b []byte, reason string) {
		t.Helper()
		c := s.dial(t)
		c.send(b)
		c.ended()
		s.counted(t, `clew_refused_requests_total{protocol="scribe",reason="`+reason+`"} 1`)
	}
	f([]byte("\x00\x10\x00\x01aaaa"), "too_large")
	f(callOf(1, false), "frame") // without a frame
	half := s.dial(t)
	half.send([]byte("\x00\x00\x10\x00half"))
	if err := half.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	half.ended()
	s.counted(t, `clew_refused_requests_total{protocol="scribe",reason="cut_off"} 1`)
}

// TestPromises: connections that promise large calls and send little of them hold little.
func TestPromises(t *testing.T) {
	s := start(t, &sink{}, 64<<20, 1<<20)
	var list []*client
	for range 50 {
		c := s.dial(t)
		c.send([]byte("\x03\xff\xff\xff\x80\x01\x00\x01"))
		list = append(list, c)
	}
	c := s.dial(t)
	c.send(framed(callOf(1, false, entryOf{"zipkin", plain("a")})))
	if got := c.answer(); got != "1 Log 0" {
		t.Errorf("%q; want OK", got)
	}
	for _, c := range list {
		_ = c.Close()
	}
}

func TestTooManyConnections(t *testing.T) {
	s := start(t, &sink{}, 1<<20, 8<<20)
	for range maxConnections {
		s.dial(t)
	}
	c := s.dial(t)
	c.ended()
	s.counted(t, `clew_refused_requests_total{protocol="scribe",reason="connections"} 1`)
}

// crowded is a listener that fails once, as when the process has as many files open as it may.
type crowded struct {
	net.Listener
	failed bool
}

func (l *crowded) Accept() (net.Conn, error) {
	if !l.failed {
		l.failed = true
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// TestTooManyFiles: that there is no file for a connection at the moment does not end the server.
func TestTooManyFiles(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := startOn(t, &crowded{Listener: l}, &sink{}, receive.NewBodies(1<<20, 8<<20))
	c := s.dial(t)
	c.send(framed(callOf(1, false, entryOf{"zipkin", plain("a")})))
	if got := c.answer(); got != "1 Log 0" {
		t.Errorf("answer %q", got)
	}
}

// TestShutdown: calls under way are answered, and silent connections end.
func TestShutdown(t *testing.T) {
	k := &sink{gate: make(chan struct{}), began: make(chan string, 1)}
	s := start(t, k, 1<<20, 8<<20)
	release := sync.OnceFunc(func() { close(k.gate) })
	t.Cleanup(release)
	silent, working, arriving := s.dial(t), s.dial(t), s.dial(t)
	silent.send(framed(callOf(1, false)))
	silent.answer()
	s.until(silent, true)
	whole := framed(callOf(3, false))
	arriving.send(framed(callOf(0, false)))
	arriving.answer()
	s.until(arriving, true)
	arriving.send(whole[:10])
	s.until(arriving, false)
	working.send(framed(callOf(2, false, entryOf{"zipkin", plain("a")})))
	<-k.began
	s.until(working, true)
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(t.Context()) }()
	silent.ended()
	if _, err := net.Dial("tcp", s.address); err == nil {
		t.Error("a connection is taken")
	}
	arriving.send(whole[10:])
	if got := arriving.answer(); got != "3 Log 0" {
		t.Errorf("%q; want OK", got)
	}
	release()
	if got := working.answer(); got != "2 Log 0" {
		t.Errorf("%q; want OK", got)
	}
	working.ended()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzCall(f *testing.F) {
	f.Add(callOf(1, false, entryOf{"zipkin", plain("a")}, entryOf{"other", "x"}))
	f.Add(callOf(2, true, entryOf{"zipkin", mime(spanOf("b")) + "\n"}))
	inlet := receive.Inlet{Sink: &sink{}, Meter: receive.NewMeter(prometheus.NewRegistry()), Limits: func(context.Context) trace.Limits { return trace.DefaultLimits() }}
	bodies := receive.NewBodies(1<<20, 8<<20)
	c := &conn{Server: New(inlet, bodies, time.Minute, slog.New(slog.DiscardHandler))}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) == 0 || len(in) > 1<<20 {
			return
		}
		body, err := bodies.ReadFrame(context.Background(), bytes.NewReader(in), int64(len(in)))
		if err != nil {
			t.Fatal(err)
		}
		out := c.answer(t.Context(), &call{head: in[:min(len(in), maxHead)], body: body})
		if len(out) == 0 {
			return
		}
		if n := binary.BigEndian.Uint32(out); int(n) != len(out)-4 || n > 2000 {
			t.Fatalf("a frame of %d bytes says %d", len(out), n)
		}
		said(t, out[4:])
	})
}

func TestBase64(t *testing.T) {
	for n := range 100 {
		b := bytes.Repeat([]byte{0xfb, 0xef, 0x00}, 40)[:n]
		for _, text := range []string{base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b), mime(b), mime(b) + "\n", " \t" + mime(b)} {
			if got := appendBase64(nil, []byte(text)); !bytes.Equal(got, b) {
				t.Errorf("%q is %x; want %x", text, got, b)
			}
		}
	}
}
