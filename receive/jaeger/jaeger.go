// Package jaeger receives spans as Jaeger's agent and collector do, and tells its clients how to sample.
//
// Source: Jaeger's "APIs" page, jaeger-idl, and what its own clients send and expect.
package jaeger

import (
	"context"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/jaeger"
)

// Receiver takes spans on Jaeger's ports.
type Receiver struct {
	http, grpc receive.Inlet
	inlet      receive.Inlet // for agents
	bodies     *receive.Bodies
	sampling   *Sampling
	clients    *clients
	packets    packetCounts
	log        *slog.Logger
	works      sync.Pool // *work
}

// New returns a receiver that writes to a sink, reads bodies within limits, and answers with strategies.
func New(inlet receive.Inlet, bodies *receive.Bodies, sampling *Sampling, reg prometheus.Registerer) *Receiver {
	r := &Receiver{http: inlet, grpc: inlet, inlet: inlet, bodies: bodies, sampling: sampling, log: sampling.log}
	r.http.Protocol, r.grpc.Protocol = "jaeger/http", "jaeger/grpc"
	inlet.Meter.Announce(r.http.Protocol)
	inlet.Meter.Announce(r.grpc.Protocol)
	reg.MustRegister(sampling.reloads)
	r.clients, r.packets = newClients(reg), newPacketCounts(reg)
	r.works.New = func() any { return new(work) }
	return r
}

// work is what it takes to take a batch; it is used again.
type work struct {
	decoder wire.Decoder
	out     []byte
	batch   trace.Batch
}

func (r *Receiver) put(w *work) {
	w.batch.Raw = nil
	const large = 1 << 20 // a large request must not hold its memory for ever
	if cap(w.out) <= large && w.batch.Small() {
		r.works.Put(w)
	}
}

// decode is one of the decoder's ways to read a batch.
type decode func(d *wire.Decoder, dst, in []byte) ([]byte, error)

// take decodes and stores a batch. What the decoder says of the client is counted.
func (r *Receiver) take(ctx context.Context, in *receive.Inlet, body []byte, decode decode) (trace.Refusals, int, error) {
	w := r.works.Get().(*work)
	defer r.put(w)
	release := func() {}
	defer func() { release() }()
	err := in.Convert(ctx, &w.batch, func() (_ []byte, err error) {
		release, err = r.decode(ctx, w, body, decode)
		return w.out, err
	})
	if err != nil {
		return trace.Refusals{}, 0, err
	}
	r.clients.count(&w.decoder.Client, time.Now())
	if len(w.out) == 0 { // a batch without spans, as some clients send to see whether anybody is there
		return trace.Refusals{}, 0, nil
	}
	err = in.Write(ctx, &w.batch)
	return w.batch.Refused, len(w.batch.Spans), err
}

// decode turns a batch into OTLP bytes. Memory for twice its size is enough for nearly all; the few that need more may have four times.
func (r *Receiver) decode(ctx context.Context, w *work, body []byte, decode decode) (release func(), err error) {
	const some = 16 << 10
	for _, times := range []int{2, 4} {
		w.decoder.Limit = times*len(body) + some
		if release, err = r.bodies.HoldFor(ctx, int64(w.decoder.Limit)); err != nil {
			return func() {}, err
		}
		if w.out, err = decode(&w.decoder, w.out[:0], body); err == nil {
			return release, nil
		}
		release()
		if trace.KindOf(err) != trace.TooLarge {
			break
		}
	}
	return func() {}, err
}

// HTTP returns the handler of the collector's port 14268.
func (r *Receiver) HTTP() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/traces", r.traces)
	mux.Handle("/api/sampling", http.HandlerFunc(r.sampling.current))
	mux.HandleFunc("/api/baggageRestrictions", baggageRestrictions)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		r.http.Meter.RefuseRequest(r.http.Protocol, "path")
		http.Error(w, fmt.Sprintf("nothing is at %.100s; spans go to /api/traces", req.URL.Path), http.StatusNotFound)
	})
	return mux
}

