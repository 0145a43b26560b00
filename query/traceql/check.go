package traceql

import (
	"slices"

	"github.com/clewtrace/clew/trace"
)

// Check checks a query that was built without text, and brings it into the form that the nodes' comments promise: what Parse returns was
// checked already. The error is an *Error whose place means nothing if the nodes have none.
func Check(q *Query) error {
	if err := check(q); err != nil {
		return err
	}
	return nil
}

func check(q *Query) *Error {
	c := &checker{}
	for _, h := range q.Hints {
		if err := checkHint(h); err != nil {
			return err
		}
	}
	if q.Metrics != nil {
		return c.series(q.Metrics)
	}
	return c.pipeline(q.Search)
}

// A checker goes through a tree once, from its leaves up.
type checker struct {
	instructions int // of all regular expressions
}

func (c *checker) pipeline(p *Pipeline) *Error {
	for i, s := range p.Stages {
		if err := c.stage(s); err != nil {
			return err
		}
		if _, ok := s.(*Coalesce); ok && i == 0 {
			return errorAt(s.Pos(), "coalesce() comes after a stage that makes sets of spans")
		}
	}
	return nil
}

func (c *checker) stage(s Stage) *Error {
	switch s := s.(type) {
	case Spanset:
		return c.spanset(s)
	case *ScalarFilter:
		return c.scalarFilter(s)
	case *GroupBy:
		by, err := c.expr(s.By)
		if _, ok := by.(*Const); ok && err == nil {
			err = errorAt(by.Pos(), "by() groups by what differs between spans; %s is always the same", show(by))
		}
		s.By = by
		return err
	}
	return nil
}

func (c *checker) spanset(s Spanset) *Error {
	switch s := s.(type) {
	case *Filter:
		return c.filter(s)
	case *Combine:
		return c.combine(s)
	case *Absent:
		return c.spanset(s.X)
	case *Nested:
		return c.pipeline(s.Pipeline)
	}
	return nil
}

func (c *checker) filter(f *Filter) *Error {
	if f.Cond == nil {
		return nil
	}
	cond, err := c.condition(f.Cond)
	if err != nil {
		return err
	}
	f.Cond = cond
	if isBool(cond, true) {
		f.Cond = nil
	}
	return nil
}

func (c *checker) combine(n *Combine) *Error {
	for _, x := range []Spanset{n.X, n.Y} {
		if err := c.spanset(x); err != nil {
			return err
		}
		if _, ok := x.(*Absent); ok && n.Relation > Or {
			return errorAt(x.Pos(), "not exists says something about the whole trace: && and || join it with sets of spans, %s does not", combineOp(n))
		}
	}
	return nil
}

// scalarFilter wants something that depends on the spans on at least one side.
func (c *checker) scalarFilter(n *ScalarFilter) *Error {
	x, err := c.scalar(n.X)
	if err != nil {
		return err
	}
	y, err := c.scalar(n.Y)
	if err != nil {
		return err
	}
	n.X, n.Y = x, y
	_, xc := x.(*Const)
	_, yc := y.(*Const)
	if xc && !yc {
		n.X, n.Y, n.Op = n.Y, n.X, flip(n.Op)
	}
	if xc && yc {
		return errorAt(n.At, "the comparison has no aggregate, as in count() > 2")
	}
	return nil
}

// scalar returns a scalar in which arithmetic on constants is done.
func (c *checker) scalar(s Scalar) (Scalar, *Error) {
	switch s := s.(type) {
	case *Aggregate:
		return s, c.aggregate(s)
	case *ScalarPipeline:
		if err := c.pipeline(s.Pipeline); err != nil {
			return s, err
		}
		v, err := c.scalar(s.Value)
		s.Value = v
		if _, ok := v.(*Const); ok && err == nil {
			err = errorAt(v.Pos(), "expected a number made of the spans, as in count()")
		}
		return s, err
	case *ScalarOp:
		x, err := c.scalar(s.X)
		if err != nil {
			return s, err
		}
		y, err := c.scalar(s.Y)
		if err != nil {
			return s, err
		}
		s.X, s.Y = x, y
		xc, ok1 := x.(*Const)
		yc, ok2 := y.(*Const)
		if ok1 && ok2 {
			return foldNumbers(s.At, s.Op, xc, yc)
		}
	}
	return s, nil
}

