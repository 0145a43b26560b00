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

// GoProcessor returns the path of the module that an example in examples/processors/go is built to, as its README says.
func GoProcessor(t testing.TB, name string) string {
	t.Helper()
	path, err := buildGoProcessor(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// rustProcessor builds it once for all tests of a process.
var rustProcessor = sync.OnceValues(buildRustProcessor)

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

// RustTour returns the path of the module that the tour of the SDK in Rust is built to; "" if there is no Rust for it.
func RustTour(t testing.TB) string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	cargo := cargoForWasm()
	if cargo == "" {
		return ""
	}
	release, err := buildRust(cargo, root, "--example", "tour")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(release, "examples", "tour.wasm")
}

// buildRust builds a part of the Rust examples, and returns the folder that the modules are in.
func buildRust(cargo, root string, part ...string) (string, error) {
	target := filepath.Join(root, "bin", "rust")
	args := append([]string{"build", "--release", "--offline", "--locked", "--target", "wasm32-unknown-unknown", "--target-dir", target}, part...)
	cmd := exec.Command(cargo, args...)
	cmd.Dir = filepath.Join(root, "examples", "processors", "rust")
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(cargo)+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return filepath.Join(target, "wasm32-unknown-unknown", "release"), nil
}

func buildGoProcessor(name string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", name+"-test.wasm")
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", tmp, "./"+name)
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
	release, err := buildRust(cargo, root, "--lib")
	if err != nil {
		return "", err
	}
	path := filepath.Join(release, "normalise_sql.wasm")
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
