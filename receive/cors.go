package receive

import (
	"net/http"
	"net/url"
	"strings"
)

// CORS lets pages of some origins send spans with handler h. An origin is scheme://host[:port], may have one * in it, and is
// compared as it is; "loopback" stands for pages of this machine.
func CORS(origins []string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if origin == "" {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Origin")
		if !allowed(origins, origin) {
			if r.Method == http.MethodOptions {
				http.Error(w, "origin "+origin+" may not send spans; see the setting otlp.cors_origins", http.StatusForbidden)
				return
			}
			h.ServeHTTP(w, r) // the browser keeps the answer from the page
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.Header().Set("Access-Control-Allow-Methods", "POST")
			if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
				w.Header().Set("Access-Control-Allow-Headers", asked)
			}
			w.Header().Set("Access-Control-Max-Age", "7200")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func allowed(origins []string, origin string) bool {
	for _, o := range origins {
		if o == "loopback" {
			if u, err := url.Parse(origin); err == nil {
				switch u.Hostname() {
				case "localhost", "127.0.0.1", "::1":
					return true
				}
			}
			continue
		}
		before, after, star := strings.Cut(o, "*")
		if o == origin || star && len(origin) >= len(before)+len(after) && strings.HasPrefix(origin, before) && strings.HasSuffix(origin, after) {
			return true
		}
	}
	return false
}
