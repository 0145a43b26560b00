package load

import (
	"fmt"

	"github.com/clewtrace/clew/trace"
)

// A service of the shop.
type service struct {
	name, version string
	pods          int
	language      string
	scopes        []string // instrumentation libraries, "name@version"
}

// services are the shop: 17 services in 57 pods.
var services = []service{
	{"gateway", "2.14.3", 4, "go", []string{scopeNetHTTP, scopeOwn}},
	{"frontend", "5.31.0", 6, "nodejs", []string{"@opentelemetry/instrumentation-http@0.205.0", "@opentelemetry/instrumentation-grpc@0.205.0", "@opentelemetry/instrumentation-express@0.54.0"}},
	{"cart", "1.18.2", 4, "dotnet", []string{"Microsoft.AspNetCore@9.0.0", "OpenTelemetry.Instrumentation.StackExchangeRedis@1.12.0-beta.2", "cart@1.18.2"}},
	{"catalog", "3.2.7", 5, "go", []string{scopeGRPC, scopeSQL, scopeOwn}},
	{"checkout", "4.0.12", 4, "go", []string{scopeGRPC, scopeOwn, "github.com/IBM/sarama/otelsarama@0.43.0"}},
	{"payment", "2.6.1", 3, "nodejs", []string{"@opentelemetry/instrumentation-grpc@0.205.0", "@opentelemetry/instrumentation-http@0.205.0", "payment@2.6.1"}},
	{"currency", "1.4.0", 3, "cpp", []string{"currency@1.4.0"}},
	{"shipping", "1.9.4", 3, "rust", []string{"actix-web-opentelemetry@0.22.0", "shipping@1.9.4"}},
	{"quote", "1.1.8", 2, "php", []string{"io.opentelemetry.contrib.php.slim@1.2.0"}},
	{"recommendation", "2.3.5", 4, "python", []string{"opentelemetry.instrumentation.grpc@0.58b0", "recommendation@2.3.5"}},
	{"ad", "1.7.0", 3, "java", []string{"io.opentelemetry.grpc-1.6@2.20.1-alpha", "ad@1.7.0"}},
	{"email", "1.2.2", 2, "ruby", []string{"OpenTelemetry::Instrumentation::Kafka@0.8.1", "OpenTelemetry::Instrumentation::Mail@0.3.0"}},
	{"accounting", "1.5.6", 2, "dotnet", []string{"OpenTelemetry.Instrumentation.ConfluentKafka@0.1.0-alpha.3", "Npgsql@9.0.3"}},
	{"fraud", "0.9.17", 2, "java", []string{"io.opentelemetry.kafka-clients-0.11@2.20.1-alpha", "io.opentelemetry.jdbc@2.20.1-alpha", "fraud@0.9.17"}},
	{"inventory", "6.1.3", 4, "java", []string{"io.opentelemetry.grpc-1.6@2.20.1-alpha", "io.opentelemetry.jdbc@2.20.1-alpha", "io.opentelemetry.spring-scheduling-3.1@2.20.1-alpha"}},
	{"auth", "3.8.0", 4, "go", []string{scopeGRPC, "github.com/redis/go-redis/extra/redisotel@9.12.1", scopeOwn}},
	{"search", "2.0.9", 2, "java", []string{"io.opentelemetry.tomcat-10.0@2.20.1-alpha", "io.opentelemetry.elasticsearch-rest-7.0@2.20.1-alpha"}},
}

const (
	scopeNetHTTP = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp@0.63.0"
	scopeGRPC    = "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc@0.63.0"
	scopeSQL     = "github.com/XSAM/otelsql@0.39.0"
	scopeOwn     = "example.com/shop@1.0.0"
)

// runtimes are what the SDK of a language says of its process.
var runtimes = map[string]struct {
	sdk, runtime, version string
	micros                bool // its wall clock has microseconds only
}{
	"go":     {"1.38.0", "go", "go1.25.1", false},
	"nodejs": {"2.1.0", "nodejs", "22.19.0", false},
	"dotnet": {"1.12.0", ".NET", "9.0.8", false},
	"java":   {"1.54.1", "OpenJDK Runtime Environment", "21.0.8+9-LTS", true},
	"python": {"1.37.0", "cpython", "3.13.7", false},
	"cpp":    {"1.22.0", "", "", false},
	"rust":   {"0.30.0", "", "", false},
	"php":    {"1.7.1", "cli-server", "8.4.12", true},
	"ruby":   {"1.9.0", "ruby", "3.4.5", false},
}

// nodes is how many hosts the pods are spread over.
const nodes = 9

// A pod is one process of a service.
type pod struct {
	service  int
	address  string
	resource []byte // encoded resource field of a ResourceSpans message
	schema   []byte // encoded schema_url field
	skew     int64  // ns its clock is ahead
}

// pods makes the shop's pods; their names and addresses depend on the seed.
func pods(r *random) []pod {
	var all []pod
	for si := range services {
		s := &services[si]
		hash := fmt.Sprintf("%09x", r.next()>>28)
		for range s.pods {
			n := len(all)
			p := pod{service: si, address: fmt.Sprintf("10.42.%d.%d", n%nodes, 10+r.below(240)), skew: int64(r.below(3_000_000)) - 1_500_000}
			res := trace.AppendResource(nil, &trace.Resource{Attrs: s.resource(r, n, hash)})
			p.resource = appendField(nil, 1, res)
			if s.language != "cpp" {
				p.schema = appendField(nil, 3, []byte("https://opentelemetry.io/schemas/1.37.0"))
			}
			all = append(all, p)
		}
	}
	return all
}

func (s *service) resource(r *random, n int, hash string) []trace.Attr {
	rt := runtimes[s.language]
	podName := fmt.Sprintf("%s-%s-%05x", s.name, hash, r.next()>>44)
	uuid := func() string {
		a, b := r.next(), r.next()
		return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>50, b&(1<<48-1))
	}
	str := func(k, v string) trace.Attr { return trace.Attr{Key: k, Value: trace.String(v)} }
	attrs := []trace.Attr{
		str("service.name", s.name),
		str("service.namespace", "shop"),
		str("service.version", s.version),
		str("service.instance.id", uuid()),
		str("deployment.environment.name", "production"),
		str("k8s.cluster.name", "eu-west-1a"),
		str("k8s.namespace.name", "shop"),
		str("k8s.deployment.name", s.name),
		str("k8s.pod.name", podName),
		str("k8s.pod.uid", uuid()),
		str("k8s.node.name", fmt.Sprintf("node-%d", n%nodes)),
		str("telemetry.sdk.name", "opentelemetry"),
		str("telemetry.sdk.language", s.language),
		str("telemetry.sdk.version", rt.sdk),
	}
	if rt.runtime != "" {
		attrs = append(attrs, str("process.runtime.name", rt.runtime), str("process.runtime.version", rt.version))
	}
	if s.language == "java" {
		attrs = append(attrs, str("host.arch", "amd64"))
	}
	return attrs
}

// scope returns an encoded scope field of a ScopeSpans message.
func scope(nameAtVersion string) []byte {
	var sc trace.Scope
	for i := len(nameAtVersion) - 1; i > 0; i-- {
		if nameAtVersion[i] == '@' {
			sc.Name, sc.Version = nameAtVersion[:i], nameAtVersion[i+1:]
			break
		}
	}
	return appendField(nil, 1, trace.AppendScope(nil, &sc))
}
