package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/api/admin"
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
func zipkinAnswers(health *admin.Health, gate *api.Gate, engine *query.Engine, own http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", health.Live)
	apizipkin.Register(mux, gate, engine)

	page := http.NewServeMux()
	apizipkin.Register(page, gate, engine)
	page.Handle("/api/v1/", own)
	page.Handle("/", ui.Handler(zipkinPage))
	mux.Handle(zipkinPage+"/", http.StripPrefix(zipkinPage, page))
	for _, path := range []string{"/{$}", "/traces/{id}", "/dependency"} { // as they were before Zipkin 2; the first is Zipkin's still
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			redirect(w, zipkinPage+r.URL.EscapedPath(), r.URL.RawQuery)
		})
	}
	mux.HandleFunc("GET "+zipkinPage, func(w http.ResponseWriter, r *http.Request) { redirect(w, zipkinPage+"/", r.URL.RawQuery) })
	return mux
}

// zipkinPage is where Zipkin's server has its page.
const zipkinPage = "/zipkin"

// redirect sends a browser to a path of the same server, with the same query, as Zipkin's server does.
func redirect(w http.ResponseWriter, path, query string) {
	if query != "" {
		path += "?" + query
	}
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusFound)
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
