package input_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// TestLimitsAreDocumented: docs/limits.md has every reason for which something is refused.
func TestLimitsAreDocumented(t *testing.T) {
	root, err := testkit.Root()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	reasons := []string{"busy", "internal", "too_large", "invalid", "cut_off", "undecodable", "content_encoding", "content_type", "method", "not_traces", "path"}
	for r := range trace.NumReasons {
		reasons = append(reasons, r.String())
	}
	for _, r := range reasons {
		if !strings.Contains(string(doc), "`"+r+"`") {
			t.Errorf("docs/limits.md does not name the reason %s", r)
		}
	}
	for _, setting := range []string{"receive.body_bytes", "receive.held_bytes", "receive.span_bytes", "receive.timeout", "receive.future", "store.retention", "otlp.cors_origins"} {
		if !strings.Contains(string(doc), "`"+setting+"`") {
			t.Errorf("docs/limits.md does not name the setting %s", setting)
		}
	}
}
