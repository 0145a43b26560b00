package otlp

import (
	"context"
	"net/http"
	"time"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/otlp"
)

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// GRPC returns a server of OTLP/gRPC. A request has some time from its headers to its answer: who sends slowly is cut off then.
func (r *Receiver) GRPC(timeout time.Duration) *http.Server {
	calls := receive.Calls{
		Protocol: r.grpc.Protocol, Meter: r.grpc.Meter, Bodies: r.bodies, Timeout: timeout, Log: r.log,
		Methods: map[string]receive.Method{exportMethod: r.exportGRPC},
		Other:   "not_traces", What: "Clew takes traces only",
		Takes: "takes OTLP over gRPC", Instead: "; OTLP over HTTP has a port of its own, 4318 by default",
	}
	return calls.Server()
}

// exportGRPC takes one message.
func (r *Receiver) exportGRPC(ctx context.Context, message []byte) ([]byte, error) {
	b := r.batches.Get().(*trace.Batch)
	defer r.put(b)
	if err := r.grpc.Index(ctx, b, message); err != nil {
		return nil, err
	}
	if err := r.grpc.Write(ctx, b); err != nil {
		return nil, err
	}
	rejected, text := partial(b)
	return wire.AppendResponse(nil, rejected, text), nil
}
