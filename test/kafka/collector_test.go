package kafka_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// TestCollector has a real OpenTelemetry Collector write to Kafka in each of its encodings, and finds the spans in Clew.
func TestCollector(t *testing.T) {
	b := brokerOf(t)
	encodings := []string{"otlp_proto", "otlp_json", "jaeger_proto", "jaeger_json", "zipkin_json", "zipkin_proto"}
	var receivers, exporters, pipelines, topics, addresses []string
	for n, encoding := range encodings {
		topic, address := b.topic(t, strings.ReplaceAll(encoding, "_", "-"), 2), testkit.FreeAddresses(t, 1)[0]
		topics, addresses = append(topics, topic+"="+encoding), append(addresses, address)
		receivers = append(receivers, fmt.Sprintf("  otlp/%d: {protocols: {http: {endpoint: %q}}}", n, address))
		exporters = append(exporters, fmt.Sprintf("  kafka/%d: {brokers: [%q], traces: {topic: %s, encoding: %s}}", n, b.plain, topic, encoding))
		pipelines = append(pipelines, fmt.Sprintf("    traces/%d: {receivers: [otlp/%d], exporters: [kafka/%d]}", n, n, n))
	}
	startCollector(t, strings.Join([]string{
		"receivers:", strings.Join(receivers, "\n"), "exporters:", strings.Join(exporters, "\n"),
		"service:", "  telemetry: {metrics: {level: none}}", "  pipelines:", strings.Join(pipelines, "\n"), "",
	}, "\n"))
	for n := range encodings {
		body := trace.AppendTraces(nil, spansOf(traceID(t, n), 1, 50))
		eventually(t, "the Collector takes spans", func() bool {
			resp, err := http.Post("http://"+addresses[n]+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
			if err != nil {
				return false // it does not listen yet
			}
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
	}
	s := testkit.Start(t, b.flags("collector", topics...)...)
	for n, encoding := range encodings {
		eventually(t, encoding+" is stored", func() bool { return len(stored(t, s, traceID(t, n))) >= 50 })
		if d := cmp.Diff(upTo(50), stored(t, s, traceID(t, n))); d != "" {
			t.Errorf("%s: %s", encoding, d)
		}
	}
}

// startCollector starts a Collector, and ends it with the test.
func startCollector(t *testing.T, config string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "collector.yaml")
	write(t, path, config)
	var log bytes.Buffer
	cmd := exec.Command(testkit.Program(t, "../collector/current"), "--config", path)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &log, &log, testkit.Child()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // how it ends is its own affair
		late.Stop()
		if t.Failed() {
			t.Logf("log of the Collector:\n%s", log.String())
		}
	})
}
