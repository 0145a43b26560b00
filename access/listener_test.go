package access

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clewtrace/clew/internal/testkit"
)

// site is a server that wants clients' certificates, and says when it has closed a connection.
type site struct {
	address      string
	secured      *Secured
	listener     *Listener
	server       *http.Server
	closed       chan bool
	ours, others *testkit.Authority
	foreign      tls.Certificate // of a client, by others
}

// newSite serves those whose handshake comes to an end within patience.
func newSite(t *testing.T, patience time.Duration) *site {
	t.Helper()
	s := &site{ours: testkit.NewAuthority(t, "ours"), others: testkit.NewAuthority(t, "others"), closed: make(chan bool, 1000)}
	later := time.Now().Add(time.Hour)
	pair := s.ours.Issue("server", later)
	s.foreign = s.others.Issue("foreign", later).TLS
	_, s.secured, _ = newSecured()
	e, err := s.secured.Listen("query", ServerTLS{CertFile: pair.CertFile, KeyFile: pair.KeyFile, ClientCAFile: s.ours.CAFile})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address, s.listener = l.Addr().String(), e.Listener(l, "h2", "http/1.1")
	s.server = &http.Server{
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), ReadHeaderTimeout: patience,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				s.closed <- true
			}
		},
	}
	done := make(chan bool)
	go func() { defer close(done); _ = s.server.Serve(s.listener) }()
	t.Cleanup(func() { _ = s.server.Close(); <-done })
	return s
}

// stranger connects with a certificate that the server does not take, and returns when the server has closed the connection. Over TLS 1.3
// the client knows nothing of that.
func (s *site) stranger(t *testing.T) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: s.ours.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &s.foreign, nil // though the server says whose it takes
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	<-s.closed
	return conn
}

// lingering returns how many connections linger.
func (s *site) lingering() int {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	return len(s.listener.lingering)
}

// TestClientIsTold: a client that is not let in reads why, also if it has begun to send a request by then, as over TLS 1.3 it has: the end of
// its handshake is not the end of the server's.
func TestClientIsTold(t *testing.T) {
	s := newSite(t, time.Minute)
	for range 20 {
		conn := s.stranger(t)
		for range 16 { // it reads nothing before it has sent all
			if _, err := conn.Write(make([]byte, 64<<10)); err != nil {
				t.Fatalf("a request: %v", err)
			}
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "unknown certificate authority") {
			t.Errorf("the answer is %v", err)
		}
	}
}

// TestLingerBounds: who is not let in has no end of neither bytes nor connections, and a server that stops waits for none.
func TestLingerBounds(t *testing.T) {
	s := newSite(t, time.Minute)
	conn := s.stranger(t)
	sent := 0
	for err := error(nil); err == nil; {
		n := 0
		n, err = conn.Write(make([]byte, 64<<10))
		if sent += n; sent > 4*lingerBytes { // the system's buffers take some, too
			t.Fatalf("it takes %d bytes, and more", sent)
		}
	}
	conn = s.stranger(t)
	_ = conn.Close()
	eventually(t, func() bool { return s.lingering() == 0 }) // with the client's side closed there is nothing to wait for
	for range lingerCount + 10 {
		s.stranger(t)
		if n := s.lingering(); n > lingerCount {
			t.Fatalf("%d linger", n)
		}
	}
	if err := s.server.Close(); err != nil {
		t.Error(err)
	}
	if n := s.lingering(); n > 0 {
		t.Errorf("%d linger when the server has stopped", n)
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to pass")
		}
	}
}

