package otlp

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/otlp"
)

const (
	protobuf = "application/x-protobuf"
	jsonType = "application/json"
)

// call is a request, and what must come of it.
type call struct {
	name, method, path, contentType, encoding string
	body                                      []byte
	sinkErr                                   error

	status  int
	code    codes.Code // of the google.rpc.Status in a refusal
	message string     // in it, or in the partial success
	stored  string
	counted map[string]string
	header  [2]string
}

func (c *call) request() *http.Request {
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.path == "" {
		c.path = "/v1/traces"
	}
	r := httptest.NewRequest(c.method, c.path, bytes.NewReader(c.body))
	if c.contentType != "" {
		r.Header.Set("Content-Type", c.contentType)
	}
	if c.encoding != "" {
		r.Header.Set("Content-Encoding", c.encoding)
	}
	return r
}

func (c *call) run(t *testing.T) {
	t.Helper()
	f := newFixture()
	f.sink.fail(c.sinkErr)
	w := httptest.NewRecorder()
	f.HTTP().ServeHTTP(w, c.request())
	if w.Code != c.status {
		t.Errorf("%s: %d %q; want %d", c.name, w.Code, w.Body, c.status)
		return
	}
	unmarshal, want := proto.Unmarshal, protobuf
	if strings.HasPrefix(c.contentType, jsonType) {
		unmarshal, want = protojson.Unmarshal, jsonType
	}
	if got := w.Header().Get("Content-Type"); got != want {
		t.Errorf("%s: answered in %s; want the request's %s", c.name, got, want)
	}
	if c.status == http.StatusOK {
		var a collector.ExportTraceServiceResponse
		if err := unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Errorf("%s: answer %q: %v", c.name, w.Body, err)
		}
		p := a.GetPartialSuccess()
		if (p.GetRejectedSpans() == 1) != (c.message != "") || !strings.Contains(p.GetErrorMessage(), c.message) {
			t.Errorf("%s: partial success %v; want %q", c.name, p, c.message)
		}
	} else {
		var a status.Status
		if err := unmarshal(w.Body.Bytes(), &a); err != nil || codes.Code(a.Code) != c.code || !strings.Contains(a.Message, c.message) || strings.Contains(a.Message, "secret") {
			t.Errorf("%s: answer %v, %v; want code %d with %q", c.name, &a, err, c.code, c.message)
		}
	}
	if got := f.sink.take(); got != c.stored {
		t.Errorf("%s: stored %q; want %q", c.name, got, c.stored)
	}
	if got := w.Header().Get(c.header[0]); c.header[0] != "" && got != c.header[1] {
		t.Errorf("%s: %s is %q; want %q", c.name, c.header[0], got, c.header[1])
	}
	f.expect(t, c.name, c.counted)
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// asJSON is a request in OTLP/JSON.
func asJSON(t testing.TB, m proto.Message) []byte {
	t.Helper()
	var b trace.Batch
	if err := b.Index(marshal(t, m), trace.Limits{SpanBytes: 1 << 30, Depth: 100}); err != nil {
		t.Fatal(err)
	}
	spans, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	return wire.AppendJSON(nil, spans)
}

