package main

import (
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/receive/kafka"
	"github.com/clewtrace/clew/store/spool"
)

// config is what clew serve can be told.
type config struct {
	host                                                   string
	otlpGRPC, otlpHTTP, zipkin, scribe, page, tempo, admin string
	jaeger                                                 jaegerConfig
	store                                                  spool.Config
	tenantHeader                                           string
	tenants                                                []tenant // empty: the header means nothing
	access                                                 accessConfig
	forwardTo                                              []destination
	forwardDir                                             string
	bodyBytes, heldBytes, spanBytes                        int64
	timeout                                                time.Duration
	future, queryTimeout                                   time.Duration
	origins                                                []string
	prefix                                                 string
	queries                                                int
	querySpans                                             int64
	queryBytes, queryMemory, queryMemoryEach               int64
	pprof                                                  bool
	memory                                                 int64
	stop                                                   time.Duration
	steps                                                  []*stepConfig
	chain                                                  []process.Configured // of steps, made by validate
	logLevel, logFormat                                    string
	kafka                                                  kafkaConfig
}

func defaultConfig() *config {
	return &config{
		host: "127.0.0.1", otlpGRPC: ":4317", otlpHTTP: ":4318", zipkin: ":9411", scribe: ":9410", page: ":16686", tempo: ":3200", admin: ":14269",
		jaeger: defaultJaeger(), store: spool.Default(), bodyBytes: 64 << 20, heldBytes: 256 << 20, spanBytes: 16 << 20, timeout: 2 * time.Minute, future: 24 * time.Hour, origins: []string{"loopback"},
		access: defaultAccess(), prefix: "/", queries: 8, querySpans: query.DefaultLimits().Spans, queryBytes: query.DefaultLimits().Bytes, queryTimeout: 2 * time.Minute, tenantHeader: defaultTenantHeader, stop: 30 * time.Second, logLevel: "info", logFormat: "auto",
		kafka: kafkaConfig{Config: kafka.Default()},
	}
}

