package otlp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // for the client; it registers itself
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/clewtrace/clew/trace"
)

func TestMain(m *testing.M) {
	encoding.RegisterCompressor(zstdClient{})
	os.Exit(m.Run())
}

// zstdClient makes zstd known to gRPC's client. Clew's answers are not compressed.
type zstdClient struct{}

func (zstdClient) Name() string { return "zstd" }

func (zstdClient) Compress(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }

func (zstdClient) Decompress(io.Reader) (io.Reader, error) { return nil, errors.ErrUnsupported }

// listen starts the fixture's gRPC server.
func (f *fixture) listen(t *testing.T) (s *http.Server, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = f.GRPC(f.timeout)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// serve starts the fixture's gRPC server and returns a connection to it.
func (f *fixture) serve(t *testing.T) (*grpc.ClientConn, string) {
	t.Helper()
	_, address := f.listen(t)
	return dial(t, address), address
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestGRPCAccepts(t *testing.T) {
	for _, encoding := range []string{"", "gzip", "zstd"} {
		f := newFixture()
		conn, _ := f.serve(t)
		c := collector.NewTraceServiceClient(conn)
		var opts []grpc.CallOption
		if encoding != "" {
			opts = append(opts, grpc.UseCompressor(encoding))
		}
		for range 3 { // decoders are used again
			a, err := c.Export(t.Context(), exportOf(span("a", 1), span("b", 2)), opts...)
			if err != nil || a.GetPartialSuccess() != nil {
				t.Errorf("%s: %v, %v", encoding, a, err)
			}
		}
		if got := f.sink.take(); got != "a b a b a b" {
			t.Errorf("%s: stored %q", encoding, got)
		}
		f.expect(t, encoding, map[string]string{"received_spans grpc": "6", "stored_spans grpc": "6"})
		if a, err := c.Export(t.Context(), exportOf(), opts...); err != nil || a.GetPartialSuccess() != nil {
			t.Errorf("nothing, %s: %v, %v", encoding, a, err)
		}
		a, err := c.Export(t.Context(), mixed(), opts...)
		if p := a.GetPartialSuccess(); err != nil || p.GetRejectedSpans() != 1 || !strings.Contains(p.GetErrorMessage(), "the first: span 1 of the request: trace_id") {
			t.Errorf("partial success, %s: %v, %v", encoding, a, err)
		}
		if got := f.sink.take(); got != "a c" {
			t.Errorf("%s: stored %q", encoding, got)
		}
		f.expect(t, encoding, map[string]string{"received_spans grpc": "9", "stored_spans grpc": "8", "refused_spans grpc bad_trace_id": "1"})
	}
}

func TestGRPCRefuses(t *testing.T) {
	deep := exportOf(span("a", 1))
	deep.ResourceSpans[0].SchemaUrl = strings.Repeat("x", maxBody)
	refused := func(reason string) map[string]string {
		return map[string]string{"refused_requests grpc " + reason: "1"}
	}
	for name, c := range map[string]struct {
		req     *collector.ExportTraceServiceRequest
		opts    []grpc.CallOption
		sinkErr error
		panic   bool
		code    codes.Code
		message string
		counted map[string]string
	}{
		"too large":          {req: deep, code: codes.ResourceExhausted, message: "larger than 1048576", counted: refused("too_large")},
		"too large, gzip":    {req: deep, opts: []grpc.CallOption{grpc.UseCompressor("gzip")}, code: codes.ResourceExhausted, message: "larger than 1048576", counted: refused("too_large")},
		"too large, zstd":    {req: deep, opts: []grpc.CallOption{grpc.UseCompressor("zstd")}, code: codes.ResourceExhausted, message: "larger than 1048576", counted: refused("too_large")},
		"our fault":          {req: exportOf(span("a", 1)), sinkErr: errSecret, code: codes.Internal, message: "internal error; see Clew's log", counted: map[string]string{"received_spans grpc": "1", "refused_spans grpc internal": "1"}},
		"a broken invariant": {req: exportOf(span("a", 1)), panic: true, code: codes.Internal, message: "internal error; see Clew's log", counted: refused("internal")},
		"busy":               {req: exportOf(span("a", 1)), sinkErr: errBusy, code: codes.ResourceExhausted, message: "the disk is full", counted: map[string]string{"received_spans grpc": "1", "refused_spans grpc busy": "1"}},
	} {
		f := newFixture()
		conn, _ := f.serve(t)
		f.sink.fail(c.sinkErr)
		f.sink.panic = c.panic
		_, err := collector.NewTraceServiceClient(conn).Export(t.Context(), c.req, c.opts...)
		st := status.Convert(err)
		if st.Code() != c.code || !strings.Contains(st.Message(), c.message) || strings.Contains(st.Message(), "secret") {
			t.Errorf("%s: %v; want %v with %q", name, err, c.code, c.message)
		}
		var delay time.Duration
		for _, d := range st.Details() {
			if info, ok := d.(*errdetails.RetryInfo); ok {
				delay = info.GetRetryDelay().AsDuration()
			}
		}
		if busy := errors.Is(c.sinkErr, error(errBusy)); busy && delay != errBusy.After || !busy && delay != 0 {
			t.Errorf("%s: come again after %v", name, delay)
		}
		f.expect(t, name, c.counted)
		f.sink.fail(nil)
		f.sink.panic = false
		if _, err := collector.NewTraceServiceClient(conn).Export(t.Context(), exportOf(span("z", 1))); err != nil {
			t.Errorf("%s: afterwards: %v", name, err)
		}
	}
}

func TestGRPCHeld(t *testing.T) {
	f := newFixture()
	conn, _ := f.serve(t)
	release, err := f.bodies.Hold(8*maxBody - 10)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	var trailer metadata.MD
	_, err = collector.NewTraceServiceClient(conn).Export(t.Context(), exportOf(span("a", 1)), grpc.Trailer(&trailer))
	if st := status.Convert(err); st.Code() != codes.ResourceExhausted || len(st.Details()) != 1 {
		t.Errorf("%v, details %v", err, st.Details())
	}
	var info errdetails.RetryInfo
	for _, raw := range trailer.Get("google.rpc.retryinfo-bin") { // where OpenTelemetry's Python SDK looks
		if err := proto.Unmarshal([]byte(raw), &info); err != nil {
			t.Error(err)
		}
	}
	if info.GetRetryDelay().AsDuration() != time.Second {
		t.Errorf("for Python: %v in %v", &info, trailer)
	}
	f.expect(t, "held", map[string]string{"refused_requests grpc busy": "1"})
}

func TestGRPCOtherSignals(t *testing.T) {
	f := newFixture()
	conn, _ := f.serve(t)
	_, err := collectormetrics.NewMetricsServiceClient(conn).Export(t.Context(), &collectormetrics.ExportMetricsServiceRequest{})
	if st := status.Convert(err); st.Code() != codes.Unimplemented || !strings.Contains(st.Message(), "traces only") || !strings.Contains(st.Message(), "MetricsService") {
		t.Errorf("metrics: %v", err)
	}
	_, err = collectorlogs.NewLogsServiceClient(conn).Export(t.Context(), &collectorlogs.ExportLogsServiceRequest{})
	if st := status.Convert(err); st.Code() != codes.Unimplemented || !strings.Contains(st.Message(), "switch that exporter off") {
		t.Errorf("logs: %v", err)
	}
	f.expect(t, "signals", map[string]string{"refused_requests grpc not_traces": "2"})
}

// raw sends one message as it is and returns the status.
func raw(t *testing.T, ctx context.Context, address, encoding string, flag byte, length int, payload io.Reader) (codes.Code, string) {
	t.Helper()
	head := binary.BigEndian.AppendUint32([]byte{flag}, uint32(length))
	return rawCall(t, ctx, address, io.MultiReader(bytes.NewReader(head), payload), "Grpc-Encoding", encoding)
}

// rawCall sends a call's body as it is, with a header if that is not empty, and returns the status.
func rawCall(t *testing.T, ctx context.Context, address string, body io.Reader, header ...string) (codes.Code, string) {
	t.Helper()
	a, err := rawPost(t, ctx, "http://"+address+exportMethod, body, append(header, "Content-Type", "application/grpc")...)
	if err != nil {
		return codes.Canceled, err.Error()
	}
	defer a.Body.Close()
	_, _ = io.Copy(io.Discard, a.Body)
	code, message := a.Trailer.Get("Grpc-Status"), a.Trailer.Get("Grpc-Message")
	if code == "" {
		code, message = a.Header.Get("Grpc-Status"), a.Header.Get("Grpc-Message")
	}
	var c codes.Code
	if err := c.UnmarshalJSON([]byte(code)); err != nil {
		t.Fatalf("grpc-status %q: %v", code, err)
	}
	return c, message
}

func rawPost(t *testing.T, ctx context.Context, url string, body io.Reader, header ...string) (*http.Response, error) {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	return tr.RoundTrip(r)
}

// TestGRPCBombs: what gRPC itself refuses costs no more memory than the limit, and is counted.
func TestGRPCBombs(t *testing.T) {
	frame := func(header, block []byte, blocks int) []byte {
		b := append([]byte{0x28, 0xb5, 0x2f, 0xfd}, header...)
		return append(append(b, bytes.Repeat(block, blocks)...), 0x03, 0, 0x10, 0)
	}
	zeros := []byte{0x02, 0, 0x10, 0} // 128 KiB of zeros
	member := zipped(t, "gzip", make([]byte, 1<<20))
	for name, c := range map[string]struct {
		encoding string
		payload  []byte
		code     codes.Code
		reason   string
	}{
		"zstd, 10 GB of zeros":     {"zstd", frame([]byte{0x00, 0x50}, zeros, 80_000), codes.ResourceExhausted, "too_large"},
		"zstd, window of 2 GiB":    {"zstd", frame([]byte{0x00, 0xa8}, zeros, 1), codes.Internal, "undecodable"},
		"zstd, segment of 8 GiB":   {"zstd", frame([]byte{0xe0, 0, 0, 0, 0, 2, 0, 0, 0}, zeros, 1), codes.Internal, "undecodable"},
		"zstd, promises 8 GiB":     {"zstd", frame([]byte{0xc0, 0x00, 0, 0, 0, 0, 2, 0, 0, 0}, zeros, 1), codes.Internal, "undecodable"},
		"zstd, but is not":         {"zstd", []byte("plain text"), codes.Internal, "undecodable"},
		"gzip, 1 GB of zeros":      {"gzip", bytes.Repeat(member, 1000), codes.ResourceExhausted, "too_large"},
		"gzip, but is not":         {"gzip", []byte("plain text"), codes.Internal, "undecodable"},
		"an encoding nobody knows": {"br", []byte("plain text"), codes.Unimplemented, "content_encoding"},
		"no encoding, but a flag":  {"", []byte("plain text"), codes.Internal, "undecodable"},
	} {
		f := newFixture()
		_, address := f.serve(t)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		code, message := raw(t, t.Context(), address, c.encoding, 1, len(c.payload), bytes.NewReader(c.payload))
		runtime.ReadMemStats(&after)
		if code != c.code {
			t.Errorf("%s: %v %q; want %v", name, code, message, c.code)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
			t.Errorf("%s: %d MiB were allocated", name, n>>20)
		}
		f.expect(t, name, map[string]string{"refused_requests grpc " + c.reason: "1"})
	}
}

// TestGRPCMalformed: bytes that are no OTLP, and a message larger than it says.
func TestGRPCMalformed(t *testing.T) {
	f := newFixture()
	_, address := f.serve(t)
	code, message := raw(t, t.Context(), address, "", 0, 3, strings.NewReader("\x0a\x05\x12"))
	if code != codes.InvalidArgument || !strings.Contains(message, "at byte 0 of 3") {
		t.Errorf("broken: %v %q", code, message)
	}
	f.expect(t, "broken", map[string]string{"refused_requests grpc invalid": "1"})
	code, message = raw(t, t.Context(), address, "", 0, 1<<31, strings.NewReader("abc"))
	if code != codes.ResourceExhausted {
		t.Errorf("claims 2 GiB: %v %q", code, message)
	}
	f.expect(t, "claims 2 GiB", map[string]string{"refused_requests grpc too_large": "1"})
}

// TestGRPCCutOff: a client that stops in the middle of a message and goes away is counted, and nothing is left of it.
func TestGRPCCutOff(t *testing.T) {
	f := newFixture()
	_, address := f.serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan struct{})
	go func() {
		<-sent
		cancel()
	}()
	raw(t, ctx, address, "", 0, 1000, io.MultiReader(strings.NewReader("abc"), &signal{sent: sent}, slow{ctx.Done()}))
	for range 500 {
		if got := f.counted(t); got["refused_requests grpc cut_off"] == "1" {
			return
		}
		f.last = map[string]string{}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("counted %v", f.counted(t))
}

// signal closes a channel when it is read.
type signal struct{ sent chan struct{} }

func (s *signal) Read([]byte) (int, error) {
	close(s.sent)
	return 0, io.EOF
}

// TestGRPCSlow: a client that stops in the middle of a message and stays is cut off.
func TestGRPCSlow(t *testing.T) {
	f := newFixture()
	f.timeout = 200 * time.Millisecond
	_, address := f.serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code, message := raw(t, ctx, address, "", 0, 1000, io.MultiReader(strings.NewReader("abc"), slow{ctx.Done()}))
	if code != codes.DeadlineExceeded {
		t.Errorf("%v %q", code, message)
	}
	f.expect(t, "slow", map[string]string{"refused_requests grpc cut_off": "1"})
}

// TestGRPCTimeout: a client's own limit of time counts as well.
func TestGRPCTimeout(t *testing.T) {
	f := newFixture()
	_, address := f.serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code, message := rawCall(t, ctx, address, io.MultiReader(strings.NewReader("\x00\x00\x00"), slow{ctx.Done()}), "Grpc-Timeout", "100m")
	if code != codes.DeadlineExceeded {
		t.Errorf("%v %q", code, message)
	}
	f.expect(t, "timeout", map[string]string{"refused_requests grpc cut_off": "1"})
}

// TestGRPCFraming: calls that are not one message of the length that its head says.
func TestGRPCFraming(t *testing.T) {
	for name, c := range map[string]struct {
		body    string
		code    codes.Code
		message string
	}{
		"an empty message":                 {"\x00\x00\x00\x00\x00", codes.OK, ""},
		"no message":                       {"", codes.Internal, "before its message begins"},
		"half a head":                      {"\x00\x00", codes.Internal, "before its message begins"},
		"shorter than it says":             {"\x00\x00\x00\x00\x05abc", codes.Internal, "message of 5 bytes ends after 3"},
		"longer than it says":              {"\x00\x00\x00\x00\x02abc", codes.Internal, "goes on after its message of 2 bytes"},
		"two messages":                     {"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", codes.Internal, "send one message"},
		"a flag that nobody knows":         {"\x02\x00\x00\x00\x00", codes.Internal, "first byte is 2"},
		"compressed, but nobody knows how": {"\x01\x00\x00\x00\x01a", codes.Internal, "does not say how"},
		"4 GiB, as it says":                {"\x00\xff\xff\xff\xff", codes.ResourceExhausted, "larger than 1048576 bytes"},
	} {
		f := newFixture()
		_, address := f.listen(t)
		code, message := rawCall(t, t.Context(), address, strings.NewReader(c.body))
		if code != c.code || !strings.Contains(message, c.message) {
			t.Errorf("%s: %v %q; want %v with %q", name, code, message, c.code, c.message)
		}
		switch c.code {
		case codes.Internal:
			f.expect(t, name, map[string]string{"refused_requests grpc undecodable": "1"})
		case codes.ResourceExhausted:
			f.expect(t, name, map[string]string{"refused_requests grpc too_large": "1"})
		}
	}
}

// TestGRPCHalfMessages: clients that stop in the middle of large messages hold no more memory together than may be held, and give it back.
func TestGRPCHalfMessages(t *testing.T) {
	f := newFixture()
	_, address := f.listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	for range 100 { // of half a megabyte each; there may be 8 MB
		calls.Go(func() {
			half := io.MultiReader(bytes.NewReader(make([]byte, maxBody/2)), slow{ctx.Done()})
			raw(t, ctx, address, "", 0, maxBody, half)
		})
	}
	await(t, "most of them to be refused", func() bool {
		f.last = map[string]string{}
		n, _ := strconv.Atoi(f.counted(t)["refused_requests grpc busy"])
		return n >= 100-16
	})
	cancel()
	calls.Wait()
	await(t, "all to be given back", func() bool {
		release, err := f.bodies.Hold(8 * maxBody)
		if err == nil {
			release()
		}
		return err == nil
	})
	if _, err := collector.NewTraceServiceClient(dial(t, address)).Export(t.Context(), exportOf(span("a", 1))); err != nil {
		t.Error(err)
	}
}

// await waits until something has happened.
func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestGRPCManyStreams: many calls at once on one connection, each of several frames.
func TestGRPCManyStreams(t *testing.T) {
	f := newFixture()
	conn, _ := f.serve(t)
	c := collector.NewTraceServiceClient(conn)
	var calls sync.WaitGroup
	const n, each = 40, 200 // messages of some 30 kB, which are two frames
	for i := range n {
		calls.Go(func() {
			spans := make([]*tracepb.Span, each)
			for j := range spans {
				spans[j] = span(strings.Repeat("x", 100), byte(j+1))
			}
			opts := []grpc.CallOption{grpc.UseCompressor([]string{"identity", "gzip", "zstd"}[i%3])}
			for range 5 {
				if a, err := c.Export(t.Context(), exportOf(spans...), opts...); err != nil || a.GetPartialSuccess() != nil {
					t.Errorf("%v, %v", a, err)
				}
			}
		})
	}
	calls.Wait()
	f.expect(t, "streams", map[string]string{"received_spans grpc": "40000", "stored_spans grpc": "40000"})
}

// TestGRPCStop: a call under way is finished when the server stops, and clients are told to go away.
func TestGRPCStop(t *testing.T) {
	f := newFixture()
	s, address := f.listen(t)
	idle, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if err := idle.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(idle, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	const settings, goAway = 4, 7
	readUntil(t, idle, settings)

	began, finish := f.sink.block()
	answered := make(chan error, 1)
	c := collector.NewTraceServiceClient(dial(t, address))
	go func() {
		_, err := c.Export(t.Context(), exportOf(span("a", 1)))
		answered <- err
	}()
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(t.Context()) }()
	if code := binary.BigEndian.Uint32(readUntil(t, idle, goAway)[4:]); code != 0 {
		t.Errorf("told to go away because of error %d", code)
	}
	select {
	case err := <-stopped:
		t.Errorf("stopped with a call under way: %v", err)
	case err := <-answered:
		t.Errorf("answered %v too early", err)
	default:
	}
	close(finish)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if got := f.sink.take(); got != "a" {
		t.Errorf("stored %q", got)
	}
}

// readUntil reads frames of HTTP/2 up to the first of a kind, and returns what is in that.
func readUntil(t *testing.T, r io.Reader, kind byte) []byte {
	t.Helper()
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(r, head); err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, binary.BigEndian.Uint32(head)>>8)
		if _, err := io.ReadFull(r, payload); err != nil {
			t.Fatal(err)
		}
		if head[3] == kind {
			return payload
		}
	}
}

