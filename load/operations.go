package load

import (
	"slices"
	"strings"
	"time"

	"github.com/clewtrace/clew/trace"
)

// An operation is a kind of span that a service makes.
type operation struct {
	service string
	scope   int // index into the service's scopes
	name    string
	kind    trace.Kind
	attrs   []attr
	median  time.Duration // its own work, children not counted
	spread  spreadKind
	fails   float64 // chance to fail by itself
	throws  *exception
}

// spreadKind says how durations scatter.
type spreadKind uint8

const (
	steady spreadKind = iota // a computation
	usual                    // a call on a network
	wild                     // a database, somebody else's service
	spreadKinds
)

var sigmas = [spreadKinds]float64{0.25, 0.55, 1.1}

// exception is what an operation records when it fails by itself.
type exception struct {
	class, message string
	stacks         []string
}

// Attributes in the words of OpenTelemetry's semantic conventions, 1.37.

func text(key, s string) attr {
	if strings.Contains(s, "{") {
		return attr{key, value{text: s}}
	}
	return attr{key, value{fixed: trace.String(s)}}
}

func number(key string, lo, hi uint32) attr { return attr{key, value{lo: lo, hi: hi}} }

func integer(key string, n int64) attr { return attr{key, value{fixed: trace.Int(n)}} }

func truth(key string, b bool) attr { return attr{key, value{fixed: trace.Bool(b)}} }

func outcome(key string, ok, bad int64) attr {
	return attr{key, value{fixed: trace.Int(ok), bad: trace.Int(bad)}}
}

func onError(key, s string) attr { return attr{key, value{fixed: trace.String(s), only: true}} }

func choice(key string, of ...string) attr { return attr{key, value{oneOf: of}} }

func peer(key string) attr { return attr{key, value{peer: true}} }

func with(attrs []attr, more ...attr) []attr { return append(slices.Clip(attrs), more...) }

// port numbers of clients take three bytes as a varint.
func ephemeral(key string) attr { return number(key, 32768, 60999) }

func httpServer(method, route, path string) []attr {
	return []attr{
		text("http.request.method", method), text("url.scheme", "http"), text("url.path", path), text("http.route", route),
		outcome("http.response.status_code", 200, 500), text("network.protocol.version", "1.1"),
		peer("network.peer.address"), ephemeral("network.peer.port"), peer("client.address"), onError("error.type", "500"),
	}
}

func httpClient(method, host, path string) []attr {
	name, port, _ := strings.Cut(host, ":")
	n := int64(80)
	if port == "8080" {
		n = 8080
	}
	return []attr{
		text("http.request.method", method), text("url.full", "http://"+host+path), text("server.address", name), integer("server.port", n),
		outcome("http.response.status_code", 200, 500), text("network.protocol.version", "1.1"), onError("error.type", "500"),
		peer("network.peer.address"), number("http.response.body.size", 256, 16000),
	}
}

func grpcServer(service, method string) []attr {
	return []attr{
		text("rpc.system", "grpc"), text("rpc.service", service), text("rpc.method", method), outcome("rpc.grpc.status_code", 0, 13),
		peer("network.peer.address"), ephemeral("network.peer.port"), text("rpc.request.id", "{x12}"),
		text("server.address", "0.0.0.0"), integer("server.port", 8080), number("rpc.response.size", 200, 16000),
	}
}

func grpcClient(service, method, host string) []attr {
	return []attr{
		text("rpc.system", "grpc"), text("rpc.service", service), text("rpc.method", method), outcome("rpc.grpc.status_code", 0, 13),
		text("server.address", host), integer("server.port", 8080), peer("network.peer.address"), ephemeral("network.local.port"),
		text("network.transport", "tcp"),
	}
}

func sql(db, verb, table, query string) []attr {
	return []attr{
		text("db.system.name", "postgresql"), text("db.namespace", db), text("db.operation.name", verb), text("db.collection.name", table),
		text("db.query.text", query), text("server.address", "postgres-"+db+".shop.svc.cluster.local"), integer("server.port", 5432),
		choice("network.peer.address", "10.42.3.17", "10.42.6.90"), ephemeral("network.local.port"), number("db.response.returned_rows", 1, 60),
	}
}

func redis(host, verb, query string) []attr {
	return []attr{
		text("db.system.name", "redis"), text("db.operation.name", verb), text("db.query.text", query), text("db.namespace", "0"),
		text("server.address", host+".shop.svc.cluster.local"), integer("server.port", 6379), text("network.peer.address", "10.42.8.31"),
		ephemeral("network.local.port"),
	}
}

func kafka(topic, operation string) []attr {
	return []attr{
		text("messaging.system", "kafka"), text("messaging.destination.name", topic), text("messaging.operation.name", operation),
		text("messaging.client.id", "shop-"+operation), choice("messaging.destination.partition.id", "0", "1", "2", "3", "4", "5"),
		number("messaging.kafka.offset", 20_000_000, 200_000_000), text("messaging.kafka.message.key", "{order}"),
		number("messaging.message.body.size", 300, 2000), text("server.address", "kafka-0.kafka.shop.svc.cluster.local"), integer("server.port", 9092),
	}
}

func code(function, file string, line int64) []attr {
	return []attr{
		text("code.function.name", function), text("code.file.path", file), integer("code.line.number", line),
	}
}

// thread is what the Java agent says of every span.
func thread(name string) []attr {
	return []attr{number("thread.id", 21, 90), text("thread.name", name+"{d1}")}
}

// userAgents are the browsers of the shop's customers, the popular ones first.
var userAgents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
	"Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
	"ShopApp/7.4.1 (iOS 18.6.2; iPhone16,1)",
	"ShopApp/7.4.1 (Android 15; Pixel 9)",
	"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
}

// countries are where they are.
var countries = []string{"DE", "FR", "US", "GB", "NL", "ES", "PL", "AT", "CH", "IT", "SE", "JP"}

// currencies are what they pay with.
var currencies = []string{"EUR", "USD", "GBP", "CHF", "PLN", "SEK", "JPY"}