// settings is the one list of keys: flags, environment, file, --help, --print-config and docs/configuration.md come from it.
func (c *config) settings() settings {
	limits := c.access.limitsOfAll.settings("tenants.", "each tenant")
	return slices.Concat(settings{
		{key: "listen.host", help: "address for listeners that name none; 0.0.0.0 for all", value: &text{&c.host}},
		{key: "listen.otlp_grpc", help: "OTLP/gRPC", value: &address{&c.otlpGRPC}},
		{key: "listen.otlp_http", help: "OTLP/HTTP", value: &address{&c.otlpHTTP}},
		{key: "listen.zipkin", help: "Zipkin: spans over HTTP and gRPC, its read API, and the page at /zipkin/", value: &address{&c.zipkin}},
		{key: "listen.scribe", help: "Zipkin: spans over scribe", value: &address{&c.scribe}},
		{key: "listen.jaeger_compact", help: "Jaeger's agent over UDP: Thrift, compact protocol", value: &address{&c.jaeger.compact}},
		{key: "listen.jaeger_binary", help: "Jaeger's agent over UDP: Thrift, binary protocol", value: &address{&c.jaeger.binary}},
		{key: "listen.jaeger_http", help: "Jaeger's collector: Thrift over HTTP", value: &address{&c.jaeger.http}},
		{key: "listen.jaeger_grpc", help: "Jaeger's collector: gRPC", value: &address{&c.jaeger.grpc}},
		{key: "listen.sampling_http", help: "remote sampling for Jaeger's clients over HTTP", value: &address{&c.jaeger.samplingHTTP}},
		{key: "listen.sampling_grpc", help: "remote sampling for Jaeger's clients over gRPC", value: &address{&c.jaeger.samplingGRPC}},
		{key: "listen.query", help: "the page and the query APIs", value: &address{&c.page}},
		{key: "listen.query_grpc", help: "Jaeger's query API over gRPC", value: &address{&c.jaeger.queryGRPC}},
		{key: "listen.tempo", help: "Tempo's query API: HTTP, and gRPC for streams", value: &address{&c.tempo}},
		{key: "listen.admin", help: "health, metrics, backups", value: &address{&c.admin}},
		{key: "store.dir", help: "data folder", value: &text{&c.store.Dir}},
		{key: "store.retention", help: "how long spans are kept; 0: for ever", value: &duration{&c.store.Retention}},
		{key: "store.retention_bytes", help: "blocks may take this much, then the oldest go; 0: no limit", value: &size{&c.store.RetentionBytes}},
		{key: "store.head_bytes", help: "spans in memory, about, before a block is made of them", value: &size{&c.store.HeadBytes}},
		{key: "store.head_age", help: "age of spans in memory before a block is made of them", value: &duration{&c.store.HeadAge}},
		{key: "store.block_spans", help: "blocks are merged up to this many spans", value: &number{&c.store.BlockSpans}},
		{key: "store.merge_cpu", help: "merging may take this much of one core, in per cent", value: &integer{&c.store.MergeCPU, 1, 100}},
		{key: "store.merge_rate", help: "merging may read and write this much a second; 0: no limit", value: &size{&c.store.MergeRate}},
		{key: "tenants.header", help: "HTTP header that names the tenant of a request; without it, it is the tenant default", value: &text{&c.tenantHeader}},
		{key: "tenants.list", help: "tenants beside default, by name, each with its own retention, retention_bytes and limits; empty: there are none, and the header means nothing", value: &tenantList{&c.tenants}},
		{key: "tenants.listeners", help: "tenant of what names none, for listeners where it is not default: by name (such as zipkin)", value: &pairs{&c.access.tenants}},
		limits[0], limits[1], limits[2],
		{key: "tenants.burst", help: "spans and bytes that a tenant may send in this time may come at once", value: &duration{&c.access.burst}},
		{key: "receive.body_bytes", help: "largest request, decompressed", value: &size{&c.bodyBytes}},
		{key: "receive.held_bytes", help: "requests being received, together", value: &size{&c.heldBytes}},
		{key: "receive.span_bytes", help: "largest span", value: &size{&c.spanBytes}},
		{key: "receive.timeout", help: "how long a request may take to arrive", value: &duration{&c.timeout}},
		{key: "receive.future", help: "how far ahead of this clock a span may start", value: &duration{&c.future}},
		{key: "receive.udp_socket_bytes", help: "buffer that the system is asked for, for UDP packets that wait to be read; it may allow less", value: &size{&c.jaeger.buffers.Socket}},
		{key: "receive.udp_queue_bytes", help: "UDP packets that wait to be stored, for each listener; more are dropped and counted", value: &size{&c.jaeger.buffers.Queue}},
		{key: "sampling.strategies_file", help: "how Jaeger's clients are told to sample, in Jaeger's format, read again when it changes; empty: all alike", value: &text{&c.jaeger.strategies}},
		{key: "sampling.default_probability", help: "the share of traces that clients keep where the strategies file says nothing", value: &decimal{&c.jaeger.probability, 0, 1}},
		{key: "otlp.cors_origins", help: "origins of web pages that may send spans; loopback stands for this machine", value: &list{&c.origins}},
	}, c.forwardSettings(), settings{
		{key: "query.prefix", help: "path under which the page is served, behind a proxy", value: &text{&c.prefix}},
		{key: "query.timeout", help: "how long a query may run, once it is its turn; 0: as long as it likes", value: &duration{&c.queryTimeout}},
		{key: "query.concurrency", help: "queries that run at once", value: &integer{&c.queries, 1, 1024}},
		{key: "query.spans", help: "spans that a query may look at; 0: no limit", value: &number{&c.querySpans}},
		{key: "query.bytes", help: "how much of blocks a query may read, as it lies on the disk; 0: no limit", value: &size{&c.queryBytes}},
		{key: "query.memory", help: "memory that queries may hold together, about; 0: what process.memory leaves, or 2GiB if that is 0", value: &size{&c.queryMemory}},
		{key: "query.memory_each", help: "memory that one query may hold of it, about; 0: seven eighths of what is not set aside for small ones", value: &size{&c.queryMemoryEach}},
		{key: "admin.pprof", help: "serve Go profiles at /debug/pprof on the admin port", value: &boolean{&c.pprof}},
		{key: "process.memory", help: "soft limit of memory; 0: none", value: &size{&c.memory}},
		{key: "process.stop_timeout", help: "how long a stop waits for requests under way", value: &duration{&c.stop}},
		{key: "process.steps", help: "what is done to spans before they are stored, in this order: a list of steps, each with its kind; empty: nothing; see processing.md", value: &steps{&c.steps}},
		{key: "log.level", help: "debug, info, warn or error", value: &choice{&c.logLevel, []string{"debug", "info", "warn", "error"}}},
		{key: "log.format", help: "text, json, or auto: text on a terminal", value: &choice{&c.logFormat, []string{"auto", "text", "json"}}},
	}, c.kafka.settings(), c.access.settings())
}

func (c *config) logger() *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil { // choice has checked it
		panic(err)
	}
	opts := &slog.HandlerOptions{Level: level}
	st, err := os.Stderr.Stat()
	terminal := err == nil && st.Mode()&os.ModeCharDevice != 0
	if c.logFormat == "json" || c.logFormat == "auto" && !terminal {
		return slog.New(slog.NewJSONHandler(os.Stderr, opts))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts))
}
