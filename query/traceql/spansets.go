package traceql

import "slices"

// The levels of operators, from the one that binds least. Those of one level are read from the left, but ^.
const (
	precOr      = iota + 1 // && ||
	precCompare            // = != < <= > >= =~ !~, and the structural ones between sets of spans
	precAdd                // + -
	precNot                // !
	precMul                // * / %
	precPow                // ^
)

// comparisons are the operators between two numbers that yield true or false.
var comparisons = map[string]bool{"=": true, "!=": true, "<": true, "<=": true, ">": true, ">=": true}

// binaryOps are the operators between two values, with their levels.
var binaryOps = map[string]struct {
	op   Op
	prec int
}{
	"||": {OpOr, precOr}, "&&": {OpAnd, precOr},
	"=": {OpEqual, precCompare}, "!=": {OpNotEqual, precCompare}, "<": {OpLess, precCompare}, "<=": {OpLessEqual, precCompare},
	">": {OpGreater, precCompare}, ">=": {OpGreaterEqual, precCompare},
	"+": {OpAdd, precAdd}, "-": {OpSub, precAdd}, "*": {OpMul, precMul}, "/": {OpDiv, precMul}, "%": {OpMod, precMul}, "^": {OpPow, precPow},
}

// relations are the operators between sets of spans without ! or & before them.
var relations = map[string]Relation{
	"&&": And, "||": Or, ">": Child, "<": Parent, ">>": Descendant, "<<": Ancestor, "~": Sibling,
}

// setOp returns the operator between sets of spans that a token is.
func setOp(t token) (c Combine, prec int) {
	if t.kind != tPunct {
		return c, 0
	}
	text := t.text
	if r, ok := relations[text]; ok && r <= Or {
		return Combine{At: t.pos, Relation: r}, precOr
	}
	c.At = t.pos
	c.Not, c.Both = text[0] == '!', text[0] == '&'
	if c.Not || c.Both {
		text = text[1:]
	}
	r, ok := relations[text]
	if !ok || r <= Or {
		return c, 0
	}
	c.Relation = r
	return c, precCompare
}

// An item is what stands between two |: a set of spans, a scalar, a filter by scalars, or series.
type item struct {
	at     int
	set    Spanset
	scalar Scalar
	filter *ScalarFilter
	series Series
}

// name says what an item is.
func (it item) name() string {
	switch {
	case it.series != nil:
		return "metrics"
	case it.scalar != nil:
		if _, ok := it.scalar.(*Const); ok {
			return "a number"
		}
		return "an aggregate"
	case it.filter != nil:
		return "a comparison"
	}
	return "a set of spans"
}

// item reads operands and the operators between them, down to a level. Which operators there are depends on what stands to the left: > is
// a child of sets of spans, and greater of numbers.
func (p *parser) item(level int) item {
	x := p.operand()
	for p.err == nil {
		t := p.tok
		rel, prec := Combine{}, 0
		switch {
		case x.set != nil:
			rel, prec = setOp(t)
		case t.kind == tPunct && x.filter == nil:
			prec = binaryOps[t.text].prec
		case x.filter != nil && t.kind == tPunct && binaryOps[t.text].prec >= level:
			p.failExpected(`"|": put a comparison in parentheses to combine it`)
		}
		if prec == 0 || prec < level {
			return x
		}
		p.advance()
		next := prec + 1
		if prec == precPow {
			next = prec
		}
		if x.set == nil && !p.startsNumber() {
			p.failExpected("a number, as in count() > 2")
		}
		p.enterRight(next == prec)
		y := p.item(next)
		p.leaveRight(next == prec)
		p.node()
		switch {
		case p.err != nil:
		case x.set != nil:
			x = p.combine(x, rel, y)
		default:
			x = p.calculate(x, t, y)
		}
	}
	return x
}

// startsNumber reports whether the next token may begin a number, an aggregate, or a pipeline that ends in one.
func (p *parser) startsNumber() bool {
	return p.tok.kind != tEOF && p.tok.kind != tString && p.tok.kind != tField
}

// enterRight counts the right operand of an operator that is read from the right: it is inside the one before.
func (p *parser) enterRight(right bool) {
	if right {
		p.enter()
	}
}

func (p *parser) leaveRight(right bool) {
	if right {
		p.leave()
	}
}

// combine joins two sets of spans.
func (p *parser) combine(x item, c Combine, y item) item {
	if y.set == nil {
		p.fail(errorAt(y.at, "expected a set of spans after %s, found %s", combineOp(&c), y.name()))
		return x
	}
	c.X, c.Y = x.set, y.set
	return item{at: x.at, set: &c}
}

// calculate joins two numbers, or series.
func (p *parser) calculate(x item, t token, y item) item {
	op := binaryOps[t.text]
	if x.scalar != nil && op.prec == precCompare && y.set != nil {
		y = p.openPipeline(y)
	}
	number := func(it item) bool { c, ok := it.scalar.(*Const); return ok && c != nil }
	switch {
	case p.err != nil:
	case op.prec == precOr:
		p.fail(errorAt(t.pos, `%q joins sets of spans; to its left is %s`, t.text, x.name()))
	case x.series != nil && op.op.Comparison() && number(y):
		return item{at: x.at, series: &Threshold{At: t.pos, Op: op.op, X: x.series, Value: y.scalar.(*Const)}}
	case (x.series != nil || y.series != nil) && (x.series != nil || number(x)) && (y.series != nil || number(y)):
		return p.seriesOp(x, t, y)
	case x.scalar == nil || y.scalar == nil:
		p.fail(errorAt(y.at, "%q cannot join %s and %s", t.text, x.name(), y.name()))
	case op.op.Comparison():
		return item{at: x.at, filter: &ScalarFilter{At: t.pos, Op: op.op, X: x.scalar, Y: y.scalar}}
	case number(x) && number(y):
		c, err := foldNumbers(t.pos, op.op, x.scalar.(*Const), y.scalar.(*Const))
		if err != nil {
			p.fail(err)
		}
		return item{at: x.at, scalar: c}
	default:
		return item{at: x.at, scalar: &ScalarOp{At: t.pos, Op: op.op, X: x.scalar, Y: y.scalar}}
	}
	return x
}

