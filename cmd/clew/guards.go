package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/access"
	"github.com/clewtrace/clew/api/admin"
	"github.com/clewtrace/clew/receive/otlp"
	"github.com/clewtrace/clew/trace"
)

// accessConfig is who may connect, and what each may.
type accessConfig struct {
	tls             access.ServerTLS
	listeners       []entry[listenerTLS]
	reload          time.Duration
	files           access.CredentialFiles
	require, except []string
	tenants         []entry[string] // of listeners
	limitsOfAll     tenantLimits    // for tenants that have none of their own
	burst           time.Duration
}

// listenerTLS is where a listener differs from the others.
type listenerTLS struct {
	access.ServerTLS
	enabled bool
}

func defaultAccess() accessConfig {
	return accessConfig{
		tls: access.ServerTLS{ClientAuth: "require", MinVersion: "1.2"}, reload: 10 * time.Second, require: []string{"ingest", "query", "admin"}, burst: 5 * time.Second,
	}
}

func (a *accessConfig) settings() settings {
	return settings{
		{key: "tls.cert_file", help: "PEM file of the certificate of all TCP listeners, read again when it changes; empty: no TLS", value: &text{&a.tls.CertFile}},
		{key: "tls.key_file", help: "PEM file of its key", value: &text{&a.tls.KeyFile}},
		{key: "tls.client_ca_file", help: "PEM file of the authorities that may have signed clients' certificates; empty: clients need none", value: &text{&a.tls.ClientCAFile}},
		{key: "tls.client_auth", help: "with client_ca_file: require a client's certificate, optional, or none", value: &choice{&a.tls.ClientAuth, access.ClientAuths}},
		{key: "tls.min_version", help: "oldest version of TLS: 1.2 or 1.3", value: &choice{&a.tls.MinVersion, access.Versions}},
		{key: "tls.listeners", help: "listeners that differ, by name (such as query): the keys above, and enabled", value: &named[listenerTLS]{&a.listeners, listenerTLS{enabled: true}, listenerSettings}},
		{key: "tls.reload_interval", help: "how often files of certificates and credentials are looked at", value: &duration{&a.reload}},
		{key: "auth.token_file", help: "file of bearer tokens, read again when it changes", value: &text{&a.files.TokenFile}},
		{key: "auth.password_file", help: "file of users and passwords, as htpasswd -B writes it, read again when it changes", value: &text{&a.files.PasswordFile}},
		{key: "auth.grants_file", help: "file of what each credential may, read again when it changes; empty: everything", value: &text{&a.files.GrantsFile}},
		{key: "auth.require", help: "what needs a credential, once there are any: ingest, query, admin", value: &list{&a.require}},
		{key: "auth.except", help: "listeners that need none all the same, by name (such as zipkin)", value: &list{&a.except}},
	}
}

func listenerSettings(l *listenerTLS) settings {
	return settings{
		{key: "enabled", value: &boolean{&l.enabled}},
		{key: "cert_file", value: &text{&l.CertFile}},
		{key: "key_file", value: &text{&l.KeyFile}},
		{key: "client_ca_file", value: &text{&l.ClientCAFile}},
		{key: "client_auth", value: &choice{&l.ClientAuth, access.ClientAuths}},
		{key: "min_version", value: &choice{&l.MinVersion, access.Versions}},
	}
}

// of returns the TLS of a listener, by the key of its setting: its own, and what it does not say as all have it.
func (a *accessConfig) of(key string) access.ServerTLS {
	t, l := a.tls, find(a.listeners, strings.TrimPrefix(key, listenPrefix))
	if l == nil {
		return t
	}
	if !l.enabled {
		return access.ServerTLS{}
	}
	if l.CertFile != "" || l.KeyFile != "" {
		t.CertFile, t.KeyFile = l.CertFile, l.KeyFile
	}
	for own, all := range map[*string]*string{&l.ClientCAFile: &t.ClientCAFile, &l.ClientAuth: &t.ClientAuth, &l.MinVersion: &t.MinVersion} {
		if *own != "" {
			*all = *own
		}
	}
	return t
}

// listenPrefix is what the keys of listeners begin with.
const listenPrefix = "listen."

