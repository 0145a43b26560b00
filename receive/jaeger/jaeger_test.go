package jaeger

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
)

// sink keeps the names of the spans it is given, or fails, as a store does that is busy; it waits for gate, if there is one.
type sink struct {
	mu    sync.Mutex
	names []string
	err   error
	gate  chan struct{}
}

func (s *sink) Append(_ context.Context, b *trace.Batch) error {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for i := range b.Spans {
		s.names = append(s.names, string(b.Bytes(b.Spans[i].Name)))
	}
	return nil
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// stored returns the names of all spans so far, in order.
func (s *sink) stored() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.names)
	return strings.Join(s.names, " ")
}

const maxBody = 1 << 20

type fixture struct {
	*Receiver
	sink *sink
	reg  *prometheus.Registry
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	sampling, err := OpenSampling("", 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return fixtureWith(sampling)
}

func fixtureWith(sampling *Sampling) *fixture {
	s, reg := &sink{}, prometheus.NewRegistry()
	bodies := receive.NewBodies(maxBody, 8*maxBody)
	inlet := receive.Inlet{Sink: s, Turns: bodies.Turns(), Meter: receive.NewMeter(reg), Limits: func(context.Context) trace.Limits { return trace.DefaultLimits() }}
	return &fixture{New(inlet, bodies, sampling, reg), s, reg}
}

// counts returns the metrics whose names begin with clew_ and that are not 0, as lines "name{labels} value", but for times and sizes.
func (f *fixture) counts() string {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(f.reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	var out []string
	for line := range strings.Lines(w.Body.String()) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "clew_") && !strings.HasSuffix(line, " 0") && !strings.Contains(line, "_seconds") && !strings.Contains(line, "_bytes") {
			out = append(out, strings.TrimPrefix(line, "clew_"))
		}
	}
	return strings.Join(out, "\n")
}

