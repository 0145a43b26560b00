package secure_test

import (
	"context"
	"crypto/tls"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/credentials"

	"github.com/clewtrace/clew/internal/testkit"
)

// attempt is how a client connects.
type attempt struct {
	name          string
	ca            string        // PEM file of the authorities that it trusts
	cert          *testkit.Pair // nil: none
	authorization string
	tenant        string
	want          string // what its error has; empty: it gets in
}

// attempts is each way that is wrong, and those that are right.
func (s *site) attempts() []attempt {
	right := "Bearer " + ingestToken
	return []attempt{
		{name: "right", ca: s.ours.CAFile, cert: &s.client, authorization: right},
		{name: "right, with its tenant", ca: s.ours.CAFile, cert: &s.client, authorization: right, tenant: "payments"},
		{name: "password", ca: s.ours.CAFile, cert: &s.client, authorization: basic("alice", password), tenant: "payments"},
		{name: "certificate alone", ca: s.ours.CAFile, cert: &s.client},
		{name: "another's tenant", ca: s.ours.CAFile, cert: &s.client, authorization: right, tenant: "default", want: "is not for tenant"},
		{name: "unknown tenant", ca: s.ours.CAFile, cert: &s.client, authorization: basic("alice", password), tenant: "nobody", want: "there is no tenant"},
		{name: "may only ask", ca: s.ours.CAFile, cert: &s.client, authorization: "Bearer " + queryToken, want: "may not ingest"},
		{name: "wrong token", ca: s.ours.CAFile, cert: &s.client, authorization: "Bearer wrong", want: "not known, or not right"},
		{name: "wrong password", ca: s.ours.CAFile, cert: &s.client, authorization: basic("alice", "wrong"), want: "not known, or not right"},
		{name: "another authority's server", ca: s.others.CAFile, cert: &s.client, authorization: right, want: "unknown authority"},
		{name: "another authority's certificate", ca: s.ours.CAFile, cert: &s.foreign, authorization: right, want: "tls: "},
		{name: "former certificate", ca: s.ours.CAFile, cert: &s.former, authorization: right, want: "tls: "},
	}
}

// pool returns what trusts a file's authority.
func (s *site) pool(file string) *tls.Config {
	c := &tls.Config{RootCAs: s.ours.Pool()}
	if file == s.others.CAFile {
		c.RootCAs = s.others.Pool()
	}
	return c
}

// TestGo sends a span with OpenTelemetry's Go SDK over gRPC and HTTP.
func TestGo(t *testing.T) {
	t.Parallel()
	s := start(t)
	for protocol, want := range map[string]string{"grpc": "tls: ", "http": "a credential is needed"} { // that of gRPC asks for a certificate
		none := attempt{name: "no credential, no certificate", ca: s.ours.CAFile, want: want}
		for _, a := range append(s.attempts(), none) {
			t.Run(protocol+" "+a.name, func(t *testing.T) {
				t.Parallel()
				err := s.export(t, protocol, a)
				// Over TLS 1.3 a client learns of its bad certificate only when it writes: its connection may be gone by then.
				gone := a.want == "tls: " && err != nil
				if (err != nil) != (a.want != "") || err != nil && !strings.Contains(err.Error(), a.want) && !gone {
					t.Errorf("%v; want %q", err, a.want)
				}
			})
		}
	}
}

// export sends one span.
func (s *site) export(t *testing.T, protocol string, a attempt) error {
	t.Helper()
	cfg, headers := s.pool(a.ca), map[string]string{}
	if a.cert != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &a.cert.TLS, nil } // also one that the server will not like
	}
	if a.authorization != "" {
		headers["authorization"] = a.authorization
	}
	if a.tenant != "" {
		headers["x-scope-orgid"] = a.tenant
	}
	var client otlptrace.Client
	if protocol == "grpc" {
		client = otlptracegrpc.NewClient(otlptracegrpc.WithEndpoint(s.Address("otlp_grpc")), otlptracegrpc.WithTLSCredentials(credentials.NewTLS(cfg)), otlptracegrpc.WithHeaders(headers),
			otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}), otlptracegrpc.WithTimeout(20*time.Second))
	} else {
		client = otlptracehttp.NewClient(otlptracehttp.WithEndpoint(s.Address("otlp_http")), otlptracehttp.WithTLSClientConfig(cfg), otlptracehttp.WithHeaders(headers),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}), otlptracehttp.WithTimeout(20*time.Second))
	}
	exporter, err := otlptrace.New(t.Context(), client)
	if err != nil {
		return err
	}
	failed := &failing{SpanExporter: exporter}
	provider := sdk.NewTracerProvider(sdk.WithSyncer(failed))
	_, span := provider.Tracer("secure").Start(t.Context(), "over TLS")
	span.End()
	if err := provider.Shutdown(context.WithoutCancel(t.Context())); err != nil && failed.err == nil {
		return err
	}
	return failed.err
}

// failing keeps the error of an export, of which the SDK tells nobody.
type failing struct {
	sdk.SpanExporter
	err error
}

func (f *failing) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	f.err = f.SpanExporter.ExportSpans(ctx, spans)
	return f.err
}

