// Package admin answers on the admin port: is the process alive, is it ready, what does it count; and there traces are deleted and backups read.
package admin

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"runtime"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Health says whether the process takes spans and, if not, why.
type Health struct{ why atomic.Value }

// NewHealth returns a health that is not ready for a reason.
func NewHealth(why string) *Health {
	h := &Health{}
	h.Set(why)
	return h
}

// Set sets why the process is not ready; an empty reason means it is.
func (h *Health) Set(why string) { h.why.Store(why) }

// Live answers 200 as long as the process answers at all.
func (h *Health) Live(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }

// Ready answers 200 when the process takes spans, else 503 and the reason.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) {
	if why, _ := h.why.Load().(string); why != "" {
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	h.Live(w, r)
}

// Handler returns the admin port's handler: /healthz, /readyz, /metrics and, where asked for, /debug/pprof/. More may be added to it.
func Handler(h *Health, reg *prometheus.Registry, profiles bool) *http.ServeMux {
	mux := http.NewServeMux()
	register(mux, healthCalls(), map[string]http.Handler{
		"live": http.HandlerFunc(h.Live), "ready": http.HandlerFunc(h.Ready), "metrics": promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}),
	})
	mux.HandleFunc("/api/v1/", func(w http.ResponseWriter, r *http.Request) { // so that nobody takes "not yet" for "no such trace"
		if why, _ := h.why.Load().(string); why != "" {
			w.Header().Set("Retry-After", "1")
			refuse(w, http.StatusServiceUnavailable, "busy", why)
			return
		}
		refuse(w, http.StatusNotFound, "not_found", fmt.Sprintf("there is no call %s %.100s on the admin port; see docs/http-api.md", r.Method, r.URL.Path))
	})
	if profiles {
		runtime.SetMutexProfileFraction(100) // of 100 waits for a lock, one is in the profile
		register(mux, profileCalls(), map[string]http.Handler{
			"profiles": http.HandlerFunc(pprof.Index), "profile": http.HandlerFunc(pprof.Index), "profile_cpu": http.HandlerFunc(pprof.Profile),
			"profile_symbol": http.HandlerFunc(pprof.Symbol), "profile_symbols": http.HandlerFunc(pprof.Symbol), "profile_trace": http.HandlerFunc(pprof.Trace),
		})
	}
	return mux
}
