package e2e_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// TestDemo runs the demo until its nine services are in the store, and stops it: the shop goes first, the backend keeps its spans.
func TestDemo(t *testing.T) {
	t.Parallel()
	demo := testkit.StartDemo(t, "--rate", "30")
	var got struct{ Services []string }
	for deadline := time.Now().Add(2 * time.Minute); len(got.Services) < 9; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("services so far: %v; want nine", got.Services)
		}
		resp, err := http.Get(demo.URL("query") + "/api/v1/services")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close(), json.Unmarshal(body, &got)); err != nil {
			t.Fatal(err)
		}
	}
	if err := demo.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if lines := demo.Logged(`"level":"ERROR"`); len(lines) > 0 {
		t.Errorf("the log has errors: %v", lines)
	}
}