// TestGRPCNot: who does not speak gRPC is told so.
func TestGRPCNot(t *testing.T) {
	f := newFixture()
	_, address := f.listen(t)
	told := func(name string, a *http.Response, err error, status int, reason string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		defer a.Body.Close()
		text, _ := io.ReadAll(a.Body)
		if a.StatusCode != status || !strings.Contains(string(text), "4318") {
			t.Errorf("%s: %s %q; want %d", name, a.Status, text, status)
		}
		f.expect(t, name, map[string]string{"refused_requests grpc " + reason: "1"})
		f.last = map[string]string{}
	}
	large := make([]byte, 1<<20)
	a, err := http.Post("http://"+address+"/v1/traces", protobuf, bytes.NewReader(large))
	told("OTLP/HTTP", a, err, http.StatusHTTPVersionNotSupported, "http_version")
	a, err = rawPost(t, t.Context(), "http://"+address+"/v1/traces", bytes.NewReader(large), "Content-Type", protobuf)
	f.last["refused_requests grpc http_version"] = "1"
	told("OTLP/HTTP over HTTP/2", a, err, http.StatusUnsupportedMediaType, "content_type")

	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(conn); !strings.HasPrefix(string(text), "HTTP/1.1 505") {
		t.Errorf("half a preface: %q", text)
	}
}

