package zipkin

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/test/zipkin/v1span"
	"github.com/clewtrace/clew/trace"
)

// sink counts spans, or fails.
type sink struct {
	spans int
	err   error
}

func (s *sink) Append(_ context.Context, b *trace.Batch) error {
	if s.err == nil {
		s.spans += len(b.Spans)
	}
	return s.err
}

func TestServeHTTP(t *testing.T) {
	const one = `{"traceId":"1","id":"2","name":"a","timestamp":1000,"duration":5}`
	const protoOne = "\x0a\x14\x0a\x08\x00\x00\x00\x00\x00\x00\x00\x01\x1a\x08\x00\x00\x00\x00\x00\x00\x00\x02"
	a, b := &v1span.Endpoint{Service: "a"}, &v1span.Endpoint{Service: "b"}
	v1 := []v1span.Span{{TraceID: "1", ID: "2", Annotations: []v1span.Annotation{
		{Timestamp: 1000, Value: "cs", Endpoint: a}, {Timestamp: 1001, Value: "sr", Endpoint: b}, {Timestamp: 1002, Value: "ss", Endpoint: b},
	}, Binary: []v1span.Binary{{Key: "k", Value: "v", Endpoint: a}}}}
	const zero = `{"traceId":"1","id":"0","timestamp":1000}`
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte("[" + one + "]")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	busy := &trace.Error{Kind: trace.Busy, Msg: "the disk is full", After: 3 * time.Second, Err: errors.New("secret")}
	for name, c := range map[string]struct {
		body, contentType, encoding string
		v1                          bool
		sinkErr                     error
		status, stored              int
		answer, counted             string
	}{
		"one":         {body: "[" + one + "]", contentType: "application/json", status: 202, stored: 1, counted: `clew_stored_spans_total{protocol="zipkin"} 1`},
		"no type":     {body: "[" + one + "," + one + "]", status: 202, stored: 2, counted: `clew_received_spans_total{protocol="zipkin"} 2`},
		"none":        {body: "[]", status: 202, counted: `clew_received_spans_total{protocol="zipkin"} 0`},
		"gzip":        {body: zipped.String(), encoding: "gzip", status: 202, stored: 1, counted: `clew_stored_spans_total{protocol="zipkin"} 1`},
		"one refused": {body: "[" + one + "," + zero + "]", status: 202, stored: 1, answer: "1 of 2 spans were refused; the first: span 1 of the request: span_id is 00", counted: `clew_refused_spans_total{protocol="zipkin",reason="bad_span_id"} 1`},
		"empty":       {status: 202, counted: `clew_received_spans_total{protocol="zipkin"} 0`},
		"other type":  {body: "[" + one + "]", contentType: "text/plain; charset=utf-8", status: 202, stored: 1, counted: `clew_stored_spans_total{protocol="zipkin"} 1`},
		"proto3":      {body: protoOne, contentType: "application/x-protobuf", status: 202, stored: 1, counted: `clew_stored_spans_total{protocol="zipkin"} 1`},
		"v1":          {v1: true, body: string(v1span.JSON(v1)), contentType: "application/json", status: 202, stored: 2, counted: `clew_stored_spans_total{protocol="zipkin"} 2`},
		"thrift":      {v1: true, body: string(v1span.Thrift(v1)), contentType: "application/x-thrift", status: 202, stored: 2, counted: `clew_stored_spans_total{protocol="zipkin"} 2`},
		"not gzip":    {body: "[" + one + "]", encoding: "gzip", status: 400, answer: "Cannot gunzip spans: body is not gzip", counted: `clew_refused_requests_total{protocol="zipkin",reason="invalid"} 1`},
		"not proto3":  {body: "[]", contentType: "application/x-protobuf", status: 400, answer: "Expected a PROTO3 encoded list\n", counted: `clew_refused_requests_total{protocol="zipkin",reason="invalid"} 1`},
		"not thrift":  {v1: true, body: "[]", contentType: "application/x-thrift", status: 400, answer: "Expected a THRIFT encoded list\n", counted: `clew_refused_requests_total{protocol="zipkin",reason="invalid"} 1`},
		"v1 as v2":    {body: string(v1span.JSON(v1)), status: 400, answer: "Expected a JSON_V2 encoded list, but received: JSON_V1\n", counted: `clew_refused_requests_total{protocol="zipkin",reason="invalid"} 1`},
		"v2 as v1":    {v1: true, body: `[{"traceId":"1","id":"2","tags":{}}]`, status: 400, answer: "Expected a JSON_V1 encoded list, but received: JSON_V2\n", counted: `clew_refused_requests_total{protocol="zipkin",reason="invalid"} 1`},
		"brotli":      {body: "[]", encoding: "br", status: 415, answer: "gzip, zstd", counted: `clew_refused_requests_total{protocol="zipkin",reason="content_encoding"} 1`},
		"not a list":  {body: one, status: 400, answer: "Expected a JSON_V2 encoded list", counted: `clew_refused_requests_total{protocol="zipkin",reason="invalid"} 1`},
		"broken":      {body: "[" + one + "," + one, status: 400, answer: "span 2: the end instead of", counted: `clew_refused_requests_total{protocol="zipkin",reason="invalid"} 1`},
		"too large":   {body: "[" + strings.Repeat(" ", 1<<20) + "]", status: 413, answer: "larger than 1048576 bytes", counted: `clew_refused_requests_total{protocol="zipkin",reason="too_large"} 1`},
		"held":        {body: "[" + strings.Repeat(" ", 1<<20-2) + "]", status: 503, answer: "too many bytes are being received", counted: `clew_refused_requests_total{protocol="zipkin",reason="busy"} 1`},
		"busy":        {body: "[" + one + "]", sinkErr: busy, status: 503, answer: "the disk is full", counted: `clew_refused_spans_total{protocol="zipkin",reason="busy"} 1`},
		"our fault":   {body: "[" + one + "]", sinkErr: errors.New("secret"), status: 500, answer: "internal error", counted: `clew_refused_spans_total{protocol="zipkin",reason="internal"} 1`},
	} {
		reg, s := prometheus.NewRegistry(), &sink{err: c.sinkErr}
		inlet := receive.Inlet{Sink: s, Meter: receive.NewMeter(reg), Limits: func(context.Context) trace.Limits { return trace.DefaultLimits() }}
		h := New(inlet, receive.NewBodies(1<<20, 2<<20), slog.New(slog.DiscardHandler))
		path := "/api/v2/spans"
		if c.v1 {
			path = "/api/v1/spans"
		}
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.contentType)
		r.Header.Set("Content-Encoding", c.encoding)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) || strings.Contains(w.Body.String(), "secret") || s.spans != c.stored {
			t.Errorf("%s: %d %q, %d stored; want %d %q, %d stored", name, w.Code, w.Body, s.spans, c.status, c.answer, c.stored)
		}
		if after := w.Header().Get("Retry-After"); (after != "") != (c.status == 503) || name == "busy" && after != "3" {
			t.Errorf("%s: Retry-After %q", name, after)
		}
		metrics := httptest.NewRecorder()
		promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(metrics, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if !strings.Contains(metrics.Body.String(), "\n"+c.counted+"\n") {
			t.Errorf("%s: %s is not among the metrics", name, c.counted)
		}
	}
}

