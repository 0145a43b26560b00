package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// reply is what a fake server does with one request.
type reply struct {
	code     int // HTTP status or gRPC code; 0: takes it
	after    string
	rejected int64
	message  string
}

// fake counts the spans it took, and answers its first requests from a list.
type fake struct {
	collector.UnimplementedTraceServiceServer
	mu      sync.Mutex
	replies []reply
	spans   int64
	calls   int
}

func (f *fake) next(req *collector.ExportTraceServiceRequest) reply {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	r := reply{}
	if len(f.replies) > 0 {
		r, f.replies = f.replies[0], f.replies[1:]
	}
	if r.code == 0 {
		for _, rs := range req.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				f.spans += int64(len(ss.Spans))
			}
		}
		f.spans -= r.rejected
	}
	return r
}

func (f *fake) answer(r reply) *collector.ExportTraceServiceResponse {
	resp := &collector.ExportTraceServiceResponse{}
	if r.rejected > 0 {
		resp.PartialSuccess = &collector.ExportTracePartialSuccess{RejectedSpans: r.rejected, ErrorMessage: r.message}
	}
	return resp
}

func (f *fake) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var body io.Reader = req.Body
	switch req.Header.Get("Content-Encoding") {
	case "gzip":
		body, _ = gzip.NewReader(body)
	case "zstd":
		z, _ := zstd.NewReader(body)
		defer z.Close()
		body = z
	}
	raw, err := io.ReadAll(body)
	var msg collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(raw, &msg) != nil || req.URL.Path != "/v1/traces" {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	r := f.next(&msg)
	w.Header().Set("Content-Type", "application/x-protobuf")
	if r.code != 0 {
		if r.after != "" {
			w.Header().Set("Retry-After", r.after)
		}
		w.WriteHeader(r.code)
		out, _ := proto.Marshal(&rpcstatus.Status{Message: r.message})
		_, _ = w.Write(out)
		return
	}
	out, _ := proto.Marshal(f.answer(r))
	_, _ = w.Write(out)
}

func (f *fake) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r := f.next(req)
	if r.code != 0 {
		st := status.New(codes.Code(r.code), r.message)
		if r.after != "" {
			st, _ = st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
		}
		return nil, st.Err()
	}
	return f.answer(r), nil
}