// TestGRPCMessageText: a status's message comes as it is, whatever is in it.
func TestGRPCMessageText(t *testing.T) {
	f := newFixture()
	conn, _ := f.serve(t)
	for _, text := range []string{"100 % full", "so voll – ganz voll", "two\nlines", "%41"} {
		f.sink.fail(trace.Errorf(trace.Busy, "%s", text))
		_, err := collector.NewTraceServiceClient(conn).Export(t.Context(), exportOf(span("a", 1)))
		if st := status.Convert(err); st.Code() != codes.ResourceExhausted || st.Message() != text {
			t.Errorf("%q came as %v", text, err)
		}
	}
}

// TestGRPCHealth: probes see that the service serves, also when it takes nothing because there is too much.
func TestGRPCHealth(t *testing.T) {
	f := newFixture()
	conn, _ := f.serve(t)
	release, err := f.bodies.Hold(8*maxBody - 10)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	client := grpc_health_v1.NewHealthClient(conn)
	for service, want := range map[string]codes.Code{
		"": codes.OK, "opentelemetry.proto.collector.trace.v1.TraceService": codes.OK, "opentelemetry": codes.NotFound, strings.Repeat("x", 2000): codes.Internal,
	} {
		a, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if status.Code(err) != want || want == codes.OK && a.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%.60q: %v, %v; want %v", service, a, err, want)
		}
	}
	f.expect(t, "health", map[string]string{})
}
