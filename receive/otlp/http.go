// Package otlp receives spans over OTLP/HTTP and OTLP/gRPC.
//
// Source: the OTLP specification 1.x: what is answered, what a client sends again, what it must not.
package otlp

import (
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/otlp"
)

// Receiver answers OTLP requests.
type Receiver struct {
	http, grpc receive.Inlet
	bodies     *receive.Bodies
	origins    []string
	log        *slog.Logger
	batches    sync.Pool // *trace.Batch
}

// New returns a receiver that writes to a sink and reads bodies within limits. CORS is answered for origins; see receive.CORS.
func New(inlet receive.Inlet, bodies *receive.Bodies, origins []string, log *slog.Logger) *Receiver {
	r := &Receiver{http: inlet, grpc: inlet, bodies: bodies, origins: origins, log: log}
	r.http.Protocol, r.grpc.Protocol = "otlp/http", "otlp/grpc"
	inlet.Meter.Announce(r.http.Protocol)
	inlet.Meter.Announce(r.grpc.Protocol)
	r.batches.New = func() any { return new(trace.Batch) }
	return r
}

// HTTP returns the handler of OTLP/HTTP: POST /v1/traces.
func (r *Receiver) HTTP() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/traces", r.export)
	for _, signal := range []string{"metrics", "logs", "profiles"} {
		mux.HandleFunc("/v1/"+signal, func(w http.ResponseWriter, req *http.Request) {
			r.http.Meter.RefuseRequest(r.http.Protocol, "not_traces")
			answer{w: w, json: isJSON(req)}.refuse(http.StatusNotFound, codes.Unimplemented, "Clew takes traces only; switch the exporter of "+signal+" off")
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		r.http.Meter.RefuseRequest(r.http.Protocol, "path")
		answer{w: w, json: isJSON(req)}.refuse(http.StatusNotFound, codes.NotFound, fmt.Sprintf("nothing is at %.100s; spans go to /v1/traces", req.URL.Path))
	})
	return receive.CORS(r.origins, mux)
}

func isJSON(req *http.Request) bool {
	t, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	return err == nil && t == "application/json"
}

func (r *Receiver) export(w http.ResponseWriter, req *http.Request) {
	a := answer{w: w}
	if req.Method != http.MethodPost {
		r.http.Meter.RefuseRequest(r.http.Protocol, "method")
		w.Header().Set("Allow", "POST")
		a.refuse(http.StatusMethodNotAllowed, codes.Unimplemented, "send spans with POST")
		return
	}
	switch t, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); {
	case err == nil && t == "application/json":
		a.json = true
	case err == nil && t == "application/x-protobuf":
	default:
		r.http.Meter.RefuseRequest(r.http.Protocol, "content_type")
		a.refuse(http.StatusUnsupportedMediaType, codes.InvalidArgument,
			fmt.Sprintf("Content-Type is %.60q; want application/x-protobuf or application/json", req.Header.Get("Content-Type")))
		return
	}
	body, err := r.bodies.Read(req)
	if err != nil {
		r.http.Meter.RefuseRequest(r.http.Protocol, receive.BodyReason(err))
		if errors.Is(err, error(receive.UnsupportedEncoding)) {
			a.refuse(http.StatusUnsupportedMediaType, codes.InvalidArgument, err.Error())
			return
		}
		r.fail(a, err)
		return
	}
	defer body.Release()
	b := r.batches.Get().(*trace.Batch)
	defer r.put(b)
	release := func() {}
	defer func() { release() }()
	err = r.http.Convert(req.Context(), b, func() (raw []byte, err error) {
		if !a.json {
			return body.Bytes, nil
		}
		release, raw, err = transcode(body)
		return raw, err
	})
	if err != nil {
		r.fail(a, err)
		return
	}
	if err := r.http.Write(req.Context(), b); err != nil {
		r.fail(a, err)
		return
	}
	a.accept(b)
}

// transcode returns the binary form of a JSON body, whose memory is counted as held until it is released.
func transcode(body *receive.Body) (release func(), binary []byte, err error) {
	release, err = body.Hold(int64(len(body.Bytes)))
	if err != nil {
		return func() {}, nil, err
	}
	binary, err = wire.AppendBinary(make([]byte, 0, len(body.Bytes)), body.Bytes)
	return release, binary, err
}

// put keeps a batch for the next request, but not the memory of an unusually large one.
func (r *Receiver) put(b *trace.Batch) {
	b.Raw = nil
	if b.Small() {
		r.batches.Put(b)
	}
}

// fail answers with the status that makes a client send again what it should, and nothing else.
func (r *Receiver) fail(a answer, err error) {
	e := trace.ErrorOf(err)
	switch e.Kind {
	case trace.Invalid:
		a.refuse(http.StatusBadRequest, codes.InvalidArgument, e.Msg)
	case trace.TooLarge:
		a.refuse(http.StatusRequestEntityTooLarge, codes.InvalidArgument, e.Msg)
	case trace.UnknownTenant:
		a.refuse(http.StatusForbidden, codes.PermissionDenied, e.Msg)
	case trace.Busy:
		a.w.Header().Set("Retry-After", strconv.Itoa(max(1, int(e.After/time.Second))))
		a.refuse(http.StatusServiceUnavailable, codes.Unavailable, e.Msg)
	default:
		r.log.Error("request failed", "protocol", r.http.Protocol, "err", err)
		a.refuse(http.StatusInternalServerError, codes.Internal, "internal error; see Clew's log")
	}
}

// answer writes OTLP/HTTP answers in the request's encoding.
type answer struct {
	w    http.ResponseWriter
	json bool
}

func (a answer) accept(b *trace.Batch) {
	rejected, message := partial(b)
	if a.json {
		a.write(http.StatusOK, wire.AppendResponseJSON(nil, rejected, message))
		return
	}
	a.write(http.StatusOK, wire.AppendResponse(nil, rejected, message))
}

// partial returns what a partial success says of the spans that were refused.
func partial(b *trace.Batch) (rejected int, message string) {
	rejected = b.Refused.Total()
	if rejected > 0 {
		message = fmt.Sprintf("%d of %d spans were refused; the first: %s", rejected, rejected+len(b.Spans), b.Refused.First)
	}
	return rejected, message
}

func (a answer) refuse(status int, code codes.Code, message string) {
	if a.json {
		a.write(status, wire.AppendStatusJSON(nil, int(code), message))
		return
	}
	a.write(status, wire.AppendStatus(nil, int(code), message))
}

// Refusal is why a request is answered with a status of HTTP, and the code that gRPC has for it.
type Refusal struct {
	Status, Code int
	Message      string
}

// Refuse answers a request of OTLP/HTTP that somebody else refuses, as OTLP has it: with a Status in the request's encoding.
func Refuse(w http.ResponseWriter, req *http.Request, no Refusal) {
	answer{w: w, json: isJSON(req)}.refuse(no.Status, codes.Code(no.Code), no.Message)
}

func (a answer) write(status int, body []byte) {
	contentType := "application/x-protobuf"
	if a.json {
		contentType = "application/json"
	}
	a.w.Header().Set("Content-Type", contentType)
	a.w.WriteHeader(status)
	_, _ = a.w.Write(body) // a client that is gone will send again
}
