package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clewtrace/clew/trace"
)

// span makes a span of a service; its number is in its IDs and its name.
func span(service string, n int) trace.Span {
	return trace.Span{
		TraceID: trace.ID{15: byte(n), 14: byte(n >> 8), 0: 1}, ID: trace.SpanID{7: byte(n), 6: byte(n >> 8), 0: 1}, Name: fmt.Sprint("span ", n), Start: 1, End: 2,
		Resource: &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(service)}}}, Scope: &trace.Scope{Name: "lib"},
	}
}

func batchOf(t testing.TB, spans ...trace.Span) *trace.Batch {
	t.Helper()
	b := new(trace.Batch)
	if err := trace.Pack(b, spans, trace.DefaultLimits()); err != nil || b.Refused.Total() > 0 {
		t.Fatal(err, b.Refused)
	}
	return b
}

func decoded(t testing.TB, b *trace.Batch) []trace.Span {
	t.Helper()
	spans, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	return spans
}

// sink remembers what it was given.
type sink struct {
	names   []string
	spans   int
	batches int
	err     error
}

func (s *sink) Append(_ context.Context, b *trace.Batch) error {
	if s.err != nil {
		return s.err
	}
	spans, err := b.Decode()
	for i := range spans {
		s.names = append(s.names, spans[i].Name)
	}
	s.spans += len(spans)
	s.batches++
	return err
}

type stepFunc func(ctx context.Context, b *trace.Batch) error

func (f stepFunc) Process(ctx context.Context, b *trace.Batch) error { return f(ctx, b) }

// dropOdd leaves every other span out.
func dropOdd(_ context.Context, b *trace.Batch) error {
	_, err := b.Keep(func(i int) bool { return i%2 == 0 })
	return err
}

func chain(next Sink, cfg Config) (*Chain, *prometheus.Registry, *bytes.Buffer) {
	reg, log := prometheus.NewRegistry(), new(bytes.Buffer)
	return New(next, cfg, slog.New(slog.NewTextHandler(log, nil)), reg), reg, log
}

func total(t testing.TB, reg *prometheus.Registry, name string) (sum int) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += int(m.GetCounter().GetValue())
			}
		}
	}
	return sum
}

func TestOrderAndCounts(t *testing.T) {
	next := &sink{}
	rename := stepFunc(func(_ context.Context, b *trace.Batch) error {
		return b.Edit(&trace.Edit{Span: func(dst []byte, i int, body []byte) ([]byte, trace.Change) {
			return appendField(append(dst, body...), 5, fmt.Appendf(nil, "renamed %d", i)), trace.Changed
		}})
	})
	tapped := 0
	c, reg, _ := chain(next, Config{
		Steps: []Configured{{Name: "odd", Reason: "odd", Step: stepFunc(dropOdd)}, {Name: "rename", Step: rename}},
		Tap:   func(_ context.Context, b *trace.Batch) { tapped += len(b.Spans) },
	})
	b := batchOf(t, span("a", 0), span("a", 1), span("a", 2))
	if err := c.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"renamed 0", "renamed 1"}, next.names); diff != "" {
		t.Error(diff)
	}
	if n := testutil.ToFloat64(c.dropped.WithLabelValues("odd", "odd", "default")); n != 1 || tapped != 2 || total(t, reg, "clew_process_dropped_spans_total") != 1 {
		t.Errorf("%v counted as dropped, %d seen by the tap", n, tapped)
	}
	// A batch of which nothing is left is done; one that the sink does not take is not shown to the tap.
	next.err = trace.Errorf(trace.Busy, "later")
	c.cfg.Steps = append(c.cfg.Steps, Configured{Name: "all", Step: stepFunc(func(_ context.Context, b *trace.Batch) error {
		_, err := b.Keep(func(int) bool { return false })
		return err
	})})
	c.quiet = append(c.quiet, limitedLog{})
	if err := c.Append(t.Context(), batchOf(t, span("a", 1))); err != nil || tapped != 2 {
		t.Errorf("a batch of which nothing is left gives %v, and the tap saw %d", err, tapped)
	}
	c.cfg.Steps = c.cfg.Steps[:1]
	if err := c.Append(t.Context(), batchOf(t, span("a", 1))); trace.KindOf(err) != trace.Busy || tapped != 2 {
		t.Errorf("the sink's error became %v, and the tap saw %d", err, tapped)
	}
}

