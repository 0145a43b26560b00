// Package secure_test connects real clients to listeners with TLS and credentials: right ones, which get in, and wrong ones, which do not.
package secure_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// The credentials of a server.
const (
	ingestToken = "the-token-of-the-collector"
	queryToken  = "the-token-of-the-dashboard"
	password    = "correct horse"
)

// site is a server with TLS, credentials and the tenant payments beside the default, and who its clients are.
type site struct {
	*testkit.Server
	ours, others            *testkit.Authority
	dir                     string       // of its files
	client, foreign, former testkit.Pair // a certificate of ours, one of another authority, one that is no longer valid
}

// start starts a server. OTLP/gRPC requires certificates of clients, all others take them; TLS 1.3 is the least of Zipkin's port.
func start(t *testing.T, flags ...string) *site {
	t.Helper()
	until := time.Now().Add(time.Hour)
	s := &site{ours: testkit.NewAuthority(t, "ours"), others: testkit.NewAuthority(t, "others"), dir: t.TempDir()}
	s.client, s.former = s.ours.Issue("client", until), s.ours.Issue("former", time.Now().Add(-time.Minute))
	s.foreign = s.others.Issue("foreign", until)
	s.install(t, s.ours.Issue("server", until))
	line := testkit.Run(t, nil, "credential", "token", "spare")
	s.write(t, "tokens", "collector "+ingestToken+"\ndashboard "+queryToken+"\n"+line.Stdout)
	s.write(t, "passwords", "alice:"+passwordHash+"\n")
	s.write(t, "grants", "collector ingest payments\ndashboard query payments\nalice ingest,query,admin *\ncert:client ingest default,payments\n")
	s.Server = testkit.Start(t, append([]string{
		"--tls.cert_file", s.path("tls.crt"), "--tls.key_file", s.path("tls.key"), "--tls.client_ca_file", s.ours.CAFile, "--tls.client_auth", "optional",
		"--tls.listeners", `{otlp_grpc: {client_auth: require}, zipkin: {min_version: "1.3"}}`, "--tls.reload_interval", "20ms",
		"--auth.token_file", s.path("tokens"), "--auth.password_file", s.path("passwords"), "--auth.grants_file", s.path("grants"),
		"--tenants.list", "payments", "--store.retention", "0",
	}, flags...)...)
	return s
}

// passwordHash is a hash of the password, of the lowest cost.
const passwordHash = "$2a$04$Q94DqLT6ckQZfIJyeLC.GuUYgsDNMXCVzq4D.X0.6rS2yJkb1yxye"

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// write replaces a file at once.
func (s *site) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(s.path(name+".new"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path(name+".new"), s.path(name)); err != nil {
		t.Fatal(err)
	}
}

// install replaces the server's certificate and key, one after the other.
func (s *site) install(t testing.TB, p testkit.Pair) {
	t.Helper()
	for name, from := range map[string]string{"tls.crt": p.CertFile, "tls.key": p.KeyFile} {
		raw, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, name, string(raw))
	}
}

// https returns the URL of a listener.
func (s *site) https(listener string) string { return "https://" + s.Address(listener) }

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
