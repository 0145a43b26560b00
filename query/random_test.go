package query_test

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

var (
	queries  = flag.Int("queries", 1000, "how many random queries TestRandomQueries asks")
	seedFlag = flag.Uint64("seed", 0, "where TestRandomQueries begins; 0: anywhere")
)

// naive is a store that knows no conditions: it yields all traces, whole, in order.
type naive struct {
	query.Store
	traces []*trace.Trace
}

func (n *naive) Scan(_ context.Context, sc trace.Scan, _ *trace.ScanReport) iter.Seq2[*trace.Trace, error] {
	return func(yield func(*trace.Trace, error) bool) {
		for _, t := range n.traces {
			if !sc.Before.IsZero() && !sc.Before.Precedes(query.PositionOf(t)) {
				continue
			}
			if !yield(t, nil) {
				return
			}
		}
	}
}

func (n *naive) Tables(_ context.Context, _ trace.Scan, _ *trace.ScanReport, v trace.Visitor) error {
	for _, t := range n.traces {
		if err := v.Trace(0, t); err != nil {
			return err
		}
	}
	return nil
}

// TestRandomQueries asks random queries of a spool with random spans, partly in blocks and partly in memory, and of a store that knows no
// conditions: what the planner asks the spool for loses nothing.
func TestRandomQueries(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("go test ./query -run TestRandomQueries -seed %d -queries %d", seed, *queries)
	g := &maker{Rand: rand.New(rand.NewPCG(seed, 0))}
	const perStore = 1000
	var fast, slow *query.Engine
	found := 0
	for i := range *queries {
		if i%perStore == 0 {
			fast, slow = g.stores(t)
		}
		q := g.query()
		if err := traceql.Check(q); err != nil {
			continue // two constants are compared, and the like
		}
		again, err := traceql.Parse(q.String())
		if err != nil {
			t.Fatalf("%s\nis no query that can be read back: %v", q, err)
		}
		q = again
		r := g.timeRange()
		if q.Metrics != nil {
			found += sameSeries(t, fast, slow, query.SeriesRequest{Query: q, Range: r, Step: time.Duration(g.IntN(3)) * 7 * time.Microsecond, Exemplars: g.IntN(5)})
		} else if q.Spans {
			found += sameSpans(t, fast, slow, query.SpansRequest{Query: q, Range: r, Limit: 1 + g.IntN(pick(g, 5, 50, 500))})
		} else {
			found += sameTraces(t, fast, slow, query.SearchRequest{Query: q, Range: r, Limit: 1 + g.IntN(200), Spans: g.IntN(20)})
		}
		if t.Failed() {
			t.Fatalf("seed %d, query %d", seed, i)
		}
	}
	if found < *queries/6 {
		t.Errorf("of %d queries only %d found something", *queries, found)
	}
}

// lines writes an answer as text: cmp.Diff of the answers would take ten times longer than asking.
func lines(found []query.FoundTrace, made []query.Series) []string {
	var out []string
	add := func(b []byte) { out = append(out, string(b)) }
	for i := range found {
		f := &found[i]
		add(fmt.Appendf(nil, "%s %q %q %v %d %d %d %d %v", f.ID, f.RootService, f.RootName, f.Rootless, f.Start, f.End, f.Spans, f.Errors, f.Services))
		for _, set := range f.Sets {
			add(fmt.Appendf(nil, "  %d%s", set.Matched, labels(set.By, " by ")))
			for k := range set.Spans {
				x := &set.Spans[k]
				b := fmt.Appendf(nil, "    %s %s %q %q %d %d %d %d", x.ID, x.Parent, x.Name, x.Service, x.Kind, x.Status, x.Start, x.End)
				for _, v := range x.Attrs {
					b = fmt.Appendf(b, " %s=%q", v.Field, v.Value.Key())
				}
				add(b)
			}
		}
	}
	for _, s := range made {
		b := []byte(labels(s.Labels, ""))
		for _, l := range s.Labels {
			b = append(b, l.Value.Key()...)
		}
		add(fmt.Appendf(b, " %v %v", s.Samples, s.Exemplars))
	}
	return out
}

