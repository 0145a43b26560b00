package eval_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// TestCompare compares values across types.
func TestCompare(t *testing.T) {
	i := func(n int64) eval.Value { return eval.Of(trace.Int(n)) }
	f := func(x float64) eval.Value { return eval.Of(trace.Double(x)) }
	s := func(x string) eval.Value { return eval.Of(trace.String(x)) }
	list := eval.Of(trace.Array(trace.String("a"), trace.Int(3)))
	for _, c := range []struct {
		a    eval.Value
		op   traceql.Op
		b    eval.Value
		want bool
	}{
		{i(200), traceql.OpEqual, i(200), true},
		{i(200), traceql.OpEqual, s("200"), false},
		{i(200), traceql.OpNotEqual, s("200"), true},
		{i(200), traceql.OpEqual, f(200), true},
		{f(200.5), traceql.OpGreater, i(200), true},
		{i(1<<53 + 1), traceql.OpEqual, f(1 << 53), false},
		{i(1<<63 - 1), traceql.OpLess, f(1 << 63), true},
		{s("b"), traceql.OpGreaterEqual, s("a"), true},
		{eval.Nil, traceql.OpEqual, eval.Nil, false},
		{eval.Nil, traceql.OpNotEqual, s("a"), true},
		{eval.Nil, traceql.OpLess, i(1), false},
		{list, traceql.OpEqual, s("a"), true},
		{list, traceql.OpNotEqual, s("a"), false},
		{list, traceql.OpNotEqual, s("b"), true},
		{list, traceql.OpGreater, i(2), true},
		{list, traceql.OpEqual, list, true},
	} {
		if got := eval.Compare(c.op, c.a, c.b); got != c.want {
			t.Errorf("%s %s %s is %v", c.a.Text(), c.op, c.b.Text(), got)
		}
	}
}

// TestStop: what takes long on one trace, of which there are many sets, ends when it is told to.
func TestStop(t *testing.T) {
	one := &trace.Trace{}
	for i := range 100 {
		s := trace.Span{TraceID: trace.ID{1}, ID: trace.SpanID{byte(i), 1}, Name: fmt.Sprint(i), Resource: &trace.Resource{}, Scope: &trace.Scope{}}
		one.Spans = append(one.Spans, s)
	}
	for _, text := range []string{"{ } | by(name) | { } !> { }", "{ } | by(name) | ({ } | count()) > 1", "{ } | by(name) | by(name)", "{ } | by(name) | coalesce()"} {
		q, err := traceql.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		asked, enough := 0, errors.New("enough")
		c := &eval.Context{Stop: func() error {
			if asked++; asked > 3 {
				return enough
			}
			return nil
		}}
		c.Reset(one)
		sets := eval.Build(q.Search).Eval(c)
		if want := text != "{ } | by(name) | coalesce()"; want != errors.Is(c.Err(), enough) || want != (len(sets) == 0) || asked > 4 {
			t.Errorf("%s: %d sets, %v, asked %d times", text, len(sets), c.Err(), asked)
		}
	}
}
