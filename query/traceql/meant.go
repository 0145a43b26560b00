package traceql

import (
	"fmt"
	"slices"
	"strings"
)

// This file says what somebody meant who wrote what other languages have, or what is often mistaken.

// otherFields are what the fields of spans are called elsewhere, in lower case and without underscores.
var otherFields = map[string]string{
	"traceid": "trace:id", "spanid": "span:id", "parentid": "span:parentID", "parentspanid": "span:parentID", "service": "resource.service.name", "servicename": "resource.service.name",
	"operation": "name", "operationname": "name", "spanname": "name", "latency": "duration", "spankind": "kind", "statuscode": "status", "rootspan": "nestedSetParent < 0", "isroot": "nestedSetParent < 0",
	"null": "nil", "none": "nil", "undefined": "nil",
}

// otherOperators are what operators are called elsewhere, in lower case.
var otherOperators = map[string]string{
	"and": "; did you mean &&?", "or": "; did you mean ||?", "eq": "; did you mean =?",
	"like": "; did you mean =~ and a regular expression?", "ilike": "; did you mean =~ and a regular expression, as in =~ `(?i)get.*`?",
	"contains": "; did you mean =~ and a regular expression, as in =~ `.*get.*`?", "startswith": "; did you mean =~ and a regular expression, as in =~ `get.*`?",
	"matches": "; did you mean =~?", "in": `; a list is written = ["a", "b"]`, "is": "; did you mean = nil, or != nil?", "not": "; did you mean != or !~?",
	"between": "; did you mean two comparisons, with && between them?", "exists": "; did you mean != nil?",
}

// otherStages are what stages are called elsewhere, in lower case.
var otherStages = map[string]string{
	"group": "; did you mean by(…)?", "groupby": "; did you mean by(…)?", "sort": "; did you mean order by?", "sortby": "; did you mean order by?",
	"where": "; conditions stand in braces, as in | { duration > 1s }", "filter": "; conditions stand in braces, as in | { duration > 1s }",
	"having": "; a comparison is a stage of its own, as in | count() > 2", "fields": "; did you mean select(…)?", "project": "; did you mean select(…)?",
	"limit": "; how many to find is a parameter of the request", "head": "; how many to find is a parameter of the request", "take": "; how many to find is a parameter of the request",
	"top": "; did you mean topk(…)?", "stats": "; did you mean count() > 2, or count_over_time() by (…)?",
	"quantile": "; did you mean quantile_over_time(duration, 0.99)?", "percentile": "; did you mean quantile_over_time(duration, 0.99)?",
	"p50": "; did you mean quantile_over_time(duration, 0.5)?", "p90": "; did you mean quantile_over_time(duration, 0.9)?",
	"p95": "; did you mean quantile_over_time(duration, 0.95)?", "p99": "; did you mean quantile_over_time(duration, 0.99)?",
	"offset": "; the range of time is a parameter of the request",
}

// plainWord is a word as the tables above have it.
func plainWord(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }

// hint says what somebody meant who wrote the next token where another was expected.
func (p *parser) hint() string {
	if p.tok.kind == tIdent {
		return p.wordHint()
	}
	if p.tok.kind != tPunct {
		return ""
	}
	together := p.tok.text // with the sign right before it
	if p.tok.pos == p.prev && p.prev > 0 {
		together = p.lex.text[p.prev-1:p.prev] + together
	}
	switch {
	case together == "==":
		return `; equality is written with one "="`
	case together == "=>":
		return "; did you mean >=?"
	case together == "=<":
		return "; did you mean <=?"
	case together == "<>":
		return "; did you mean !=?"
	case p.tok.is("-") && strings.HasPrefix(p.lex.text[p.tok.end:], ">"):
		return "; did you mean > (a child) or >> (below)?"
	}
	return ""
}

func (p *parser) wordHint() string {
	if p.tok.is("with") {
		return "; hints stand at the end of the query"
	}
	return otherOperators[strings.ToLower(p.tok.text)]
}

// open reads the parenthesis after a word, which is said with an example.
func (p *parser) open(word, example string) {
	if p.err == nil && !p.tok.is("(") {
		hint := ""
		if word == "sum" && p.tok.is("by") || word == "count" && p.tok.is("by") {
			hint = "; numbers over time are " + word + "_over_time(…) by (…)"
		}
		p.fail(errorAt(p.tok.pos, `expected "(" after %s, as in %s, found %s%s`, word, example, p.tok, hint))
		return
	}
	p.expect("(")
}

// unclosed fails in a filter where an operator or its brace was expected.
func (p *parser) unclosed() {
	hint := ""
	switch t := p.tok; {
	case t.is("|"):
		hint = "; did you mean ||?"
	case t.is(","):
		hint = "; did you mean &&?"
	case t.is("~"):
		hint = "; did you mean =~?"
	case t.kind == tIdent && slices.ContainsFunc(units, func(u unit) bool { return u.name == t.text }):
		hint = "; a unit follows its number without a space"
	}
	if hint != "" {
		p.fail(errorAt(p.tok.pos, `expected an operator or "}", found %s%s`, p.tok, hint))
		return
	}
	p.failExpected(`an operator or "}"`)
}

