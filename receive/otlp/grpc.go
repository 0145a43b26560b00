package otlp

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/otlp"
)

// GRPC returns a server of OTLP/gRPC. A request has some time from its headers to its answer: who sends slowly is cut off then.
//
// Its calls are unary ones over net/http's HTTP/2: what of a message has come is in a buffer that receive.Bodies counts, and nowhere else.
func (r *Receiver) GRPC(timeout time.Duration) *http.Server {
	s := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.call(w, req, timeout) }),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: min(10*time.Second, timeout),
		ReadTimeout:       timeout,
		WriteTimeout:      timeout + 10*time.Second, // ends a call whose client takes no answer
		IdleTimeout:       -1,                       // who sends now and then stays connected; pings find who is gone
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          256,
			MaxReadFrameSize:              16 << 10, // a connection keeps the memory of its largest frame
			MaxReceiveBufferPerStream:     1 << 20,
			MaxReceiveBufferPerConnection: 1 << 20,
			SendPingTimeout:               2 * time.Minute,
			PingTimeout:                   20 * time.Second,
		},
	}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Protocols.SetHTTP1(true) // only to say what is wrong
	return s
}

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// outcome is how a call ends: with a message if its code is OK.
type outcome struct {
	code   codes.Code
	text   string // what of the status the client is told
	retry  []byte // RetryInfo, as a google.rpc.Status has it
	answer []byte
}

// call answers one request, be it a call of gRPC or not.
func (r *Receiver) call(w http.ResponseWriter, req *http.Request, timeout time.Duration) {
	if req.ProtoMajor < 2 || !isGRPC(req) || req.Method != http.MethodPost {
		r.notGRPC(w, req)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h["Date"], h["Content-Length"] = nil, nil // which gRPC does not use
	if req.URL.Path != exportMethod {
		r.grpc.Meter.RefuseRequest(r.grpc.Protocol, "not_traces")
		outcome{code: codes.Unimplemented, text: fmt.Sprintf("Clew takes traces only, not %.100s; switch that exporter off", req.URL.Path)}.write(w)
		return
	}
	if t, ok := grpcTimeout(req.Header.Get("Grpc-Timeout")); ok && t < timeout {
		timeout = t
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(t)) // HTTP/2's has no other error than "not supported"
	}
	ctx, cancel := context.WithTimeout(req.Context(), timeout)
	defer cancel()
	r.exportGRPC(ctx, req).write(w)
}

func isGRPC(req *http.Request) bool {
	t, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	return err == nil && (t == "application/grpc" || t == "application/grpc+proto")
}

// notGRPC tells those that speak something else where to go: mostly they are exporters set to OTLP/HTTP with the port of gRPC.
func (r *Receiver) notGRPC(w http.ResponseWriter, req *http.Request) {
	reason, status := "content_type", http.StatusUnsupportedMediaType
	switch {
	case req.ProtoMajor < 2 || req.Method == "PRI": // which is half a preface of HTTP/2, and taken for a request of HTTP/1
		reason, status = "http_version", http.StatusHTTPVersionNotSupported
		w.Header().Set("Connection", "close")
		_, _ = io.CopyN(io.Discard, req.Body, 256<<10) // or the answer might be lost with the connection
	case isGRPC(req):
		reason, status = "method", http.StatusMethodNotAllowed
		w.Header().Set("Allow", "POST")
	}
	r.grpc.Meter.RefuseRequest(r.grpc.Protocol, reason)
	http.Error(w, "this port takes OTLP over gRPC, which is POST over HTTP/2 with content-type application/grpc; OTLP over HTTP has a port of its own, 4318 by default", status)
}

