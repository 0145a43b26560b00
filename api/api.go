// Package api is what the query dialects share: handlers that return their answer or an error, and the one wrapper, of HTTP and of gRPC, that writes,
// counts and bounds them.
//
// The dialects are in its folders. Each translates its requests into calls of query.Engine, and what comes back into its own JSON or protobuf; none
// talks to a store.
package api

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

// Gate wraps handlers: it bounds how many run at once, and for how long, and counts and times them.
type Gate struct {
	// Timeout is how long a query may run once it is its turn; 0: as long as it likes. It must be set before the first.
	Timeout time.Duration

	memory  *trace.Pool // that queries may hold; nil: as much as they like
	slots   slots
	wait    time.Duration
	log     *slog.Logger
	seconds *prometheus.HistogramVec
	errors  *prometheus.CounterVec
	gzips   sync.Pool
}

// NewGate returns a gate that lets n queries run at once; others wait a while before they are told to come back.
func NewGate(n int, log *slog.Logger, reg prometheus.Registerer) *Gate {
	g := &Gate{
		slots: slots{free: n}, wait: 10 * time.Second, log: log,
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "clew_query_seconds", Help: "Time to answer a query, waiting for its turn included.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"api", "call"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clew_query_errors_total", Help: "Queries that were refused or failed, by kind."}, []string{"api", "call", "kind"}),
	}
	g.gzips.New = func() any { return gzip.NewWriter(nil) }
	reg.MustRegister(g.seconds, g.errors)
	return g
}

// Answer is what a handler returns: a value to be written as JSON, or Raw bytes of a ContentType.
type Answer struct {
	Value       any
	Raw         []byte
	ContentType string // application/json if empty
	Status      int    // 200 if 0
	Header      map[string]string
}

// Incomplete returns the answer with a header that says why something was left out of it, for a form that has no place for that; as it is if why is empty.
func (a Answer) Incomplete(why string) Answer {
	if why != "" {
		a.Header = map[string]string{"X-Clew-Incomplete": why}
	}
	return a
}

// MaxBytes is how large an answer may become: it is made whole before it is sent, and several may be made at once.
const MaxBytes = 256 << 20

// Fits returns an error of kind TooLarge when a trace's JSON is larger than MaxBytes for sure, given how many bytes a span and an
// attribute take at least, their texts aside: before memory is taken for it.
func Fits(t *trace.Trace, span, attr int) error {
	n := 0
	for i := range t.Spans {
		s := &t.Spans[i]
		n += span + len(s.Name) + attr*len(s.Attrs)
		for k := range s.Attrs {
			n += len(s.Attrs[k].Key) + len(s.Attrs[k].Value.Str())
		}
		if n > MaxBytes {
			return errTooLarge
		}
	}
	return nil
}

var errTooLarge = trace.Errorf(trace.TooLarge, "the answer is larger than %d MiB; ask for less at once", MaxBytes>>20)

// partBytes is what a part takes beside its bytes.
const partBytes = 48

// List collects the elements of a JSON array within MaxBytes.
type List struct {
	Held    *trace.Budget // of the query; nil: there is memory enough
	parts   [][]byte
	bytes   int
	scratch []byte
}

// AddTrace adds what encode makes of a trace's JSON, which it appends: between so many bytes at its begin and its end. For what it takes meanwhile memory is
// taken before.
func (l *List) AddTrace(t *trace.Trace, encode func(b []byte) []byte, begin, end int) error {
	n := JSONMemory(t)
	if err := l.Held.Take(n); err != nil {
		return err
	}
	defer l.Held.Give(n)
	had := cap(l.scratch)
	l.scratch = encode(l.scratch[:0])
	l.Held.Owe(int64(cap(l.scratch) - had))
	return l.Add(slices.Clone(l.scratch[begin : len(l.scratch)-end])) // which takes as much memory as it has bytes
}

// Add adds an element, or returns an error of kind TooLarge.
func (l *List) Add(part []byte) error {
	if l.bytes+len(part) > MaxBytes {
		return errTooLarge
	}
	if err := l.Held.Take(2*int64(len(part)) + partBytes); err != nil { // JSON copies it
		return err
	}
	l.bytes += len(part)
	l.parts = append(l.parts, part)
	return nil
}

// JSON returns the array with text before and after it, for Answer.Raw: encoding/json would read all of it again.
func (l *List) JSON(before, after string) []byte {
	out := append(make([]byte, 0, len(before)+l.bytes+len(l.parts)+len(after)+2), before...)
	out = append(out, '[')
	for i, p := range l.parts {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, p...)
	}
	return append(append(out, ']'), after...)
}

// Handler answers a request, or returns an error whose kind says why not.
type Handler func(r *http.Request) (Answer, error)

// Refusal is how a dialect writes an error: its status and body.
type Refusal func(status int, e *trace.Error) Answer

