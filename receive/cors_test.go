package receive

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCORS(t *testing.T) {
	h := CORS([]string{"loopback", "https://shop.example", "https://*.shop.example"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	}))
	f := func(method, origin string, status int, allowed bool) {
		t.Helper()
		r := httptest.NewRequest(method, "/v1/traces", nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header.Set("Access-Control-Request-Headers", "content-type,x-token")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got := w.Header().Get("Access-Control-Allow-Origin")
		if w.Code != status || (got == origin && origin != "") != allowed || !allowed && got != "" {
			t.Errorf("%s from %q: %d, allowed origin %q; want %d and %v", method, origin, w.Code, got, status, allowed)
		}
		if vary := w.Header().Get("Vary"); origin != "" && vary != "Origin" {
			t.Errorf("%s from %q: Vary is %q", method, origin, vary)
		}
		preflight := method == http.MethodOptions && allowed
		if headers := w.Header().Get("Access-Control-Allow-Headers"); preflight != (headers == "content-type,x-token") {
			t.Errorf("%s from %q: allowed headers %q", method, origin, headers)
		}
		if !allowed && method == http.MethodOptions && !strings.Contains(w.Body.String(), "otlp.cors_origins") {
			t.Errorf("the refusal says %q", w.Body)
		}
	}
	for _, origin := range []string{
		"http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443", "https://shop.example", "https://www.shop.example", "https://a.b.shop.example",
	} {
		f(http.MethodOptions, origin, http.StatusNoContent, true)
		f(http.MethodPost, origin, http.StatusOK, true)
	}
	for _, origin := range []string{
		"https://evil.example", "http://shop.example", "https://shop.example:444", "https://shop.example.evil.example", "https://evilshop.example",
		"http://localhost.evil.example", "null", "http://127.0.0.1.evil.example", "https://.shop.example.evil.example",
	} {
		f(http.MethodOptions, origin, http.StatusForbidden, false)
		f(http.MethodPost, origin, http.StatusOK, false)
	}
	f(http.MethodPost, "", http.StatusOK, false)
	f(http.MethodGet, "http://localhost", http.StatusMethodNotAllowed, true)
}

func TestCORSSwitchedOff(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodOptions, "/", nil)
	r.Header.Set("Origin", "http://localhost")
	CORS(nil, http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("%d; want 403", w.Code)
	}
}
