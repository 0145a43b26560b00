package zipkin

import (
	"fmt"
	"net/http"
)

// speaks is the version of Zipkin's server whose API this is; test/zipkin holds it against that server.
const speaks = "3.6.1"

// health is what Zipkin's server says of itself as long as it answers; probes and scripts look for "UP".
const health = `{
  "status" : "UP",
  "zipkin" : {
    "status" : "UP",
    "details" : {
      "Clew{}" : {
        "status" : "UP"
      }
    }
  }
}`

// config is what Zipkin's page reads first. Its numbers are those that Zipkin's server has if nothing is configured.
const config = `{
  "environment" : "",
  "queryLimit" : 10,
  "defaultLookback" : 900000,
  "searchEnabled" : true,
  "logsUrl" : null,
  "supportUrl" : null,
  "archivePostUrl" : null,
  "archiveUrl" : null,
  "dependency" : {
    "enabled" : true,
    "lowErrorRate" : 0.5,
    "highErrorRate" : 0.75
  }
}`

// Page is where Zipkin's server has its page.
const Page = "/zipkin"

// RegisterServer adds to a mux what Zipkin's server answers beside the API, at its root: /health, /info with this program's version, and that the
// page is elsewhere.
func RegisterServer(mux *http.ServeMux, version string) {
	for _, path := range []string{"/{$}", "/traces/{id}", "/dependency"} { // as they were before Zipkin 2; the first is Zipkin's still
		mux.Handle("GET "+path, readable(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			redirect(w, Page+r.URL.EscapedPath(), r.URL.RawQuery)
		})))
	}
	mux.Handle("GET "+Page, readable(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		redirect(w, Page+"/", r.URL.RawQuery)
	})))
	mux.Handle("GET /health", fixed(health, ""))
	mux.Handle("GET /info", fixed(fmt.Sprintf(`{"zipkin":{"version":%q},"clew":{"version":%q}}`+"\n", speaks, version), ""))
}

// redirect sends a browser to a path of the same server, with the same query.
func redirect(w http.ResponseWriter, path, query string) {
	if query != "" {
		path += "?" + query
	}
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusFound)
}

// RegisterPage adds what Zipkin's page asks for below its path, apart from the API: /config.json.
func RegisterPage(mux *http.ServeMux) { mux.Handle("GET /config.json", fixed(config, "max-age=600")) }

// fixed answers with a text of JSON that is always the same.
func fixed(text, cache string) http.Handler {
	return readable(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		if cache != "" {
			w.Header().Set("Cache-Control", cache)
		}
		_, _ = w.Write([]byte(text)) // the client may be gone
	}))
}
