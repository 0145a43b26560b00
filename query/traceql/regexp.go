package traceql

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/clewtrace/clew/trace"
)

// The limits of regular expressions. Go's take time in proportion to their instructions times the length of the text, and repetitions
// multiply instructions: a{1000} is 7 bytes.
const (
	maxPattern      = 16 << 10 // bytes; a thousand names
	maxInstructions = 20_000   // of all of a query
)

// match compiles the patterns, and refuses types that are no text.
func (c *checker) match(e *Match) (Expr, *Error) {
	x, err := c.expr(e.X)
	if e.X = x; err != nil {
		return e, err
	}
	if err := notConstant(x); err != nil {
		return e, err
	}
	if t := x.Type(); t != TypeAny && t != TypeString {
		return e, errorAt(e.At, "a regular expression matches texts; %s is %s", show(x), t.phrase())
	}
	if len(e.Patterns) == 0 {
		return e, errorAt(e.At, "the list is empty")
	}
	for i := range e.Patterns {
		if err := c.compile(&e.Patterns[i]); err != nil {
			return e, err
		}
	}
	return e, nil
}

// compile compiles a pattern within the limits.
func (c *checker) compile(p *Pattern) *Error {
	tooLarge := func(format string, args ...any) *Error {
		err := errorAt(p.At, format, args...)
		err.kind = trace.TooLarge
		return err
	}
	if len(p.Text) > maxPattern {
		return tooLarge("the regular expression has %d bytes; at most %d", len(p.Text), maxPattern)
	}
	tree, err := syntax.Parse(p.Text, syntax.Perl|syntax.DotNL)
	if err != nil {
		return errorAt(p.At, "the regular expression %q: %s", shorten(p.Text), why(err))
	}
	if c.instructions += instructions(tree); c.instructions > maxInstructions {
		return tooLarge("the regular expressions of the query are too large: above %d instructions with %q", maxInstructions, shorten(p.Text))
	}
	if p.Re, err = regexp.Compile(`\A(?s:` + p.Text + `)\z`); err != nil {
		return errorAt(p.At, "the regular expression %q: %s", shorten(p.Text), why(err))
	}
	return nil
}

// why says what is wrong with a regular expression.
func why(err error) string {
	if e, ok := errors.AsType[*syntax.Error](err); ok {
		return fmt.Sprintf("%s: `%s`", e.Code, shorten(e.Expr))
	}
	return shorten(err.Error())
}

// instructions returns how large the program of an expression becomes, about.
func instructions(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n += len(re.Rune) / 4
	}
	for _, sub := range re.Sub {
		n += instructions(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(1, re.Min, re.Max)
	}
	return min(n, 2*maxInstructions)
}

// maxStrings is how many texts Strings makes of a pattern.
const maxStrings = 1000

// Strings returns the texts that the pattern matches, if they are few: GET|POST matches two. ok is false if there are more than that
// or if it cannot be said.
func (p *Pattern) Strings() (texts []string, ok bool) {
	tree, err := syntax.Parse(p.Text, syntax.Perl|syntax.DotNL)
	if err != nil {
		return nil, false
	}
	// A pattern matches whole texts anyway: anchors at its ends say nothing.
	parts := []*syntax.Regexp{tree}
	if tree.Op == syntax.OpConcat {
		parts = tree.Sub
	}
	if parts[0].Op == syntax.OpBeginText {
		parts = parts[1:]
	}
	if n := len(parts); n > 0 && parts[n-1].Op == syntax.OpEndText {
		parts = parts[:n-1]
	}
	return stringsOf(&syntax.Regexp{Op: syntax.OpConcat, Sub: parts})
}

func stringsOf(re *syntax.Regexp) ([]string, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpLiteral:
		return []string{string(re.Rune)}, re.Flags&syntax.FoldCase == 0
	case syntax.OpCharClass:
		return stringsOfClass(re.Rune)
	case syntax.OpCapture:
		return stringsOf(re.Sub[0])
	case syntax.OpQuest:
		texts, ok := stringsOf(re.Sub[0])
		return append(texts, ""), ok
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			texts, ok := stringsOf(sub)
			if all = append(all, texts...); !ok || len(all) > maxStrings {
				return nil, false
			}
		}
		return all, true
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			texts, ok := stringsOf(sub)
			if !ok || len(all)*len(texts) > maxStrings {
				return nil, false
			}
			all = products(all, texts)
		}
		return all, true
	}
	return nil, false
}

// products returns each text of one list followed by each of another.
func products(heads, tails []string) []string {
	all := make([]string, 0, len(heads)*len(tails))
	for _, h := range heads {
		for _, t := range tails {
			all = append(all, h+t)
		}
	}
	return all
}

func stringsOfClass(ranges []rune) (texts []string, ok bool) {
	for i := 0; i < len(ranges); i += 2 {
		if ranges[i+1]-ranges[i] > maxStrings {
			return nil, false
		}
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			texts = append(texts, string(r))
		}
	}
	return texts, len(texts) <= maxStrings
}