// unknownWord says what somebody meant who wrote a word that is none in an expression.
func (p *parser) unknownWord(word string, known []string) string {
	if strings.EqualFold(word, "not") {
		return `; did you mean !, as in !(status = error)?`
	}
	if hint := didYouMean(word, known); hint != "" {
		return hint
	}
	if field := otherFields[plainWord(word)]; field != "" {
		return "; did you mean " + field + "?"
	}
	short := shorten(word)
	if p.compared != nil {
		switch t := p.compared.Type(); {
		case t == TypeStatus:
			return "; a status is " + strings.Join(statusNames, ", ")
		case t == TypeKind:
			return "; a kind is " + strings.Join(kindNames, ", ")
		case t.Numeric():
			return ""
		}
		return fmt.Sprintf(`; did you mean the text "%s", in quotes?`, short)
	}
	return fmt.Sprintf("; attributes are written span.%s, resource.%s or .%s, and texts in quotes", short, short, short)
}

// unknownStage says what somebody meant who wrote a word that begins no stage.
func unknownStage(word string) string {
	if i, short := intrinsicNamed(word); short && i != NoIntrinsic {
		return "; conditions stand in braces, as in { " + word + " … }"
	}
	if field := otherFields[plainWord(word)]; field != "" && field != "nil" {
		return "; conditions stand in braces, as in { " + field + " … }"
	}
	if hint := otherStages[plainWord(word)]; hint != "" {
		return hint
	}
	if hint := didYouMean(word, append(slices.Clone(stageWords), metricsFuncs[:]...)); hint != "" {
		return hint
	}
	return "; there are filters in braces, comparisons as in count() > 2, by, coalesce, select, spans, order by, and functions of metrics, as in rate()"
}

// afterwards says what somebody meant who goes on where a query could end.
func (p *parser) afterwards(s *sequence) string {
	t := p.tok
	if t.kind == tIdent {
		if hint := otherStages[plainWord(t.text)]; hint != "" && otherOperators[strings.ToLower(t.text)] == "" {
			return hint
		}
	}
	switch {
	case s.series != nil && binaryOps[t.text].op.Arithmetic() && t.kind == tPunct:
		return "; queries that are calculated with stand in parentheses: ({ } | rate()) / ({ } | rate())"
	case s.series != nil && t.is("["):
		return "; the step is a parameter of the request"
	case t.is("!"), t.is("not"), t.is("NOT"):
		return "; traces without such spans are && not exists { … }"
	}
	return p.hint()
}

// noStage fails where a stage was expected, and what stands there begins none.
func (p *parser) noStage() {
	switch t := p.tok; t.kind {
	case tIdent:
		p.fail(errorAt(t.pos, "expected a stage of a query, found %s%s", t, unknownStage(t.text)))
	case tField:
		p.fail(errorAt(t.pos, "expected a filter, found %s; conditions stand in braces, as in { %s … }", t, t))
	case tString:
		p.fail(errorAt(t.pos, "expected a filter, found %s; a text is looked for in a field, as in { name =~ `.*%s.*` }", t, strings.ToValidUTF8(shorten(t.text), "\uFFFD")))
	default:
		p.failExpected("a filter, as in { status = error }")
	}
}

// The words before a dot that are no scopes: what attributes are called elsewhere, and the beginnings of keys that resources have.
var (
	attributeWords = []string{"attributes", "attribute", "attrs", "attr", "tags", "tag"}
	resourceWords  = []string{"service", "k8s", "telemetry", "deployment", "host", "process", "cloud", "container"}
)

// withScope guesses what somebody meant who wrote a key without a scope; it is empty if that cannot be said.
func withScope(key string) string {
	word, rest, _ := strings.Cut(key, ".")
	if i, _ := intrinsicNamed(word + ":" + rest); i != NoIntrinsic {
		return word + ":" + rest
	}
	if strings.ContainsAny(key, `*+?[]\$`) { // a regular expression
		return ""
	}
	if slices.Contains(attributeWords, word) && rest != "" {
		return "span." + rest
	}
	if n := Nearest(word, scopeWords()); n != "" && rest != "" {
		return n + "." + rest
	}
	if n := Nearest(word, resourceWords); n != "" && rest != "" {
		return "resource." + n + "." + rest
	}
	return "span." + key
}

// meant says how a comparison of types that do not fit is written.
func meant(e *Binary) string {
	if x, ok := e.X.(*Unary); ok && x.Op == OpNot {
		return fmt.Sprintf(`; "!" binds more than "%s", which needs parentheses after it`, e.Op)
	}
	y, ok := e.Y.(*Const)
	if !ok {
		return ""
	}
	if x, ok := e.X.(*Binary); ok && x.Op.Comparison() && y.Kind != TypeBool {
		return "; between two comparisons stands &&"
	}
	if x, ok := e.X.(*Const); ok && x.Kind == TypeStatus {
		return fmt.Sprintf("; did you mean status = %s, or the attribute .%s?", x, x)
	}
	switch t := e.X.Type(); {
	case t == TypeStatus:
		return "; a status is " + strings.Join(statusNames, ", ") + ", without quotes"
	case t == TypeKind:
		return "; a kind is " + strings.Join(kindNames, ", ") + ", without quotes"
	case t.Numeric() && y.Kind == TypeString:
		var n Const
		if parseNumber(&n, token{kind: tNumber, text: y.Value.Str()}, false) == nil {
			return "; write " + shorten(y.Value.Str()) + " without quotes"
		}
	case t == TypeString:
		return "; texts stand in quotes"
	}
	return ""
}
