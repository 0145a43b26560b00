package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/api/admin"
	apiclew "github.com/clewtrace/clew/api/clew"
	"github.com/clewtrace/clew/api/jaeger"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/receive/otlp"
	"github.com/clewtrace/clew/store/archive"
	"github.com/clewtrace/clew/store/tenants"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/ui"
)

const serveExample = `Receives spans (OTLP, Jaeger, Zipkin), keeps them in a folder, answers the Jaeger, Zipkin and Tempo APIs and shows them in a page.

  clew serve                                   # everything on this machine's loopback, data in ./clew-data
  clew serve --data /var/lib/clew --listen.host 0.0.0.0 --store.retention 14d
`

func runServe(ctx context.Context, args []string) error {
	c := defaultConfig()
	ss := c.settings()
	printOnly, err := ss.load(invocation{"serve", serveExample, map[string]string{"data": "store.dir"}, args, os.Environ()})
	if err != nil {
		return err
	}
	if printOnly {
		fmt.Print(ss.print())
		return nil
	}
	if err := c.validate(); err != nil {
		return usageError{ss.locate(err)}
	}
	return ss.explain(serve(ctx, c, c.logger(), func(listening) {}))
}

func (c *config) validate() error {
	if err := c.store.Validate(); err != nil {
		return fmt.Errorf("store.%w", err)
	}
	if err := cmp.Or(c.validateTenants(), c.validateForward()); err != nil {
		return err
	}
	if err := c.validateSteps(); err != nil {
		return err
	}
	if err := c.access.validate(c.settings(), c.tenantNames()); err != nil {
		return err
	}
	if c.bodyBytes < 1<<16 || c.bodyBytes > 1<<30 {
		return fmt.Errorf("receive.body_bytes: is %d; want 64KiB to 1GiB", c.bodyBytes)
	}
	if c.heldBytes < 4*c.bodyBytes { // a compressed JSON body is held as it came, decompressed, and in its binary form
		return fmt.Errorf("receive.held_bytes: is %d; want at least 4 times receive.body_bytes, %d", c.heldBytes, 4*c.bodyBytes)
	}
	if c.spanBytes < 1<<10 || c.spanBytes > c.bodyBytes {
		return fmt.Errorf("receive.span_bytes: is %d; want 1KiB to receive.body_bytes, %d", c.spanBytes, c.bodyBytes)
	}
	if c.timeout < time.Second {
		return fmt.Errorf("receive.timeout: is %v; want 1s or more", c.timeout)
	}
	if !strings.HasPrefix(c.prefix, "/") {
		return fmt.Errorf("query.prefix: is %q; want a path that begins with /", c.prefix)
	}
	return cmp.Or(c.validateQueries(), c.validateJaeger(), c.validateKafka())
}

// listening is the addresses that a server listens on, by the listener's key.
type listening map[string]string

// serve runs the backend until ctx is done, and calls ready when it takes spans.
func serve(ctx context.Context, c *config, log *slog.Logger, ready func(listening)) error {
	c.limitMemory()
	reg, started := newRegistry(), time.Now()

	// Ports first: nothing is opened or recovered for a process that cannot listen.
	l := c.newListeners(log, reg)
	defer l.close()
	adminL, grpcL, httpL := l.open("listen.admin", c.admin), l.open("listen.otlp_grpc", c.otlpGRPC), l.open("listen.otlp_http", c.otlpHTTP)
	zipkinL, scribeL, pageL, tempoL := l.open("listen.zipkin", c.zipkin), l.open("listen.scribe", c.scribe), l.open("listen.query", c.page), l.open("listen.tempo", c.tempo)
	jaegerL := c.openJaeger(l)
	if l.err != nil {
		return l.err
	}

	health := admin.NewHealth("recovering")
	adminMux := admin.Handler(health, reg, c.pprof)
	adminServer := newServer(adminMux, c.timeout, log)
	work, ctx := errgroup.WithContext(ctx) // a server that fails stops all
	work.Go(func() error { return l.guards.run(ctx) })
	serveHTTP(work, adminServer, adminL)
	defer shut(adminServer)

	store, err := c.openStore(log, reg)
	if err != nil {
		return err
	}
	engine, gate := c.openQueries(store, log, reg)
	admin.RegisterDelete(adminMux, gate, engine, store)
	admin.RegisterSnapshots(adminMux, log, func(ctx context.Context) ([]admin.File, error) { return snapshot(ctx, store) })
	meter, bodies := receive.NewMeter(reg), c.bodies(reg)
	sink, err := c.openForward(store.Store, bodies, log, reg)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	inlet := receive.Inlet{
		Sink: c.processed(sink, bodies, log, reg), Meter: meter, Tenants: c.share(gate, bodies, reg), Turns: bodies.Turns(),
		Limits: func(ctx context.Context) trace.Limits { return c.limits(ctx, store.Store) },
	}

	otlpReceiver := otlp.New(inlet, bodies, c.origins, log)
	grpcServer, httpServer := otlpReceiver.GRPC(c.timeout), c.otlpHTTPServer(otlpReceiver, log)

	own := http.NewServeMux()
	apiclew.Register(own, gate, engine, apiclew.Process{
		Version: versionText(), Started: started, Listen: l.described(), Totals: inlet.Totals, Deletions: store.Deletions, Retention: store.Retention, KeepBytes: c.keepBytes(), Others: admin.Calls(),
	})
	pageServer := newQueryServer(c.pageHandler(gate, engine, store, own), c.timeout, log)
	zipkinServer, scribeServer := c.zipkinServers(inlet, bodies, zipkinAnswers(gate, engine, own, reg), log)

	serveHTTP(work, grpcServer, grpcL)
	serveHTTP(work, httpServer, httpL)
	serveHTTP(work, zipkinServer, zipkinL)
	c.serveScribe(ctx, work, scribeServer, scribeL)
	serveHTTP(work, pageServer, pageL)
	tempoServer := c.serveTempo(work, gate, engine, tempoL)
	jaegerServers := append(c.serveJaeger(ctx, work, jaegerL, intake{inlet, bodies, reg, log}), c.serveQuery(work, jaegerL.queryGRPC, jaeger.New(gate, engine, store), log))
	topics := c.readKafka(ctx, work, intake{inlet, bodies, reg, log})
	health.Set("")
	log.Info("clew is ready", "version", versionText(), "page", l.addresses().page(c), "listen", l.addresses())
	ready(l.addresses())

	<-ctx.Done()
	health.Set("stopping")
	err = errors.Join(c.finish(log, sink, append(jaegerServers, grpcServer, httpServer, zipkinServer, scribeServer, pageServer, tempoServer, topics)...), store.Close())
	shut(adminServer)
	err = errors.Join(err, work.Wait())
	log.Info("stopped", "err", err)
	return err
}

