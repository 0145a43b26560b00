package query_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

func series(t testing.TB, s *spool.Spool, text string, r trace.Range) *query.SeriesAnswer {
	t.Helper()
	q, err := traceql.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	a, err := query.New(s).Series(t.Context(), query.SeriesRequest{Query: q, Range: r, Step: time.Second, Exemplars: 5})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return a
}

// randomSpans makes spans of one trace.
func randomSpans(r *rand.Rand, n int) []trace.Span {
	spans := make([]trace.Span, n)
	for i := range spans {
		s := newSpan(0, now+r.Uint64N(20e9), []string{"cart", "shop", "db"}[r.IntN(3)])
		s.TraceID, s.ID = trace.ID{1}, trace.SpanID{7: byte(i + 1)}
		for k := 4; k < 16; k++ {
			s.TraceID[k] = byte(r.Uint32())
		}
		if i > 0 {
			s.TraceID, s.Parent = spans[0].TraceID, spans[r.IntN(i)].ID
		}
		s.End = s.Start + r.Uint64N(5e6)
		s.Name, s.Kind, s.Status = fmt.Sprint("op", r.IntN(4)), trace.Kind(r.IntN(6)), trace.StatusCode(r.IntN(3))
		s.Resource.Attrs = append(s.Resource.Attrs, trace.Attr{Key: "host", Value: trace.Int(r.Int64N(3))})
		for range r.IntN(4) {
			v := []trace.Value{trace.String("red"), trace.Int(r.Int64N(5)), trace.Double(r.Float64()), trace.Bool(true), trace.String(fmt.Sprint(r.IntN(100)))}[r.IntN(5)]
			s.Attrs = append(s.Attrs, trace.Attr{Key: []string{"color", "size", "host"}[r.IntN(3)], Value: v})
		}
		if r.IntN(10) == 0 {
			s.Events = []trace.Event{{Time: s.Start, Name: "retry"}}
		}
		spans[i] = s
	}
	return spans
}

// TestByColumn: what is counted by columns is what is counted trace by trace, wherever the spans lie.
func TestByColumn(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	s := store(t, 64<<10)
	for i := range 240 {
		spans := randomSpans(r, 1+r.IntN(8))
		add(t, s, spans...)
		if r.IntN(10) == 0 { // a part comes later, or once more
			add(t, s, spans[len(spans)/2:]...)
		}
		if i%120 == 60 {
			fill(t, s, now+uint64(i), 1)
		}
	}
	conds := []string{
		"true", `resource.service.name = "cart"`, `.color = "red"`, `kind = server && status = error`, `duration > 2ms`, `.size > 2 || name = "op1"`, `.host = 1`, `event:name = "retry"`,
		`!(.color != nil)`, `name =~ "op[12]" && duration < 3ms`, `span.color = "3"`, `nestedSetParent < 0`, `rootName = "op2"`, `resource.service.name != "filler"`,
	}
	funcs := []string{
		"rate()", "count_over_time()", "min_over_time(duration)", "max_over_time(span.size)", "avg_over_time(duration)", "sum_over_time(.size)", "quantile_over_time(duration, 0.5, 0.99)",
		"histogram_over_time(duration)", `compare({ status = error })`, `compare({ rootName = "op1" || .size > 2 }, 5)`,
	}
	groups := []string{"", " by(resource.service.name)", " by(name, status)", " by(.color)", " by(.host, kind)", " by(span.size, .color, name)", " by(rootServiceName)"}
	for range 80 {
		cond, f, by := conds[r.IntN(len(conds))], funcs[r.IntN(len(funcs))], groups[r.IntN(len(groups))]
		if strings.HasPrefix(f, "compare") {
			by = ""
		}
		from := now + r.Uint64N(10e9)
		span := trace.Range{From: from, To: from + 1e9 + r.Uint64N(10e9)}
		got := series(t, s, fmt.Sprintf("{ %s } | %s%s", cond, f, by), span)
		want := series(t, s, fmt.Sprintf("{ (%s) && childCount >= 0 } | %s%s", cond, f, by), span) // which wants whole traces
		if a, b := fmt.Sprint(rounded(got)), fmt.Sprint(rounded(want)); a != b {
			t.Fatalf("seed %d: { %s } | %s%s:\n%s; want\n%s", seed, cond, f, by, a, b)
		}
	}
}

// late is a store whose visitors are called a second late.
type late struct{ *spool.Spool }

func (l late) Tables(ctx context.Context, sc trace.Scan, rep *trace.ScanReport, v trace.Visitor) error {
	return l.Spool.Tables(ctx, sc, rep, lateVisitor{v})
}

type lateVisitor struct{ trace.Visitor }

func (v lateVisitor) Trace(worker int, t *trace.Trace) error {
	time.Sleep(time.Second)
	return v.Visitor.Trace(worker, t)
}

// TestPartialSeries: of a question that takes long, what was counted so far is handed on, and counts on.
func TestPartialSeries(t *testing.T) {
	s := store(t, 1<<20)
	for i := range uint64(3) {
		add(t, s, randomSpans(rand.New(rand.NewPCG(1, i)), 4)...)
	}
	q, err := traceql.Parse("{ } | count_over_time() by(name)")
	if err != nil {
		t.Fatal(err)
	}
	total := func(a *query.SeriesAnswer) (n float64) {
		for _, s := range a.Series {
			for _, x := range s.Samples {
				n += x.Value
			}
		}
		return n
	}
	var parts []float64
	a, err := query.New(late{s}).Series(t.Context(), query.SeriesRequest{Query: q, Range: trace.Range{From: now, To: now + 20e9}, Step: time.Second, Partial: func(a *query.SeriesAnswer) error {
		parts = append(parts, total(a))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) == 0 || !slices.IsSorted(parts) || parts[0] == 0 || parts[len(parts)-1] > total(a) {
		t.Errorf("parts of %v, and %v at last", parts, total(a))
	}
}

// rounded returns series as texts, with numbers that do not tell in which order they were added.
func rounded(a *query.SeriesAnswer) (out []string) {
	for _, s := range a.Series {
		line := fmt.Sprint(s.Labels, len(s.Exemplars))
		for _, x := range s.Samples {
			line += fmt.Sprintf(" %d:%.6g", x.Time, x.Value+math.Copysign(1e-12, x.Value))
		}
		out = append(out, line)
	}
	return out
}
