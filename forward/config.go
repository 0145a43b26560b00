package forward

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// The protocols of destinations.
const (
	OTLPGRPC   = "otlp_grpc"
	OTLPHTTP   = "otlp_http"
	JaegerGRPC = "jaeger_grpc" // jaeger.api_v2.CollectorService/PostSpans
	JaegerHTTP = "jaeger_http" // Thrift binary
	Zipkin     = "zipkin"      // v2 JSON
)

// What happens to a batch for which the queue has no room.
const (
	DropOldest = "drop_oldest" // what waits longest makes room for it
	Refuse     = "refuse"      // it is refused, and its sender asked to come again
)

// Config is a destination and what is sent there.
type Config struct {
	Name     string // of its folder, and in metrics
	Protocol string
	Endpoint string // URL: http or https, with the path for protocols over HTTP if it is not the usual one
	Filter   Filter

	QueueBytes int64
	OnFull     string // DropOldest or Refuse

	BatchBytes  int64 // OTLP bytes in one request; a single larger span is sent alone
	Concurrency int
	Compression string // none, gzip or zstd
	Timeout     time.Duration
	RetryMin    time.Duration // the first wait after a failure; each is up to twice as long as the one before
	RetryMax    time.Duration

	Headers       map[string]Secret
	Authorization func() (string, error) // that header's value, for each request; nil: none
	TenantHeader  string                 // header that tells the tenant; empty: none does
	TLS           *tls.Config            // nil: the system's authorities
}

// Default returns the settings of a destination, all but its name, protocol and endpoint.
func Default() Config {
	return Config{
		QueueBytes: 1 << 30, OnFull: DropOldest, BatchBytes: 2 << 20, Concurrency: 4, Compression: "none",
		Timeout: 10 * time.Second, RetryMin: 500 * time.Millisecond, RetryMax: 30 * time.Second,
		Filter: Filter{Ratio: 1},
	}
}

// paths are where protocols over HTTP take spans, and what gRPC's method is.
var paths = map[string]string{
	OTLPGRPC: "/opentelemetry.proto.collector.trace.v1.TraceService/Export", OTLPHTTP: "/v1/traces",
	JaegerGRPC: "/jaeger.api_v2.CollectorService/PostSpans", JaegerHTTP: "/api/traces", Zipkin: "/api/v2/spans",
}

func isGRPC(protocol string) bool { return protocol == OTLPGRPC || protocol == JaegerGRPC }

// Validate returns an error that begins with the key of the setting that is wrong.
func (c *Config) Validate() error {
	switch {
	case c.Name == "" || len(c.Name) > 64 || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return fmt.Errorf("name: is %.80q; want up to 64 of a-z, 0-9, - and _", c.Name)
	case paths[c.Protocol] == "":
		return fmt.Errorf("protocol: is %.80q; want one of otlp_grpc, otlp_http, jaeger_grpc, jaeger_http, zipkin", c.Protocol)
	case c.QueueBytes < 4<<20:
		return fmt.Errorf("queue_bytes: is %d; want 4MiB or more", c.QueueBytes)
	case c.BatchBytes < 4<<10 || c.BatchBytes > c.QueueBytes/4:
		return fmt.Errorf("batch_bytes: is %d; want 4KiB to a quarter of queue_bytes, %d", c.BatchBytes, c.QueueBytes/4)
	case c.Timeout < time.Millisecond:
		return fmt.Errorf("timeout: is %v; want 1ms or more", c.Timeout)
	case c.RetryMin < time.Millisecond || c.RetryMax < c.RetryMin:
		return fmt.Errorf("retry_max: is %v, and retry_min %v; want 1ms or more, and retry_max not below retry_min", c.RetryMax, c.RetryMin)
	case c.Protocol == JaegerHTTP && c.Compression != "none":
		return fmt.Errorf("compression: is %s; want none, for Jaeger's collector reads no compressed bodies over HTTP", c.Compression)
	case c.Protocol == Zipkin && c.Compression == "zstd":
		return fmt.Errorf("compression: is zstd; want gzip or none, for Zipkin reads no zstd")
	}
	if _, err := c.url(); err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	for name, value := range c.Headers {
		if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || name == "" {
			return fmt.Errorf("headers: %.80q is no header's name", name)
		}
		if _, err := value.reveal(); err != nil {
			return fmt.Errorf("headers: %s: %w", name, err)
		}
	}
	if err := c.Filter.validate(); err != nil {
		return fmt.Errorf("filter.%w", err)
	}
	return nil
}

// url returns where requests go.
func (c *Config) url() (*url.URL, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("is %.200q; want a URL such as http://host:4317, or https://… with TLS", c.Endpoint)
	}
	switch path := paths[c.Protocol]; {
	case isGRPC(c.Protocol) && strings.Trim(u.Path, "/") != "":
		return nil, fmt.Errorf("is %.200q; want no path, for gRPC has its own", c.Endpoint)
	case isGRPC(c.Protocol) || u.Path == "" || u.Path == "/":
		u.Path = path
	}
	return u, nil
}
