package traceql

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/trace"
)

// expr reads an expression on a span, down to a level.
func (p *parser) expr(level int) Expr {
	x := p.unary()
	for p.err == nil && p.tok.kind == tPunct {
		t := p.tok
		if t.text == "=~" || t.text == "!~" {
			if level > precCompare {
				return x
			}
			x = p.match(x)
			continue
		}
		op, ok := binaryOps[t.text]
		if !ok || op.prec < level {
			return x
		}
		p.advance()
		if p.tok.is("[") && (op.op == OpEqual || op.op == OpNotEqual) {
			x = p.in(x, t)
			continue
		}
		p.node()
		next := op.prec + 1
		if op.prec == precPow {
			next = op.prec
		}
		p.enterRight(next == op.prec)
		if p.compared = nil; op.op.Comparison() {
			p.compared = x
		}
		y := p.expr(next)
		p.compared = nil
		p.leaveRight(next == op.prec)
		x = &Binary{At: t.pos, Op: op.op, X: x, Y: y}
	}
	return x
}

// unary reads signs and what they are before.
func (p *parser) unary() Expr {
	t := p.tok
	if !t.is("!") && !t.is("-") {
		return p.primary()
	}
	p.node()
	p.enter()
	defer p.leave()
	p.advance()
	if t.text == "!" {
		return &Unary{At: t.pos, Op: OpNot, X: p.expr(precMul)}
	}
	if p.tok.kind == tNumber {
		if c := p.constant(true); c != nil {
			c.At = t.pos
			return c
		}
	}
	return &Unary{At: t.pos, Op: OpNeg, X: p.unary()}
}

// primary reads a constant, a field, or an expression in parentheses.
func (p *parser) primary() Expr {
	t := p.tok
	switch {
	case t.is("("):
		p.enter()
		defer p.leave()
		p.advance()
		x := p.expr(precOr)
		if p.tok.is(",") {
			p.fail(errorAt(p.tok.pos, `expected an operator or ")", found ","; a list stands in brackets, as in ["a", "b"]`))
		}
		if !p.accept(")") {
			p.failExpected(`an operator or ")"`)
		}
		return x
	case t.kind == tField:
		return p.fieldRef()
	case t.kind == tIdent:
		if _, short := intrinsicNamed(t.text); short {
			return p.fieldRef()
		}
	}
	p.node()
	if c := p.constant(false); c != nil {
		return c
	}
	switch {
	case t.is("["):
		p.fail(errorAt(t.pos, "a list stands to the right of =, !=, =~ or !~"))
	case t.is("{"):
		p.fail(errorAt(t.pos, `expected a field or a value, found "{"; in braces, conditions are grouped by parentheses`))
	case t.kind == tIdent && t.text != "not" && slices.Contains(append(metricsFuncs[:], stageWords...), t.text):
		p.fail(errorAt(t.pos, `expected a field or a value, found %s; it stands outside of the braces, after "|"`, t))
	case t.kind == tIdent:
		p.fail(errorAt(t.pos, "expected a field or a value, found %s%s", t, p.unknownWord(t.text, exprWords())))
	default:
		p.failExpected("a field or a value")
	}
	return &Const{}
}

// statusNames and kindNames are the values of status and kind, by their numbers.
var (
	statusNames = []string{"unset", "ok", "error"}
	kindNames   = []string{"unspecified", "internal", "server", "client", "producer", "consumer"}
)

// shortNames are the intrinsics without a scope.
func shortNames() []string {
	var names []string
	for _, n := range intrinsics {
		if n.short != "" {
			names = append(names, n.short)
		}
	}
	return names
}

// exprWords are the bare words of expressions.
func exprWords() []string {
	return slices.Concat(shortNames(), statusNames, kindNames, []string{"true", "false", "nil", "minInt", "maxInt"})
}

// constant reads a constant, or returns nil, and goes past nothing, if there is none.
func (p *parser) constant(negative bool) *Const {
	t := p.tok
	c := &Const{At: t.pos}
	switch t.kind {
	case tString:
		c.Kind, c.Value = TypeString, trace.String(t.text)
	case tNumber:
		if err := parseNumber(c, t, negative); err != nil {
			p.fail(err)
			return c
		}
		p.advance()
		return c
	case tIdent:
		if !c.named(t.text) {
			return nil
		}
	default:
		return nil
	}
	if negative {
		return nil
	}
	p.advance()
	return c
}

// named makes a constant of its name.
func (n *Const) named(word string) bool {
	switch word {
	case "true", "false":
		n.Kind, n.Value = TypeBool, trace.Bool(word == "true")
	case "nil":
		n.Kind = TypeNil
	case "minInt":
		n.Kind, n.Value = TypeInt, trace.Int(math.MinInt64)
	case "maxInt":
		n.Kind, n.Value = TypeInt, trace.Int(math.MaxInt64)
	default:
		if i := slices.Index(statusNames, word); i >= 0 {
			n.Kind, n.Value = TypeStatus, trace.Int(int64(i))
		} else if i := slices.Index(kindNames, word); i >= 0 {
			n.Kind, n.Value = TypeKind, trace.Int(int64(i))
		} else {
			return false
		}
	}
	return true
}

