package access

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clewtrace/clew/internal/testkit"
)

// endpoint serves HTTP with a listener's TLS and returns its address.
func endpoint(t *testing.T, s *Secured, c ServerTLS) string {
	t.Helper()
	e, err := s.Listen("query", c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") }),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(e.Listener(l, "h2", "http/1.1")) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return "https://" + l.Addr().String()
}

// ask makes a request on a new connection.
func ask(url string, c *tls.Config) (cn string, err error) {
	tr := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: time.Minute}).Get(url)
	if err != nil {
		return "", err
	}
	_ = resp.Body.Close()
	return resp.TLS.PeerCertificates[0].Subject.CommonName + " " + resp.Proto, nil
}

// told makes a request on a new connection, and returns the error that the connection ends with.
func told(url string, c *tls.Config) error {
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), c)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func newSecured() (*Files, *Secured, *prometheus.Registry) {
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	files := NewFiles(log)
	return files, NewSecured(files, log, reg), reg
}

// TestListener connects with right clients and with wrong ones: of another authority, without a certificate, with one that is no longer
// valid, with an old version of TLS.
func TestListener(t *testing.T) {
	ours, others := testkit.NewAuthority(t, "ours"), testkit.NewAuthority(t, "others")
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	server := ours.Issue("server", later)
	none := []tls.Certificate(nil)
	good, foreign, old := ours.Issue("good", later).TLS, others.Issue("foreign", later).TLS, ours.Issue("old", past).TLS
	_, s, _ := newSecured()
	pair := ServerTLS{CertFile: server.CertFile, KeyFile: server.KeyFile}
	mutual, optional, off, newest := pair, pair, pair, pair
	mutual.ClientCAFile, optional.ClientCAFile, off.ClientCAFile = ours.CAFile, ours.CAFile, ours.CAFile
	optional.ClientAuth, off.ClientAuth, newest.MinVersion = "optional", "none", "1.3"
	urls := map[string]string{}
	for name, c := range map[string]ServerTLS{"plain": pair, "mutual": mutual, "optional": optional, "off": off, "1.3": newest} {
		urls[name] = endpoint(t, s, c)
	}
	for _, c := range []struct {
		listener string
		trust    *testkit.Authority
		certs    []tls.Certificate
		max      uint16
		want     string // of the error; empty: it is let in
	}{
		{"plain", ours, none, 0, ""},
		{"plain", ours, none, tls.VersionTLS12, ""},
		{"plain", ours, none, tls.VersionTLS11, "protocol version"},
		{"plain", others, none, 0, "unknown authority"},
		{"1.3", ours, none, 0, ""},
		{"1.3", ours, none, tls.VersionTLS12, "protocol version"},
		{"mutual", ours, []tls.Certificate{good}, 0, ""},
		{"mutual", ours, []tls.Certificate{good}, tls.VersionTLS12, ""},
		{"mutual", ours, none, 0, "certificate required"},
		{"mutual", ours, none, tls.VersionTLS12, "handshake failure"},
		{"mutual", ours, []tls.Certificate{foreign}, tls.VersionTLS12, "unknown certificate authority"},
		{"mutual", ours, []tls.Certificate{old}, tls.VersionTLS12, "expired certificate"},
		{"mutual", ours, []tls.Certificate{foreign}, 0, "unknown certificate authority"},
		{"mutual", ours, []tls.Certificate{old}, 0, "expired certificate"},
		{"optional", ours, none, 0, ""},
		{"optional", ours, []tls.Certificate{good}, 0, ""},
		{"optional", ours, []tls.Certificate{foreign}, 0, "unknown certificate authority"},
		{"off", ours, []tls.Certificate{foreign}, 0, ""},
	} {
		cfg := &tls.Config{RootCAs: c.trust.Pool(), MaxVersion: c.max, MinVersion: tls.VersionTLS10, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(c.certs) > 0 { // whatever the server says it takes
				return &c.certs[0], nil
			}
			return &tls.Certificate{}, nil
		}}
		got, err := ask(urls[c.listener], cfg)
		if err != nil && c.want != "" { // net/http's client has but what it finds first: the reason, or that the connection is closed for it
			err = told(urls[c.listener], cfg)
		}
		switch {
		case c.want == "" && (err != nil || got != "server HTTP/2.0"):
			t.Errorf("%s, %x: %q, %v", c.listener, c.max, got, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s, %x: let in as %q, %v; want %s", c.listener, c.max, got, err, c.want)
		}
	}
}

