package traceql

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestDocs parses the examples of the manual, and compares the errors that it shows.
func TestDocs(t *testing.T) {
	raw, err := os.ReadFile("../../docs/traceql.md")
	if err != nil {
		t.Fatal(err)
	}
	queries, refused := 0, 0
	for i, block := range strings.Split(string(raw), "```") {
		lang, text, _ := strings.Cut(block, "\n")
		text = strings.TrimSuffix(text, "\n")
		switch {
		case i%2 == 0, lang == "sh":
		case lang == "traceql":
			for line := range strings.Lines(text) {
				queries++
				if _, err := Parse(line); err != nil {
					t.Errorf("%s: %v", line, err)
				}
			}
		case lang == "refused":
			refused++
			query, _, _ := strings.Cut(text, "\n")
			_, err := Parse(query)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Caret()+"\n"+e.Error() != text {
				t.Errorf("%s: %v", text, err)
			}
		default:
			t.Errorf("a block of %q", lang)
		}
	}
	if queries < 30 || refused < 2 {
		t.Errorf("%d queries, %d errors: are the blocks marked?", queries, refused)
	}
	for _, i := range Intrinsics() {
		if !strings.Contains(string(raw), "`"+i+"`") {
			t.Errorf("the intrinsic %s is missing", i)
		}
	}
	for _, h := range Hints() {
		if !strings.Contains(string(raw), "`"+h+"=") {
			t.Errorf("the hint %s is missing", h)
		}
	}
}
