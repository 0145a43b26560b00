package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	apijaeger "github.com/clewtrace/clew/api/jaeger"
	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/receive/jaeger"
	"github.com/clewtrace/clew/trace"
)

// jaegerConfig is what clew serve can be told of Jaeger's clients.
type jaegerConfig struct {
	compact, binary, http, grpc, samplingHTTP, samplingGRPC, queryGRPC string
	buffers                                                            jaeger.Buffers
	strategies                                                         string
	probability                                                        float64
	sampling                                                           *jaeger.Sampling // made by validate
}

// defaultJaeger has the ports of Jaeger's agent and collector. The queue takes what the fastest client sends in the second that a slow disk
// may take, about.
func defaultJaeger() jaegerConfig {
	return jaegerConfig{
		compact: ":6831", binary: ":6832", http: ":14268", grpc: ":14250", samplingHTTP: ":5778", samplingGRPC: ":5779", queryGRPC: ":16685",
		buffers: jaeger.Buffers{Socket: 4 << 20, Queue: 16 << 20}, probability: 1,
	}
}

func (c *config) validateJaeger() (err error) {
	j := &c.jaeger
	if j.buffers.Socket < 64<<10 || j.buffers.Socket > 1<<30 {
		return fmt.Errorf("receive.udp_socket_bytes: is %d; want 64KiB to 1GiB", j.buffers.Socket)
	}
	if j.buffers.Queue < 1<<20 || j.buffers.Queue > c.heldBytes {
		return fmt.Errorf("receive.udp_queue_bytes: is %d; want 1MiB to receive.held_bytes, %d", j.buffers.Queue, c.heldBytes)
	}
	if j.sampling, err = jaeger.OpenSampling(j.strategies, j.probability, c.logger()); err != nil {
		return fmt.Errorf("sampling.strategies_file: %w", err)
	}
	return nil
}

// jaegerPorts are the open ports; those switched off are nil.
type jaegerPorts struct {
	compact, binary                                   *net.UDPConn
	http, grpc, samplingHTTP, samplingGRPC, queryGRPC net.Listener
}

func (c *config) openJaeger(l *listeners) jaegerPorts {
	j := &c.jaeger
	return jaegerPorts{
		compact: l.openUDP("listen.jaeger_compact", j.compact), binary: l.openUDP("listen.jaeger_binary", j.binary),
		http: l.open("listen.jaeger_http", j.http), grpc: l.open("listen.jaeger_grpc", j.grpc),
		samplingHTTP: l.open("listen.sampling_http", j.samplingHTTP), samplingGRPC: l.open("listen.sampling_grpc", j.samplingGRPC),
		queryGRPC: l.open("listen.query_grpc", j.queryGRPC),
	}
}

// openUDP is open for a protocol over UDP.
func (l *listeners) openUDP(key, address string) *net.UDPConn {
	if address == "" || l.err != nil {
		return nil
	}
	if strings.HasPrefix(address, ":") {
		address = net.JoinHostPort(l.host, address[1:])
	}
	at, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		l.err = fmt.Errorf("%s: %w", key, err)
		return nil
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		l.fail(key, address, err)
		return nil
	}
	if a, ok := conn.LocalAddr().(*net.UDPAddr); ok && !a.IP.IsLoopback() {
		l.log.Warn("taking UDP packets from beyond this machine, which are neither encrypted nor have credentials: everybody who reaches the address is let in", "listener", key, "address", a.String())
	}
	if l.udp == nil {
		l.udp = map[string]*net.UDPConn{}
	}
	l.udp[key] = conn
	return conn
}

// intake is what every receiver gets.
type intake struct {
	inlet  receive.Inlet
	bodies *receive.Bodies
	reg    prometheus.Registerer
	log    *slog.Logger
}

// reloadStrategies is how often is looked whether the strategies file has changed. Clients ask once a minute.
const reloadStrategies = time.Second

// serveJaeger serves Jaeger's ports, and returns what is to be stopped before the store is closed.
func (c *config) serveJaeger(ctx context.Context, work *errgroup.Group, ports jaegerPorts, in intake) (servers []stopper) {
	r := jaeger.New(in.inlet, in.bodies, c.jaeger.sampling, in.reg)
	serve := func(s *http.Server, l net.Listener) {
		serveHTTP(work, s, l)
		servers = append(servers, s)
	}
	serve(newServer(r.HTTP(), c.timeout, in.log), ports.http)
	serve(r.GRPC(c.timeout), ports.grpc)
	serve(newServer(c.jaeger.sampling, c.timeout, in.log), ports.samplingHTTP)
	serve(r.SamplingGRPC(c.timeout), ports.samplingGRPC)
	for key, conn := range map[string]*net.UDPConn{"listen.jaeger_compact": ports.compact, "listen.jaeger_binary": ports.binary} {
		if conn != nil {
			agent := r.Agent(conn, conn == ports.compact, c.jaeger.buffers)
			tenant := trace.WithTenant(ctx, c.listenerTenant(key))
			work.Go(func() error { return agent.Serve(tenant) })
			servers = append(servers, agent)
		}
	}
	work.Go(func() error { return c.jaeger.sampling.Watch(ctx, reloadStrategies) })
	return servers
}

// serveQuery serves Jaeger's query API over gRPC, and returns what is to be stopped.
func (c *config) serveQuery(work *errgroup.Group, l net.Listener, a *apijaeger.API, log *slog.Logger) stopper {
	s := newServer(a.GRPC(), c.timeout, log)
	receive.SpeakHTTP2(s)
	serveHTTP(work, s, l)
	return s
}
