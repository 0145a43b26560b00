package traceql

import (
	"fmt"
	"slices"

	"github.com/clewtrace/clew/trace"
)

// The limits of a query: people's queries are far below them, and what is below them is parsed and checked in milliseconds.
const (
	MaxText  = 64 << 10 // bytes of a query; a list of 1000 trace IDs is 37 kB
	MaxNodes = 10_000   // nodes of a tree, values in lists included
	MaxDepth = 100      // brackets and signs inside each other
)

// Parse reads and checks a query. The error is an *Error.
func Parse(text string) (*Query, error) {
	p := newParser(text)
	q := p.query()
	if p.err == nil {
		p.err = check(q)
	}
	if p.err != nil {
		return nil, p.err.locate(text)
	}
	return q, nil
}

// ParseFilter reads and checks the expression of a filter, with or without its braces: what tag values are asked for.
// It is nil when every span is meant. The error is an *Error.
func ParseFilter(text string) (Expr, error) {
	p := newParser(text)
	var cond Expr
	switch {
	case p.tok.kind == tEOF:
	case p.tok.is("{"):
		cond = p.filter().Cond
	default:
		cond = p.expr(precOr)
	}
	if p.tok.kind != tEOF {
		p.failExpected("the end of the filter")
	}
	if p.err == nil && cond != nil {
		f := &Filter{Cond: cond}
		p.err = (&checker{}).spanset(f)
		cond = f.Cond
	}
	if p.err != nil {
		return nil, p.err.locate(text)
	}
	return cond, nil
}

// A parser goes through a query token by token. After an error it sees the end of the query, so that all that is open ends soon;
// what it has made until then is worth nothing.
type parser struct {
	lex   lexer
	tok   token // the next one
	prev  int   // where the token before ended
	nodes int
	depth int
	order *Order
	spans *token // of spans()

	compared Expr   // what stands to the left of the comparison that is being read
	err      *Error // the first one
}

func newParser(text string) *parser {
	p := &parser{lex: lexer{text: text}}
	if len(text) > MaxText {
		p.fail(errorAt(MaxText, "the query has %d bytes; at most %d", len(text), MaxText))
		p.err.kind = trace.TooLarge
		return p
	}
	p.advance()
	return p
}

// fail notes the first error.
func (p *parser) fail(err *Error) {
	if p.err == nil {
		p.err = err
	}
	p.lex.pos = len(p.lex.text)
	p.tok = token{kind: tEOF, pos: len(p.lex.text)}
}

func (p *parser) failExpected(what string) {
	p.fail(errorAt(p.tok.pos, "expected %s, found %s%s", what, p.tok, p.hint()))
}

func (p *parser) advance() {
	p.prev = p.tok.end
	t, err := p.lex.next()
	if err != nil {
		p.fail(err)
		return
	}
	p.tok = t
}

// accept goes past the next token if it is s.
func (p *parser) accept(s string) bool {
	if !p.tok.is(s) {
		return false
	}
	p.advance()
	return true
}

// expect goes past the next token, which must be s.
func (p *parser) expect(s string) {
	if !p.accept(s) {
		p.failExpected(`"` + s + `"`)
	}
}

// node counts a node of the tree.
func (p *parser) node() {
	if p.nodes++; p.nodes > MaxNodes && p.err == nil {
		p.fail(errorAt(p.tok.pos, "the query has more than %d parts", MaxNodes))
		p.err.kind = trace.TooLarge
	}
}

// enter counts a bracket or sign; leave must follow.
func (p *parser) enter() {
	if p.depth++; p.depth > MaxDepth && p.err == nil {
		p.fail(errorAt(p.tok.pos, "more than %d brackets or signs inside each other", MaxDepth))
		p.err.kind = trace.TooLarge
	}
}

func (p *parser) leave() { p.depth-- }

// query reads: [explain] sequence hints.
func (p *parser) query() *Query {
	q := &Query{Explain: p.accept("explain")}
	if p.tok.kind == tEOF {
		p.failExpected("a query, as in { status = error }")
	}
	s := p.sequence(true)
	for p.tok.is("with") {
		p.hints(q)
	}
	switch {
	case p.err != nil:
	case p.tok.kind != tEOF && len(q.Hints) > 0:
		p.failExpected("the end of the query after its hints")
	case p.tok.kind != tEOF:
		p.fail(errorAt(p.tok.pos, "expected %s, found %s%s", s.wanted(), p.tok, p.afterwards(&s)))
	case s.scalar != nil:
		p.failExpected("a comparison, as in count() > 2")
	case s.series != nil && p.order != nil:
		p.fail(errorAt(p.order.At, "order by is for searches, not for metrics"))
	case s.series != nil && p.spans != nil:
		p.fail(errorAt(p.spans.pos, "spans() is for searches, not for metrics"))
	case s.series != nil:
		q.Metrics = s.series
	default:
		q.Search, q.Order, q.Spans = &Pipeline{At: s.at, Stages: s.stages}, p.order, p.spans != nil
	}
	return q
}