func TestErrorModes(t *testing.T) {
	fail := errors.New("no such luck")
	panics := stepFunc(func(context.Context, *trace.Batch) error { panic("a mistake") })
	for _, c := range []struct {
		mode   ErrorMode
		step   Step
		stored int
		kind   trace.ErrorKind
		logged string
		errors int
	}{
		{Ignore, stepFunc(func(context.Context, *trace.Batch) error { return fail }), 2, trace.Internal, "no such luck", 1},
		{Silent, stepFunc(func(context.Context, *trace.Batch) error { return fail }), 2, trace.Internal, "", 1},
		{Propagate, stepFunc(func(context.Context, *trace.Batch) error { return fail }), 0, trace.Internal, "", 1},
		{Propagate, stepFunc(func(context.Context, *trace.Batch) error { return trace.Errorf(trace.Invalid, "bad") }), 0, trace.Invalid, "", 1},
		{Ignore, stepFunc(func(context.Context, *trace.Batch) error { return trace.Errorf(trace.Busy, "wait") }), 0, trace.Busy, "", 0},
		{Ignore, panics, 2, trace.Internal, "a mistake", 1},
		{Propagate, panics, 0, trace.Internal, "a mistake", 1},
	} {
		next := &sink{}
		ch, reg, log := chain(next, Config{Steps: []Configured{{Name: "s", Step: c.step, Errors: c.mode}}})
		err := ch.Append(t.Context(), batchOf(t, span("a", 0), span("b", 1)))
		if next.spans != c.stored || (err == nil) != (c.stored > 0) || err != nil && trace.KindOf(err) != c.kind {
			t.Errorf("%v: %v, %d stored; want %d, %v", c.mode, err, next.spans, c.stored, c.kind)
		}
		if n := total(t, reg, "clew_process_errors_total"); n != c.errors || !strings.Contains(log.String(), c.logged) || c.logged == "" && log.Len() > 0 {
			t.Errorf("%v: %d errors counted, logged %q", c.mode, n, log)
		}
	}
}

// TestWhen runs a step on some tenants and some services of a batch alone.
// TestFailed: of a step that could not do its work the error mode decides, also when the step is for some of the services; a sender is told to
// come again with the whole batch, and none of it is stored.
func TestFailed(t *testing.T) {
	failed := stepFunc(func(context.Context, *trace.Batch) error {
		return &trace.Error{Kind: trace.Busy, Msg: "down", Err: ErrFailed}
	})
	for mode := Ignore; mode <= Propagate; mode++ {
		for _, when := range []When{{}, {Services: []trace.Glob{"a"}}} {
			next := &sink{}
			c, reg, _ := chain(next, Config{Steps: []Configured{{Name: "s", Step: failed, Errors: mode, When: when}}})
			err := c.Append(context.Background(), batchOf(t, span("a", 1), span("b", 2)))
			if refused := mode == Propagate; refused != (trace.KindOf(err) == trace.Busy && err != nil) || refused != (next.spans == 0) || next.spans == 1 {
				t.Errorf("%s, %v: error %v, %d spans stored", ErrorModes[mode], when, err, next.spans)
			}
			if n := total(t, reg, "clew_process_errors_total"); n != 1 {
				t.Errorf("%s: %d errors counted", ErrorModes[mode], n)
			}
		}
	}
}

func TestWhen(t *testing.T) {
	all := stepFunc(func(_ context.Context, b *trace.Batch) error {
		_, err := b.Keep(func(int) bool { return false })
		return err
	})
	busy := stepFunc(func(context.Context, *trace.Batch) error { return trace.Errorf(trace.Busy, "over the rate") })
	for _, c := range []struct {
		when    When
		step    Step
		tenant  string
		stored  string
		refused int
	}{
		{When{}, all, "", "", 0},
		{When{Services: []trace.Glob{"cart*"}}, all, "", "span 2 span 3", 0},
		{When{Services: []trace.Glob{"cart*", "unknown_service"}}, all, "", "span 2", 0},
		{When{Services: []trace.Glob{"nobody"}}, all, "", "span 0 span 1 span 2 span 3", 0},
		{When{Services: []trace.Glob{"cart*"}}, stepFunc(dropOdd), "", "span 0 span 2 span 3", 0},
		{When{Services: []trace.Glob{"cart*"}}, busy, "", "span 2 span 3", 2},
		{When{Tenants: []trace.Glob{"a"}}, all, "a", "", 0},
		{When{Tenants: []trace.Glob{"a"}}, all, "b", "span 0 span 1 span 2 span 3", 0},
		{When{}, all, "nobody", "span 0 span 1 span 2 span 3", 0},
	} {
		next := &sink{}
		ch, _, _ := chain(next, Config{Steps: []Configured{{Name: "s", Step: c.step, When: c.when}}, Known: func(name string) bool { return name != "nobody" }})
		b := batchOf(t, span("cart", 0), span("cart-db", 1), span("web", 2), span("", 3))
		if err := ch.Append(trace.WithTenant(t.Context(), c.tenant), b); err != nil {
			t.Fatal(err)
		}
		slices.Sort(next.names)
		if got := strings.Join(next.names, " "); got != c.stored || b.Refused.Count[trace.RateLimited] != c.refused {
			t.Errorf("%+v of tenant %q: stored %s, refused %+v; want %s", c.when, c.tenant, got, b.Refused, c.stored)
		}
	}
}