// TestReport calls over gRPC, on a port that speaks HTTP/1 too.
func TestReport(t *testing.T) {
	reg, s := prometheus.NewRegistry(), &sink{}
	inlet := receive.Inlet{Sink: s, Meter: receive.NewMeter(reg), Limits: func(context.Context) trace.Limits { return trace.DefaultLimits() }}
	mux := http.NewServeMux()
	New(inlet, receive.NewBodies(1<<20, 2<<20), slog.New(slog.DiscardHandler)).Register(mux, []string{"https://a.example"}, time.Minute)
	server := httptest.NewUnstartedServer(mux)
	receive.SpeakHTTP2(server.Config)
	server.Start()
	defer server.Close()

	conn, err := grpc.NewClient(strings.TrimPrefix(server.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	report := func(list *zipkin_proto3.ListOfSpans) codes.Code {
		return status.Code(conn.Invoke(t.Context(), "/zipkin.proto3.SpanService/Report", list, &emptypb.Empty{}))
	}
	good := &zipkin_proto3.Span{TraceId: make([]byte, 16), Id: make([]byte, 8), Timestamp: 1000}
	good.TraceId[0], good.Id[0] = 1, 1
	if code := report(&zipkin_proto3.ListOfSpans{Spans: []*zipkin_proto3.Span{good, good}}); code != codes.OK || s.spans != 2 {
		t.Errorf("two spans: %v, %d stored", code, s.spans)
	}
	if code := report(&zipkin_proto3.ListOfSpans{}); code != codes.OK || s.spans != 2 {
		t.Errorf("none: %v, %d stored", code, s.spans)
	}
	if code := report(&zipkin_proto3.ListOfSpans{Spans: []*zipkin_proto3.Span{{Name: "no IDs"}}}); code != codes.InvalidArgument {
		t.Errorf("no IDs: %v", code)
	}
	s.err = &trace.Error{Kind: trace.Busy, Msg: "the disk is full"}
	if code := report(&zipkin_proto3.ListOfSpans{Spans: []*zipkin_proto3.Span{good}}); code != codes.ResourceExhausted {
		t.Errorf("busy: %v", code)
	}

	// The same port over HTTP/1, from a page.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, server.URL+"/api/v2/spans", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://a.example")
	req.Header.Set("Access-Control-Request-Method", "POST")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Origin") != "https://a.example" {
		t.Errorf("preflight: %s, %v", resp.Status, resp.Header)
	}
}
