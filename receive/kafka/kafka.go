// Package kafka reads spans from topics of Apache Kafka, as a member of a consumer group.
//
// What is read is delivered at least once: a partition's offset is committed when the sink has acknowledged all records before it, which
// says that they are on disk. Records that are read again after a crash or a rebalance are exact copies, of which the store keeps one.
//
//	fetch ─▶ poll ─▶ a share for each partition, side by side ─▶ decode ─▶ sink ─▶ commit
//
// When the sink is busy, a share is tried again for a while; then it is put off: the partition is paused, and later read again from
// where the sink stopped. Nothing is skipped but what no later try could make better: a record that is not of its topic's format, or
// that a limit forbids. It is counted, logged with its place, and written to another topic, if there is one for it.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
)

const (
	workers    = 8                // shares that are stored at once
	roundTime  = 20 * time.Second // after which a round begins nothing more: a group waits 60 s for a member at a rebalance
	patience   = 5 * time.Second  // how long a busy sink is asked again before the share is put off
	commitTime = 10 * time.Second // for a commit, also of the last one at the stop
	idleTime   = time.Second      // between polls that bring errors alone
)

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// Consumer reads topics and writes what they hold to a sink.
type Consumer struct {
	cfg     Config
	inlet   receive.Inlet
	bodies  *receive.Bodies
	log     *slog.Logger
	metrics *metrics
	client  *kgo.Client
	admin   *kadm.Client
	writers sync.Pool // *writer
	release func()    // of what is held for fetches

	mu  sync.Mutex
	own map[place]*delay // the partitions that this member reads
}

// delay is until when a partition is paused (zero: it is not), and for how long it was since it last worked.
type delay struct {
	until time.Time
	wait  time.Duration
}

// Into is where what is read goes to.
type Into struct {
	Inlet    receive.Inlet
	Bodies   *receive.Bodies // among which the bytes that are held count
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Open returns a consumer, which has not connected to anything yet. Errors begin with a setting's key.
func Open(cfg Config, into Into) (*Consumer, error) {
	c := &Consumer{cfg: cfg, inlet: into.Inlet, bodies: into.Bodies, log: into.Log, own: map[place]*delay{}}
	c.inlet.Protocol = "kafka"
	c.inlet.Meter.Announce(c.inlet.Protocol)
	c.metrics = newMetrics(into.Registry, cfg.Topics)
	c.writers.New = func() any { return &writer{c: c} }
	var err error
	if c.release, err = c.bodies.Hold(cfg.FetchBytes); err != nil {
		return nil, fmt.Errorf("fetch_bytes: is %d, which is more than may be held at all", cfg.FetchBytes)
	}
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	if c.client, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("brokers: %w", err)
	}
	c.admin = kadm.NewClient(c.client)
	return c, nil
}

// Run reads until ctx is done. What the sink has under way is finished and committed, then the group is left. A broker that cannot be
// reached is no error: it is tried again.
func (c *Consumer) Run(ctx context.Context) {
	defer c.release()
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { c.watchLag(watching) })
	for ctx.Err() == nil {
		c.poll(ctx)
	}
	stop()
	watch.Wait()
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	if err := c.client.LeaveGroupContext(leaving); err != nil {
		c.log.Warn("left the consumer group without telling it", "group", c.cfg.Group, "err", err)
	}
	c.client.CloseAllowingRebalance()
}

// poll does one round: what has come is stored and committed, and what could not be stored is put off.
func (c *Consumer) poll(ctx context.Context) {
	begin := time.Now()
	waiting, cancel := context.WithDeadline(ctx, c.resume(begin))
	fetches := c.client.PollFetches(waiting)
	cancel()
	defer c.client.AllowRebalance() // partitions come and go between rounds alone
	if ctx.Err() != nil {
		fetches.EachRecord((*kgo.Record).Recycle) // what has come is not committed
		return
	}
	shares := c.shares(fetches)
	var work errgroup.Group
	work.SetLimit(workers)
	deadline := time.Now().Add(roundTime)
	for _, s := range shares {
		work.Go(func() error { c.store(ctx, s, deadline); return nil })
	}
	_ = work.Wait() // each share has its own error
	c.commit(ctx, shares)
	for _, s := range shares {
		if s.done < len(s.records) {
			c.rewind(s)
		} else {
			c.works(s.place)
		}
		s.recycle()
	}
	if c.failures(fetches) && len(shares) == 0 {
		sleep(ctx, idleTime)
	}
}

