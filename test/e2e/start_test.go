package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
)

// quiet are flags that keep a server off all ports, for starts that are to fail.
var quiet = append(testkit.Listen(""), "--log.level", "error")

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCommands checks what is printed where, and with which status.
func TestCommands(t *testing.T) {
	for _, c := range []struct {
		args           []string
		status         int
		stdout, stderr string // what they contain; nothing if empty
	}{
		{nil, 0, "Usage: clew COMMAND [FLAGS]", ""},
		{[]string{"help"}, 0, "clew COMMAND --help says more", ""},
		{[]string{"--help"}, 0, "Usage: clew COMMAND", ""},
		{[]string{"help", "serve"}, 0, "--store.retention", ""},
		{[]string{"serve", "--help"}, 0, "Usage: clew serve [FLAGS]", ""},
		{[]string{"serve", "-h"}, 0, "--data", ""},
		{[]string{"serve", "--print-config"}, 0, "otlp_grpc: \":4317\"", ""},
		{[]string{"version"}, 0, "clew ", ""},
		{[]string{"sevre"}, 2, "", `clew: there is no command "sevre"; clew help lists them` + "\n"},
		{[]string{"help", "sevre"}, 2, "", `there is no command "sevre"`},
		{[]string{"serve", "--stoer.dir", "x"}, 2, "", "clew: flag provided but not defined: -stoer.dir; clew help serve lists the flags\n"},
		{[]string{"serve", "now"}, 2, "", `unexpected argument "now"`},
	} {
		r := testkit.Run(t, nil, c.args...)
		if r.Status != c.status || !strings.Contains(r.Stdout, c.stdout) || !strings.Contains(r.Stderr, c.stderr) ||
			c.stdout == "" && r.Stdout != "" || c.stderr == "" && r.Stderr != "" {
			t.Errorf("clew %v: status %d\nstdout: %.300s\nstderr: %.300s\nwant %+v", c.args, r.Status, r.Stdout, r.Stderr, c)
		}
	}
}

// TestPrintConfig prints the settings in force, starts from what was printed, and prints the same.
func TestPrintConfig(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "a.yaml"), "store:\n  retention: 3d\n  dir: \"a b: #c\"\n")
	first := testkit.Run(t, []string{"CLEW_QUERY_CONCURRENCY=5"}, "serve", "--config", file, "--listen.zipkin", "", "--print-config")
	for _, want := range []string{"retention: 3d", "# " + file + ":2", "concurrency: 5", "# environment CLEW_QUERY_CONCURRENCY", `zipkin: ""`, "# flag --listen.zipkin"} {
		if !strings.Contains(first.Stdout, want) {
			t.Errorf("%q is not in\n%s", want, first.Stdout)
		}
	}
	again := testkit.Run(t, nil, "serve", "--config", write(t, filepath.Join(t.TempDir(), "b.yaml"), first.Stdout), "--print-config")
	strip := func(s string) (out string) {
		for line := range strings.Lines(s) {
			value, _, _ := strings.Cut(line, "  #")
			out += strings.TrimSpace(value) + "\n"
		}
		return out
	}
	if again.Status != 0 || strip(again.Stdout) != strip(first.Stdout) {
		t.Errorf("status %d: printed\n%s\nand from that\n%s%s", again.Status, first.Stdout, again.Stdout, again.Stderr)
	}
}

