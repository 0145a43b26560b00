// Package receive is what the listening servers share: the sink they write to, the counts they keep, and bodies read within limits.
//
// The servers are in its folders, one for each family of protocols. Each turns what arrives into a trace.Batch and hands it to
// the Sink; what the sink says becomes the protocol's own answer.
package receive

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

// Sink takes batches. A nil error says that the batch is on disk. It keeps nothing of b.
type Sink interface {
	Append(ctx context.Context, b *trace.Batch) error
}

// Meter counts what arrives, by protocol. Received = stored + refused, span by span.
type Meter struct {
	received, stored *prometheus.CounterVec
	refused          *prometheus.CounterVec
	requests         *prometheus.CounterVec
	bytes            *prometheus.CounterVec
	invalidText      prometheus.Counter
	seconds          *prometheus.HistogramVec

	totals struct{ received, refused, stored atomic.Uint64 }
}

// NewMeter returns a meter whose counts are registered.
func NewMeter(reg prometheus.Registerer) *Meter {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	m := &Meter{
		received: vec("clew_received_spans_total", "Spans that arrived: those stored and those refused.", "protocol"),
		stored:   vec("clew_stored_spans_total", "Spans that were stored and acknowledged.", "protocol"),
		refused:  vec("clew_refused_spans_total", "Spans that were refused, by reason.", "protocol", "reason"),
		requests: vec("clew_refused_requests_total", "Requests refused before their spans could be counted, by reason.", "protocol", "reason"),
		bytes:    vec("clew_received_bytes_total", "Bytes of accepted bodies, decompressed.", "protocol"),
		invalidText: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clew_invalid_text_total", Help: "Names, keys and texts that were not UTF-8; they are kept as they are and shown with U+FFFD.",
		}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "clew_receive_seconds", Help: "Time to answer a request, from its body's end on.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"protocol"}),
	}
	reg.MustRegister(m.invalidText, m.seconds)
	return m
}

// Announce makes a protocol's series with value 0, so that a rate sees its first refusal.
func (m *Meter) Announce(protocol string) {
	m.received.WithLabelValues(protocol)
	m.stored.WithLabelValues(protocol)
	m.bytes.WithLabelValues(protocol)
	m.seconds.WithLabelValues(protocol)
	for r := range trace.NumReasons {
		m.refused.WithLabelValues(protocol, r.String())
	}
	for _, k := range []trace.ErrorKind{trace.Internal, trace.Busy, trace.TooLarge, trace.UnknownTenant} {
		m.refused.WithLabelValues(protocol, k.String())
	}
	for _, k := range []trace.ErrorKind{trace.Internal, trace.Invalid, trace.Busy, trace.TooLarge, trace.UnknownTenant} {
		m.requests.WithLabelValues(protocol, k.String())
	}
}

// Totals returns the spans received, refused and stored by all protocols since the start.
func (m *Meter) Totals() (received, refused, stored uint64) {
	return m.totals.received.Load(), m.totals.refused.Load(), m.totals.stored.Load()
}

// RefuseRequest counts a request whose spans could not even be counted.
func (m *Meter) RefuseRequest(protocol, reason string) {
	m.requests.WithLabelValues(protocol, reason).Inc()
}

// BodyReason returns the reason for which a body that Read did not take is counted.
func BodyReason(err error) string {
	switch {
	case errors.Is(err, error(UnsupportedEncoding)):
		return "content_encoding"
	case errors.Is(err, errCutOff):
		return "cut_off"
	}
	return trace.KindOf(err).String()
}

// Inlet writes one protocol's batches to a sink and counts them.
type Inlet struct {
	Protocol string
	Sink     Sink
	Meter    *Meter
	Limits   func(ctx context.Context) trace.Limits // for the tenant in ctx
	Tenants  *Tenants                               // nil: there are none
	Turns    *Turns                                 // nil: any number of requests is worked on at once
	Alone    bool                                   // nobody is told to come back: what came waits for its turn as long as it takes
}

// Totals returns the spans received, refused and stored since the start: of the tenant in a context or, where there are none, of all
// protocols.
func (in *Inlet) Totals(ctx context.Context) (received, refused, stored uint64) {
	whose, err := in.Tenants.of(ctx)
	if whose == nil || err != nil { // who asks for a tenant that there is not is refused elsewhere
		return in.Meter.Totals()
	}
	return whose.arrived.Load(), whose.refused.Load(), whose.kept.Load()
}

// Index indexes raw when it is its turn, counting spans that a limit refused. An error, of kind Invalid, TooLarge or Busy, is of the whole request.
func (in *Inlet) Index(ctx context.Context, b *trace.Batch, raw []byte) error {
	return in.Convert(ctx, b, func() ([]byte, error) { return raw, nil })
}

// Convert indexes what convert makes of a request in another format than OTLP's, as Index does, and in one turn.
func (in *Inlet) Convert(ctx context.Context, b *trace.Batch, convert func() (raw []byte, err error)) error {
	err := in.turn(ctx, false)
	if err == nil {
		defer in.Turns.Done()
		var raw []byte
		if raw, err = convert(); err == nil {
			err = b.Index(raw, in.Limits(ctx))
		}
	}
	if err != nil {
		in.Meter.RefuseRequest(in.Protocol, trace.KindOf(err).String())
	}
	return err
}

// Write stores an indexed batch and counts its spans as stored or refused. A sink that processes a batch on the way may leave spans out:
// those are received, too, and for it to count.
func (in *Inlet) Write(ctx context.Context, b *trace.Batch) error {
	begin, arrived, size := time.Now(), len(b.Spans)+b.Refused.Total(), len(b.Raw)
	whose, err := in.Tenants.of(ctx)
	if err == nil {
		err = whose.charge(begin, arrived, size)
	}
	if err == nil {
		err = in.append(ctx, b)
	}
	in.Meter.seconds.WithLabelValues(in.Protocol).Observe(time.Since(begin).Seconds())
	whose.written(b, arrived, size, err)
	m, n := in.Meter, uint64(len(b.Spans))
	refused := uint64(b.Refused.Total())
	for r, count := range b.Refused.Count {
		if count > 0 {
			m.refused.WithLabelValues(in.Protocol, trace.Reason(r).String()).Add(float64(count))
		}
	}
	m.received.WithLabelValues(in.Protocol).Add(float64(arrived))
	m.totals.received.Add(uint64(arrived))
	m.totals.refused.Add(refused)
	m.bytes.WithLabelValues(in.Protocol).Add(float64(size))
	m.invalidText.Add(float64(b.InvalidText))
	if err != nil {
		m.refused.WithLabelValues(in.Protocol, trace.KindOf(err).String()).Add(float64(n))
		m.totals.refused.Add(n)
		return err
	}
	m.stored.WithLabelValues(in.Protocol).Add(float64(n))
	m.totals.stored.Add(n)
	return nil
}

// turn waits for a turn, for a batch that had one already or for one that had none.
func (in *Inlet) turn(ctx context.Context, begun bool) error {
	if in.Alone {
		return in.Turns.take(ctx, begun, math.MaxInt64)
	}
	return in.Turns.take(ctx, begun, maxWait)
}

// append hands a batch to the sink when it is its turn, which is over when the sink does no more than wait.
func (in *Inlet) append(ctx context.Context, b *trace.Batch) error {
	if err := in.turn(ctx, true); err != nil {
		return err
	}
	done := sync.OnceFunc(in.Turns.Done)
	defer done()
	return in.Sink.Append(trace.WithYield(ctx, done), b)
}
