package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ServerTLS is how a listener shows who it is, and makes sure of who connects.
type ServerTLS struct {
	CertFile     string // PEM: its certificate, with those between it and the authority
	KeyFile      string // PEM: its key
	ClientCAFile string // PEM: who may have signed a client's certificate; empty: clients need none
	ClientAuth   string // with ClientCAFile: require, optional (who shows one must show a good one) or none
	MinVersion   string // 1.2 or 1.3; empty is 1.2
}

// Given reports whether connections are encrypted.
func (s *ServerTLS) Given() bool { return s.CertFile != "" || s.KeyFile != "" }

// ClientAuths is what ServerTLS.ClientAuth may be.
var ClientAuths = []string{"require", "optional", "none"}

// Versions is what ServerTLS.MinVersion may be.
var Versions = []string{"1.2", "1.3"}

// Validate says what is wrong. An error begins with the field, as a setting's key.
func (s *ServerTLS) Validate() error {
	switch {
	case s.ClientCAFile != "" && !s.Given():
		return errors.New("client_ca_file: there is no cert_file and no key_file, without which there is no TLS")
	case s.ClientAuth != "" && !slices.Contains(ClientAuths, s.ClientAuth):
		return fmt.Errorf("client_auth: is %q; want require, optional or none", s.ClientAuth)
	case s.MinVersion != "" && !slices.Contains(Versions, s.MinVersion):
		return fmt.Errorf("min_version: is %q; want 1.2 or 1.3", s.MinVersion)
	}
	return bothOrNone(s.CertFile, s.KeyFile)
}

// expirySoon is how long before its end a certificate is warned of, when it is read.
const expirySoon = 7 * 24 * time.Hour

// Secured is the TLS of listeners, from files that are read again when they change.
type Secured struct {
	files      *Files
	log        *slog.Logger
	failures   *prometheus.CounterVec // of reading files
	handshakes *prometheus.CounterVec // that failed
	expiry     *prometheus.GaugeVec
}

// NewSecured returns the TLS of listeners, whose metrics are registered.
func NewSecured(files *Files, log *slog.Logger, reg prometheus.Registerer) *Secured {
	s := &Secured{
		files: files, log: log,
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clew_tls_reload_failures_total", Help: "Changed certificate files that were no good, by listener: what they had before stays in use.",
		}, []string{"listener"}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clew_tls_handshake_failures_total", Help: "Connections whose TLS handshake failed, by listener and reason.",
		}, []string{"listener", "reason"}),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "clew_tls_certificate_expiry_seconds", Help: "When a listener's certificate ends, Unix time.",
		}, []string{"listener"}),
	}
	reg.MustRegister(s.failures, s.handshakes, s.expiry)
	return s
}

// Endpoint is the TLS of one listener.
type Endpoint struct {
	now      atomic.Pointer[tls.Config]
	failures *prometheus.CounterVec // of handshakes, by reason
}

// Listen reads a listener's files. An error begins with the field that is wrong, as a setting's key.
func (s *Secured) Listen(listener string, t ServerTLS) (*Endpoint, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	e := &Endpoint{failures: s.handshakes.MustCurryWith(prometheus.Labels{"listener": listener})}
	for _, reason := range failedReasons {
		e.failures.WithLabelValues(reason)
	}
	set := &fileSet{paths: []string{t.CertFile, t.KeyFile}, failures: s.failures.WithLabelValues(listener), what: []any{"listener", listener, "cert_file", t.CertFile}}
	if t.ClientCAFile != "" {
		set.paths = append(set.paths, t.ClientCAFile)
	}
	set.use = func(contents [][]byte) error {
		cfg, err := t.config(contents)
		if err == nil {
			s.watchExpiry(listener, cfg.Certificates[0].Leaf)
			e.now.Store(cfg)
		}
		return err
	}
	if _, err := readPair(t.CertFile, t.KeyFile); err != nil { // it names the key
		return nil, err
	}
	if err := s.files.add(set); err != nil {
		return nil, fmt.Errorf("client_ca_file: %w", err)
	}
	return e, nil
}

func (s *Secured) watchExpiry(listener string, leaf *x509.Certificate) {
	s.expiry.WithLabelValues(listener).Set(float64(leaf.NotAfter.Unix()))
	switch left := time.Until(leaf.NotAfter); {
	case left <= 0:
		s.log.Warn("a certificate is no longer valid: clients will not connect", "listener", listener, "ended", leaf.NotAfter)
	case left < expirySoon && leaf.NotAfter.Sub(leaf.NotBefore) > 4*expirySoon: // short-lived ones are renewed late
		s.log.Warn("a certificate ends soon", "listener", listener, "ends", leaf.NotAfter)
	}
}

// config makes a configuration of what is in the files: certificate, key and, if there are any, authorities.
func (s *ServerTLS) config(contents [][]byte) (*tls.Config, error) {
	cert, err := parsePair(s.CertFile, s.KeyFile, contents[0], contents[1])
	if err != nil {
		return nil, err
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*cert}}
	if s.MinVersion == "1.3" {
		out.MinVersion = tls.VersionTLS13
	}
	if s.ClientCAFile == "" {
		return out, nil
	}
	if out.ClientCAs, err = parseAuthorities(s.ClientCAFile, contents[2]); err != nil {
		return nil, err
	}
	switch s.ClientAuth {
	case "none":
	case "optional":
		out.ClientAuth = tls.VerifyClientCertIfGiven
	default:
		out.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return out, nil
}

// config returns the configuration of the listener's connections, which speak one of the protocols (of ALPN) if any are given. Each new
// connection takes what the files have then.
func (e *Endpoint) config(protocols []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, // of what comes next it is overruled
		NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := e.now.Load().Clone()
			now.NextProtos = protocols
			// A ticket would let a client in again whose certificate or authority is no longer good.
			now.SessionTicketsDisabled = now.ClientCAs != nil
			return now, nil
		},
	}
}
