package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/clewtrace/clew/internal/testkit"
)

// TestFormats reads a topic of each format, and one of several, with two partitions each, and finds all spans as they were sent.
func TestFormats(t *testing.T) {
	b := brokerOf(t)
	formats := []string{"otlp_proto", "otlp_json", "jaeger_proto", "zipkin_json", "zipkin_proto", "zipkin_thrift"}
	client := b.client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	any := b.topic(t, "zipkin", 2) // all of Zipkin's encodings in one topic
	topics := []string{any + "=zipkin"}
	const records, perRecord = 20, 5
	var all []*kgo.Record
	for n, format := range formats {
		topic := b.topic(t, strings.ReplaceAll(format, "_", "-"), 2)
		topics = append(topics, topic+"="+format)
		for i := range records {
			for _, value := range encodeAll(t, format, spansOf(traceID(t, n), perRecord*i+1, perRecord)) {
				all = append(all, &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: value})
			}
			if strings.HasPrefix(format, "zipkin") {
				all = append(all, &kgo.Record{Topic: any, Partition: int32(i % 2), Value: encode(t, format, spansOf(traceID(t, 10+n), perRecord*i+1, perRecord))})
			}
		}
		all = append(all, &kgo.Record{Topic: topic, Key: []byte("tombstone")})
	}
	produce(t, client, all...)
	s := testkit.Start(t, b.flags("formats", topics...)...)
	eventually(t, "all is committed", func() bool { return b.behind(t, "formats", topics...) == 0 })
	spans := 0.0
	for n, format := range formats {
		if d := cmp.Diff(upTo(records*perRecord), stored(t, s, traceID(t, n))); d != "" {
			t.Errorf("%s: %s", format, d)
		}
		spans += records * perRecord
		if strings.HasPrefix(format, "zipkin") {
			if d := cmp.Diff(upTo(records*perRecord), stored(t, s, traceID(t, 10+n))); d != "" {
				t.Errorf("%s among others: %s", format, d)
			}
			spans += records * perRecord
		}
	}
	for _, topic := range topics[1:] {
		name, format, _ := strings.Cut(topic, "=")
		want := records + 1.0
		if format == "jaeger_proto" {
			want = records*perRecord + 1
		}
		if n := metric(t, s, fmt.Sprintf(`clew_kafka_records_total{topic="%s"}`, name)); n != want {
			t.Errorf("%g records of %s; want %g", n, name, want)
		}
	}
	if received, kept := metric(t, s, `clew_received_spans_total{protocol="kafka"}`), metric(t, s, `clew_stored_spans_total{protocol="kafka"}`); received != spans || kept != spans {
		t.Errorf("%g spans received, %g stored; want %g", received, kept, spans)
	}
	if n := metric(t, s, `clew_kafka_partitions`); n != 14 {
		t.Errorf("%g partitions; want 14", n)
	}
	eventually(t, "the lag is known", func() bool {
		resp := metricLines(t, s, "clew_kafka_lag_records{")
		return len(resp) == 14 && !slices.ContainsFunc(resp, func(l string) bool { return !strings.HasSuffix(l, " 0") })
	})
}

// TestKill kills Clew again and again while records come, now and then with a stop in good order. In the end all spans are there, and once.
func TestKill(t *testing.T) {
	b := brokerOf(t)
	const traces, perTrace, perRecord = 40, 100, 10
	topic := b.topic(t, "spans", 4)
	client := b.client(t)
	var producing sync.WaitGroup
	defer producing.Wait()
	producing.Go(func() {
		for from := 1; from <= perTrace; from += perRecord {
			for n := range traces {
				if client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: encode(t, "otlp_proto", spansOf(traceID(t, n), from, perRecord))}).FirstErr() != nil {
					t.Error("a record was not written")
					return
				}
				time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			}
		}
	})
	dir := t.TempDir()
	flags := append(b.flags("kill", topic+"=otlp_proto"), "--store.head_age", "1s", "--kafka.session_timeout", "1s")
	kills := 0
	for done := false; !done; {
		s := testkit.StartIn(t, dir, flags...)
		time.Sleep(time.Duration(200+rand.IntN(800)) * time.Millisecond)
		if kills++; kills%3 == 0 {
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
		} else {
			s.Kill()
		}
		done = kills >= 6
	}
	producing.Wait()
	s := testkit.StartIn(t, dir, flags...)
	eventually(t, "all is committed", func() bool { return b.behind(t, "kill", topic) == 0 })
	for n := range traces {
		if d := cmp.Diff(upTo(perTrace), stored(t, s, traceID(t, n))); d != "" {
			t.Errorf("trace %d: %s", n, d)
		}
	}
	t.Logf("%d ends; %g spans came again", kills, metric(t, s, "clew_store_duplicate_spans_total"))
}