// finish ends what comes in, and then what is sent on, within the time that a stop may take.
func (c *config) finish(log *slog.Logger, sink forwarder, servers ...stopper) error {
	log.Info("stopping: taking no more, finishing what is under way", "timeout", c.stop)
	ctx, cancel := context.WithTimeout(context.Background(), c.stop)
	defer cancel()
	if !drain(ctx, servers...) {
		log.Warn("requests under way were cut off", "timeout", c.stop)
	}
	return errors.Join(c.closeSteps(), sink.Close(ctx))
}

// pageHandler returns the handler of the query port: the page and the APIs that it and Jaeger's clients ask.
func (c *config) pageHandler(gate *api.Gate, engine *query.Engine, keeper jaeger.Archive, own http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", own)
	jaeger.New(gate, engine, keeper).Register(mux)
	mux.Handle("/", ui.Handler(c.prefix))
	return underPrefix(c.prefix, mux)
}

func (c *config) limitMemory() {
	if c.memory > 0 {
		debug.SetMemoryLimit(max(c.memory-c.systemMemory(), c.memory/2))
	}
}

// systemMemory is what the system counts to a process of which Go does not know: the program, as far as it was read, and what is yet to be given back.
func (c *config) systemMemory() int64 { return 32<<20 + c.memory/16 }

// keepBytes returns how much memory the traces may take that the page shows: an eighth of what the process may take.
func (c *config) keepBytes() int64 {
	if c.memory > 0 {
		return c.memory / 8
	}
	return 256 << 20
}

func (c *config) bodies(reg prometheus.Registerer) *receive.Bodies {
	b := receive.NewBodies(c.bodyBytes, c.heldBytes)
	b.Register(reg)
	return b
}

// limits returns what a span of the context's tenant may be now. What the retention would delete at once is refused instead.
func (c *config) limits(ctx context.Context, store *tenants.Store) trace.Limits {
	l := trace.DefaultLimits()
	l.Deleted = store.Deleted(ctx)
	l.SpanBytes = int(c.spanBytes)
	now := time.Now()
	if keep, _ := store.Retention(ctx); keep > 0 {
		l.Oldest = uint64(now.Add(-keep).UnixNano())
	}
	l.Newest = uint64(now.Add(c.future).UnixNano())
	return l
}

func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	return reg
}

func buildInfo() prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "clew_build_info", Help: "Always 1; the version is the label.", ConstLabels: prometheus.Labels{"version": versionText()},
	})
	g.Set(1)
	return g
}

