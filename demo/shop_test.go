package demo_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/demo"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/receive/otlp"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

// backend is a store behind OTLP/gRPC, until the test ends.
func backend(t *testing.T) (endpoint string, engine *query.Engine) {
	t.Helper()
	cfg := spool.Default()
	cfg.Dir = t.TempDir()
	reg := prometheus.NewRegistry()
	store, err := spool.Open(cfg, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	inlet := receive.Inlet{Sink: store, Meter: receive.NewMeter(reg), Limits: func(context.Context) trace.Limits { return trace.DefaultLimits() }}
	server := otlp.New(inlet, receive.NewBodies(16<<20, 64<<20), nil, slog.New(slog.DiscardHandler)).GRPC(time.Minute)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil { // before the store is closed
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), query.New(store)
}

// find returns the traces with a span on which all conditions hold.
func find(t *testing.T, e *query.Engine, keep func(*trace.Span) bool) []*trace.Trace {
	t.Helper()
	a, err := e.Find(t.Context(), query.Request{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var out []*trace.Trace
	for _, tr := range a.Traces {
		if slices.ContainsFunc(tr.Spans, func(s trace.Span) bool { return keep(&s) }) {
			out = append(out, tr)
		}
	}
	return out
}

func text(attrs []trace.Attr, key string) string {
	v, _ := trace.Get(attrs, key)
	return v.Text()
}

// TestShop visits the shop and looks at all that its traces should show.
func TestShop(t *testing.T) {
	engine := visited(t, demo.Default().Propagation, orders)
	checkTraces(t, engine)
}

// TestMixed: the traces are as whole when each service writes headers in another format.
func TestMixed(t *testing.T) {
	engine := visited(t, demo.Mixed, 3)
	checkOrders(t, engine, 3)
}

// orders is how many are placed so that some are paid, twice at least, at the processor of three that breaks every second time.
const orders = 24

// visited returns what a shop sent that was visited, with some orders.
func visited(t *testing.T, propagation string, orders int) *query.Engine {
	t.Helper()
	endpoint, engine := backend(t)
	before := runtime.NumGoroutine()
	cfg := demo.Default()
	cfg.Propagation = propagation
	cfg.Endpoint, cfg.Rate, cfg.SlowEvery, cfg.FailEvery = endpoint, 0, 1, 2
	shop, err := demo.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	visit := func(verb, path string, more ...string) {
		form := url.Values{"user": {"u-1"}}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		if err := shop.Visit(t.Context(), client, demo.Page{Verb: verb, Path: path, Form: form}); err != nil {
			t.Error(err)
		}
	}
	visit("GET", "/")
	visit("GET", "/product/spool-01")
	visit("GET", "/product/there-is-none")
	for range orders {
		visit("POST", "/cart", "product", "spool-01")
		visit("POST", "/cart", "product", "lamp-01")
		visit("GET", "/cart")
		visit("POST", "/checkout")
	}
	client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := shop.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	checkGoroutines(t, before)
	return engine
}

// checkGoroutines waits until there are no more goroutines than before; the backend's own for its connections are gone by then, too.
func checkGoroutines(t *testing.T, before int) {
	t.Helper()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines; %d before the shop\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

func checkTraces(t *testing.T, engine *query.Engine) {
	t.Helper()
	services, err := engine.Services(t.Context())
	want := []string{"cart", "catalog", "checkout", "email", "frontend", "inventory", "payment", "recommendation", "shipping"}
	if err != nil || !slices.Equal(services, want) {
		t.Errorf("services %v, %v; want %v", services, err, want)
	}
	slow := find(t, engine, func(s *trace.Span) bool { return s.End-s.Start > 350e6 && text(s.Attrs, "db.wait.event") != "" })
	if len(slow) == 0 {
		t.Error("no query of the inventory is slow")
	}
	failed := find(t, engine, func(s *trace.Span) bool {
		return s.Status == trace.StatusError && len(s.Events) > 0 && strings.Contains(text(s.Events[0].Attrs, "exception.stacktrace"), "demo.") &&
			s.Resource.Service() == "payment"
	})
	if len(failed) == 0 {
		t.Error("no payment failed with a stack trace")
	}
	retried := find(t, engine, func(s *trace.Span) bool {
		return slices.ContainsFunc(s.Events, func(e trace.Event) bool { return e.Name == "retry" })
	})
	if len(retried) == 0 {
		t.Error("no payment was tried again")
	}
	mails := find(t, engine, func(s *trace.Span) bool {
		return s.Kind == trace.KindConsumer && len(s.Links) == 1 && s.Parent.IsZero()
	})
	if len(mails) == 0 {
		t.Fatal("no mail was sent in a trace of its own")
	}
	for _, m := range mails {
		for i := range m.Spans {
			for _, l := range m.Spans[i].Links {
				cause, err := engine.Trace(t.Context(), l.TraceID, trace.Range{})
				if err != nil || !slices.ContainsFunc(cause.Spans, func(s trace.Span) bool { return s.ID == l.SpanID && s.Kind == trace.KindProducer }) {
					t.Errorf("the link of a mail leads to no producer: %v", err)
				}
			}
		}
	}
	checkOrders(t, engine, orders)
}

// checkOrders holds that each order is one trace without gaps.
func checkOrders(t *testing.T, engine *query.Engine, want int) {
	t.Helper()
	all := find(t, engine, func(s *trace.Span) bool { return s.Name == "POST /checkout" && s.Parent.IsZero() })
	if len(all) != want {
		t.Errorf("%d checkouts; want %d", len(all), want)
	}
	for _, o := range all {
		if tree := trace.Arrange(o.Spans); tree.Gaps > 0 || len(o.Spans) < 15 {
			t.Errorf("a checkout has %d spans and %d gaps", len(o.Spans), tree.Gaps)
		}
	}
}

func TestGuide(t *testing.T) {
	cfg := demo.Default()
	cfg.Endpoint, cfg.Rate = "127.0.0.1:1", 0
	shop, err := demo.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	g := shop.Guide("http://127.0.0.1:16686/")
	for _, want := range []string{"http://127.0.0.1:16686/search?minDuration=400ms&service=inventory", "service=payment&tags=%7B%22error%22%3A%22true%22%7D", "service=email", shop.URL()} {
		if !strings.Contains(g, want) {
			t.Errorf("the guide lacks %s:\n%s", want, g)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := shop.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestRun(t *testing.T) {
	endpoint, engine := backend(t)
	before := runtime.NumGoroutine()
	cfg := demo.Default()
	cfg.Endpoint, cfg.Rate = endpoint, 100
	shop, err := demo.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { shop.Run(ctx); close(done) }()
	for range 200 { // until something has come
		if services, err := engine.Services(t.Context()); err == nil && len(services) >= 5 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	<-done
	closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := shop.Close(closing); err != nil {
		t.Error(err)
	}
	checkGoroutines(t, before)
	if n := len(find(t, engine, func(s *trace.Span) bool { return s.Resource.Service() == "frontend" && s.Parent.IsZero() })); n < 5 {
		t.Errorf("%d visits; want at least 5", n)
	}
}

func TestValidate(t *testing.T) {
	for _, change := range []func(*demo.Config){
		func(c *demo.Config) { c.Rate = -1 }, func(c *demo.Config) { c.SlowEvery = -1 }, func(c *demo.Config) { c.FailEvery = -1 },
		func(c *demo.Config) { c.Propagation = "w3c" },
	} {
		cfg := demo.Default()
		change(&cfg)
		if _, err := demo.Start(t.Context(), cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
