package access

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
)

// ClientTLS is how a client makes sure of whom it talks to, and shows who it is. The zero value trusts what the system trusts.
type ClientTLS struct {
	CAFile     string // PEM: who may have signed the server's certificate; empty: the system's authorities
	CertFile   string // PEM: the client's own certificate, with those between it and the authority
	KeyFile    string // PEM: its key
	ServerName string // which name the server's certificate must have; empty: that of the address
	Insecure   bool   // take any certificate: whoever is on the way can read and change what is sent
}

// Given reports whether anything is set.
func (c *ClientTLS) Given() bool { return *c != ClientTLS{} }

// Config returns the configuration of connections: TLS 1.2 or newer. The client's certificate is read again for each connection, so that
// one that is renewed needs no restart; the authorities are read once. An error begins with the field that is wrong, as a setting's key:
// ca_file, cert_file or key_file.
func (c *ClientTLS) Config() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName, InsecureSkipVerify: c.Insecure} // which its user asked for
	if c.CAFile != "" {
		pool, err := readAuthorities(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		out.RootCAs = pool
	}
	if c.CertFile == "" && c.KeyFile == "" {
		return out, nil
	}
	pair := &clientPair{certFile: c.CertFile, keyFile: c.KeyFile}
	if err := pair.read(); err != nil {
		return nil, err
	}
	out.GetClientCertificate = pair.get
	return out, nil
}

// clientPair is a client's certificate and key.
type clientPair struct {
	certFile, keyFile string

	mu   sync.Mutex
	last *tls.Certificate
}

func (p *clientPair) read() error {
	cert, err := readPair(p.certFile, p.keyFile)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = cert
	return nil
}

// get returns what the files have now, or, while they are being written, what they had before.
func (p *clientPair) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	_ = p.read() // the connection shows if what there was before is no longer good
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, nil
}

// Login is a client's credential: the path of a file that has it. Files are read for each request, so that a new one needs no restart.
type Login struct {
	TokenFile    string // one line: a bearer token
	PasswordFile string // one line: user:password
}

// Given reports whether there is a credential.
func (l *Login) Given() bool { return *l != Login{} }

// Authorization returns the value of the header of that name, "" without a credential. An error begins with the field that is wrong, as a
// setting's key: token_file or password_file.
func (l *Login) Authorization() (string, error) {
	switch {
	case l.TokenFile != "" && l.PasswordFile != "":
		return "", fmt.Errorf("token_file: there is a password_file, too; want one of them")
	case l.TokenFile != "":
		token, err := readLine(l.TokenFile)
		if err != nil {
			return "", fmt.Errorf("token_file: %w", err)
		}
		return "Bearer " + token, nil
	case l.PasswordFile != "":
		pair, err := readLine(l.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("password_file: %w", err)
		}
		if user, _, ok := strings.Cut(pair, ":"); !ok || user == "" {
			return "", fmt.Errorf("password_file: %s has no user:password", l.PasswordFile)
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)), nil
	}
	return "", nil
}

// readLine returns the one line of a file, of which errors say nothing.
func readLine(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(raw))
	if line == "" || strings.ContainsAny(line, "\r\n\x00") {
		return "", fmt.Errorf("%s: want one line", path)
	}
	return line, nil
}

// Transport returns a transport that adds the credential to each request, but not where one is redirected to; or next itself if there is none.
func (l *Login) Transport(next http.RoundTripper) http.RoundTripper {
	if !l.Given() {
		return next
	}
	return &authorized{l, next}
}

type authorized struct {
	login *Login
	next  http.RoundTripper
}

// RoundTrip sends a request with the credential.
func (a *authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Response != nil { // a redirect, maybe to somebody else
		return a.next.RoundTrip(req)
	}
	value, err := a.login.Authorization()
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as a RoundTripper must
		}
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", value)
	return a.next.RoundTrip(req)
}

// GetRequestMetadata makes a Login credentials of gRPC's calls (credentials.PerRPCCredentials).
func (l *Login) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	value, err := l.Authorization()
	if value == "" {
		return nil, err
	}
	return map[string]string{"authorization": value}, nil
}

// RequireTransportSecurity says that a credential may go over a connection without TLS: on loopback, or within a mesh, it may have to.
func (l *Login) RequireTransportSecurity() bool { return false }
