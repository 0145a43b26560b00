package kafka_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

// BenchmarkIngest writes the load of clew load to a topic, then has Clew read it, and tells what a span costs: the server's CPU time from
// its start to its end, as in docs/performance.md.
func BenchmarkIngest(b *testing.B) {
	broker := brokerOf(b)
	const spans, request = 500_000, 800
	topic := broker.topic(b, "load", 4)
	client := broker.client(b, kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedBytes(64<<20))
	g, made := load.New(1, 0), 0
	for made < spans {
		value, m := g.Request(nil, request, time.Now())
		made += m.Spans
		client.Produce(b.Context(), &kgo.Record{Topic: topic, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := client.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		begin := time.Now()
		s := testkit.Start(b, broker.flags(time.Now().Format("group-150405.000"), topic+"=otlp_proto")...)
		eventually(b, "all is stored", func() bool { return metric(b, s, `clew_stored_spans_total{protocol="kafka"}`) >= float64(made) })
		wall := time.Since(begin)
		if err := s.Stop(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(made)/s.CPU().Seconds(), "spans/CPU-s")
		b.ReportMetric(float64(made)/wall.Seconds(), "spans/s")
	}
}
