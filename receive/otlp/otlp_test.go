package otlp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
)

// sink keeps the names of the spans it is given, or fails, as a store does whose disk is full.
type sink struct {
	mu    sync.Mutex
	names []string
	err   error
	panic bool

	began, finish chan struct{} // nil, or set by block
}

func (s *sink) Append(_ context.Context, b *trace.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began != nil {
		close(s.began)
		<-s.finish
		s.began = nil
	}
	if s.panic {
		panic("a broken invariant")
	}
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

// block makes the sink close began with the next batch, which it keeps back until finish is closed.
func (s *sink) block() (began, finish chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began, s.finish = make(chan struct{}), make(chan struct{})
	return s.began, s.finish
}

// take returns the names of the spans since the last time, in one text.
func (s *sink) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.names = nil }()
	return strings.Join(s.names, " ")
}

const maxBody = 1 << 20

type fixture struct {
	*Receiver
	sink *sink
	reg  *prometheus.Registry
	last map[string]string

	timeout time.Duration // of gRPC requests
}

func newFixture() *fixture {
	f := &fixture{sink: &sink{}, reg: prometheus.NewRegistry(), last: map[string]string{}, timeout: time.Minute}
	inlet := receive.Inlet{Sink: f.sink, Meter: receive.NewMeter(f.reg), Limits: func(context.Context) trace.Limits { return trace.DefaultLimits() }}
	f.Receiver = New(inlet, receive.NewBodies(maxBody, 8*maxBody), []string{"loopback"}, slog.New(slog.DiscardHandler))
	return f
}

// counted returns the span and request counters that have changed since the last time, as the admin port shows them.
func (f *fixture) counted(t *testing.T) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(f.reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	now, changed := map[string]string{}, map[string]string{}
	for lines := bufio.NewScanner(w.Body); lines.Scan(); {
		k, v, ok := strings.Cut(lines.Text(), "} ")
		if !ok || !strings.Contains(k, "spans_total") && !strings.Contains(k, "requests_total") {
			continue
		}
		k = strings.NewReplacer("clew_", "", "_total{", " ", `protocol="otlp/`, "", `"`, "", "reason=", "", ",", " ").Replace(k)
		if now[k] = v; f.last[k] != v && (f.last[k] != "" || v != "0") {
			changed[k] = v
		}
	}
	f.last = now
	return changed
}

// expect holds which counters have changed since the last time, and to what: "refused_spans http too_old": "1". gRPC counts some
// refusals only when the client has its answer, so that it waits for them.
func (f *fixture) expect(t *testing.T, name string, want map[string]string) {
	t.Helper()
	got := f.counted(t)
	for deadline := time.Now().Add(10 * time.Second); !maps.Equal(got, want) && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		maps.Copy(got, f.counted(t))
	}
	if !maps.Equal(got, want) {
		t.Errorf("%s: counted %v; want %v", name, got, want)
	}
}

func span(name string, id byte) *tracepb.Span {
	return &tracepb.Span{
		TraceId: append(make([]byte, 15), 1), SpanId: append(make([]byte, 7), id), Name: name, StartTimeUnixNano: 1000, EndTimeUnixNano: 2000,
		Attributes: []*commonpb.KeyValue{{Key: "k", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: "v"}}}},
	}
}

func exportOf(spans ...*tracepb.Span) *collector.ExportTraceServiceRequest {
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans}}}}}
}

// mixed is a request of which one span must be refused.
func mixed() *collector.ExportTraceServiceRequest {
	bad := span("bad", 2)
	bad.TraceId = make([]byte, 16)
	return exportOf(span("a", 1), bad, span("c", 3))
}

var (
	errBusy   = &trace.Error{Kind: trace.Busy, Msg: "the disk is full", After: 7 * time.Second, Err: errors.New("no space left on /data/secret")}
	errSecret = errors.New("open /data/secret: broken")
)

// slow is a body that never ends, and comes to nothing.
type slow struct{ done <-chan struct{} }

func (s slow) Read([]byte) (int, error) {
	<-s.done
	return 0, io.ErrUnexpectedEOF
}
