package zipkin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// A counter of Zipkin's collectors, by its name there, and the metric here that counts the same, over all of its reasons.
var counters = [...]struct{ name, ours, help string }{
	{"messages", "clew_receive_seconds", "cumulative amount of messages received"},
	{"messages_dropped", "clew_refused_requests_total", "cumulative amount of messages received that were later dropped"},
	{"spans", "clew_received_spans_total", "cumulative amount of spans received"},
	{"spans_dropped", "clew_refused_spans_total", "cumulative amount of spans received that were later dropped"},
	{"bytes", "clew_received_bytes_total", "cumulative amount of bytes received"},
}

// transports are Zipkin's names of the protocols here that are Zipkin's.
var transports = map[string]string{"zipkin": "http", "zipkin/grpc": "grpc", "scribe": "scribe"}

// collected is what each counter has of each transport.
type collected [len(counters)]map[string]float64

// collect reads the counters.
func collect(from prometheus.Gatherer) (collected, error) {
	var out collected
	for i := range out {
		out[i] = map[string]float64{}
	}
	families, err := from.Gather()
	for _, f := range families {
		i := slices.IndexFunc(counters[:], func(c struct{ name, ours, help string }) bool { return c.ours == f.GetName() })
		if i < 0 {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if t, ok := transports[l.GetValue()]; ok && l.GetName() == "protocol" {
					out[i][t] += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	for t, refused := range out[1] { // what was refused before it was timed arrived all the same
		out[0][t] += refused
	}
	return out, err
}

// RegisterMetrics adds to a mux what Zipkin's server tells of its collectors, which dashboards and scripts read: /metrics in JSON, /prometheus in
// Prometheus's text.
func RegisterMetrics(mux *http.ServeMux, from prometheus.Gatherer) {
	mux.Handle("GET /metrics", metrics(from, "application/json", collected.json))
	mux.Handle("GET /prometheus", metrics(from, "text/plain; version=0.0.4; charset=utf-8", collected.text))
}

func metrics(from prometheus.Gatherer, contentType string, write func(collected) string) http.Handler {
	return readable(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, err := collect(from)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write([]byte(write(c))) // the client may be gone
	}))
}

// each calls fn with each number, in order.
func (c collected) each(i int, fn func(transport string, n float64)) {
	for _, t := range []string{"grpc", "http", "scribe"} {
		if n, ok := c[i][t]; ok {
			fn(t, n)
		}
	}
}

func (c collected) json() string {
	var lines []string
	for i, k := range counters {
		c.each(i, func(t string, n float64) {
			lines = append(lines, fmt.Sprintf("  \"counter.zipkin_collector.%s.%s\" : %.1f", k.name, t, n))
		})
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n}"
}

func (c collected) text() string {
	var b strings.Builder
	for i, k := range counters {
		fmt.Fprintf(&b, "# HELP zipkin_collector_%s_total %s\n# TYPE zipkin_collector_%s_total counter\n", k.name, k.help, k.name)
		c.each(i, func(t string, n float64) {
			fmt.Fprintf(&b, "zipkin_collector_%s_total{transport=%q} %.1f\n", k.name, t, n)
		})
	}
	return b.String()
}
