package testkit

import (
	"os/exec"
	"strings"
	"testing"
)

// TestJaeger builds Jaeger unless it is built, which is what build/test.go calls it for before other tests need it.
func TestJaeger(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a Jaeger")
	}
	out, err := exec.Command(Jaeger(t), "version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"gitVersion"`) {
		t.Errorf("jaeger version: %v: %s", err, out)
	}
}