// parseNumber makes a constant of a number or a duration.
func parseNumber(c *Const, t token, negative bool) *Error {
	text := t.text
	if negative {
		text = "-" + text
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		c.Kind, c.Value = TypeInt, trace.Int(i)
		return nil
	}
	if strings.Trim(t.text, "0123456789") == "" {
		return errorAt(t.pos, "%s does not fit in 64 bits", t)
	}
	if strings.Trim(t.text, "0123456789.eE+-") == "" {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errorAt(t.pos, "%s is no number", t)
		}
		c.Kind, c.Value = TypeFloat, trace.Double(f)
		return nil
	}
	d, ok := parseDuration(t.text)
	if !ok && t.text[0] == '.' {
		return errorAt(t.pos, "%s is no number; an attribute whose name begins with a digit is written .%q", t, shorten(t.text[1:]))
	}
	if !ok {
		return errorAt(t.pos, "%s is neither a number nor a duration; units are ns, us, ms, s, m, h, d, w and y", t)
	}
	if negative {
		d = -d
	}
	c.Kind, c.Value = TypeDuration, trace.Int(int64(d))
	return nil
}

type unit struct {
	name string
	size time.Duration
}

// units are those of durations. A day has 24 hours, a year 365 days, as Prometheus has it.
var units = []unit{
	{"y", 365 * 24 * time.Hour},
	{"w", 7 * 24 * time.Hour},
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"ms", time.Millisecond},
	{"m", time.Minute},
	{"s", time.Second},
	{"us", time.Microsecond},
	{"µs", time.Microsecond}, // the sign micro, and the Greek letter
	{"μs", time.Microsecond},
	{"ns", 1},
}

// parseDuration reads numbers with units, as in 1h30m or 1.5s.
func parseDuration(s string) (time.Duration, bool) {
	var sum int64
	for s != "" {
		n := len(s) - len(strings.TrimLeft(s, "0123456789."))
		digits := s[:n]
		u := slices.IndexFunc(units, func(u unit) bool { return strings.HasPrefix(s[n:], u.name) })
		if n == 0 || u < 0 {
			return 0, false
		}
		s = s[n+len(units[u].name):]
		part, ok := multiply(digits, int64(units[u].size))
		if !ok {
			return 0, false
		}
		if sum, ok = calculate(OpAdd, sum, part); !ok {
			return 0, false
		}
	}
	return time.Duration(sum), true
}

// multiply multiplies a number in digits, exactly if it has no fraction.
func multiply(digits string, by int64) (int64, bool) {
	if i, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return calculate(OpMul, i, by)
	}
	f, err := strconv.ParseFloat(digits, 64)
	if f = math.Round(f * float64(by)); err != nil || f >= math.MaxInt64 {
		return 0, false
	}
	return int64(f), true
}

// in reads a list of values after = or !=.
func (p *parser) in(x Expr, op token) Expr {
	n := &In{At: op.pos, Not: op.text == "!=", X: x}
	p.list(func(c *Const) {
		switch {
		case len(n.Values) == 0 || n.Kind == c.Kind:
			n.Kind = c.Kind
		case n.Kind.Numeric() && c.Kind.Numeric():
			n.Kind = TypeNumber
		default:
			p.fail(errorAt(c.At, "values of a list are of one type; this is %s after %s", c.Kind.phrase(), n.Kind.phrase()))
		}
		if c.Kind == TypeNil {
			p.fail(errorAt(c.At, "nil is no value of a list"))
		}
		n.Values = append(n.Values, c.Value)
	})
	return n
}

// match reads =~ or !~ and a pattern, or a list of them.
func (p *parser) match(x Expr) Expr {
	p.node()
	n := &Match{At: p.tok.pos, Not: p.tok.text == "!~", X: x}
	p.advance()
	add := func(c *Const) {
		if c.Kind != TypeString {
			p.fail(errorAt(c.At, "a regular expression is a string in quotes, not %s", c.Kind.phrase()))
		}
		n.Patterns = append(n.Patterns, Pattern{At: c.At, Text: c.Value.Str()})
	}
	if p.tok.is("[") {
		p.list(add)
		return n
	}
	if c := p.constant(false); c != nil {
		add(c)
	} else {
		p.failExpected("a regular expression in quotes")
	}
	return n
}

// list reads: [constant, …].
func (p *parser) list(add func(*Const)) {
	p.expect("[")
	for p.err == nil {
		p.node()
		negative := p.accept("-")
		c := p.constant(negative)
		if c == nil {
			p.failExpected("a value of the list")
			return
		}
		add(c)
		if !p.accept(",") {
			break
		}
	}
	if !p.accept("]") {
		p.failExpected(`"," or "]"`)
	}
}
