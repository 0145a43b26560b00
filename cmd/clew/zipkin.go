package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/clewtrace/clew/api"
	apizipkin "github.com/clewtrace/clew/api/zipkin"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/receive/scribe"
	"github.com/clewtrace/clew/receive/zipkin"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/ui"
)

// zipkinAnswers returns what Zipkin's port answers: Zipkin's API, and where Zipkin's server has its page, at /zipkin/, Clew's, with its own API below
// the same path.
//
// The page is served here, and no browser is sent to the query port: where a Zipkin was, behind a load balancer, an ingress or a port-forward, this
// port alone is reached, and by a name that says nothing of another. It shows nobody more than before: reading at this port takes the same right as
// at the query port (zipkinNeeds), of the same tenant, and Zipkin's API has the same spans.
func zipkinAnswers(gate *api.Gate, engine *query.Engine, own http.Handler, metrics prometheus.Gatherer) *http.ServeMux {
	mux := http.NewServeMux()
	apizipkin.RegisterServer(mux, versionText())
	apizipkin.RegisterMetrics(mux, metrics)
	apizipkin.Register(mux, gate, engine)

	page := http.NewServeMux()
	apizipkin.Register(page, gate, engine)
	apizipkin.RegisterPage(page)
	page.Handle("/api/v1/", own)
	page.Handle("/", ui.Handler(apizipkin.Page))
	mux.Handle(apizipkin.Page+"/", http.StripPrefix(apizipkin.Page, page))
	return mux
}

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
