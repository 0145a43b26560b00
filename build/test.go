package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// testAll runs everything: what is independent side by side, one lane a core, since the machines it runs on are small.
func testAll(ctx context.Context, args []string) error {
	t := &tally{}
	err := errors.Join(
		need(ctx),
		installPage(ctx),
	)
	if err != nil {
		return err
	}
	if err := step(ctx, "build the page", func(ctx context.Context) error { return quiet(ctx, npm("run", "build")) }); err != nil {
		return err
	}
	if err := step(ctx, "build "+binary, buildBinary); err != nil {
		return err
	}
	if len(args) == 0 {
		if err := buildJaeger(ctx, "-race"); err != nil {
			return err
		}
	}
	var lanes sync.WaitGroup
	var lintErr, pageErr, goErr error
	lanes.Go(func() {
		pageErr = step(ctx, "check the page", func(ctx context.Context) error { return checkPage(ctx, t) })
		lintErr = lint(ctx)
	})
	lanes.Go(func() {
		goErr = step(ctx, "go test -race", func(ctx context.Context) error {
			all, err := packages(ctx, args)
			if err != nil {
				return err
			}
			return t.goTest(ctx, append([]string{"-race", "-timeout=30m"}, all...))
		})
	})
	lanes.Wait()
	if len(args) == 0 {
		goErr = errors.Join(goErr, step(ctx, "go test "+overload, func(ctx context.Context) error { return t.goTest(ctx, []string{"-timeout=30m", overload}) }))
	}
	browserErr := step(ctx, "test the page in a browser", t.playwright)
	err = errors.Join(pageErr, lintErr, goErr, browserErr, ctx.Err())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Println(t)
	if err != nil {
		return errors.New("not all is well; see above")
	}
	return nil
}

// overload is tested alone, and without the race detector, with which it could not send more than the server can take.
const overload = "./test/overload"

// packages returns what was named, or all packages but overload.
func packages(ctx context.Context, args []string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	out, err := output(ctx, call{name: "go", args: []string{"list", "./..."}})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(strings.Fields(out), func(p string) bool { return strings.HasSuffix(p, strings.TrimPrefix(overload, ".")) }), nil
}

// endToEnd runs what needs a running server: the browser's tests and test/.
func endToEnd(ctx context.Context, args []string) error {
	if err := errors.Join(need(ctx), buildAll(ctx, nil)); err != nil {
		return err
	}
	t := &tally{}
	if len(args) == 0 {
		if err := buildJaeger(ctx); err != nil {
			return err
		}
		args = []string{"./test/...", "./examples/..."}
	}
	err := errors.Join(
		step(ctx, "go test "+strings.Join(args, " "), func(ctx context.Context) error { return t.goTest(ctx, append([]string{"-timeout=30m"}, args...)) }),
		step(ctx, "test the page in a browser", t.playwright),
	)
	fmt.Println(t)
	return err
}

// buildJaeger builds the Jaeger that some tests ask, into the user's cache. The first time it takes minutes of all cores: alone, it does not make the tests late
// that run beside it.
func buildJaeger(ctx context.Context, flags ...string) error {
	return step(ctx, "build Jaeger, which tests ask (minutes, on a new machine)", func(ctx context.Context) error {
		return quiet(ctx, call{name: "go", args: append([]string{"test", "-count=1", "-timeout=30m", "-run=^TestJaeger$", "./internal/testkit"}, flags...)})
	})
}

// need looks for what the tests call, and installs with the system's packages what a script may: on Debian, as root.
func need(ctx context.Context) error {
	var missing []string
	var packages []string
	for _, tool := range []struct{ command, pkg, why string }{
		{"node", "nodejs", "the page and its tests, Node.js 20 or newer"},
		{"npm", "npm", "the page and its tests"},
		{"gcc", "gcc", "Go's race detector"},
		{"python3", "python3-venv", "the test of the Python SDK"},
		{"java", "openjdk-17-jdk-headless", "the test of the Java SDK"},
		{"mvn", "maven", "the test of the Java SDK"},
		{chromium(), "chromium", "the browser's tests; $CLEW_CHROMIUM names another browser of its kind"},
		{wasmRust(), "rustc cargo libstd-rust-dev-wasm32 lld", "the processor in Rust; without apt-get a module that was built before is tested"},
	} {
		if _, err := exec.LookPath(tool.command); err == nil || tool.command == "" {
			continue
		}
		missing = append(missing, fmt.Sprintf("  %-10s for %s", filepath.Base(tool.command), tool.why))
		packages = append(packages, strings.Fields(tool.pkg)...)
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("the tests need, and this machine has not:\n%s\non Debian: apt-get install %s", strings.Join(missing, "\n"), strings.Join(packages, " "))
	}
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	return step(ctx, "install "+strings.Join(packages, ", "), func(ctx context.Context) error {
		if err := quiet(ctx, call{env: env, name: "apt-get", args: []string{"update"}}); err != nil {
			return err
		}
		return quiet(ctx, call{env: env, name: "apt-get", args: append([]string{"install", "-y", "--no-install-recommends"}, packages...)})
	})
}

// wasmRust is the compiler of Debian's packages, which has WebAssembly as a target; that of rustup has not until it is told. It is nothing that
// other systems must have.
func wasmRust() string {
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return ""
	}
	return "/usr/bin/rustc"
}

func chromium() string {
	if path := os.Getenv("CLEW_CHROMIUM"); path != "" {
		return path
	}
	return "/usr/bin/chromium"
}

// fuzz runs every fuzz target for a while, one after the other.
func fuzz(ctx context.Context, _ []string) error {
	forTime := os.Getenv("FUZZTIME")
	if forTime == "" {
		forTime = "1m"
	}
	list, err := output(ctx, call{name: "go", args: []string{"test", "-list", "^Fuzz", "./..."}})
	if err != nil {
		return err
	}
	var targets []string
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) == 1 && strings.HasPrefix(fields[0], "Fuzz") {
			targets = append(targets, fields[0])
			continue
		}
		if len(fields) >= 2 && fields[0] == "ok" {
			for _, target := range targets {
				c := call{name: "go", args: []string{"test", "-run", "^$", "-fuzz", "^" + target + "$", "-fuzztime", forTime, fields[1]}}
				if err := step(ctx, target+" in "+fields[1], func(ctx context.Context) error { return quiet(ctx, c) }); err != nil {
					return err
				}
			}
		}
		targets = nil
	}
	return nil
}