// seriesOp joins series with series, or with a number.
func (p *parser) seriesOp(x item, t token, y item) item {
	op := binaryOps[t.text].op
	switch {
	case op == OpAdd, op == OpSub, op == OpMul, op == OpDiv:
	case op.Comparison():
		p.fail(errorAt(t.pos, "metrics are compared with a number to their right, as in { } | rate() %s 5", t.text))
		return x
	default:
		p.fail(errorAt(t.pos, `%q does not join metrics; + - * and / do`, t.text))
		return x
	}
	for _, it := range []item{x, y} {
		if m, ok := it.series.(*Metrics); ok && m.Func == Compare {
			p.fail(errorAt(m.At, "compare() yields no numbers that one can calculate with"))
		}
	}
	operand := func(it item) Series {
		if it.series != nil {
			return it.series
		}
		c := it.scalar.(*Const)
		if c.Kind == TypeDuration {
			p.fail(errorAt(c.At, "metrics are calculated with by numbers, not by a duration"))
		}
		return c
	}
	return item{at: x.at, series: &SeriesOp{At: t.pos, Op: op, X: operand(x), Y: operand(y)}}
}

// openPipeline reads the rest of a pipeline that ends in a scalar and is not in parentheses: count() > { } | count().
func (p *parser) openPipeline(first item) item {
	s := sequence{at: first.at}
	s.add(first, true)
	for p.err == nil && s.scalar == nil {
		if !p.accept("|") {
			p.failExpected(`"|" and a number made of these spans, as in count()`)
			break
		}
		if p.tok.is("by") {
			s.stages = append(s.stages, p.groupBy())
			continue
		}
		it := p.item(precAdd)
		if it.series != nil || it.set == nil && it.scalar == nil {
			p.fail(errorAt(it.at, "expected a number made of these spans, as in count()"))
		}
		s.add(it, false)
	}
	if p.err == nil && p.tok.kind == tPunct && comparisons[p.tok.text] {
		p.fail(errorAt(p.tok.pos, "a second comparison; put the pipeline to its left in parentheses"))
	}
	return item{at: first.at, scalar: s.number()}
}

// number returns a sequence that ended in a scalar.
func (s *sequence) number() Scalar {
	if len(s.stages) == 0 {
		return s.scalar
	}
	return &ScalarPipeline{At: s.at, Pipeline: &Pipeline{At: s.at, Stages: s.stages}, Value: s.scalar}
}

// operand reads a filter, what is in parentheses, an absence, an aggregate or a number.
func (p *parser) operand() item {
	it := item{at: p.tok.pos}
	switch t := p.tok; {
	case t.is("{"):
		it.set = p.filter()
	case t.is("("):
		return p.parentheses()
	case t.is("not"):
		it.set = p.absent()
	case t.kind == tIdent && slices.Contains(aggregateNames, t.text):
		it.scalar = p.aggregate()
	case t.kind == tNumber, t.is("-"), t.is("minInt"), t.is("maxInt"):
		it.scalar = p.number()
	default:
		p.noStage()
	}
	return it
}

// filter reads: { [expr] }.
func (p *parser) filter() *Filter {
	p.node()
	f := &Filter{At: p.tok.pos}
	p.advance()
	if p.accept("}") {
		return f
	}
	f.Cond = p.expr(precOr)
	if !p.accept("}") {
		p.unclosed()
	}
	return f
}

// absent reads: not exists set.
func (p *parser) absent() Spanset {
	p.node()
	a := &Absent{At: p.tok.pos}
	p.advance()
	if !p.tok.is("exists") {
		p.fail(errorAt(p.tok.pos, `expected "exists" after not, as in not exists { status = error }, found %s`, p.tok))
	}
	p.expect("exists")
	if p.err == nil && !p.tok.is("{") && !p.tok.is("(") {
		p.failExpected(`"{" or "(" after not exists`)
	}
	it := p.operand()
	if p.err == nil && it.set == nil {
		p.fail(errorAt(it.at, "expected a set of spans after not exists, found %s", it.name()))
	}
	a.X = it.set
	return a
}

// parentheses reads: (sequence).
func (p *parser) parentheses() item {
	it := item{at: p.tok.pos}
	p.enter()
	defer p.leave()
	p.advance()
	s := p.sequence(false)
	if !p.accept(")") {
		p.failExpected(`an operator, "|" or ")"`)
	}
	p.node()
	switch {
	case p.err != nil:
	case s.series != nil:
		it.series = s.series
	case s.scalar != nil:
		it.scalar = s.number()
	default:
		if set, ok := s.stages[0].(Spanset); ok && len(s.stages) == 1 {
			it.set = set
		} else {
			it.set = &Nested{At: it.at, Pipeline: &Pipeline{At: s.at, Stages: s.stages}}
		}
	}
	return it
}
