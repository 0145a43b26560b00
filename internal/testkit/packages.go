package testkit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Tool returns the path of a command that a test calls. Without it the test fails and says what to install.
func Tool(t testing.TB, command, install string) string {
	t.Helper()
	path, err := exec.LookPath(command)
	if err != nil {
		t.Fatalf("this test calls %s, which is not here: install %s", command, install)
	}
	return path
}

// NodeModules returns the node_modules folder with what the package-lock.json in dir pins, for $NODE_PATH.
func NodeModules(t testing.TB, dir string) string {
	t.Helper()
	const install = "Node.js 20 or newer with npm (Debian: nodejs npm)"
	Tool(t, "node", install)
	npm := Tool(t, "npm", install)
	return filepath.Join(pins{dir: dir, files: []string{"package.json", "package-lock.json", ".npmrc"}, install: func(at string) error {
		return run(t, at, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	}}.installed(t), "node_modules")
}

// Program returns the path of the Go program in dir, which is a module of its own: built once for what its go.mod, go.sum and source say.
func Program(t testing.TB, dir string) string {
	t.Helper()
	files := []string{"go.mod", "go.sum"}
	source, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range source {
		files = append(files, filepath.Base(path))
	}
	return filepath.Join(pins{dir: dir, files: files, install: func(at string) error {
		return run(t, at, "go", "build", "-o", "program", ".")
	}}.installed(t), "program")
}

// PythonWith returns a python3 that has the packages of the requirements.txt in dir.
func PythonWith(t testing.TB, dir string) string {
	t.Helper()
	python := Tool(t, "python3", "Python 3.10 or newer with venv (Debian: python3-venv)")
	version, err := exec.Command(python, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", python, err)
	}
	at := pins{dir: dir, files: []string{"requirements.txt"}, also: []string{python, string(version)}, install: func(at string) error {
		if err := run(t, at, python, "-m", "venv", "venv"); err != nil {
			return err
		}
		return run(t, at, filepath.Join(at, "venv", "bin", "python"), "-m", "pip", "install", "--quiet", "--no-input", "--requirement", "requirements.txt")
	}}.installed(t)
	return filepath.Join(at, "venv", "bin", "python")
}

// ClassPath returns the class path of the jars that the pom.xml in dir names.
func ClassPath(t testing.TB, dir string) string {
	t.Helper()
	mvn := Tool(t, "mvn", "Maven and a JDK, 17 or newer (Debian: maven openjdk-17-jdk-headless)")
	return filepath.Join(pins{dir: dir, files: []string{"pom.xml"}, install: func(at string) error {
		return run(t, at, mvn, "--batch-mode", "--quiet", "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(at, "jars"))
	}}.installed(t), "jars", "*")
}

// pins are packages with their versions, as some files name them.
type pins struct {
	dir     string
	files   []string // in dir, copied to where install is called
	also    []string // what else matters
	install func(at string) error
}

// installed returns the folder of the user's cache in which the packages are, and puts them there if they are not. Its name is by
// what the files say; it appears when it is complete, so that test runs side by side do not meet in it.
func (p pins) installed(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	key := fmt.Appendf(nil, "%q\n", p.also)
	for _, name := range p.files {
		content, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		key = fmt.Appendf(key, "%q %q\n", name, content)
	}
	hash := sha256.Sum256(key)
	final := filepath.Join(cache, "clew-test", filepath.Ext(p.files[0])[1:]+"-"+hex.EncodeToString(hash[:8]))
	if _, err := os.Stat(final); err == nil {
		return final
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		t.Fatal(err)
	}
	at, err := os.MkdirTemp(filepath.Dir(final), "unfinished-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(at) }() // it is renamed, or of no use
	for _, name := range p.files {
		content, err := os.ReadFile(filepath.Join(p.dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(at, name), content, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := p.install(at); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(at, final); err != nil {
		if _, there := os.Stat(final); there != nil { // else another run was faster
			t.Fatal(err)
		}
	}
	return final
}

func run(t testing.TB, dir, command string, args ...string) error {
	cmd := exec.CommandContext(t.Context(), command, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(command), strings.Join(args, " "), err, out)
	}
	return nil
}
