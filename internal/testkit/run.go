package testkit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
)

// Result is how a command ended.
type Result struct {
	Status         int
	Stdout, Stderr string
}

// Run runs clew with arguments, and variables added to the environment, until it ends or the test does.
func Run(t testing.TB, environ []string, args ...string) Result {
	t.Helper()
	binary := Binary(t) // which may have to be built: that is not the command's time
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &stdout, &stderr, t.TempDir()
	cmd.Env = append(os.Environ(), environ...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("clew %v: %v\n%s", args, err, stderr.String())
	}
	return Result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}
