package api

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

// Bound has all queries that go through the gate take the memory that they hold from a pool: each has a budget in its context. It must be
// called before the first.
func (g *Gate) Bound(p *trace.Pool, reg prometheus.Registerer) {
	g.memory = p
	refused := func(reason string, count func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "clew_query_memory_refused_total", Help: "Times that memory was refused to a query: it wanted more than one may have, or others held what there is.",
			ConstLabels: prometheus.Labels{"reason": reason},
		}, count)
	}
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "clew_query_memory_bytes", Help: "Memory that queries hold, about, what is set aside for those that run included."}, func() float64 { return float64(p.Held()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "clew_query_memory_limit_bytes", Help: "Memory that queries may hold together."}, func() float64 { return float64(p.Size().All) }),
		refused("query", func() float64 { n, _ := p.Refused(); return float64(n) }),
		refused("others", func() float64 { _, n := p.Refused(); return float64(n) }),
	)
}

// open returns a request whose context has a budget.
func (g *Gate) open(r *http.Request) (*http.Request, *trace.Budget) {
	if g.memory == nil {
		return r, nil
	}
	ctx, b := g.memory.Open(r.Context())
	return r.WithContext(ctx), b
}
