package traceql

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/trace"
)

// String returns the query as text from which Parse makes an equal one.
func (q *Query) String() string {
	var b []byte
	if q.Explain {
		b = append(b, "explain "...)
	}
	if q.Metrics != nil {
		b = appendSeries(b, q.Metrics)
	} else {
		b = appendPipeline(b, q.Search)
	}
	if q.Spans {
		b = append(b, " | spans()"...)
	}
	if o := q.Order; o != nil {
		b = append(append(b, " | order by "...), o.Key.String()...)
		if o.Asc {
			b = append(b, " asc"...)
		} else {
			b = append(b, " desc"...)
		}
	}
	for i, h := range q.Hints {
		if i == 0 {
			b = append(b, " with ("...)
		} else {
			b = append(b, ", "...)
		}
		b = append(append(append(b, h.Name...), '='), h.Value.String()...)
		if i == len(q.Hints)-1 {
			b = append(b, ')')
		}
	}
	return string(b)
}

// String returns the pipeline as text.
func (p *Pipeline) String() string { return string(appendPipeline(nil, p)) }

func appendPipeline(b []byte, p *Pipeline) []byte {
	for i, s := range p.Stages {
		if i > 0 {
			b = append(b, " | "...)
		}
		b = appendStage(b, s)
	}
	return b
}

func appendStage(b []byte, s Stage) []byte {
	switch s := s.(type) {
	case Spanset:
		return appendSpanset(b, s, precOr)
	case *ScalarFilter:
		b = appendScalar(b, s.X, precAdd)
		b = appendOp(b, s.Op.String())
		return appendScalar(b, s.Y, precAdd)
	case *GroupBy:
		return append(appendExpr(append(b, "by("...), s.By, precOr), ')')
	case *Coalesce:
		return append(b, "coalesce()"...)
	case *Select:
		return appendFields(append(b, "select"...), s.Fields)
	}
	return b
}

func appendFields(b []byte, refs []*FieldRef) []byte {
	for i, f := range refs {
		if i == 0 {
			b = append(b, '(')
		} else {
			b = append(b, ", "...)
		}
		b = append(b, f.String()...)
	}
	return append(b, ')')
}

func appendOp(b []byte, op string) []byte { return append(append(append(b, ' '), op...), ' ') }

// combineOp returns the operator of a Combine.
func combineOp(n *Combine) string {
	switch {
	case n.Not:
		return "!" + n.Relation.String()
	case n.Both:
		return "&" + n.Relation.String()
	}
	return n.Relation.String()
}

// appendSpanset writes a set of spans, in parentheses where its operator binds less than level.
func appendSpanset(b []byte, s Spanset, level int) []byte {
	switch s := s.(type) {
	case *Filter:
		if s.Cond == nil {
			return append(b, "{ }"...)
		}
		return append(appendExpr(append(b, "{ "...), s.Cond, precOr), " }"...)
	case *Absent:
		b = append(b, "not exists "...)
		switch s.X.(type) {
		case *Filter, *Nested:
			return appendSpanset(b, s.X, precOr)
		}
		return append(appendSpanset(append(b, '('), s.X, precOr), ')')
	case *Nested:
		return append(appendPipeline(append(b, '('), s.Pipeline), ')')
	case *Combine:
		prec := precCompare
		if s.Relation <= Or {
			prec = precOr
		}
		if prec < level {
			return append(appendSpanset(append(b, '('), s, precOr), ')')
		}
		left := prec
		if x, ok := s.X.(*Combine); ok && prec == precOr && x.Relation <= Or && x.Relation != s.Relation {
			left++ // && and || bind equally, which is easily overlooked
		}
		b = appendSpanset(b, s.X, left)
		b = appendOp(b, combineOp(s))
		return appendSpanset(b, s.Y, prec+1)
	}
	return b
}

