package forward

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reasons for which spans are dropped after the queue took them
const (
	droppedRejected = "rejected"  // by a partial success
	droppedRefused  = "refused"   // for good
	droppedTooLarge = "too_large" // a single span
	droppedFailed   = "failed"    // attempts times, by a destination that answered
	droppedEncoding = "encoding"
	droppedLoop     = "loop" // they have been here; never queued
)

// meter counts, by destination.
type meter struct {
	queuedSpans, sentSpans, retries *prometheus.CounterVec
	droppedSpans, failures          *prometheus.CounterVec
}

func newMeter(reg prometheus.Registerer) *meter {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"destination"}, labels...))
		reg.MustRegister(c)
		return c
	}
	return &meter{
		queuedSpans:  vec("clew_forward_queued_spans_total", "Spans that passed a destination's filter."),
		sentSpans:    vec("clew_forward_sent_spans_total", "Spans that a destination took."),
		droppedSpans: vec("clew_forward_dropped_spans_total", "Spans that a destination will not get, by reason.", "reason"),
		failures:     vec("clew_forward_failed_requests_total", "Requests to a destination that failed, by its answer.", "answer"),
		retries:      vec("clew_forward_retries_total", "Requests that were sent again."),
	}
}

// announce makes a destination's series with value 0, and those of its queue.
func (m *meter) announce(reg prometheus.Registerer, d *destination) {
	m.queuedSpans.WithLabelValues(d.Name)
	m.sentSpans.WithLabelValues(d.Name)
	m.retries.WithLabelValues(d.Name)
	for _, reason := range []string{
		droppedFull, droppedDisk, droppedDamaged, droppedRejected, droppedRefused, droppedTooLarge, droppedFailed, droppedEncoding, droppedLoop,
	} {
		m.droppedSpans.WithLabelValues(d.Name, reason)
	}
	gauge := func(name, help string, value func(s state) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{"destination": d.Name},
		}, func() float64 { return value(d.queue.state(time.Now())) }))
	}
	gauge("clew_forward_queue_bytes", "Bytes of a destination's queue on disk.", func(s state) float64 { return float64(s.bytes) })
	gauge("clew_forward_queue_spans", "Spans that wait for a destination or are being sent.", func(s state) float64 { return float64(s.spans) })
	gauge("clew_forward_oldest_seconds", "How long the oldest spans have been waiting for a destination.", func(s state) float64 { return s.oldest.Seconds() })
}

func (m *meter) queued(name string, spans int) {
	m.queuedSpans.WithLabelValues(name).Add(float64(spans))
}

func (m *meter) sent(name string, spans int) {
	m.sentSpans.WithLabelValues(name).Add(float64(spans))
}

func (m *meter) dropped(name, reason string, spans int) {
	m.droppedSpans.WithLabelValues(name, reason).Add(float64(spans))
}

func (m *meter) failed(name, answer string) { m.failures.WithLabelValues(name, answer).Inc() }
func (m *meter) retried(name string)        { m.retries.WithLabelValues(name).Inc() }
