package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Config says what is sent where, and how fast.
type Config struct {
	Endpoint    string        // host:port or URL; empty: the protocol's own port on this machine
	Protocol    string        // one of Protocols
	Compression string        // none, gzip or zstd
	Connections int           // requests under way at the same time, each on a connection of its own
	Batch       int           // spans in a request, about
	Rate        float64       // spans a second of all connections; 0: as fast as possible
	Spans       int64         // stop after about so many spans; 0: never
	Duration    time.Duration // stop after this time; 0: never
	From, Until time.Time     // spread Spans over this time, as if they had been sent then; zero: the spans are of now
	Seed        uint64
	Timeout     time.Duration     // for the answer to one request
	Headers     map[string]string // of each request, such as the one that names a tenant
	TLS         *tls.Config       // of connections to an https endpoint; nil: the system's authorities are trusted
	Patience    time.Duration     // how long a request is sent again before it counts as failed
}

// Default returns the configuration of a load that any machine can bear.
func Default() Config {
	return Config{
		Protocol: "otlp/grpc", Compression: "none", Connections: 2, Batch: 800, Rate: 1000, Seed: 1,
		Timeout: 10 * time.Second, Patience: time.Minute,
	}
}

// Validate says what is wrong with a setting, and what would be right.
func (c *Config) Validate() error {
	p, err := protocolOf(c.Protocol)
	switch {
	case err != nil:
		return err
	case c.Compression != "none" && c.Compression != "gzip" && c.Compression != "zstd":
		return fmt.Errorf("compression is %q; want none, gzip or zstd", c.Compression)
	case c.Compression != "none" && !p.compresses():
		return fmt.Errorf("compression is %q; %s has none", c.Compression, p.name)
	case c.Connections < 1 || c.Connections > 10_000:
		return fmt.Errorf("connections is %d; want 1 to 10000", c.Connections)
	case c.Batch < 1 || c.Batch > 20_000:
		return fmt.Errorf("batch is %d; want 1 to 20000 spans", c.Batch)
	case c.Rate < 0 || c.Rate > 1e9:
		return fmt.Errorf("rate is %g; want 0, for as fast as possible, to 1G spans a second", c.Rate)
	case c.Spans < 0:
		return fmt.Errorf("spans is %d; want 0, for no end, or more", c.Spans)
	case c.Duration < 0:
		return fmt.Errorf("duration is %s; want 0, for no end, or more", c.Duration)
	case !c.From.IsZero() && (c.Spans == 0 || !c.Until.After(c.From)):
		return errors.New("a time in the past needs a number of spans, and an end behind its start")
	case c.Timeout <= 0 || c.Patience < 0:
		return fmt.Errorf("timeout is %s and patience %s; want more than 0", c.Timeout, c.Patience)
	}
	_, err = c.target()
	return err
}

// target returns where to send to. Of the URL, only HTTP needs more than the host.
func (c *Config) target() (to target, err error) {
	p, err := protocolOf(c.Protocol)
	if err != nil {
		return to, err
	}
	s := c.Endpoint
	if s == "" {
		s = p.address
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return to, fmt.Errorf("endpoint is %q; want host:port or a URL with http or https", c.Endpoint)
	}
	if u.Port() == "" {
		return to, fmt.Errorf("endpoint is %q; it needs a port, as in %s", c.Endpoint, net.JoinHostPort(u.Hostname(), portOf(p.address)))
	}
	if p.isHTTP() && strings.Trim(u.Path, "/") == "" {
		u.Path = p.path
	}
	return target{p, u, c}, nil
}

func portOf(address string) string {
	_, port, _ := strings.Cut(address, ":")
	return port
}
