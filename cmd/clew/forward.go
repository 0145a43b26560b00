package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/clewtrace/clew/access"
	"github.com/clewtrace/clew/forward"
	"github.com/clewtrace/clew/receive"
)

// destination is where spans are sent on to, with what cmd alone knows of it.
type destination struct {
	forward.Config
	tls   access.ClientTLS
	login access.Login
}

func freshDestination() destination { return destination{Config: forward.Default()} }

// settings is what a destination can be told.
func (d *destination) settings() settings {
	f := &d.Filter
	ss := settings{
		{key: "name", help: "of its queue's folder, and in metrics", value: &text{&d.Name}},
		{key: "protocol", help: "otlp_grpc, otlp_http, jaeger_grpc, jaeger_http or zipkin", value: &text{&d.Protocol}},
		{key: "endpoint", help: "URL, such as http://host:4317; https with TLS", value: &text{&d.Endpoint}},
		{key: "filter.tenants", help: "only spans of these tenants", value: &list{&f.Tenants}},
		{key: "filter.services", help: "only spans of these services; * and ? stand for any text and one character", value: &list{&f.Services}},
		{key: "filter.errors", help: "only spans whose status is error", value: &boolean{&f.Errors}},
		{key: "filter.ratio", help: "this share of traces, by trace ID", value: &fraction{&f.Ratio}},
		{key: "filter.attributes", help: "only spans that have all of these attributes, or whose resources have: key=value, with * and ?", value: &list{&f.Attributes}},
		{key: "queue_bytes", help: "its queue's largest size on disk", value: &size{&d.QueueBytes}},
		{key: "on_full", help: "drop_oldest: what waits longest makes room; refuse: senders are asked to come again", value: &choice{&d.OnFull, []string{forward.DropOldest, forward.Refuse}}},
		{key: "batch_bytes", help: "OTLP bytes in one request", value: &size{&d.BatchBytes}},
		{key: "concurrency", help: "requests under way at once; 1 keeps the order, as far as nothing is sent again", value: &integer{&d.Concurrency, 1, 256}},
		{key: "compression", help: "none, gzip or zstd", value: &choice{&d.Compression, []string{"none", "gzip", "zstd"}}},
		{key: "timeout", help: "how long a request may take", value: &duration{&d.Timeout}},
		{key: "retry_min", help: "wait before a request is sent again for the first time", value: &duration{&d.RetryMin}},
		{key: "retry_max", help: "longest wait, unless the destination asks for more", value: &duration{&d.RetryMax}},
		{key: "headers", help: "by name; ${env:NAME} and ${file:PATH} in a value stand for what is there", value: &headers{&d.Headers}},
		{key: "tenant_header", help: "header that tells the destination the tenant; empty: none does", value: &text{&d.TenantHeader}},
	}
	return append(append(ss, clientTLSSettings("tls.", &d.tls)...), loginSettings("login.", &d.login)...)
}

// forwardSettings is the part of the settings that is about forwarding.
func (c *config) forwardSettings() settings {
	return settings{
		{key: "forward.to", help: "destinations that get spans as well: a list of sections, see forwarding.md", value: &sections[destination]{&c.forwardTo, freshDestination(), (*destination).settings}},
		{key: "forward.dir", help: "folder of the queues of destinations; empty: forward in store.dir", value: &text{&c.forwardDir}},
	}
}

func (c *config) validateForward() error {
	for i := range c.forwardTo {
		d := &c.forwardTo[i]
		if err := d.Validate(); err != nil {
			return fmt.Errorf("forward.to: destination %d: %w", i+1, err)
		}
		if slices.ContainsFunc(c.forwardTo[:i], func(other destination) bool { return other.Name == d.Name }) {
			return fmt.Errorf("forward.to: destination %d: name: %s is there already; want names that differ", i+1, d.Name)
		}
		if d.tls.Given() && !strings.HasPrefix(d.Endpoint, "https://") {
			return fmt.Errorf("forward.to: destination %d: tls: is given, but the endpoint is %s; want https://…", i+1, d.Endpoint)
		}
		if d.OnFull == forward.Refuse && d.QueueBytes < 2*c.bodyBytes {
			return fmt.Errorf("forward.to: destination %d: queue_bytes: is %d; with on_full: refuse want at least twice receive.body_bytes, %d", i+1, d.QueueBytes, 2*c.bodyBytes)
		}
	}
	return nil
}

// forwarder is what stands in front of the store when spans are sent on.
type forwarder interface {
	receive.Sink
	Close(ctx context.Context) error
}

// notForwarding is a forwarder to nowhere.
type notForwarding struct{ receive.Sink }

func (notForwarding) Close(context.Context) error { return nil }

// openForward puts the forwarding that is configured in front of a sink.
func (c *config) openForward(next receive.Sink, bodies *receive.Bodies, log *slog.Logger, reg prometheus.Registerer) (forwarder, error) {
	if len(c.forwardTo) == 0 {
		return notForwarding{next}, nil
	}
	to := make([]forward.Config, len(c.forwardTo))
	for i := range c.forwardTo {
		d := &c.forwardTo[i]
		if d.tls.Given() {
			cfg, err := clientTLS(&d.tls, d.Endpoint, log)
			if err != nil {
				return nil, fmt.Errorf("forward.to: destination %s: tls.%w", d.Name, err)
			}
			d.TLS = cfg
		}
		if d.login.Given() {
			if _, err := d.login.Authorization(); err != nil {
				return nil, fmt.Errorf("forward.to: destination %s: login.%w", d.Name, err)
			}
			d.Authorization = d.login.Authorization
		}
		to[i] = d.Config
	}
	dir := c.forwardDir
	if dir == "" {
		dir = filepath.Join(c.store.Dir, "forward")
	}
	f, err := forward.Open(to, forward.Options{Dir: dir, Next: next, Hold: bodies.Hold, Log: log, Reg: reg})
	if err != nil {
		return nil, fmt.Errorf("forward.dir: %w", err)
	}
	return f, nil
}

// fraction is a share, 0 to 1.
type fraction struct{ p *float64 }

func (v *fraction) String() string { return strconv.FormatFloat(*v.p, 'g', -1, 64) }
func (v *fraction) Set(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return fmt.Errorf("%q is not a number from 0 to 1", s)
	}
	*v.p = f
	return nil
}

// headers is values by a header's name. In a file it is a section; as text the same YAML in one line.
type headers struct {
	p *map[string]forward.Secret
}

// String does not show what a variable or a file has, but where the value is from.
func (v *headers) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(*v.p)) {
		parts = append(parts, name+": "+strconv.Quote(string((*v.p)[name])))
	}
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (v *headers) Set(s string) error { return setYAML(v, s) }

func (v *headers) loadNode(path, key string, n *yaml.Node) error {
	*v.p = nil
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return wants(path, key, n, "names and values, such as X-Key: ${file:/run/secrets/key}")
	}
	*v.p = map[string]forward.Secret{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if value.Kind != yaml.ScalarNode {
			return wants(path, strings.TrimPrefix(key+"."+name.Value, "."), value, "a text")
		}
		(*v.p)[name.Value] = forward.Secret(value.Value)
	}
	return nil
}
