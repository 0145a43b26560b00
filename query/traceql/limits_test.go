package traceql

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// TestLimits has queries just within and just over each limit.
func TestLimits(t *testing.T) {
	list := func(n int) string { return "{ .a = [" + strings.Repeat("1,", n-1) + "1] }" }
	nested := func(n int) string { return "{ " + strings.Repeat("(", n) + ".a" + strings.Repeat(")", n) + " }" }
	for _, c := range []struct{ name, within, over, want string }{
		{"bytes", strings.Repeat(" ", MaxText-3) + "{ }", strings.Repeat(" ", MaxText-2) + "{ }", "the query has 65537 bytes; at most 65536"},
		{"values", list(MaxNodes - 2), list(MaxNodes), "the query has more than 10000 parts"},
		{"chain", "{ .a" + strings.Repeat("+.b", MaxNodes/2-2) + " = 1 }", "{ .a" + strings.Repeat(" +.b", MaxNodes/2) + " = 1 }", "more than 10000 parts"},
		{"parentheses", nested(MaxDepth), nested(MaxDepth + 1), "more than 100 brackets or signs inside each other"},
		{"pipelines", strings.Repeat("(", MaxDepth) + "{ }" + strings.Repeat(")", MaxDepth), strings.Repeat("(", MaxDepth+1) + "{ }", "more than 100 brackets"},
		{"signs", "{ " + strings.Repeat("!", MaxDepth) + ".a }", "{ " + strings.Repeat("!", MaxDepth+1) + ".a }", "more than 100 brackets or signs"},
		{"powers", "{ .a = .b" + strings.Repeat(" ^ .b", MaxDepth) + " }", "{ .a = .b" + strings.Repeat(" ^ .b", MaxDepth+1) + " }", "more than 100 brackets or signs"},
		{"absences", strings.Repeat("not exists (", MaxDepth) + "{ }" + strings.Repeat(")", MaxDepth), strings.Repeat("not exists (", MaxDepth+1), "more than 100 brackets"},
		{"pattern", "{ .a =~ `" + strings.Repeat("ab", maxPattern/2) + "` }", "{ .a =~ `" + strings.Repeat("ab", maxPattern/2) + "a` }", "the regular expression has 16385 bytes; at most 16384"},
		{"program", "{ .a =~ `(a{100}){10}` }", "{ .a =~ [`((a{10}b){10}){10}" + strings.Repeat("b{1000}", 20) + "`] }", "the regular expressions of the query are too large"},
		{"programs", "{ .a =~ `b{1000}` }", "{ .a =~ [" + strings.Repeat("`b{1000}`,", 19) + "`b{1000}`] }", "the regular expressions of the query are too large"},
	} {
		if _, err := Parse(c.within); err != nil {
			t.Errorf("%s, within: %v", c.name, err)
		}
		_, err := Parse(c.over)
		if err == nil || !strings.Contains(err.Error(), c.want) || trace.KindOf(err) != trace.TooLarge {
			t.Errorf("%s, over: %v (%v); want %q", c.name, err, trace.KindOf(err), c.want)
		}
	}
}

