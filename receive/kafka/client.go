package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/clewtrace/clew/receive"
)

// fetches is how many brokers are asked at once. What they answered counts until it is polled; so there are twice as many answers, at
// most: those that are being stored, and the next.
const fetches = 2

// options returns what the client is told.
func (c *Consumer) options() ([]kgo.Opt, error) {
	var topics []string
	for _, t := range c.cfg.Topics {
		topics = append(topics, t.Name)
	}
	start := kgo.NewOffset().AtStart()
	if c.cfg.Start == Newest {
		start = kgo.NewOffset().AtEnd()
	}
	unpacker, err := newUnpacker(c.cfg.BatchBytes, c.bodies)
	if err != nil {
		return nil, err
	}
	perFetch := c.cfg.FetchBytes / (2 * fetches)
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.cfg.Brokers...), kgo.ClientID("clew"), kgo.DisableClientMetrics(), kgo.WithLogger(&logger{log: c.log, seen: map[string]time.Time{}}), kgo.WithHooks(hook{c.metrics}),
		kgo.ConsumerGroup(c.cfg.Group), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(start),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(c.cfg.SessionTimeout), kgo.HeartbeatInterval(c.cfg.SessionTimeout / 5),
		kgo.OnPartitionsAssigned(c.assigned), kgo.OnPartitionsRevoked(c.revoked), kgo.OnPartitionsLost(c.revoked),
		kgo.MaxConcurrentFetches(fetches), kgo.FetchMaxBytes(int32(perFetch)), kgo.FetchMaxPartitionBytes(int32(max(perFetch/8, 1<<20))),
		kgo.BrokerMaxReadBytes(int32(min(2*max(perFetch, c.cfg.BatchBytes), math.MaxInt32))), // a batch that is larger than a fetch comes alone
		kgo.FetchMaxWait(time.Second),
		kgo.WithDecompressor(unpacker), kgo.WithPools(unpacker),
		kgo.ProducerBatchMaxBytes(int32(min(c.cfg.BatchBytes, 64<<20))), kgo.RecordDeliveryTimeout(commitTime), kgo.ProducerBatchCompression(kgo.Lz4Compression()),
	}
	if c.cfg.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.cfg.TLS))
	}
	user, password := c.cfg.SASL.User, c.cfg.SASL.Password
	switch c.cfg.SASL.Mechanism {
	case "plain":
		opts = append(opts, kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
	case "scram-sha-256":
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism()))
	case "scram-sha-512":
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()))
	}
	return opts, nil
}

// unpacker decompresses batches of records, and counts what comes out as held until the last of its records is recycled.
type unpacker struct {
	tiers  []*tier // each with a higher limit than the one before
	bodies *receive.Bodies

	mu   sync.Mutex
	held map[*byte]func() // what gives a batch back, by its first byte
}

// errCrowded is of a batch for which there is no room at the moment. It is fetched again.
var errCrowded = errors.New("too many bytes are being received at once")

// tier decompresses what becomes at most limit bytes, into a buffer that never grows: a growing one, as the client has it, is for a moment up to
// three times as large as what is in it.
type tier struct {
	kgo.Decompressor
	limit  int64
	unused sync.Pool // of *[]byte, of its capacity
}

// capacity is room for what is too large to be seen as such: a byte more than the limit, and what is read at the end at least.
func (t *tier) capacity() int { return int(t.limit) + 1 + bytes.MinRead }

// GetDecompressBytes returns a buffer to decompress into.
func (t *tier) GetDecompressBytes([]byte, kgo.CompressionCodecType) []byte {
	if b, ok := t.unused.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, t.capacity())
}

// PutDecompressBytes takes a buffer back, or leaves one that is not of its own.
func (t *tier) PutDecompressBytes(b []byte) {
	if cap(b) == t.capacity() {
		b = b[:0]
		t.unused.Put(&b)
	}
}

// usualGrowth is how many times as large batches become that are compressed well.
const usualGrowth = 8

func newUnpacker(limit int64, bodies *receive.Bodies) (*unpacker, error) {
	u := &unpacker{bodies: bodies, held: map[*byte]func(){}}
	for n := limit; len(u.tiers) == 0 || n >= 1<<20; n /= 2 {
		t := &tier{limit: n}
		probe, err := kgo.NewClient(kgo.MaxDecompressBatchBytes(int(n)), kgo.WithPools(t)) // which connects to nothing: only a client makes a decompressor with a limit
		if err != nil {
			return nil, fmt.Errorf("make a decompressor: %w", err)
		}
		var ok bool
		t.Decompressor, ok = probe.OptValue(kgo.WithDecompressor).(kgo.Decompressor)
		probe.Close()
		if !ok {
			return nil, errors.New("make a decompressor: the client has none")
		}
		u.tiers = slices.Insert(u.tiers, 0, t)
	}
	return u, nil
}

// Decompress returns what is in a batch, or kgo.ErrMaxDecompress, or errCrowded. Memory is held before it is taken: as much as such batches usually become and, if that is not
// enough, twice as much, and so on.
func (u *unpacker) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	last := len(u.tiers) - 1
	for i := range u.tiers {
		if i < last && u.tiers[i].limit < usualGrowth*int64(len(src)) {
			continue
		}
		out, err := u.within(u.tiers[i], src, codec)
		if i == last || !errors.Is(err, kgo.ErrMaxDecompress) {
			return out, err
		}
	}
	return nil, nil // there is a last one
}

// within decompresses what becomes at most as large as a tier has it, and holds what it is.
func (u *unpacker) within(t *tier, src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	most, err := u.bodies.Hold(t.limit)
	if err != nil {
		return nil, errCrowded
	}
	buffer, err := t.Decompress(src, codec)
	out := slices.Clone(buffer)
	t.PutDecompressBytes(buffer)
	most()
	if err != nil || len(out) == 0 {
		return out, err
	}
	release, err := u.bodies.Hold(int64(cap(out)))
	if err != nil {
		return nil, errCrowded
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.held[&out[0]] = release
	return out, nil
}

// GetDecompressBytes is never called, for Decompress is our own.
func (u *unpacker) GetDecompressBytes([]byte, kgo.CompressionCodecType) []byte { return nil }

// PutDecompressBytes gives back what a batch held.
func (u *unpacker) PutDecompressBytes(b []byte) {
	if len(b) == 0 {
		return
	}
	u.mu.Lock()
	release := u.held[&b[0]]
	delete(u.held, &b[0])
	u.mu.Unlock()
	if release != nil {
		release()
	}
}

// hook counts connections that cannot be made.
type hook struct{ m *metrics }

// OnBrokerConnect is called when a connection was made, or was not.
func (h hook) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		h.m.errors.WithLabelValues("connect").Inc()
	}
}

// logger has the client's warnings in Clew's log. The client repeats itself while a broker is away: each thing is told once in a while.
type logger struct {
	log  *slog.Logger
	mu   sync.Mutex
	seen map[string]time.Time
}

const repeatAfter = 30 * time.Second

func (*logger) Level() kgo.LogLevel { return kgo.LogLevelWarn }

func (l *logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	l.mu.Lock()
	now := time.Now()
	again := now.Sub(l.seen[msg]) < repeatAfter
	if !again {
		l.seen[msg] = now
	}
	l.mu.Unlock()
	if again {
		return
	}
	at := slog.LevelWarn
	if level == kgo.LogLevelError {
		at = slog.LevelError
	}
	l.log.Log(context.Background(), at, "a warning of Kafka's client", append([]any{"warning", msg}, keyvals...)...)
}
