package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

// service is what every service of the shop has: an SDK of its own, an address, and clients for the others.
type service struct {
	identity
	provider *sdk.TracerProvider
	tracer   oteltrace.Tracer
	listener net.Listener
	client   *http.Client
	conns    []*grpc.ClientConn
	stop     func(context.Context) error // of the server; nil while there is none
}

// identity is who a service is, and how it says of which trace a request is.
type identity struct {
	name, version string
	propagator    propagator
}

// open gives a service its SDK, which exports as configured, and a free port of this machine.
func open(ctx context.Context, who identity, cfg Config) (*service, error) {
	name := who.name
	connect := otlptracegrpc.WithInsecure()
	if cfg.TLS != nil {
		connect = otlptracegrpc.WithTLSCredentials(credentials.NewTLS(cfg.TLS))
	}
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(cfg.Endpoint), connect, otlptracegrpc.WithHeaders(cfg.Headers))
	if err != nil {
		return nil, fmt.Errorf("exporter of %s: %w", name, err)
	}
	pod := fmt.Sprintf("%s-%08x-%05x", name, rand.Uint32(), rand.Uint32N(1<<20))
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithProcessRuntimeName(), resource.WithProcessRuntimeVersion(), resource.WithAttributes(
		attribute.String("service.name", name), attribute.String("service.namespace", "demo-shop"), attribute.String("service.version", who.version),
		attribute.String("service.instance.id", pod), attribute.String("host.name", pod), attribute.String("deployment.environment.name", "demo"),
	))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("resource of %s: %w", name, err), exporter.Shutdown(ctx))
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter, sdk.WithBatchTimeout(500*time.Millisecond)), sdk.WithResource(res))
	s := &service{identity: who, provider: provider, tracer: provider.Tracer("demo-shop/" + name)}
	s.client = &http.Client{Timeout: 10 * time.Second, Transport: otelhttp.NewTransport(
		&http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: 30 * time.Second},
		otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(who.propagator))}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for %s: %w", name, err), provider.Shutdown(ctx))
	}
	return s, nil
}

func (s *service) address() string { return s.listener.Addr().String() }

// serveHTTP starts an HTTP server; work counts it until it has stopped.
func (s *service) serveHTTP(work *sync.WaitGroup, h http.Handler) {
	server := &http.Server{
		Handler:           otelhttp.NewHandler(h, s.name, otelhttp.WithTracerProvider(s.provider), otelhttp.WithPropagators(s.propagator)),
		ReadHeaderTimeout: 5 * time.Second,
	}
	s.stop = server.Shutdown
	work.Go(func() { _ = server.Serve(s.listener) }) // ErrServerClosed; a listener that breaks shows in the traces
}

// method answers a remote call. Messages are Structs, well-known to Protocol Buffers: a demo needs no generated code.
type method func(context.Context, map[string]any) (map[string]any, error)

// serveGRPC starts a gRPC server of one gRPC service.
func (s *service) serveGRPC(work *sync.WaitGroup, rpc string, methods map[string]method) {
	desc := grpc.ServiceDesc{ServiceName: rpc, HandlerType: (*any)(nil), Metadata: "google/protobuf/struct.proto"}
	for name, m := range methods {
		desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in structpb.Struct
			if err := decode(&in); err != nil {
				return nil, err
			}
			out, err := m(ctx, in.AsMap())
			if err != nil {
				return nil, err
			}
			return structpb.NewStruct(out)
		}})
	}
	server := grpc.NewServer(grpc.WaitForHandlers(true), grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(s.provider), otelgrpc.WithPropagators(s.propagator))))
	server.RegisterService(&desc, s)
	s.stop = func(ctx context.Context) error {
		defer context.AfterFunc(ctx, server.Stop)()
		server.GracefulStop()
		return nil
	}
	work.Go(func() { _ = server.Serve(s.listener) })
}

// dial returns a connection to another service's gRPC server.
func (s *service) dial(to *service) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(to.address(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(otelgrpc.WithTracerProvider(s.provider), otelgrpc.WithPropagators(s.propagator))))
	if err != nil {
		return nil, fmt.Errorf("connect %s to %s: %w", s.name, to.name, err)
	}
	s.conns = append(s.conns, conn)
	return conn, nil
}

// close ends the SDK, when all spans are sent or ctx is done, and the clients.
func (s *service) close(ctx context.Context) error {
	s.client.CloseIdleConnections()
	err := s.provider.Shutdown(ctx)
	for _, c := range s.conns {
		err = errors.Join(err, c.Close())
	}
	return errors.Join(err, ignoreClosed(s.listener.Close())) // mostly closed by its server
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// call calls a method over gRPC.
func call(ctx context.Context, conn *grpc.ClientConn, path string, in map[string]any) (map[string]any, error) {
	req, err := structpb.NewStruct(in)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var resp structpb.Struct
	if err := conn.Invoke(ctx, path, req, &resp); err != nil {
		return nil, err
	}
	return resp.AsMap(), nil
}

// fetch does an HTTP request to another service and reads its JSON into out, which may be nil.
func (s *service) fetch(ctx context.Context, verb, url string, out any) error {
	req, err := http.NewRequestWithContext(ctx, verb, url, nil)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s %s: %s", verb, req.URL.Path, resp.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// to returns a URL of another service.
func (s *service) to(other *service, path string, query url.Values) string {
	u := url.URL{Scheme: "http", Host: other.address(), Path: path, RawQuery: query.Encode()}
	return u.String()
}

// work lets about a time pass, now and then twice of it; earlier if ctx is done.
func work(ctx context.Context, about time.Duration) {
	d := about/2 + rand.N(about)
	if rand.IntN(20) == 0 {
		d *= 2
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// query is a call of a database, as its client library would show it.
type query struct {
	system, table, verb, text string
	took                      time.Duration
}

func (s *service) query(ctx context.Context, q query, more ...attribute.KeyValue) {
	name := q.verb
	if q.table != "" {
		name += " " + q.table
	}
	ctx, span := s.tracer.Start(ctx, name, oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(
		attribute.String("db.system.name", q.system), attribute.String("db.collection.name", q.table), attribute.String("db.operation.name", q.verb),
		attribute.String("db.query.text", q.text), attribute.String("db.namespace", "shop"),
	), oteltrace.WithAttributes(more...))
	defer span.End()
	work(ctx, q.took)
}

// fail records an error with where it happened, and returns it.
func fail(span oteltrace.Span, err error) error {
	span.RecordError(err, oteltrace.WithStackTrace(true))
	span.SetStatus(codes.Error, err.Error())
	return err
}
