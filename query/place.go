package query

import (
	"fmt"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// place is a trace's place in the order of an answer, and so in its cursor: by a key, and of those that have the same, by trace.Position.
type place struct {
	Key      uint64
	Position trace.Position
}

// before reports whether p comes before q, with the larger key, or, ascending, the smaller one.
func (p place) before(q place, asc bool) bool {
	if p.Key != q.Key {
		return (p.Key < q.Key) == asc
	}
	return p.Position.Precedes(q.Position)
}

// placeOf returns the place of a trace in which sets were found.
func (s *search) placeOf(c *eval.Context, sets []eval.Set) place {
	first, last := c.Bounds()
	p := place{Position: trace.Position{Start: first, ID: c.Trace.ID}}
	if s.newestFirst() {
		return p
	}
	switch s.Query.Order.Key {
	case traceql.ByStartTime:
		p.Key = first
	case traceql.ByTraceDuration:
		p.Key = last - first
	case traceql.ByDuration:
		for _, set := range sets {
			for _, i := range set.Spans {
				p.Key = max(p.Key, uint64(c.Trace.Spans[i].Duration()))
			}
		}
	}
	return p
}

// sumOfQuery returns the sum of a query and its range.
func sumOfQuery(q *traceql.Query, r trace.Range) questionSum {
	return sumOf(fmt.Appendf(nil, "%s %d %d", q, r.From, r.To))
}