// Wrap makes an http.Handler of a dialect's handler.
func (g *Gate) Wrap(dialect, call string, refuse Refusal, h Handler) http.Handler {
	seconds := g.seconds.WithLabelValues(dialect, call)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		whose, err := g.slots.of(r.Context())
		var a Answer
		r, held := g.open(r)
		defer held.Close() // the answer is held until it is sent
		if err == nil {
			a, err = g.run(r, whose, func(r *http.Request) (Answer, error) { return made(r, h) })
		}
		if err != nil {
			e := g.explain(err, dialect, call)
			whose.failed(e)
			g.errors.WithLabelValues(dialect, call, e.Kind.String()).Inc()
			if e.Kind == trace.Busy {
				w.Header().Set("Retry-After", strconv.Itoa(max(1, int(e.After/time.Second))))
			}
			a = refuse(statusOf(e.Kind), e)
			if a.Status == 0 {
				a.Status = statusOf(e.Kind)
			}
		}
		g.write(w, r, a)
		seconds.Observe(time.Since(begin).Seconds())
	})
}

// run waits for a slot and calls h. A panic costs the request alone.
func (g *Gate) run(r *http.Request, whose *asking, h Handler) (a Answer, err error) {
	whose.asks()
	if err := g.slots.take(r.Context(), whose, g.wait); err != nil {
		return a, err
	}
	defer func() {
		g.slots.give(whose)
		if p := recover(); p != nil {
			g.log.Error("query panicked", "panic", p, "path", r.URL.Path, "stack", string(debug.Stack()))
			err = trace.Errorf(trace.Internal, "internal error; see Clew's log")
		}
	}()
	if g.Timeout > 0 {
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), clientKey{}, r.Context()), g.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	return h(r)
}

// made returns a handler's answer as it will be sent. From then on the query holds that alone.
func made(r *http.Request, h Handler) (Answer, error) {
	a, err := h(r)
	if err != nil {
		return a, err
	}
	held := trace.BudgetOf(r.Context())
	if a.Raw == nil {
		if a.Raw, err = json.Marshal(a.Value); err != nil {
			return a, err
		}
		if err := held.Take(int64(len(a.Raw))); err != nil {
			return Answer{}, err
		}
	}
	return a, held.Settle(int64(len(a.Raw)))
}

type clientKey struct{}

// Patient returns a request without the gate's timeout, for what goes over all there is. It still ends when its client goes away.
func Patient(r *http.Request) *http.Request {
	if ctx, ok := r.Context().Value(clientKey{}).(context.Context); ok {
		return r.WithContext(ctx)
	}
	return r
}

// explain makes any error one that may be shown.
func (g *Gate) explain(err error, dialect, call string) *trace.Error {
	if e, ok := errors.AsType[*trace.Error](err); ok && e.Kind != trace.Internal {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return trace.Errorf(trace.Busy, "the client went away")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return trace.Errorf(trace.TooLarge, "the query took longer than the time it is allowed, %s; ask for a shorter range, or for something rarer", g.Timeout)
	}
	g.log.Error("query failed", "api", dialect, "call", call, "err", err)
	return trace.Errorf(trace.Internal, "internal error; see Clew's log")
}

func statusOf(k trace.ErrorKind) int {
	switch k {
	case trace.Invalid:
		return http.StatusBadRequest
	case trace.NotFound:
		return http.StatusNotFound
	case trace.TooLarge:
		return http.StatusRequestEntityTooLarge
	case trace.UnknownTenant:
		return http.StatusForbidden
	case trace.Busy:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// writeTimeout is how long a client may take to read an answer, which is held in memory until then.
const writeTimeout = 2 * time.Minute

// gzipMin is how many bytes are worth compressing.
const gzipMin = 1400

func (g *Gate) write(w http.ResponseWriter, r *http.Request, a Answer) {
	body := a.Raw
	if body == nil {
		var err error
		if body, err = json.Marshal(a.Value); err != nil {
			g.log.Error("answer cannot be written", "path", r.URL.Path, "err", err)
			http.Error(w, "internal error; see Clew's log", http.StatusInternalServerError)
			return
		}
	}
	conn := http.NewResponseController(w)
	_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // what has no deadlines is no network
	defer func() { _ = conn.SetWriteDeadline(time.Time{}) }()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if a.ContentType != "" {
		h.Set("Content-Type", a.ContentType)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	for k, v := range a.Header {
		h.Set(k, v)
	}
	status := max(a.Status, http.StatusOK)
	if len(body) >= gzipMin {
		h.Add("Vary", "Accept-Encoding")
	}
	if len(body) < gzipMin || !acceptsGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client may be gone
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := g.gzips.Get().(*gzip.Writer)
	defer g.gzips.Put(z)
	z.Reset(w)
	_, _ = z.Write(body)
	_ = z.Close()
}

// acceptsGzip reports whether an Accept-Encoding header names gzip, or all encodings, and does not refuse it with q=0.
func acceptsGzip(header string) bool {
	any := false
	for part := range strings.SplitSeq(strings.ToLower(header), ",") {
		name, weight, _ := strings.Cut(part, ";")
		q, weighed := strings.CutPrefix(strings.TrimSpace(weight), "q=")
		wanted := !weighed || strings.Trim(q, "0.") != ""
		switch strings.TrimSpace(name) {
		case "gzip":
			return wanted
		case "*":
			any = wanted
		}
	}
	return any
}