// serve starts the fake for a protocol and returns its endpoint.
func (f *fake) serve(t *testing.T, protocol string) string {
	if protocol == "otlp/http" {
		s := httptest.NewServer(f)
		t.Cleanup(s.Close)
		return s.URL
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	collector.RegisterTraceServiceServer(s, f)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func run(t *testing.T, f *fake, change func(*Config)) Report {
	t.Helper()
	cfg := Default()
	cfg.Rate, cfg.Batch, cfg.Connections, cfg.Spans = 0, 50, 1, 200
	change(&cfg)
	cfg.Endpoint = f.serve(t, cfg.Protocol)
	s, err := NewSender(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := s.Report()
	if sum := r.Accepted + r.Refused + r.Failed; sum != r.Spans {
		t.Errorf("accepted %d + refused %d + failed %d; want the %d sent", r.Accepted, r.Refused, r.Failed, r.Spans)
	}
	if r.Accepted != f.spans {
		t.Errorf("report says %d accepted; the server took %d", r.Accepted, f.spans)
	}
	return r
}

func TestSenderTransports(t *testing.T) {
	for _, protocol := range []string{"otlp/http", "otlp/grpc"} {
		for _, compression := range []string{"none", "gzip", "zstd"} {
			t.Run(protocol+" "+compression, func(t *testing.T) {
				f := &fake{}
				r := run(t, f, func(c *Config) { c.Protocol, c.Compression, c.Connections = protocol, compression, 3 })
				if r.Accepted < 200 || r.Accepted > 1500 || len(r.Reasons) > 0 || r.Latency.Count() != uint64(r.Requests) {
					t.Errorf("%d spans in %d requests were accepted, reasons %v", r.Accepted, r.Requests, r.Reasons)
				}
			})
		}
	}
}

func TestSenderAnswers(t *testing.T) {
	tests := []struct {
		name     string
		protocol string
		replies  []reply
		patience time.Duration
		retries  int64
		refused  bool
		failed   bool
		reason   string
		example  string
	}{
		{"503 then taken", "otlp/http", []reply{{code: 503, after: "0"}, {code: 503}}, time.Minute, 2, false, false, "", ""},
		{"429 then taken", "otlp/http", []reply{{code: 429}}, time.Minute, 1, false, false, "", ""},
		{"400 is final", "otlp/http", []reply{{code: 400, message: "bad wire"}}, time.Minute, 0, true, false, "HTTP 400", "bad wire"},
		{"500 is final", "otlp/http", []reply{{code: 500, message: "oh"}}, time.Minute, 0, true, false, "HTTP 500", "oh"},
		{"retry after more than patience", "otlp/http", []reply{{code: 503, after: "3600", message: "full"}}, time.Minute, 0, false, true, "HTTP 503", "full"},
		{"partial success", "otlp/http", []reply{{rejected: 7, message: "too old"}}, time.Minute, 0, true, false, "partial success", "too old"},
		{"unavailable then taken", "otlp/grpc", []reply{{code: int(codes.Unavailable), after: "x"}}, time.Minute, 1, false, false, "", ""},
		{"exhausted with delay", "otlp/grpc", []reply{{code: int(codes.ResourceExhausted), after: "x"}}, time.Minute, 1, false, false, "", ""},
		{"exhausted without delay is final", "otlp/grpc", []reply{{code: int(codes.ResourceExhausted), message: "no"}}, time.Minute, 0, true, false, "gRPC ResourceExhausted", "no"},
		{"invalid is final", "otlp/grpc", []reply{{code: int(codes.InvalidArgument), message: "bad"}}, time.Minute, 0, true, false, "gRPC InvalidArgument", "bad"},
		{"partial success", "otlp/grpc", []reply{{rejected: 7, message: "too old"}}, time.Minute, 0, true, false, "partial success", "too old"},
		{"no patience", "otlp/grpc", []reply{{code: int(codes.Unavailable), message: "full"}}, 0, 0, false, true, "gRPC Unavailable", "full"},
	}
	for _, tt := range tests {
		t.Run(tt.protocol+" "+tt.name, func(t *testing.T) {
			f := &fake{replies: tt.replies}
			r := run(t, f, func(c *Config) { c.Protocol, c.Patience = tt.protocol, tt.patience })
			if r.Retries != tt.retries || r.Refused > 0 != tt.refused || r.Failed > 0 != tt.failed {
				t.Errorf("%d retries, %d refused, %d failed; want %d, %t, %t", r.Retries, r.Refused, r.Failed, tt.retries, tt.refused, tt.failed)
			}
			if tt.reason == "" {
				if len(r.Reasons) > 0 {
					t.Errorf("reasons %v; want none", r.Reasons)
				}
			} else if got := r.Reasons[tt.reason]; got.Example != tt.example || got.Spans != r.Refused+r.Failed {
				t.Errorf("reasons %v; want %q with %q", r.Reasons, tt.reason, tt.example)
			}
		})
	}
}

func TestSenderNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []string{"otlp/http", "otlp/grpc"} {
		cfg := Default()
		cfg.Endpoint, cfg.Protocol, cfg.Spans, cfg.Patience, cfg.Connections = addr, protocol, 1, 0, 1
		s, err := NewSender(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := s.Report(); r.Failed == 0 || r.Failed != r.Spans || len(r.Reasons) != 1 {
			t.Errorf("%s: %d of %d failed, reasons %v", protocol, r.Failed, r.Spans, r.Reasons)
		}
	}
}

func TestSenderStops(t *testing.T) {
	f := &fake{replies: []reply{{code: 503, after: "3600"}}}
	cfg := Default()
	cfg.Protocol, cfg.Endpoint, cfg.Rate, cfg.Patience = "otlp/http", f.serve(t, "otlp/http"), 0, 2*time.Hour
	s, err := NewSender(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	for s.Report().Accepted == 0 { // the other connection sends
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r := s.Report()
	if r.Failed == 0 || r.Accepted+r.Failed != r.Spans {
		t.Errorf("%d sent, %d accepted, %d failed; want one request failed and the rest accepted", r.Spans, r.Accepted, r.Failed)
	}
}

func TestReasonsAreBounded(t *testing.T) {
	s, err := NewSender(Default())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		s.reason(strings.Repeat("x", i), "", 1)
	}
	if n := len(s.report.Reasons); n != maxReasons+1 {
		t.Errorf("%d reasons are kept; want %d", n, maxReasons+1)
	}
}

func TestPace(t *testing.T) {
	p := pace{rate: 1000}
	if !p.wait(t.Context(), 500) {
		t.Fatal("the first wait failed")
	}
	first := p.next
	p.spent(250)
	if got := p.next.Sub(first); got != 250*time.Millisecond {
		t.Errorf("250 more spans move the next moment by %s; want 250ms", got)
	}
	p.next = time.Now().Add(-time.Hour)
	p.wait(t.Context(), 0)
	if lag := time.Since(p.next); lag > 2*maxLag+time.Minute {
		t.Errorf("an hour behind, the sender wants to catch up %s", lag)
	}
}

func TestLatency(t *testing.T) {
	var l Latency
	for i := 1; i <= 1000; i++ {
		l.Add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: time.Millisecond, 0.5: 501 * time.Millisecond, 0.9: 901 * time.Millisecond, 0.999: time.Second, 1: time.Second} {
		if got := l.Quantile(q); got < want || float64(got) > float64(want)*1.032 {
			t.Errorf("quantile %g is %s; want %s or up to 3 %% more", q, got, want)
		}
	}
	for _, d := range []time.Duration{0, 1, 31, 32, 63, 64, 65, 1 << 40, 1<<63 - 1} {
		b := latencyBucket(d)
		if top := latencyTop(b); top < d || b > 0 && latencyTop(b-1) >= d {
			t.Errorf("%d is in bucket %d, up to %d", d, b, top)
		}
	}
}

func TestValidate(t *testing.T) {
	for change, ok := range map[*Config]bool{
		{Protocol: "otlp/grpc"}: true, {Protocol: "udp"}: false, {Endpoint: "localhost"}: false, {Endpoint: "localhost:1"}: true,
		{Endpoint: "http://x:4318/otlp/v1/traces", Protocol: "otlp/http"}: true, {Endpoint: "ftp://x:1"}: false, {Compression: "lz4"}: false,
		{Connections: -1}: false, {Batch: 1 << 20}: false, {Rate: -1}: false, {Spans: -1}: false, {Duration: -1}: false,
	} {
		c := Default()
		c.Endpoint = change.Endpoint
		if change.Protocol != "" {
			c.Protocol = change.Protocol
		}
		if change.Compression != "" {
			c.Compression = change.Compression
		}
		if change.Connections != 0 {
			c.Connections = change.Connections
		}
		if change.Batch != 0 {
			c.Batch = change.Batch
		}
		c.Spans, c.Duration = change.Spans, change.Duration
		if change.Rate != 0 {
			c.Rate = change.Rate
		}
		if err := c.Validate(); err == nil != ok {
			t.Errorf("%+v: %v; want ok %t", *change, err, ok)
		}
	}
}

// TestHistory holds that spans are spread over a time in the past, in order.
func TestHistory(t *testing.T) {
	cfg := Default()
	cfg.Spans, cfg.From = 1000, time.Unix(1_700_000_000, 0)
	cfg.Until = cfg.From.Add(10 * time.Hour)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := NewSender(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for spans, want := range map[int64]time.Duration{0: 0, 500: 5 * time.Hour, 1000: 10 * time.Hour, 1001: 10 * time.Hour} {
		s.report.Spans = spans
		if got := s.moment().Sub(cfg.From); got != want {
			t.Errorf("after %d spans: %v; want %v", spans, got, want)
		}
	}
	cfg.Spans = 0
	if err := cfg.Validate(); err == nil {
		t.Error("a time without an end of spans is valid")
	}
}
