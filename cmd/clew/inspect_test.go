package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
)

// sampleFolder returns a data folder with the block and the log segment that hold the format.
func sampleFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for from, to := range map[string]string{"block-1": "blocks/000000000001.blk", "log-1": "wal/000000000002.log"} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "store", "spool", "testdata", "format", from))
		if err != nil {
			t.Fatal(err)
		}
		to = filepath.Join(dir, filepath.FromSlash(to))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "LOCK"), []byte("4711"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestInspect compares what is printed of a data folder with testdata/inspect.txt and .json: the parts add up to all bytes.
func TestInspect(t *testing.T) {
	dir := sampleFolder(t)
	named := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(dir), []byte("clew-data")) }
	in := newInspection()
	if err := in.add(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for i := range in.Files {
		in.Files[i].Path = string(named([]byte(in.Files[i].Path)))
	}
	in.sum()
	var text bytes.Buffer
	if err := in.print(&text, 0); err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, filepath.Join("testdata", "inspect.txt"), text.Bytes())
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, filepath.Join("testdata", "inspect.json"), raw)
	var parts int64
	for _, list := range [][]share{in.Parts, in.Log.Parts} {
		for _, s := range list {
			parts += s.Bytes
		}
	}
	if parts != in.Bytes {
		t.Errorf("the parts have %d bytes; the files %d", parts, in.Bytes)
	}
}

// TestInspectCommand runs the command: what is damaged is named, text cannot move the cursor, and a wrong path is an error.
func TestInspectCommand(t *testing.T) {
	dir := sampleFolder(t)
	if r := testkit.Run(t, nil, "inspect", dir, "--top", "3"); r.Status != 0 || !strings.Contains(r.Stdout, "more; --top 0 shows all") {
		t.Errorf("%+v", r)
	}
	path := filepath.Join(dir, "blocks", "000000000001.blk")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[100] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := testkit.Run(t, nil, "inspect", path); r.Status != 1 || !strings.Contains(r.Stdout, "DAMAGED FILE") || !strings.Contains(r.Stderr, "damaged") {
		t.Errorf("%+v", r)
	}
	for want, args := range map[string][]string{
		"inspect what?":                     {"inspect"},
		"no such file":                      {"inspect", filepath.Join(dir, "none")},
		"neither a block nor a log segment": {"inspect", filepath.Join(dir, "LOCK")},
	} {
		if r := testkit.Run(t, nil, args...); r.Status == 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if got := cell("a\x1b[2Jb"); got != `"a\x1b[2Jb"` {
		t.Error(got)
	}
}
