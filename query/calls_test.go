package query

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

// randomTraces returns traces of some services whose spans call each other at random, with parents that are missing, in order of their IDs, and each
// in one to three parts.
func randomTraces(r *rand.Rand, n int) (traces [][]trace.Span, parts [][]trace.Span) {
	const start = 1_700_000_000_000_000_000
	var resources []*trace.Resource
	for _, name := range []string{"web", "cart", "stock", "db", "mail"} {
		resources = append(resources, &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(name)}}})
	}
	for i := range n {
		var spans []trace.Span
		for k := range 1 + r.IntN(20) {
			s := trace.Span{
				TraceID: trace.ID{0: byte(i), 1: byte(i >> 8), 15: 1}, ID: trace.SpanID{7: byte(k + 1)}, Name: "op", Scope: &trace.Scope{}, Resource: resources[r.IntN(len(resources))],
				Start: start + uint64(i)*1e6 + uint64(k), End: start + uint64(i)*1e6 + uint64(k) + 5, Status: trace.StatusCode(r.IntN(3)),
			}
			if k > 0 {
				s.Parent = trace.SpanID{7: byte(1 + r.IntN(k+1))} // itself, at worst
			}
			if r.IntN(20) == 0 {
				s.Parent = trace.SpanID{0: 9}
			}
			spans = append(spans, s)
		}
		traces = append(traces, spans)
		for rest := spans; len(rest) > 0; {
			k := 1 + r.IntN(len(rest))
			parts = append(parts, rest[:k])
			rest = rest[k:]
		}
	}
	return traces, parts
}

// naive counts the calls of traces that have a span in a range.
func naive(traces [][]trace.Span, rng trace.Range) []Calls {
	counts := map[[2]string]*Calls{}
	for _, spans := range traces {
		if !slices.ContainsFunc(spans, func(s trace.Span) bool { return rng.Overlaps(s.Start, s.Start) }) {
			continue
		}
		for _, child := range spans {
			for _, parent := range spans {
				key := [2]string{parent.Service(), child.Service()}
				if child.Parent != parent.ID || child.ID == parent.ID || key[0] == key[1] {
					continue
				}
				if counts[key] == nil {
					counts[key] = &Calls{Parent: key[0], Child: key[1]}
				}
				if counts[key].Count++; child.IsError() {
					counts[key].Errors++
				}
			}
		}
	}
	var out []Calls
	for _, c := range counts {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Calls) int { return cmp.Or(cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Child, b.Child)) })
	return out
}

// TestCallsAreExact compares counts with naive ones: of traces whose parts came at different times and lie in several blocks and in memory, of parts
// of the time, and without those that are deleted.
func TestCallsAreExact(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	cfg := spool.Default()
	cfg.Dir, cfg.Retention, cfg.HeadBytes = t.TempDir(), 0, 64<<10
	store, err := spool.Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	traces, parts := randomTraces(r, 2000)
	r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	for len(parts) > 0 {
		n := min(len(parts), 1+r.IntN(200))
		appended(t, store, slices.Concat(parts[:n]...))
		parts = parts[n:]
	}
	if st, err := store.Stats(t.Context()); err != nil || st.Blocks < 2 {
		t.Fatalf("%+v, %v: not in several blocks", st, err)
	}
	engine := New(store)
	first, last := traces[0][0].Start, traces[len(traces)-1][0].Start
	check := func(rng trace.Range) {
		t.Helper()
		got, incomplete, err := engine.Calls(t.Context(), rng)
		if want := naive(traces, rng); err != nil || incomplete != "" || !slices.Equal(got, want) {
			t.Errorf("in %v, incomplete %q, %v:\n got %v\nwant %v", rng, incomplete, err, got, want)
		}
	}
	for range 10 {
		from := first + r.Uint64N(last-first)
		check(trace.Range{From: from, To: from + r.Uint64N(last-from+1)})
	}
	check(trace.Range{})
	gone := traces[:100]
	traces = traces[100:]
	var ids []trace.ID
	for _, spans := range gone {
		ids = append(ids, spans[0].TraceID)
	}
	if _, err := store.Delete(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	check(trace.Range{})
	late, cancel := context.WithTimeoutCause(t.Context(), 0, errCallsTime)
	defer cancel()
	if incomplete, err := engine.all(late, trace.Scan{}, 2, func(int, *trace.Trace) {}); incomplete == "" || err != nil {
		t.Errorf("without time it is complete: %q, %v", incomplete, err)
	}
}

func appended(t *testing.T, store *spool.Spool, spans []trace.Span) {
	t.Helper()
	var b trace.Batch
	if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	for {
		err := store.Append(t.Context(), &b)
		if err == nil {
			return
		}
		if trace.KindOf(err) != trace.Busy {
			t.Fatal(err)
		}
	}
}
