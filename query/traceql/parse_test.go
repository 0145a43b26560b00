package traceql

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/trace"
)

// sameTree compares trees without the positions of their nodes.
var sameTree = cmp.Options{
	cmp.FilterPath(func(p cmp.Path) bool { f, ok := p.Last().(cmp.StructField); return ok && f.Name() == "At" }, cmp.Ignore()),
	cmp.Comparer(func(a, b *regexp.Regexp) bool { return a.String() == b.String() }),
	cmp.Comparer(func(a, b trace.Value) bool { return a.Equal(b) }),
}

// blocks reads pairs of a file: a query, and below it, after "=> ", what becomes of it. Nothing below it: the query itself.
func blocks(t testing.TB, name string) (pairs [][2]string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if out, ok := strings.CutPrefix(line, "=> "); ok {
			pairs[len(pairs)-1][1] = out
		} else if line != "" && !strings.HasPrefix(line, "# ") {
			line = strings.ReplaceAll(line, `⏎`, "\n")
			pairs = append(pairs, [2]string{line, line})
		}
	}
	return pairs
}

// TestValid parses each query of a file, and compares its canonical text, and the tree that this text gives.
func TestValid(t *testing.T) {
	for _, p := range blocks(t, "testdata/valid.txt") {
		q, err := Parse(p[0])
		if err != nil {
			t.Errorf("%s: %v", p[0], err)
			continue
		}
		if got := q.String(); got != p[1] {
			t.Errorf("%s\n got %s\nwant %s", p[0], got, p[1])
			continue
		}
		again, err := Parse(q.String())
		if err != nil {
			t.Errorf("%s: its text %s: %v", p[0], q, err)
			continue
		}
		if d := cmp.Diff(q, again, sameTree); d != "" {
			t.Errorf("%s: another tree of its text %s:\n%s", p[0], q, d)
		}
		if err := Check(q); err != nil || q.String() != p[1] {
			t.Errorf("%s: checked again: %v, %s", p[0], err, q)
		}
	}
}

// TestInvalid compares the errors of the queries of a file.
func TestInvalid(t *testing.T) {
	for _, p := range blocks(t, "testdata/invalid.txt") {
		q, err := Parse(p[0])
		if err == nil {
			t.Errorf("%s: no error, but %s", p[0], q)
		} else if got := err.Error(); got != p[1] {
			t.Errorf("%s\n got %s\nwant %s", p[0], got, p[1])
		}
	}
}