func (c *checker) aggregate(a *Aggregate) *Error {
	if a.Func == Count {
		return nil
	}
	of, err := c.expr(a.Of)
	if err != nil {
		return err
	}
	a.Of = of
	if t := of.Type(); t != TypeAny && !t.Numeric() {
		return errorAt(of.Pos(), "%s() is of numbers; %s is %s", a.Func, show(of), t.phrase())
	}
	if _, ok := of.(*Const); ok {
		return errorAt(of.Pos(), "%s() is of a field of the spans, as in %s(duration); %s is always the same", a.Func, a.Func, show(of))
	}
	return nil
}

func (c *checker) series(s Series) *Error {
	switch s := s.(type) {
	case *Metrics:
		return c.metrics(s)
	case *SeriesOp:
		if err := c.series(s.X); err != nil {
			return err
		}
		return c.series(s.Y)
	case *Top:
		return c.series(s.X)
	case *Threshold:
		return c.series(s.X)
	}
	return nil
}

func (c *checker) metrics(m *Metrics) *Error {
	if err := c.pipeline(m.Pipeline); err != nil {
		return err
	}
	if m.Compare != nil {
		return c.filter(m.Compare.Selection)
	}
	if m.Of != nil {
		if t := m.Of.Type(); t != TypeAny && !t.Numeric() {
			return errorAt(m.Of.At, "%s() is of numbers; %s is %s", m.Func, show(m.Of), t.phrase())
		}
	}
	return nil
}

// condition returns an expression that is a boolean; an attribute that stands alone is compared with true.
func (c *checker) condition(e Expr) (Expr, *Error) {
	e, err := c.expr(e)
	if err != nil {
		return e, err
	}
	return asCondition(e)
}

// asCondition makes a boolean of an expression that was checked.
func asCondition(e Expr) (Expr, *Error) {
	switch t := e.Type(); t {
	case TypeBool:
		return e, nil
	case TypeAny:
		return &Binary{At: e.Pos(), Op: OpEqual, X: e, Y: &Const{At: e.Pos(), Kind: TypeBool, Value: trace.Bool(true)}}, nil
	default:
		return e, errorAt(e.Pos(), "expected a condition, found %s, which is %s; compare it with something", show(e), t.phrase())
	}
}

// expr returns an expression whose parts fit, with constants to the right of comparisons, and done what can be done without a span.
func (c *checker) expr(e Expr) (Expr, *Error) {
	switch e := e.(type) {
	case *Unary:
		return c.unary(e)
	case *Binary:
		return c.binary(e)
	case *In:
		x, err := c.expr(e.X)
		if e.X = x; err != nil {
			return e, err
		}
		if len(e.Values) == 0 {
			return e, errorAt(e.At, "the list is empty")
		}
		if e.Kind == TypeNumber && !slices.ContainsFunc(e.Values, func(v trace.Value) bool { return v.Type() == trace.TypeDouble }) {
			e.Kind = TypeInt // integers and durations
		}
		if t := x.Type(); !alike(t, e.Kind) {
			return e, errorAt(e.At, "cannot compare %s (%s) with values of type %s", show(x), t.phrase(), e.Kind)
		}
		return e, notConstant(x)
	case *Match:
		return c.match(e)
	case *IsNil:
		x, err := c.expr(e.X)
		if e.X = x; err != nil {
			return e, err
		}
		return e, notConstant(x)
	}
	return e, nil
}

// notConstant refuses a comparison whose left side is a constant.
func notConstant(x Expr) *Error {
	if _, ok := x.(*Const); ok {
		return errorAt(x.Pos(), "expected a field to the left of the comparison, found %s", show(x))
	}
	return nil
}

