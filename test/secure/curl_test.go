package secure_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// get asks the query port, as who trusts the server.
func (s *site) get(t testing.TB, path, authorization, tenant string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.https("query")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("X-Scope-OrgID", tenant)
	tr := &http.Transport{TLSClientConfig: s.pool(s.ours.CAFile)}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// TestCurl asks every listener of HTTP, as operators and probes do.
func TestCurl(t *testing.T) {
	t.Parallel()
	curl := testkit.Tool(t, "curl", "curl")
	s := start(t)
	ca := []string{"--cacert", s.ours.CAFile}
	alice := append([]string{"-u", "alice:" + password}, ca...)
	collector := append([]string{"-H", "Authorization: Bearer " + ingestToken}, ca...)
	cert := append([]string{"--cert", s.client.CertFile, "--key", s.client.KeyFile}, ca...)
	post := []string{"-H", "Content-Type: application/json", "-d", "{}"}
	for _, c := range []struct {
		name, url string
		args      []string
		want      string // of what it prints
	}{
		{"liveness", s.https("admin") + "/healthz", ca, "HTTP/2 200"},
		{"readiness", s.https("admin") + "/readyz", ca, "HTTP/2 200"},
		{"zipkin's health", s.https("zipkin") + "/health", ca, "HTTP/2 200"},
		{"HTTP/1.1", s.https("admin") + "/healthz", append([]string{"--http1.1"}, ca...), "HTTP/1.1 200"},
		{"metrics", s.https("admin") + "/metrics", alice, "clew_tls_certificate_expiry_seconds"},
		{"metrics without a credential", s.https("admin") + "/metrics", ca, "HTTP/2 401"},
		{"metrics for who only sends", s.https("admin") + "/metrics", collector, "may not query or admin"},
		{"deleting", s.https("admin") + "/api/v1/delete?all=true&dryRun=true", append([]string{"-X", "POST"}, alice...), `"matched":`},
		{"deleting without a credential", s.https("admin") + "/api/v1/delete?all=true", append([]string{"-X", "POST"}, ca...), "HTTP/2 401"},
		{"deleting, who only sends", s.https("admin") + "/api/v1/delete?all=true", append([]string{"-X", "POST"}, collector...), "may not admin"},
		{"query", s.https("query") + "/api/services", alice, "HTTP/2 200"},
		{"query without a credential", s.https("query") + "/api/services", ca, `www-authenticate: Basic realm="Clew"`},
		{"zipkin's read API for who only sends", s.https("zipkin") + "/api/v2/services", collector, "may not query"},
		{"Tempo's API for who may ask", s.https("tempo") + "/api/echo", append([]string{"-H", "Authorization: Bearer " + queryToken}, ca...), "x-clew-tenant: payments"},
		{"Tempo's API for who only sends", s.https("tempo") + "/api/echo", collector, "may not query"},
		{"Tempo's API for another's tenant", s.https("tempo") + "/api/search", append([]string{"-H", "Authorization: Bearer " + queryToken, "-H", "X-Scope-OrgID: default"}, ca...), "is not for tenant"},
		{"Tempo's API for a tenant that there is not", s.https("tempo") + "/api/search", append([]string{"-H", "X-Scope-OrgID: nobody"}, alice...), "there is no tenant"},
		{"Tempo's readiness", s.https("tempo") + "/ready", ca, "HTTP/2 200"},
		{"OTLP/JSON", s.https("otlp_http") + "/v1/traces", append(post, collector...), "x-clew-tenant: payments"},
		{"OTLP/JSON without a credential", s.https("otlp_http") + "/v1/traces", append(post, ca...), `{"code":16,"message":"a credential is needed"}`},
		{"OTLP/JSON with a certificate", s.https("otlp_http") + "/v1/traces", append(post, cert...), "x-clew-tenant: default"},
		{"gRPC's port without a certificate", s.https("otlp_grpc") + "/", append([]string{"--tls-max", "1.2"}, ca...), "alert"},
		{"a preflight", s.https("otlp_http") + "/v1/traces", append([]string{"-X", "OPTIONS", "-H", "Origin: http://localhost:3000", "-H", "Access-Control-Request-Method: POST", "-H", "Access-Control-Request-Headers: authorization"}, ca...), "access-control-allow-headers: authorization"},
		{"sampling without a credential", s.https("sampling_http") + "/sampling?service=x", ca, "HTTP/2 401"},
		{"sampling", s.https("sampling_http") + "/sampling?service=x", collector, "HTTP/2 200"},
		{"an old TLS", s.https("query") + "/api/services", append([]string{"--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"}, alice...), "protocol version"},
		{"TLS 1.2", s.https("query") + "/api/services", append([]string{"--tls-max", "1.2"}, alice...), "HTTP/2 200"},
		{"TLS 1.2 where 1.3 is the least", s.https("zipkin") + "/health", append([]string{"--tls-max", "1.2"}, ca...), "protocol version"},
		{"another authority", s.https("query") + "/", []string{"--cacert", s.others.CAFile}, "SSL certificate problem"},
		{"no TLS", strings.Replace(s.https("query"), "https", "http", 1) + "/", nil, "HTTP request to an HTTPS server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, _ := exec.Command(curl, append([]string{"-sS", "-i", "--max-time", "60", "-H", "Expect:", c.url}, c.args...)...).CombinedOutput() // the status is in what it says
			if !strings.Contains(string(out), c.want) {
				t.Errorf("curl %v %s: %s\nwant %s", c.args, c.url, out, c.want)
			}
		})
	}
}

