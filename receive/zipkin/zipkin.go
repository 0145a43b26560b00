// Package zipkin receives spans as Zipkin's server does, on its port: POST to /api/v2/spans and /api/v1/spans, and calls of gRPC.
package zipkin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/zipkin"
)

// Receiver takes lists of spans in all of Zipkin's formats.
type Receiver struct {
	http, grpc receive.Inlet
	bodies     *receive.Bodies
	log        *slog.Logger
	batches    sync.Pool // *trace.Batch
}

// New returns a receiver that writes to a sink and reads bodies within limits.
func New(inlet receive.Inlet, bodies *receive.Bodies, log *slog.Logger) *Receiver {
	r := &Receiver{http: inlet, grpc: inlet, bodies: bodies, log: log}
	r.http.Protocol, r.grpc.Protocol = "zipkin", "zipkin/grpc"
	r.http.Meter.Announce(r.http.Protocol)
	r.grpc.Meter.Announce(r.grpc.Protocol)
	r.batches.New = func() any { return new(trace.Batch) }
	return r
}

const reportMethod = "/zipkin.proto3.SpanService/Report"

// Register adds the calls to a mux. Pages of some origins may send spans; see receive.CORS. A call of gRPC, for which the mux's server
// must speak HTTP/2, has a timeout.
func (r *Receiver) Register(mux *http.ServeMux, origins []string, timeout time.Duration) {
	for _, path := range []string{"/api/v2/spans", "/api/v1/spans"} {
		h := receive.CORS(origins, r)
		mux.Handle("POST "+path, h)
		mux.Handle("OPTIONS "+path, h)
	}
	mux.Handle("POST "+reportMethod, &receive.Calls{
		Protocol: r.grpc.Protocol, Meter: r.grpc.Meter, Bodies: r.bodies, Timeout: timeout, Log: r.log,
		Methods: map[string]receive.Method{reportMethod: r.report},
		Takes:   "takes Zipkin's spans over gRPC at this path",
	})
}

// report takes a ListOfSpans. The answer has no fields.
func (r *Receiver) report(ctx context.Context, message []byte) ([]byte, error) {
	_, err := r.take(ctx, &r.grpc, wire.Proto3, message)
	return nil, err
}

// formatOf returns the format that a request says its body has. As with Zipkin's server, what says nothing that is known is JSON.
func formatOf(req *http.Request) wire.Format {
	t, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	v1 := strings.HasSuffix(req.URL.Path, "/v1/spans")
	switch {
	case v1 && t == "application/x-thrift":
		return wire.Thrift
	case v1:
		return wire.JSONV1
	case t == "application/x-protobuf":
		return wire.Proto3
	}
	return wire.JSONV2
}

// ServeHTTP takes a list of spans and answers 202. Refusals are plain text, as Zipkin's.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := r.bodies.Read(req)
	if err != nil {
		reason := receive.BodyReason(err)
		r.http.Meter.RefuseRequest(r.http.Protocol, reason)
		if reason == trace.Invalid.String() && strings.Contains(req.Header.Get("Content-Encoding"), "gzip") {
			err = trace.Errorf(trace.Invalid, "Cannot gunzip spans: %s", trace.ErrorOf(err).Msg)
		}
		r.fail(w, err)
		return
	}
	defer body.Release()
	refused, err := r.take(req.Context(), &r.http, formatOf(req), body.Bytes)
	if err != nil {
		r.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	if refused != "" { // Zipkin has no answer for it; a person with curl sees it
		_, _ = fmt.Fprintln(w, refused)
	}
}

// take stores a list of spans; refused says which of them were not taken, and why.
func (r *Receiver) take(ctx context.Context, inlet *receive.Inlet, f wire.Format, list []byte) (refused string, err error) {
	release := func() {}
	defer func() { release() }()
	b := r.batches.Get().(*trace.Batch)
	defer r.put(b)
	err = inlet.Convert(ctx, b, func() (raw []byte, err error) {
		release, raw, err = r.decode(ctx, inlet, f, list)
		return raw, err
	})
	if err != nil {
		return "", err
	}
	refused = refusals(b) // before a sink that processes the batch changes it
	return refused, inlet.Write(ctx, b)
}

// decode returns a list of spans in its OTLP form. Its memory is counted until release is called, also when there is an error.
func (r *Receiver) decode(ctx context.Context, inlet *receive.Inlet, f wire.Format, list []byte) (release func(), raw []byte, err error) {
	release, err = r.bodies.HoldFor(ctx, 2*int64(len(list))) // by service, and then in one piece
	if err != nil {
		return func() {}, nil, err
	}
	raw, err = wire.Decode(f, list, time.Now(), inlet.Limits(ctx))
	if more := int64(len(raw) - 2*len(list)); err == nil && more > 0 {
		var rest func()
		if rest, err = r.bodies.HoldFor(ctx, more); err == nil {
			first := release
			release = func() { first(); rest() }
		}
	}
	return release, raw, err
}

func refusals(b *trace.Batch) string {
	n := b.Refused.Total()
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d spans were refused; the first: %s", n, n+len(b.Spans), b.Refused.First)
}

func (r *Receiver) put(b *trace.Batch) {
	b.Raw = nil
	if b.Small() {
		r.batches.Put(b)
	}
}

func (r *Receiver) fail(w http.ResponseWriter, err error) {
	e := trace.ErrorOf(err)
	switch e.Kind {
	case trace.Invalid:
		status := http.StatusBadRequest
		if errors.Is(err, error(receive.UnsupportedEncoding)) {
			status = http.StatusUnsupportedMediaType
		}
		http.Error(w, e.Msg, status)
	case trace.TooLarge:
		http.Error(w, e.Msg, http.StatusRequestEntityTooLarge)
	case trace.UnknownTenant:
		http.Error(w, e.Msg, http.StatusForbidden)
	case trace.Busy:
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(e.After/time.Second))))
		http.Error(w, e.Msg, http.StatusServiceUnavailable)
	default:
		r.log.Error("request failed", "protocol", r.http.Protocol, "err", err)
		http.Error(w, "internal error; see Clew's log", http.StatusInternalServerError)
	}
}
