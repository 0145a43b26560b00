package collector

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
)

// TestExporters has a Collector of today send a known trace with each of its exporters, set as they are by default apart from the port.
func TestExporters(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a Collector")
	}
	program := testkit.Program(t, "current")
	clew, direct := testkit.Start(t), testkit.Start(t)
	scope := []string{"lib 1.2", " "} // the Collector's exporter to Zipkin leaves it out
	exporters := []struct {
		name, config string
		lost         []string
	}{
		{name: "otlp/grpc", config: fmt.Sprintf(`{endpoint: "%s", tls: {insecure: true}}`, clew.Address("otlp_grpc"))},
		{name: "otlp/zstd", config: fmt.Sprintf(`{endpoint: "%s", tls: {insecure: true}, compression: zstd}`, clew.Address("otlp_grpc"))},
		{name: "otlphttp", config: fmt.Sprintf(`{endpoint: "%s"}`, clew.URL("otlp_http"))},
		{name: "otlphttp/json", config: fmt.Sprintf(`{endpoint: "%s", encoding: json}`, clew.URL("otlp_http"))},
		{name: "zipkin/json", config: fmt.Sprintf(`{endpoint: "%s/api/v2/spans"}`, clew.URL("zipkin")), lost: scope},
		{name: "zipkin/proto", config: fmt.Sprintf(`{endpoint: "%s/api/v2/spans", format: proto}`, clew.URL("zipkin")), lost: scope},
	}
	ports := testkit.FreeAddresses(t, len(exporters))
	var receive, export, pipelines strings.Builder
	for i, e := range exporters {
		fmt.Fprintf(&receive, "  otlp/%d: {protocols: {http: {endpoint: \"%s\"}}}\n", i, ports[i])
		fmt.Fprintf(&export, "  %s: %s\n", e.name, e.config)
		fmt.Fprintf(&pipelines, "    traces/%d: {receivers: [otlp/%d], exporters: [%s]}\n", i, i, e.name)
	}
	startCollector(t, program, "receivers:\n"+receive.String()+"exporters:\n"+export.String()+
		"service:\n  telemetry: {metrics: {level: none}}\n  pipelines:\n"+pipelines.String(), ports...)
	for i, e := range exporters {
		t.Run(e.name, func(t *testing.T) {
			spans := known(byte(i), "shop")
			post(t, "http://"+ports[i], spans)
			arrives(t, clew, direct, spans, strings.NewReplacer(e.lost...))
		})
	}
}

// TestJaegerExporter has the last Collector that could send to Jaeger do so, over gRPC.
func TestJaegerExporter(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a Collector")
	}
	program := testkit.Program(t, "v0.85")
	clew, direct := testkit.Start(t), testkit.Start(t)
	port := testkit.FreeAddresses(t, 1)[0]
	startCollector(t, program, fmt.Sprintf(`
receivers: {otlp: {protocols: {http: {endpoint: "%s"}}}}
exporters: {jaeger: {endpoint: "%s", tls: {insecure: true}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [jaeger]}}
`, port, clew.Address("jaeger_grpc")), port)
	spans := known(0x40, "shop")
	post(t, "http://"+port, spans)
	arrives(t, clew, direct, spans, strings.NewReplacer())
}
