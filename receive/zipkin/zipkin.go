// Package zipkin receives spans as Zipkin's server does, on its port.
package zipkin

import (
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/zipkin"
)

// Receiver answers POST /api/v2/spans.
type Receiver struct {
	inlet  receive.Inlet
	bodies *receive.Bodies
	log    *slog.Logger
}

// New returns a receiver that writes to a sink and reads bodies within limits.
func New(inlet receive.Inlet, bodies *receive.Bodies, log *slog.Logger) *Receiver {
	inlet.Protocol = "zipkin"
	inlet.Meter.Announce(inlet.Protocol)
	return &Receiver{inlet, bodies, log}
}

// ServeHTTP takes a list of spans in v2 JSON and answers 202. Refusals are plain text, as Zipkin's.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if t, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err == nil && t != "application/json" && t != "text/plain" {
		r.inlet.Meter.RefuseRequest(r.inlet.Protocol, "content_type")
		http.Error(w, fmt.Sprintf("Content-Type is %.60q; want application/json", t), http.StatusUnsupportedMediaType)
		return
	}
	body, err := r.bodies.Read(req)
	if err != nil {
		r.inlet.Meter.RefuseRequest(r.inlet.Protocol, receive.BodyReason(err))
		r.fail(w, err)
		return
	}
	defer body.Release()
	release, err := r.bodies.Hold(2 * int64(len(body.Bytes))) // its binary form, by service and then in one piece
	if err != nil {
		r.inlet.Meter.RefuseRequest(r.inlet.Protocol, trace.KindOf(err).String())
		r.fail(w, err)
		return
	}
	defer release()
	raw, err := wire.Decode(wire.JSONV2, body.Bytes, time.Now(), r.inlet.Limits(req.Context()))
	if err != nil {
		r.inlet.Meter.RefuseRequest(r.inlet.Protocol, trace.KindOf(err).String())
		r.fail(w, err)
		return
	}
	var b trace.Batch
	if err := r.inlet.Index(req.Context(), &b, raw); err != nil {
		r.fail(w, err)
		return
	}
	if err := r.inlet.Write(req.Context(), &b); err != nil {
		r.fail(w, err)
		return
	}
	if b.Refused.Total() > 0 { // Zipkin has no answer for it; a person with curl sees it
		w.WriteHeader(http.StatusAccepted)
		_, _ = fmt.Fprintf(w, "%d of %d spans were refused; the first: %s\n", b.Refused.Total(), b.Refused.Total()+len(b.Spans), b.Refused.First)
		return
	}
	w.WriteHeader(http.StatusAccepted)
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
		r.log.Error("request failed", "protocol", r.inlet.Protocol, "err", err)
		http.Error(w, "internal error; see Clew's log", http.StatusInternalServerError)
	}
}