// mount puts files into a folder as Kubernetes does: names are links to what a link, ..data, has at the moment.
func mount(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	now, err := os.MkdirTemp(dir, "..version")
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range files {
		raw, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(now, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)) // there, after the first time
	}
	next := filepath.Join(dir, "..next")
	if err := os.Symlink(filepath.Base(now), next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

// TestReload replaces certificates and authorities: new connections see what is new; what is broken changes nothing and is counted.
func TestReload(t *testing.T) {
	ours, next := testkit.NewAuthority(t, "ours"), testkit.NewAuthority(t, "next")
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	first, second, third := ours.Issue("first", until), ours.Issue("second", until.Add(time.Minute)), ours.Issue("third", until)
	dir := t.TempDir()
	mount(t, dir, map[string]string{"tls.crt": first.CertFile, "tls.key": first.KeyFile, "ca.crt": ours.CAFile})
	files, s, reg := newSecured()
	url := endpoint(t, s, ServerTLS{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), ClientCAFile: filepath.Join(dir, "ca.crt")})
	mine, theirs := ours.Issue("mine", until).TLS, next.Issue("theirs", until).TLS
	expect := func(step, server string, client tls.Certificate, failures int) {
		t.Helper()
		files.Look()
		got, err := ask(url, &tls.Config{RootCAs: ours.Pool(), Certificates: []tls.Certificate{client}, ClientSessionCache: tls.NewLRUClientSessionCache(8)})
		if err != nil || got != server+" HTTP/2.0" {
			t.Errorf("%s: %q, %v; want %s", step, got, err, server)
		}
		want := fmt.Sprintf("# HELP clew_tls_reload_failures_total Changed certificate files that were no good, by listener: what they had before stays in use.\n"+
			"# TYPE clew_tls_reload_failures_total counter\nclew_tls_reload_failures_total{listener=\"query\"} %d\n", failures)
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "clew_tls_reload_failures_total"); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	expect("at first", "first", mine, 0)
	mount(t, dir, map[string]string{"tls.crt": second.CertFile, "tls.key": second.KeyFile, "ca.crt": ours.CAFile})
	expect("renewed", "second", mine, 0)
	if v := testutil.ToFloat64(s.expiry.WithLabelValues("query")); v != float64(until.Add(time.Minute).Unix()) {
		t.Errorf("the certificate ends at %v", v)
	}
	mount(t, dir, map[string]string{"tls.crt": third.CertFile, "tls.key": second.KeyFile, "ca.crt": ours.CAFile})
	expect("another's key", "second", mine, 1)
	expect("looked at once more", "second", mine, 1)
	mount(t, dir, map[string]string{"tls.crt": third.KeyFile, "tls.key": third.KeyFile, "ca.crt": ours.CAFile})
	expect("a key for a certificate", "second", mine, 2)
	if err := os.Remove(filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	expect("gone", "second", mine, 3)
	mount(t, dir, map[string]string{"tls.crt": third.CertFile, "tls.key": third.KeyFile, "ca.crt": next.CAFile})
	expect("mended, with other authorities", "third", theirs, 3)
	if got, err := ask(url, &tls.Config{RootCAs: ours.Pool(), Certificates: []tls.Certificate{mine}}); err == nil {
		t.Errorf("a client of the former authority is let in: %s", got)
	}
}

// TestNoTicket holds that a client whose authority is no longer good is not let in by what it was given before.
func TestNoTicket(t *testing.T) {
	ours, next := testkit.NewAuthority(t, "ours"), testkit.NewAuthority(t, "next")
	until := time.Now().Add(time.Hour)
	server := ours.Issue("server", until)
	dir := t.TempDir()
	mount(t, dir, map[string]string{"ca.crt": ours.CAFile})
	files, s, _ := newSecured()
	url := endpoint(t, s, ServerTLS{CertFile: server.CertFile, KeyFile: server.KeyFile, ClientCAFile: filepath.Join(dir, "ca.crt")})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		mount(t, dir, map[string]string{"ca.crt": ours.CAFile})
		files.Look()
		cfg := &tls.Config{
			RootCAs: ours.Pool(), Certificates: []tls.Certificate{ours.Issue("client", until).TLS}, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(8),
		}
		if _, err := ask(url, cfg); err != nil {
			t.Fatal(err)
		}
		mount(t, dir, map[string]string{"ca.crt": next.CAFile})
		files.Look()
		if got, err := ask(url, cfg); err == nil {
			t.Errorf("TLS %x: let in: %s", version, got)
		}
	}
}

// TestListenerMistakes holds that errors begin with the setting's key and say what is right.
func TestListenerMistakes(t *testing.T) {
	a := testkit.NewAuthority(t, "ours")
	one := a.Issue("one", time.Now().Add(time.Hour))
	text := write(t, "text", "no PEM\n")
	broken := write(t, "broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	_, s, _ := newSecured()
	for want, c := range map[string]ServerTLS{
		"cert_file: there is no key_file beside it; want both":      {CertFile: one.CertFile},
		"key_file: there is no cert_file beside it; want both":      {KeyFile: one.KeyFile},
		"client_ca_file: there is no cert_file and no key_file":     {ClientCAFile: a.CAFile},
		"min_version: is \"1.1\"; want 1.2 or 1.3":                  {CertFile: one.CertFile, KeyFile: one.KeyFile, MinVersion: "1.1"},
		"client_auth: is \"maybe\"; want require, optional or none": {CertFile: one.CertFile, KeyFile: one.KeyFile, ClientAuth: "maybe"},
		"cert_file: open /nowhere: no such file":                    {CertFile: "/nowhere", KeyFile: one.KeyFile},
		"client_ca_file: " + text + " has no certificate in PEM":    {CertFile: one.CertFile, KeyFile: one.KeyFile, ClientCAFile: text},
		"client_ca_file: " + broken + ": certificate 1 cannot be":   {CertFile: one.CertFile, KeyFile: one.KeyFile, ClientCAFile: broken},
	} {
		if _, err := s.Listen("query", c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v; want %s", c, err, want)
		}
	}
}