func (f *fixture) expect(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := f.counts(); got != strings.Join(want, "\n") {
		t.Errorf("counted\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// batch writes a Thrift batch with spans of some names; w is at a place where a struct may come. seq and lost: of a client that says so.
func batch(w *thrift.Writer, seq, lost int64, names ...string) {
	w.Struct()
	w.Field(1<<8 | thrift.Struct)
	w.Struct()
	w.Field(1<<8 | thrift.String)
	w.String("shop")
	w.Field(2<<8 | thrift.List)
	w.List(thrift.Struct, 1)
	w.Struct()
	w.Field(1<<8 | thrift.String)
	w.String("client-uuid")
	w.Field(2<<8 | thrift.I32)
	w.I32(0)
	w.Field(3<<8 | thrift.String)
	w.String("u1")
	w.End()
	w.End()
	w.Field(2<<8 | thrift.List)
	w.List(thrift.Struct, len(names))
	for i, name := range names {
		w.Struct()
		for field, n := range []int64{1, 0, int64(i + 1), 0} {
			w.Field(thrift.Field(field+1)<<8 | thrift.I64)
			w.I64(n)
		}
		w.Field(5<<8 | thrift.String)
		w.String(name)
		w.Field(7<<8 | thrift.I32)
		w.I32(1)
		w.Field(8<<8 | thrift.I64)
		w.I64(1_700_000_000_000_000)
		w.Field(9<<8 | thrift.I64)
		w.I64(10)
		w.End()
	}
	if seq > 0 {
		w.Field(3<<8 | thrift.I64)
		w.I64(seq)
		w.Field(4<<8 | thrift.Struct)
		w.Struct()
		for field := range 3 {
			w.Field(thrift.Field(field+1)<<8 | thrift.I64)
			w.I64(lost * int64(field+1))
		}
		w.End()
	}
	w.End()
}

func body(names ...string) []byte {
	var w thrift.Writer
	batch(&w, 0, 0, names...)
	return w.Out
}

// packet is a call of emitBatch.
func packet(compact bool, seq, lost int64, names ...string) []byte {
	w := thrift.Writer{Compact: compact}
	w.Message(thrift.Message{Type: thrift.Oneway, Name: []byte("emitBatch")})
	w.Struct()
	w.Field(1<<8 | thrift.Struct)
	batch(&w, seq, lost, names...)
	w.End()
	return w.Out
}

func TestHTTP(t *testing.T) {
	const thriftType = "application/x-thrift"
	zero := bytes.Clone(body("a", "b"))
	at := bytes.Index(zero, []byte{thrift.I64, 0, 3}) // the first span's ID
	clear(zero[at+3 : at+11])
	var f *fixture
	for _, c := range []struct {
		name, method, path, contentType string
		body                            []byte
		sink                            error
		status                          int
		answer                          string // that it contains
		counted                         []string
	}{
		{
			"spans", "POST", "/api/traces", thriftType, body("a", "b"), nil, 202, "",
			[]string{`received_spans_total{protocol="jaeger/http"} 2`, `stored_spans_total{protocol="jaeger/http"} 2`},
		},
		{
			"as older clients ask", "POST", "/api/traces?format=jaeger.thrift", "application/vnd.apache.thrift.binary", body("a"), nil, 202, "",
			[]string{`received_spans_total{protocol="jaeger/http"} 1`, `stored_spans_total{protocol="jaeger/http"} 1`},
		},
		{"no spans", "POST", "/api/traces", thriftType, body(), nil, 202, "", nil},
		{
			"one without an ID", "POST", "/api/traces", thriftType, zero, nil, 202, "1 of 2 spans were refused",
			[]string{
				`received_spans_total{protocol="jaeger/http"} 2`, `refused_spans_total{protocol="jaeger/http",reason="bad_span_id"} 1`,
				`stored_spans_total{protocol="jaeger/http"} 1`,
			},
		},
		{"not Thrift", "POST", "/api/traces", thriftType, []byte("{}"), nil, 400, "Unable to process request body: not a Thrift batch", []string{refused("invalid")}},
		{"cut off", "POST", "/api/traces", thriftType, body("a")[:99], nil, 400, "Unable to process request body", []string{refused("invalid")}},
		{"too large", "POST", "/api/traces", thriftType, make([]byte, maxBody+1), nil, 413, "larger than 1048576 bytes", []string{refused("too_large")}},
		{"JSON", "POST", "/api/traces", "application/json", nil, nil, 400, "Unsupported content type: application/json", []string{refused("content_type")}},
		{"compact", "POST", "/api/traces", "application/vnd.apache.thrift.compact", nil, nil, 400, "Unsupported content type", []string{refused("content_type")}},
		{"no type", "POST", "/api/traces", "", nil, nil, 400, "Cannot parse content type", []string{refused("content_type")}},
		{"Zipkin's format", "POST", "/api/traces?format=zipkin.thrift", thriftType, nil, nil, 400, "Unsupported format type", []string{refused("format")}},
		{"GET", "GET", "/api/traces", "", nil, nil, 405, "send spans with POST", []string{refused("method")}},
		{"elsewhere", "POST", "/v1/traces", thriftType, nil, nil, 404, "spans go to /api/traces", []string{refused("path")}},
		{
			"busy", "POST", "/api/traces", thriftType, body("a"), &trace.Error{Kind: trace.Busy, Msg: "full", After: 3 * time.Second}, 503, "full",
			[]string{`received_spans_total{protocol="jaeger/http"} 1`, `refused_spans_total{protocol="jaeger/http",reason="busy"} 1`},
		},
		{
			"a fault", "POST", "/api/traces", thriftType, body("a"), io.ErrUnexpectedEOF, 500, "see Clew's log",
			[]string{`received_spans_total{protocol="jaeger/http"} 1`, `refused_spans_total{protocol="jaeger/http",reason="internal"} 1`},
		},
		{
			"no such tenant", "POST", "/api/traces", thriftType, body("a"), trace.Errorf(trace.UnknownTenant, "who"), 403, "who",
			[]string{`received_spans_total{protocol="jaeger/http"} 1`, `refused_spans_total{protocol="jaeger/http",reason="unknown_tenant"} 1`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f = newFixture(t)
			f.sink.fail(c.sink)
			req := httptest.NewRequest(c.method, c.path, bytes.NewReader(c.body))
			if c.contentType != "" {
				req.Header.Set("Content-Type", c.contentType)
			}
			w := httptest.NewRecorder()
			f.HTTP().ServeHTTP(w, req)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) {
				t.Errorf("%d %q; want %d %q", w.Code, w.Body, c.status, c.answer)
			}
			if c.status == 503 && w.Header().Get("Retry-After") != "3" {
				t.Errorf("Retry-After: %q", w.Header().Get("Retry-After"))
			}
			f.expect(t, c.counted...)
		})
	}
}

func refused(reason string) string {
	return `refused_requests_total{protocol="jaeger/http",reason="` + reason + `"} 1`
}

// raw is a codec of gRPC for messages that are bytes already.
type raw struct{}

func (raw) Name() string                    { return "proto" }
func (raw) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }

var _ encoding.Codec = raw{}

func serveGRPC(t *testing.T, s *http.Server) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	c, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestGRPC(t *testing.T) {
	f := newFixture(t)
	c := serveGRPC(t, f.GRPC(10*time.Second))
	call := func(method string, in string) (string, codes.Code) {
		msg, out := []byte(in), []byte(nil)
		err := c.Invoke(t.Context(), method, &msg, &out)
		return string(out), status.Code(err)
	}
	span := "\x0a\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x12\x08\x00\x00\x00\x00\x00\x00\x00\x02\x1a\x01g\x32\x02\x08\x63"
	post := "\x0a\x25\x0a\x23" + span
	if out, code := call(postMethod, post); code != codes.OK || out != "" || f.sink.stored() != "g" {
		t.Errorf("PostSpans: %v %q, stored %q", code, out, f.sink.stored())
	}
	if _, code := call(postMethod, "\x0a\x05"); code != codes.InvalidArgument {
		t.Errorf("broken: %v", code)
	}
	f.sink.fail(&trace.Error{Kind: trace.Busy, Msg: "full"})
	if _, code := call(postMethod, post); code != codes.ResourceExhausted {
		t.Errorf("busy: %v", code)
	}
	if out, code := call(strategyMethod, "\x0a\x01s"); code != codes.OK || out != "\x12\x09\x09\x00\x00\x00\x00\x00\x00\xf0\x3f" {
		t.Errorf("strategy: %v %q", code, out)
	}
	if _, code := call("/jaeger.api_v2.QueryService/GetTrace", ""); code != codes.Unimplemented {
		t.Errorf("another method: %v", code)
	}
	c = serveGRPC(t, f.SamplingGRPC(10*time.Second))
	if out, code := call(strategyMethod, "\x0a\x01s"); code != codes.OK || !strings.HasPrefix(out, "\x12\x09") {
		t.Errorf("strategy on its own port: %v %q", code, out)
	}
	if _, code := call(strategyMethod, "\x0a\x05s"); code != codes.InvalidArgument {
		t.Errorf("broken parameters: %v", code)
	}
	if _, code := call(postMethod, post); code != codes.Unimplemented {
		t.Errorf("spans for the port of sampling: %v", code)
	}
	f.expect(t, `refused_requests_total{protocol="jaeger/sampling",reason="invalid"} 1`, `refused_requests_total{protocol="jaeger/sampling",reason="path"} 1`,
		`received_spans_total{protocol="jaeger/grpc"} 2`, `stored_spans_total{protocol="jaeger/grpc"} 1`,
		`refused_spans_total{protocol="jaeger/grpc",reason="busy"} 1`, `refused_requests_total{protocol="jaeger/grpc",reason="invalid"} 1`,
		`refused_requests_total{protocol="jaeger/grpc",reason="path"} 1`)
}

// agent starts an agent, and returns a connection to it and what stops it.
func (f *fixture) agent(t *testing.T, compact bool, b Buffers) (to net.Conn, stop func()) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	a := f.Agent(conn, compact, b)
	done := make(chan error, 1)
	go func() { done <- a.Serve(context.Background()) }()
	stop = sync.OnceFunc(func() {
		if err := a.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	if to, err = net.Dial("udp", conn.LocalAddr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = to.Close() })
	return to, stop
}

func send(t *testing.T, to net.Conn, packets ...[]byte) {
	t.Helper()
	for _, p := range packets {
		if _, err := to.Write(p); err != nil {
			t.Fatal(err)
		}
	}
}

var roomy = Buffers{Socket: 1 << 20, Queue: 1 << 20}

func TestAgent(t *testing.T) {
	for name, compact := range map[string]bool{"jaeger/compact": true, "jaeger/binary": false} {
		f := newFixture(t)
		to, stop := f.agent(t, compact, roomy)
		large := packet(compact, 0, 0, strings.Repeat("L", 65_000-300))
		send(t, to, packet(compact, 0, 0, "a", "b"), packet(compact, 0, 0, "c"), large)
		stop() // takes what has come
		if got := f.sink.stored(); !strings.HasPrefix(got, "LLL") || !strings.HasSuffix(got, " a b c") {
			t.Errorf("%s: stored %.20q", name, got)
		}
		f.expect(t, `received_packets_total{protocol="`+name+`"} 3`, `received_spans_total{protocol="`+name+`"} 4`, `stored_spans_total{protocol="`+name+`"} 4`)
	}
}

// TestAgentRefuses: a packet that cannot be taken is counted with its reason, and no other is lost with it.
func TestAgentRefuses(t *testing.T) {
	f := newFixture(t)
	to, stop := f.agent(t, true, roomy)
	zipkin, other := thrift.Writer{Compact: true}, thrift.Writer{Compact: true}
	zipkin.Message(thrift.Message{Type: thrift.Oneway, Name: []byte("emitZipkinBatch")})
	other.Message(thrift.Message{Type: thrift.Call, Name: []byte("ping")})
	send(t, to, packet(true, 0, 0, "a"), packet(true, 0, 0, "lost")[:60], zipkin.Out, packet(false, 0, 0, "binary"), other.Out, []byte{}, packet(true, 0, 0, "b"))
	stop()
	if got := f.sink.stored(); got != "a b" {
		t.Errorf("stored %q", got)
	}
	const protocol = `protocol="jaeger/compact"`
	f.expect(t, `received_packets_total{`+protocol+`} 7`, `received_spans_total{`+protocol+`} 2`, `stored_spans_total{`+protocol+`} 2`,
		`refused_requests_total{`+protocol+`,reason="invalid"} 3`, `refused_requests_total{`+protocol+`,reason="zipkin_batch"} 1`,
		`refused_requests_total{`+protocol+`,reason="method"} 1`)
}

// TestAgentFull: a store that does not go on makes the queue full; what it has no room for is counted, and what it has is stored later.
func TestAgentFull(t *testing.T) {
	f := newFixture(t)
	gate := make(chan struct{})
	f.sink.gate = gate
	to, stop := f.agent(t, true, Buffers{Socket: 1 << 20, Queue: 2 * chunkBytes})
	const n = 40
	for range n { // 2.4 MB
		send(t, to, packet(true, 0, 0, strings.Repeat("x", 60_000)))
		time.Sleep(time.Millisecond) // so that the socket's buffer does not run over
	}
	dropped := func() int { return strings.Count(f.counts(), "queue_full") }
	await(t, "packets that find no room", func() bool { return dropped() > 0 })
	close(gate)
	stop()
	stored := len(strings.Fields(f.sink.stored()))
	counts := f.counts()
	if stored == 0 || dropped() == 0 {
		t.Errorf("%d stored, counted:\n%s", stored, counts)
	}
	var read, full, socket int
	for line := range strings.Lines(counts) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		for prefix, to := range map[string]*int{"received_packets": &read, `dropped_packets_total{protocol="jaeger/compact",reason="queue_full"`: &full, `dropped_packets_total{protocol="jaeger/compact",reason="socket_full"`: &socket} {
			if strings.HasPrefix(name, prefix) {
				*to, _ = strconv.Atoi(value)
			}
		}
	}
	if read != stored+full || read+socket > n {
		t.Errorf("%d sent; %d read, %d stored, %d and %d dropped", n, read, stored, full, socket)
	}
}

