package jaeger

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	wire "github.com/clewtrace/clew/wire/jaeger"
)

// clients counts what clients say that they have lost. Those that say so send the process tag client-uuid, a number with each batch, and
// counts since they started: so what was lost on the way is known as well as what was never sent.
type clients struct {
	sent, received prometheus.Counter
	dropped        [3]prometheus.Counter // by lossNames

	mu   sync.Mutex
	last map[string]*client
}

// client is what a client said last.
type client struct {
	seq    int64
	losses [3]int64
	heard  time.Time
}

// lossNames are the reasons of Client's counts, in their order.
var lossNames = [3]string{"full_queue", "too_large", "send_failure"}

const (
	maxClients = 10_000    // more are not counted until some have been silent for a while
	maxSilence = time.Hour // after which a client is forgotten
	maxUUID    = 128
)

func newClients(reg prometheus.Registerer) *clients {
	c := &clients{
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clew_jaeger_client_sent_batches_total", Help: "Batches that Jaeger's clients say they sent, since each was heard first.",
		}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "clew_jaeger_client_received_batches_total", Help: "Batches that came from those clients; fewer than were sent: some were lost on the way.",
		}),
		last: map[string]*client{},
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "clew_jaeger_client_dropped_spans_total", Help: "Spans that Jaeger's clients say they dropped before sending, by reason.",
	}, []string{"reason"})
	for i, name := range lossNames {
		c.dropped[i] = dropped.WithLabelValues(name)
	}
	known := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "clew_jaeger_clients", Help: "Clients of Jaeger that number their batches, heard in the last hour or so.",
	}, func() float64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return float64(len(c.last))
	})
	reg.MustRegister(c.sent, c.received, dropped, known)
	return c
}

// count counts what a batch says of its client. The first batch of a client tells only where its counts stand, for it may have run for
// long; one that comes late, after a younger one, says nothing new.
func (c *clients) count(b *wire.Client, now time.Time) {
	if len(b.UUID) == 0 || len(b.UUID) > maxUUID || b.SeqNo <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last, known := c.last[string(b.UUID)]
	if !known {
		if !c.room(now) {
			return
		}
		last = &client{}
		c.last[string(b.UUID)] = last
		c.sent.Inc()
	} else if b.SeqNo > last.seq {
		c.sent.Add(float64(b.SeqNo - last.seq))
	}
	c.received.Inc()
	last.heard = now
	if b.SeqNo <= last.seq {
		return
	}
	last.seq = b.SeqNo
	for i, n := range [3]int64{b.FullQueue, b.TooLarge, b.Failed} {
		if !b.Stats {
			break
		}
		if known && n > last.losses[i] {
			c.dropped[i].Add(float64(n - last.losses[i]))
		}
		last.losses[i] = n
	}
}

// room makes room for one client more, by forgetting those that are silent.
func (c *clients) room(now time.Time) bool {
	if len(c.last) < maxClients {
		return true
	}
	for id, last := range c.last {
		if now.Sub(last.heard) > maxSilence {
			delete(c.last, id)
		}
	}
	return len(c.last) < maxClients
}
