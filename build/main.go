// Command build is what make forwards to: it builds, runs, checks and measures Clew, the same way on every machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// task is something a developer can ask for.
type task struct {
	name, summary string
	run           func(ctx context.Context, args []string) error
}

func tasks() []task {
	return []task{
		{"run", "build, and start clew serve with its data in ./clew-data", runServe},
		{"build", "build bin/clew with its page", buildAll},
		{"ui", "build the page alone, into ui/dist", func(ctx context.Context, _ []string) error { return buildPage(ctx) }},
		{"test", "install what the tests need and run all of them, lint included", testAll},
		{"lint", "check the code and its format", func(ctx context.Context, _ []string) error { return lint(ctx) }},
		{"e2e", "the tests against real clients, a real browser and a killed server", endToEnd},
		{"bench", "measure the server and write docs/performance.md's tables", bench},
		{"fuzz", "fuzz every decoder, a minute each, or for FUZZTIME", fuzz},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	name := "help"
	if len(args) > 0 {
		name = args[0]
	}
	for _, t := range tasks() {
		if t.name == name {
			return t.run(ctx, args[1:])
		}
	}
	fmt.Println("make TASK, or go run ./build TASK:")
	for _, t := range tasks() {
		fmt.Printf("  %-6s %s\n", t.name, t.summary)
	}
	if name != "help" {
		return fmt.Errorf("there is no task %q", name)
	}
	return nil
}

// findRoot returns the folder above with the go.mod.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("run me inside the repository")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

func runServe(ctx context.Context, args []string) error {
	if err := buildAll(ctx, nil); err != nil {
		return err
	}
	return stream(ctx, call{name: binary, args: append([]string{"serve"}, args...)})
}

const binary = "bin/clew"

func buildAll(ctx context.Context, _ []string) error {
	if err := buildPage(ctx); err != nil {
		return err
	}
	return step(ctx, "build "+binary, buildBinary)
}

func buildBinary(ctx context.Context) error {
	return quiet(ctx, call{name: "go", args: []string{"build", "-o", binary, "./cmd/clew"}})
}

func bench(ctx context.Context, args []string) error {
	if err := buildAll(ctx, nil); err != nil {
		return err
	}
	return stream(ctx, call{name: "go", args: append([]string{"run", "./bench", "-clew", binary}, args...)})
}
