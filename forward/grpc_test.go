package forward

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // the server reads it
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// service is a server of OTLP/gRPC, by gRPC's own library.
type service struct {
	collector.UnimplementedTraceServiceServer
	mu     sync.Mutex
	calls  int
	spans  map[string]int
	header metadata.MD
	answer func(call, spans int) (rejected int, err error)
}

func (s *service) Export(ctx context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.header, _ = metadata.FromIncomingContext(ctx)
	n := 0
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			n += len(ss.Spans)
		}
	}
	rejected := 0
	if s.answer != nil {
		var err error
		if rejected, err = s.answer(s.calls, n); err != nil {
			return nil, err
		}
	}
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				s.spans[string(span.SpanId)]++
			}
		}
	}
	resp := &collector.ExportTraceServiceResponse{}
	if rejected > 0 {
		resp.PartialSuccess = &collector.ExportTracePartialSuccess{RejectedSpans: int64(rejected), ErrorMessage: "too old"}
	}
	return resp, nil
}

func serveGRPC(t *testing.T, options ...grpc.ServerOption) (*service, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, server := &service{spans: map[string]int{}}, grpc.NewServer(options...)
	collector.RegisterTraceServiceServer(server, s)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, "http://" + l.Addr().String()
}

func overGRPC(url string) Config {
	c := quick(url)
	c.Protocol, c.TenantHeader = OTLPGRPC, "X-Scope-OrgID"
	return c
}

// TestGRPC sends to gRPC's own server, with and without compression, and has its answers understood.
func TestGRPC(t *testing.T) {
	soon := func(code codes.Code) error {
		s, err := status.New(code, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(20 * time.Millisecond)})
		if err != nil {
			t.Fatal(err)
		}
		return s.Err()
	}
	times := func(n int, err error) func(int, int) (int, error) {
		return func(call, _ int) (int, error) {
			if call <= n {
				return 0, err
			}
			return 0, nil
		}
	}
	for name, c := range map[string]struct {
		compression string
		answer      func(int, int) (int, error)
		came, calls int
		dropped     map[string]int
	}{
		"plain":                 {"none", nil, 30, 1, nil},
		"gzip":                  {"gzip", nil, 30, 1, nil},
		"unavailable, for long": {"gzip", times(15, status.Error(codes.Unavailable, "down")), 30, 16, nil},
		"exhausted, with info":  {"none", times(15, soon(codes.ResourceExhausted)), 30, 16, nil},
		"exhausted, without":    {"none", times(99, status.Error(codes.ResourceExhausted, "quota")), 0, attempts, map[string]int{droppedFailed: 30}},
		"invalid":               {"none", times(1, status.Error(codes.InvalidArgument, "50% wrong\n")), 0, 1, map[string]int{droppedRefused: 30}},
		"denied":                {"none", times(1, status.Error(codes.PermissionDenied, "no")), 0, 1, map[string]int{droppedRefused: 30}},
		"internal, twice":       {"none", times(2, status.Error(codes.Internal, "oops")), 30, 3, nil},
		"partial":               {"none", func(int, int) (int, error) { return 7, nil }, 30, 1, map[string]int{droppedRejected: 7}},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := serveGRPC(t)
			s.answer = c.answer
			cfg := overGRPC(url)
			cfg.Compression = c.compression
			r := start(t, t.TempDir(), cfg)
			r.appendAll(t, spansFrom(0, 30, "shop")...)
			r.flush(t)
			if len(s.spans) != c.came || s.calls != c.calls {
				t.Errorf("%d spans came in %d calls; want %d in %d", len(s.spans), s.calls, c.came, c.calls)
			}
			if via := s.header.Get(ViaHeader); len(via) != 1 || via[0] != r.id.String() || s.header.Get("x-scope-orgid")[0] != "default" {
				t.Errorf("metadata %v", s.header)
			}
			r.sums(t, c.dropped)
		})
	}
}

// TestGRPCTooLarge: a server whose largest message is smaller than ours gets halves; what is alone too large is counted.
func TestGRPCTooLarge(t *testing.T) {
	s, url := serveGRPC(t, grpc.MaxRecvMsgSize(2000))
	r := start(t, t.TempDir(), overGRPC(url))
	spans := spansFrom(0, 100, "shop")
	spans[50].Name = string(make([]byte, 3000))
	r.appendAll(t, spans...)
	r.flush(t)
	if len(s.spans) != 99 {
		t.Errorf("%d spans came; want 99", len(s.spans))
	}
	r.sums(t, map[string]int{droppedTooLarge: 1})
}

// TestGRPCDown: a destination that was not there, comes, goes and comes back gets all, without a restart of ours.
func TestGRPCDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	r := start(t, t.TempDir(), overGRPC("http://"+address))
	s := &service{spans: map[string]int{}}
	for round := range 2 {
		r.appendAll(t, spansFrom(round*100, 100, "shop")...)
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Skipf("somebody else has taken the port: %v", err)
		}
		server := grpc.NewServer()
		collector.RegisterTraceServiceServer(server, s)
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		r.settle(t)
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	r.flush(t)
	if len(s.spans) != 200 {
		t.Errorf("%d spans came; want 200", len(s.spans))
	}
}