// TestSDKs sends a span with OpenTelemetry's SDKs for Node.js and Python, told by the environment that they share.
func TestSDKs(t *testing.T) {
	if testing.Short() {
		t.Skip("it installs the SDKs of two languages")
	}
	t.Parallel()
	s := start(t)
	node, python := testkit.NodeModules(t, "../clients/node"), testkit.PythonWith(t, "../clients/python")
	all := s.attempts()
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		listener := map[string]string{"grpc": "otlp_grpc", "http/protobuf": "otlp_http"}[protocol]
		for language, command := range map[string][]string{"node": {"node", "node/otlp.js", protocol, "000"}, "python": {python, "python/otlp.py", protocol, ""}} {
			for _, a := range []attempt{all[0], all[4], all[7], all[9], all[10]} {
				t.Run(language+" "+protocol+" "+a.name, func(t *testing.T) {
					cmd := exec.Command(command[0], command[1:3]...)
					t.Parallel()
					timeout := "10" + command[3] // in the language's unit
					if a.want != "" {
						timeout = "1" + command[3] // until when they try again what cannot be
					}
					headers := "authorization=" + strings.ReplaceAll(a.authorization, " ", "%20")
					if a.tenant != "" {
						headers += ",x-scope-orgid=" + a.tenant
					}
					cmd.Env = append(os.Environ(), "NODE_PATH="+node, "OTEL_EXPORTER_OTLP_ENDPOINT="+strings.Replace(s.https(listener), "127.0.0.1", "localhost", 1),
						"OTEL_EXPORTER_OTLP_CERTIFICATE="+a.ca, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE="+a.cert.CertFile, "OTEL_EXPORTER_OTLP_CLIENT_KEY="+a.cert.KeyFile,
						"OTEL_EXPORTER_OTLP_HEADERS="+headers, "OTEL_EXPORTER_OTLP_TIMEOUT="+timeout,
						"REQUESTS_CA_BUNDLE="+a.ca) // which Python's HTTP client takes before what it is told
					var stderr strings.Builder
					cmd.Stderr = &stderr
					out, err := cmd.Output()
					if (err != nil) != (a.want != "") {
						t.Errorf("%v; want %q\n%s", err, a.want, stderr.String())
					}
					status, got := s.get(t, "/api/v1/traces/"+strings.TrimSpace(string(out)), basic("alice", password), "payments")
					if (status == 200) != (a.want == "") {
						t.Errorf("afterwards the trace is %d, %.200s", status, got)
					}
				})
			}
		}
	}
}

// TestOthers sends a span with Jaeger's client for Node.js and Zipkin's, and asks for the page, over HTTPS.
func TestOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("it installs two clients")
	}
	t.Parallel()
	s := start(t)
	modules := testkit.NodeModules(t, "node")
	for name, c := range map[string]struct {
		client, url, ca, authorization string
		fine                           bool
	}{
		"jaeger":                   {"jaeger", s.https("jaeger_http") + "/api/traces", s.ours.CAFile, basic("alice", password), true},
		"jaeger, wrong password":   {"jaeger", s.https("jaeger_http") + "/api/traces", s.ours.CAFile, basic("alice", "wrong"), false},
		"jaeger, no password":      {"jaeger", s.https("jaeger_http") + "/api/traces", s.ours.CAFile, "", false},
		"jaeger, other authority":  {"jaeger", s.https("jaeger_http") + "/api/traces", s.others.CAFile, basic("alice", password), false},
		"zipkin":                   {"zipkin", s.https("zipkin") + "/api/v2/spans", s.ours.CAFile, "Bearer " + ingestToken, true},
		"zipkin, wrong token":      {"zipkin", s.https("zipkin") + "/api/v2/spans", s.ours.CAFile, "Bearer wrong", false},
		"zipkin, other authority":  {"zipkin", s.https("zipkin") + "/api/v2/spans", s.others.CAFile, "Bearer " + ingestToken, false},
		"page":                     {"page", s.https("query"), s.ours.CAFile, basic("alice", password), true},
		"page, with a token":       {"page", s.https("query"), s.ours.CAFile, "Bearer " + queryToken, true},
		"page, of who only sends":  {"page", s.https("query"), s.ours.CAFile, "Bearer " + ingestToken, false},
		"page, wrong password":     {"page", s.https("query"), s.ours.CAFile, basic("alice", "wrong"), false},
		"page, without a password": {"page", s.https("query"), s.ours.CAFile, "", false},
		"page, other authority":    {"page", s.https("query"), s.others.CAFile, basic("alice", password), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("node", "node/send.js", c.client, strings.Replace(c.url, "127.0.0.1", "localhost", 1), c.authorization)
			cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "NODE_EXTRA_CA_CERTS="+c.ca)
			out, err := cmd.CombinedOutput()
			if (err == nil) != c.fine {
				t.Errorf("%v\n%s", err, out)
			}
			if strings.Contains(name, "without a password") && !strings.Contains(string(out), `401 Basic realm="Clew"`) {
				t.Errorf("a browser is not asked for a password: %s", out)
			}
		})
	}
	t.Cleanup(func() {
		for _, tenant := range []string{"default", "payments"} {
			_, services := s.get(t, "/api/v1/services", basic("alice", password), tenant)
			want := map[string]string{"default": `["jaeger-client"]`, "payments": `["zipkin-js"]`}[tenant]
			if !strings.Contains(services, want) {
				t.Errorf("of %s there are %s; want %s", tenant, services, want)
			}
		}
	})
}