// TestRefusedStarts checks that what is wrong outside ends the start with status 1, what is wrong in the settings with 2, and both
// with one line that says what, where, and what would be right.
func TestRefusedStarts(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	free := testkit.FreeAddresses(t, 1)[0]
	dir := t.TempDir()
	used := testkit.Start(t)
	magic := "CLWL" // overwritten below by that of a real log
	if logs, err := filepath.Glob(filepath.Join(used.Dir, "wal", "*.log")); err == nil && len(logs) == 1 {
		if b, err := os.ReadFile(logs[0]); err == nil && len(b) >= 4 {
			magic = string(b[:4])
		}
	}
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"bad value in the file", []string{"--config", write(t, filepath.Join(dir, "c.yaml"), "store:\n  retention: week\n")}, 2, `c.yaml:2: store.retention: "week" is not a duration; want one such as 30s, 12h or 7d`},
		{"value out of range", []string{"--store.head_bytes", "1"}, 2, "flag --store.head_bytes: store.head_bytes: is 1; want 64 KiB to 2 GiB"},
		{"port in use", []string{"--listen.query", busy.Addr().String()}, 1, fmt.Sprintf("listen.query: %s is in use by another process; stop that, or choose another with --listen.query", busy.Addr())},
		{"port given twice", []string{"--listen.otlp_http", free, "--listen.zipkin", free}, 1, "listen.zipkin: " + free + " is in use by listen.otlp_http; choose another with --listen.zipkin"},
		{"no such address", []string{"--listen.query", "192.0.2.1:0"}, 1, "listen.query: listen tcp 192.0.2.1:0"},
		{"folder in use", []string{"--data", used.Dir}, 1, fmt.Sprintf("store.dir: data folder %s is in use by another clew (process %d); stop it or choose another folder", used.Dir, used.PID())},
		{"a file where the folder should be", []string{"--data", write(t, filepath.Join(dir, "file"), "")}, 1, "store.dir: make data folder: mkdir " + filepath.Join(dir, "file") + ": not a directory"},
		{"a file where the log should be", []string{"--data", filepath.Dir(write(t, filepath.Join(dir, "w", "wal"), ""))}, 1, "store.dir: make data folder: mkdir " + filepath.Join(dir, "w", "wal") + ": not a directory"},
		{"a file where blocks should be", []string{"--data", filepath.Dir(write(t, filepath.Join(dir, "b", "blocks"), ""))}, 1, "store.dir: make data folder: mkdir " + filepath.Join(dir, "b", "blocks") + ": not a directory"},
		{"a folder where the lock should be", []string{"--data", filepath.Dir(filepath.Dir(write(t, filepath.Join(dir, "l", "LOCK", "x"), "")))}, 1, "store.dir: data folder is not writable: open " + filepath.Join(dir, "l", "LOCK") + ": is a directory"},
		{"a folder where a log should be", []string{"--data", filepath.Dir(filepath.Dir(filepath.Dir(write(t, filepath.Join(dir, "d", "wal", "000000000001.log", "x"), ""))))}, 1, "store.dir: read log: read " + filepath.Join(dir, "d", "wal", "000000000001.log") + ": is a directory"},
		{"a log of a later version", []string{"--data", filepath.Dir(filepath.Dir(write(t, filepath.Join(dir, "v", "wal", "000000000001.log"), magic+"\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")))}, 1, "log format 255; this version of clew reads up to 1"},
	} {
		r := testkit.Run(t, nil, append(append([]string{"serve"}, quiet...), c.args...)...)
		line, rest, _ := strings.Cut(r.Stderr, "\n")
		if r.Status != c.status || !strings.HasPrefix(line, "clew: ") || !strings.Contains(line, c.want) || rest != "" || r.Stdout != "" {
			t.Errorf("%s: status %d; want %d\nstdout %q\nstderr %q\nwant   %q", c.name, r.Status, c.status, r.Stdout, r.Stderr, c.want)
		}
	}
}

// TestDamagedFiles checks that damage in files costs what is damaged, and is told with the file's name, and the start goes on.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	block := write(t, filepath.Join(dir, "blocks", "000000000007.blk"), strings.Repeat("no block ", 1000))
	wal := write(t, filepath.Join(dir, "wal", "000000000001.log"), strings.Repeat("no log ", 1000))
	write(t, filepath.Join(dir, "blocks", "notes.txt"), "of another's")
	s := testkit.StartIn(t, dir)
	for _, path := range []string{block, wal} {
		if len(s.Logged(path)) == 0 {
			t.Errorf("nothing is said of %s", path)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	for _, path := range []string{block, filepath.Join(dir, "blocks", "notes.txt")} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v; want it left alone", path, err)
		}
	}
}

// TestPrefix checks that all that the query port serves moves below query.prefix.
func TestPrefix(t *testing.T) {
	s := testkit.Start(t, "--query.prefix", "/traces/")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]int{
		"/traces/api/services": 200, "/traces/api/services/a%2Fb/operations": 200, "/traces/api/services/a/b/operations": 200, "/traces/api/v1/status": 200, "/traces/api/v3/services": 200, "/traces/api/v4/services": 404, "/traces/analytics/v1/dependencies?service=a": 200, "/": 307, "/api/services": 307,
	} {
		r, err := client.Get(s.URL("query") + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("GET %s: %d; want %d", path, r.StatusCode, want)
		}
		if want == 307 && r.Header.Get("Location") != "/traces/" {
			t.Errorf("GET %s: to %s", path, r.Header.Get("Location"))
		}
	}
}
