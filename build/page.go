package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func npm(args ...string) call { return call{dir: "ui", name: "npm", args: args} }

// buildPage builds the page into ui/dist, from where the binary takes it.
func buildPage(ctx context.Context) error {
	if err := installPage(ctx); err != nil {
		return err
	}
	return step(ctx, "build the page", func(ctx context.Context) error { return quiet(ctx, npm("run", "build")) })
}

// installPage installs the page's dependencies if the lock file has changed since the last time.
func installPage(ctx context.Context) error {
	if _, err := exec.LookPath("npm"); err != nil {
		return fmt.Errorf("the page needs Node.js 20 or newer with npm: %w", err)
	}
	lock, err := os.ReadFile("ui/package-lock.json")
	if err != nil {
		return err
	}
	mark := filepath.Join("ui", "node_modules", ".installed-lock.json")
	if installed, err := os.ReadFile(mark); err == nil && bytes.Equal(installed, lock) {
		return nil
	}
	return step(ctx, "install the page's dependencies", func(ctx context.Context) error {
		if err := quiet(ctx, npm("ci", "--no-audit", "--no-fund")); err != nil {
			return err
		}
		return os.WriteFile(mark, lock, 0o644)
	})
}

// checkPage checks types and format, and runs the page's unit tests.
func checkPage(ctx context.Context, t *tally) error {
	if err := quiet(ctx, npm("run", "check")); err != nil {
		return err
	}
	return t.vitest(ctx)
}