func appendScalar(b []byte, s Scalar, level int) []byte {
	switch s := s.(type) {
	case *Const:
		return append(b, s.String()...)
	case *Aggregate:
		b = append(append(b, s.Func.String()...), '(')
		if s.Of != nil {
			b = appendExpr(b, s.Of, precOr)
		}
		return append(b, ')')
	case *ScalarPipeline:
		b = appendPipeline(append(b, '('), s.Pipeline)
		return append(appendScalar(append(b, " | "...), s.Value, precAdd), ')')
	case *ScalarOp:
		prec := binaryOps[s.Op.String()].prec
		if prec < level {
			return append(appendScalar(append(b, '('), s, precAdd), ')')
		}
		left, right := sides(s.Op, prec)
		b = appendScalar(b, s.X, left)
		b = appendOp(b, s.Op.String())
		return appendScalar(b, s.Y, right)
	}
	return b
}

// sides returns the levels of an operator's operands.
func sides(op Op, prec int) (left, right int) {
	if op == OpPow {
		return prec + 1, prec
	}
	return prec, prec + 1
}

func appendSeries(b []byte, s Series) []byte {
	switch s := s.(type) {
	case *Const:
		return append(b, s.String()...)
	case *Metrics:
		return appendMetrics(b, s)
	case *Top:
		b = appendSeries(b, s.X)
		if s.Bottom {
			b = append(b, " | bottomk("...)
		} else {
			b = append(b, " | topk("...)
		}
		return append(strconv.AppendInt(b, int64(s.N), 10), ')')
	case *Threshold:
		b = appendOp(appendSeries(b, s.X), s.Op.String())
		return append(b, s.Value.String()...)
	case *SeriesOp:
		prec := binaryOps[s.Op.String()].prec
		b = appendOperand(b, s.X, prec)
		b = appendOp(b, s.Op.String())
		return appendOperand(b, s.Y, prec+1)
	}
	return b
}

// appendOperand writes series as an operand: all but numbers and operators that bind enough stand in parentheses.
func appendOperand(b []byte, s Series, level int) []byte {
	switch s := s.(type) {
	case *Const:
		return appendSeries(b, s)
	case *SeriesOp:
		if binaryOps[s.Op.String()].prec >= level {
			return appendSeries(b, s)
		}
	}
	return append(appendSeries(append(b, '('), s), ')')
}

func appendMetrics(b []byte, m *Metrics) []byte {
	b = append(appendPipeline(b, m.Pipeline), " | "...)
	b = append(append(b, m.Func.String()...), '(')
	switch {
	case m.Compare != nil:
		b = appendSpanset(b, m.Compare.Selection, precOr)
		if m.Compare.TopN != defaultTopN || m.Compare.End != 0 {
			b = strconv.AppendInt(append(b, ", "...), int64(m.Compare.TopN), 10)
		}
		if m.Compare.End != 0 {
			b = strconv.AppendInt(append(b, ", "...), m.Compare.Start, 10)
			b = strconv.AppendInt(append(b, ", "...), m.Compare.End, 10)
		}
	case m.Of != nil:
		b = append(b, m.Of.String()...)
	}
	for _, q := range m.Quantiles {
		b = strconv.AppendFloat(append(b, ", "...), q, 'g', -1, 64)
	}
	b = append(b, ')')
	if len(m.By) > 0 {
		b = appendFields(append(b, " by "...), m.By)
	}
	return b
}

// appendExpr writes an expression, in parentheses where its operator binds less than level.
func appendExpr(b []byte, e Expr, level int) []byte {
	prec := precedence(e)
	if prec < level {
		return append(appendExpr(append(b, '('), e, precOr), ')')
	}
	switch e := e.(type) {
	case *Const:
		return e.append(b)
	case *FieldRef:
		return append(b, e.String()...)
	case *Unary:
		level := precMul
		if e.Op == OpNeg { // a sign is of what follows it alone: -a % b is (-a) % b
			level = precPow + 1
		}
		return appendExpr(append(b, e.Op.String()...), e.X, level)
	case *Binary:
		return appendBinary(b, e, prec)
	case *In:
		b = appendOp(appendExpr(b, e.X, precCompare), choose(e.Not, "!=", "="))
		for i, v := range e.Values {
			b = append(b, choose(i == 0, "[", ", ")...)
			b = (&Const{Kind: elementType(e.Kind, v), Value: v}).append(b)
		}
		return append(b, ']')
	case *Match:
		b = appendOp(appendExpr(b, e.X, precCompare), choose(e.Not, "!~", "=~"))
		if len(e.Patterns) == 1 {
			return appendString(b, e.Patterns[0].Text)
		}
		for i, p := range e.Patterns {
			b = appendString(append(b, choose(i == 0, "[", ", ")...), p.Text)
		}
		return append(b, ']')
	case *IsNil:
		return append(appendOp(appendExpr(b, e.X, precCompare), choose(e.Not, "!=", "=")), "nil"...)
	}
	return b
}

