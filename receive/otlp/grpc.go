package otlp

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // registers itself
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/otlp"
)

// GRPC returns a server of OTLP/gRPC that takes messages of at most maxMessage bytes, and gives a request some time from its headers
// to its answer: who sends slowly is cut off then. Requests stay the bytes they are.
func (r *Receiver) GRPC(maxMessage int, timeout time.Duration) *grpc.Server {
	encoding.RegisterCompressor(newZstd())
	s := grpc.NewServer(
		grpc.StatsHandler(&undelivered{inlet: &r.grpc}),
		grpc.InTapHandle(func(ctx context.Context, _ *tap.Info) (context.Context, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			context.AfterFunc(ctx, cancel) // the stream's end cancels the parent, and with it the timer
			return ctx, nil
		}),
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(256),
		grpc.ConnectionTimeout(timeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.UnknownServiceHandler(r.unknown),
	)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.trace.v1.TraceService",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: exportGRPC}},
		Metadata:    "opentelemetry/proto/collector/trace/v1/trace_service.proto",
	}, r)
	return s
}

func (r *Receiver) unknown(_ any, stream grpc.ServerStream) error {
	r.grpc.Meter.RefuseRequest(r.grpc.Protocol, "not_traces")
	method, _ := grpc.MethodFromServerStream(stream)
	return status.Errorf(codes.Unimplemented, "Clew takes traces only, not %.100s; switch that exporter off", method)
}

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// undelivered counts the requests that gRPC refuses before they get to exportGRPC, such as those in an unknown encoding.
type undelivered struct{ inlet *receive.Inlet }

type deliveredKey struct{}

func (u *undelivered) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if info.FullMethodName != exportMethod {
		return ctx
	}
	return context.WithValue(ctx, deliveredKey{}, new(bool))
}

func (u *undelivered) HandleRPC(ctx context.Context, s stats.RPCStats) {
	end, ok := s.(*stats.End)
	delivered, _ := ctx.Value(deliveredKey{}).(*bool)
	if !ok || delivered == nil || *delivered || end.Error == nil {
		return
	}
	u.inlet.Meter.RefuseRequest(u.inlet.Protocol, reasonOf(end.Error))
}

// reasonOf returns the reason for which a request is counted that gRPC could not read.
func reasonOf(err error) string {
	switch status.Code(err) {
	case codes.ResourceExhausted:
		return trace.TooLarge.String()
	case codes.Unimplemented:
		return "content_encoding"
	case codes.Canceled, codes.DeadlineExceeded:
		return "cut_off"
	}
	return "undecodable"
}

func (u *undelivered) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (u *undelivered) HandleConn(context.Context, stats.ConnStats) {}

func exportGRPC(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (out any, err error) {
	r := srv.(*Receiver)
	if delivered, ok := ctx.Value(deliveredKey{}).(*bool); ok {
		*delivered = true
	}
	defer func() { // net/http does so for the others; gRPC would let the process die
		if p := recover(); p != nil {
			r.log.Error("request panicked", "protocol", r.grpc.Protocol, "panic", p, "stack", string(debug.Stack()))
			r.grpc.Meter.RefuseRequest(r.grpc.Protocol, trace.Internal.String())
			err = status.Error(codes.Internal, "internal error; see Clew's log")
		}
	}()
	var req rawMessage
	if err := decode(&req); err != nil {
		r.grpc.Meter.RefuseRequest(r.grpc.Protocol, reasonOf(err))
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
	e := trace.ErrorOf(err)
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

// zstdCompressor makes zstd known to gRPC, which has only gzip of its own. As in receive.Bodies there are never more decoders
// at work than slots, since each may have a window of 8 MiB. gRPC reads a message whole before it decompresses it, and stops at its limit.
type zstdCompressor struct {
	slots    chan struct{}
	decoders sync.Pool // *zstd.Decoder
}

func newZstd() *zstdCompressor {
	return &zstdCompressor{slots: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
}

func (*zstdCompressor) Name() string { return "zstd" }

func (*zstdCompressor) Compress(w io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
}

func (c *zstdCompressor) Decompress(r io.Reader) (io.Reader, error) {
	c.slots <- struct{}{}
	z, _ := c.decoders.Get().(*zstd.Decoder)
	var err error
	if z == nil {
		z, err = receive.NewZstd()
	}
	if err == nil {
		err = z.Reset(r)
	}
	if err != nil {
		<-c.slots
		return nil, err
	}
	return &decoding{z, c}, nil
}

// decoding is one message being decompressed. gRPC closes it.
type decoding struct {
	*zstd.Decoder
	c *zstdCompressor
}

func (d *decoding) Close() error {
	_ = d.Reset(nil)
	d.c.decoders.Put(d.Decoder)
	<-d.c.slots
	return nil
}
