package access

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"github.com/clewtrace/clew/internal/testkit"
)

const plainToken = "a-token-in-plain-text"

// hashed returns a line of a password file, with a hash that does not take long.
func hashed(t *testing.T, user, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return user + ":" + string(hash) + "\n"
}

// opened is credentials of files with those contents; an empty one is not there.
func opened(t *testing.T, tokens, passwords, grants string) (*Credentials, *Files, string) {
	t.Helper()
	dir := t.TempDir()
	c := CredentialFiles{}
	for name, f := range map[string]struct {
		path *string
		text string
	}{"tokens": {&c.TokenFile, tokens}, "passwords": {&c.PasswordFile, passwords}, "grants": {&c.GrantsFile, grants}} {
		if f.text != "" {
			*f.path = filepath.Join(dir, name)
			if err := os.WriteFile(*f.path, []byte(f.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	files := NewFiles(slog.New(slog.DiscardHandler))
	out, err := OpenCredentials(c, []string{"payments", "web"}, files, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return out, files, dir
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestGuard asks with right credentials and with wrong ones, for what they may and what they may not, over HTTP and gRPC.
func TestGuard(t *testing.T) {
	credentials, _, _ := opened(t,
		TokenLine("collector", "the collector's token")+"\nreader "+plainToken+"\nspare "+plainToken+"-2\n", hashed(t, "alice", "open: sesame")+hashed(t, "bob", "x"),
		"collector ingest payments,web\nreader query\nalice query,admin *\nbob ingest web,*\ncert:ours ingest web\n")
	authority := testkit.NewAuthority(t, "ca")
	leaf := authority.Issue("ours", time.Now().Add(time.Hour)).TLS.Leaf
	stranger := authority.Issue("stranger", time.Now().Add(time.Hour)).TLS.Leaf
	g := &Guard{Listener: "query", Credentials: credentials, Refusals: NewRefusals(prometheus.NewRegistry()), Needs: func(r *http.Request) Role {
		return map[string]Role{"/in": Ingest, "/ask": Query, "/delete": Admin, "/metrics": Query | Admin}[r.URL.Path]
	}}
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tenant, ok := g.Tenant(w, r, r.Header.Get("X-Scope-Orgid"), "default"); ok {
			w.Header().Set("Tenant", tenant)
		}
	}))
	for _, c := range []struct {
		path, authorization, names string
		cert                       *x509.Certificate
		status                     int
		tenant, code               string
	}{
		{"/in", "Bearer the collector's token", "", nil, 200, "payments", ""},
		{"/in", "bearer  the collector's token", "web", nil, 200, "web", ""},
		{"/in", "Bearer the collector's token", "default", nil, 403, "", "7"},
		{"/ask", "Bearer the collector's token", "", nil, 403, "", "7"},
		{"/in", "Bearer the collector's toke", "", nil, 401, "", "16"},
		{"/in", "Bearer ", "", nil, 401, "", "16"},
		{"/in", "Bearer", "", nil, 401, "", "16"},
		{"/in", "", "", nil, 401, "", "16"},
		{"/in", "Digest x", "", nil, 401, "", "16"},
		{"/in", "Basic !", "", nil, 401, "", "16"},
		{"/ask", "Bearer " + plainToken, "", nil, 200, "default", ""},
		{"/ask", "Bearer " + plainToken, "web", nil, 403, "", "7"},
		{"/ask", "Bearer " + plainToken + "-2", "", nil, 403, "", "7"}, // which has no grant
		{"/ask", basic("alice", "open: sesame"), "", nil, 200, "default", ""},
		{"/ask", basic("alice", "open: sesame"), "web", nil, 200, "web", ""},
		{"/ask", basic("alice", "open: sesame"), "nobody", nil, 200, "nobody", ""}, // whom the store does not know
		{"/delete", basic("alice", "open: sesame"), "", nil, 200, "default", ""},
		{"/metrics", basic("alice", "open: sesame"), "", nil, 200, "default", ""},
		{"/metrics", basic("bob", "x"), "", nil, 403, "", "7"},
		{"/in", basic("alice", "open: sesame"), "", nil, 403, "", "7"},
		{"/ask", basic("alice", "open:sesame"), "", nil, 401, "", "16"},
		{"/ask", basic("alic", "e:open: sesame"), "", nil, 401, "", "16"},
		{"/ask", basic("nobody", "x"), "", nil, 401, "", "16"},
		{"/in", basic("bob", "x"), "", nil, 200, "web", ""},
		{"/in", basic("bob", "x"), "payments", nil, 200, "payments", ""},
		{"/in", "", "", leaf, 200, "web", ""},
		{"/in", "", "payments", leaf, 403, "", "7"},
		{"/in", "", "", stranger, 401, "", "16"},
		{"/in", "Bearer the collector's token", "", leaf, 200, "payments", ""}, // what is said counts before what is shown
		{"/in", "Bearer wrong", "", leaf, 401, "", "16"},
		{"/healthz", "", "web", nil, 200, "web", ""},
	} {
		for _, grpc := range []bool{false, true} {
			r := httptest.NewRequest(http.MethodPost, c.path, nil)
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			if c.names != "" {
				r.Header.Set("X-Scope-OrgID", c.names)
			}
			if c.cert != nil {
				r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.cert}, VerifiedChains: [][]*x509.Certificate{{c.cert}}}
			}
			status := c.status
			if grpc {
				r.Header.Set("Content-Type", "application/grpc")
				r.ProtoMajor, status = 2, 200
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			asked := w.Header().Values("WWW-Authenticate")
			if w.Code != status || w.Header().Get("Tenant") != c.tenant || grpc && w.Header().Get("Grpc-Status") != c.code || len(asked) != map[bool]int{true: 2}[c.status == 401] {
				t.Errorf("%s %s %s, gRPC %v: %d %q, tenant %q, code %q, %q; want %d, %q, %q", c.path, c.authorization, c.names, grpc, w.Code, w.Body.String(),
					w.Header().Get("Tenant"), w.Header().Get("Grpc-Status"), asked, status, c.tenant, c.code)
			}
		}
	}
	two := httptest.NewRequest(http.MethodPost, "/in", nil)
	two.Header["Authorization"] = []string{"Bearer the collector's token", "Bearer wrong"}
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, two); w.Code != 401 {
		t.Errorf("two credentials: %d", w.Code)
	}
}

// TestCredentialsReload changes files: what was taken away counts no longer, also where it was remembered, and what is broken changes nothing.
func TestCredentialsReload(t *testing.T) {
	c, files, dir := opened(t, "one "+plainToken+"\n", hashed(t, "alice", "old"), "one ingest\nalice query\n")
	may := func(authorization string) bool {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", authorization)
		caller, err := c.check(r)
		return err == nil && caller.May(Ingest|Query)
	}
	set := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files.Look()
	}
	expect := func(step string, want map[string]bool) {
		t.Helper()
		for a, w := range want {
			for range 2 { // the second time it is remembered
				if may(a) != w {
					t.Errorf("%s: %s is %v", step, a, !w)
				}
			}
		}
	}
	one, two, alice, renewed := "Bearer "+plainToken, "Bearer another-token-of-some-length", basic("alice", "old"), basic("alice", "new")
	expect("at first", map[string]bool{one: true, two: false, alice: true, renewed: false})
	set("passwords", hashed(t, "alice", "new"))
	expect("password changed", map[string]bool{one: true, alice: false, renewed: true})
	set("tokens", "one another-token-of-some-length\n")
	expect("token changed", map[string]bool{one: false, two: true, renewed: true})
	set("tokens", "one short\n")
	expect("broken", map[string]bool{one: false, two: true, renewed: true})
	set("tokens", "")
	expect("emptied", map[string]bool{one: false, two: false, renewed: true})
	set("grants", "alice query nowhere\n")
	expect("grants broken", map[string]bool{renewed: true})
	set("grants", "one ingest\n")
	expect("grant taken away", map[string]bool{renewed: false})
}