// validate says what is wrong, but for what is in the files. Errors begin with a setting's key.
func (a *accessConfig) validate(ss settings, tenants []string) error {
	var names []string
	for _, s := range ss {
		if name, ok := strings.CutPrefix(s.key, listenPrefix); ok && name != "host" {
			names = append(names, name)
		}
	}
	known := func(key, name string) error {
		if slices.Contains(names, name) {
			return nil
		}
		return fmt.Errorf("%s: there is no listener %.40q; want some of %s", key, name, strings.Join(names, ", "))
	}
	for _, l := range a.listeners {
		if err := known("tls.listeners", l.name); err != nil {
			return err
		}
		if l.name == "jaeger_compact" || l.name == "jaeger_binary" {
			return fmt.Errorf("tls.listeners: %s is UDP, for which there is no TLS; want others", l.name)
		}
		t := a.of(listenPrefix + l.name)
		if err := t.Validate(); err != nil {
			return fmt.Errorf("tls.listeners: %s.%w", l.name, err)
		}
	}
	for _, name := range a.except {
		if err := known("auth.except", name); err != nil {
			return err
		}
	}
	for _, l := range a.tenants {
		if err := known("tenants.listeners", l.name); err != nil {
			return err
		}
		if l.of != trace.DefaultTenant && !slices.Contains(tenants, l.of) {
			return fmt.Errorf("tenants.listeners: %s is for tenant %.80q, which is not configured; see tenants.list", l.name, l.of)
		}
	}
	for _, kind := range a.require {
		if !slices.Contains([]string{"ingest", "query", "admin"}, kind) {
			return fmt.Errorf("auth.require: %.40q is none of ingest, query and admin", kind)
		}
	}
	if a.reload < 10*time.Millisecond {
		return fmt.Errorf("tls.reload_interval: is %v; want 10ms or more", a.reload)
	}
	if err := a.tls.Validate(); err != nil {
		return fmt.Errorf("tls.%w", err)
	}
	return nil
}

// misconfigured is an error that is found late, for it is in what a setting names; it begins with the setting's key.
type misconfigured struct{ error }

// explain makes such an error, of a command with these settings, one that says where the setting's value came from.
func (ss settings) explain(err error) error {
	if late, ok := errors.AsType[misconfigured](err); ok {
		return usageError{ss.locate(late.error)}
	}
	return err
}

// guards is the TLS of all listeners, and who is let in.
type guards struct {
	config      *config
	files       *access.Files
	secured     *access.Secured
	credentials *access.Credentials // nil: everybody
	refusals    *access.Refusals
	log         *slog.Logger
}

// guard reads credentials. Errors begin with a setting's key.
func (c *config) guard(log *slog.Logger, reg prometheus.Registerer) (*guards, error) {
	files := access.NewFiles(log)
	g := &guards{config: c, files: files, secured: access.NewSecured(files, log, reg), refusals: access.NewRefusals(reg), log: log}
	if !c.access.files.Given() {
		return g, nil
	}
	var err error
	if g.credentials, err = access.OpenCredentials(c.access.files, c.tenantNames(), files, reg); err != nil {
		return nil, misconfigured{fmt.Errorf("auth.%w", err)}
	}
	return g, nil
}

// run reads files again when they change, until ctx is done.
func (g *guards) run(ctx context.Context) error { return g.files.Run(ctx, g.config.access.reload) }

// listen adds to a listener its TLS, and what a server of HTTP at it is to know.
func (g *guards) listen(key string, l net.Listener) (*guarded, error) {
	out := &guarded{Listener: l, key: key, guards: g}
	if t := g.config.access.of(key); t.Given() {
		var err error
		if out.tls, err = g.secured.Listen(strings.TrimPrefix(key, listenPrefix), t); err != nil {
			section := "tls."
			if find(g.config.access.listeners, strings.TrimPrefix(key, listenPrefix)) != nil {
				section = "tls.listeners: " + strings.TrimPrefix(key, listenPrefix) + "."
			}
			return nil, misconfigured{fmt.Errorf("%s%w", section, err)}
		}
	}
	g.warn(out)
	return out, nil
}

