// Package openapi holds a running server against the OpenAPI document that it serves, by validators that are not ours.
package openapi

import (
	"bytes"
	"net/http"
	"os/exec"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/wire/otlp"
)

// TestAnswers has a program in Python make each call of the document, with right and with wrong parameters.
func TestAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("installs packages")
	}
	python := testkit.PythonWith(t, "python")
	s := testkit.Start(t, "--admin.pprof", "--store.retention", "0")
	r, err := http.Post(s.URL("otlp_http")+"/v1/traces", "application/json", bytes.NewReader(otlp.AppendJSON(nil, testkit.Sample())))
	if err != nil {
		t.Fatal(err)
	}
	if _ = r.Body.Close(); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	out, err := exec.CommandContext(t.Context(), python, "python/check.py", s.URL("query"), s.URL("admin"), testkit.Sample()[0].TraceID.String()).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
