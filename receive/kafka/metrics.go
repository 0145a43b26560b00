package kafka

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

// lagEvery is how often the brokers are asked how far they are ahead.
const lagEvery = 10 * time.Second

type metrics struct {
	records     *prometheus.CounterVec
	skipped     *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	errors      *prometheus.CounterVec
	partitions  prometheus.Gauge
	lag         *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer, topics []Topic) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		records:     counter("clew_kafka_records_total", "Records of a topic that were stored or skipped, and are committed.", "topic"),
		skipped:     counter("clew_kafka_skipped_records_total", "Records that can never be stored, by reason.", "topic", "reason"),
		deadLetters: counter("clew_kafka_dead_letters_total", "Records of a topic that were written to kafka.dead_letter.", "topic"),
		errors:      counter("clew_kafka_errors_total", "What did not work and is tried again, by kind.", "kind"),
		partitions:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "clew_kafka_partitions", Help: "Partitions that this member of the group reads."}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "clew_kafka_lag_records", Help: "Records of a partition that the group has not committed yet; of the partitions that this member reads.",
		}, []string{"topic", "partition"}),
	}
	reg.MustRegister(m.partitions, m.lag)
	for _, t := range topics { // with 0, so that a rate sees the first one
		m.records.WithLabelValues(t.Name)
		m.deadLetters.WithLabelValues(t.Name)
		for _, k := range []trace.ErrorKind{trace.Invalid, trace.TooLarge, trace.UnknownTenant} {
			m.skipped.WithLabelValues(t.Name, k.String())
		}
	}
	for _, kind := range []string{"connect", "fetch", "held", "store", "commit", "dead_letter", "lag"} {
		m.errors.WithLabelValues(kind)
	}
	return m
}

// watchLag keeps the lag up to date until ctx is done.
func (c *Consumer) watchLag(ctx context.Context) {
	for ctx.Err() == nil {
		if err := c.measureLag(ctx); err != nil && ctx.Err() == nil {
			c.metrics.errors.WithLabelValues("lag").Inc()
			c.log.Debug("the lag is not known", "err", err)
		}
		sleep(ctx, lagEvery)
	}
}

func (c *Consumer) measureLag(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lagEvery)
	defer cancel()
	groups, err := c.admin.Lag(ctx, c.cfg.Group)
	if err != nil {
		return err
	}
	if err := groups.Error(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range groups[c.cfg.Group].Lag.Sorted() {
		if c.own[place{l.Topic, l.Partition}] != nil && l.Lag >= 0 {
			c.metrics.lag.WithLabelValues(l.Topic, strconv.Itoa(int(l.Partition))).Set(float64(l.Lag))
		}
	}
	return nil
}
