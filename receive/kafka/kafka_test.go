package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

func TestValidate(t *testing.T) {
	good := func() Config {
		c := Default()
		c.Brokers, c.Topics = []string{"a:9092"}, []Topic{{"spans", "otlp_proto"}}
		return c
	}
	for want, change := range map[string]func(*Config){
		"":                                     func(*Config) {},
		"brokers: is empty, but there are":     func(c *Config) { c.Brokers = nil },
		"topics: is empty":                     func(c *Config) { c.Topics = nil },
		`brokers: "a" has no port`:             func(c *Config) { c.Brokers = []string{"a"} },
		"topics: topic 1 of the list has no":   func(c *Config) { c.Topics[0].Name = "" },
		`topics: the format of spans is "otlp`: func(c *Config) { c.Topics[0].Format = "otlp" },
		"topics: spans is there twice":         func(c *Config) { c.Topics = append(c.Topics, c.Topics[0]) },
		"dead_letter: spans is read, too":      func(c *Config) { c.DeadLetter = "spans" },
		"group: is empty":                      func(c *Config) { c.Group = "" },
		`start: is "now"`:                      func(c *Config) { c.Start = "now" },
		"fetch_bytes: is 1":                    func(c *Config) { c.FetchBytes = 1 },
		"session_timeout: is 1ms":              func(c *Config) { c.SessionTimeout = time.Millisecond },
		`sasl_mechanism: is "gssapi"`:          func(c *Config) { c.SASL = SASL{"gssapi", "u", "p"} },
		`sasl_mechanism: is ""`:                func(c *Config) { c.SASL.User = "u" },
		"sasl_user: is empty":                  func(c *Config) { c.SASL.Mechanism = "plain" },
	} {
		c := good()
		change(&c)
		if err := c.Validate(); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
	if c := Default(); c.Validate() != nil || c.On() {
		t.Error("the default is not off")
	}
}

// span returns an OTLP message of one span, with a number as its ID.
func span(n uint64) []byte {
	s := trace.Span{
		TraceID: trace.ID{1}, Name: "op", Start: uint64(time.Now().UnixNano()), Resource: &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("s")}}},
		Scope: &trace.Scope{},
	}
	s.End = s.Start + 1
	binary.BigEndian.PutUint64(s.ID[:], n)
	return trace.AppendTraces(nil, []trace.Span{s})
}

// TestPieces: a piece has one record at least, and is bounded in bytes and records.
func TestPieces(t *testing.T) {
	of := func(n, size int) (out []*kgo.Record) {
		for range n {
			out = append(out, &kgo.Record{Value: make([]byte, size)})
		}
		return out
	}
	for _, c := range []struct{ n, size, want int }{{1, 10 << 20, 1}, {3, 10 << 20, 1}, {3, 1 << 20, 2}, {100, 10, 100}, {20_000, 1, pieceRecords}, {10, 0, 10}} {
		if got := pieceOf(of(c.n, c.size)); got != c.want {
			t.Errorf("of %d records of %d bytes, %d are a piece; want %d", c.n, c.size, got, c.want)
		}
	}
}

