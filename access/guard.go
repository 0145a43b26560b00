package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Role is what a credential may do, and what a request needs: one or more of them.
type Role uint8

// The roles. What a request needs is any of the roles that it has.
const (
	Ingest   Role = 1 << iota // send spans, ask how to sample
	Query                     // ask, look at the page
	Admin                     // delete, back up
	allRoles = Ingest | Query | Admin
)

var roles = map[string]Role{"ingest": Ingest, "query": Query, "admin": Admin}

// ParseRoles returns the roles of names, and nothing for what is none.
func ParseRoles(names []string) (r Role) {
	for _, name := range names {
		r |= roles[name]
	}
	return r
}

func (r Role) String() string {
	var out []string
	for _, name := range []string{"ingest", "query", "admin"} {
		if r&roles[name] != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, " or ")
}

// Caller is who a request is of.
type Caller struct {
	Name    string // of the credential; empty: there was none, nor needed one
	roles   Role
	tenants []string
	any     bool
}

// Tenant returns the tenant of a request that names one, or none, which is "". It returns an error if the caller may not name it.
func (c *Caller) Tenant(named, otherwise string) (string, error) {
	switch {
	case c == nil || c.any && named != "":
		return firstOf(named, otherwise), nil
	case c.any:
		return firstOf(strings.Join(c.tenants[:min(1, len(c.tenants))], ""), otherwise), nil
	case named == "" && len(c.tenants) > 0:
		return c.tenants[0], nil
	case slices.Contains(c.tenants, named):
		return named, nil
	}
	return "", fmt.Errorf("%s is not for tenant %.80q", c.Name, named)
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

type callerKey struct{}

// CallerOf returns who a context's request is of: nil where no credential was needed.
func CallerOf(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}

// May reports whether the caller was asked for a credential, and may do that.
func (c *Caller) May(r Role) bool { return c != nil && c.roles&r != 0 }

// Refusals counts requests that were not let in.
type Refusals struct{ counts *prometheus.CounterVec }

// NewRefusals returns counts that are registered.
func NewRefusals(reg prometheus.Registerer) *Refusals {
	r := &Refusals{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "clew_auth_refused_total", Help: "Requests that were not let in, by listener and reason.",
	}, []string{"listener", "reason"})}
	reg.MustRegister(r.counts)
	return r
}

// The reasons of refusals.
const (
	reasonNone   = "no_credential"
	reasonWrong  = "wrong_credential"
	reasonRole   = "role"
	reasonTenant = "tenant"
	reasonBusy   = "busy"
)

// Guard lets in to a listener who may.
type Guard struct {
	Listener    string
	Credentials *Credentials
	Needs       func(r *http.Request) Role // what a request needs; 0: nothing
	Refusals    *Refusals
	Refuse      Refuse // nil: plain text, or gRPC's status
}

// Refuse answers a request that is not let in, in the listener's protocol: with a status of HTTP and one of gRPC.
type Refuse func(w http.ResponseWriter, r *http.Request, no Refusal)

// Refusal is why a request is not let in.
type Refusal struct {
	Status  int // of HTTP: 401, 403 or 503
	Code    int // of gRPC: 16, 7 or 14
	Message string
}

// Handler returns a handler that lets requests through to next, with who they are of in their context.
func (g *Guard) Handler(next http.Handler) http.Handler {
	for _, reason := range []string{reasonNone, reasonWrong, reasonRole, reasonTenant} {
		g.Refusals.counts.WithLabelValues(g.Listener, reason)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		needs := g.Needs(r)
		if needs == 0 {
			next.ServeHTTP(w, r)
			return
		}
		caller, err := g.Credentials.check(r)
		switch {
		case errors.Is(err, errBusy):
			w.Header().Set("Retry-After", "1")
			g.refuse(w, r, reasonBusy, Refusal{http.StatusServiceUnavailable, 14, err.Error()})
		case err != nil:
			reason := reasonWrong
			if errors.Is(err, errNone) {
				reason = reasonNone
			}
			for _, s := range g.Credentials.schemes() {
				w.Header().Add("WWW-Authenticate", s)
			}
			g.refuse(w, r, reason, Refusal{http.StatusUnauthorized, 16, err.Error()})
		case caller.roles&needs == 0:
			g.refuse(w, r, reasonRole, Refusal{http.StatusForbidden, 7, fmt.Sprintf("%s may not %s", caller.Name, needs)})
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
		}
	})
}

// Tenant returns the tenant of a request that names one, or none; otherwise is that of who may name any and names none. It answers the
// request and returns false if its caller may not name it.
func (g *Guard) Tenant(w http.ResponseWriter, r *http.Request, named, otherwise string) (string, bool) {
	name, err := CallerOf(r.Context()).Tenant(named, otherwise)
	if err != nil {
		g.refuse(w, r, reasonTenant, Refusal{http.StatusForbidden, 7, err.Error()})
	}
	return name, err == nil
}

// maxRefused is how much of a body is read that is not let in. Nothing of it is kept, and the server's time for a request is its end.
const maxRefused = 64 << 20

func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, reason string, no Refusal) {
	g.Refusals.counts.WithLabelValues(g.Listener, reason).Inc()
	if r.ProtoMajor == 1 && r.Header.Get("Expect") == "" {
		// Who is still sending when the connection is closed may not see the answer, and then sends again what will never be taken.
		_, _ = io.CopyN(io.Discard, r.Body, maxRefused)
	}
	h := w.Header()
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && r.ProtoMajor >= 2 && (t == "application/grpc" || strings.HasPrefix(t, "application/grpc+")) {
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Status", strconv.Itoa(no.Code))
		h.Set("Grpc-Message", strings.ReplaceAll(no.Message, "%", "%25")) // of which all is printable
		w.WriteHeader(http.StatusOK)
		return
	}
	if g.Refuse != nil {
		g.Refuse(w, r, no)
		return
	}
	http.Error(w, no.Message, no.Status)
}
