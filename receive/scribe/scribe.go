// Package scribe receives spans as Zipkin's scribe collector does: Thrift calls of Log, whose messages are v1 spans in base64.
//
// On the wire, in both directions, a call and its answer are framed; see package thrift for the message:
//
//	| length, 4 bytes, big-endian | message, in Thrift's binary protocol |
//
// Source: scribe.thrift, Thrift's TFramedTransport, and Zipkin's server, which puts many calls of a connection into work at once and
// answers them in the order in which they came.
package scribe

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
)

const (
	maxConnections = 1024            // each costs some 20 KiB while it is silent
	pipelined      = 16              // calls of one connection that are under way at once; it is not read from while there are as many
	idleTimeout    = 5 * time.Minute // as for HTTP: a client that is closed while it is silent connects anew
	writeTimeout   = 10 * time.Second
)

// Server answers calls of Log on the connections of a listener.
type Server struct {
	inlet   receive.Inlet
	bodies  *receive.Bodies
	log     *slog.Logger
	timeout time.Duration // for a call to arrive, from its length on
	batches sync.Pool     // *trace.Batch

	mu       sync.Mutex
	listener net.Listener
	conns    map[*conn]bool // whether it waits for a call
	stopping bool
	work     sync.WaitGroup // one for each connection
}

// New returns a server that writes to a sink and reads calls within limits. A call must arrive within timeout.
func New(inlet receive.Inlet, bodies *receive.Bodies, timeout time.Duration, log *slog.Logger) *Server {
	inlet.Protocol = "scribe"
	inlet.Meter.Announce(inlet.Protocol)
	s := &Server{inlet: inlet, bodies: bodies, log: log, timeout: timeout, conns: map[*conn]bool{}}
	s.batches.New = func() any { return new(trace.Batch) }
	return s
}

// Serve takes connections until Shutdown or Close is called, which is no error. Of ctx its values count, such as the tenant of all that
// is sent.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.mu.Lock()
	s.listener = l
	stopping := s.stopping
	s.mu.Unlock()
	if stopping {
		return l.Close()
	}
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			s.start(context.WithoutCancel(ctx), c)
		case s.isStopping():
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE): // too many open files, which passes
			s.log.Debug("connection cannot be taken now", "protocol", s.inlet.Protocol, "err", err)
			time.Sleep(100 * time.Millisecond)
		default:
			return err
		}
	}
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// start serves a connection, unless there are too many.
func (s *Server) start(ctx context.Context, nc net.Conn) {
	c := &conn{Server: s, conn: nc}
	s.mu.Lock()
	full := len(s.conns) >= maxConnections
	if !full && !s.stopping {
		s.conns[c] = false
		s.work.Add(1)
	}
	refused := full || s.stopping
	s.mu.Unlock()
	if full {
		s.inlet.Meter.RefuseRequest(s.inlet.Protocol, "connections")
	}
	if refused {
		_ = nc.Close()
		return
	}
	go func() {
		defer s.work.Done()
		c.serve(ctx)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}

// wait says that a connection waits for a call, and returns false if it shall not.
func (s *Server) wait(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.conns[c] = true
	return c.conn.SetReadDeadline(time.Now().Add(idleTimeout)) == nil
}

// begin says that a call arrives.
func (s *Server) begin(c *conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = false
	return c.conn.SetReadDeadline(time.Now().Add(s.timeout))
}

// Shutdown takes no more connections and no more calls, and waits until those that have begun to arrive are answered, or ctx is done.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	done := make(chan struct{})
	go func() {
		s.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.listener != nil {
		_ = s.listener.Close()
	}
	for c, waits := range s.conns {
		if waits {
			_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// Close ends all at once.
func (s *Server) Close() error {
	s.stop()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
	return nil
}
