package zipkin

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestMetrics holds that what is counted of Zipkin's protocols is told under Zipkin's names, and nothing else.
func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	count := func(name string, labels prometheus.Labels, n float64) {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, ConstLabels: labels})
		reg.MustRegister(c)
		c.Add(n)
	}
	count("clew_received_spans_total", prometheus.Labels{"protocol": "zipkin"}, 7)
	count("clew_received_spans_total", prometheus.Labels{"protocol": "otlp/grpc"}, 9)
	count("clew_refused_spans_total", prometheus.Labels{"protocol": "scribe", "reason": "busy"}, 2)
	count("clew_refused_spans_total", prometheus.Labels{"protocol": "scribe", "reason": "deleted"}, 3)
	count("clew_refused_requests_total", prometheus.Labels{"protocol": "zipkin/grpc", "reason": "invalid"}, 1)
	mux := http.NewServeMux()
	RegisterMetrics(mux, reg)
	for path, want := range map[string]string{
		"/metrics": `{
  "counter.zipkin_collector.messages.grpc" : 1.0,
  "counter.zipkin_collector.messages_dropped.grpc" : 1.0,
  "counter.zipkin_collector.spans.http" : 7.0,
  "counter.zipkin_collector.spans_dropped.scribe" : 5.0
}`,
		"/prometheus": `# HELP zipkin_collector_messages_total cumulative amount of messages received
# TYPE zipkin_collector_messages_total counter
zipkin_collector_messages_total{transport="grpc"} 1.0
# HELP zipkin_collector_messages_dropped_total cumulative amount of messages received that were later dropped
# TYPE zipkin_collector_messages_dropped_total counter
zipkin_collector_messages_dropped_total{transport="grpc"} 1.0
# HELP zipkin_collector_spans_total cumulative amount of spans received
# TYPE zipkin_collector_spans_total counter
zipkin_collector_spans_total{transport="http"} 7.0
# HELP zipkin_collector_spans_dropped_total cumulative amount of spans received that were later dropped
# TYPE zipkin_collector_spans_dropped_total counter
zipkin_collector_spans_dropped_total{transport="scribe"} 5.0
# HELP zipkin_collector_bytes_total cumulative amount of bytes received
# TYPE zipkin_collector_bytes_total counter
`,
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