// share is what one poll brought of a partition. The first done of its records are stored, or will never be.
type share struct {
	place
	records []*kgo.Record
	done    int
	err     error // why the rest is not
}

// recycle gives memory back to where it was counted.
func (s *share) recycle() {
	for _, r := range s.records {
		r.Recycle()
	}
}

func (c *Consumer) shares(fetches kgo.Fetches) []*share {
	var out []*share
	at := map[place]*share{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		key := place{p.Topic, p.Partition}
		if s := at[key]; s != nil { // from a second broker
			s.records = append(s.records, p.Records...)
			return
		}
		s := &share{place: key, records: p.Records}
		at[key], out = s, append(out, s)
	})
	return out
}

// store writes a share, piece by piece, until one cannot be written.
func (c *Consumer) store(ctx context.Context, s *share, deadline time.Time) {
	w := c.writers.Get().(*writer)
	defer w.put()
	for s.done < len(s.records) && ctx.Err() == nil && time.Now().Before(deadline) {
		n := pieceOf(s.records[s.done:])
		if s.err = w.piece(ctx, s.records[s.done:s.done+n]); s.err != nil {
			break
		}
		s.done += n
	}
	w.report(s.place)
	c.metrics.records.WithLabelValues(s.topic).Add(float64(s.done))
	if s.err != nil && ctx.Err() == nil {
		c.metrics.errors.WithLabelValues("store").Inc()
		level := slog.LevelWarn
		if trace.KindOf(s.err) != trace.Busy {
			level = slog.LevelError
		}
		c.log.Log(ctx, level, "records cannot be stored now and are read again later", "topic", s.topic, "partition", s.partition,
			"offset", s.records[s.done].Offset, "err", s.err)
	}
}

// commit tells the group what is stored. When that does not work, the next commit says it, too; until then the records may come again.
func (c *Consumer) commit(ctx context.Context, shares []*share) {
	var last []*kgo.Record
	for _, s := range shares {
		if s.done > 0 {
			last = append(last, s.records[s.done-1])
		}
	}
	if len(last) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	if err := c.client.CommitRecords(ctx, last...); err != nil {
		c.metrics.errors.WithLabelValues("commit").Inc()
		c.log.Warn("offsets were not committed: the group may read these records again", "group", c.cfg.Group, "err", err)
	}
}

// failures tells of errors that a poll brought, and reports whether there were any.
func (c *Consumer) failures(fetches kgo.Fetches) (failed bool) {
	fetches.EachError(func(topic string, partition int32, err error) {
		var tooLarge *kgo.ErrDecompressTooLarge
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
		case errors.As(err, &tooLarge):
			c.skipBatch(tooLarge)
		case errors.Is(err, errCrowded):
			c.metrics.errors.WithLabelValues("held").Inc()
			c.pause(place{topic, partition})
		default:
			failed = true
			c.metrics.errors.WithLabelValues("fetch").Inc()
			c.log.Error("reading failed", "topic", topic, "partition", partition, "err", err)
		}
	})
	return failed
}

// skipBatch goes past a batch of records that a few bytes blow up beyond the limit.
func (c *Consumer) skipBatch(e *kgo.ErrDecompressTooLarge) {
	c.inlet.Meter.RefuseRequest(c.inlet.Protocol, trace.TooLarge.String())
	c.metrics.skipped.WithLabelValues(e.Topic, trace.TooLarge.String()).Add(float64(e.NextOffset - e.Offset))
	c.log.Warn("a batch of records was skipped", "topic", e.Topic, "partition", e.Partition, "offset", e.Offset, "last", e.NextOffset-1,
		"err", fmt.Sprintf("it decompresses to more than %d bytes", c.cfg.BatchBytes))
	c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{e.Topic: {e.Partition: {Epoch: e.Epoch, Offset: e.NextOffset}}})
}

// sleep lets time pass until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
