package forward

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// secured serves TLS with a certificate of an authority, and gives connections to serve, which closes them. It returns its URL.
func secured(t *testing.T, ours *testkit.Authority, serve func(tcp *net.TCPConn, conn *tls.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{
		Certificates: []tls.Certificate{ours.Issue("server", time.Now().Add(time.Hour)).TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.Pool(),
		NextProtos: []string{"h2", "http/1.1"},
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { serve(c.(*net.TCPConn), tls.Server(c, cfg)) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); work.Wait() })
	return "https://" + l.Addr().String()
}

// sendOnce makes one attempt on a new connection, with a client's certificate.
func sendOnce(t *testing.T, url, protocol string, ours *testkit.Authority, mine *tls.Certificate) answer {
	t.Helper()
	c := quick(url)
	c.Protocol, c.TLS = protocol, &tls.Config{RootCAs: ours.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return mine, nil }}
	cl, err := newClient(&c)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.close()
	return cl.send(t.Context(), &request{body: make([]byte, 8000), spans: 1})
}

// TestRefusedCertificate: what a server says of our certificate is in the answer, whether net/http meets it first, or that the connection is
// closed for it. Over TLS 1.3 that is behind our end of the handshake.
func TestRefusedCertificate(t *testing.T) {
	ours, others := testkit.NewAuthority(t, "ours"), testkit.NewAuthority(t, "others")
	foreign := others.Issue("foreign", time.Now().Add(time.Hour)).TLS
	url := secured(t, ours, func(tcp *net.TCPConn, conn *tls.Conn) {
		if conn.Handshake() == nil {
			t.Error("it takes the certificate")
		}
		_ = tcp.CloseWrite()
		_, _ = io.Copy(io.Discard, tcp) // so that there is no reset
		_ = tcp.Close()
	})
	for _, protocol := range []string{OTLPGRPC, OTLPHTTP} {
		for range 200 {
			if a := sendOnce(t, url, protocol, ours, &foreign); a.fate != again || a.code != "connection" || !strings.Contains(a.text, "unknown certificate authority") {
				t.Fatalf("%s: %+v", protocol, a)
			}
		}
	}
}

// TestResetBehindHandshake: if a server does not say why it cuts a connection off behind the handshake, the answer says what that may mean.
func TestResetBehindHandshake(t *testing.T) {
	ours := testkit.NewAuthority(t, "ours")
	mine := ours.Issue("mine", time.Now().Add(time.Hour)).TLS
	url := secured(t, ours, func(tcp *net.TCPConn, conn *tls.Conn) {
		if err := conn.Handshake(); err != nil {
			t.Error(err)
		}
		_ = tcp.SetLinger(0) // a reset
		_ = tcp.Close()
	})
	for _, protocol := range []string{OTLPGRPC, OTLPHTTP} {
		if a := sendOnce(t, url, protocol, ours, &mine); a.code != "connection" || !strings.Contains(a.text, "the server may want another certificate") {
			t.Errorf("%s: %+v", protocol, a)
		}
	}
}

// TestTLSProtocols: requests over TLS speak HTTP/2, and HTTP/1.1 where the server has no other and the protocol is not gRPC.
func TestTLSProtocols(t *testing.T) {
	for _, c := range []struct {
		protocol string
		http2    bool
		want     string // what is spoken; empty: nothing is
	}{{OTLPGRPC, true, "HTTP/2.0"}, {OTLPHTTP, true, "HTTP/2.0"}, {OTLPHTTP, false, "HTTP/1.1"}, {OTLPGRPC, false, ""}} {
		got := make(chan string, 1)
		there := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Proto }))
		there.EnableHTTP2 = c.http2
		there.StartTLS()
		cfg := quick(there.URL)
		cfg.Protocol, cfg.TLS = c.protocol, there.Client().Transport.(*http.Transport).TLSClientConfig
		cl, err := newClient(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		a := cl.send(t.Context(), &request{spans: 1})
		close(got)
		if proto := <-got; proto != c.want {
			t.Errorf("%s, HTTP/2 %v: it spoke %q, and was answered %+v; want %q", c.protocol, c.http2, proto, a, c.want)
		}
		cl.close()
		there.Close()
	}
}