func zipped(t testing.TB, encoding string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&out)
	if encoding == "zstd" {
		var err error
		if w, err = zstd.NewWriter(&out); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestHTTPAccepts(t *testing.T) {
	two := exportOf(span("a", 1), span("b", 2))
	counted := map[string]string{"received_spans http": "2", "stored_spans http": "2"}
	for _, encoding := range []string{"", "gzip", "zstd"} {
		pb, js := marshal(t, two), asJSON(t, two)
		if encoding != "" {
			pb, js = zipped(t, encoding, pb), zipped(t, encoding, js)
		}
		for _, c := range []call{
			{contentType: protobuf, body: pb}, {contentType: jsonType, body: js}, {contentType: jsonType + "; charset=utf-8", body: js},
		} {
			c.name, c.encoding, c.status, c.stored, c.counted = encoding+" "+c.contentType, encoding, 200, "a b", counted
			c.run(t)
		}
	}
	for _, c := range []call{
		{name: "no bytes", contentType: protobuf},
		{name: "no resource", contentType: jsonType, body: []byte(`{}`)},
		{name: "no span", contentType: protobuf, body: marshal(t, exportOf())},
	} {
		c.status = 200
		c.run(t)
	}
	badJSON := []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"x","spanId":"0000000000000001","startTimeUnixNano":"1"},` +
		`{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001","startTimeUnixNano":"1","name":"a"}]}]}]}`)
	for _, c := range []call{
		{contentType: protobuf, body: marshal(t, mixed()), stored: "a c", message: "1 of 3 spans were refused; the first: span 1 of the request: trace_id is 00"},
		{contentType: jsonType, body: badJSON, stored: "a", message: "1 of 2 spans were refused; the first: span 0 of the request: trace_id is ;"},
	} {
		n := map[string]string{"a c": "3", "a": "2"}[c.stored]
		stored := map[string]string{"a c": "2", "a": "1"}[c.stored]
		c.name, c.status = "partial success in "+c.contentType, 200
		c.counted = map[string]string{"received_spans http": n, "stored_spans http": stored, "refused_spans http bad_trace_id": "1"}
		c.run(t)
	}
}

func TestHTTPRefuses(t *testing.T) {
	good := marshal(t, exportOf(span("a", 1)))
	refused := func(reason string) map[string]string {
		return map[string]string{"refused_requests http " + reason: "1"}
	}
	for _, c := range []call{
		{name: "GET", method: http.MethodGet, status: 405, code: codes.Unimplemented, message: "POST", counted: refused("method"), header: [2]string{"Allow", "POST"}},
		{name: "metrics", path: "/v1/metrics", contentType: protobuf, status: 404, code: codes.Unimplemented, message: "traces only", counted: refused("not_traces")},
		{name: "logs", path: "/v1/logs", contentType: jsonType, status: 404, code: codes.Unimplemented, message: "exporter of logs", counted: refused("not_traces")},
		{name: "other path", path: "/v1/trace", contentType: jsonType, status: 404, code: codes.NotFound, message: "spans go to /v1/traces", counted: refused("path")},
		{name: "no type", body: good, status: 415, code: codes.InvalidArgument, message: `Content-Type is ""`, counted: refused("content_type")},
		{name: "text", contentType: "text/plain", body: good, status: 415, code: codes.InvalidArgument, message: "want application/x-protobuf or application/json", counted: refused("content_type")},
		{name: "brotli", contentType: protobuf, encoding: "br", status: 415, code: codes.InvalidArgument, message: "gzip, zstd, identity", counted: refused("content_encoding")},
		{name: "broken", contentType: protobuf, body: good[:len(good)-3], status: 400, code: codes.InvalidArgument, message: "at byte", counted: refused("invalid")},
		{name: "broken JSON", contentType: jsonType, body: []byte(`{"resourceSpans":[}`), status: 400, code: codes.InvalidArgument, message: "at byte 18", counted: refused("invalid")},
		{name: "protobuf as JSON", contentType: jsonType, body: good, status: 400, code: codes.InvalidArgument, message: "not OTLP/JSON", counted: refused("invalid")},
		{name: "JSON as protobuf", contentType: protobuf, body: []byte(`{"resourceSpans":[]}`), status: 400, code: codes.InvalidArgument, message: "not an OTLP traces message", counted: refused("invalid")},
		{name: "not gzip", contentType: protobuf, encoding: "gzip", body: good, status: 400, code: codes.InvalidArgument, message: "not gzip", counted: refused("invalid")},
		{name: "too large", contentType: protobuf, body: make([]byte, maxBody+1), status: 413, code: codes.InvalidArgument, message: "1048576 bytes", counted: refused("too_large")},
		{name: "bomb", contentType: jsonType, encoding: "gzip", body: zipped(t, "gzip", make([]byte, 20<<20)), status: 413, code: codes.InvalidArgument, message: "decompressed", counted: refused("too_large")},
		{name: "dense", contentType: jsonType, body: []byte(`{"resourceSpans":[{}` + strings.Repeat(`,{}`, 200_000) + `]}`), status: 413, code: codes.InvalidArgument, message: "send smaller batches", counted: refused("too_large")},
		{name: "nested", contentType: jsonType, body: []byte(strings.Repeat("[", 500_000)), status: 400, code: codes.InvalidArgument, message: "an array instead of an object", counted: refused("invalid")},
		{name: "nested, unknown", contentType: jsonType, body: []byte(`{"x":` + strings.Repeat("[", 500_000)), status: 400, code: codes.InvalidArgument, message: "nested deeper than 512", counted: refused("invalid")},
		{
			name: "busy", contentType: protobuf, body: good, sinkErr: errBusy, status: 503, code: codes.Unavailable, message: "the disk is full", header: [2]string{"Retry-After", "7"},
			counted: map[string]string{"received_spans http": "1", "refused_spans http busy": "1"},
		},
		{
			name: "busy, in JSON", contentType: jsonType, body: asJSON(t, exportOf(span("a", 1))), sinkErr: errBusy, status: 503, code: codes.Unavailable, message: "the disk is full",
			counted: map[string]string{"received_spans http": "1", "refused_spans http busy": "1"},
		},
		{
			name: "our fault", contentType: protobuf, body: good, sinkErr: errSecret, status: 500, code: codes.Internal, message: "internal error; see Clew's log",
			counted: map[string]string{"received_spans http": "1", "refused_spans http internal": "1"},
		},
	} {
		c.run(t)
	}
}

// TestHTTPHeld: what is being received at once is bounded, over all requests, and who comes too many is told when to come again.
func TestHTTPHeld(t *testing.T) {
	f := newFixture()
	release, err := f.bodies.Hold(8*maxBody - 1000)
	if err != nil {
		t.Fatal(err)
	}
	c := call{contentType: protobuf, body: marshal(t, exportOf(span("a", 1)))}
	w := httptest.NewRecorder()
	f.HTTP().ServeHTTP(w, c.request())
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	f.expect(t, "held", map[string]string{"refused_requests http busy": "1"})
	release()
	w = httptest.NewRecorder()
	f.HTTP().ServeHTTP(w, c.request())
	if w.Code != http.StatusOK || f.sink.take() != "a" {
		t.Errorf("after the release: %d", w.Code)
	}
}

// TestHTTPKeepAlive: a refusal does not cost the connection, except where the rest of a body would have to be read.
func TestHTTPKeepAlive(t *testing.T) {
	f := newFixture()
	s := httptest.NewServer(f.HTTP())
	defer s.Close()
	reused := 0
	send := func(contentType string, body []byte) int {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, s.URL+"/v1/traces", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		r = r.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if i.Reused {
				reused++
			}
		}}))
		a, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, a.Body)
		_ = a.Body.Close()
		return a.StatusCode
	}
	good := marshal(t, exportOf(span("a", 1)))
	got := []int{send(protobuf, good), send(protobuf, good[:5]), send("text/plain", good), send(protobuf, good)}
	if want := [4]int{200, 400, 415, 200}; [4]int(got) != want || reused != 3 {
		t.Errorf("answers %v on a connection used again %d times; want %v and 3", got, reused, want)
	}
	if code := send(protobuf, make([]byte, 2*maxBody)); code != 413 {
		t.Errorf("too large: %d", code)
	}
	if code := send(protobuf, good); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
}

// TestHTTPCutOff: a connection that breaks in the middle of a body costs nothing but itself.
func TestHTTPCutOff(t *testing.T) {
	f := newFixture()
	c := call{contentType: protobuf}
	r := c.request()
	done := make(chan struct{})
	close(done)
	r.Body = io.NopCloser(slow{done})
	w := httptest.NewRecorder()
	f.HTTP().ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("%d", w.Code)
	}
	f.expect(t, "cut off", map[string]string{"refused_requests http cut_off": "1"})
}

func TestHTTPCORS(t *testing.T) {
	f := newFixture()
	r := httptest.NewRequest(http.MethodOptions, "/v1/traces", nil)
	r.Header.Set("Origin", "http://localhost:8080")
	r.Header.Set("Access-Control-Request-Method", "POST")
	w := httptest.NewRecorder()
	f.HTTP().ServeHTTP(w, r)
	if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Origin") != "http://localhost:8080" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
