package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// call is a command to run, from the repository's root unless dir says otherwise.
type call struct {
	dir  string
	env  []string // added to the environment
	name string
	args []string
}

func (c call) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.name, c.args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	// Stopped gently first: what it started ends with it.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

func (c call) String() string { return strings.Join(append([]string{c.name}, c.args...), " ") }

// stream runs a command with its output on ours.
func stream(ctx context.Context, c call) error {
	cmd := c.command(ctx)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	return nil
}

// quiet runs a command; the error of one that fails has its output.
func quiet(ctx context.Context, c call) error {
	out, err := c.command(ctx).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", c, err, bytes.TrimSpace(out))
	}
	return nil
}

// output runs a command and returns what it printed on standard output.
func output(ctx context.Context, c call) (string, error) {
	var stderr bytes.Buffer
	cmd := c.command(ctx)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", c, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}

// step says what is being done, and how long it took.
func step(ctx context.Context, what string, do func(context.Context) error) error {
	fmt.Println("…", what)
	begin := time.Now()
	err := do(ctx)
	mark := "✔"
	if err != nil {
		mark = "✖"
	}
	fmt.Printf("%s %s (%.1f s)\n", mark, what, time.Since(begin).Seconds())
	return err
}