// TestHandshakeFailures makes handshakes fail in each way, and counts them.
func TestHandshakeFailures(t *testing.T) {
	s, slow := newSite(t, time.Minute), newSite(t, 10*time.Millisecond)
	trusting := func(oldest, newest uint16) *tls.Config {
		return &tls.Config{RootCAs: s.ours.Pool(), MinVersion: oldest, MaxVersion: newest}
	}
	dial := func(address string, c *tls.Config) error {
		conn, err := tls.Dial("tcp", address, c)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		return err
	}
	raw := func(address, text string) (answer string) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Error(err)
			return ""
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Error(err)
		}
		if text != "" {
			b, _ := io.ReadAll(conn)
			answer = string(b)
		}
		_ = conn.Close()
		return answer
	}
	want := map[string]int{}
	for _, c := range []struct {
		reason string
		fail   func()
	}{
		{failedNoTLS, func() {
			if got := raw(s.address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); !strings.Contains(got, "HTTP request to an HTTPS server") {
				t.Errorf("without TLS: %q", got)
			}
		}},
		{failedNoTLS, func() { raw(s.address, "no TLS at all") }},
		{failedCertificate, func() { _ = dial(s.address, trusting(0, 0)) }},
		{failedCertificate, func() { _ = dial(s.address, trusting(0, tls.VersionTLS12)) }},
		{failedCertificate, func() { s.stranger(t); s.closed <- true }},
		{failedRefused, func() { _ = dial(s.address, &tls.Config{RootCAs: s.others.Pool()}) }},
		{failedRefused, func() { plainly(t, s.address, "\x15\x03\x03\x00\x02\x02\x30") }},
		{failedRefused, func() { plainly(t, s.address, "\x14\x03\x03\x00\x01\x01\x15\x03\x03\x00\x02\x02\x30") }},
		{failedOther, func() { plainly(t, s.address, "\x17\x03\x03\x00\x02\x02\x30") }},
		{failedGone, func() { raw(s.address, "") }},
		{failedOther, func() {
			if err := dial(s.address, trusting(tls.VersionTLS10, tls.VersionTLS11)); err == nil || !strings.Contains(err.Error(), "protocol version") {
				t.Error(err)
			}
		}},
		{failedTimeout, func() { raw(slow.address, "\x16\x03\x01"); <-slow.closed; s.closed <- true }},
	} {
		c.fail()
		<-s.closed
		want[c.reason]++
		for _, reason := range failedReasons {
			counter := s.secured.handshakes.WithLabelValues("query", reason)
			if reason == failedTimeout {
				counter = slow.secured.handshakes.WithLabelValues("query", reason)
			}
			if got := testutil.ToFloat64(counter); got != float64(want[reason]) {
				t.Errorf("%s: %v %s; want %d", c.reason, got, reason, want[reason])
			}
		}
	}
}

// TestCloseWithin: connections that a server closes while their handshakes go on, and those whose handshakes have been successful, are not
// counted as failures, and are closed at once.
func TestCloseWithin(t *testing.T) {
	s := newSite(t, time.Minute)
	mine := s.ours.Issue("mine", time.Now().Add(time.Hour)).TLS
	in, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: s.ours.Pool(), Certificates: []tls.Certificate{mine}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 9)
	if _, err := io.ReadFull(in, b); err != nil || string(b) != "HTTP/1.1 " {
		t.Errorf("it answers %q, %v", b, err)
	}
	within, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(within, "\x16\x03\x01\x01"); err != nil {
		t.Fatal(err)
	}
	_ = s.server.Close()
	for _, c := range []net.Conn{in, within} {
		_, _ = io.Copy(io.Discard, c) // until it is closed
		_ = c.Close()
	}
	for _, reason := range failedReasons {
		if got := testutil.ToFloat64(s.secured.handshakes.WithLabelValues("query", reason)); got != 0 {
			t.Errorf("%v %s", got, reason)
		}
	}
}

// plainly connects, and answers the server's part of the handshake with records as they are, as OpenSSL does if it does not trust it.
func plainly(t *testing.T, address, records string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = tls.Client(&plain{Conn: conn, records: records}, &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool(), ServerName: "localhost"}).Handshake()
	_ = conn.Close()
}

// plain is a connection whose first write is a client's hello; the next is replaced, and those behind it are lost.
type plain struct {
	net.Conn
	records string
	writes  int
}

func (p *plain) Write(b []byte) (int, error) {
	switch p.writes++; p.writes {
	case 1:
		return p.Conn.Write(b)
	case 2:
		return io.WriteString(p.Conn, p.records)
	}
	return len(b), nil
}
