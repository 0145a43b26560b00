package receive

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

// Tenant is how much one tenant may send.
type Tenant struct {
	Name  string
	Spans int64         // a second; 0: no limit
	Bytes int64         // of OTLP, decompressed, a second; 0: no limit
	Burst time.Duration // so much of each may come at once as is allowed in this time
}

// Tenants keeps tenants apart in what they share: none can take all memory for what is being received, nor more than it may send. It
// counts what each sends. There are those that are listed and no others. A nil *Tenants is one for all, without limits.
type Tenants struct {
	accounts map[string]*account

	received, stored, bytes *prometheus.CounterVec
	refused, requests       *prometheus.CounterVec
}

// account is one tenant's.
type account struct {
	name  string
	owner *Tenants
	held  atomic.Int64 // bytes of requests that are being received

	arrived, refused, kept atomic.Uint64 // spans

	mu           sync.Mutex
	spans, bytes bucket
}

// The reasons for which a tenant is refused, beside those of its spans and of the store.
var (
	errLimit = &trace.Error{Kind: trace.Busy, Msg: "the tenant sends more than it may; send again later"}
	errShare = &trace.Error{Kind: trace.Busy, Msg: "the tenant has its share of what is being received at once; send again later", After: time.Second}
)

// NewTenants returns tenants whose counts are registered.
func NewTenants(list []Tenant, reg prometheus.Registerer) *Tenants {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	t := &Tenants{
		accounts: map[string]*account{},
		received: vec("clew_tenant_received_spans_total", "Spans that arrived of a tenant: those stored and those refused.", "tenant"),
		stored:   vec("clew_tenant_stored_spans_total", "Spans of a tenant that were stored and acknowledged.", "tenant"),
		bytes:    vec("clew_tenant_received_bytes_total", "Bytes of a tenant's accepted bodies, decompressed.", "tenant"),
		refused:  vec("clew_tenant_refused_spans_total", "Spans of a tenant that were refused, by reason.", "tenant", "reason"),
		requests: vec("clew_tenant_refused_requests_total", "Requests of a tenant refused before their spans could be counted, because of others or of its limits, by reason.", "tenant", "reason"),
	}
	for _, one := range list {
		t.accounts[one.Name] = &account{name: one.Name, owner: t, spans: newBucket(one.Spans, one.Burst), bytes: newBucket(one.Bytes, one.Burst)}
		t.received.WithLabelValues(one.Name)
		t.stored.WithLabelValues(one.Name)
		t.bytes.WithLabelValues(one.Name)
		for _, reason := range []string{"limit", "share", "busy"} {
			t.requests.WithLabelValues(one.Name, reason)
			t.refused.WithLabelValues(one.Name, reason)
		}
	}
	return t
}

// of returns the account of a context's tenant; nil if there are no tenants. The error is of kind UnknownTenant.
func (t *Tenants) of(ctx context.Context) (*account, error) {
	if t == nil {
		return nil, nil
	}
	name := trace.TenantOf(ctx)
	if a := t.accounts[name]; a != nil {
		return a, nil
	}
	return nil, trace.Errorf(trace.UnknownTenant, "there is no tenant %.80q; Clew's setting tenants.list says which there are", name)
}

// admit returns an error of kind Busy if the tenant has sent more than it may, which says when to come back.
func (a *account) admit(now time.Time) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if wait := max(a.spans.wait(now), a.bytes.wait(now)); wait > 0 {
		return &trace.Error{Kind: errLimit.Kind, Msg: errLimit.Msg, After: wait, Err: errLimit}
	}
	return nil
}

// charge counts what a tenant sends now, or returns an error as of admit: a request is taken whole if anything is left of what the tenant
// may, so that none is too large for ever, and what it had too much the next ones lack.
func (a *account) charge(now time.Time, spans, bytes int) error {
	if err := a.admit(now); a == nil || err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spans.take(float64(spans))
	a.bytes.take(float64(bytes))
	return nil
}

// heldShare is how many times as much a tenant may hold as is then left for others. One alone has three quarters of all, each of two at odds three
// sevenths, and something is always left for who comes next.
const heldShare = 3

// hold counts n more bytes as held by the tenant, of which free are left to all then. It reports whether it may have them.
func (a *account) hold(n, free int64) bool {
	if a == nil {
		return true
	}
	if own := a.held.Add(n); n > 0 && own > heldShare*free+smallest {
		a.held.Add(-n)
		return false
	}
	return true
}

// refuse counts a request of which the spans are not known.
func (a *account) refuse(err error) {
	if a != nil && trace.KindOf(err) == trace.Busy {
		a.owner.requests.WithLabelValues(a.name, busyReason(err)).Inc()
	}
}

// written counts the spans of a batch as stored or, with an error, as refused.
func (a *account) written(b *trace.Batch, arrived, size int, err error) {
	if a == nil {
		return
	}
	t := a.owner
	a.arrived.Add(uint64(arrived))
	a.refused.Add(uint64(b.Refused.Total()))
	t.received.WithLabelValues(a.name).Add(float64(arrived))
	t.bytes.WithLabelValues(a.name).Add(float64(size))
	for r, count := range b.Refused.Count {
		if count > 0 {
			t.refused.WithLabelValues(a.name, trace.Reason(r).String()).Add(float64(count))
		}
	}
	if err != nil {
		a.refused.Add(uint64(len(b.Spans)))
		t.refused.WithLabelValues(a.name, busyReason(err)).Add(float64(len(b.Spans)))
		return
	}
	a.kept.Add(uint64(len(b.Spans)))
	t.stored.WithLabelValues(a.name).Add(float64(len(b.Spans)))
}

// busyReason is the reason for which a tenant's spans are counted as refused.
func busyReason(err error) string {
	switch {
	case errors.Is(err, errLimit):
		return "limit"
	case errors.Is(err, errShare):
		return "share"
	}
	return trace.KindOf(err).String()
}

// bucket is what may still come: it fills up by rate, to what is allowed at once. A rate of 0 is no limit.
type bucket struct {
	rate, most, left float64
	at               time.Time
}

func newBucket(rate int64, burst time.Duration) bucket {
	most := max(float64(rate)*burst.Seconds(), 1)
	return bucket{rate: float64(rate), most: most, left: most}
}

// wait returns how long it takes until something is left.
func (b *bucket) wait(now time.Time) time.Duration {
	if b.rate == 0 {
		return 0
	}
	if !b.at.IsZero() {
		b.left = min(b.most, b.left+b.rate*max(0, now.Sub(b.at).Seconds()))
	}
	b.at = now
	if b.left > 0 {
		return 0
	}
	return max(time.Millisecond, time.Duration(-b.left/b.rate*float64(time.Second)))
}

func (b *bucket) take(n float64) {
	if b.rate > 0 {
		b.left -= n
	}
}
