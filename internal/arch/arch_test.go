package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/clewtrace/clew"

// arrows is what each room may import of ours, by the first folder of its path. A room that is not here is a wrong one.
// A room may import what lies in itself, unless inside says which.
var arrows = map[string][]string{
	"trace":    {},
	"ui":       {},
	"wire":     {"trace"},
	"receive":  {"wire", "trace"},
	"process":  {"trace"},
	"forward":  {"wire", "trace", "store/spool/wal"}, // decision 008: its queues are logs
	"access":   {"trace"},
	"store":    {"trace"},
	"query":    {"trace"},
	"insight":  {"trace"},
	"api":      {"query", "insight", "wire", "trace"},
	"load":     {"wire", "trace"},
	"demo":     {"wire", "trace"},
	"cmd":      {"access", "api", "demo", "forward", "insight", "load", "process", "query", "receive", "store", "trace", "ui", "wire"},
	"internal": {"trace"}, // testkit makes traces
	"build":    {},
	"bench":    {"internal", "load", "trace"},
	"test":     {"internal", "load", "trace", "wire"},
	"examples": {"internal"},
}

// Budgets of size and reach; raised only by a decision record in docs/decisions.
const (
	maxPackageLines   = 7000 // decision 003
	minPackageLines   = 80   // less must merge upward
	maxFileLines      = 1000
	maxFunctionLines  = 70
	maxParameters     = 4
	maxDepth          = 8  // import chain from the binary
	maxReach          = 60 // packages of ours in the binary; decision 006
	maxSpanWay        = 8  // packages from the socket to the disk; decision 003
	maxDirectRequires = 32 // decision 006
)

// small are packages that may stay below minPackageLines: they are rooms of which more is to come, or rules.
var small = []string{"internal/arch", "query", "api/admin", "receive", "receive/zipkin", "wire/jaeger", "ui"}

var forbiddenNames = []string{"pkg", "util", "utils", "common", "helpers", "types", "models", "core", "manager"}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath, Dir, Name, Doc               string
	GoFiles, Imports, TestImports, TestFiles []string
	XTestImports, TestGoFiles, XTestGoFiles  []string
}

func (p *pkg) path() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

func room(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

func packages(t *testing.T) map[string]*pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json", module+"/...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]*pkg{}
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		p := new(pkg)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if rel := p.path(); !strings.Contains(rel, "node_modules/") {
			all[rel] = p
		}
	}
}

func TestArrows(t *testing.T) {
	for path, p := range packages(t) {
		allowed, ok := arrows[room(path)]
		if !ok {
			t.Errorf("%s: there is no such room; the rooms are in ARCHITECTURE.md", path)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, module+"/")
			if ours && room(to) != room(path) && !slices.Contains(allowed, room(to)) && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s: %s may import %v", path, to, room(path), allowed)
			}
			if strings.HasPrefix(imp, "k8s.io/") && room(path) != "kube" {
				t.Errorf("%s imports %s: Kubernetes client libraries are for kube alone", path, imp)
			}
			if !ours && strings.Contains(imp, ".") && (room(path) == "trace" || path == "ui") {
				t.Errorf("%s imports %s: it may import the standard library alone", path, imp)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for path, p := range packages(t) {
		for part := range strings.SplitSeq(path, "/") {
			if slices.Contains(forbiddenNames, part) {
				t.Errorf("%s: a folder named %s says nothing", path, part)
			}
		}
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", path)
		}
		if depth := strings.Count(path, "/"); depth > 2 {
			t.Errorf("%s: %d folders below its room; at most 2", path, depth)
		}
	}
}

func TestDepthAndReach(t *testing.T) {
	all := packages(t)
	depth := map[string]int{}
	var walk func(path string) int
	walk = func(path string) int {
		if d, ok := depth[path]; ok {
			return d
		}
		deepest := 0
		for _, imp := range all[path].Imports {
			if to, ours := strings.CutPrefix(imp, module+"/"); ours {
				deepest = max(deepest, walk(to)+1)
			}
		}
		depth[path] = deepest
		return deepest
	}
	if d := walk("cmd/clew"); d > maxDepth {
		t.Errorf("the longest import chain from cmd/clew has %d steps; at most %d", d, maxDepth)
	}
	if len(depth) > maxReach {
		t.Errorf("cmd/clew reaches %d packages of ours; at most %d", len(depth), maxReach)
	}
	way := map[string]bool{}
	for _, start := range []string{"receive/otlp", "store/spool"} {
		clear(depth)
		walk(start)
		for p := range maps.Keys(depth) {
			way[p] = true
		}
	}
	delete(way, "store/census") // decision 004
	if len(way) > maxSpanWay {
		t.Errorf("a span goes through %v; at most %d packages", slices.Sorted(maps.Keys(way)), maxSpanWay)
	}
}

func TestRequirements(t *testing.T) {
	raw, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	record, err := os.ReadFile("../../docs/decisions/001-dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := 0
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.Contains(line, "// indirect") || !strings.Contains(fields[0], ".") || !strings.HasPrefix(fields[1], "v") {
			continue
		}
		direct++
		if !bytes.Contains(record, []byte(fields[0])) {
			t.Errorf("%s has no line in docs/decisions/001-dependencies.md that says why", fields[0])
		}
	}
	if direct == 0 || direct > maxDirectRequires {
		t.Errorf("%d direct dependencies; want 1 to %d", direct, maxDirectRequires)
	}
}

// TestTracked keeps out of the repository what ties it to a machine.
func TestTracked(t *testing.T) {
	out, err := exec.Command("git", "-C", "../..", "ls-files", "-z").Output()
	if err != nil {
		t.Skip("not a git checkout: nothing is tracked")
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if st, err := os.Stat(filepath.Join("../..", name)); err == nil && st.Size() > 2<<20 {
			t.Errorf("%s has %d bytes: it does not belong in the repository", name, st.Size())
		}
	}
}
