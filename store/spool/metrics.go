package spool

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

type metrics struct {
	appended   prometheus.Counter
	replayed   prometheus.Counter
	expired    *prometheus.CounterVec
	duplicates prometheus.Counter
	damaged    prometheus.Counter
	failed     prometheus.Counter
	deleted    prometheus.Counter
	purged     prometheus.Counter
	sync       prometheus.Histogram
	syncBytes  prometheus.Counter
	cut        prometheus.Histogram
	merge      prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, s *Spool) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	seconds := func(name, help string, start float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(start, 2, 14)})
		reg.MustRegister(h)
		return h
	}
	m := &metrics{
		appended:   counter("clew_store_appended_spans_total", "Spans that were acknowledged."),
		replayed:   counter("clew_store_replayed_spans_total", "Spans read back from the log at the start."),
		duplicates: counter("clew_store_duplicate_spans_total", "Exact duplicates dropped when a block was written."),
		damaged:    counter("clew_store_damage_total", "Stretches of files found damaged and left out."),
		failed:     counter("clew_store_block_failures_total", "Attempts to write a block that failed and are repeated."),
		deleted:    counter("clew_store_deleted_traces_total", "Traces deleted on request."),
		purged:     counter("clew_store_purged_bytes_total", "Bytes of blocks that were rewritten without deleted traces."),
		syncBytes:  counter("clew_store_log_bytes_total", "Bytes written to the log."),
		sync:       seconds("clew_store_sync_seconds", "Time to write and sync the log, one for all batches that waited.", 0.0001),
		cut:        seconds("clew_store_cut_seconds", "Time to make a block of a head.", 0.001),
		merge:      seconds("clew_store_merge_seconds", "Time to merge blocks.", 0.001),
		expired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clew_store_expired_spans_total", Help: "Spans deleted by the retention, by its reason (age or bytes).",
		}, []string{"reason"}),
	}
	for _, r := range []string{"age", "bytes"} {
		m.expired.WithLabelValues(r)
	}
	reg.MustRegister(m.expired)
	gauge := func(name, help string, get func(trace.Stats) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if s.state.Load() == nil {
				return 0
			}
			st, err := s.Stats(context.Background())
			if err != nil {
				return 0
			}
			return get(st)
		}))
	}
	gauge("clew_store_spans", "Spans in blocks and in memory.", func(st trace.Stats) float64 { return float64(st.Spans) })
	gauge("clew_store_blocks", "Block files.", func(st trace.Stats) float64 { return float64(st.Blocks) })
	gauge("clew_store_bytes", "Bytes of blocks and log on disk.", func(st trace.Stats) float64 { return float64(st.Bytes) })
	gauge("clew_store_oldest_seconds", "Start of the oldest span, Unix time.", func(st trace.Stats) float64 { return float64(st.Oldest) / 1e9 })
	gauge("clew_store_tombstones", "Deleted traces that are remembered: their spans are refused.", func(trace.Stats) float64 {
		all, _ := s.state.Load().deleted.count()
		return float64(all)
	})
	gauge("clew_store_deletions_pending", "Deleted traces that may still have bytes on disk.", func(trace.Stats) float64 {
		_, pending := s.state.Load().deleted.count()
		return float64(pending)
	})
	gauge("clew_store_head_bytes", "Memory of heads, about.", func(trace.Stats) float64 {
		var n int64
		for _, f := range s.state.Load().fronts() {
			n += f.size()
		}
		return float64(n)
	})
	return m
}

func (m *metrics) synced(d time.Duration, bytes int) {
	m.sync.Observe(d.Seconds())
	m.syncBytes.Add(float64(bytes))
}
