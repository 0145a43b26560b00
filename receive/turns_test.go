package receive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

// TestTurns: turns go to those that had one before, then in order of arrival; who waits too long is told to come back.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := &Turns{free: 1}
		again := func(ctx context.Context) error { return turns.take(ctx, true, maxWait) }
		take := func(turn func(context.Context) error) {
			t.Helper()
			if err := turn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		take(turns.Take)
		order := make(chan string, 4)
		for _, who := range []struct {
			name string
			turn func(context.Context) error
		}{{"first", turns.Take}, {"second", turns.Take}, {"begun", again}} {
			go func() {
				take(who.turn)
				order <- who.name
				time.Sleep(10 * time.Millisecond)
				turns.Done()
			}()
			synctest.Wait()
		}
		turns.Done()
		for _, want := range []string{"begun", "first", "second"} {
			if got := <-order; got != want {
				t.Errorf("it was the turn of the %s; want %s", got, want)
			}
		}
		time.Sleep(time.Second)
		take(turns.Take)
		if turns.Behind(t.Context()) {
			t.Error("behind, though nobody waits")
		}
		late := make(chan error)
		go func() { late <- turns.Take(t.Context()) }()
		synctest.Wait()
		if turns.Behind(t.Context()) {
			t.Error("behind at once")
		}
		time.Sleep(maxWait/2 + time.Millisecond)
		if !turns.Behind(t.Context()) {
			t.Error("not behind, though somebody has waited for long")
		}
		if err := <-late; trace.KindOf(err) != trace.Busy || trace.ErrorOf(err).After != time.Second {
			t.Errorf("after %v: %v", maxWait, err)
		}
		gone, leave := context.WithCancel(t.Context())
		go func() { late <- again(gone) }()
		synctest.Wait()
		leave()
		if err := <-late; trace.KindOf(err) != trace.Busy {
			t.Errorf("who went away: %v", err)
		}
		turns.Done()
		take(turns.Take) // neither of them is still in line
		if len(turns.lines) > 0 {
			t.Error("somebody waits")
		}
	})
}

// TestTurnsOfTenants: however many of one tenant wait, it is each tenant's turn after another's, and one that waits for too long is behind alone.
func TestTurnsOfTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := &Turns{}
		order := make(chan string, 16)
		for _, tenant := range []string{"a", "a", "a", "a", "b", "a", "b", "c"} {
			go func() {
				if turns.Take(as(tenant)) == nil {
					order <- tenant
				}
			}()
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(maxWait/2 - 60*time.Millisecond)
		if !turns.Behind(as("a")) || turns.Behind(as("b")) || turns.Behind(as("d")) {
			t.Error("behind is not a alone")
		}
		for _, want := range []string{"a", "b", "c", "a", "b", "a", "a", "a"} {
			turns.Done()
			if got := <-order; got != want {
				t.Errorf("it was %s's turn; want %s", got, want)
			}
		}
		if len(turns.lines) > 0 || turns.free != 0 {
			t.Errorf("%d lines, %d free", len(turns.lines), turns.free)
		}
	})
}

// behind makes a reader's turns so that requests wait for too long already.
func behind(r *Bodies) {
	r.turns.mu.Lock()
	defer r.turns.mu.Unlock()
	r.turns.free = 0
	r.turns.wait(trace.DefaultTenant, false, &waiter{since: time.Now().Add(-maxWait), turn: make(chan struct{})})
}

// TestBehind: who comes when others wait for too long is told so without that memory is taken, and after what it sends over HTTP/1 was read, or it might not see it.
func TestBehind(t *testing.T) {
	r := NewBodies(maxBody, 8*maxBody)
	behind(r)
	body := bytes.NewReader(noise(maxBody / 2))
	if _, err := r.Read(request("", body)); trace.KindOf(err) != trace.Busy || body.Len() > 0 {
		t.Errorf("%v, %d bytes were not read", err, body.Len())
	}
	body = bytes.NewReader(noise(maxBody / 2))
	asks := request("", body)
	asks.Header.Set("Expect", "100-continue")
	if _, err := r.Read(asks); trace.KindOf(err) != trace.Busy || body.Len() != maxBody/2 {
		t.Errorf("who asked first: %v, %d bytes were not read", err, body.Len())
	}
	if _, err := r.ReadMessage(t.Context(), request("", bytes.NewReader([]byte{0, 0, 0, 0, 0}))); trace.KindOf(err) != trace.Busy {
		t.Errorf("message: %v", err)
	}
	if n := r.held.Load(); n != 0 {
		t.Errorf("%d bytes are held", n)
	}
}

// TestBehindSeen: a client that sends a large body over HTTP/1 sees the answer, and keeps its connection.
func TestBehindSeen(t *testing.T) {
	r := NewBodies(64<<20, 256<<20)
	behind(r)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, err := r.Read(req); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	raw := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n" + strings.Repeat("x", 20_000_000)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for range 2 {
		if _, err := io.WriteString(conn, raw); err != nil { // all of it, before anything is read
			t.Fatal(err)
		}
		got := make([]byte, 12)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "HTTP/1.1 503" {
			t.Fatalf("%q, %v", got, err)
		}
		rest := make([]byte, 1<<10)
		if _, err := conn.Read(rest); err != nil {
			t.Fatal(err)
		}
	}
}

// sinkFunc is a sink.
type sinkFunc func(ctx context.Context, b *trace.Batch) error

func (f sinkFunc) Append(ctx context.Context, b *trace.Batch) error { return f(ctx, b) }

// TestInletTurns: a batch is converted, indexed and stored in turns, which are given back whatever happens, and when the sink has only to wait.
func TestInletTurns(t *testing.T) {
	turns := &Turns{free: 1}
	full := func() bool { turns.mu.Lock(); defer turns.mu.Unlock(); return turns.free == 0 }
	sinkErr := error(nil)
	in := Inlet{Protocol: "p", Meter: NewMeter(prometheus.NewRegistry()), Turns: turns, Limits: func(context.Context) trace.Limits { return trace.DefaultLimits() }}
	in.Sink = sinkFunc(func(ctx context.Context, _ *trace.Batch) error {
		if !full() {
			t.Error("stored, though it is nobody's turn")
		}
		if sinkErr == nil {
			trace.Yield(ctx)
			if full() {
				t.Error("the turn goes on while the sink waits")
			}
			trace.Yield(ctx) // once more does no harm
		}
		return sinkErr
	})
	span := trace.Span{TraceID: trace.ID{1}, ID: trace.SpanID{1}, Start: uint64(time.Now().UnixNano()), Resource: &trace.Resource{}, Scope: &trace.Scope{}}
	raw := trace.AppendTraces(nil, []trace.Span{span})
	for _, c := range []struct{ convert, sink error }{{nil, nil}, {errors.New("bad"), nil}, {nil, errors.New("full")}} {
		var b trace.Batch
		sinkErr = c.sink
		err := in.Convert(t.Context(), &b, func() ([]byte, error) {
			if !full() {
				t.Error("converted, though it is nobody's turn")
			}
			return raw, c.convert
		})
		if !errors.Is(err, c.convert) {
			t.Errorf("converted: %v; want %v", err, c.convert)
		}
		if err == nil {
			if err := in.Write(t.Context(), &b); !errors.Is(err, c.sink) {
				t.Errorf("stored: %v; want %v", err, c.sink)
			}
		}
		if full() {
			t.Fatalf("%v: the turn was not given back", c)
		}
	}
}
