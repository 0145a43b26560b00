package traceql

import (
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse looks for texts that crash the parser, whose errors point nowhere, or whose tree is another when its text is parsed again.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/valid.txt", "testdata/invalid.txt"} {
		for _, p := range blocks(f, name) {
			f.Add(p[0])
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = ParseFilter(text)
		q, err := Parse(text)
		if err != nil {
			checkError(t, text, err)
			return
		}
		canonical := q.String()
		again, err := Parse(canonical)
		if err != nil {
			if len(canonical) > MaxText {
				return
			}
			t.Fatalf("%q: its text %q: %v", text, canonical, err)
		}
		if d := cmp.Diff(q, again, sameTree); d != "" {
			t.Fatalf("%q: another tree of its text %q:\n%s", text, canonical, d)
		}
		if s := again.String(); s != canonical {
			t.Fatalf("%q: text %q, then %q", text, canonical, s)
		}
	})
}

func checkError(t *testing.T, text string, err error) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("%q: %T", text, err)
	}
	if e.Pos < 0 || e.Pos > len(text) || e.Line < 1 || e.Column < 1 || e.Msg == "" {
		t.Fatalf("%q: %+v", text, e)
	}
	if !utf8.ValidString(e.Error()) || len(e.Error()) > 1000 || len(e.Caret()) > 1000 {
		t.Fatalf("%q: %q, %q", text, e.Error(), e.Caret())
	}
}
