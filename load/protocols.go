package load

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/jaeger"
	"github.com/clewtrace/clew/wire/otlp"
	"github.com/clewtrace/clew/wire/zipkin"
)

// protocol is a way to send spans.
type protocol struct {
	name     string
	listener string // Clew's setting, behind "listen."
	address  string // where servers listen for it, on this machine
	path     string // of the URL, or of the call of gRPC

	contentType string
	ok          int                             // the status of HTTP for what was taken
	encode      func(spans []trace.Span) []byte // nil: OTLP's bytes as they are
	process     bool                            // a request has spans of one process alone
	most        int                             // spans in a request; 0: any number
	open        func(target) (transport, error)
}

// target is where a transport sends to, and how.
type target struct {
	*protocol
	url *url.URL
	cfg *Config
}

// bundle is how many times as many spans as a request has are made at once where requests are of one process each: those of some fifty come in turns.
func (p *protocol) bundle() int {
	switch {
	case !p.process:
		return 1
	case p.most > 0: // or what is sent at once is more than a socket holds
		return 4
	}
	return 16
}

// datagramSpans is how many spans a packet has: a client of Jaeger's fills up to 65,000 bytes, which few but large ones fill as well.
const datagramSpans = 50

var protocols = []protocol{
	{name: "otlp/grpc", listener: "otlp_grpc", address: "127.0.0.1:4317", path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export", open: openGRPC},
	{name: "otlp/http", listener: "otlp_http", address: "127.0.0.1:4318", path: "/v1/traces", contentType: "application/x-protobuf", ok: http.StatusOK, open: openHTTP},
	{name: "otlp/json", listener: "otlp_http", address: "127.0.0.1:4318", path: "/v1/traces", contentType: "application/json", ok: http.StatusOK, encode: otlpJSON, open: openHTTP},
	{name: "jaeger/udp", listener: "jaeger_compact", address: "127.0.0.1:6831", encode: inJaeger(jaeger.AppendEmitBatch), process: true, most: datagramSpans, open: openUDP},
	{
		name: "jaeger/http", listener: "jaeger_http", address: "127.0.0.1:14268", path: "/api/traces", contentType: "application/x-thrift", ok: http.StatusAccepted,
		encode: inJaeger(jaeger.AppendThriftBatch), process: true, open: openHTTP,
	},
	{
		name: "jaeger/grpc", listener: "jaeger_grpc", address: "127.0.0.1:14250", path: "/jaeger.api_v2.CollectorService/PostSpans",
		encode: inJaeger(jaeger.AppendPostSpans), process: true, open: openGRPC,
	},
	{name: "zipkin/json", listener: "zipkin", address: "127.0.0.1:9411", path: "/api/v2/spans", contentType: "application/json", ok: http.StatusAccepted, encode: inZipkin(zipkin.JSONV2), open: openHTTP},
	{name: "zipkin/proto", listener: "zipkin", address: "127.0.0.1:9411", path: "/api/v2/spans", contentType: "application/x-protobuf", ok: http.StatusAccepted, encode: inZipkin(zipkin.Proto3), open: openHTTP},
	{name: "zipkin/v1-json", listener: "zipkin", address: "127.0.0.1:9411", path: "/api/v1/spans", contentType: "application/json", ok: http.StatusAccepted, encode: inZipkin(zipkin.JSONV1), open: openHTTP},
	{name: "zipkin/v1-thrift", listener: "zipkin", address: "127.0.0.1:9411", path: "/api/v1/spans", contentType: "application/x-thrift", ok: http.StatusAccepted, encode: inZipkin(zipkin.Thrift), open: openHTTP},
	{name: "zipkin/grpc", listener: "zipkin", address: "127.0.0.1:9411", path: "/zipkin.proto3.SpanService/Report", encode: inZipkin(zipkin.Proto3), open: openGRPC},
	{name: "scribe", listener: "scribe", address: "127.0.0.1:9410", encode: scribeCall, open: openScribe},
}

// Protocols returns the names that Config.Protocol may have.
func Protocols() []string {
	names := make([]string, len(protocols))
	for i := range protocols {
		names[i] = protocols[i].name
	}
	return names
}

// Listener returns the name of Clew's listener for a protocol, as in its setting listen.otlp_grpc.
func Listener(name string) string {
	p, err := protocolOf(name)
	if err != nil {
		return ""
	}
	return p.listener
}

func protocolOf(name string) (*protocol, error) {
	for i := range protocols {
		if protocols[i].name == name {
			return &protocols[i], nil
		}
	}
	return nil, fmt.Errorf("protocol is %q; want one of %s", name, strings.Join(Protocols(), ", "))
}

func (p *protocol) isHTTP() bool { return p.contentType != "" }

// compresses reports whether requests can be compressed.
func (p *protocol) compresses() bool { return p.path != "" }

func otlpJSON(spans []trace.Span) []byte { return otlp.AppendJSON(nil, spans) }

func inJaeger(encode func([]byte, []trace.Span) []byte) func([]trace.Span) []byte {
	return func(spans []trace.Span) []byte { return encode(nil, spans) }
}

func inZipkin(f zipkin.Format) func([]trace.Span) []byte {
	return func(spans []trace.Span) []byte {
		stripped(spans)
		return zipkin.Encode(f, spans)
	}
}

// stripped leaves of resources and scopes what Zipkin's clients send: the service. Each span would have all else as its own tags.
func stripped(spans []trace.Span) {
	var last, bare *trace.Resource
	for i := range spans {
		s := &spans[i]
		if s.Resource != last {
			last = s.Resource
			bare = &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(last.Service())}}}
		}
		s.Resource, s.Scope = bare, &noScope
	}
}

var noScope = trace.Scope{}

// part is one request of what a generator made.
type part struct {
	body  []byte
	spans int
}

// parts returns what a generator made as the protocol's requests.
func (p *protocol) parts(made []byte, spans int) ([]part, error) {
	if p.encode == nil {
		return []part{{made, spans}}, nil
	}
	var b trace.Batch
	if err := b.Index(made, trace.DefaultLimits()); err != nil {
		return nil, err
	}
	all, err := b.Decode()
	if err != nil {
		return nil, err
	}
	var out []part
	for len(all) > 0 {
		n := p.first(all)
		out = append(out, part{p.encode(all[:n]), n})
		all = all[n:]
	}
	return out, nil
}

// first returns how many of spans the first request has.
func (p *protocol) first(spans []trace.Span) int {
	n := len(spans)
	if p.most > 0 {
		n = min(n, p.most)
	}
	if p.process {
		for i := range n {
			if spans[i].Resource != spans[0].Resource {
				return i
			}
		}
	}
	return n
}
