package query_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

func parsed(t testing.TB, text string) *traceql.Query {
	t.Helper()
	q, err := traceql.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return q
}

// tied adds traces of which many start together and last equally long, to heads and blocks, with parts that come later, and IDs that two spans share.
func tied(t *testing.T, s *spool.Spool, r *rand.Rand) {
	for i := range 120 {
		spans := randomSpans(r, 1+r.IntN(6))
		begin := now + r.Uint64N(8)*1e9
		for k := range spans {
			spans[k].Start = begin + r.Uint64N(3)*2e9*r.Uint64N(2)
			spans[k].End = spans[k].Start + r.Uint64N(4)*1e6
			if k > 0 && r.IntN(8) == 0 {
				spans[k].ID, spans[k].Start = spans[k-1].ID, spans[k-1].Start
			}
		}
		cut := r.IntN(len(spans) + 1)
		if r.IntN(4) > 0 {
			cut = 0
		}
		if rest := spans[cut:]; len(rest) > 0 {
			add(t, s, rest...)
		}
		if i%50 == 25 {
			fill(t, s, now+uint64(i), 1)
		}
		if cut > 0 {
			add(t, s, spans[:cut]...)
		}
	}
}

// TestPages reads what queries find in pages of any size, with many that are equal by the order: joined, they are the whole answer, and of spans those that a
// search for traces has, sorted.
func TestPages(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	s := store(t, 64<<10)
	tied(t, s, r)
	conds := []string{`{ resource.service.name != "filler" }`, "{ status = error }", "{ kind = server } >> { }", `{ resource.service.name = "cart" } && not exists { name = "op1" }`}
	orders := []string{"", "order by startTime asc", "order by duration", "order by duration asc", "order by trace:duration", "order by trace:duration asc"}
	for _, cond := range conds {
		for _, order := range orders {
			limit := 1 + r.IntN(40)
			span := trace.Range{From: now + r.Uint64N(4e9)}
			if r.IntN(2) == 0 {
				span.To = span.From + 1e9 + r.Uint64N(9e9)
			}
			samePages(t, s, pagesOf{cond, order, span, limit})
			if t.Failed() {
				t.Fatalf("seed %d: %s | %s in %v by %d", seed, cond, order, span, limit)
			}
		}
	}
}

type pagesOf struct {
	cond, order string
	span        trace.Range
	limit       int
}

func (p pagesOf) text(more string) string {
	text := p.cond + more
	if p.order != "" {
		text += " | " + p.order
	}
	return text
}

func samePages(t *testing.T, s *spool.Spool, p pagesOf) {
	whole := search(t, s, p.text(""), query.SearchRequest{Range: p.span, Limit: 2000, Spans: 1000})
	var ids []trace.ID
	for cursor := ""; ; {
		a := search(t, s, p.text(""), query.SearchRequest{Range: p.span, Limit: p.limit, Cursor: cursor})
		for i := range a.Traces {
			ids = append(ids, a.Traces[i].ID)
		}
		if cursor = a.Cursor; cursor == "" {
			break
		}
	}
	if !slices.EqualFunc(ids, whole.Traces, func(id trace.ID, f query.FoundTrace) bool { return id == f.ID }) {
		t.Errorf("%d traces page by page, %d at once", len(ids), len(whole.Traces))
	}
	var want, got []string
	for _, x := range flat(whole, parsed(t, p.text("")).Order, p.span) {
		want = append(want, fmt.Sprint(x.TraceID, x.ID, x.Kind, x.Name, x.Start, x.End))
	}
	e := query.New(s)
	for cursor := ""; ; {
		a, err := e.Spans(t.Context(), query.SpansRequest{Query: parsed(t, p.text(" | spans()")), Range: p.span, Limit: p.limit, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range a.Spans {
			got = append(got, fmt.Sprint(x.TraceID, x.ID, x.Kind, x.Name, x.Start, x.End))
		}
		if cursor = a.Cursor; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("spans page by page:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// flat returns the spans of traces in an order.
func flat(a *query.SearchAnswer, o *traceql.Order, r trace.Range) (all []query.SpanRow) {
	lengths := map[trace.ID]uint64{}
	for i := range a.Traces {
		f := &a.Traces[i]
		lengths[f.ID] = f.End - f.Start
		for _, x := range f.Sets[0].Spans {
			if r.Contains(x.Start) {
				all = append(all, query.SpanRow{TraceID: f.ID, FoundSpan: x})
			}
		}
	}
	if o == nil {
		o = &traceql.Order{}
	}
	key := map[traceql.OrderKey]func(query.SpanRow) uint64{
		traceql.ByStartTime:     func(x query.SpanRow) uint64 { return x.Start },
		traceql.ByDuration:      func(x query.SpanRow) uint64 { return x.End - x.Start },
		traceql.ByTraceDuration: func(x query.SpanRow) uint64 { return lengths[x.TraceID] },
	}[o.Key]
	slices.SortStableFunc(all, func(x, y query.SpanRow) int {
		first := cmp.Compare(key(y), key(x))
		if o.Asc {
			first = -first
		}
		// The spans of a trace are in order already, which decides between those of one ID.
		return cmp.Or(first, cmp.Compare(y.Start, x.Start), slices.Compare(x.TraceID[:], y.TraceID[:]), slices.Compare(x.ID[:], y.ID[:]))
	})
	return all
}