// await waits until something has happened, but not for ever.
func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: did not happen", what)
		}
	}
}

// TestClients: what clients say they lost is counted, from the second batch on.
func TestClients(t *testing.T) {
	f := newFixture(t)
	to, stop := f.agent(t, false, roomy)
	for _, p := range []struct{ seq, lost int64 }{{10, 5}, {11, 5}, {14, 7}, {12, 6}} { // 13 is lost, 12 late
		send(t, to, packet(false, p.seq, p.lost, "s"))
	}
	stop()
	f.expect(t, `jaeger_clients 1`, `jaeger_client_received_batches_total 4`, `jaeger_client_sent_batches_total 5`,
		`jaeger_client_dropped_spans_total{reason="full_queue"} 2`, `jaeger_client_dropped_spans_total{reason="too_large"} 4`,
		`jaeger_client_dropped_spans_total{reason="send_failure"} 6`, `received_packets_total{protocol="jaeger/binary"} 4`,
		`received_spans_total{protocol="jaeger/binary"} 4`, `stored_spans_total{protocol="jaeger/binary"} 4`)
}

func sampled(t *testing.T, s *Sampling, url string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, url, nil))
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestSamplingHTTP(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "s.json"), example)
	s, err := OpenSampling(path, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"/sampling?service=limited":       `{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":5},"operationSampling":{"defaultSamplingProbability":0.5,"defaultLowerBoundTracesPerSecond":0,"perOperationStrategies":[{"operation":"/health","probabilisticSampling":{"samplingRate":0}},{"operation":"/metrics","probabilisticSampling":{"samplingRate":0.1}}]}}`,
		"/?service=plain":                 `{"strategyType":0,"probabilisticSampling":{"samplingRate":0.25},"operationSampling":{"defaultSamplingProbability":0.25,"defaultLowerBoundTracesPerSecond":0,"perOperationStrategies":[{"operation":"/health","probabilisticSampling":{"samplingRate":0}},{"operation":"/metrics","probabilisticSampling":{"samplingRate":0.1}}]}}`,
		"/api/any/path?service=own":       `{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.8},"operationSampling":{"defaultSamplingProbability":0.8,"defaultLowerBoundTracesPerSecond":0,"perOperationStrategies":[{"operation":"/health","probabilisticSampling":{"samplingRate":1}},{"operation":"op","probabilisticSampling":{"samplingRate":0.2}},{"operation":"/metrics","probabilisticSampling":{"samplingRate":0.1}}]}}`,
		"/sampling?service=somebody+else": `{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5},"operationSampling":{"defaultSamplingProbability":0.5,"defaultLowerBoundTracesPerSecond":0,"perOperationStrategies":[{"operation":"/health","probabilisticSampling":{"samplingRate":0}},{"operation":"/metrics","probabilisticSampling":{"samplingRate":0.1}}]}}`,
	} {
		if code, got := sampled(t, s, url); code != 200 || got != want {
			t.Errorf("%s: %d\n got %s\nwant %s", url, code, got, want)
		}
	}
	for url, want := range map[string]int{"/sampling": 400, "/?service=a&service=b": 400, "/baggageRestrictions?service=a": 501} {
		if code, got := sampled(t, s, url); code != want {
			t.Errorf("%s: %d %s", url, code, got)
		}
	}
}

