package load

import (
	"context"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // registers itself
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// grpcTransport makes unary calls of gRPC.
type grpcTransport struct {
	target
	conn    *grpc.ClientConn
	headers metadata.MD
}

// openGRPC prepares a connection. zstd becomes known to gRPC in the whole process, for which no other call may be under way.
func openGRPC(to target) (transport, error) {
	u, cfg := to.url, to.cfg
	creds := insecure.NewCredentials()
	if u.Scheme == "https" {
		creds = credentials.NewTLS(cfg.TLS)
	}
	call := []grpc.CallOption{grpc.ForceCodecV2(rawCodec{}), grpc.WaitForReady(false)}
	switch cfg.Compression {
	case "zstd":
		encoding.RegisterCompressor(zstdCompressor{})
		fallthrough
	case "gzip":
		call = append(call, grpc.UseCompressor(cfg.Compression))
	}
	conn, err := grpc.NewClient(u.Host, grpc.WithTransportCredentials(creds), grpc.WithUserAgent("clew-load"),
		grpc.WithDefaultCallOptions(call...), grpc.WithDisableRetry(), grpc.WithWriteBufferSize(256<<10))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", u.Host, err)
	}
	return &grpcTransport{to, conn, metadata.New(cfg.Headers)}, nil
}

func (t *grpcTransport) close() error { return t.conn.Close() }

func (t *grpcTransport) export(ctx context.Context, body []byte) (answer, error) {
	var reply []byte
	ctx = metadata.NewOutgoingContext(ctx, t.headers)
	if err := t.conn.Invoke(ctx, t.path, body, &reply); err != nil {
		return answer{}, refusedGRPC(status.Convert(err))
	}
	a, err := parseAnswer(reply)
	return a, err
}

// refusedGRPC reads a refusal as the OTLP specification has it.
func refusedGRPC(st *status.Status) *refusal {
	r := &refusal{reason: "gRPC " + st.Code().String(), message: st.Message()}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			r.after = info.GetRetryDelay().AsDuration()
		}
	}
	switch st.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		r.again = true
	case codes.ResourceExhausted:
		r.again = r.after > 0
	}
	return r
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

// zstdCompressor makes zstd known to gRPC, which has only gzip of its own.
type zstdCompressor struct{}

func (zstdCompressor) Name() string { return "zstd" }

func (zstdCompressor) Compress(w io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
}

func (zstdCompressor) Decompress(r io.Reader) (io.Reader, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
}