func choose(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// elementType is the type of a value of a list: numbers of several types are durations, which are integers, too, as integers.
func elementType(list Type, v trace.Value) Type {
	if list != TypeNumber {
		return list
	}
	if v.Type() == trace.TypeDouble {
		return TypeFloat
	}
	return TypeInt
}

// precedence is how much an expression's operator binds.
func precedence(e Expr) int {
	switch e := e.(type) {
	case *Binary:
		return binaryOps[e.Op.String()].prec
	case *In, *Match, *IsNil:
		return precCompare
	}
	return precPow + 1
}

func appendBinary(b []byte, e *Binary, prec int) []byte {
	left, right := sides(e.Op, prec)
	if x, ok := e.X.(*Binary); ok && prec == precOr && x.Op <= OpAnd && x.Op != e.Op {
		left++ // && and || bind equally, which is easily overlooked
	}
	b = appendExpr(b, e.X, left)
	b = appendOp(b, e.Op.String())
	return appendExpr(b, e.Y, right)
}

func exprString(e Expr) string { return string(appendExpr(nil, e, precOr)) }

// String returns the constant as text.
func (n *Const) String() string { return string(n.append(nil)) }

// String returns the field as it was written: an intrinsic's older spelling stays.
func (n *FieldRef) String() string {
	if n.Short {
		return intrinsics[n.Field.Intrinsic].short
	}
	return n.Field.String()
}

// String returns the expression as text.
func (n *Unary) String() string { return exprString(n) }

// String returns the expression as text.
func (n *Binary) String() string { return exprString(n) }

// String returns the expression as text.
func (n *In) String() string { return exprString(n) }

// String returns the expression as text.
func (n *Match) String() string { return exprString(n) }

// String returns the expression as text.
func (n *IsNil) String() string { return exprString(n) }

func (n *Const) append(b []byte) []byte {
	switch n.Kind {
	case TypeNil:
		return append(b, "nil"...)
	case TypeString:
		return appendString(b, n.Value.Str())
	case TypeFloat:
		return appendFloat(b, n.Value.Double())
	case TypeDuration:
		return appendDuration(b, time.Duration(n.Value.Int()))
	case TypeStatus:
		return append(b, trace.StatusCode(n.Value.Int()).String()...)
	case TypeKind:
		return append(b, trace.Kind(n.Value.Int()).String()...)
	}
	return append(b, n.Value.Text()...)
}

// appendString writes a text in quotes; one with backslashes or quotes, as in a regular expression, in backquotes if that is possible.
func appendString(b []byte, s string) []byte {
	if strings.ContainsAny(s, `\"`) && strconv.CanBackquote(s) {
		return append(append(append(b, '`'), s...), '`')
	}
	return strconv.AppendQuote(b, s)
}

// appendFloat writes a number so that it is read as a float.
func appendFloat(b []byte, f float64) []byte {
	start := len(b)
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	if !strings.Contains(string(b[start:]), ".") {
		b = append(b, ".0"...)
	}
	return b
}

// appendDuration writes a duration as in 1h30m.
func appendDuration(b []byte, d time.Duration) []byte {
	if d < 0 {
		b = append(b, '-')
		d = -d
	}
	if d == 0 {
		return append(b, "0s"...)
	}
	for _, u := range []unit{{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", 1}} {
		if n := d / u.size; n > 0 {
			b = append(strconv.AppendInt(b, int64(n), 10), u.name...)
			d %= u.size
		}
	}
	return b
}
