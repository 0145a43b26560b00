package receive

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
	"github.com/clewtrace/clew/wire/otlp"
)

// Method does a unary call of gRPC: it takes the message and returns that of the answer. What it is given is no longer there when it
// has returned. An error's kind makes the status: Invalid and TooLarge are INVALID_ARGUMENT, Busy is RESOURCE_EXHAUSTED with RetryInfo,
// UnknownTenant is PERMISSION_DENIED, all others are INTERNAL and logged. Errors are for the method to count.
type Method func(ctx context.Context, message []byte) (answer []byte, err error)

// Calls answers unary calls of gRPC over net/http's HTTP/2: what of a message has come is in a buffer that Bodies counts, and nowhere else.
//
// Source: gRPC's "PROTOCOL-HTTP2".
type Calls struct {
	Protocol string // for counts and logs
	Methods  map[string]Method
	Other    string // why a method that there is not is counted as refused
	What     string // "Clew takes traces only": what a caller of such a method is told first
	Takes    string // "takes OTLP over gRPC": what the port does, for who speaks no gRPC
	Instead  string // where such a one may have wanted to go; may be empty
	Meter    *Meter
	Bodies   *Bodies
	Timeout  time.Duration // from a call's headers to its answer: who sends slowly is cut off then
	Log      *slog.Logger
}

// Server returns a server of the calls and nothing else, without TLS.
func (c *Calls) Server() *http.Server {
	s := &http.Server{
		Handler:           c,
		ReadHeaderTimeout: min(10*time.Second, c.Timeout),
		ReadTimeout:       c.Timeout,
		WriteTimeout:      c.Timeout + 10*time.Second, // ends a call whose client takes no answer
		IdleTimeout:       -1,                         // who sends now and then stays connected; pings find who is gone
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	SpeakHTTP2(s) // and HTTP/1 only to say what is wrong
	return s
}

// SpeakHTTP2 makes a server speak HTTP/2 beside HTTP/1, also without TLS, as gRPC needs it.
func SpeakHTTP2(s *http.Server) {
	s.Protocols = new(http.Protocols)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Protocols.SetHTTP1(true)
	s.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:          256,
		MaxReadFrameSize:              16 << 10, // a connection keeps the memory of its largest frame
		MaxReceiveBufferPerStream:     1 << 20,
		MaxReceiveBufferPerConnection: 1 << 20,
		SendPingTimeout:               2 * time.Minute,
		PingTimeout:                   20 * time.Second,
	}
}

// outcome is how a call ends: with a message if its code is OK.
type outcome struct {
	code   codes.Code
	text   string        // what of the status the client is told
	after  time.Duration // when the client should send it again; 0: never, or as it likes
	answer []byte
}

// ServeHTTP answers one request, be it a call of gRPC or not.
func (c *Calls) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.ProtoMajor < 2 || !wire.IsGRPC(req) || req.Method != http.MethodPost {
		c.notGRPC(w, req)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h["Date"], h["Content-Length"] = nil, nil // which gRPC does not use
	if req.URL.Path == healthMethod {
		c.health(req).write(w)
		return
	}
	method, ok := c.Methods[req.URL.Path]
	if !ok {
		c.Meter.RefuseRequest(c.Protocol, c.Other)
		outcome{code: codes.Unimplemented, text: fmt.Sprintf("%s, not %.100s; switch that exporter off", c.What, req.URL.Path)}.write(w)
		return
	}
	timeout := c.Timeout
	if t, ok := wire.GRPCTimeout(req.Header.Get("Grpc-Timeout")); ok && t < timeout {
		timeout = t
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(t)) // HTTP/2's has no other error than "not supported"
	}
	ctx, cancel := context.WithTimeout(req.Context(), timeout)
	defer cancel()
	c.do(ctx, req, method).write(w)
}

// notGRPC tells those that speak something else where to go: mostly they are exporters set to HTTP with the port of gRPC.
func (c *Calls) notGRPC(w http.ResponseWriter, req *http.Request) {
	reason, status := "content_type", http.StatusUnsupportedMediaType
	switch {
	case req.ProtoMajor < 2 || req.Method == "PRI": // which is half a preface of HTTP/2, and taken for a request of HTTP/1
		reason, status = "http_version", http.StatusHTTPVersionNotSupported
		w.Header().Set("Connection", "close")
		_, _ = io.CopyN(io.Discard, req.Body, 256<<10) // or the answer might be lost with the connection
	case wire.IsGRPC(req):
		reason, status = "method", http.StatusMethodNotAllowed
		w.Header().Set("Allow", "POST")
	}
	c.Meter.RefuseRequest(c.Protocol, reason)
	http.Error(w, "this port "+c.Takes+", which is POST over HTTP/2 with content-type application/grpc"+c.Instead, status)
}

// do reads one message and has the method take it. Its memory is given back before the answer is written.
func (c *Calls) do(ctx context.Context, req *http.Request, method Method) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			c.Log.Error("request panicked", "protocol", c.Protocol, "panic", p, "stack", string(debug.Stack()))
			c.Meter.RefuseRequest(c.Protocol, trace.Internal.String())
			o = outcome{code: codes.Internal, text: "internal error; see Clew's log"}
		}
	}()
	body, err := c.Bodies.ReadMessage(ctx, req)
	if err != nil {
		return c.unread(err)
	}
	defer body.Release()
	answer, err := method(ctx, body.Bytes)
	if err != nil {
		return c.outcomeOf(err)
	}
	return outcome{answer: answer}
}

// unread counts a message that could not be read, and returns its outcome.
func (c *Calls) unread(err error) outcome {
	o, reason := c.outcomeOf(err), BodyReason(err)
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
	c.Meter.RefuseRequest(c.Protocol, reason)
	return o
}

// outcomeOf returns the outcome for an error: clients send again on RESOURCE_EXHAUSTED, after RetryInfo's delay, but not if there is none, and not on
// INVALID_ARGUMENT or PERMISSION_DENIED. UNAVAILABLE would be sent again, too, but makes proxies take this server for a broken one, and OpenTelemetry's Python SDK connect anew.
func (c *Calls) outcomeOf(err error) outcome {
	e := trace.ErrorOf(err)
	switch e.Kind {
	case trace.Invalid, trace.TooLarge:
		return outcome{code: codes.InvalidArgument, text: e.Msg}
	case trace.UnknownTenant:
		return outcome{code: codes.PermissionDenied, text: e.Msg}
	case trace.Busy:
		return outcome{code: codes.ResourceExhausted, text: e.Msg, after: max(e.After, time.Second)}
	}
	c.Log.Error("request failed", "protocol", c.Protocol, "err", err)
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
	h.Set("Grpc-Message", wire.GRPCMessage(o.text))
	if o.code == codes.Unimplemented {
		h.Set("Grpc-Accept-Encoding", "identity,gzip,zstd")
	}
	if o.after > 0 {
		status := otlp.AppendRetryDetail(otlp.AppendStatus(nil, int(o.code), o.text), o.after)
		h.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(status))
		h.Set("Google.rpc.retryinfo-Bin", base64.RawStdEncoding.EncodeToString(otlp.AppendRetryInfo(nil, o.after))) // where Python's SDK looks for it
	}
	w.WriteHeader(http.StatusOK)
}
