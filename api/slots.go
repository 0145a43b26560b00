package api

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

// slots bounds how many queries run at once. Those that wait are let in in the order in which they came or, where there are tenants, first
// those of the tenant of which the fewest run.
type slots struct {
	mu      sync.Mutex
	free    int
	tenants map[string]*asking // nil: there are none
	waiting []*waiter          // in the order in which they came
}

// asking is a tenant's queries.
type asking struct {
	most    int // that may run at once; 0: no limit of its own
	running int

	queries prometheus.Counter
	errors  *prometheus.CounterVec // by kind
}

func (a *asking) asks() {
	if a != nil {
		a.queries.Inc()
	}
}

func (a *asking) failed(e *trace.Error) {
	if a != nil {
		a.errors.WithLabelValues(e.Kind.String()).Inc()
	}
}

type waiter struct {
	of    *asking
	ready chan struct{} // closed when it may run
}

// slotShare is how many times as many queries of a tenant may run as slots are then left for others: one alone has three quarters, and
// the last one is for a tenant of which none runs.
const slotShare = 3

var errQueries = &trace.Error{Kind: trace.Busy, Msg: "too many queries are running; try again", After: time.Second}

// of returns a context's tenant; nil if there are none. The error is of kind UnknownTenant.
func (s *slots) of(ctx context.Context) (*asking, error) {
	if s.tenants == nil {
		return nil, nil
	}
	name := trace.TenantOf(ctx)
	if a := s.tenants[name]; a != nil {
		return a, nil
	}
	return nil, trace.Errorf(trace.UnknownTenant, "there is no tenant %.80q; Clew's setting tenants.list says which there are", name)
}

// may reports whether another query of a tenant may run now.
func (s *slots) may(a *asking) bool {
	if s.free == 0 {
		return false
	}
	if a == nil || a.running == 0 {
		return true
	}
	return (a.most == 0 || a.running < a.most) && a.running+1 <= slotShare*(s.free-1)
}

func (s *slots) start(a *asking) {
	s.free--
	if a != nil {
		a.running++
	}
}

// take waits for a slot, but not longer than a while. Each that was taken must be given back.
func (s *slots) take(ctx context.Context, a *asking, wait time.Duration) error {
	s.mu.Lock()
	if s.may(a) {
		s.start(a)
		s.mu.Unlock()
		return nil
	}
	w := &waiter{a, make(chan struct{})}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	limit := time.NewTimer(wait)
	defer limit.Stop()
	err := error(errQueries)
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-limit.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.waiting {
		if s.waiting[i] == w {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return err
		}
	}
	return nil // it was its turn just now
}

// give gives a slot back, to whom it is now.
func (s *slots) give(a *asking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
	if a != nil {
		a.running--
	}
	for {
		next := -1
		for i, w := range s.waiting {
			if s.may(w.of) && (next < 0 || w.of != nil && w.of.running < s.waiting[next].of.running) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		w := s.waiting[next]
		s.waiting = append(s.waiting[:next], s.waiting[next+1:]...)
		s.start(w.of)
		close(w.ready)
	}
}

// Tenant is how much one tenant may ask.
type Tenant struct {
	Name    string
	Queries int // that may run at once; 0: no limit but what is left for others
}

// Share shares the slots out among tenants, and counts the queries of each. It must be called before the first query.
func (g *Gate) Share(list []Tenant, reg prometheus.Registerer) {
	queries := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clew_tenant_queries_total", Help: "Queries of a tenant."}, []string{"tenant"})
	errors := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "clew_tenant_query_errors_total", Help: "Queries of a tenant that were refused or failed, by kind.",
	}, []string{"tenant", "kind"})
	reg.MustRegister(queries, errors)
	g.slots.tenants = map[string]*asking{}
	for _, t := range list {
		g.slots.tenants[t.Name] = &asking{
			most: t.Queries, queries: queries.WithLabelValues(t.Name), errors: errors.MustCurryWith(prometheus.Labels{"tenant": t.Name}),
		}
		errors.WithLabelValues(t.Name, trace.Busy.String())
	}
}
