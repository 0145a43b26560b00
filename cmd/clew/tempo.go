package main

import (
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/clewtrace/clew/access"
	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/api/tempo"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/receive"
)

// serveTempo serves Tempo's query API, whose streams Grafana opens at the same address by gRPC.
func (c *config) serveTempo(work *errgroup.Group, gate *api.Gate, engine *query.Engine, l net.Listener) *http.Server {
	mux := http.NewServeMux()
	tempo.Register(mux, gate, engine, tempo.Process{Version: versionText()})
	s := newQueryServer(mux, c.timeout, c.logger())
	receive.SpeakHTTP2(s)
	serveHTTP(work, s, l)
	return s
}

// tempoNeeds lets probes in without a credential, for they have none.
func tempoNeeds(r *http.Request) access.Role {
	if r.Method == http.MethodGet && r.URL.Path == "/ready" {
		return 0
	}
	return access.Query
}