// warn says what those beyond this machine can do who reach a listener.
func (g *guards) warn(l *guarded) {
	if a, ok := l.Addr().(*net.TCPAddr); !ok || a.IP.IsLoopback() {
		return
	}
	about := []any{"listener", l.key, "address", l.Addr().String()}
	if l.tls == nil {
		g.log.Warn("listening beyond this machine without TLS: who is on the way can read and change what is sent; see the settings tls", about...)
	}
	if t := g.config.access.of(l.key); !g.asks(l.key) && (t.ClientCAFile == "" || t.ClientAuth != "require") {
		g.log.Warn("listening beyond this machine without credentials: everybody who reaches the address is let in; see the settings auth", about...)
	}
}

// asks reports whether a listener asks for credentials. Scribe has no place for them.
func (g *guards) asks(key string) bool {
	return g.credentials != nil && key != "listen.scribe" && !slices.Contains(g.config.access.except, strings.TrimPrefix(key, listenPrefix))
}

// needs returns what a request at a listener needs to be allowed, by the listener's key.
func (g *guards) needs(key string) func(r *http.Request) access.Role {
	needs, ok := map[string]func(r *http.Request) access.Role{
		"listen.zipkin": zipkinNeeds, "listen.admin": adminNeeds, "listen.query": queryNeeds, "listen.query_grpc": queryNeeds, "listen.tempo": tempoNeeds,
	}[key]
	if !ok {
		needs = func(*http.Request) access.Role { return access.Ingest }
	}
	required := access.ParseRoles(g.config.access.require)
	return func(r *http.Request) access.Role {
		n := needs(r)
		preflight := r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
		if n&required == 0 || preflight { // for which browsers send no credential
			return 0
		}
		return n
	}
}

func queryNeeds(*http.Request) access.Role { return access.Query }

func zipkinNeeds(r *http.Request) access.Role {
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/health":
		return 0
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return access.Query
	}
	return access.Ingest
}

// adminNeeds lets probes in without a credential, for they have none.
func adminNeeds(r *http.Request) access.Role {
	switch r.URL.Path {
	case "/healthz", "/readyz":
		return 0
	case "/metrics":
		return access.Query | access.Admin
	}
	return access.Admin
}

// guarded is a listener, its TLS, and who is let in.
type guarded struct {
	net.Listener
	key    string
	guards *guards
	tls    *access.Endpoint // nil: none
}

// secured returns what to serve: the listener, behind TLS if there is. Connections speak one of the protocols (of ALPN) then, if any are given.
func (l *guarded) secured(protocols ...string) net.Listener {
	if l.tls == nil {
		return l.Listener
	}
	return l.tls.Listener(l.Listener, protocols...)
}

// prepare makes a server serve those who are let in, with TLS if there is, and returns what serves.
func (l *guarded) prepare(s *http.Server) (serve func() error) {
	s.Handler = l.handler(s.Handler)
	serve = func() error { return s.Serve(l.secured("h2", "http/1.1")) }
	if l.tls == nil {
		return serve
	}
	if s.Protocols != nil {
		s.Protocols.SetHTTP2(true)
	}
	if s.HTTP2 == nil { // as without TLS there is none: what a connection may have us keep is as small as OTLP/gRPC's
		s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 256, MaxReadFrameSize: 16 << 10, MaxReceiveBufferPerStream: 1 << 20, MaxReceiveBufferPerConnection: 1 << 20}
	}
	return serve
}

// handler returns what lets requests through to h that may pass, for the tenant that they are of.
func (l *guarded) handler(h http.Handler) http.Handler {
	g := &access.Guard{
		Listener: strings.TrimPrefix(l.key, listenPrefix), Credentials: l.guards.credentials, Needs: l.guards.needs(l.key), Refusals: l.guards.refusals,
	}
	if l.key == "listen.otlp_http" {
		g.Refuse = func(w http.ResponseWriter, r *http.Request, no access.Refusal) {
			otlp.Refuse(w, r, otlp.Refusal(no))
		}
	}
	h = l.guards.config.named(g, h)
	if !l.guards.asks(l.key) {
		return h
	}
	if l.key == "listen.admin" {
		h = admin.Authorized(h, func(r *http.Request) bool { return access.CallerOf(r.Context()).May(access.Admin) })
	}
	return g.Handler(h)
}
