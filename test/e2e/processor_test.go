package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/wire/otlp"
)

// TestProcessorCommand has clew processor test process a trace with everything in it by modules that do everything that the SDKs can, one in
// Go and one in Rust, which must come to the same.
func TestProcessorCommand(t *testing.T) {
	spans := filepath.Join(t.TempDir(), "spans.json")
	if err := os.WriteFile(spans, otlp.AppendJSON(nil, testkit.Sample()), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, module := range map[string]string{"Go": testkit.GoProcessor(t, "tour"), "Rust": testkit.RustTour(t)} {
		if module == "" {
			t.Logf("there is no %s here: not tested", name)
			continue
		}
		var out, said strings.Builder
		cmd := exec.Command(testkit.Binary(t), "processor", "test", "--timeout", "1m", module, spans)
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, &said)
		}
		testkit.Golden(t, "testdata/tour.json", []byte(out.String()))
		if !strings.Contains(said.String(), "the tour begins") || !strings.Contains(said.String(), "0 dropped") {
			t.Errorf("%s: it said %s", name, &said)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"test", "--config", "x", testkit.GoProcessor(t, "tour"), spans}, "there is nothing to configure"},
		{[]string{"test", "../../process/wasm/testdata/crash.wasm", spans}, "crash.wasm failed"},
		{[]string{"test", spans, spans}, "is not a WebAssembly module"},
		{[]string{"test", "no.wasm", spans}, "no such file"},
		{[]string{"test", "no.wasm"}, "want: clew processor test MODULE SPANS.json"},
		{[]string{"test", "../../process/wasm/testdata/crash.wasm", "../../go.mod"}, "not OTLP/JSON"},
	} {
		out, err := exec.Command(testkit.Binary(t), append([]string{"processor"}, c.args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v, %s; want %q", c.args, err, out, c.want)
		}
	}
}