// TestCommands uses Clew's own commands against a server with TLS and credentials.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.write(t, "token", ingestToken+"\n")
	s.write(t, "password", "alice:"+password+"\n")
	s.write(t, "wrong", "not-the-token\n")
	trust := []string{"--ca-file", s.ours.CAFile}
	alice := append([]string{"--password-file", s.path("password")}, trust...)
	load := append([]string{"load", "--rate", "0", "--spans", "500", "--patience", "1s"}, trust...)
	kept := filepath.Join(t.TempDir(), "kept")
	join := func(parts ...[]string) []string { return slices.Concat(parts...) }
	backup, del := []string{"backup", "--admin", s.https("admin")}, []string{"delete", "--tenant", "payments", "--all", "--admin", s.https("admin")}
	http := join(load, []string{"--endpoint", s.https("otlp_http"), "--protocol", "otlp/http"})
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{join(http, []string{"--token-file", s.path("token")}), 0, "refused   0"},
		{join(load, []string{"--endpoint", s.https("otlp_grpc"), "--cert-file", s.client.CertFile, "--key-file", s.client.KeyFile, "--tenant", "payments"}), 0, "refused   0"},
		{join(http, []string{"--token-file", s.path("wrong")}), 1, "not known, or not right"},
		{http, 1, "a credential is needed"},
		{join(http, []string{"--key-file", s.client.KeyFile}), 2, "--key-file: there is no cert_file beside it"},
		{join(backup, alice, []string{"--tenant", "payments", kept}), 0, "backup "},
		{join(backup, trust, []string{kept}), 1, "401 Unauthorized: a credential is needed"},
		{join(backup, []string{kept}), 1, "certificate signed by unknown authority"},
		{join(del, alice), 0, "deleted "},
		{join(del, trust, []string{"--token-file", s.path("token")}), 1, "may not admin"},
		{join(del, []string{"--password-file", s.path("password"), "--insecure-skip-verify"}), 0, "not verified"},
	} {
		r := testkit.Run(t, nil, c.args...)
		if r.Status != c.status || !strings.Contains(r.Stdout+r.Stderr, c.want) {
			t.Errorf("clew %v: status %d, %s%s; want %d, %s", c.args, r.Status, r.Stdout, r.Stderr, c.status, c.want)
		}
		if strings.Contains(r.Stdout+r.Stderr, password) || strings.Contains(r.Stdout+r.Stderr, ingestToken) {
			t.Errorf("clew %v tells a secret: %s%s", c.args, r.Stdout, r.Stderr)
		}
	}
}

// TestRenewal replaces the server's certificate again and again while clients connect and ask: none fails, and what comes last is what they see.
func TestRenewal(t *testing.T) {
	t.Parallel()
	s := start(t)
	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			tr := &http.Transport{TLSClientConfig: s.pool(s.ours.CAFile), DisableKeepAlives: true}
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := (&http.Client{Transport: tr}).Get(s.https("admin") + "/healthz")
				asked.Add(1)
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("%v, %v", resp, err)
					failed.Add(1)
					return
				}
				_ = resp.Body.Close()
			}
		})
	}
	last := testkit.Pair{}
	for range 20 {
		last = s.ours.Issue("renewed", time.Now().Add(time.Hour))
		s.install(t, last) // the certificate is there before its key is, or behind it
		for n := asked.Load(); asked.Load() < n+3 && failed.Load() == 0; {
			time.Sleep(time.Millisecond)
		}
	}
	s.awaitSerial(t, last)
	close(stop)
	clients.Wait()
	s.write(t, "tls.key", "broken")
	for len(s.Logged("files have changed and are no good", "listen")) == 0 && len(s.Logged("files have changed and are no good", `"query"`)) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	s.awaitSerial(t, last) // what there was stays in use
	for _, line := range s.Log() {
		if strings.Contains(line, "broken") || strings.Contains(line, "PRIVATE KEY") {
			t.Errorf("the log has what is in a key's file: %s", line)
		}
	}
}

// awaitSerial waits until new connections are shown a certificate.
func (s *site) awaitSerial(t *testing.T, p testkit.Pair) {
	t.Helper()
	for {
		conn, err := tls.Dial("tcp", s.Address("admin"), s.pool(s.ours.CAFile))
		if err != nil {
			t.Fatal(err)
		}
		serial := conn.ConnectionState().PeerCertificates[0].SerialNumber
		_ = conn.Close()
		if serial.Cmp(p.TLS.Leaf.SerialNumber) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestScribe holds that what has no place for credentials has TLS all the same: a connection without it gets no answer, one with it does.
func TestScribe(t *testing.T) {
	t.Parallel()
	s := start(t, "--tls.listeners", `{scribe: {client_auth: require}}`)
	call := []byte("\x00\x00\x00\x18\x80\x01\x00\x01\x00\x00\x00\x03Log\x00\x00\x00\x01\x0f\x00\x01\x0c\x00\x00\x00\x00\x00") // Log of no entries
	ask := func(conn net.Conn, err error) (string, error) {
		if err != nil {
			return "", err
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := conn.Write(call); err != nil {
			return "", err
		}
		answer := make([]byte, 15)
		_, err = io.ReadFull(conn, answer)
		return string(answer), err
	}
	cfg := s.pool(s.ours.CAFile)
	if got, err := ask(tls.Dial("tcp", s.Address("scribe"), cfg)); err == nil {
		t.Errorf("without a certificate: %q", got)
	}
	cfg.Certificates = []tls.Certificate{s.client.TLS}
	if got, err := ask(tls.Dial("tcp", s.Address("scribe"), cfg)); err != nil || !strings.Contains(got, "Log") {
		t.Errorf("with a certificate: %q, %v", got, err)
	}
	if got, err := ask(net.Dial("tcp", s.Address("scribe"))); err == nil && strings.Contains(got, "Log") {
		t.Errorf("without TLS: %q", got)
	}
}
