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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/clewtrace/clew/receive"
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
		sinkErr                     error
		status, stored              int
		answer, counted             string
	}{
		"one":         {body: "[" + one + "]", contentType: "application/json", status: 202, stored: 1, counted: `clew_stored_spans_total{protocol="zipkin"} 1`},
		"no type":     {body: "[" + one + "," + one + "]", status: 202, stored: 2, counted: `clew_received_spans_total{protocol="zipkin"} 2`},
		"none":        {body: "[]", status: 202, counted: `clew_received_spans_total{protocol="zipkin"} 0`},
		"gzip":        {body: zipped.String(), encoding: "gzip", status: 202, stored: 1, counted: `clew_stored_spans_total{protocol="zipkin"} 1`},
		"one refused": {body: "[" + one + "," + zero + "]", status: 202, stored: 1, answer: "1 of 2 spans were refused; the first: span 1 of the request: span_id is 00", counted: `clew_refused_spans_total{protocol="zipkin",reason="bad_span_id"} 1`},
		"protobuf":    {body: "[]", contentType: "application/x-protobuf", status: 415, answer: "want application/json", counted: `clew_refused_requests_total{protocol="zipkin",reason="content_type"} 1`},
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
		r := httptest.NewRequest(http.MethodPost, "/api/v2/spans", strings.NewReader(c.body))
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
