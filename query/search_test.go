package query_test

import (
	"slices"
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