// A sequence is stages with | between them, and how they end: in a set of spans, a scalar or series.
type sequence struct {
	at     int
	stages []Stage
	scalar Scalar
	series Series
}

// wanted says what may come after the sequence.
func (s *sequence) wanted() string {
	switch {
	case s.series != nil:
		return `"|" with topk or bottomk, a comparison with a number, or the end of the query`
	case s.scalar != nil:
		return "a comparison"
	}
	return `"|", an operator between sets of spans, or the end of the query`
}

// sequence reads stages until something comes that is none.
func (p *parser) sequence(outermost bool) sequence {
	s := sequence{at: p.tok.pos}
	for {
		p.stage(&s, outermost)
		for s.series != nil && comparisons[p.tok.text] && p.tok.kind == tPunct {
			p.threshold(&s)
		}
		if !p.tok.is("|") {
			return s
		}
		if s.scalar != nil {
			p.failExpected("a comparison")
		}
		p.advance()
	}
}

// stageWords are the words that a stage may begin with, besides metricsFuncs.
var stageWords = []string{"by", "coalesce", "select", "spans", "order", "topk", "bottomk", "count", "min", "max", "avg", "sum", "not"}

// stage reads a stage and adds it to a sequence.
func (p *parser) stage(s *sequence, outermost bool) {
	first := len(s.stages) == 0 && s.series == nil
	word := ""
	if p.tok.kind == tIdent {
		word = p.tok.text
	}
	switch {
	case word == "topk", word == "bottomk":
		p.top(s)
	case s.series != nil:
		p.fail(errorAt(p.tok.pos, "expected topk or bottomk, which are all that may come after metrics, found %s%s", p.tok, didYouMean(word, []string{"topk", "bottomk"})))
	case slices.Contains(metricsFuncs[:], word):
		p.metrics(s)
	case word == "by":
		s.stages = append(s.stages, p.groupBy())
	case word == "coalesce" && first:
		p.fail(errorAt(p.tok.pos, "coalesce() comes after a stage that makes sets of spans, as in { } | by(name) | coalesce()"))
	case word == "coalesce":
		p.node()
		s.stages = append(s.stages, &Coalesce{At: p.tok.pos})
		p.advance()
		p.expect("(")
		p.expect(")")
	case word == "select":
		s.stages = append(s.stages, p.selection())
	case word == "order" && first:
		p.fail(errorAt(p.tok.pos, "order by comes after a set of spans, as in { } | order by duration"))
	case word == "order":
		p.orderBy(outermost)
	case word == "spans" && first:
		p.fail(errorAt(p.tok.pos, "spans() comes after a set of spans, as in { status = error } | spans()"))
	case word == "spans":
		p.findSpans(outermost)
	default:
		s.add(p.item(precOr), first)
	}
}

// add puts what an expression has become into the sequence.
func (s *sequence) add(it item, first bool) {
	switch {
	case it.series != nil:
		s.series = it.series
	case it.scalar != nil:
		s.scalar = it.scalar
	case it.filter != nil:
		s.stages = append(s.stages, it.filter)
	default:
		if n, ok := it.set.(*Nested); ok && first { // (a | b) | c is a | b | c
			s.stages = n.Pipeline.Stages
			return
		}
		s.stages = append(s.stages, it.set)
	}
}

// groupBy reads: by(expr).
func (p *parser) groupBy() *GroupBy {
	p.node()
	g := &GroupBy{At: p.tok.pos}
	p.advance()
	p.open("by", "by(resource.service.name)")
	g.By = p.expr(precOr)
	p.expect(")")
	return g
}

// selection reads: select(field, …).
func (p *parser) selection() *Select {
	p.node()
	s := &Select{At: p.tok.pos}
	p.advance()
	s.Fields = p.fields("select", "select(name, span.http.route)")
	return s
}

