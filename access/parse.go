package access

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/clewtrace/clew/trace"
)

// token is a bearer token, of which the hash alone is kept.
type token struct {
	name string
	sum  [sha256.Size]byte
}

// user is one with a password.
type user struct{ hash []byte }

// grant is what a name may.
type grant struct {
	roles   Role
	tenants []string // the first is that of a request which names none
	any     bool     // all tenants, also those that come later
}

const (
	minToken   = 16  // characters of one in plain text: less can be guessed
	maxName    = 256 // of a credential
	certPrefix = "cert:"
	hashPrefix = "sha256:"
)

// lines calls f for each line of a file that is neither empty nor a comment, with its words. Errors begin with the line's number, and
// none has anything of a secret.
func lines(raw []byte, f func(words []string) error) error {
	n := 0
	for line := range bytes.Lines(raw) {
		n++
		words := strings.Fields(string(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := f(words); err != nil {
			return fmt.Errorf("%d: %w", n, err)
		}
	}
	return nil
}

// parseTokens reads a file of tokens: in each line a name and a token, or its SHA-256 in hexadecimal, so that the file has no secret:
//
//	# name      token
//	collector   sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
//	old-agent   a-token-in-plain-text
//
// A name may have several, so that one can be replaced while both are good.
func parseTokens(raw []byte) ([]token, error) {
	out := []token{}
	err := lines(raw, func(words []string) error {
		if len(words) != 2 {
			return fmt.Errorf("has %d words; want a name and a token, or %s and its hash in hexadecimal", len(words), hashPrefix)
		}
		t := token{name: words[0]}
		if err := checkCredentialName(t.name); err != nil {
			return err
		}
		if hash, ok := strings.CutPrefix(words[1], hashPrefix); ok {
			if n, err := hex.Decode(t.sum[:], []byte(hash)[:min(len(hash), 2*len(t.sum))]); err != nil || n != len(t.sum) || len(hash) != 2*n {
				return fmt.Errorf("the hash of %s is not %d hexadecimal digits", t.name, 2*len(t.sum))
			}
		} else if len(words[1]) < minToken {
			return fmt.Errorf("the token of %s has %d characters, and can be guessed; want %d or more", t.name, len(words[1]), minToken)
		} else {
			t.sum = sha256.Sum256([]byte(words[1]))
		}
		for _, o := range out {
			if o.sum == t.sum {
				return fmt.Errorf("the token of %s is that of %s, too; want another", t.name, o.name)
			}
		}
		out = append(out, t)
		return nil
	})
	return out, err
}

func checkCredentialName(name string) error {
	if len(name) > maxName || strings.HasPrefix(name, certPrefix) {
		return fmt.Errorf("%.40q is no name of a credential; want 1 to %d characters that do not begin with %s", name, maxName, certPrefix)
	}
	return nil
}

// parsePasswords reads a file as htpasswd -B writes it: in each line a user and the bcrypt hash of the password, with a colon between them.
func parsePasswords(raw []byte) (map[string]*user, error) {
	out := map[string]*user{}
	err := lines(raw, func(words []string) error {
		name, hash, ok := strings.Cut(words[0], ":")
		if !ok || len(words) > 1 || name == "" {
			return errors.New("is not user:hash, as htpasswd -B writes it")
		}
		if err := checkCredentialName(name); err != nil {
			return err
		}
		if _, err := bcrypt.Cost([]byte(hash)); err != nil || len(hash) != len(dummyHash) {
			return fmt.Errorf("the password of %s is not a hash of bcrypt; want one as htpasswd -B or clew credential password makes it", name)
		}
		if out[name] != nil {
			return fmt.Errorf("user %s is there twice; want one line for each", name)
		}
		out[name] = &user{hash: []byte(hash)}
		return nil
	})
	return out, err
}

// dummyHash is one of bcrypt that no password has.
const dummyHash = "$2a$10$......................O0mTbzKcPUAQLVbNbXJvzMrWq4oEd.2"

// parseGrants reads a file of grants: in each line the name of a token, a user or, after cert:, a client certificate; what it may; and for
// which tenants, the first of which is that of requests that name none:
//
//	# who                       may             for tenants
//	collector                   ingest          payments
//	alice                       query,admin     *
//	cert:spiffe://prod/shop     ingest          web,default
//	cert:*                      ingest          default
//
// Without tenants it is the default one. A certificate has its common name, and any DNS name, URI or address among its alternative names;
// cert:* is each that was verified.
func parseGrants(raw []byte, tenants []string) (map[string]grant, error) {
	out := map[string]grant{}
	err := lines(raw, func(words []string) error {
		if len(words) < 2 || len(words) > 3 {
			return fmt.Errorf("has %d words; want a name, what it may (ingest, query, admin) and for which tenants", len(words))
		}
		name, g := words[0], grant{}
		if _, twice := out[name]; twice {
			return fmt.Errorf("%.80s is there twice; want one line for each", name)
		}
		for role := range strings.SplitSeq(words[1], ",") {
			r, ok := roles[role]
			if !ok {
				return fmt.Errorf("%.80s may %.40q, which is none of ingest, query and admin", name, role)
			}
			g.roles |= r
		}
		if len(words) == 2 {
			words = append(words, trace.DefaultTenant)
		}
		for t := range strings.SplitSeq(words[2], ",") {
			switch {
			case t == "*":
				g.any = true
			case t != trace.DefaultTenant && !slices.Contains(tenants, t):
				return fmt.Errorf("%.80s is for tenant %.80q, which is not configured; see tenants.list", name, t)
			default:
				g.tenants = append(g.tenants, t)
			}
		}
		out[name] = g
		return nil
	})
	return out, err
}

// TokenLine returns what a file of tokens has of a token.
func TokenLine(name, secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return name + " " + hashPrefix + hex.EncodeToString(sum[:])
}

// PasswordLine returns what a file of passwords has of a user, or says what is wrong with the password.
func PasswordLine(name, password string) (string, error) {
	if strings.ContainsAny(name, ": \t\r\n") || name == "" || password == "" {
		return "", errors.New("want a user without colons and spaces, and a password")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	return name + ":" + string(hash), err
}