// TestParse holds what is read, and that errors have the line, what is right, and nothing of a secret.
func TestParse(t *testing.T) {
	tokens, err := parseTokens([]byte("# all\n\n a  " + plainToken + "\r\na sha256:" + strings.Repeat("ab", 32) + "\n"))
	if err != nil || len(tokens) != 2 || tokens[1].sum[0] != 0xab || tokens[0].name != "a" {
		t.Errorf("tokens %+v, %v", tokens, err)
	}
	grants, err := parseGrants([]byte("a ingest\n# b\nc query,admin web,*\ncert:* ingest payments\n"), []string{"web", "payments"})
	want := map[string]grant{"a": {Ingest, []string{"default"}, false}, "c": {Query | Admin, []string{"web"}, true}, "cert:*": {Ingest, []string{"payments"}, false}}
	if d := cmp.Diff(want, grants, cmp.AllowUnexported(grant{})); d != "" || err != nil {
		t.Error(d, err)
	}
	const secret = "s3cret-s3cret-s3cret"
	for text, message := range map[string]string{
		"\nname\n":                              "2: has 1 words; want a name and a token",
		"name " + secret + " more\n":            "1: has 3 words",
		"name s3cret\n":                         "1: the token of name has 6 characters, and can be guessed; want 16 or more",
		"name sha256:s3cret\n":                  "1: the hash of name is not 64 hexadecimal digits",
		"a " + secret + "\nb " + secret + "\n":  "2: the token of b is that of a, too; want another",
		"cert:x " + secret + "\n":               `1: "cert:x" is no name of a credential`,
		"n sha256:" + strings.Repeat("a", 66):   "1: the hash of n is not 64 hexadecimal digits",
		strings.Repeat("n", 300) + " " + secret: "is no name of a credential",
	} {
		if _, err := parseTokens([]byte(text)); err == nil || !strings.Contains(err.Error(), message) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v; want %s", text, err, message)
		}
	}
	for text, message := range map[string]string{
		"alice\n":               "1: is not user:hash, as htpasswd -B writes it",
		"alice:s3cret\n":        "1: the password of alice is not a hash of bcrypt",
		"alice:$apr1$s3cret$\n": "1: the password of alice is not a hash of bcrypt",
		hashed(t, "alice", "x") + hashed(t, "alice", "y"): "2: user alice is there twice",
		":s3cret\n": "1: is not user:hash",
	} {
		if _, err := parsePasswords([]byte(text)); err == nil || !strings.Contains(err.Error(), message) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v; want %s", text, err, message)
		}
	}
	for text, message := range map[string]string{
		"a\n":                  "1: has 1 words",
		"a b c d\n":            "1: has 4 words",
		"a look\n":             `1: a may "look", which is none of ingest, query and admin`,
		"a query x\n":          `1: a is for tenant "x", which is not configured; see tenants.list`,
		"a query\n\na ingest ": "3: a is there twice",
	} {
		if _, err := parseGrants([]byte(text), nil); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%q: %v; want %s", text, err, message)
		}
	}
	if _, err := bcrypt.Cost([]byte(dummyHash)); err != nil || len(dummyHash) != 60 {
		t.Errorf("the dummy: %v", err)
	}
	line, err := PasswordLine("bob", "secret")
	if users, err2 := parsePasswords([]byte(line)); err != nil || err2 != nil || users["bob"] == nil {
		t.Errorf("%s: %v, %v", line, err, err2)
	}
}

