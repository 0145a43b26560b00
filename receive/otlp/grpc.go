package otlp

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // registers itself
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/otlp"
)

// GRPC returns a server of OTLP/gRPC that takes messages of at most maxMessage bytes. Requests stay the bytes they are.
func (r *Receiver) GRPC(maxMessage int) *grpc.Server {
	encoding.RegisterCompressor(zstdCompressor{})
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(256),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.UnknownServiceHandler(unknown),
	)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.trace.v1.TraceService",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: exportGRPC}},
		Metadata:    "opentelemetry/proto/collector/trace/v1/trace_service.proto",
	}, r)
	return s
}

func unknown(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	return status.Errorf(codes.Unimplemented, "Clew takes traces only, not %s; switch that exporter off", method)
}

func exportGRPC(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	r := srv.(*Receiver)
	var req rawMessage
	if err := decode(&req); err != nil {
		r.grpc.Meter.RefuseRequest(r.grpc.Protocol, "undecodable")
		return nil, err
	}
	return r.exportGRPC(ctx, req)
}

func (r *Receiver) exportGRPC(ctx context.Context, req rawMessage) (any, error) {
	release, err := r.bodies.Hold(int64(len(req)))
	if err != nil {
		r.grpc.Meter.RefuseRequest(r.grpc.Protocol, trace.KindOf(err).String())
		return nil, r.statusOf(err)
	}
	defer release()
	b := r.batches.Get().(*trace.Batch)
	defer r.put(b)
	if err := r.grpc.Index(b, req); err != nil {
		return nil, r.statusOf(err)
	}
	if err := r.grpc.Write(ctx, b); err != nil {
		return nil, r.statusOf(err)
	}
	rejected, message := partial(b)
	out := rawMessage(wire.AppendResponse(nil, rejected, message))
	return &out, nil
}

// statusOf returns the gRPC status for an error: OTLP clients send again on UNAVAILABLE, after RetryInfo's delay, and not on INVALID_ARGUMENT.
func (r *Receiver) statusOf(err error) error {
	e, ok := err.(*trace.Error)
	if !ok {
		e = &trace.Error{Err: err}
	}
	switch e.Kind {
	case trace.Invalid, trace.TooLarge:
		return status.Error(codes.InvalidArgument, e.Msg)
	case trace.Busy:
		st := status.New(codes.Unavailable, e.Msg)
		if detailed, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(max(e.After, time.Second))}); err == nil {
			st = detailed
		}
		return st.Err()
	}
	r.log.Error("request failed", "protocol", r.grpc.Protocol, "err", err)
	return status.Error(codes.Internal, "internal error; see Clew's log")
}

// rawMessage is a message as bytes.
type rawMessage []byte

// rawCodec hands messages through as bytes: what is in them is read in place by the batch's index.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*rawMessage)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*m)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*rawMessage)
	if !ok {
		return fmt.Errorf("cannot receive a %T", v)
	}
	*m = data.Materialize()
	return nil
}

// zstdCompressor makes zstd known to gRPC, which has only gzip of its own.
type zstdCompressor struct{}

func (zstdCompressor) Name() string { return "zstd" }

func (zstdCompressor) Compress(w io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
}

func (zstdCompressor) Decompress(r io.Reader) (io.Reader, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderMaxMemory(math.MaxInt32))
	if err != nil {
		return nil, err
	}
	return &closingReader{z}, nil
}

// closingReader frees the decoder at the end of the message.
type closingReader struct{ z *zstd.Decoder }

func (c *closingReader) Read(p []byte) (int, error) {
	n, err := c.z.Read(p)
	if err != nil {
		c.z.Close()
	}
	return n, err
}
