package traceql

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// defaultTopN is how many values of each attribute compare() returns unless it is told.
const defaultTopN = 10

// metrics reads a function of metrics, which makes series of the stages before it.
func (p *parser) metrics(s *sequence) {
	m := &Metrics{At: p.tok.pos, Func: MetricsFunc(slices.Index(metricsFuncs[:], p.tok.text))}
	p.node() // after it the token may be another
	if len(s.stages) == 0 {
		p.fail(errorAt(m.At, "%s() comes after a set of spans, as in { } | %s()", m.Func, m.Func))
		return
	}
	m.Pipeline = &Pipeline{At: s.at, Stages: s.stages}
	p.advance()
	p.open(m.Func.String(), exampleOf(m.Func))
	switch m.Func {
	case Rate, CountOverTime:
		if p.err == nil && !p.tok.is(")") {
			p.failExpected(fmt.Sprintf(`")", since %s() takes nothing: the step is a parameter of the request`, m.Func))
		}
	case Compare:
		m.Compare = p.comparison()
	default:
		if p.err == nil && p.tok.kind != tField && p.tok.kind != tIdent {
			p.failExpected("a field, as in " + exampleOf(m.Func))
		}
		m.Of = p.fieldRef()
	}
	if m.Func == QuantileOverTime {
		p.quantiles(m)
	}
	p.expect(")")
	if m.Func == Compare && p.tok.is("by") {
		p.fail(errorAt(p.tok.pos, "compare() has no by: it compares by all attributes there are"))
	}
	if p.accept("by") {
		m.By = p.fields("by", "rate() by (resource.service.name)")
	}
	s.series = m
}

// exampleOf returns a call of a function.
func exampleOf(f MetricsFunc) string {
	switch f {
	case Rate, CountOverTime:
		return f.String() + "()"
	case QuantileOverTime:
		return "quantile_over_time(duration, 0.99)"
	case Compare:
		return "compare({ status = error })"
	}
	return f.String() + "(duration)"
}

// quantiles reads what comes after the field: , number …
func (p *parser) quantiles(m *Metrics) {
	if !p.tok.is(",") {
		p.failExpected(`"," and a quantile, as in quantile_over_time(duration, 0.99)`)
	}
	for p.accept(",") {
		t := p.tok
		q := p.number()
		v := q.Value.Double()
		if q.Kind == TypeInt {
			v = float64(q.Value.Int())
		}
		if p.err == nil && (q.Kind == TypeDuration || !(v >= 0 && v <= 1)) {
			hint := ""
			if q.Kind != TypeDuration && v >= 10 && v <= 100 {
				hint = fmt.Sprintf("; did you mean %g?", v/100)
			}
			p.fail(errorAt(t.pos, "expected a quantile from 0 to 1, found %s%s", q, hint))
		}
		m.Quantiles = append(m.Quantiles, v+0) // of -0, 0
	}
}

// comparison reads what is in the parentheses of compare: filter[, n[, start, end]].
func (p *parser) comparison() *Comparison {
	c := &Comparison{TopN: defaultTopN}
	if !p.tok.is("{") {
		p.failExpected("the filter of the selection, as in compare({ status = error })")
		return c
	}
	c.Selection = p.filter()
	if !p.accept(",") {
		return c
	}
	c.TopN = int(p.count(1000))
	if !p.accept(",") {
		return c
	}
	c.Start = p.count(math.MaxInt64)
	if !p.accept(",") {
		p.failExpected(`"," and the end of the selection's time: start and end, in Unix nanoseconds, are given together`)
	}
	at := p.tok.pos
	if c.End = p.count(math.MaxInt64); c.End <= c.Start {
		p.fail(errorAt(at, "the selection's time ends before it starts"))
	}
	return c
}

// top reads: topk(n) or bottomk(n).
func (p *parser) top(s *sequence) {
	p.node()
	t := &Top{At: p.tok.pos, Bottom: p.tok.text == "bottomk", X: s.series}
	switch m, ok := s.series.(*Metrics); {
	case s.series == nil:
		p.fail(errorAt(t.At, "%s comes after metrics, as in { } | rate() by (name) | %s(5)", p.tok, p.tok))
	case ok && m.Func == Compare:
		p.fail(errorAt(t.At, "nothing comes after compare()"))
	}
	p.advance()
	p.open(choose(t.Bottom, "bottomk", "topk"), choose(t.Bottom, "bottomk(5)", "topk(5)"))
	t.N = int(p.count(10_000))
	p.expect(")")
	s.series = t
}

