package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
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
	inner  kgo.Decompressor
	bodies *receive.Bodies

	mu   sync.Mutex
	held map[*byte]func() // what gives a batch back, by its first byte
}

// errCrowded is of a batch for which there is no room at the moment. It is fetched again.
var errCrowded = errors.New("too many bytes are being received at once")

func newUnpacker(limit int64, bodies *receive.Bodies) (*unpacker, error) {
	probe, err := kgo.NewClient(kgo.MaxDecompressBatchBytes(int(limit))) // which connects to nothing: only a client makes a decompressor with a limit
	if err != nil {
		return nil, fmt.Errorf("make a decompressor: %w", err)
	}
	defer probe.Close()
	inner, ok := probe.OptValue(kgo.WithDecompressor).(kgo.Decompressor)
	if !ok {
		return nil, errors.New("make a decompressor: the client has none")
	}
	return &unpacker{inner: inner, bodies: bodies, held: map[*byte]func(){}}, nil
}

// Decompress returns what is in a batch, or kgo.ErrMaxDecompress, or errCrowded.
func (u *unpacker) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	out, err := u.inner.Decompress(src, codec)
	if err != nil || len(out) == 0 {
		return out, err
	}
	release, err := u.bodies.Hold(int64(len(out)))
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