// TestHalves: records of a piece that cannot be stored are found among the others, which are stored.
func TestHalves(t *testing.T) {
	cfg := spool.Default()
	cfg.Dir = t.TempDir()
	reg := prometheus.NewRegistry()
	store, err := spool.Open(cfg, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	kc := Default()
	kc.Brokers, kc.Topics = []string{"127.0.0.1:1"}, []Topic{{"spans", "otlp_proto"}}
	meter := receive.NewMeter(reg)
	c, err := Open(kc, Into{
		Inlet:  receive.Inlet{Sink: store, Meter: meter, Limits: func(context.Context) trace.Limits { return trace.DefaultLimits() }},
		Bodies: receive.NewBodies(64<<20, 256<<20), Log: slog.New(slog.DiscardHandler), Registry: reg,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.client.Close()
	for _, broken := range [][]int64{nil, {0}, {99}, {0, 1, 50, 98}, {49, 50}} {
		var records []*kgo.Record
		for i := range int64(100) {
			r := &kgo.Record{Topic: "spans", Offset: i, Value: span(uint64(i) + 1)}
			for _, b := range broken {
				if b == i {
					r.Value[4] = 0xff // inside: what is around it is whole
				}
			}
			records = append(records, r)
		}
		_, _, before := meter.Totals()
		w := &writer{c: c}
		if err := w.piece(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		var poisoned []int64
		for _, p := range w.poison {
			poisoned = append(poisoned, p.record.Offset)
		}
		if d := cmp.Diff(broken, poisoned); d != "" {
			t.Error(d)
		}
		if _, _, after := meter.Totals(); after-before != uint64(100-len(broken)) {
			t.Errorf("%d spans are stored; want %d", after-before, 100-len(broken))
		}
	}
}

// packed returns a batch of n zeros, compressed.
func packed(t *testing.T, n int, codec kgo.CompressionCodec) ([]byte, kgo.CompressionCodecType) {
	t.Helper()
	c, err := kgo.DefaultCompressor(codec)
	if err != nil {
		t.Fatal(err)
	}
	return c.Compress(&bytes.Buffer{}, make([]byte, n))
}

// TestUnpack: memory for a batch is held before it is taken, no more is taken, and as much is held as the batch has afterwards.
func TestUnpack(t *testing.T) {
	for name, codec := range map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) { testUnpack(t, codec) })
	}
}

func testUnpack(t *testing.T, codec kgo.CompressionCodec) {
	const most = 32 << 20
	bodies := receive.NewBodies(most, most)
	u, err := newUnpacker(most, bodies)
	if err != nil {
		t.Fatal(err)
	}
	holdable := func(n int64) bool {
		release, err := bodies.Hold(n)
		if err == nil {
			release()
		}
		return err == nil
	}
	for _, n := range []int{1 << 10, 1 << 20, 3 << 20, 12 << 20} {
		out, err := u.Decompress(packed(t, n, codec))
		if err != nil || len(out) != n {
			t.Fatalf("%d bytes: %d bytes, %v", n, len(out), err)
		}
		if holdable(most-int64(n)+1) || !holdable(most-int64(cap(out))) {
			t.Errorf("another amount is held than the %d bytes of the batch", cap(out))
		}
		u.PutDecompressBytes(out)
		if !holdable(most) {
			t.Errorf("a batch of %d bytes is held after it was given back", n)
		}
	}
	if _, err := u.Decompress(packed(t, most+1, codec)); !errors.Is(err, kgo.ErrMaxDecompress) {
		t.Errorf("a batch of more than the limit: %v", err)
	}
	release, err := bodies.Hold(most - 2<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	bomb, of := packed(t, most, codec)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = u.Decompress(bomb, of)
	runtime.ReadMemStats(&after)
	// There was room for the two smallest buffers, 1 and 2 MiB, and lz4's decoder has a block of 4 MiB each time.
	if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, errCrowded) || took > most/2 {
		t.Errorf("without room for it: %v, and %d bytes were taken", err, took)
	}
}

// TestDeadLettersResults: that a record is too large for the topic of dead letters is told of that record, though it ends before others.
func TestDeadLettersResults(t *testing.T) {
	var lines bytes.Buffer
	c := &Consumer{log: slog.New(slog.NewTextHandler(&lines, nil)), metrics: newMetrics(prometheus.NewRegistry(), nil)}
	small, large := &kgo.Record{}, &kgo.Record{}
	was := map[*kgo.Record]*kgo.Record{small: {Topic: "spans", Offset: 1}, large: {Topic: "spans", Offset: 2}}
	if err := c.produced(kgo.ProduceResults{{Record: large, Err: kerr.MessageTooLarge}, {Record: small}}, was); err != nil {
		t.Fatal(err)
	}
	if got := lines.String(); strings.Count(got, "too large") != 1 || !strings.Contains(got, "offset=2") {
		t.Errorf("the log has %s", got)
	}
}

// FuzzFormats: whatever a record holds, it becomes OTLP behind what was there, or an error of a kind that is final.
func FuzzFormats(f *testing.F) {
	seeds := []string{
		string(span(1)), `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01","spanId":"02"}]}]}]}`,
		`[{"traceId":"a","id":"b","localEndpoint":{"serviceName":"s"}}]`, `[{"traceId":"a","id":"b","annotations":[{"value":"sr","endpoint":{"serviceName":"s"}}]}]`,
		`{"traceId":"AAAAAAAAAAIAAAAAAAAAAQ==","spanId":"AAAAAAAAAAM=","operationName":"op","startTime":"2017-01-26T16:46:31Z","tags":[{"key":"a","vType":"INT64","vInt64":"1"}],"process":{"serviceName":"s"}}`,
		"\x0a\x10\x0a\x081234567\x08\x1a\x04abcd", "\x0c\x00\x00\x00\x01\x0a\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00", "\x0a\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00",
	}
	for i := range formats {
		for _, s := range seeds {
			f.Add(uint8(i), []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, value []byte) {
		if len(value) == 0 {
			return // is no record to read
		}
		format := formats[int(n)%len(formats)]
		before := []byte("what was there")
		out, err := format.append(before, input{value, time.Unix(1, 0), trace.DefaultLimits()})
		if string(before) != "what was there" {
			t.Errorf("%s overwrote what was there", format.name)
		}
		if err != nil {
			if !final(err) {
				t.Errorf("%s: %v is not final", format.name, err)
			}
			return
		}
		if !strings.HasPrefix(string(out), "what was there") {
			t.Fatalf("%s lost what was there", format.name)
		}
		if len(out) > len(before)+8*len(value)+1<<10 {
			t.Errorf("%s makes %d bytes of %d", format.name, len(out), len(value))
		}
		var b trace.Batch
		if err := b.Index(out[len(before):], trace.DefaultLimits()); err != nil && !final(err) {
			t.Errorf("%s: %v is not final", format.name, err)
		}
	})
}