// sameTraces compares answers, page by page.
func sameTraces(t *testing.T, fast, slow *query.Engine, r query.SearchRequest) (found int) {
	for range 3 {
		got, err := fast.Search(t.Context(), r)
		want, err2 := slow.Search(t.Context(), r)
		if err != nil || err2 != nil {
			t.Fatalf("%s: %v, %v", r.Query, err, err2)
		}
		if a, b := lines(want.Traces, nil), lines(got.Traces, nil); !slices.Equal(a, b) || want.Cursor != got.Cursor {
			d := cmp.Diff(a, b)
			t.Errorf("%s, in %v, limit %d (- is right):\n%s", r.Query, r.Range, r.Limit, d)
		}
		if len(got.Traces) > 0 {
			found = 1
		}
		if r.Cursor = got.Cursor; r.Cursor == "" {
			break
		}
	}
	return found
}

// sameSpans compares all pages of an answer with one page of all.
func sameSpans(t *testing.T, fast, slow *query.Engine, r query.SpansRequest) (found int) {
	whole := r
	whole.Limit = 10_000
	want, err := slow.Spans(t.Context(), whole)
	if err != nil {
		t.Fatalf("%s: %v", r.Query, err)
	}
	var got []query.SpanRow
	for range 2 + len(want.Spans)/r.Limit {
		a, err := fast.Spans(t.Context(), r)
		if err != nil {
			t.Fatalf("%s: %v", r.Query, err)
		}
		got = append(got, a.Spans...)
		if r.Cursor = a.Cursor; r.Cursor == "" {
			break
		}
	}
	if a, b := rows(want.Spans), rows(got); !slices.Equal(a, b) || r.Cursor != "" {
		t.Errorf("%s, in %v, pages of %d, cursor %q (- is right):\n%s", r.Query, r.Range, r.Limit, r.Cursor, cmp.Diff(a, b))
	}
	return min(1, len(got))
}

func rows(spans []query.SpanRow) (out []string) {
	for i := range spans {
		x := &spans[i]
		b := fmt.Appendf(nil, "%s %s %s %q %q %d %d %d %d", x.TraceID, x.ID, x.Parent, x.Name, x.Service, x.Kind, x.Status, x.Start, x.End)
		for _, v := range x.Attrs {
			b = fmt.Appendf(b, " %s=%q", v.Field, v.Value.Key())
		}
		out = append(out, string(b))
	}
	return out
}

func sameSeries(t *testing.T, fast, slow *query.Engine, r query.SeriesRequest) (found int) {
	got, err := fast.Series(t.Context(), r)
	want, err2 := slow.Series(t.Context(), r)
	if err != nil || err2 != nil {
		if fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Errorf("%s: %v, %v", r.Query, err, err2)
		}
		return 0
	}
	if a, b := lines(nil, want.Series), lines(nil, got.Series); !slices.Equal(a, b) {
		d := cmp.Diff(a, b)
		t.Errorf("%s, in %v, step %s (- is right):\n%s", r.Query, r.Range, r.Step, d)
	}
	return min(1, len(got.Series))
}

// maker makes random spans and queries, which often meet.
type maker struct {
	*rand.Rand
	start uint64
	depth int
}

const randomTraces = 80

func (g *maker) timeRange() trace.Range {
	switch from := g.start + g.Uint64N(40_000); g.IntN(4) {
	case 0:
		return trace.Range{From: g.start, To: g.start + 1_000_000}
	case 1: // traces lie across its ends
		return trace.Range{From: from + 20_000, To: from + 20_000 + g.Uint64N(20_000)}
	default:
		return trace.Range{From: from, To: g.start + 60_000 + g.Uint64N(60_000)}
	}
}

func pick[T any](g *maker, of ...T) T { return of[g.IntN(len(of))] }

// stores returns engines over the same random spans.
func (g *maker) stores(t *testing.T) (fast, slow *query.Engine) {
	g.start = fileBase
	s := store(t, 64<<10)
	n := &naive{Store: s}
	var parts [][]trace.Span
	for i := range randomTraces {
		tr := g.trace(byte(i))
		n.traces = append(n.traces, tr)
		cut := g.IntN(len(tr.Spans) + 1)
		if g.IntN(3) > 0 {
			cut = 0
		}
		for _, p := range [][]trace.Span{tr.Spans[:cut], tr.Spans[cut:]} {
			if len(p) > 0 {
				parts = append(parts, p)
			}
		}
	}
	slices.SortFunc(n.traces, func(a, b *trace.Trace) int {
		if query.PositionOf(a).Precedes(query.PositionOf(b)) {
			return -1
		}
		return 1
	})
	g.Shuffle(len(parts), func(i, k int) { parts[i], parts[k] = parts[k], parts[i] })
	for _, p := range parts {
		add(t, s, p...)
	}
	blocks(t, s)
	return query.New(s), query.New(n)
}

