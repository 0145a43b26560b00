package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/receive/scribe"
	"github.com/clewtrace/clew/receive/zipkin"
	"github.com/clewtrace/clew/trace"
)

// zipkinServers returns the server of Zipkin's port, whose mux has its read API already, and that of scribe.
func (c *config) zipkinServers(inlet receive.Inlet, bodies *receive.Bodies, mux *http.ServeMux, log *slog.Logger) (*http.Server, *scribe.Server) {
	zipkin.New(inlet, bodies, log).Register(mux, c.origins, c.timeout)
	s := newServer(mux, c.timeout, log)
	receive.SpeakHTTP2(s) // for gRPC
	return s, scribe.New(inlet, bodies, c.timeout, log)
}

// serveScribe serves scribe, whose calls name no tenant.
func (c *config) serveScribe(ctx context.Context, work *errgroup.Group, s *scribe.Server, l net.Listener) {
	if g, ok := l.(*guarded); ok { // nil: switched off
		ctx = trace.WithTenant(ctx, c.listenerTenant("listen.scribe"))
		work.Go(func() error { return s.Serve(ctx, g.secured()) })
	}
}