// traces takes a Thrift batch and answers 202. The statuses are those of Jaeger's collector but where it says 500 for what is no fault of
// the server: a body too large is 413, and a store that is busy 503.
func (r *Receiver) traces(w http.ResponseWriter, req *http.Request) {
	in := &r.http
	refuse := func(reason string, status int, format string, args ...any) {
		in.Meter.RefuseRequest(in.Protocol, reason)
		http.Error(w, fmt.Sprintf(format, args...), status)
	}
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		refuse("method", http.StatusMethodNotAllowed, "send spans with POST")
		return
	}
	switch t, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); {
	case err != nil:
		refuse("content_type", http.StatusBadRequest, "Cannot parse content type: %v", err)
		return
	case t != "application/x-thrift" && t != "application/vnd.apache.thrift.binary":
		refuse("content_type", http.StatusBadRequest, "Unsupported content type: %.60s; want application/x-thrift or application/vnd.apache.thrift.binary", t)
		return
	}
	if f := req.URL.Query().Get("format"); f != "" && f != "jaeger.thrift" {
		refuse("format", http.StatusBadRequest, "Unsupported format type: %.60s; want jaeger.thrift", f)
		return
	}
	body, err := r.bodies.Read(req)
	if err != nil {
		in.Meter.RefuseRequest(in.Protocol, receive.BodyReason(err))
		r.fail(w, err)
		return
	}
	defer body.Release()
	refused, stored, err := r.take(req.Context(), in, body.Bytes, (*wire.Decoder).AppendBatch)
	if err != nil {
		r.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	if n := refused.Total(); n > 0 { // Jaeger has no answer for it; a person with curl sees it
		_, _ = fmt.Fprintf(w, "%d of %d spans were refused; the first: %s\n", n, n+stored, refused.First)
	}
}

func (r *Receiver) fail(w http.ResponseWriter, err error) {
	e := trace.ErrorOf(err)
	switch e.Kind {
	case trace.Invalid:
		http.Error(w, "Unable to process request body: "+e.Msg, http.StatusBadRequest)
	case trace.TooLarge:
		http.Error(w, "Unable to process request body: "+e.Msg, http.StatusRequestEntityTooLarge)
	case trace.UnknownTenant:
		http.Error(w, e.Msg, http.StatusForbidden)
	case trace.Busy:
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(e.After/time.Second))))
		http.Error(w, "Cannot submit Jaeger batch: "+e.Msg, http.StatusServiceUnavailable)
	default:
		r.log.Error("request failed", "protocol", r.http.Protocol, "err", err)
		http.Error(w, "Cannot submit Jaeger batch: internal error; see Clew's log", http.StatusInternalServerError)
	}
}

// The methods of Jaeger's collector.
const (
	postMethod     = "/jaeger.api_v2.CollectorService/PostSpans"
	strategyMethod = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy"
)

// GRPC returns the server of the collector's port 14250, which also answers how to sample. A call has some time from its headers to its answer.
func (r *Receiver) GRPC(timeout time.Duration) *http.Server {
	calls := receive.Calls{
		Protocol: r.grpc.Protocol, Meter: r.grpc.Meter, Bodies: r.bodies, Timeout: timeout, Log: r.log,
		Methods: map[string]receive.Method{postMethod: r.postSpans, strategyMethod: r.strategy},
		Other:   "path", What: "Clew takes Jaeger's spans here",
		Takes: "takes Jaeger's spans over gRPC", Instead: "; Thrift over HTTP has a port of its own, 14268 by default",
	}
	return calls.Server()
}

// SamplingGRPC returns the server of port 5779, which answers how to sample, and nothing else.
func (r *Receiver) SamplingGRPC(timeout time.Duration) *http.Server {
	calls := receive.Calls{
		Protocol: samplingProtocol, Meter: r.grpc.Meter, Bodies: r.bodies, Timeout: timeout, Log: r.log,
		Methods: map[string]receive.Method{strategyMethod: r.strategy},
		Other:   "path", What: "Clew tells here how to sample",
		Takes: "tells over gRPC how to sample", Instead: "; over HTTP it is told on a port of its own, 5778 by default",
	}
	return calls.Server()
}

const samplingProtocol = "jaeger/sampling"

// postSpans takes a PostSpansRequest; the answer has no fields.
func (r *Receiver) postSpans(ctx context.Context, message []byte) ([]byte, error) {
	_, _, err := r.take(ctx, &r.grpc, message, (*wire.Decoder).AppendPost)
	return nil, err
}

// strategy answers SamplingStrategyParameters.
func (r *Receiver) strategy(_ context.Context, message []byte) ([]byte, error) {
	service, err := wire.ServiceName(message)
	if err != nil {
		r.grpc.Meter.RefuseRequest(samplingProtocol, trace.KindOf(err).String())
		return nil, err
	}
	return r.sampling.strategy(service).AppendProto(nil), nil
}
