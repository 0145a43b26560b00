// Package ui is the web page: its build, embedded, and the handler that serves it.
package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// files is the page's build; without one it holds a placeholder alone.
//
//go:embed all:dist
var files embed.FS

// policy lets the page load what it came with and talk to its own server, and nothing else.
const policy = "default-src 'self'; img-src 'self' data:; style-src 'self'; object-src 'none'; base-uri 'self'; frame-ancestors 'self'; form-action 'self'"

const notBuilt = "The page is not built into this binary.\n\nBuild it with: make build\n\nThe APIs work all the same; see /api/v1/status.\n"

// types of what a build has; the system's own table differs from machine to machine.
var types = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8",
	".ico": "image/x-icon",
	".png": "image/png",
}

// Handler returns the page under a path prefix: files by their name, and the page itself for every path that is one of its own.
func Handler(prefix string) http.Handler {
	dist, err := fs.Sub(files, "dist")
	if err != nil { // the folder is part of the binary
		panic(err)
	}
	return handler(dist, prefix)
}

func handler(dist fs.FS, prefix string) http.Handler {
	index, err := fs.ReadFile(dist, "index.html")
	if err != nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, notBuilt, http.StatusNotFound) })
	}
	base := strings.TrimSuffix(prefix, "/") + "/"
	index = bytes.Replace(index, []byte(`<base href="/"`), []byte(`<base href="`+html.EscapeString(base)+`"`), 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "the page is read with GET", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		if name != "" && name != "index.html" && serveFile(w, r, dist, name) {
			return
		}
		// A path that looks like a file is none of the page's own.
		if _, file := types[path.Ext(name)]; file || strings.HasPrefix(name+"/", "assets/") || strings.HasPrefix(name+"/", "api/") {
			http.NotFound(w, r)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		serveBytes(w, r, index)
	})
}

// serveFile serves a file of the build, compressed if the build has it so and the client takes it.
func serveFile(w http.ResponseWriter, r *http.Request, dist fs.FS, name string) bool {
	accept := r.Header.Get("Accept-Encoding")
	for _, c := range []struct{ encoding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}, {"", ""}} {
		if c.encoding != "" && !accepts(accept, c.encoding) {
			continue
		}
		body, err := fs.ReadFile(dist, name+c.suffix)
		if err != nil {
			continue
		}
		h := w.Header()
		h.Set("Content-Type", types[path.Ext(name)])
		h.Add("Vary", "Accept-Encoding")
		if c.encoding != "" {
			h.Set("Content-Encoding", c.encoding)
		}
		if strings.HasPrefix(name, "assets/") { // its name changes with its content
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
			_, _ = w.Write(body)
			return true
		}
		serveBytes(w, r, body)
		return true
	}
	return false
}

// accepts reports whether an Accept-Encoding header names an encoding and does not refuse it with q=0.
func accepts(header, encoding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) == encoding {
			q := strings.TrimPrefix(strings.TrimSpace(weight), "q=")
			return q == "" || strings.Trim(q, "0.") != ""
		}
	}
	return false
}

// serveBytes serves what keeps its name when it changes: the client asks each time, and gets it if it is not what it has.
func serveBytes(w http.ResponseWriter, r *http.Request, body []byte) {
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", etag)
	have := r.Header.Get("If-None-Match")
	if have == "*" || strings.Contains(have, etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(body)
}