// TestRebalance has a second Clew join and the first one leave while records come. Between them they have every span, and each only one of them.
func TestRebalance(t *testing.T) {
	b := brokerOf(t)
	const traces, perTrace, perRecord = 20, 100, 10
	topic := b.topic(t, "spans", 4)
	client := b.client(t)
	flags := b.flags("rebalance", topic+"=otlp_proto")
	send := func(from, to int) {
		for i := from; i < to; i += perRecord {
			for n := range traces {
				produce(t, client, &kgo.Record{Topic: topic, Value: encode(t, "otlp_proto", spansOf(traceID(t, n), i, perRecord))})
			}
		}
	}
	partitions := func(s *testkit.Server, n float64) func() bool {
		return func() bool { return metric(t, s, "clew_kafka_partitions") == n }
	}
	firstDir := t.TempDir()
	first := testkit.StartIn(t, firstDir, flags...)
	eventually(t, "the first has all partitions", partitions(first, 4))
	send(1, 31)
	second := testkit.Start(t, flags...)
	send(31, 61)
	eventually(t, "both have two partitions", func() bool { return partitions(first, 2)() && partitions(second, 2)() })
	send(61, 81)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	send(81, 101)
	eventually(t, "the second has all partitions", partitions(second, 4))
	eventually(t, "all is committed", func() bool { return b.behind(t, "rebalance", topic) == 0 })
	first = testkit.StartIn(t, firstDir)
	for n := range traces {
		got := append(stored(t, first, traceID(t, n)), stored(t, second, traceID(t, n))...)
		slices.Sort(got)
		if d := cmp.Diff(upTo(perTrace), got); d != "" {
			t.Errorf("trace %d: %s", n, d)
		}
	}
	if n := metric(t, second, `clew_stored_spans_total{protocol="kafka"}`); n == 0 || n == traces*perTrace {
		t.Errorf("the second stored %g spans", n)
	}
}

// TestPoison: records that cannot be read are skipped, counted, logged with their place, and written to another topic; the others are stored.
func TestPoison(t *testing.T) {
	b := brokerOf(t)
	topic, dead := b.topic(t, "spans", 1), b.topic(t, "dead", 1)
	client := b.client(t)
	good := func(from int) *kgo.Record {
		return &kgo.Record{Topic: topic, Value: encode(t, "otlp_proto", spansOf(traceID(t, 0), from, 10))}
	}
	whole := good(1).Value
	noID := spansOf(traceID(t, 0), 11, 1)
	noID[0].TraceID = [16]byte{}
	inner := bytes.Clone(whole)
	inner[bytes.LastIndex(inner, []byte("as it was sent"))-1] = 0x7f // a text that goes on beyond its span
	records := []*kgo.Record{
		good(1),
		{Topic: topic, Value: []byte("nonsense"), Key: []byte("k1")},
		good(11),
		{Topic: topic, Value: whole[:len(whole)-3]},
		{Topic: topic, Value: whole[3:]},
		good(21),
		{Topic: topic, Value: inner, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}},
		good(31),
		{Topic: topic, Value: encode(t, "otlp_proto", noID)},
		good(41),
	}
	produce(t, client, records...)
	flags := append(b.flags("poison", topic+"=otlp_proto"), "--kafka.dead_letter", dead)
	s := testkit.Start(t, flags...)
	eventually(t, "all is committed", func() bool { return b.behind(t, "poison", topic) == 0 })
	if d := cmp.Diff(upTo(50), stored(t, s, traceID(t, 0))); d != "" {
		t.Error(d)
	}
	letters := b.client(t, kgo.ConsumeTopics(dead))
	var offsets []string
	for begin := time.Now(); len(offsets) < 4 && time.Since(begin) < startTimeout; {
		waiting, cancel := context.WithTimeout(t.Context(), time.Second)
		letters.PollFetches(waiting).EachRecord(func(r *kgo.Record) {
			h := map[string]string{}
			for _, header := range r.Headers {
				h[header.Key] = string(header.Value)
			}
			offsets = append(offsets, h["clew-offset"])
			was := records[len(records)-1]
			for i := range records {
				if fmt.Sprint(i) == h["clew-offset"] {
					was = records[i]
				}
			}
			if !bytes.Equal(r.Value, was.Value) || !bytes.Equal(r.Key, was.Key) || h["clew-topic"] != topic || h["clew-partition"] != "0" || h["clew-reason"] != "invalid" || h["clew-error"] == "" {
				t.Errorf("a dead letter is %q %q", r.Value, h)
			}
		})
		cancel()
	}
	if d := cmp.Diff([]string{"1", "3", "4", "6"}, offsets); d != "" {
		t.Error(d)
	}
	for series, want := range map[string]float64{
		fmt.Sprintf(`clew_kafka_skipped_records_total{reason="invalid",topic="%s"}`, topic): 4,
		fmt.Sprintf(`clew_kafka_dead_letters_total{topic="%s"}`, topic):                     4,
		`clew_refused_requests_total{protocol="kafka",reason="invalid"}`:                    4,
		`clew_refused_spans_total{protocol="kafka",reason="bad_trace_id"}`:                  1,
		`clew_stored_spans_total{protocol="kafka"}`:                                         50,
		fmt.Sprintf(`clew_kafka_records_total{topic="%s"}`, topic):                          10,
	} {
		if got := metric(t, s, series); got != want {
			t.Errorf("%s is %g; want %g", series, got, want)
		}
	}
	if lines := s.Logged("records were skipped", topic, `"partition":0`, `"offset":1`, `"last":6`, `"count":4`); len(lines) != 1 {
		t.Errorf("the log has %v", s.Logged("skipped"))
	}
	if lines := s.Logged("spans were refused", "trace_id"); len(lines) != 1 {
		t.Errorf("the log has %v", s.Logged("refused"))
	}
}

