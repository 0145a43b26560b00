package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	// closeWait is how long after a request a connection may be found closed that is the reason for it: net/http closes it side by side.
	closeWait = 100 * time.Millisecond
)

// dialled is a connection under TLS that was made for an attempt. Over TLS 1.3 a server judges a client's certificate when the client's end of the
// handshake is over. Its alert may be read while net/http writes a request: then the error is, by chance, the alert, or that the connection
// is closed, for the alert. So we keep the connection, which remembers.
type dialled struct {
	net.Conn
	tls    *tls.Conn // above it
	once   sync.Once
	closed chan struct{}
}

// Close closes the connection. From then on the one above yields what it ended with.
func (d *dialled) Close() error {
	err := d.Conn.Close()
	d.once.Do(func() { close(d.closed) })
	return err
}

// attempt has the connection that was made for it; without TLS, through a proxy, or over a connection that was there, none.
type attempt struct{ conn atomic.Pointer[dialled] }

type attemptKey struct{}

// tlsDialer returns what connects to a destination over TLS, and notes for which attempt.
func tlsDialer(d *net.Dialer, u *url.URL, c *Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLS != nil {
		cfg = c.TLS.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = u.Hostname()
	}
	if cfg.NextProtos = []string{"h2"}; !isGRPC(c.Protocol) {
		cfg.NextProtos = append(cfg.NextProtos, "http/1.1")
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		out := &dialled{Conn: conn, closed: make(chan struct{})}
		out.tls = tls.Client(out, cfg)
		within, cancel := context.WithTimeout(ctx, d.Timeout)
		defer cancel()
		if err := out.tls.HandshakeContext(within); err != nil {
			_ = conn.Close()
			return nil, err
		}
		if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
			a.conn.Store(out)
		}
		return out.tls, nil
	}
}

// explain returns an attempt's error with what its connection ended with, if that says more, or may be the reason.
func (a *attempt) explain(ctx context.Context, err error) error {
	d := a.conn.Load()
	if d == nil || isAlert(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	wait := time.NewTimer(closeWait)
	defer wait.Stop()
	select {
	case <-d.closed:
	case <-wait.C: // it is in use
		return err
	case <-ctx.Done():
		return err
	}
	if _, end := d.tls.Read(make([]byte, 1)); isAlert(end) {
		return fmt.Errorf("%w: %w", err, end)
	}
	if d.tls.ConnectionState().Version < tls.VersionTLS13 { // there the certificate has been judged
		return err
	}
	return fmt.Errorf("%w; the connection ended behind the TLS handshake: the server may want another certificate of us, or one at all, as its log may say", err)
}

// isAlert reports whether an error is what the other side says by TLS.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}
