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

// JSONMemory returns how much memory a trace's JSON takes, about, while it is made and grows.
func JSONMemory(t *trace.Trace) int64 {
	n := 0
	for i := range t.Spans {
		s := &t.Spans[i]
		n += jsonSpanBytes + jsonLength(s.Name) + jsonLength(s.StatusMessage) + jsonLinkBytes*len(s.Links) + attrsLength(s.Attrs)
		for k := range s.Events {
			n += jsonAttrBytes + jsonLength(s.Events[k].Name) + attrsLength(s.Events[k].Attrs)
		}
		for k := range s.Links {
			n += attrsLength(s.Links[k].Attrs)
		}
		if s.Resource != nil && (i == 0 || s.Resource != t.Spans[i-1].Resource) {
			n += attrsLength(s.Resource.Attrs)
		}
	}
	return int64(n)*9/4 + Copies(t) // while it is copied into more room, of which a quarter is not used yet
}

// Copies returns how much memory the spans take that a dialect makes of a trace's, to put them in an order and to mend them.
func Copies(t *trace.Trace) int64 { return 2 * trace.SpanBytes * int64(len(t.Spans)) }

// A span, a link, and an attribute take so many bytes in the widest JSON, their texts aside.
const (
	jsonSpanBytes = 400
	jsonLinkBytes = 160
	jsonAttrBytes = 60
)

func attrsLength(attrs []trace.Attr) (n int) {
	for i := range attrs {
		n += jsonAttrBytes + jsonLength(attrs[i].Key) + valueLength(attrs[i].Value)
	}
	return n
}

func valueLength(v trace.Value) (n int) {
	n = jsonLength(v.Str())
	for _, e := range v.List() {
		n += jsonAttrBytes + jsonLength(e.Key) + valueLength(e.Value)
	}
	return n
}

// jsonLength returns how many bytes a text has in JSON, about.
func jsonLength(s string) int {
	n := len(s)
	for i := range len(s) {
		if s[i] < ' ' {
			n += len(`\u0000`) - 1
		}
	}
	return n
}

// open returns a request whose context has a budget.
func (g *Gate) open(r *http.Request) (*http.Request, *trace.Budget) {
	if g.memory == nil {
		return r, nil
	}
	ctx, b := g.memory.Open(r.Context())
	return r.WithContext(ctx), b
}
