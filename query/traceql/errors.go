package traceql

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/clewtrace/clew/trace"
)

// Error says what is wrong with a query, and where. Its kind (trace.KindOf) is Invalid, or TooLarge over a limit.
type Error struct {
	Pos          int // offset in bytes of the place in the query
	Line, Column int // of the place, from 1; Column counts characters
	Msg          string

	kind trace.ErrorKind
	line string // the query's line, for Caret
}

func (e *Error) Error() string { return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Msg) }

// Unwrap returns the error as one with a kind.
func (e *Error) Unwrap() error { return trace.Errorf(e.kind, "%s", e.Error()) }

// caretBefore and caretAfter are how many characters of a long line Caret shows around the place.
const caretBefore, caretAfter = 60, 40

// Caret returns two lines for a terminal with fixed-width letters: the line of the query, or what of it is near, and a ^ under the place.
func (e *Error) Caret() string {
	line := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, e.line))
	at := min(e.Column-1, len(line))
	from, to := max(0, at-caretBefore), min(len(line), at+caretAfter)
	prefix, suffix := "", ""
	if from > 0 {
		prefix = "…"
	}
	if to < len(line) {
		suffix = "…"
	}
	return prefix + string(line[from:to]) + suffix + "\n" + strings.Repeat(" ", at-from+len([]rune(prefix))) + "^"
}

// locate fills in line and column.
func (e *Error) locate(text string) *Error {
	e.Pos = min(e.Pos, len(text))
	start := strings.LastIndexByte(text[:e.Pos], '\n') + 1
	e.Line = 1 + strings.Count(text[:e.Pos], "\n")
	e.Column = 1 + utf8.RuneCountInString(text[start:e.Pos])
	e.line, _, _ = strings.Cut(text[start:], "\n")
	return e
}

func errorAt(pos int, format string, args ...any) *Error {
	return &Error{Pos: pos, Line: 1, Column: pos + 1, Msg: fmt.Sprintf(format, args...), kind: trace.Invalid}
}

// shorten cuts a text for a message.
func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// show returns a part of the query for a message.
func show(part fmt.Stringer) string { return shorten(part.String()) }

// didYouMean returns "; did you mean x?" for the known word nearest to one, or nothing.
func didYouMean(word string, known []string) string {
	if n := Nearest(word, known); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	return ""
}

// Nearest returns the known word that somebody meant who wrote another, or nothing.
func Nearest(word string, known []string) string {
	if len(word) < 2 || len(word) > 40 {
		return ""
	}
	best, at := "", 1+min(2, len(word)/3) // at: one more than what may differ
	lower := strings.ToLower(word)
	for _, k := range known {
		if d := distance(lower, strings.ToLower(k)); d < at {
			best, at = k, d
		}
	}
	if best == "" && len(word) >= 3 {
		if i := slices.IndexFunc(known, func(k string) bool { return strings.HasPrefix(strings.ToLower(k), lower) }); i >= 0 {
			return known[i]
		}
	}
	return best
}

// distance returns how many letters must be added, removed, changed or swapped with their neighbour to make b of a.
func distance(a, b string) int {
	two, one := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range one {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
		two, one = one, row
	}
	return one[len(b)]
}
