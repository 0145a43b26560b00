package eval

import (
	"github.com/clewtrace/clew/query/traceql"
)

// scalar makes one number of a set of spans, or Nil.
type scalar func(c *Context, set Set) Value

// scalarFilter lets the sets pass for which a comparison holds.
func (b *builder) scalarFilter(n *traceql.ScalarFilter) stage {
	x, y := b.scalar(n.X), b.scalar(n.Y)
	return func(c *Context, in []Set) (out []Set) {
		for _, set := range in {
			if c.stopped() {
				return nil
			}
			if Compare(n.Op, x(c, set), y(c, set)) {
				out = append(out, set)
			}
		}
		return out
	}
}

// firstFilter is a comparison at the beginning of a pipeline. With one pipeline in it, as in ({ } | by(name) | count()) > 2, that
// pipeline's sets are compared one by one, as in { } | by(name) | count() > 2. With several, what is left of all of them passes.
func (b *builder) firstFilter(n *traceql.ScalarFilter) []stage {
	xs, ys := pipelinesIn(n.X), pipelinesIn(n.Y)
	if len(xs)+len(ys) == 1 {
		x, y := n.X, n.Y
		p, ok := x.(*traceql.ScalarPipeline)
		if ok {
			x = p.Value
		} else if p, ok = y.(*traceql.ScalarPipeline); ok {
			y = p.Value
		}
		if ok {
			return append(b.pipeline(p.Pipeline), b.scalarFilter(&traceql.ScalarFilter{At: n.At, Op: n.Op, X: x, Y: y}))
		}
	}
	filter := b.scalarFilter(n)
	if len(xs)+len(ys) == 0 {
		return []stage{filter}
	}
	var ends [][]stage
	for _, p := range append(xs, ys...) {
		ends = append(ends, (&builder{}).pipeline(p.Pipeline))
	}
	return []stage{filter, func(c *Context, _ []Set) []Set {
		var all []int32
		for _, stages := range ends {
			all = union(all, together(run(stages, c)))
		}
		if len(all) == 0 {
			return nil
		}
		return []Set{{Spans: all}}
	}}
}

// pipelinesIn returns the pipelines in a scalar, from left to right.
func pipelinesIn(s traceql.Scalar) []*traceql.ScalarPipeline {
	switch s := s.(type) {
	case *traceql.ScalarPipeline:
		return []*traceql.ScalarPipeline{s}
	case *traceql.ScalarOp:
		return append(pipelinesIn(s.X), pipelinesIn(s.Y)...)
	}
	return nil
}

func (b *builder) scalar(s traceql.Scalar) scalar {
	switch s := s.(type) {
	case *traceql.Aggregate:
		return b.aggregate(s)
	case *traceql.ScalarOp:
		x, y := b.scalar(s.X), b.scalar(s.Y)
		return func(c *Context, set Set) Value { return Calculate(s.Op, x(c, set), y(c, set)) }
	case *traceql.ScalarPipeline:
		stages, value := b.pipeline(s.Pipeline), b.scalar(s.Value)
		return func(c *Context, _ Set) Value { return value(c, Set{Spans: together(run(stages, c))}) }
	}
	v := Const(s.(*traceql.Const))
	return func(*Context, Set) Value { return v }
}

// aggregate makes one number of an expression on each span. Spans on which it is no number do not take part; of none, min, max and avg are nil.
func (b *builder) aggregate(n *traceql.Aggregate) scalar {
	if n.Func == traceql.Count {
		return func(_ *Context, set Set) Value { return integer(int64(len(set.Spans))) }
	}
	b.note(n.Of)
	of := operandOf(n.Of)
	return func(c *Context, set Set) Value {
		t := tally{}
		var room [8]Value
		for _, i := range set.Spans {
			for _, v := range of.all(c.At(int(i)), room[:0]) {
				t.add(v)
			}
		}
		return t.result(n.Func)
	}
}

// tally counts numbers.
type tally struct {
	n             int64
	sum, min, max Value
}

func (t *tally) add(v Value) {
	if _, ok := v.Float(); !ok {
		return
	}
	if t.n++; t.n == 1 {
		t.sum, t.min, t.max = v, v, v
		return
	}
	t.sum = Calculate(traceql.OpAdd, t.sum, v)
	if Compare(traceql.OpLess, v, t.min) {
		t.min = v
	}
	if Compare(traceql.OpGreater, v, t.max) {
		t.max = v
	}
}

func (t *tally) result(f traceql.AggregateFunc) Value {
	if t.n == 0 {
		if f == traceql.Sum {
			return integer(0)
		}
		return Nil
	}
	switch f {
	case traceql.Min:
		return t.min
	case traceql.Max:
		return t.max
	case traceql.Sum:
		return t.sum
	}
	if t.sum.Type == traceql.TypeInt { // two integers would yield an integer
		return Calculate(traceql.OpDiv, t.sum, float(float64(t.n)))
	}
	return Calculate(traceql.OpDiv, t.sum, integer(t.n))
}