const example = `{
  "default_strategy": {
    "type": "probabilistic", "param": 0.5,
    "operation_strategies": [
      {"operation": "/health", "type": "probabilistic", "param": 0.0},
      {"operation": "/metrics", "type": "probabilistic", "param": 0.1}
    ]
  },
  "service_strategies": [
    {"service": "plain", "type": "probabilistic", "param": 0.25},
    {"service": "limited", "type": "ratelimiting", "param": 5},
    {"service": "own", "type": "probabilistic", "param": 0.8, "operation_strategies": [
      {"operation": "/health", "type": "probabilistic", "param": 1},
      {"operation": "op", "type": "probabilistic", "param": 0.2},
      {"operation": "limited", "type": "ratelimiting", "param": 1}
    ]}
  ]
}
`

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil { // nobody sees half of it
		t.Fatal(err)
	}
	return path
}

func TestStrategiesErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "1: the file ends; want an object, in braces",
		"[]":                            "1: want an object, in braces",
		"{\n\"default_strategy\": 5":    "2: default_strategy: want an object, in braces",
		"{\n\n\"defaultstrategy\": {}}": "3: defaultstrategy: there is no such key; want default_strategy or service_strategies",
		"{\"default_strategy\": {\n\"type\": \"const\"}}":                                                `2: default_strategy.type: is "const"; want probabilistic or ratelimiting`,
		"{\"default_strategy\": {\"type\": \"probabilistic\"}}":                                          "1: default_strategy: want a type, probabilistic or ratelimiting, and a param",
		"{\"default_strategy\": {\"type\": \"probabilistic\", \"param\": 1.5}}":                          "1: default_strategy.param: is 1.5; a probability is from 0 to 1",
		"{\"service_strategies\": [\n{\"type\": \"ratelimiting\", \"param\": 2}]}":                       "2: service_strategies[0]: has no service",
		"{\"service_strategies\": [{\"service\": \"a\",\n\"param\": \"2\"}]}":                            "2: service_strategies[0].param: want a number",
		"{\"service_strategies\": [{\"service\": \"a\",\n\"operation_strategies\": [\n{\"type\": 1}]}]}": "3: service_strategies[0].operation_strategies[0].type: want a text, in quotes",
		"{\n\"service_strategies\": [}":                                                                  "2: not JSON: ",
		"{}\n{}":                                                                                         "2: there is something behind the end",
	} {
		_, err := parseStrategies([]byte(in), 1, slog.New(slog.DiscardHandler))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", in, err, want)
		}
	}
}

