package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// Call answers a call of gRPC, unary or with a stream of answers: it takes the one message of the request and sends the messages of the
// answer, in order. What send is given is no longer needed when it has returned; its error says that the client is gone. What was sent
// before an error stays sent. An error's kind makes the status.
type Call func(ctx context.Context, message []byte, send func(message []byte) error) error

// maxQuestion is how large the message of a question may be: texts and numbers, as in a URL.
const maxQuestion = 1 << 20

// GRPC makes an http.Handler of a dialect's call, for a server that speaks HTTP/2. It counts, times and bounds calls as Wrap does.
//
// Source: gRPC's "PROTOCOL-HTTP2".
func (g *Gate) GRPC(dialect, call string, c Call) http.Handler {
	seconds := g.seconds.WithLabelValues(dialect, call)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isCall(w, r) {
			return
		}
		begin := time.Now()
		s := newStream(w)
		defer s.end()
		if t, ok := wire.GRPCTimeout(r.Header.Get("Grpc-Timeout")); ok {
			ctx, cancel := context.WithTimeoutCause(r.Context(), t, errDeadline)
			defer cancel()
			r = r.WithContext(ctx)
		}
		whose, err := g.slots.of(r.Context())
		r, held := g.open(r)
		defer held.Close()
		if err == nil {
			_, err = g.run(r, whose, func(r *http.Request) (Answer, error) {
				message, err := question(r)
				if err != nil {
					return Answer{}, err
				}
				return Answer{}, c(r.Context(), message, s.send)
			})
		}
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(r.Context()), errDeadline) {
				err = errDeadline
			}
			e := g.explain(err, dialect, call)
			whose.failed(e)
			g.errors.WithLabelValues(dialect, call, e.Kind.String()).Inc()
			s.fail(codeOf(e), e.Msg)
		} else {
			s.succeed()
		}
		seconds.Observe(time.Since(begin).Seconds())
	})
}

// isCall reports whether a request is a call of gRPC. One that is none is answered.
func isCall(w http.ResponseWriter, r *http.Request) bool {
	if r.ProtoMajor >= 2 && r.Method == http.MethodPost && wire.IsGRPC(r) {
		return true
	}
	http.Error(w, "this is a call of gRPC, which is POST over HTTP/2 with content-type application/grpc", http.StatusUnsupportedMediaType)
	return false
}

var errDeadline = trace.Errorf(trace.Busy, "there was no answer within the time that the client gave")

func codeOf(e *trace.Error) codes.Code {
	if e == errDeadline {
		return codes.DeadlineExceeded
	}
	switch e.Kind {
	case trace.Invalid:
		return codes.InvalidArgument
	case trace.NotFound:
		return codes.NotFound
	case trace.TooLarge:
		return codes.ResourceExhausted
	case trace.UnknownTenant:
		return codes.PermissionDenied
	case trace.Busy:
		return codes.Unavailable
	}
	return codes.Internal
}

// NoCall answers calls of gRPC that no other handler has taken, and leaves other requests to next.
func NoCall(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 || !wire.IsGRPC(r) {
			next.ServeHTTP(w, r)
			return
		}
		newStream(w).fail(codes.Unimplemented, "there is no call "+r.URL.Path[:min(100, len(r.URL.Path))])
	})
}

// question reads the one message of a call.
func question(r *http.Request) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.Body, head[:]); err != nil {
		return nil, trace.Errorf(trace.Invalid, "the call ends before its message begins")
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > maxQuestion {
		return nil, trace.Errorf(trace.TooLarge, "the message has %d bytes; at most %d", size, maxQuestion)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(size))) // memory is taken as bytes come: the size is a promise
	if err != nil || len(body) < int(size) {
		return nil, trace.Errorf(trace.Invalid, "the message of %d bytes ends after %d", size, len(body))
	}
	if head[0] == 0 {
		return body, nil
	}
	if coding := r.Header.Get("Grpc-Encoding"); head[0] != 1 || !strings.EqualFold(coding, "gzip") {
		return nil, trace.Errorf(trace.Invalid, "the message is compressed with %.20q; want gzip, or no compression", coding)
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, trace.Errorf(trace.Invalid, "the message is not gzip: %v", err)
	}
	if body, err = io.ReadAll(io.LimitReader(z, maxQuestion+1)); err != nil {
		return nil, trace.Errorf(trace.Invalid, "the message is broken gzip: %v", err)
	}
	if len(body) > maxQuestion {
		return nil, trace.Errorf(trace.TooLarge, "the message has more than %d bytes", maxQuestion)
	}
	return body, nil
}

// stream is the answer to one call.
type stream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
	sent bool
}

func newStream(w http.ResponseWriter) *stream {
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h["Date"], h["Content-Length"] = nil, nil // which gRPC does not use
	return &stream{w: w, conn: http.NewResponseController(w)}
}

func (s *stream) send(message []byte) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // HTTP/2 has no other error than "not supported"
	s.sent = true
	var head [5]byte
	binary.BigEndian.PutUint32(head[1:], uint32(len(message)))
	if _, err := s.w.Write(head[:]); err != nil {
		return errGone
	}
	if _, err := s.w.Write(message); err != nil {
		return errGone
	}
	if err := s.conn.Flush(); err != nil {
		return errGone
	}
	return nil
}

var errGone = trace.Errorf(trace.Busy, "the client went away")

func (s *stream) succeed() {
	if !s.sent { // a stream without messages has headers all the same
		s.w.WriteHeader(http.StatusOK)
	}
	s.w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}

// fail ends the call with a status: in the headers if nothing was sent, else behind what was.
func (s *stream) fail(code codes.Code, text string) {
	prefix := ""
	if s.sent {
		prefix = http.TrailerPrefix
	}
	h := s.w.Header()
	h.Set(prefix+"Grpc-Status", strconv.Itoa(int(code)))
	h.Set(prefix+"Grpc-Message", wire.GRPCMessage(text))
	if !s.sent {
		s.w.WriteHeader(http.StatusOK)
	}
}

func (s *stream) end() { _ = s.conn.SetWriteDeadline(time.Time{}) }
