package testkit

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the files that answers are compared with")

// Golden compares got with a file; with -update it writes the file. JSON is compared, and written, indented.
func Golden(t testing.TB, path string, got []byte) {
	t.Helper()
	var indented bytes.Buffer
	if strings.HasSuffix(path, ".json") {
		if err := json.Indent(&indented, got, "", "  "); err != nil {
			t.Fatalf("%s: not JSON: %v\n%.500s", path, err, got)
		}
		got = append(bytes.TrimSpace(indented.Bytes()), '\n')
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if diff := gocmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); if that is right, go test -update writes it anew:\n%s", path, diff)
	}
}
