package api

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clewtrace/clew/trace"
)

func refuseText(_ int, e *trace.Error) Answer {
	return Answer{Raw: []byte(e.Kind.String() + ": " + e.Msg), ContentType: "text/plain"}
}

func gate(n int) (*Gate, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	return NewGate(n, slog.New(slog.DiscardHandler), reg), reg
}

// TestFull checks that who finds no free place is told to come back, and that a place that becomes free is given on.
func TestFull(t *testing.T) {
	g, reg := gate(2)
	g.wait = 20 * time.Millisecond
	started, release := make(chan struct{}), make(chan struct{})
	slow := g.Wrap("x", "slow", refuseText, func(*http.Request) (Answer, error) {
		started <- struct{}{}
		<-release
		return Answer{Value: 1}, nil
	})
	done := make(chan int, 2)
	for range 2 {
		go func() {
			w := httptest.NewRecorder()
			slow.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			done <- w.Code
		}()
		<-started
	}
	w := httptest.NewRecorder()
	slow.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" || w.Body.String() != "busy: too many queries are running; try again" {
		t.Errorf("a third query: %d, Retry-After %q: %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	if n := testutil.ToFloat64(g.errors.WithLabelValues("x", "slow", "busy")); n != 1 {
		t.Errorf("%v refusals counted", n)
	}

	// A client that goes away while it waits leaves no trace.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.wait = time.Minute
	w = httptest.NewRecorder()
	slow.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "went away") {
		t.Errorf("a client that went away: %d: %s", w.Code, w.Body)
	}

	waiting := make(chan int)
	go func() {
		w := httptest.NewRecorder()
		g.Wrap("x", "quick", refuseText, func(*http.Request) (Answer, error) { return Answer{Value: 2}, nil }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		waiting <- w.Code
	}()
	close(release)
	for _, c := range []chan int{done, done, waiting} {
		if code := <-c; code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}
	if n, err := testutil.GatherAndCount(reg, "clew_query_seconds"); err != nil || n != 2 {
		t.Errorf("%d calls are timed (%v)", n, err)
	}
}

// TestKinds checks which status each kind of error has, and that inner causes and panics stay inside and free their place.
func TestKinds(t *testing.T) {
	g, _ := gate(1)
	for _, c := range []struct {
		err  error
		want string
		code int
	}{
		{trace.Errorf(trace.Invalid, "bad"), "invalid: bad", 400},
		{trace.Errorf(trace.NotFound, "none"), "not_found: none", 404},
		{trace.Errorf(trace.TooLarge, "much"), "too_large: much", 413},
		{&trace.Error{Kind: trace.Busy, Msg: "later", After: 3 * time.Second}, "busy: later", 503},
		{trace.Errorf(trace.Internal, "secret"), "internal: internal error; see Clew's log", 500},
		{errors.New("secret"), "internal: internal error; see Clew's log", 500},
		{nil, "internal: internal error; see Clew's log", 500}, // panics
	} {
		w := httptest.NewRecorder()
		g.Wrap("x", "y", refuseText, func(*http.Request) (Answer, error) {
			if c.err == nil {
				panic("oh")
			}
			return Answer{}, c.err
		}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != c.code || w.Body.String() != c.want {
			t.Errorf("%v: %d %q; want %d %q", c.err, w.Code, w.Body, c.code, c.want)
		}
		if got := w.Header().Get("Retry-After"); (c.code == 503) != (got == "3") {
			t.Errorf("%v: Retry-After %q", c.err, got)
		}
	}
}

// TestGzip checks that large answers are compressed for those who take it, and only for those.
func TestGzip(t *testing.T) {
	g, _ := gate(1)
	large := strings.Repeat("a<b", 1000)
	for accept, want := range map[string]string{
		"gzip, deflate": "gzip", "br;q=1.0, GZIP;q=0.5": "gzip", "*": "gzip", "": "", "identity": "", "gzip;q=0": "", "gzip; q=0.000, *": "", "*;q=0": "", "notgzip": "",
	} {
		for _, value := range []string{large, "small"} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept-Encoding", accept)
			g.Wrap("x", "y", refuseText, func(*http.Request) (Answer, error) {
				return Answer{Value: value, Header: map[string]string{"X-A": "b"}}, nil
			}).ServeHTTP(w, r)
			body := io.Reader(w.Body)
			if value == "small" {
				want = ""
			}
			if vary := w.Header().Get("Vary"); (vary == "Accept-Encoding") != (value == large) {
				t.Errorf("accepts %q, %d bytes: Vary is %q", accept, len(value), vary)
			}
			if w.Header().Get("Content-Encoding") != want || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("X-A") != "b" {
				t.Fatalf("accepts %q, %d bytes: %v", accept, len(value), w.Header())
			}
			if want == "gzip" {
				z, err := gzip.NewReader(body)
				if err != nil {
					t.Fatal(err)
				}
				body = z
			}
			var got string
			if err := json.NewDecoder(body).Decode(&got); err != nil || got != value {
				t.Errorf("accepts %q: %d bytes came (%v); want %d", accept, len(got), err, len(value))
			}
		}
	}
}

func TestListBounded(t *testing.T) {
	l := &List{}
	part := make([]byte, MaxBytes/4)
	for i := range 4 {
		if err := l.Add(part); err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
	}
	if err := l.Add([]byte("1")); trace.KindOf(err) != trace.TooLarge || len(l.parts) != 4 {
		t.Errorf("one byte more: %v", err)
	}
	if b := (&List{}).JSON("", ""); string(b) != "[]" {
		t.Errorf("an empty list is %s", b)
	}
}

// TestGone checks that a client that goes away stops its query, and that its place is free again.
func TestGone(t *testing.T) {
	g, _ := gate(1)
	running := make(chan struct{}, 1)
	s := httptest.NewServer(g.Wrap("x", "y", refuseText, func(r *http.Request) (Answer, error) {
		if r.URL.Path == "/quick" {
			return Answer{Value: 1}, nil
		}
		running <- struct{}{}
		<-r.Context().Done()
		return Answer{}, r.Context().Err()
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Client().Do(req)
		done <- err
	}()
	<-running
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the request ends with %v", err)
	}
	r, err := s.Client().Get(s.URL + "/quick")
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("the next query: %s", r.Status)
	}
}

// TestTimeout has handlers run longer than a query may: they end, but for those that are patient.
func TestTimeout(t *testing.T) {
	g := NewGate(1, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	g.Timeout = time.Millisecond
	refuse := func(_ int, e *trace.Error) Answer { return Answer{Raw: []byte(e.Msg), ContentType: "text/plain"} }
	waits := g.Wrap("test", "waits", refuse, func(r *http.Request) (Answer, error) {
		<-r.Context().Done()
		return Answer{}, r.Context().Err()
	})
	w := httptest.NewRecorder()
	waits.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "longer than the time it is allowed, 1ms") {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
	ctx, leave := context.WithCancel(t.Context())
	patient := g.Wrap("test", "patient", refuse, func(r *http.Request) (Answer, error) {
		p := Patient(r)
		if _, ok := p.Context().Deadline(); ok || p.Context().Err() != nil {
			return Answer{}, trace.Errorf(trace.Invalid, "who is patient has a deadline")
		}
		leave()
		<-p.Context().Done()
		return Answer{Value: "left"}, nil
	})
	w = httptest.NewRecorder()
	patient.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
	if r := httptest.NewRequest(http.MethodGet, "/", nil); Patient(r) != r {
		t.Error("a request without a timeout is another one")
	}
}