// newServer returns a server that no slow or silent client can hold for long. Answers may take their time.
func newServer(h http.Handler, timeout time.Duration, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: min(10*time.Second, timeout), ReadTimeout: timeout, IdleTimeout: 5 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// newQueryServer returns one that takes addresses in which a query is as long as it may be, each of its bytes escaped.
func newQueryServer(h http.Handler, timeout time.Duration, log *slog.Logger) *http.Server {
	s := newServer(h, timeout, log)
	s.MaxHeaderBytes += 3 * traceql.MaxText
	return s
}

// otlpHTTPServer returns the server of OTLP/HTTP, which the specification lets speak HTTP/2, too.
func (c *config) otlpHTTPServer(r *otlp.Receiver, log *slog.Logger) *http.Server {
	s := newServer(r.HTTP(), c.timeout, log)
	receive.SpeakHTTP2(s)
	return s
}

func serveHTTP(work *errgroup.Group, s *http.Server, l net.Listener) {
	if g, ok := l.(*guarded); ok { // nil: switched off
		serve := g.prepare(s)
		work.Go(func() error { return ignore(serve(), http.ErrServerClosed) })
	}
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// snapshot returns the files of a tenant's store in the admin port's terms.
func snapshot(ctx context.Context, store *archive.Store) ([]admin.File, error) {
	files, err := store.Snapshot(ctx)
	out := make([]admin.File, len(files))
	for i, f := range files {
		out[i] = admin.File(f)
	}
	return out, err
}

func shut(s *http.Server) { _ = s.Close() }

// stopper is a server that can finish what is under way, or end at once.
type stopper interface {
	Shutdown(ctx context.Context) error
	Close() error
}

// drain stops servers, all at once, and waits for what is under way until ctx is done: then that is cut off and the result is false.
func drain(ctx context.Context, servers ...stopper) bool {
	var work errgroup.Group
	for _, s := range servers {
		work.Go(func() error {
			err := shutdown(ctx, s)
			if err != nil {
				_ = s.Close()
			}
			return err
		})
	}
	return work.Wait() == nil
}

// shutdown stops a server. It asks it again and again, for net/http tells those connections alone to go away that have begun to speak
// HTTP/2 by then, but waits for all.
func shutdown(ctx context.Context, s stopper) error {
	for {
		ask, cancel := context.WithTimeout(ctx, time.Second)
		err := s.Shutdown(ask)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// underPrefix serves a handler under a path, and sends the bare path there.
func underPrefix(prefix string, h http.Handler) http.Handler {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return h
	}
	mux := http.NewServeMux()
	mux.Handle(prefix+"/", http.StripPrefix(prefix, h))
	mux.Handle("/", http.RedirectHandler(prefix+"/", http.StatusTemporaryRedirect))
	return mux
}

// listeners opens the ports, and remembers the first that it could not.
type listeners struct {
	host   string
	log    *slog.Logger
	guards *guards
	keys   []string
	list   []net.Listener
	udp    map[string]*net.UDPConn // by key
	err    error
}

func (c *config) newListeners(log *slog.Logger, reg prometheus.Registerer) *listeners {
	guards, err := c.guard(log, reg)
	return &listeners{host: c.host, log: log, guards: guards, err: err}
}

// open opens an address; it returns nil when that is empty or something went wrong before.
func (l *listeners) open(key, address string) net.Listener {
	if address == "" || l.err != nil {
		return nil
	}
	if strings.HasPrefix(address, ":") {
		address = net.JoinHostPort(l.host, address[1:])
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		l.fail(key, address, err)
		return nil
	}
	l.keys, l.list = append(l.keys, key), append(l.list, ln)
	guarded, err := l.guards.listen(key, ln)
	if err != nil {
		l.err = err
		return nil
	}
	return guarded
}

// fail notes that an address could not be opened.
func (l *listeners) fail(key, address string, err error) {
	if !errors.Is(err, syscall.EADDRINUSE) {
		l.err = fmt.Errorf("%s: %w", key, err)
		return
	}
	user := "another process; stop that, or"
	for other, used := range l.addresses() {
		if used == address {
			user = other + ";"
		}
	}
	l.err = fmt.Errorf("%s: %s is in use by %s choose another with --%s", key, address, user, key)
}

func (l *listeners) close() {
	for _, ln := range l.list {
		_ = ln.Close() // its server has closed it already, mostly
	}
	for _, conn := range l.udp {
		_ = conn.Close()
	}
}

func (l *listeners) addresses() listening {
	out := listening{}
	for i, key := range l.keys {
		out[key] = l.list[i].Addr().String()
	}
	for key, conn := range l.udp {
		out[key] = conn.LocalAddr().String()
	}
	return out
}

// described returns the listeners as the status call names them: listen.otlp_grpc as otlp/grpc.
func (l *listeners) described() []apiclew.Listener {
	name := func(key string) string { return strings.Replace(strings.TrimPrefix(key, "listen."), "_", "/", 1) }
	var out []apiclew.Listener
	for i, key := range l.keys {
		out = append(out, apiclew.Listener{Protocol: name(key), Address: l.list[i].Addr().String()})
	}
	for _, key := range slices.Sorted(maps.Keys(l.udp)) {
		out = append(out, apiclew.Listener{Protocol: name(key), Address: l.udp[key].LocalAddr().String()})
	}
	return out
}
