package collector

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
)

const jaegerConfig = `
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines: {traces: {receivers: [otlp, jaeger, zipkin], exporters: [jaeger_storage_exporter]}}
  telemetry: {metrics: {level: none}}
extensions:
  jaeger_query: {storage: {traces: store}, http: {endpoint: "%s"}, grpc: {endpoint: "%s"}}
  jaeger_storage: {backends: {store: {memory: {max_traces: 1000}}}}
receivers:
  otlp: {protocols: {http: {endpoint: "%s"}, grpc: {endpoint: "%s"}}}
  jaeger: {protocols: {grpc: {endpoint: "%s"}, thrift_http: {endpoint: "%s"}}}
  zipkin: {endpoint: "%s"}
exporters: {jaeger_storage_exporter: {trace_storage: store}}
`

// TestForwardToJaeger has Clew forward to a Jaeger 2, in each format that it takes, and asks both, in Jaeger's API, for what was sent.
func TestForwardToJaeger(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a Jaeger")
	}
	program := testkit.Jaeger(t)
	p := testkit.FreeAddresses(t, 7)
	startCollector(t, program, fmt.Sprintf(jaegerConfig, p[0], p[1], p[2], p[3], p[4], p[5], p[6]), p[0], p[2], p[3], p[4], p[5], p[6])
	ways := []string{"otlp_http", "otlp_grpc", "jaeger_grpc", "jaeger_http", "zipkin"}
	var to []string
	for i, protocol := range ways {
		name := strings.ReplaceAll(protocol, "_", "-")
		to = append(to, fmt.Sprintf(`{name: %s, protocol: %s, endpoint: "http://%s", filter.services: [%s]}`, name, protocol, p[2+i], name))
	}
	clew := testkit.Start(t, "--forward.to", "["+strings.Join(to, ", ")+"]")
	for i, protocol := range ways {
		t.Run(protocol, func(t *testing.T) {
			spans := known(byte(0xc0+i), strings.ReplaceAll(protocol, "_", "-"))
			post(t, clew.URL("otlp_http"), spans)
			id, replace := spans[0].TraceID, strings.NewReplacer()
			if protocol == "zipkin" {
				replace = zipkinLoses()
			}
			want := found(t, clew.URL("query"), id)
			var got map[string]string
			until(t, "it has come", func() bool { got = found(t, "http://"+p[0], id); return len(got) >= len(spans) })
			for span, w := range want {
				if w, got := replace.Replace(w), replace.Replace(got[span]); got != w {
					t.Errorf("span %s is %q; want %q", span, got, w)
				}
			}
		})
	}
}
