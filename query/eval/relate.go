package eval

import "github.com/clewtrace/clew/query/traceql"

// marks says of each row of a tree whether its span is in a set.
type marks []bool

func (c *Context) mark(spans []int32) marks {
	m := make(marks, len(c.arrange().Rows))
	for _, i := range spans {
		m[c.rows[i]] = true
	}
	return m
}

// related returns, of the spans in ys, those to which a span of xs is as r says: X r Y. It takes one walk over the tree's rows.
// Rows are in pre-order, so what is below a row are the rows that follow it, as many as its size says.
func (c *Context) related(r traceql.Relation, xs, ys []int32) marks {
	x, y := c.mark(xs), c.mark(ys)
	switch r {
	case traceql.Child:
		return c.childrenOf(x, y)
	case traceql.Parent:
		return c.parentsOf(x, y)
	case traceql.Descendant:
		return c.below(x, y)
	case traceql.Ancestor:
		return c.above(x, y)
	}
	return c.siblings(x, y)
}

func (c *Context) childrenOf(x, y marks) marks {
	out := make(marks, len(y))
	for i, r := range c.tree.Rows {
		out[i] = y[i] && r.Parent >= 0 && x[r.Parent]
	}
	return out
}

func (c *Context) parentsOf(x, y marks) marks {
	out := make(marks, len(y))
	for i, r := range c.tree.Rows {
		if x[i] && r.Parent >= 0 {
			out[r.Parent] = y[r.Parent]
		}
	}
	return out
}

func (c *Context) below(x, y marks) marks {
	out := make(marks, len(y))
	end := 0 // before it, rows are below one of x: subtrees lie in each other or apart
	for i, r := range c.tree.Rows {
		out[i] = y[i] && i < end
		if x[i] {
			end = max(end, i+int(r.Size))
		}
	}
	return out
}

func (c *Context) above(x, y marks) marks {
	out := make(marks, len(y))
	next := len(y) // the first row of x after this one
	for i := len(y) - 1; i >= 0; i-- {
		out[i] = y[i] && next < i+int(c.tree.Rows[i].Size)
		if x[i] {
			next = i
		}
	}
	return out
}

// siblings: spans without a parent have none; spans below a parent that is missing have.
func (c *Context) siblings(x, y marks) marks {
	out := make(marks, len(y))
	count := make([]int32, len(y)) // by parent: children in x
	for i, r := range c.tree.Rows {
		if x[i] && r.Parent >= 0 {
			count[r.Parent]++
		}
	}
	for i, r := range c.tree.Rows {
		if !y[i] || r.Parent < 0 {
			continue
		}
		others := count[r.Parent]
		if x[i] {
			others--
		}
		out[i] = others > 0
	}
	return out
}

// inverse is r seen from the other side: X r Y is Y inverse(r) X.
func inverse(r traceql.Relation) traceql.Relation {
	switch r {
	case traceql.Child:
		return traceql.Parent
	case traceql.Parent:
		return traceql.Child
	case traceql.Descendant:
		return traceql.Ancestor
	case traceql.Ancestor:
		return traceql.Descendant
	}
	return r
}

// relate applies a structural operator.
func (c *Context) relate(n *traceql.Combine, xs, ys []int32) []int32 {
	c.arrange()
	found := c.related(n.Relation, xs, ys)
	selected := c.pick(ys, func(row int32) bool { return found[row] != n.Not })
	if !n.Both || len(selected) == 0 {
		return selected
	}
	by := c.related(inverse(n.Relation), ys, xs)
	return union(selected, c.pick(xs, func(row int32) bool { return by[row] }))
}

// pick returns those of a set's spans whose rows are wanted.
func (c *Context) pick(spans []int32, want func(row int32) bool) []int32 {
	var out []int32
	for _, i := range spans {
		if want(c.rows[i]) {
			out = append(out, i)
		}
	}
	return out
}

// union merges two sets; both, and the result, are in order.
func union(a, b []int32) []int32 {
	out := make([]int32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case a[0] > b[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}