// blocks waits until what is to be cut is cut.
func blocks(t *testing.T, s *spool.Spool) {
	for range 1000 {
		st, err := s.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if st.Blocks > 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (g *maker) trace(n byte) *trace.Trace {
	t := &trace.Trace{ID: trace.ID{byte(g.IntN(4)), 14: n, 15: 7}}
	begin := g.start + g.Uint64N(100_000)
	for i := range 1 + g.IntN(12) {
		s := trace.Span{
			TraceID: t.ID, ID: trace.SpanID{n, 7: byte(i + 1)}, Name: g.name(), Kind: trace.Kind(g.IntN(6)), Status: trace.StatusCode(g.IntN(3)),
			Resource: &trace.Resource{Attrs: g.attrs(2)}, Scope: &trace.Scope{Name: pick(g, "", "lib", "x"), Version: pick(g, "", "1")},
		}
		s.Start = begin + g.Uint64N(20_000)
		s.End = s.Start + g.Uint64N(10_000)
		s.Attrs = g.attrs(4)
		s.Attrs = append(s.Attrs, trace.Attr{Key: "pad", Value: trace.String(fmt.Sprintf("%0*d", 40+g.IntN(200), g.Uint64()))})
		if i > 0 {
			s.Parent = t.Spans[g.IntN(i)].ID
		}
		g.disturb(&s, t.Spans)
		if service := g.service(); service.Type() != trace.TypeEmpty {
			s.Resource.Attrs = append([]trace.Attr{{Key: "service.name", Value: service}}, s.Resource.Attrs...)
		}
		t.Spans = append(t.Spans, s)
	}
	return t
}

// disturb makes a span one of those that real traces have, too.
func (g *maker) disturb(s *trace.Span, before []trace.Span) {
	switch g.IntN(24) {
	case 0:
		s.Parent = trace.SpanID{1, 2, 3}
	case 1:
		s.Parent = trace.SpanID{}
	case 2:
		s.Parent = trace.SpanID{s.ID[0], 7: s.ID[7] + 1} // of the next one: perhaps a circle
	case 3:
		if len(before) > 0 {
			s.ID = before[len(before)-1].ID
		}
	case 4:
		s.Parent = s.ID
	case 5:
		s.End = s.Start - 5
	}
	for range g.IntN(5) / 2 {
		s.Events = append(s.Events, trace.Event{Time: s.Start + g.Uint64N(5000), Name: g.name(), Attrs: g.attrs(1)})
	}
	if g.IntN(6) == 0 {
		s.Links = append(s.Links, trace.Link{TraceID: trace.ID{15: byte(g.IntN(3) + 1)}, SpanID: trace.SpanID{7: 5}, Attrs: g.attrs(1)})
	}
	if s.Status == trace.StatusError {
		s.StatusMessage = g.text()
	}
}

func (g *maker) name() string { return pick(g, "GET", "POST", "SELECT", "pay", "") }

func (g *maker) text() string { return pick(g, "a", "b", "ab", "", "5", "true", "1.5") }

func (g *maker) service() trace.Value {
	return pick(g, trace.String("shop"), trace.String("db"), trace.String("pay"), trace.String(""), trace.Int(5), trace.Value{}, trace.Array(trace.String("db")))
}

func (g *maker) key() string { return pick(g, "k", "n", "list", "service.name", "http.status_code") }

func (g *maker) attrs(most int) []trace.Attr {
	var attrs []trace.Attr
	for range g.IntN(most + 1) {
		k := g.key()
		if k == "service.name" && g.IntN(4) > 0 {
			continue
		}
		attrs = append(attrs, trace.Attr{Key: k, Value: g.value(g.IntN(9))})
	}
	return attrs
}

func (g *maker) value(what int) trace.Value {
	switch what {
	case 0, 1:
		return trace.String(g.text())
	case 2, 3:
		return trace.Int(int64(g.IntN(6)))
	case 4:
		return trace.Double(float64(g.IntN(8)) / 2)
	case 5:
		return trace.Bool(g.IntN(2) == 0)
	case 6:
		return trace.Array(g.value(g.IntN(6)), g.value(g.IntN(6)))
	case 7:
		return pick(g, trace.Value{}, trace.Bytes([]byte{5}), trace.Map(trace.Attr{Key: "k", Value: trace.Int(1)}))
	}
	return trace.String("200")
}