func TestHold(t *testing.T) {
	held, most := int64(0), int64(0)
	hold := func(n int64) (func(), error) {
		held += n
		most = max(most, held)
		return func() { held -= n }, nil
	}
	next := &sink{}
	ch, _, _ := chain(next, Config{Steps: []Configured{{Name: "s", Step: stepFunc(dropOdd)}}, Hold: hold})
	b := batchOf(t, span("a", 0))
	want := copies * int64(len(b.Raw))
	if err := ch.Append(t.Context(), b); err != nil || held != 0 || most != want {
		t.Errorf("%v: %d held at most, %d after; want %d and 0", err, most, held, want)
	}
	ch.cfg.Hold = func(int64) (func(), error) { return nil, trace.Errorf(trace.Busy, "full") }
	if err := ch.Append(t.Context(), b); trace.KindOf(err) != trace.Busy || next.batches != 1 {
		t.Errorf("%v, and %d batches stored", err, next.batches)
	}
}

// wild are steps that do anything a step may do, and some that it may not.
func wild(r *rand.Rand) Step {
	seed := r.Uint64()
	return stepFunc(func(_ context.Context, b *trace.Batch) error {
		r := rand.New(rand.NewPCG(seed, uint64(len(b.Spans))))
		switch r.IntN(6) {
		case 0:
			_, err := b.Keep(func(int) bool { return r.IntN(3) > 0 })
			return err
		case 1:
			left, err := b.Keep(func(int) bool { return r.IntN(3) > 0 })
			b.Refused.Count[trace.RateLimited] += left
			return err
		case 2:
			return b.Edit(&trace.Edit{Span: func(dst []byte, _ int, body []byte) ([]byte, trace.Change) {
				return appendField(append(dst, body...), 1, make([]byte, r.IntN(2)*16)), trace.Change(r.IntN(3)) // no trace ID: refused
			}})
		case 3:
			return b.Rewrite(func(dst []byte) []byte { return append(dst, 0xff) })
		case 4:
			return trace.Errorf(trace.ErrorKind(r.IntN(5)), "some error")
		}
		panic("wild")
	})
}

// TestBooks: whatever the steps do, received = stored + refused + dropped, span by span.
func TestBooks(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 3))
		var cfg Config
		for i := range r.IntN(5) {
			s := Configured{Name: fmt.Sprint(i), Step: wild(r), Errors: ErrorMode(r.IntN(3))}
			if r.IntN(2) == 0 {
				s.When.Services = []trace.Glob{trace.Glob([]string{"a", "b", "*"}[r.IntN(3)])}
			}
			cfg.Steps = append(cfg.Steps, s)
		}
		next := &sink{}
		if r.IntN(8) == 0 {
			next.err = trace.Errorf(trace.Busy, "full")
		}
		ch, reg, _ := chain(next, cfg)
		var spans []trace.Span
		for i := range 1 + r.IntN(20) {
			spans = append(spans, span([]string{"a", "b", "c"}[r.IntN(3)], i))
		}
		b := batchOf(t, spans...)
		err := ch.Append(t.Context(), b)
		stored, refused := len(b.Spans), b.Refused.Total() // as receive.Inlet counts
		if err != nil {
			stored, refused = 0, refused+len(b.Spans)
		}
		if dropped := total(t, reg, "clew_process_dropped_spans_total"); stored+refused+dropped != len(spans) || stored != next.spans {
			t.Fatalf("seed %d: %d received, %d stored (%d by the sink), %d refused, %d dropped; error %v", seed, len(spans), stored, next.spans, refused, dropped, err)
		}
	}
}
