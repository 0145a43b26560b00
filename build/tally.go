package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// tally counts tests of all runners.
type tally struct {
	mu                      sync.Mutex
	passed, failed, skipped int
}

func (t *tally) add(passed, failed, skipped int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passed += passed
	t.failed += failed
	t.skipped += skipped
}

// String returns the closing line that tools which read test results know.
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := fmt.Sprintf("%d passed, %d failed", t.passed, t.failed)
	if t.skipped > 0 {
		s += fmt.Sprintf(", %d skipped", t.skipped)
	}
	return s
}

// goTest runs go test, prints a line a package and all that a failed test printed, and counts.
func (t *tally) goTest(ctx context.Context, args []string) error {
	bin, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	c := call{name: "go", args: append([]string{"test", "-json"}, args...), env: []string{"CLEW_BIN=" + bin}}
	cmd := c.command(ctx)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	t.readGo(out)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	return nil
}

// goEvent is a line of go test -json; see go doc test2json.
type goEvent struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

func (t *tally) readGo(r io.Reader) {
	said := map[string]*strings.Builder{} // by package and test
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e goEvent
		if json.Unmarshal(line, &e) == nil {
			t.goEvent(&e, said)
		} else if len(bytes.TrimSpace(line)) > 0 {
			fmt.Printf("%s", line)
		}
		if err != nil {
			return
		}
	}
}

func (t *tally) goEvent(e *goEvent, said map[string]*strings.Builder) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Print(e.Output)
	case "output":
		if said[key] == nil {
			said[key] = &strings.Builder{}
		}
		said[key].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			if e.Action != "skip" { // no test files
				fmt.Printf("  %s %s (%.1f s)\n", e.Action, e.Package, e.Elapsed)
			}
			if e.Action == "fail" && said[key] != nil {
				fmt.Print(said[key])
			}
			break
		}
		switch e.Action {
		case "pass":
			t.add(1, 0, 0)
		case "fail":
			t.add(0, 1, 0)
			fmt.Print(said[key])
		case "skip":
			t.add(0, 0, 1)
			fmt.Print(said[key])
		}
		delete(said, key)
	}
}

// vitest runs the page's unit tests.
func (t *tally) vitest(ctx context.Context) error {
	var r struct{ NumPassedTests, NumFailedTests, NumPendingTests int }
	err := t.report(ctx, &r, func(file string) call {
		return npm("exec", "--", "vitest", "run", "--reporter=default", "--reporter=json", "--outputFile.json="+file)
	})
	t.add(r.NumPassedTests, r.NumFailedTests, r.NumPendingTests)
	return err
}

// playwright runs the page's tests in a browser.
func (t *tally) playwright(ctx context.Context) error {
	var r struct {
		Stats struct{ Expected, Unexpected, Flaky, Skipped int }
	}
	err := t.report(ctx, &r, func(file string) call {
		c := npm("exec", "--", "playwright", "test", "--reporter=list,json")
		c.env = []string{"PLAYWRIGHT_JSON_OUTPUT_NAME=" + file}
		return c
	})
	t.add(r.Stats.Expected+r.Stats.Flaky, r.Stats.Unexpected, r.Stats.Skipped)
	return err
}

// report runs a command that writes a JSON report to a file, and reads that.
func (t *tally) report(ctx context.Context, into any, with func(file string) call) error {
	dir, err := os.MkdirTemp("", "clew-report-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "report.json")
	err = quiet(ctx, with(file))
	raw, readErr := os.ReadFile(file)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return errors.Join(err, json.Unmarshal(raw, into))
}
