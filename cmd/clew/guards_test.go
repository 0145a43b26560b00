package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/access"
)

// TestAccessSettings reads TLS and credentials from a file: what a listener does not say is as all have it.
func TestAccessSettings(t *testing.T) {
	c, ss, err := loaded(t, `
tls:
  listeners:
    query: {client_auth: none, min_version: "1.3"}
    admin: {enabled: false}
    zipkin: {cert_file: z.pem, key_file: z.key}
  cert_file: all.pem
  key_file: all.key
  client_ca_file: ca.pem
auth: {require: [query], except: [zipkin], token_file: tokens}
tenants:
  list: {a: {spans_per_second: 10, queries: 2}, b: {}}
  listeners: {scribe: a, zipkin: b}
  bytes_per_second: 1MiB
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	all := access.ServerTLS{CertFile: "all.pem", KeyFile: "all.key", ClientCAFile: "ca.pem", ClientAuth: "require", MinVersion: "1.2"}
	query, zipkin := all, all
	query.ClientAuth, query.MinVersion = "none", "1.3"
	zipkin.CertFile, zipkin.KeyFile = "z.pem", "z.key"
	for key, want := range map[string]access.ServerTLS{"listen.otlp_grpc": all, "listen.query": query, "listen.admin": {}, "listen.zipkin": zipkin} {
		if d := cmp.Diff(want, c.access.of(key)); d != "" {
			t.Errorf("%s: %s", key, d)
		}
	}
	for key, want := range map[string]string{"listen.scribe": "a", "listen.zipkin": "b", "listen.otlp_http": "default"} {
		if got := c.listenerTenant(key); got != want {
			t.Errorf("%s is for %s; want %s", key, got, want)
		}
	}
	for i, want := range []tenantLimits{{bytes: 1 << 20}, {spans: 10, bytes: 1 << 20, queries: 2}, {bytes: 1 << 20}} {
		if got := c.limited()[i].limits; got != want {
			t.Errorf("tenant %d may %+v; want %+v", i, got, want)
		}
	}
	printed := ss.print()
	again, _, err := loaded(t, printed, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	if d := cmp.Diff(c.access, again.access, cmp.AllowUnexported(accessConfig{}, listenerTLS{}, entry[listenerTLS]{}, entry[string]{}, tenantLimits{})); d != "" {
		t.Errorf("printed and read again: %s", d)
	}
}

// TestAccessMistakes holds that what is wrong with TLS and credentials stops the start, and says where and what is right.
func TestAccessMistakes(t *testing.T) {
	for file, want := range map[string]string{
		"tls:\n  cert_file: a\n":                                          "clew.yaml:2: tls.cert_file: there is no key_file beside it",
		"tls:\n  client_ca_file: a\n":                                     "clew.yaml:2: tls.client_ca_file: there is no cert_file and no key_file",
		"tls:\n  listeners:\n    quey: {enabled: false}\n":                `clew.yaml:2: tls.listeners: there is no listener "quey"; want some of otlp_grpc`,
		"tls:\n  listeners:\n    query: {cert_file: x}\n":                 "clew.yaml:2: tls.listeners: query.cert_file: there is no key_file beside it",
		"tls:\n  listeners:\n    jaeger_compact: {enabled: false}\n":      "clew.yaml:2: tls.listeners: jaeger_compact is UDP, for which there is no TLS",
		"tls:\n  reload_interval: 1ms\n":                                  "clew.yaml:2: tls.reload_interval: is 1ms; want 10ms or more",
		"auth:\n  require: [look]\n":                                      `clew.yaml:2: auth.require: "look" is none of ingest, query and admin`,
		"auth:\n  except: [zipkim]\n":                                     `clew.yaml:2: auth.except: there is no listener "zipkim"`,
		"tenants:\n  listeners: {scribe: a}\n":                            `clew.yaml:2: tenants.listeners: scribe is for tenant "a", which is not configured`,
		"tenants:\n  queries: 2\n":                                        "tenants.list: is empty, but there are limits for tenants; want at least one",
		"tenants:\n  list: [a]\n  burst: 1ms\n":                           "clew.yaml:3: tenants.burst: is 1ms; want 1s or more",
		"tls:\n  min_version: 1.1\n":                                      `clew.yaml:2: tls.min_version: "1.1" is not one of 1.2, 1.3`,
		"tls:\n  listeners:\n    query: {enabed: false}\n":                "clew.yaml:3: there is no key tls.listeners.query.enabed; is it tls.listeners.query.enabled?",
		"tls:\n  listeners:\n    query: {enabled: true}\n    query: {}\n": "",
		"tls:\n  listeners: [query]\n":                                    "clew.yaml:2: tls.listeners: want a section of sections, each with its name",
		"tenants:\n  listeners: [scribe]\n":                               "clew.yaml:2: tenants.listeners: want a section of names, each with a text",
		"tenants:\n  list: [a]\n  listeners: 'scribe=a, zipkin'\n":        "clew.yaml:3: tenants.listeners: \" zipkin\" is not name=text, or is there twice",
		"tls:\n  listeners: '{query: {client_auth: maybe}}'\n":            `clew.yaml:2: tls.listeners: query.client_auth: "maybe" is not one of require, optional, none`,
	} {
		c, ss, err := loaded(t, file, nil)
		if err == nil {
			if err = c.validate(); err != nil {
				err = ss.locate(err)
			}
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v; want %s", file, err, want)
		}
	}
}

// TestNeeds holds what requests need at each listener, and what is open.
func TestNeeds(t *testing.T) {
	g := &guards{config: defaultConfig()}
	preflight := http.Header{"Origin": {"http://localhost"}, "Access-Control-Request-Method": {"POST"}}
	for _, c := range []struct {
		listener, method, path string
		header                 http.Header
		want                   access.Role
	}{
		{"otlp_http", "POST", "/v1/traces", nil, access.Ingest},
		{"otlp_http", "OPTIONS", "/v1/traces", preflight, 0},
		{"otlp_http", "OPTIONS", "/v1/traces", nil, access.Ingest},
		{"jaeger_http", "POST", "/api/traces", nil, access.Ingest},
		{"sampling_http", "GET", "/sampling", nil, access.Ingest},
		{"zipkin", "POST", "/api/v2/spans", nil, access.Ingest},
		{"zipkin", "GET", "/api/v2/traces", nil, access.Query},
		{"zipkin", "GET", "/health", nil, 0},
		{"zipkin", "GET", "/", nil, access.Query},
		{"zipkin", "GET", "/zipkin/", nil, access.Query},
		{"zipkin", "GET", "/zipkin/api/v1/search", nil, access.Query},
		{"zipkin", "GET", "/zipkin/api/v2/traces", nil, access.Query},
		{"zipkin", "GET", "/metrics", nil, access.Query},
		{"query", "GET", "/", nil, access.Query},
		{"admin", "GET", "/healthz", nil, 0},
		{"admin", "GET", "/readyz", nil, 0},
		{"admin", "GET", "/metrics", nil, access.Query | access.Admin},
		{"admin", "POST", "/api/v1/delete", nil, access.Admin},
		{"admin", "GET", "/debug/pprof/heap", nil, access.Admin},
		{"admin", "GET", "/healthz/", nil, access.Admin},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Header = c.header
		if got := g.needs(listenPrefix + c.listener)(r); got != c.want {
			t.Errorf("%s %s %s needs %q; want %q", c.listener, c.method, c.path, got, c.want)
		}
	}
	g.config.access.require = []string{"query"}
	r := httptest.NewRequest(http.MethodPost, "/v1/traces", nil)
	if got := g.needs("listen.otlp_http")(r); got != 0 {
		t.Errorf("sending needs %q, though asking alone is to", got)
	}
}