// TestHostile parses texts as long as is allowed that are made to be expensive. The bound is on memory, which is the same on every machine;
// what takes time here allocates.
func TestHostile(t *testing.T) {
	fill := func(head, unit, tail string) string {
		return head + strings.Repeat(unit, (MaxText-len(head)-len(tail))/len(unit)) + tail
	}
	for _, text := range []string{
		fill("", "(", ""), fill("", "{", ""), fill("{", "!", "}"), fill("{", "-", "}"), fill("{ .a ", "[", ""), fill("", "not exists(", ""),
		fill("{ .a", " && .a", " }"), fill("{ .a", " + .a", " = 1 }"), fill("{ .a", "^.a", " }"), fill("{ 1", " + 1", " = 2 }"), fill("{ .a = 1", " = 1", " }"),
		fill("{ }", " > { }", ""), fill("{ }", " | { }", ""), fill("{ } | count() > 1", " | count() > 1", ""), fill("({ } | rate())", " + ({ } | rate())", ""),
		fill("{ } | rate()", " > 1", ""), fill("{ } | rate()", " | topk(1)", ""), fill("{ } | by(.a", " + 1", ")"), fill("{ } | select(.a", ", .a", ")"),
		fill("{ .a = [1", ", 1", "] }"), fill("{ .a =~ [`a`", ", `a`", "] }"), fill("{ .a =~ `", "(", "` }"), fill("{ .a =~ `", "a|", "` }"),
		fill("{ .a =~ `x", "|(a{9}){9}", "` }"), fill("{ .a =~ [`a`", ",`\\pL{99}`", "] }"), fill("{ .a =~ `", "(?i:k)", "` }"),
		fill("{ .", "a.", "a = 1 }"), fill(`{ .`, `"a"`, ` = 1 }`), fill("{ .a = \"", "\\n", "\" }"), fill("{ .a = ", "9", " }"), fill("{ .a = 0.", "9", " }"),
		fill("{ .a = ", "1h", " }"), fill("", "/**/", "{ }"), fill("", "//\n", "{ }"), fill("{ .a = 1 } ", "\n", "x"), fill("{ ", "a", " = 1 }"), fill("{ ", "a.", "b }"),
		fill("{ } with (", "sample=true, ", "sample=true)"), fill("{ } ", "with (sample=true) ", ""), fill("{ .a = \"", "\xff", "\" }"), fill("{ ", "\xff", " }"),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		q, err := Parse(text)
		if err != nil {
			checkError(t, text, err)
		} else if s := q.String(); len(s) > 3*MaxText {
			t.Errorf("%.40q…: %d bytes of text", text, len(s))
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
			t.Errorf("%.40q…: %d MiB allocated", text, n>>20)
		}
	}
}

// TestError has the parts of an error, and the lines for a terminal.
func TestError(t *testing.T) {
	for _, c := range []struct {
		text, caret       string
		pos, line, column int
	}{
		{"{ dur > 5s }", "{ dur > 5s }\n  ^", 2, 1, 3},
		{"{ .größe = 1 &&\n\t.ä = ö }", " .ä = ö }\n      ^", 25, 2, 7},
		{"{ .a = 1", "{ .a = 1\n        ^", 8, 1, 9},
		{"", "\n^", 0, 1, 1},
		{
			"{ ." + strings.Repeat("x", 100) + " = foo || ." + strings.Repeat("y", 100) + " = 1 }",
			"…" + strings.Repeat("x", 57) + " = foo || ." + strings.Repeat("y", 32) + "…\n" + strings.Repeat(" ", 61) + "^", 106, 1, 107,
		},
	} {
		_, err := Parse(c.text)
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if e.Pos != c.pos || e.Line != c.line || e.Column != c.column || e.Caret() != c.caret {
			t.Errorf("%q: %d, %d:%d, caret\n%s\nwant %d, %d:%d, caret\n%s", c.text, e.Pos, e.Line, e.Column, e.Caret(), c.pos, c.line, c.column, c.caret)
		}
		if te := trace.ErrorOf(fmt.Errorf("query: %w", err)); te.Kind != trace.Invalid || te.Error() != e.Error() {
			t.Errorf("%q: as an error with a kind: %v %v", c.text, te.Kind, te)
		}
	}
}

// TestLastPart: whichever part is one too many, the error is of that.
func TestLastPart(t *testing.T) {
	for _, last := range []string{"(rate())", "count()", "({ } | topk(5))", "(by(name))", "({ } | select(name))", "(coalesce())", "({ } | compare({ }))", "(not exists { })", "({ } | spans())"} {
		for n := MaxNodes/2 - 6; n <= MaxNodes/2+6; n++ {
			if _, err := Parse(strings.Repeat("count()+", n) + last); err == nil {
				t.Fatalf("%d times count()+ and %s is a query", n, last)
			}
		}
	}
}
