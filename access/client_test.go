package access

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestClient connects to a server that wants a certificate, with a right and with wrong configurations, and after the client's
// certificate was renewed in its files.
func TestClient(t *testing.T) {
	ours, others := testkit.NewAuthority(t, "ours"), testkit.NewAuthority(t, "others")
	later := time.Now().Add(time.Hour)
	server, client := ours.Issue("server", later), ours.Issue("client", later)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName+" "+r.Header.Get("Authorization"))
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{server.TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.Pool()}
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()
	ask := func(c ClientTLS, l Login) (string, error) {
		cfg, err := c.Config()
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
		resp, err := (&http.Client{Transport: l.Transport(transport)}).Get(s.URL)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		raw, err := io.ReadAll(resp.Body)
		return string(raw), err
	}
	right := ClientTLS{CAFile: ours.CAFile, CertFile: client.CertFile, KeyFile: client.KeyFile}
	token := Login{TokenFile: write(t, "token", "abc\n")}
	if got, err := ask(right, token); err != nil || got != "client Bearer abc" {
		t.Errorf("the right client is answered %q, %v", got, err)
	}
	if got, err := ask(right, Login{PasswordFile: write(t, "password", "me:x y")}); err != nil || got != "client Basic bWU6eCB5" {
		t.Errorf("with a password: %q, %v", got, err)
	}
	for name, c := range map[string]ClientTLS{
		"certificate signed by unknown authority": {CAFile: others.CAFile, CertFile: client.CertFile, KeyFile: client.KeyFile},
		"not clew.example":                        {CAFile: ours.CAFile, CertFile: client.CertFile, KeyFile: client.KeyFile, ServerName: "clew.example"},
		"certificate required":                    {CAFile: ours.CAFile},
	} {
		if got, err := ask(c, token); err == nil || !strings.Contains(err.Error(), name) && name != "certificate required" { // which over TLS 1.3 may be a broken pipe, too
			t.Errorf("want %s; got %q, %v", name, got, err)
		}
	}
	if _, err := ask(ClientTLS{Insecure: true, CertFile: client.CertFile, KeyFile: client.KeyFile}, token); err != nil {
		t.Errorf("insecure: %v", err)
	}
	cfg, err := right.Config()
	if err != nil {
		t.Fatal(err)
	}
	renewed := ours.Issue("renewed", later)
	for from, to := range map[string]string{renewed.CertFile: client.CertFile, renewed.KeyFile: client.KeyFile} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if raw, err := io.ReadAll(resp.Body); err != nil || string(raw) != "renewed " {
		t.Errorf("after a renewal: %q, %v", raw, err)
	}
}

// TestClientMistakes holds that errors name the setting, what is wrong, and nothing of what is secret.
func TestClientMistakes(t *testing.T) {
	a := testkit.NewAuthority(t, "ours")
	one, two := a.Issue("one", time.Now().Add(time.Hour)), a.Issue("two", time.Now().Add(time.Hour))
	text := write(t, "text", "no PEM\nat all\n")
	for want, c := range map[string]ClientTLS{
		"ca_file: open /nowhere/ca.pem: no such file":           {CAFile: "/nowhere/ca.pem"},
		"ca_file: " + text + " has no certificate in PEM":       {CAFile: text},
		"cert_file: there is no key_file beside it":             {CertFile: one.CertFile},
		"key_file: there is no cert_file beside it":             {KeyFile: one.KeyFile},
		"cert_file: " + text + " has no certificate in PEM":     {CertFile: text, KeyFile: one.KeyFile},
		"do not go together: private key does not match public": {CertFile: one.CertFile, KeyFile: two.KeyFile},
	} {
		if _, err := c.Config(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %s", c, err, want)
		}
	}
	for want, l := range map[string]Login{
		"token_file: open /nowhere":                   {TokenFile: "/nowhere"},
		"token_file: " + text + ": want one line":     {TokenFile: text},
		"password_file: ":                             {PasswordFile: write(t, "password", "alone")},
		"token_file: there is a password_file, too; ": {TokenFile: text, PasswordFile: text},
	} {
		if _, err := l.Authorization(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "alone") {
			t.Errorf("%+v: %v; want %s", l, err, want)
		}
	}
}

// TestRedirected holds that a credential is not told to whom a server redirects.
func TestRedirected(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	}))
	defer other.Close()
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	l := Login{TokenFile: write(t, "token", "abc")}
	resp, err := (&http.Client{Transport: l.Transport(http.DefaultTransport)}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if raw, _ := io.ReadAll(resp.Body); len(raw) > 0 {
		t.Errorf("the other server was told %q", raw)
	}
}
