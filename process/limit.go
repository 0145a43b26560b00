package process

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/clewtrace/clew/trace"
)

// Rate is how much may come in a second on the average, and at once. 0: no limit.
type Rate struct {
	Spans, SpansBurst int64
	Bytes, BytesBurst int64 // of spans' OTLP bytes, about
}

// RateLimit says how much is taken of each service, or of each tenant, one by one.
type RateLimit struct {
	Rate                 // where no rule fits
	PerTenant bool       // all services of a tenant together, instead of each for itself
	Rules     []RateRule // of services; the first that fits counts
}

// RateRule is a rate of its own for each of some services.
type RateRule struct {
	Services []trace.Glob
	Rate
}

// Limiter is the step of RateLimit. What is over a rate is refused, as the last spans of a batch, and the sender is told how many those
// are: it will not send them again. If all of a batch is over, the batch is refused as Busy: the sender is to come back with it.
type Limiter struct {
	cfg RateLimit
	now func() time.Time

	mu      sync.Mutex
	buckets map[bucketKey]*bucket
	swept   time.Time
}

type bucketKey struct{ tenant, service string }

// bucket is what may still come: it fills with the time, up to the burst.
type bucket struct {
	rate         *Rate
	spans, bytes float64
	at           time.Time
}

// maxBuckets is how many services are told apart at a time. Those beyond, of whom nobody can tell whether they are many services or one
// that makes names up, share one bucket for each tenant. Services whose names begin with the same maxService bytes are not told apart.
const (
	maxBuckets = 10000
	maxService = 256
)

// NewLimiter returns a step that limits rates.
func NewLimiter(cfg RateLimit) (*Limiter, error) {
	if err := cfg.check(""); err != nil {
		return nil, err
	}
	limits := cfg.Spans > 0 || cfg.Bytes > 0
	for i := range cfg.Rules {
		if err := cfg.Rules[i].check(fmt.Sprintf("rules[%d].", i)); err != nil {
			return nil, err
		}
		limits = limits || cfg.Rules[i].Spans > 0 || cfg.Rules[i].Bytes > 0
	}
	switch {
	case !limits:
		return nil, errors.New("spans_per_second: is 0, as are all others: nothing is limited")
	case cfg.PerTenant && len(cfg.Rules) > 0:
		return nil, errors.New("rules: are of services; want none with per: tenant")
	}
	return &Limiter{cfg: cfg, now: time.Now, buckets: map[bucketKey]*bucket{}}, nil
}

// check holds that a rate makes sense, and sets the bursts that are not set: what comes in a second.
func (r *Rate) check(prefix string) error {
	if r.SpansBurst == 0 {
		r.SpansBurst = r.Spans
	}
	if r.BytesBurst == 0 {
		r.BytesBurst = r.Bytes
	}
	if r.SpansBurst < r.Spans || r.BytesBurst < r.Bytes {
		return fmt.Errorf("%sspans_burst: a burst is smaller than what may come in a second", prefix)
	}
	return nil
}

// Process refuses what is over a rate.
func (l *Limiter) Process(ctx context.Context, b *trace.Batch) error {
	over, why, wait := l.takeAll(trace.TenantOf(ctx), b)
	switch {
	case len(over) == 0:
		return nil
	case len(over) == len(b.Spans):
		return &trace.Error{Kind: trace.Busy, Msg: why, After: min(max(wait.Round(time.Second), time.Second), time.Minute)}
	}
	left := over
	n, err := b.Keep(func(i int) bool {
		if len(left) > 0 && left[0] == i {
			left = left[1:]
			return false
		}
		return true
	})
	if err != nil {
		return err
	}
	b.Refused.Count[trace.RateLimited] += n
	if b.Refused.First == "" {
		b.Refused.First = why
	}
	return nil
}

