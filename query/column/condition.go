package column

import (
	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// Condition is a condition on single spans. It is safe for concurrent use.
type Condition struct {
	op   traceql.Op // OpAnd, OpOr or OpNot; else an atom
	x, y *Condition
	atom *eval.Predicate // nil: see roots
	ask  question
}

// Compile makes a condition of a checked expression of TypeBool; nil holds on every span. It returns false if the expression looks
// at more than a span.
func Compile(e traceql.Expr) (*Condition, bool) {
	switch e := e.(type) {
	case *traceql.Unary:
		if x, ok := Compile(e.X); ok {
			return &Condition{op: traceql.OpNot, x: x}, true
		}
		return nil, false
	case *traceql.Binary:
		if e.Op == traceql.OpAnd || e.Op == traceql.OpOr {
			x, ok1 := Compile(e.X)
			y, ok2 := Compile(e.Y)
			return &Condition{op: e.Op, x: x, y: y}, ok1 && ok2
		}
		if isRoot(e) {
			return &Condition{op: atomOp}, true
		}
	}
	var fields []traceql.Field
	eval.EachField(e, func(f traceql.Field) { fields = append(fields, f) })
	q, ok := ask(fields)
	return &Condition{op: atomOp, atom: eval.Compile(e), ask: q}, ok && !eval.Multiplies(e)
}

// atomOp marks what is no operator.
const atomOp = traceql.OpEqual

// isRoot reports whether an expression is nestedSetParent < 0, by which Grafana asks for roots.
func isRoot(e *traceql.Binary) bool {
	f, ok := e.X.(*traceql.FieldRef)
	if !ok || f.Field.Intrinsic != traceql.NestedSetParent || f.Field.Parent || e.Op != traceql.OpLess {
		return false
	}
	c, ok := e.Y.(*traceql.Const)
	return ok && c.Kind == traceql.TypeInt && c.Value.Int() == 0
}

// Rows is which rows of a table a condition holds on.
type Rows struct {
	All, None bool
	Is        []bool // by row; nil if All or None
}

// Has reports whether a row is one of them.
func (r Rows) Has(row int) bool { return r.All || !r.None && r.Is[row] }

var (
	all  = Rows{All: true}
	none = Rows{None: true}
)

// Select returns the rows of a table on which the condition holds. Hidden rows are not looked at.
func (c *Condition) Select(t *trace.Table) (Rows, error) {
	switch c.op {
	case traceql.OpNot:
		r, err := c.x.Select(t)
		if err != nil {
			return none, err
		}
		r.All, r.None = r.None, r.All
		for i := range r.Is {
			r.Is[i] = !r.Is[i]
		}
		return r, nil
	case traceql.OpAnd, traceql.OpOr:
		return c.both(t)
	}
	if c.atom == nil {
		roots, err := t.Columns.Numbers(trace.RootColumn)
		is := make([]bool, len(roots))
		for row, root := range roots {
			is[row] = root == 1
		}
		return Rows{Is: is}, err
	}
	return c.decide(t)
}

// both decides the operand that needs no columns first, if there is one: the other may not be needed then.
func (c *Condition) both(t *trace.Table) (Rows, error) {
	first, second := c.x, c.y
	if first.cost(t) > second.cost(t) {
		first, second = second, first
	}
	a, err := first.Select(t)
	if err != nil || a.All && c.op == traceql.OpOr || a.None && c.op == traceql.OpAnd {
		return a, err
	}
	b, err := second.Select(t)
	if err != nil || a.All || a.None { // the other decides alone
		return b, err
	}
	if b.All || b.None {
		if b.All == (c.op == traceql.OpAnd) {
			return a, nil
		}
		return b, nil
	}
	for i, is := range b.Is {
		if c.op == traceql.OpAnd {
			a.Is[i] = a.Is[i] && is
		} else {
			a.Is[i] = a.Is[i] || is
		}
	}
	return a, nil
}

// cost says about how much a condition costs on a table.
func (c *Condition) cost(t *trace.Table) int {
	switch {
	case c.x != nil && c.y != nil:
		return c.x.cost(t) + c.y.cost(t)
	case c.x != nil:
		return c.x.cost(t)
	case c.atom == nil:
		return 1
	}
	n := 0
	if c.ask.rest || c.ask.whole {
		n += 100
	}
	for _, f := range c.ask.fields {
		switch f.Scope {
		case traceql.ScopeResource:
			n++
		case traceql.ScopeIntrinsic:
			if f.Intrinsic == traceql.SpanDuration || t.Wide {
				n += 2
			}
		default:
			n += 3
		}
	}
	return n
}

// decide asks an atom.
func (c *Condition) decide(t *trace.Table) (Rows, error) {
	var p probe
	if err := p.begin(t, &c.ask); err != nil {
		return none, err
	}
	if p.fixed() {
		if c.atom.Match(p.at()) {
			return all, nil
		}
		return none, nil
	}
	if s := p.few(); s != nil {
		return c.decideFew(t, &p, s)
	}
	is := make([]bool, t.Rows)
	for row := range is {
		if t.Hidden != nil && t.Hidden[row] {
			continue
		}
		if err := p.row(row); err != nil {
			return none, err
		}
		is[row] = c.atom.Match(p.at())
	}
	return Rows{Is: is}, nil
}

// decideFew asks an atom of each value that rows have.
func (c *Condition) decideFew(t *trace.Table, p *probe, s *source) (Rows, error) {
	const yes, no = 1, 2
	known := make([]uint8, s.few)
	is := make([]bool, t.Rows)
	any, each := false, true
	for row := range is {
		k := s.at(row)
		if known[k] == 0 {
			if err := s.set(k); err != nil {
				return none, err
			}
			known[k] = no
			if c.atom.Match(p.at()) {
				known[k] = yes
			}
		}
		is[row] = known[k] == yes
		any, each = any || is[row], each && is[row]
	}
	switch {
	case each:
		return all, nil
	case !any:
		return none, nil
	}
	return Rows{Is: is}, nil
}
