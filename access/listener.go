package access

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What a connection has for the client to read why its handshake failed, while it is no longer of use to us. A client reads it within a round
// trip, or when it has sent its request: for some that is all of a large body.
const (
	lingerTime  = 5 * time.Second
	lingerBytes = 8 << 20
	lingerCount = 64 // connections of a listener; of more, clients may see no more than that they were cut off
)

// Why handshakes fail, in clew_tls_handshake_failures_total.
const (
	failedNoTLS       = "no_tls"            // what came is not TLS, such as HTTP without it
	failedCertificate = "certificate"       // the client's: there is none, or none that we take
	failedRefused     = "refused_by_client" // it sent an alert, mostly for it does not trust our certificate
	failedGone        = "gone"              // it went away, as do probes that only connect, and Node.js where it does not trust our certificate
	failedTimeout     = "timeout"           // it was too slow
	failedOther       = "other"             // such as a version of TLS that is too old
)

// failedReasons are all of them.
var failedReasons = []string{failedNoTLS, failedCertificate, failedRefused, failedGone, failedTimeout, failedOther}

// Listener puts TLS before the connections of a listener, and counts the handshakes that fail. A client whose handshake we end is told why, by
// TLS's alert; over TLS 1.3, where its own handshake is over by then, it may have begun to send a request. Closing at once would have the
// system answer that with a reset, and clients then commonly report the reset in place of the alert. So we take what it sends for a while.
type Listener struct {
	net.Listener
	config   *tls.Config
	failures *prometheus.CounterVec // by reason

	mu        sync.Mutex
	lingering map[net.Conn]bool
	closed    bool
	work      sync.WaitGroup // one for each that lingers
}

// Listener returns l behind TLS. Connections speak one of the protocols (of ALPN) if any are given; they are *tls.Conn, as net/http wants them.
func (e *Endpoint) Listener(l net.Listener, protocols ...string) *Listener {
	return &Listener{Listener: l, config: e.config(protocols), failures: e.failures, lingering: map[net.Conn]bool{}}
}

// Accept returns the next connection, whose handshake is still to come.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	u := &underTLS{Conn: c, listener: l}
	u.tls = tls.Server(u, l.config)
	return u.tls, nil
}

// Close takes no more connections, and ends those that linger.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	for c := range l.lingering {
		_ = c.SetDeadline(past())
	}
	l.mu.Unlock()
	err := l.Listener.Close()
	l.work.Wait()
	return err
}

// underTLS is what a TLS connection reads and writes.
type underTLS struct {
	net.Conn
	listener *Listener
	tls      *tls.Conn // the one above
	closing  atomic.Bool
}

// Read reads. When the connection is being closed that is its error, whatever deadline says so.
func (u *underTLS) Read(b []byte) (int, error) {
	if u.closing.Load() {
		return 0, net.ErrClosed
	}
	n, err := u.Conn.Read(b)
	if alert, ok := plainAlert(b[:n]); ok {
		return 0, &net.OpError{Op: "remote error", Err: alert} // as crypto/tls has it of those that it reads
	}
	return n, u.orClosed(err)
}

// plainAlert returns the fatal alert that a client has sent without encryption, alone or behind a change_cipher_spec. OpenSSL does so over
// TLS 1.3 when it does not trust our certificate, which crypto/tls takes for a broken record ("bad record MAC"). Once encryption has begun,
// all other records are longer.
func plainAlert(b []byte) (tls.AlertError, bool) {
	b = bytes.TrimPrefix(b, []byte{20, 3, 3, 0, 1, 1})
	if len(b) != 7 || !bytes.HasPrefix(b, []byte{21, 3, 3, 0, 2, 2}) { // type, version 1.2 as 1.3 has it, length, level
		return 0, false
	}
	return tls.AlertError(b[6]), true
}

// Write writes, as Read reads.
func (u *underTLS) Write(b []byte) (int, error) {
	if u.closing.Load() {
		return 0, net.ErrClosed
	}
	n, err := u.Conn.Write(b)
	return n, u.orClosed(err)
}

func (u *underTLS) orClosed(err error) error {
	if err != nil && u.closing.Load() {
		return net.ErrClosed
	}
	return err
}

// Close closes the connection, but lets it linger if its handshake failed. It is called by tls.Conn, which holds no lock then, or by others while
// a handshake goes on, whose reads and writes end first. To ask a handshake that has succeeded for its outcome takes no lock.
func (u *underTLS) Close() error {
	if u.closing.Swap(true) {
		return net.ErrClosed
	}
	_ = u.SetDeadline(past())
	reason := failedFor(u.tls.HandshakeContext(context.Background()))
	if reason != "" {
		u.listener.failures.WithLabelValues(reason).Inc()
	}
	switch reason {
	case failedNoTLS, failedCertificate, failedOther: // of which we have told the client
		return u.listener.linger(u.Conn)
	}
	return u.Conn.Close()
}

// failedFor returns the reason why a handshake failed by its outcome, or "" if it did not, or ended for we closed the connection.
func failedFor(err error) string {
	var network *net.OpError
	isNetwork := errors.As(err, &network)
	switch {
	case err == nil, errors.Is(err, net.ErrClosed):
		return ""
	case isA[tls.RecordHeaderError](err):
		return failedNoTLS
	case isNetwork && network.Op == "remote error":
		return failedRefused
	case isNetwork && network.Op == "local error":
		return failedOther
	case isA[*tls.CertificateVerificationError](err), isOfCertificate(err.Error()):
		return failedCertificate
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failedTimeout
	case isNetwork, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return failedGone
	}
	return failedOther
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// isOfCertificate reports whether an error of crypto/tls is of a client's certificate: those that say that there is none, or that its key or
// signature is no good, have no type of their own.
func isOfCertificate(text string) bool {
	return strings.Contains(text, "client") && strings.Contains(text, "certificate")
}

// closesWrite is a connection that can say that it sends no more: TCP's, and that of a Unix socket.
type closesWrite interface{ CloseWrite() error }

// linger closes a connection when the client has closed its side, or bounds are reached.
func (l *Listener) linger(c net.Conn) error {
	half, ok := c.(closesWrite)
	if !ok || !l.begin(c) {
		return c.Close()
	}
	_ = half.CloseWrite() // the client sees the end behind the alert
	go func() {
		defer l.work.Done()
		_, _ = io.CopyN(io.Discard, c, lingerBytes)
		_ = c.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.lingering, c)
	}()
	return nil
}

// begin notes that a connection lingers, unless there are too many or the listener is closed.
func (l *Listener) begin(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.lingering) >= lingerCount || c.SetDeadline(time.Now().Add(lingerTime)) != nil {
		return false
	}
	l.lingering[c] = true
	l.work.Add(1)
	return true
}

// past is a deadline that is over.
func past() time.Time { return time.Unix(1, 0) }