// TestReload: a file that changes counts; one that is broken, or gone, leaves the one before in force.
func TestReload(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "s.json"), example)
	s, err := OpenSampling(path, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f := fixtureWith(s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, time.Millisecond) }()
	defer func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	await := func(what, service, answer, count string) {
		t.Helper()
		var got string
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			_, got = sampled(t, s, "/sampling?service="+service)
			if strings.Contains(got, answer) && strings.Contains(f.counts(), count) {
				return
			}
		}
		t.Errorf("%s: %s\n%s", what, got, f.counts())
	}
	await("as it was", "plain", `"samplingRate":0.25}`, "")
	write(t, path, strings.Replace(example, "0.25", "0.125", 1))
	await("changed", "plain", `"samplingRate":0.125}`, `sampling_reloads_total{result="ok"} 1`)
	write(t, path, "{")
	await("broken", "plain", `"samplingRate":0.125}`, `sampling_reloads_total{result="failed"} 1`)
	write(t, path, strings.Replace(example, "0.25", "0.75", 1))
	await("mended", "plain", `"samplingRate":0.75}`, `sampling_reloads_total{result="ok"} 2`)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	await("gone", "plain", `"samplingRate":0.75}`, `sampling_reloads_total{result="failed"} 2`)
	write(t, path, strings.Replace(example, "0.25", "0.5", 1))
	await("back", "plain", `"samplingRate":0.5}`, `sampling_reloads_total{result="ok"} 3`)
}

// FuzzStrategies reads any file: never a crash, and an error says which line.
func FuzzStrategies(f *testing.F) {
	f.Add(example)
	f.Fuzz(func(t *testing.T, in string) {
		s, err := parseStrategies([]byte(in), 1, slog.New(slog.DiscardHandler))
		if err != nil {
			if !strings.Contains(err.Error(), ": ") || err.Error()[0] < '1' || err.Error()[0] > '9' {
				t.Fatalf("%q: %v", in, err)
			}
			return
		}
		_ = s.of("any").JSON(true)
		_ = s.of("any").AppendProto(nil)
	})
}
