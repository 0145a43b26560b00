package eval

import (
	"slices"

	"github.com/clewtrace/clew/trace"
)

// Context is one whole trace that is asked about. It works out what is asked of the whole when it is needed, once. It is not for concurrent use.
type Context struct {
	Trace *trace.Trace
	Stop  func() error // is asked between sets of spans, of which a trace may have many: its error ends the evaluation; nil: nobody is asked

	arranged bool
	tree     trace.Tree
	rows     []int32 // by span: its row of the tree
	children []int32 // by row: how many spans have it as their parent

	err error // of what was too much to be evaluated

	measured    bool
	root        *trace.Span
	first, last uint64
}

// NewContext returns a context for a trace, which must not change from here on.
func NewContext(t *trace.Trace) *Context { return &Context{Trace: t} }

// Reset makes the context one of another trace, and keeps its memory.
func (c *Context) Reset(t *trace.Trace) {
	*c = Context{Trace: t, Stop: c.Stop, rows: c.rows[:0], children: c.children[:0]}
}

// Err returns why what was evaluated on the trace since Reset has no result, an error of kind TooLarge or that of Stop; nil mostly.
func (c *Context) Err() error { return c.err }

func (c *Context) stopped() bool {
	if c.err == nil && c.Stop != nil {
		c.err = c.Stop()
	}
	return c.err != nil
}

// At returns span i of the trace, to be looked at.
func (c *Context) At(i int) At { return At{Span: &c.Trace.Spans[i], Trace: c, Index: int32(i)} }

// arrange works out the tree: who is whose parent is as trace.Arrange has it, with missing spans, cycles and shared IDs.
func (c *Context) arrange() *trace.Tree {
	if c.arranged {
		return &c.tree
	}
	c.arranged = true
	c.tree = trace.Arrange(c.Trace.Spans)
	c.rows = slices.Grow(c.rows, len(c.Trace.Spans))[:len(c.Trace.Spans)]
	c.children = slices.Grow(c.children, len(c.tree.Rows))[:len(c.tree.Rows)]
	clear(c.children)
	for i, r := range c.tree.Rows {
		if r.Span >= 0 {
			c.rows[r.Span] = int32(i)
		}
		if r.Parent >= 0 {
			c.children[r.Parent]++
		}
	}
	return &c.tree
}

// Row returns the row of the trace's tree in which span i is.
func (c *Context) Row(i int) trace.Row {
	t := c.arrange()
	return t.Rows[c.rows[i]]
}

// Parent returns the index of the span above span i, or -1 if there is none, or it is missing.
func (c *Context) Parent(i int) int {
	t := c.arrange()
	p := t.Rows[c.rows[i]].Parent
	if p < 0 {
		return -1
	}
	return int(t.Rows[p].Span)
}

// nested returns a row's place in the numbering of nested sets: a row's left and right enclose those of all below it.
func nested(row int32, r trace.Row) (left, right int64) {
	left = 2*int64(row) - int64(r.Depth) + 1 // each row before it was opened, and each that is not above it closed again
	return left, left + 2*int64(r.Size) - 1
}

// NestedSet returns the place of span i in the trace's tree, counted from 1: its left and right enclose those of all spans below it; parent is
// the left of its parent, also of one that is missing, or -1.
func (c *Context) NestedSet(i int) (left, right, parent int64) {
	t := c.arrange()
	row := c.rows[i]
	r := t.Rows[row]
	left, right = nested(row, r)
	if r.Parent < 0 {
		return left, right, -1
	}
	parent, _ = nested(r.Parent, t.Rows[r.Parent])
	return left, right, parent
}

// measure goes over the spans once for what is asked of the whole trace without its tree.
func (c *Context) measure() {
	if c.measured {
		return
	}
	c.measured = true
	if i := trace.Root(c.Trace.Spans); i >= 0 {
		c.root = &c.Trace.Spans[i]
	}
	for i := range c.Trace.Spans {
		s := &c.Trace.Spans[i]
		if i == 0 || s.Start < c.first {
			c.first = s.Start
		}
		c.last = max(c.last, s.Start, s.End)
	}
}

// Root returns the earliest span without a parent, or nil.
func (c *Context) Root() *trace.Span {
	c.measure()
	return c.root
}

// Bounds returns when the earliest span starts and the latest ends, in Unix ns.
func (c *Context) Bounds() (first, last uint64) {
	c.measure()
	return c.first, c.last
}

// At is a span to be looked at, in its trace.
type At struct {
	Span  *trace.Span
	Trace *Context // nil: there is only the span, which is enough where Needs says so
	Index int32    // of the span in the trace
}

// parent returns the parent, if it is there.
func (a At) parent() (At, bool) {
	if a.Trace == nil {
		return At{}, false
	}
	i := a.Trace.Parent(int(a.Index))
	if i < 0 {
		return At{}, false
	}
	return a.Trace.At(i), true
}