// grpcTimeout reads a Grpc-Timeout: up to eight digits and a unit.
func grpcTimeout(s string) (t time.Duration, ok bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	unit := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}[s[len(s)-1]]
	if err != nil || unit == 0 || time.Duration(n) > math.MaxInt64/unit { // centuries
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// exportGRPC takes one message. Its memory is given back before the answer is written.
func (r *Receiver) exportGRPC(ctx context.Context, req *http.Request) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("request panicked", "protocol", r.grpc.Protocol, "panic", p, "stack", string(debug.Stack()))
			r.grpc.Meter.RefuseRequest(r.grpc.Protocol, trace.Internal.String())
			o = outcome{code: codes.Internal, text: "internal error; see Clew's log"}
		}
	}()
	body, err := r.bodies.ReadMessage(ctx, req)
	if err != nil {
		return r.unread(err)
	}
	defer body.Release()
	b := r.batches.Get().(*trace.Batch)
	defer r.put(b)
	if err := r.grpc.Index(ctx, b, body.Bytes); err != nil {
		return r.outcomeOf(err)
	}
	if err := r.grpc.Write(ctx, b); err != nil {
		return r.outcomeOf(err)
	}
	rejected, message := partial(b)
	return outcome{answer: wire.AppendResponse(nil, rejected, message)}
}

// unread counts a message that could not be read, and returns its outcome.
func (r *Receiver) unread(err error) outcome {
	o, reason := r.outcomeOf(err), receive.BodyReason(err)
	kind := trace.KindOf(err)
	switch {
	case reason == "content_encoding":
		o.code, o.text = codes.Unimplemented, "grpc-encoding is not one of gzip, zstd, identity"
	case reason == "cut_off" && kind == trace.Busy:
		o = outcome{code: codes.DeadlineExceeded, text: o.text}
	case reason == "cut_off":
		o.code = codes.Canceled
	case kind == trace.TooLarge:
		o.code = codes.ResourceExhausted
	case kind == trace.Invalid: // not even a message
		o.code, reason = codes.Internal, "undecodable"
	}
	r.grpc.Meter.RefuseRequest(r.grpc.Protocol, reason)
	return o
}

// outcomeOf returns the outcome for an error: OTLP clients send again on UNAVAILABLE, after RetryInfo's delay, and not on INVALID_ARGUMENT or PERMISSION_DENIED.
func (r *Receiver) outcomeOf(err error) outcome {
	e := trace.ErrorOf(err)
	switch e.Kind {
	case trace.Invalid, trace.TooLarge:
		return outcome{code: codes.InvalidArgument, text: e.Msg}
	case trace.UnknownTenant:
		return outcome{code: codes.PermissionDenied, text: e.Msg}
	case trace.Busy:
		return outcome{code: codes.Unavailable, text: e.Msg, retry: wire.AppendRetryInfo(nil, max(e.After, time.Second))}
	}
	r.log.Error("request failed", "protocol", r.grpc.Protocol, "err", err)
	return outcome{code: codes.Internal, text: "internal error; see Clew's log"}
}

// write answers a call: with a message and the status behind it, or with headers alone if there is no message. The latter matters to a
// client that is still sending: Go's cannot let go of an answer with a body before it has sent all of its own.
func (o outcome) write(w http.ResponseWriter) {
	h := w.Header()
	if o.code == codes.OK {
		out := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(o.answer)))
		_, _ = w.Write(append(out, o.answer...)) // a client that is gone will send again
		h.Set(http.TrailerPrefix+"Grpc-Status", "0")
		return
	}
	h.Set("Grpc-Status", strconv.Itoa(int(o.code)))
	h.Set("Grpc-Message", percentEncoded(o.text))
	if o.code == codes.Unimplemented {
		h.Set("Grpc-Accept-Encoding", "identity,gzip,zstd")
	}
	if o.retry != nil {
		status := append(wire.AppendStatus(nil, int(o.code), o.text), o.retry...)
		h.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(status))
	}
	w.WriteHeader(http.StatusOK)
}

// percentEncoded returns text as Grpc-Message has it: printable ASCII without the percent sign as it is.
func percentEncoded(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