// takeAll takes as many of a batch's spans as the rates allow, and returns the others, what to say of the first, and when to come back.
func (l *Limiter) takeAll(tenant string, b *trace.Batch) (over []int, why string, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, resource := l.now(), -1
	var service []byte
	var at *bucket
	for i := range b.Spans {
		if r := int(b.Spans[i].Resource); r != resource {
			resource, service = r, Service(b.Bytes(b.Resources[r].Body))
			at = l.bucket(tenant, service, now)
		}
		size := sizeOf(b, &b.Spans[i])
		if at == nil || at.take(size) {
			continue
		}
		if over = append(over, i); why == "" {
			why = fmt.Sprintf("span %d: service %.80q sends more than %s", i, service, at.rate)
			if l.cfg.PerTenant {
				why = fmt.Sprintf("span %d: tenant %s sends more than %s", i, tenant, at.rate)
			}
		}
		wait = max(wait, at.wait(size))
	}
	return over, why, wait
}

func (r *Rate) String() string {
	switch {
	case r.Spans == 0:
		return fmt.Sprintf("%d bytes of spans a second", r.Bytes)
	case r.Bytes == 0:
		return fmt.Sprintf("%d spans a second", r.Spans)
	}
	return fmt.Sprintf("%d spans or %d bytes of them a second", r.Spans, r.Bytes)
}

// bucket returns the bucket of a service, filled up to now: nil if there is no limit for it.
func (l *Limiter) bucket(tenant string, service []byte, now time.Time) *bucket {
	rate, key := &l.cfg.Rate, bucketKey{tenant, string(service[:min(len(service), maxService)])}
	if l.cfg.PerTenant {
		key.service = ""
	}
	for i := range l.cfg.Rules {
		if matchAny(l.cfg.Rules[i].Services, service) {
			rate = &l.cfg.Rules[i].Rate
			break
		}
	}
	if rate.Spans == 0 && rate.Bytes == 0 {
		return nil
	}
	at := l.buckets[key]
	if at == nil {
		if len(l.buckets) >= maxBuckets {
			l.sweep(now)
		}
		if len(l.buckets) >= maxBuckets {
			key, rate = bucketKey{tenant, "\x00others"}, &l.cfg.Rate
			at = l.buckets[key]
		}
	}
	if at == nil {
		at = &bucket{rate: rate, spans: float64(rate.SpansBurst), bytes: float64(rate.BytesBurst), at: now}
		l.buckets[key] = at
	}
	at.fill(now)
	return at
}

// sweep forgets the buckets that are full: a new one is as good. It does so once a second at most.
func (l *Limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for key, at := range l.buckets {
		if at.fill(now); at.spans >= float64(at.rate.SpansBurst) && at.bytes >= float64(at.rate.BytesBurst) {
			delete(l.buckets, key)
		}
	}
}

func (at *bucket) fill(now time.Time) {
	if d := now.Sub(at.at).Seconds(); d > 0 {
		at.spans = min(float64(at.rate.SpansBurst), at.spans+d*float64(at.rate.Spans))
		at.bytes = min(float64(at.rate.BytesBurst), at.bytes+d*float64(at.rate.Bytes))
		at.at = now
	}
}

// take takes a span of a size, if it may come. One that is larger than the burst may, when the bucket is full: it then owes the rest.
func (at *bucket) take(size int) bool {
	r := at.rate
	if r.Spans > 0 && at.spans < 1 || r.Bytes > 0 && at.bytes < min(float64(size), float64(r.BytesBurst)) {
		return false
	}
	if r.Spans > 0 {
		at.spans--
	}
	if r.Bytes > 0 {
		at.bytes -= float64(size)
	}
	return true
}

// wait returns when a span of a size may come.
func (at *bucket) wait(size int) time.Duration {
	seconds := 0.0
	if r := at.rate; r.Spans > 0 {
		seconds = (1 - at.spans) / float64(r.Spans)
	}
	if r := at.rate; r.Bytes > 0 {
		seconds = max(seconds, (min(float64(size), float64(r.BytesBurst))-at.bytes)/float64(r.Bytes))
	}
	return time.Duration(min(max(seconds, 0), 3600) * float64(time.Second))
}

// sizeOf returns about how many bytes a span has in OTLP, by its index.
func sizeOf(b *trace.Batch, s *trace.SpanRef) int {
	n := 60 + s.Name.Len() // IDs, times, kind
	for i := range b.Attrs[s.AttrLo:s.AttrHi] {
		a := &b.Attrs[int(s.AttrLo)+i]
		n += 8 + a.Key.Len() + a.Val.Len()
	}
	for _, p := range b.Rest[s.RestLo:s.RestHi] {
		n += p.Len()
	}
	return n
}