// TestBomb: a batch of records that a few bytes blow up beyond the limit is skipped; what is behind it is stored.
func TestBomb(t *testing.T) {
	b := brokerOf(t)
	topic := b.topic(t, "spans", 1)
	bomber := b.client(t, kgo.ProducerBatchMaxBytes(64<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	good := func(from int) *kgo.Record {
		return &kgo.Record{Topic: topic, Value: encode(t, "otlp_proto", spansOf(traceID(t, 0), from, 10))}
	}
	produce(t, bomber, good(1))
	produce(t, bomber, &kgo.Record{Topic: topic, Value: make([]byte, 40<<20)})
	produce(t, bomber, good(11))
	s := testkit.Start(t, append(b.flags("bomb", topic+"=otlp_proto"), "--receive.body_bytes", "8MiB", "--receive.held_bytes", "64MiB", "--receive.span_bytes", "1MiB")...)
	eventually(t, "all is committed", func() bool { return b.behind(t, "bomb", topic) == 0 })
	if d := cmp.Diff(upTo(20), stored(t, s, traceID(t, 0))); d != "" {
		t.Error(d)
	}
	if n := metric(t, s, fmt.Sprintf(`clew_kafka_skipped_records_total{reason="too_large",topic="%s"}`, topic)); n != 1 {
		t.Errorf("%g records were skipped; want 1", n)
	}
	if len(s.Logged("a batch of records was skipped", `"offset":1`)) != 1 {
		t.Error("the log does not tell")
	}
}

// TestTenants: a record's header names its tenant. Records of one that is not known are skipped.
func TestTenants(t *testing.T) {
	b := brokerOf(t)
	topic := b.topic(t, "spans", 1)
	client := b.client(t)
	for i, tenant := range []string{"", "payments", "nobody", "payments", ""} {
		r := &kgo.Record{Topic: topic, Value: encode(t, "otlp_proto", spansOf(traceID(t, 0), 10*i+1, 10))}
		if tenant != "" {
			r.Headers = []kgo.RecordHeader{{Key: "x-scope-orgid", Value: []byte(tenant)}}
		}
		produce(t, client, r)
	}
	s := testkit.Start(t, append(b.flags("tenants", topic+"=otlp_proto"), "--tenants.list", "payments")...)
	eventually(t, "all is committed", func() bool { return b.behind(t, "tenants", topic) == 0 })
	if d := cmp.Diff(append(upTo(10), 41, 42, 43, 44, 45, 46, 47, 48, 49, 50), stored(t, s, traceID(t, 0))); d != "" {
		t.Errorf("default: %s", d)
	}
	if d := cmp.Diff([]int{11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40}, stored(t, s, traceID(t, 0), "X-Scope-OrgID", "payments")); d != "" {
		t.Errorf("payments: %s", d)
	}
	if n := metric(t, s, fmt.Sprintf(`clew_kafka_skipped_records_total{reason="unknown_tenant",topic="%s"}`, topic)); n != 1 {
		t.Errorf("%g records were skipped; want 1", n)
	}
}

// TestSecure reads by TLS and with each kind of login. A wrong password and a wrong authority are told, the password never is.
func TestSecure(t *testing.T) {
	b := brokerOf(t)
	topic := b.topic(t, "spans", 1)
	produce(t, b.client(t), &kgo.Record{Topic: topic, Value: encode(t, "otlp_proto", spansOf(traceID(t, 0), 1, 10))})
	right, wrong := filepath.Join(t.TempDir(), "right"), filepath.Join(t.TempDir(), "wrong")
	write(t, right, password+"\n")
	write(t, wrong, password+"-not\n")
	other, _ := issue(t, "another authority", nil, nil)
	otherCA := filepath.Join(t.TempDir(), "other.pem")
	write(t, otherCA, pemOf(other))
	login := func(mechanism, file string) []string {
		return []string{"--kafka.brokers", b.login, "--kafka.sasl_mechanism", mechanism, "--kafka.sasl_user", user, "--kafka.sasl_password_file", file}
	}
	for name, c := range map[string]struct {
		flags []string
		reads bool
	}{
		"tls":             {[]string{"--kafka.brokers", b.ssl}, true},
		"plain":           {login("plain", right), true},
		"scram-sha-256":   {login("scram-sha-256", right), true},
		"scram-sha-512":   {login("scram-sha-512", right), true},
		"wrong password":  {login("scram-sha-512", wrong), false},
		"wrong authority": {[]string{"--kafka.brokers", b.ssl, "--kafka.tls.ca_file", otherCA}, false},
	} {
		flags := append(b.flags("secure-"+strings.ReplaceAll(name, " ", "-"), topic+"=otlp_proto"), "--kafka.tls.enabled", "--kafka.tls.ca_file", b.ca)
		s := testkit.Start(t, append(flags, c.flags...)...)
		if c.reads {
			eventually(t, name, func() bool { return len(stored(t, s, traceID(t, 0))) == 10 })
		} else {
			eventually(t, name+" is counted", func() bool { return metric(t, s, `clew_kafka_errors_total{kind="connect"}`) > 0 })
			eventually(t, name+" is told", func() bool { return len(s.Logged("a warning of Kafka's client")) > 0 })
			if got := stored(t, s, traceID(t, 0)); len(got) != 0 {
				t.Errorf("%s: stored %v", name, got)
			}
		}
		if lines := s.Logged(password); len(lines) > 0 {
			t.Errorf("%s: the log has the password: %v", name, lines)
		}
		if err := s.Stop(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out := testkit.Run(t, nil, append([]string{"serve", "--print-config"}, login("plain", right)...)...); strings.Contains(out.Stdout+out.Stderr, password) {
		t.Errorf("--print-config has the password: %s", out.Stdout)
	}
}

// TestBrokerRestart: a broker that dies and comes back is read on from where it was. It is last, for the others need the broker.
func TestBrokerRestart(t *testing.T) {
	b := brokerOf(t)
	topic := b.topic(t, "spans", 2)
	send := func(from, count int) {
		client := b.client(t)
		for i := range count {
			produce(t, client, &kgo.Record{Topic: topic, Value: encode(t, "otlp_proto", spansOf(traceID(t, 0), from+10*i, 10))})
		}
	}
	send(1, 5)
	s := testkit.Start(t, b.flags("restart", topic+"=otlp_proto")...)
	eventually(t, "the first are stored", func() bool { return len(stored(t, s, traceID(t, 0))) == 50 })
	b.stop(syscall.SIGKILL)
	b.start(t)
	send(51, 5)
	eventually(t, "all is stored", func() bool { return len(stored(t, s, traceID(t, 0))) == 100 })
	eventually(t, "all is committed", func() bool { return b.behind(t, "restart", topic) == 0 })
	if d := cmp.Diff(upTo(100), stored(t, s, traceID(t, 0))); d != "" {
		t.Error(d)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
