package eval_test

import (
	"slices"
	"testing"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// small returns a trace in which much is unusual.
func small() *trace.Trace {
	res, scope := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("a")}}}, &trace.Scope{Name: "lib"}
	t := &trace.Trace{ID: trace.ID{1}}
	for i := range 6 {
		s := trace.Span{
			TraceID: t.ID, ID: trace.SpanID{7: byte(i)}, Parent: trace.SpanID{7: byte(i / 2)}, Name: string(rune('a' + i)), Kind: trace.Kind(i * 40), Status: trace.StatusCode(i * 50),
			Start: uint64(i) << 60, End: uint64(6-i) << 61, Resource: res, Scope: scope,
			Attrs: []trace.Attr{{Key: "n", Value: trace.Int(int64(i) << 61)}, {Key: "list", Value: trace.Array(trace.Double(1.5), trace.Array(), trace.String("x"))}},
		}
		if i == 3 {
			s.Events = []trace.Event{{Name: "e", Time: 1<<64 - 1}, {Attrs: []trace.Attr{{Key: "n", Value: trace.Bytes([]byte{1})}}}}
			s.Links = []trace.Link{{TraceID: trace.ID{2}}}
		}
		t.Spans = append(t.Spans, s)
	}
	return t
}

// FuzzEval evaluates whatever is a query: it selects spans of the trace, in order, none twice in a set, and the same each time.
func FuzzEval(f *testing.F) {
	for _, s := range []string{
		`{ }`, `{ span.n * 2 > 1 || span.list = "x" } >> { nestedSetParent < 0 }`, `{ !(event:name = "e") } | by(kind) | count() > 1 | coalesce()`,
		`not exists { duration > 1s } && { childCount > 0 }`, `({ } | max(span.n)) / ({ } | min(duration)) >= 1`, `{ -span.n ^ 2 % 3 = 1 } &~ { } | select(link:traceID)`,
		`{ event:timeSinceStart - 1 < 5 && span.n != [1, 2] } !<< { name =~ "a|b" }`, `{ parent:duration = 1 } || { trace:duration > 5ms } | avg(span.n) != 3`,
	} {
		f.Add(s)
	}
	t1 := small()
	f.Fuzz(func(t *testing.T, text string) {
		q, err := traceql.Parse(text)
		if err != nil || q.Search == nil {
			return
		}
		p := eval.Build(q.Search)
		sets := p.Eval(eval.NewContext(t1))
		again := p.Eval(eval.NewContext(t1))
		if len(sets) != len(again) {
			t.Fatalf("%d sets, then %d", len(sets), len(again))
		}
		for i, s := range sets {
			if len(s.Spans) == 0 || !slices.IsSorted(s.Spans) || len(slices.Compact(slices.Clone(s.Spans))) != len(s.Spans) || int(s.Spans[len(s.Spans)-1]) >= len(t1.Spans) {
				t.Fatalf("set %d is %v", i, s.Spans)
			}
			if !slices.Equal(s.Spans, again[i].Spans) {
				t.Fatalf("set %d is %v, then %v", i, s.Spans, again[i].Spans)
			}
		}
	})
}
