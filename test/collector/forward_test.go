package collector

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
)

// TestForward has Clew forward to each of a Collector's receivers, which sends what it gets to another Clew: all of it must be there.
func TestForward(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a Collector")
	}
	program := testkit.Program(t, "current")
	last, direct := testkit.Start(t), testkit.Start(t)
	ports := testkit.FreeAddresses(t, 5)
	startCollector(t, program, fmt.Sprintf(`
receivers:
  otlp: {protocols: {grpc: {endpoint: "%s"}, http: {endpoint: "%s"}}}
  jaeger: {protocols: {grpc: {endpoint: "%s"}, thrift_http: {endpoint: "%s"}}}
  zipkin: {endpoint: "%s"}
exporters: {otlp: {endpoint: "%s", tls: {insecure: true}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp, jaeger, zipkin], exporters: [otlp]}}
`, ports[0], ports[1], ports[2], ports[3], ports[4], last.Address("otlp_grpc")), ports...)

	ways := []string{"otlp_grpc", "otlp_http", "jaeger_grpc", "jaeger_http", "zipkin"}
	var to []string
	for i, protocol := range ways {
		for _, compression := range []string{"none", "gzip"} {
			if protocol == "jaeger_http" && compression != "none" {
				continue // Jaeger's collector does not read it
			}
			name := strings.ReplaceAll(protocol, "_", "-") + "-" + compression
			to = append(to, fmt.Sprintf(`{name: %s, protocol: %s, endpoint: "http://%s", compression: %s, filter.services: [%s]}`, name, protocol, ports[i], compression, name))
		}
	}
	clew := testkit.Start(t, "--forward.to", "["+strings.Join(to, ", ")+"]")
	for i, d := range to {
		name, _, _ := strings.Cut(strings.TrimPrefix(d, "{name: "), ",")
		t.Run(name, func(t *testing.T) {
			spans := known(byte(0x80+i), name)
			post(t, clew.URL("otlp_http"), spans)
			replace := strings.NewReplacer()
			if strings.HasPrefix(name, "zipkin") {
				replace = zipkinLoses()
			}
			arrives(t, last, direct, spans, replace)
		})
	}
}
