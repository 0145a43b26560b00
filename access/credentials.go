package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"
)

// CredentialFiles is where credentials are. Formats are those of parseTokens, parsePasswords and parseGrants.
type CredentialFiles struct {
	TokenFile    string // bearer tokens
	PasswordFile string // users and their passwords, as htpasswd -B writes them
	GrantsFile   string // what each may, and for which tenants; empty: everything, for all
}

// Given reports whether there are any.
func (c *CredentialFiles) Given() bool { return *c != CredentialFiles{} }

// Credentials knows who is who, and what each may. Its files are read again when they change.
type Credentials struct {
	files CredentialFiles
	log   *slog.Logger

	now   atomic.Pointer[known]
	slots chan struct{} // who has a password checked: that takes a core for a while, on purpose
	salt  [32]byte
	mu    sync.Mutex
	right map[[32]byte]*user // passwords that were right, salted and hashed, so that a page's every request needs no check of its own
}

// known is what the files have.
type known struct {
	tokens []token
	users  map[string]*user
	grants map[string]grant // nil: there is no file
	dummy  []byte           // a hash to check the password of a user against that is not there: it must take as long
}

// maxRight is how many right passwords are remembered.
const maxRight = 4096

// OpenCredentials reads credentials. Grants may name the tenants given, and the default. An error begins with the setting's key that is
// wrong: token_file, password_file or grants_file, and says where in the file.
func OpenCredentials(c CredentialFiles, tenants []string, files *Files, reg prometheus.Registerer) (*Credentials, error) {
	out := &Credentials{files: c, log: files.log, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), right: map[[32]byte]*user{}}
	if _, err := rand.Read(out.salt[:]); err != nil {
		return nil, err
	}
	failures := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "clew_auth_reload_failures_total", Help: "Changed credential files that were no good: what they had before stays in use.",
	})
	reg.MustRegister(failures)
	keys := map[string]string{c.TokenFile: "token_file", c.PasswordFile: "password_file", c.GrantsFile: "grants_file"}
	set := &fileSet{failures: failures, what: []any{"files", "credentials"}}
	for _, path := range []string{c.TokenFile, c.PasswordFile, c.GrantsFile} {
		if path != "" {
			set.paths = append(set.paths, path)
		}
	}
	set.use = func(contents [][]byte) error { return out.use(set.paths, contents, tenants) }
	if err := files.add(set); err != nil {
		for path, key := range keys {
			if path != "" && strings.Contains(err.Error(), path) {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
		return nil, err
	}
	return out, nil
}

// use makes the contents of files what is known.
func (c *Credentials) use(paths []string, contents [][]byte, tenants []string) error {
	k := &known{dummy: []byte(dummyHash)}
	for i, path := range paths {
		var err error
		switch path {
		case c.files.TokenFile:
			k.tokens, err = parseTokens(contents[i])
		case c.files.PasswordFile:
			k.users, err = parsePasswords(contents[i])
		default:
			k.grants, err = parseGrants(contents[i], tenants)
		}
		if err != nil {
			return fmt.Errorf("%s:%w", path, err)
		}
	}
	for _, u := range k.users {
		k.dummy = u.hash // as slow as theirs
		break
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Store(k)
	clear(c.right)
	c.warnOfPowerless(k)
	return nil
}

// warnOfPowerless says which credentials may do nothing, for it may be a mistake.
func (c *Credentials) warnOfPowerless(k *known) {
	if k.grants == nil {
		return
	}
	names := map[string]bool{}
	for _, t := range k.tokens {
		names[t.name] = true
	}
	for name := range k.users {
		names[name] = true
	}
	for name := range names {
		if _, ok := k.grants[name]; !ok {
			c.log.Warn("a credential may do nothing: the grants file does not name it", "name", name, "grants_file", c.files.GrantsFile)
		}
	}
}

// The ways in which a credential is no good.
var (
	errNone  = errors.New("a credential is needed")
	errWrong = errors.New("the credential is not known, or not right")
	errBusy  = errors.New("too many passwords are being checked; try again")
)

// check returns who a request is of. Errors are errNone, errWrong or errBusy.
func (c *Credentials) check(r *http.Request) (*Caller, error) {
	k := c.now.Load()
	header := r.Header.Values("Authorization")
	if len(header) == 0 {
		return k.certified(r)
	}
	scheme, rest, _ := strings.Cut(header[0], " ")
	switch {
	case len(header) > 1:
		return nil, errWrong
	case strings.EqualFold(scheme, "Bearer") && k.tokens != nil:
		return k.bearer(strings.TrimSpace(rest))
	case strings.EqualFold(scheme, "Basic") && k.users != nil:
		name, password, ok := r.BasicAuth()
		if !ok {
			return nil, errWrong
		}
		return c.basic(r.Context(), k, name, password)
	}
	return nil, errWrong
}

// bearer compares a token with all that are known, and takes as long whether it is one or none.
func (k *known) bearer(given string) (*Caller, error) {
	sum, name := sha256.Sum256([]byte(given)), ""
	for i := range k.tokens {
		if subtle.ConstantTimeCompare(sum[:], k.tokens[i].sum[:]) == 1 {
			name = k.tokens[i].name
		}
	}
	if name == "" {
		return nil, errWrong
	}
	return k.caller(name), nil
}

func (c *Credentials) basic(ctx context.Context, k *known, name, password string) (*Caller, error) {
	h := sha256.New()
	h.Write(c.salt[:])
	h.Write(strconv.AppendInt(nil, int64(len(name)), 10))
	h.Write([]byte(":" + name + password))
	sum := [32]byte(h.Sum(nil))
	u := k.users[name]
	c.mu.Lock()
	was := c.right[sum]
	c.mu.Unlock()
	if u != nil && was == u { // of this reading of the file, not of one before
		return k.caller(name), nil
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, errBusy
	}
	hash := k.dummy
	if u != nil {
		hash = u.hash
	}
	if err := bcrypt.CompareHashAndPassword(hash, []byte(password)); err != nil || u == nil {
		return nil, errWrong
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.right) >= maxRight {
		clear(c.right)
	}
	c.right[sum] = u
	return k.caller(name), nil
}

// certified returns who a request is of by the certificate of its connection, which the listener has verified. A certificate counts where
// the grants file names it.
func (k *known) certified(r *http.Request) (*Caller, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, errNone
	}
	for _, name := range certificateNames(r.TLS.PeerCertificates[0]) {
		if _, ok := k.grants[name]; ok {
			return k.caller(name), nil
		}
	}
	return nil, errNone
}

// certificateNames returns the names of a certificate as a grants file has them: its subject's common name and its alternative names.
func certificateNames(cert *x509.Certificate) []string {
	names := []string{certPrefix + cert.Subject.CommonName}
	for _, u := range cert.URIs {
		names = append(names, certPrefix+u.String())
	}
	for _, n := range append(append([]string{}, cert.DNSNames...), cert.EmailAddresses...) {
		names = append(names, certPrefix+n)
	}
	return append(names, certPrefix+"*")
}

// caller returns what a name may.
func (k *known) caller(name string) *Caller {
	if k.grants == nil {
		return &Caller{Name: name, roles: allRoles, any: true}
	}
	g := k.grants[name] // none: nothing
	return &Caller{Name: name, roles: g.roles, tenants: g.tenants, any: g.any}
}

// schemes returns what a client may answer with, for WWW-Authenticate.
func (c *Credentials) schemes() (out []string) {
	k := c.now.Load()
	if k.users != nil {
		out = append(out, `Basic realm="Clew", charset="UTF-8"`)
	}
	if k.tokens != nil {
		out = append(out, `Bearer realm="Clew"`)
	}
	return out
}
