package query_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

func search(t testing.TB, s *spool.Spool, text string, r query.SearchRequest) *query.SearchAnswer {
	t.Helper()
	q, err := traceql.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r.Query = q
	a, err := query.New(s).Search(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestSearchPages reads what a query finds in pages of all sizes and in all orders: joined, they are the whole answer.
func TestSearchPages(t *testing.T) {
	s := store(t, 64<<10)
	for i := range 60 {
		n := newSpan(byte(i), now+uint64(i/3)*1000, "a")
		n.End = n.Start + uint64(i%7)
		n.Attrs = []trace.Attr{{Key: "n", Value: trace.Int(int64(i))}}
		add(t, s, n)
	}
	for _, text := range []string{
		"{ span.n < 50 }", "{ span.n < 50 } | order by duration desc", "{ span.n < 50 } | order by duration asc",
		"{ span.n < 50 } | order by startTime asc", "{ span.n < 50 } | order by trace:duration desc", "{ } | order by startTime desc",
	} {
		whole := search(t, s, text, query.SearchRequest{Limit: 1000, Spans: 1})
		if whole.Cursor != "" || len(whole.Traces) < 50 {
			t.Fatalf("%s: %d traces, cursor %q", text, len(whole.Traces), whole.Cursor)
		}
		if a := search(t, s, text, query.SearchRequest{Limit: 7, NoCursor: true}); len(a.Traces) != 7 || a.Traces[6].ID != whole.Traces[6].ID {
			t.Errorf("%s: %d traces without a cursor; want the first 7", text, len(a.Traces))
		}
		for _, limit := range []int{1, 7, 49, 50, 51} {
			var ids []trace.ID
			for cursor := ""; ; {
				var told []trace.ID
				a := search(t, s, text, query.SearchRequest{Limit: limit, Cursor: cursor, Partial: func(f *query.FoundTrace) error {
					told = append(told, f.ID)
					return nil
				}})
				for i := range a.Traces {
					ids = append(ids, a.Traces[i].ID)
				}
				if !slices.Equal(told, ids[len(ids)-len(a.Traces):]) {
					t.Errorf("%s: the callback was told other traces than the answer has", text)
				}
				if cursor = a.Cursor; cursor == "" {
					break
				}
			}
			if !slices.EqualFunc(ids, whole.Traces, func(id trace.ID, f query.FoundTrace) bool { return id == f.ID }) {
				t.Errorf("%s: pages of %d are not the whole", text, limit)
			}
		}
	}
}

// TestBudgets ends queries that want too much: with an error that names what was used up, or with a part of the answer.
func TestBudgets(t *testing.T) {
	s := store(t, 1<<20)
	for i := range 50 {
		add(t, s, newSpan(byte(i), now+uint64(i), "a"))
	}
	parse := func(text string) *traceql.Query {
		q, err := traceql.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	gone, stop := context.WithCancel(t.Context())
	stop()
	for name, c := range map[string]struct {
		ctx    context.Context
		limits query.Limits
		want   string
		part   int // traces of a partial answer; -1: there is none
	}{
		"spans":     {t.Context(), query.Limits{Spans: 20}, "more than the 20 spans", 20},
		"time":      {late, query.DefaultLimits(), "took longer than the time", 0},
		"cancelled": {gone, query.DefaultLimits(), context.Canceled.Error(), -1},
	} {
		e := query.New(s)
		e.Limits = c.limits
		r := query.SearchRequest{Query: parse("{ }"), Limit: 100}
		if _, err := e.Search(c.ctx, r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		if c.part >= 0 {
			r.AllowPartial = true
			a, err := e.Search(c.ctx, r)
			if err != nil || len(a.Traces) != c.part || !strings.Contains(a.Report.Incomplete, c.want) {
				t.Errorf("%s, in part: %v, %+v", name, err, a)
			}
		}
		// By how spans hang together metrics go over whole traces, without by columns.
		for _, text := range []string{"{ } | rate()", "{ } > { } | rate()"} {
			m := query.SeriesRequest{Query: parse(text), Range: trace.Range{From: now - 1, To: now + 1000}}
			if _, err := e.Series(c.ctx, m); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v; want %q", name, text, err, c.want)
			}
			if m.AllowPartial = true; c.part >= 0 {
				if a, err := e.Series(c.ctx, m); err != nil || !strings.Contains(a.Report.Incomplete, c.want) {
					t.Errorf("%s, %s, in part: %v, %+v", name, text, err, a)
				}
			}
		}
	}
}

// TestBytesLimit ends what reads more of blocks than it may, by whichever way it is answered, also if nothing is found.
func TestBytesLimit(t *testing.T) {
	s := store(t, 64<<10)
	fill(t, s, now, 3)
	e := query.New(s)
	e.Limits.Bytes = 1
	const want = "more than the 1 bytes read"
	r := trace.Range{From: now - 1, To: now + 1_000_000}
	for _, text := range []string{`{ }`, `{ span.pad =~ ".*never.*" }`, `{ } | order by duration`, `{ } | spans()`, `{ } | rate()`, `{ } > { } | rate()`, `{ } | compare({ kind = server })`} {
		q := parsed(t, text)
		ask := func(partial bool) (rep query.Report, err error) {
			switch {
			case q.Spans:
				a, err := e.Spans(t.Context(), query.SpansRequest{Query: q, Range: r, Limit: 1000, AllowPartial: partial})
				if err == nil {
					rep = a.Report
				}
				return rep, err
			case q.Metrics != nil:
				a, err := e.Series(t.Context(), query.SeriesRequest{Query: q, Range: r, AllowPartial: partial})
				if err == nil {
					rep = a.Report
				}
				return rep, err
			}
			a, err := e.Search(t.Context(), query.SearchRequest{Query: q, Range: r, Limit: 1000, AllowPartial: partial})
			if err == nil {
				rep = a.Report
			}
			return rep, err
		}
		if _, err := ask(false); trace.KindOf(err) != trace.TooLarge || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
		if rep, err := ask(true); err != nil || !strings.Contains(rep.Incomplete, want) || rep.Bytes <= 1 {
			t.Errorf("%s, in part: %v, %+v", text, err, rep)
		}
	}
}

// TestPartialInOrder ends searches that want another order than the newest first: the part that there is keeps to the limit, in order.
func TestPartialInOrder(t *testing.T) {
	s := store(t, 1<<20)
	for i := range 50 {
		n := newSpan(byte(i), now+uint64(i), "a")
		n.End = n.Start + uint64(i)
		add(t, s, n)
	}
	q, err := traceql.Parse("{ } | order by duration")
	if err != nil {
		t.Fatal(err)
	}
	e := query.New(s)
	e.Limits.Spans = 20
	var told int
	a, err := e.Search(t.Context(), query.SearchRequest{Query: q, Limit: 5, AllowPartial: true, Partial: func(*query.FoundTrace) error {
		told++
		return nil
	}})
	if err != nil || len(a.Traces) != 5 || told != 5 || a.Report.Incomplete == "" {
		t.Fatalf("%v, %d traces, %d of them told of; want 5", err, len(a.Traces), told)
	}
	if !slices.IsSortedFunc(a.Traces, func(x, y query.FoundTrace) int { return int(y.Duration() - x.Duration()) }) {
		t.Error("they are not in order")
	}
}

// TestPartialStops ends a search whose caller wants no more.
func TestPartialStops(t *testing.T) {
	s := store(t, 1<<20)
	for i := range 5 {
		add(t, s, newSpan(byte(i), now+uint64(i), "a"))
	}
	enough := errors.New("enough")
	q, err := traceql.Parse("{ }")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	_, err = query.New(s).Search(t.Context(), query.SearchRequest{Query: q, Limit: 5, Partial: func(*query.FoundTrace) error {
		if n++; n == 2 {
			return enough
		}
		return nil
	}})
	if !errors.Is(err, enough) || n != 2 {
		t.Errorf("%v after %d", err, n)
	}
}