// threshold reads a comparison of the series with a number.
func (p *parser) threshold(s *sequence) {
	p.node()
	t := &Threshold{At: p.tok.pos, Op: binaryOps[p.tok.text].op, X: s.series}
	if m, ok := s.series.(*Metrics); ok && m.Func == Compare {
		p.fail(errorAt(t.At, "nothing comes after compare()"))
	}
	p.advance()
	it := p.item(precAdd)
	v, ok := it.scalar.(*Const)
	if p.err == nil && !ok {
		p.fail(errorAt(it.at, "metrics are compared with a number, not with %s", it.name()))
	}
	t.Value = v
	s.series = t
}

// A hint's value: of which types it may be, and what else it must be.
type hintRule struct {
	name  string
	types []Type
	share bool // a number must be above 0 and at most 1
	about string
}

// hintRules are the hints that are known.
var hintRules = []hintRule{
	{"exemplars", []Type{TypeBool, TypeInt}, false, "true, false or a number of them"},
	{"extrapolate", []Type{TypeBool, TypeString}, false, "true, false or an attribute's name in quotes"},
	{"most_recent", []Type{TypeBool}, false, "true or false"},
	{"sample", []Type{TypeBool, TypeInt, TypeFloat}, true, "true, false or a share above 0, at most 1"},
	{"span_sample", []Type{TypeInt, TypeFloat}, true, "a share above 0, at most 1"},
	{"trace_sample", []Type{TypeInt, TypeFloat}, true, "a share above 0, at most 1"},
}

// tuningHints are Tempo's own, of how it reads its blocks. They change no answer: here they are taken, of any value, and mean nothing.
var tuningHints = []string{"concurrent_blocks", "job_size", "skip_ast_transformations", "spanonly_fetch", "time_overlap_cutoff"}

// Hints returns the names of all hints that mean something.
func Hints() []string {
	var names []string
	for _, r := range hintRules {
		names = append(names, r.name)
	}
	return names
}

// hints reads: with (name = value, …).
func (p *parser) hints(q *Query) {
	p.advance()
	p.open("with", "with (sample=true)")
	for p.err == nil {
		p.node()
		h := Hint{At: p.tok.pos, Name: p.tok.text}
		if p.tok.kind != tIdent {
			p.failExpected("the name of a hint: " + strings.Join(Hints(), ", "))
			return
		}
		p.advance()
		p.expect("=")
		if h.Value = p.hintValue(); p.err != nil {
			return
		}
		if p.err = checkHint(h); p.err != nil {
			return
		}
		if _, ok := q.Hint(h.Name); ok {
			p.fail(errorAt(h.At, "the hint %s is given twice", h.Name))
			return
		}
		q.Hints = append(q.Hints, h)
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
}

func (p *parser) hintValue() *Const {
	at := p.tok.pos
	negative := p.accept("-")
	c := p.constant(negative)
	if c == nil {
		p.failExpected("the hint's value")
		return &Const{}
	}
	c.At = at
	return c
}

// checkHint refuses hints that are unknown, or of the wrong value.
func checkHint(h Hint) *Error {
	if slices.Contains(tuningHints, h.Name) {
		return nil
	}
	i := slices.IndexFunc(hintRules, func(r hintRule) bool { return r.name == h.Name })
	if i < 0 {
		hint := didYouMean(h.Name, Hints())
		if hint == "" {
			hint = fmt.Sprintf("; there are %s", strings.Join(Hints(), ", "))
		}
		return errorAt(h.At, "there is no hint %s%s", shorten(h.Name), hint)
	}
	r, v := hintRules[i], h.Value
	f := v.Value.Double()
	if v.Kind == TypeInt {
		f = float64(v.Value.Int())
	}
	number := v.Kind == TypeInt || v.Kind == TypeFloat
	if !slices.Contains(r.types, v.Kind) || number && r.share && !(f > 0 && f <= 1) || number && f < 0 || v.Value.Type() == trace.TypeString && v.Value.Str() == "" {
		return errorAt(v.At, "the hint %s is %s; found %s", r.name, r.about, v)
	}
	return nil
}
