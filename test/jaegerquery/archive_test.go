package jaegerquery

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// status makes a request and returns the status of its answer.
func status(t *testing.T, method, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestArchived archives one of two traces that are a year old, and starts the server anew with a retention of a week, on its folder and on one that a
// backup is restored to: the archived one is there in every API, until it is deleted.
func TestArchived(t *testing.T) {
	dir := t.TempDir()
	s := testkit.StartIn(t, dir, "--store.retention", "0")
	send(t, s, s.URL("otlp_http"), testkit.Sample())
	send(t, s, s.URL("otlp_http"), large(7)[:10])
	if got := status(t, http.MethodPost, s.URL("query")+"/api/archive/"+sampleID); got != http.StatusOK {
		t.Fatalf("archive: %d", got)
	}
	backup, restored := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	for _, command := range [][]string{{"backup", backup, "--admin", s.URL("admin")}, {"backup", "--verify", backup}, {"restore", backup, "--data", restored}} {
		if r := testkit.Run(t, nil, command...); r.Status != 0 {
			t.Fatalf("clew %v: %+v", command, r)
		}
	}
	s.Kill()
	for _, dir := range []string{dir, restored} {
		keptIn(t, dir)
	}
}

// keptIn starts a server on a folder, and asks it.
func keptIn(t *testing.T, dir string) {
	t.Helper()
	s := testkit.StartIn(t, dir, "--store.retention", "7d")
	paths := []string{"/api/traces/%s", "/api/v3/traces/%s", "/api/v1/traces/%s"}
	for deadline := time.Now().Add(time.Minute); status(t, http.MethodGet, s.URL("query")+"/api/traces/7") != http.StatusNotFound; {
		if time.Now().After(deadline) {
			t.Fatal("the retention deletes nothing")
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, path := range paths {
		if got := status(t, http.MethodGet, s.URL("query")+fmt.Sprintf(path, sampleID)); got != http.StatusOK {
			t.Errorf("%s: %d", path, got)
		}
	}
	if got := status(t, http.MethodGet, s.URL("zipkin")+"/api/v2/trace/"+sampleID); got != http.StatusOK {
		t.Errorf("Zipkin: %d", got)
	}
	if got := status(t, http.MethodPost, s.URL("query")+"/api/archive/"+sampleID); got != http.StatusOK {
		t.Errorf("archive what is archived: %d", got)
	}
	if got := status(t, http.MethodDelete, s.URL("admin")+"/api/v1/traces/"+sampleID); got != http.StatusOK {
		t.Errorf("delete: %d", got)
	}
	for _, path := range paths {
		if got := status(t, http.MethodGet, s.URL("query")+fmt.Sprintf(path, sampleID)); got != http.StatusNotFound {
			t.Errorf("%s after the deletion: %d", path, got)
		}
	}
	s.Kill()
}
