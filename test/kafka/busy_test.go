package kafka_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/receive/kafka"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

// TestBusy: while there is no room for what comes, nothing is stored and nothing skipped. When there is, all of it is stored.
func TestBusy(t *testing.T) {
	b := brokerOf(t)
	topic := b.topic(t, "spans", 2)
	// One partition has batches that are compressed, for which there is no room when they are fetched, the other none.
	for i := range 20 {
		codec := []kgo.CompressionCodec{kgo.NoCompression(), kgo.ZstdCompression()}[i%2]
		client := b.client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec))
		produce(t, client, &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: encode(t, "otlp_proto", spansOf(traceID(t, 0), 10*i+1, 10))})
	}
	cfg := spool.Default()
	cfg.Dir = t.TempDir()
	reg := prometheus.NewRegistry()
	store, err := spool.Open(cfg, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	meter, bodies := receive.NewMeter(reg), receive.NewBodies(8<<20, 64<<20)
	kc := kafka.Default()
	kc.Brokers, kc.Topics, kc.Group = []string{b.plain}, []kafka.Topic{{Name: topic, Format: "otlp_proto"}}, "busy"
	consumer, err := kafka.Open(kc, kafka.Into{
		Inlet:  receive.Inlet{Sink: store, Meter: meter, Limits: func(context.Context) trace.Limits { return trace.DefaultLimits() }},
		Bodies: bodies, Log: slog.New(slog.DiscardHandler), Registry: reg,
	})
	if err != nil {
		t.Fatal(err)
	}
	release, err := bodies.Hold(64<<20 - kc.FetchBytes) // others have all that is left
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { consumer.Run(ctx); close(done) }()
	defer func() { stop(); <-done }()
	errors := func(kind string) float64 {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "clew_kafka_errors_total" && m.GetLabel()[0].GetValue() == kind {
					return m.GetCounter().GetValue()
				}
			}
		}
		return 0
	}
	eventually(t, "both partitions are put off", func() bool { return errors("store") >= 1 && errors("held") >= 1 })
	if received, refused, kept := meter.Totals(); received+refused+kept != 0 || b.behind(t, "busy", topic) != 20 {
		t.Errorf("received %d, refused %d, stored %d; %d records behind", received, refused, kept, b.behind(t, "busy", topic))
	}
	release()
	eventually(t, "all is committed", func() bool { return b.behind(t, "busy", topic) == 0 })
	if _, _, kept := meter.Totals(); kept != 200 {
		t.Errorf("%d spans are stored; want 200", kept)
	}
}
