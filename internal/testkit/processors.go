package testkit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The worked examples of processors, built once for all tests of a process, as their README says.
var (
	goProcessor   = sync.OnceValues(buildGoProcessor)
	rustProcessor = sync.OnceValues(buildRustProcessor)
)

// GoProcessor returns the path of the module that examples/processors/go/scrub is built to.
func GoProcessor(t testing.TB) string {
	t.Helper()
	path, err := goProcessor()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// RustProcessor returns the path of the module that examples/processors/rust is built to. Without a Rust that has WebAssembly as a target it
// is the one that is committed, made of the same sources; with $CLEW_UPDATE_RUST set, that is made anew.
func RustProcessor(t testing.TB) string {
	t.Helper()
	path, err := rustProcessor()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(path, "release") {
		t.Logf("there is no Rust for wasm32-unknown-unknown here (Debian: rustc cargo libstd-rust-dev-wasm32 lld): testing %s, which was built before", path)
	}
	return path
}

func buildGoProcessor() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "scrub-test.wasm")
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", tmp, "./scrub")
	cmd.Dir = filepath.Join(root, "examples", "processors", "go")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return path, os.Rename(tmp, path)
}

func buildRustProcessor() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "examples", "processors", "rust")
	kept := filepath.Join(root, "process", "wasm", "testdata", "normalise_sql.wasm")
	sum, err := sourcesOf(dir)
	if err != nil {
		return "", err
	}
	cargo := cargoForWasm()
	if cargo == "" {
		of, err := os.ReadFile(kept + ".sources")
		if err != nil || strings.TrimSpace(string(of)) != sum {
			return "", fmt.Errorf("%s is not made of the sources in %s, and there is no Rust here to make it", kept, dir)
		}
		return kept, nil
	}
	target := filepath.Join(root, "bin", "rust")
	cmd := exec.Command(cargo, "build", "--release", "--offline", "--locked", "--target", "wasm32-unknown-unknown", "--target-dir", target)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(cargo)+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	path := filepath.Join(target, "wasm32-unknown-unknown", "release", "normalise_sql.wasm")
	if os.Getenv("CLEW_UPDATE_RUST") == "" {
		return path, nil
	}
	module, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(kept, module, 0o644)
	}
	if err == nil {
		err = os.WriteFile(kept+".sources", []byte(sum+"\n"), 0o644)
	}
	return path, err
}

// cargoForWasm returns a cargo whose compiler, beside it, has the target; "" if there is none. The system's may have it where the
// user's own has not.
func cargoForWasm() string {
	first, _ := exec.LookPath("cargo")
	for _, cargo := range []string{first, "/usr/bin/cargo"} {
		if _, err := os.Stat(cargo); err != nil {
			continue
		}
		out, err := exec.Command(filepath.Join(filepath.Dir(cargo), "rustc"), "--print", "target-libdir", "--target", "wasm32-unknown-unknown").Output()
		if err != nil {
			continue
		}
		if _, err := os.Stat(strings.TrimSpace(string(out))); err == nil {
			return cargo
		}
	}
	return ""
}

// sourcesOf returns the hash of what the module in a folder is made of.
func sourcesOf(dir string) (string, error) {
	h := sha256.New()
	for _, name := range []string{"Cargo.toml", "src/clew.rs", "src/lib.rs"} {
		raw, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return "", err
		}
		h.Write(fmt.Appendf(nil, "%s %d\n%s", name, len(raw), raw)) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
