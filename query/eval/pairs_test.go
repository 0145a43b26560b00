package eval

import (
	"strings"
	"testing"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// TestPairs calculates with each pair of two fields' values: of many events they are not made, and the trace says so.
func TestPairs(t *testing.T) {
	for _, c := range []struct {
		query     string
		events    int
		found     bool
		multiples bool
		tooMany   bool
	}{
		{"{ event.n + event.n = 254 }", 128, true, true, false},
		{"{ event.n + event.n = 254 }", 129, false, true, true},
		{"{ event.n + event.n + event.n + event.n = 4 }", 11, true, true, false},
		{"{ event.n + event.n + event.n + event.n = 4 }", 128, false, true, true},
		{"{ !(event.n + event.n + event.n < 0) }", 200, false, true, true},
		{"{ -(event.n + 1) + 1 = -199 }", 200, true, false, false},
		{"{ event.n = 199 }", 200, true, false, false},
	} {
		q, err := traceql.Parse(c.query)
		if err != nil {
			t.Fatal(err)
		}
		if got := Multiplies(q.Search.Stages[0].(*traceql.Filter).Cond); got != c.multiples {
			t.Errorf("%s: Multiplies is %v", c.query, got)
		}
		span := trace.Span{Resource: &trace.Resource{}, Scope: &trace.Scope{}}
		for i := range c.events {
			span.Events = append(span.Events, trace.Event{Attrs: []trace.Attr{{Key: "n", Value: trace.Int(int64(i))}}})
		}
		x := NewContext(&trace.Trace{Spans: []trace.Span{span}})
		sets := Build(q.Search).Eval(x)
		if err := x.Err(); (err != nil) != c.tooMany || err != nil && (trace.KindOf(err) != trace.TooLarge || !strings.Contains(err.Error(), "each pair of")) {
			t.Errorf("%s of %d events: %v", c.query, c.events, err)
		} else if !c.tooMany && (len(sets) > 0) != c.found {
			t.Errorf("%s of %d events: found %v", c.query, c.events, sets)
		}
		if x.Reset(x.Trace); x.Err() != nil {
			t.Errorf("of the next trace: %v", x.Err())
		}
	}
}
