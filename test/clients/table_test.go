package clients_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
)

// TestReceiveTable: each test that the table of docs/receive.md names is there.
func TestReceiveTable(t *testing.T) {
	root, err := testkit.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "receive.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`([a-z][a-z0-9/]*) (Test\w+)`)
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 5 || cells[0] == "| protocol" {
			continue
		}
		rows++
		tests := named.FindAllStringSubmatch(cells[4], -1)
		if len(tests) == 0 {
			t.Errorf("%q names no test, as `test/clients TestKnownTrace`", line)
		}
		for _, m := range tests {
			if !hasTest(t, filepath.Join(root, m[1]), m[2]) {
				t.Errorf("%q: there is no %s in %s", line, m[2], m[1])
			}
		}
	}
	if rows == 0 {
		t.Error("docs/receive.md has no table of five columns")
	}
}

func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "func "+name+"(") {
			return true
		}
	}
	return false
}