func (c *checker) unary(e *Unary) (Expr, *Error) {
	var err *Error
	if e.Op == OpNot {
		if e.X, err = c.expr(e.X); err != nil {
			return e, err
		}
		if t := e.X.Type(); t != TypeBool && t != TypeAny {
			return e, errorAt(e.At, `"!" is for conditions, and binds more than a comparison: did you mean !(%s …)?`, show(e.X))
		}
		if e.X, err = asCondition(e.X); err != nil {
			return e, err
		}
		if x, ok := e.X.(*Const); ok {
			return &Const{At: e.At, Kind: TypeBool, Value: trace.Bool(!x.Value.Bool())}, nil
		}
		return e, nil
	}
	if e.X, err = c.expr(e.X); err != nil {
		return e, err
	}
	if err := number(e.X, e.Op); err != nil {
		return e, err
	}
	if x, ok := e.X.(*Const); ok {
		return foldNumbers(e.At, OpSub, &Const{At: e.At, Kind: x.Kind, Value: zero(x.Kind)}, x)
	}
	return e, nil
}

// number refuses an operand that is no number.
func number(x Expr, op Op) *Error {
	if t := x.Type(); t != TypeAny && !t.Numeric() {
		return errorAt(x.Pos(), `"%s" is for numbers; %s is %s`, op, show(x), t.phrase())
	}
	return nil
}

func (c *checker) binary(e *Binary) (Expr, *Error) {
	if e.Op == OpAnd || e.Op == OpOr {
		return c.logic(e)
	}
	var err *Error
	if e.X, err = c.expr(e.X); err != nil {
		return e, err
	}
	if e.Y, err = c.expr(e.Y); err != nil {
		return e, err
	}
	x, xc := e.X.(*Const)
	y, yc := e.Y.(*Const)
	if e.Op.Comparison() {
		if xc && !yc {
			e.X, e.Y, e.Op = e.Y, e.X, flip(e.Op)
			y, yc = x, true
			xc = false
		}
		if yc && !xc && y.Kind == TypeNil && (e.Op == OpEqual || e.Op == OpNotEqual) {
			return &IsNil{At: e.At, Not: e.Op == OpNotEqual, X: e.X}, nil
		}
		if err := comparison(e); err != nil {
			return e, err
		}
		if xc && yc {
			return &Const{At: x.At, Kind: TypeBool, Value: trace.Bool(compareConstants(e.Op, x, y))}, nil
		}
		return e, nil
	}
	for _, operand := range []Expr{e.X, e.Y} {
		if err := number(operand, e.Op); err != nil {
			return e, err
		}
	}
	if xc && yc {
		return foldNumbers(e.At, e.Op, x, y)
	}
	e.Kind = arithmetic(e.Op, e.X.Type(), e.Y.Type())
	return e, nil
}

// logic checks && and ||, and leaves out what decides nothing.
func (c *checker) logic(e *Binary) (Expr, *Error) {
	var err *Error
	if e.X, err = c.condition(e.X); err != nil {
		return e, err
	}
	if e.Y, err = c.condition(e.Y); err != nil {
		return e, err
	}
	decides := e.Op == OpOr // true || x is true, false && x is false
	for _, pair := range [2][2]Expr{{e.X, e.Y}, {e.Y, e.X}} {
		if isBool(pair[0], decides) {
			return pair[0], nil
		}
		if isBool(pair[0], !decides) {
			return pair[1], nil
		}
	}
	return e, nil
}

func isBool(e Expr, b bool) bool {
	c, ok := e.(*Const)
	return ok && c.Kind == TypeBool && c.Value.Bool() == b
}

// flip returns the comparison with its sides exchanged.
func flip(op Op) Op {
	switch op {
	case OpLess:
		return OpGreater
	case OpLessEqual:
		return OpGreaterEqual
	case OpGreater:
		return OpLess
	case OpGreaterEqual:
		return OpLessEqual
	}
	return op
}

// comparison refuses one between types that can never be equal, or that have no order.
func comparison(e *Binary) *Error {
	x, y := e.X.Type(), e.Y.Type()
	if x == TypeNil || y == TypeNil {
		return errorAt(e.At, `nil is compared with a field, by "=" or "!="`)
	}
	if !alike(x, y) {
		return errorAt(e.At, "cannot compare %s (%s) with %s (%s)%s", show(e.X), x.phrase(), show(e.Y), y.phrase(), meant(e))
	}
	if e.Op == OpEqual || e.Op == OpNotEqual {
		return nil
	}
	for _, t := range [2]Type{x, y} {
		if t == TypeBool || t == TypeStatus || t == TypeKind {
			return errorAt(e.At, `%s is compared by "=" or "!=", not by "%s"`, t.phrase(), e.Op)
		}
	}
	return nil
}
