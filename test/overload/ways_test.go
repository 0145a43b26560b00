package overload

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/jaeger"
	"github.com/clewtrace/clew/wire/zipkin"
)

// errPushBack is that the server said "come back later", as the protocol has it.
var errPushBack = errors.New("pushed back")

// errWrong is that the server answered neither that nor that it keeps the batch.
var errWrong = errors.New("wrong answer")

// way is a protocol: how a batch looks in it, and how it is sent.
type way struct {
	name   string
	encode func(spans []trace.Span) []byte
	hex    bool                    // IDs are written in hexadecimal, not as their bytes
	pack   func(raw []byte) []byte // makes of what was encoded what is sent
	open   func(s *testkit.Server) sender
}

// sender sends an encoded batch and returns nil if it was acknowledged, errPushBack, or what else happened.
type sender func(ctx context.Context, raw []byte) error

// Most are compressed: sending costs little then, beside what receiving costs.
var ways = []way{
	{"OTLP/HTTP", otlp, false, zipped, overHTTP("otlp_http", "/v1/traces", "application/x-protobuf", http.StatusOK)},
	{"OTLP/gRPC", otlp, false, zipped, overGRPC("otlp_grpc", "/opentelemetry.proto.collector.trace.v1.TraceService/Export")},
	{"Zipkin", zipkinJSON, true, zipped, overHTTP("zipkin", "/api/v2/spans", "application/json", http.StatusAccepted)},
	{"Jaeger/HTTP", jaegerThrift, false, zipped, overHTTP("jaeger_http", "/api/traces", "application/x-thrift", http.StatusAccepted)},
	{"Jaeger/gRPC", jaegerProto, false, zipped, overGRPC("jaeger_grpc", "/jaeger.api_v2.CollectorService/PostSpans")},
	{"scribe", scribeSpans, false, scribeCall, overScribe},
}

// batch returns the spans of a batch: one trace.
func batch(n int) []trace.Span {
	resource := &trace.Resource{Attrs: []trace.Attr{
		{Key: "service.name", Value: trace.String("overload")}, {Key: "host.name", Value: trace.String("h1")}, {Key: "process.pid", Value: trace.Int(4711)},
	}}
	scope := &trace.Scope{Name: "overload", Version: "1"}
	id, start := traceID(n), uint64(time.Now().UnixNano())
	out := make([]trace.Span, batchSpans)
	for i := range out {
		s := &out[i]
		*s = trace.Span{
			TraceID: id, ID: trace.SpanID{0: 1, 6: byte(i >> 8), 7: byte(i)}, Name: operations[i%len(operations)], Kind: trace.KindServer,
			Start: start + uint64(i)*1000, End: start + uint64(i)*1000 + 1_000_000, Resource: resource, Scope: scope,
		}
		if i > 0 {
			s.Parent = out[0].ID
		}
		s.Attrs = []trace.Attr{
			{Key: "http.request.method", Value: trace.String("GET")},
			{Key: "url.path", Value: trace.String(s.Name)},
			{Key: "order", Value: trace.Int(int64(n*batchSpans + i))},
			{Key: "http.response.status_code", Value: trace.Int(200)},
			{Key: "server.address", Value: trace.String("orders.shop.svc.cluster.local")},
		}
	}
	return out
}

var operations = []string{"/orders", "/orders/new", "/cart", "/cart/items", "/login", "/logout", "/"}

func otlp(spans []trace.Span) []byte { return trace.AppendTraces(nil, spans) }

func zipkinJSON(spans []trace.Span) []byte { return zipkin.Encode(zipkin.JSONV2, spans) }

func jaegerThrift(spans []trace.Span) []byte { return jaeger.AppendThriftBatch(nil, spans) }

func jaegerProto(spans []trace.Span) []byte { return jaeger.AppendPostSpans(nil, spans) }

func zipped(raw []byte) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err == nil {
		_, err = z.Write(raw)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return out.Bytes()
}

// overHTTP posts to a listener. A push-back is 429 or 503 with Retry-After.
func overHTTP(listener, path, contentType string, ok int) func(s *testkit.Server) sender {
	return func(s *testkit.Server) sender {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, MaxConnsPerHost: 1, WriteBufferSize: 64 << 10}}
		url := s.URL(listener) + path
		return func(ctx context.Context, raw []byte) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", contentType)
			if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
				req.Header.Set("Content-Encoding", "gzip")
			}
			a, err := client.Do(req)
			if err != nil {
				return err
			}
			defer func() { _ = a.Body.Close() }()
			said, err := io.ReadAll(a.Body)
			switch {
			case err != nil:
				return err
			case a.StatusCode == ok && len(said) == 0: // something in it would be a partial success
				return nil
			case a.StatusCode == http.StatusTooManyRequests || a.StatusCode == http.StatusServiceUnavailable:
				if after, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || after < 1 {
					return fmt.Errorf("%w: %d with Retry-After %q", errWrong, a.StatusCode, a.Header.Get("Retry-After"))
				}
				return errPushBack
			}
			return fmt.Errorf("%w: %d %.300q", errWrong, a.StatusCode, said)
		}
	}
}

// overGRPC makes unary calls with what is compressed already. A push-back is RESOURCE_EXHAUSTED with RetryInfo.
func overGRPC(listener, method string) func(s *testkit.Server) sender {
	return func(s *testkit.Server) sender { return callGRPC(s.Address(listener), method) }
}

func callGRPC(address, method string) sender {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.UseCompressor("gzip")))
	return func(ctx context.Context, raw []byte) error {
		if err != nil {
			return err
		}
		var reply []byte
		err := conn.Invoke(ctx, method, raw, &reply)
		if err == nil && len(reply) > 0 {
			return fmt.Errorf("%w of %d bytes", errWrong, len(reply))
		}
		switch status.Code(err) {
		case codes.OK, codes.Unavailable, codes.Canceled, codes.DeadlineExceeded: // what gRPC says of connections
			return err
		case codes.ResourceExhausted:
		default:
			return fmt.Errorf("%w: %w", errWrong, err)
		}
		for _, d := range status.Convert(err).Details() {
			if info, ok := d.(*errdetails.RetryInfo); ok && info.GetRetryDelay().AsDuration() > 0 {
				return errPushBack
			}
		}
		return fmt.Errorf("%w: no RetryInfo: %w", errWrong, err)
	}
}

// rawCodec sends and receives messages as the bytes they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// asIs stands for gzip in this process, and compresses nothing.
type asIs struct{}

func (asIs) Name() string { return "gzip" }

func (asIs) Compress(w io.Writer) (io.WriteCloser, error) { return nopCloser{w}, nil }

func (asIs) Decompress(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