// FuzzFiles reads credential files as they come: whatever is in them, reading ends with what is known or with an error.
func FuzzFiles(f *testing.F) {
	f.Add([]byte("a " + plainToken + "\nb sha256:" + strings.Repeat("ab", 32)))
	f.Add([]byte("alice:" + dummyHash + "\n"))
	f.Add([]byte("a ingest\nc query,admin web,*\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := parseTokens(raw); err != nil && strings.Contains(err.Error(), plainToken) {
			t.Error(err)
		}
		_, _ = parsePasswords(raw)
		_, _ = parseGrants(raw, []string{"web"})
		_, _ = parseAuthorities("x", raw)
	})
}

// TestRefusedWhileSending: who sends over HTTP/1 without looking sees why it is refused all the same, and does not take it for a broken connection.
func TestRefusedWhileSending(t *testing.T) {
	credentials, _, _ := opened(t, "one "+plainToken+"\n", "", "")
	g := &Guard{Listener: "otlp_http", Credentials: credentials, Refusals: NewRefusals(prometheus.NewRegistry()), Needs: func(*http.Request) Role { return Ingest }}
	s := httptest.NewServer(g.Handler(http.NotFoundHandler()))
	defer s.Close()
	for range 3 {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		const size = 8 << 20
		_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: clew\r\nContent-Length: %d\r\n\r\n", size)
		for sent := 0; sent < size && err == nil; sent += 64 << 10 {
			_, err = conn.Write(make([]byte, 64<<10))
		}
		if err != nil {
			t.Errorf("while sending: %v", err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("the answer: %v", err)
		} else if _ = resp.Body.Close(); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("the answer is %d", resp.StatusCode)
		}
		_ = conn.Close()
	}
}
