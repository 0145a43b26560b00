package otlp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// serve starts the fixture's gRPC server and returns a connection to it.
func (f *fixture) serve(t *testing.T) (*grpc.ClientConn, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := f.GRPC(maxBody, f.timeout)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	c, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, l.Addr().String()
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
		"too large":          {req: deep, code: codes.ResourceExhausted, message: "larger than max", counted: refused("too_large")},
		"too large, gzip":    {req: deep, opts: []grpc.CallOption{grpc.UseCompressor("gzip")}, code: codes.ResourceExhausted, message: "larger than max", counted: refused("too_large")},
		"too large, zstd":    {req: deep, opts: []grpc.CallOption{grpc.UseCompressor("zstd")}, code: codes.ResourceExhausted, message: "larger than max", counted: refused("too_large")},
		"our fault":          {req: exportOf(span("a", 1)), sinkErr: errSecret, code: codes.Internal, message: "internal error; see Clew's log", counted: map[string]string{"received_spans grpc": "1", "refused_spans grpc internal": "1"}},
		"a broken invariant": {req: exportOf(span("a", 1)), panic: true, code: codes.Internal, message: "internal error; see Clew's log", counted: refused("internal")},
		"busy":               {req: exportOf(span("a", 1)), sinkErr: errBusy, code: codes.Unavailable, message: "the disk is full", counted: map[string]string{"received_spans grpc": "1", "refused_spans grpc busy": "1"}},
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
	_, err = collector.NewTraceServiceClient(conn).Export(t.Context(), exportOf(span("a", 1)))
	if st := status.Convert(err); st.Code() != codes.Unavailable || len(st.Details()) != 1 {
		t.Errorf("%v, details %v", err, st.Details())
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
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	head := binary.BigEndian.AppendUint32([]byte{flag}, uint32(length))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+exportMethod, io.MultiReader(bytes.NewReader(head), payload))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("TE", "trailers")
	if encoding != "" {
		r.Header.Set("Grpc-Encoding", encoding)
	}
	a, err := tr.RoundTrip(r)
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