// fields reads: (field, …), after a word.
func (p *parser) fields(word, example string) []*FieldRef {
	p.open(word, example)
	var refs []*FieldRef
	for p.err == nil {
		refs = append(refs, p.fieldRef())
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return refs
}

// fieldRef reads a field that stands alone.
func (p *parser) fieldRef() *FieldRef {
	t := p.tok
	p.node()
	switch t.kind {
	case tField:
		p.advance()
		return &FieldRef{At: t.pos, Field: t.field}
	case tIdent:
		if i, short := intrinsicNamed(t.text); short {
			p.advance()
			return &FieldRef{At: t.pos, Field: Field{Scope: ScopeIntrinsic, Intrinsic: i}, Short: true}
		}
		p.fail(errorAt(t.pos, "expected a field, found %s%s", t, p.unknownWord(t.text, shortNames())))
	}
	p.failExpected("a field, as in resource.service.name or duration")
	return &FieldRef{}
}

// findSpans reads: spans().
func (p *parser) findSpans(outermost bool) {
	t := p.tok
	switch {
	case !outermost:
		p.fail(errorAt(t.pos, "spans() stands outside of parentheses: it says what the whole query finds"))
	case p.spans != nil:
		p.fail(errorAt(t.pos, "spans() is given twice"))
	}
	p.advance()
	p.open("spans", "spans()")
	if p.err == nil && !p.tok.is(")") {
		p.failExpected(`")": fields to show are named by select(…)`)
	}
	p.expect(")")
	p.spans = &t
}

// orderBy reads: order by key [asc|desc].
func (p *parser) orderBy(outermost bool) {
	o := &Order{At: p.tok.pos}
	p.advance()
	p.expect("by")
	switch t := p.tok; {
	case p.err != nil:
	case !outermost:
		p.fail(errorAt(o.At, "order by stands outside of parentheses: it orders what the whole query finds"))
	case p.order != nil:
		p.fail(errorAt(o.At, "a query has one order"))
	case slices.Contains(orderKeys[:], t.text):
		o.Key = OrderKey(slices.Index(orderKeys[:], t.text))
		p.advance()
	case t.is("traceDuration"):
		o.Key = ByTraceDuration
		p.advance()
	default:
		p.fail(errorAt(t.pos, "expected startTime, duration or trace:duration, found %s%s", t, didYouMean(t.text, orderKeys[:])))
	}
	if o.Asc = p.accept("asc"); !o.Asc && !p.accept("desc") && p.tok.kind == tIdent && !p.tok.is("with") {
		p.failExpected("asc or desc")
	}
	p.order = o
}

// aggregateNames are what count and its like are called.
var aggregateNames = []string{"count", "min", "max", "avg", "sum"}

// aggregate reads: count(), or min(expr) and its like.
func (p *parser) aggregate() Scalar {
	a := &Aggregate{At: p.tok.pos, Func: AggregateFunc(slices.Index(aggregateNames, p.tok.text))}
	p.node()
	p.advance()
	p.open(a.Func.String(), choose(a.Func == Count, "count() > 2", a.Func.String()+"(duration) > 1s"))
	if a.Func != Count {
		a.Of = p.expr(precOr)
	} else if !p.tok.is(")") {
		p.failExpected(`")", since count() takes nothing`)
	}
	p.expect(")")
	if a.Func == Count && p.tok.is("by") {
		p.fail(errorAt(p.tok.pos, "count() is of each trace and has no by; did you mean count_over_time() by (…), or | by(…) | count() > 1?"))
	}
	return a
}

// number reads a number or duration with its sign.
func (p *parser) number() *Const {
	p.node()
	t := p.tok
	negative := p.accept("-")
	var c *Const
	if p.tok.kind == tNumber || p.tok.is("minInt") || p.tok.is("maxInt") {
		c = p.constant(negative)
	}
	if c == nil {
		p.failExpected("a number or a duration")
		return &Const{Kind: TypeInt, Value: trace.Int(0)}
	}
	c.At = t.pos
	return c
}

// count reads an integer from 1 to a bound.
func (p *parser) count(most int64) int64 {
	t := p.tok
	if t.kind != tNumber && !t.is("-") {
		p.failExpected(fmt.Sprintf("an integer from 1 to %d", most))
	}
	c := p.number()
	if p.err == nil && (c.Kind != TypeInt || c.Value.Int() < 1 || c.Value.Int() > most) {
		p.fail(errorAt(t.pos, "expected an integer from 1 to %d, found %s", most, c))
	}
	return c.Value.Int()
}
