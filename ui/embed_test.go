package ui

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

// built is a small build: what matters to the handler is which files there are.
func built() fstest.MapFS {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write([]byte("script"))
	_ = w.Close()
	return fstest.MapFS{
		"index.html":             {Data: []byte(`<html><head><base href="/" /></head></html>`)},
		"theme.js":               {Data: []byte("theme")},
		"logo.svg":               {Data: []byte("<svg/>")},
		"assets/index-1a.js":     {Data: []byte("script")},
		"assets/index-1a.js.gz":  {Data: gz.Bytes()},
		"assets/index-1a.js.br":  {Data: []byte("brotli of script")},
		"assets/index-1a.css":    {Data: []byte("style")},
		"assets/index-1a.css.gz": {Data: gz.Bytes()},
	}
}

func get(t *testing.T, h http.Handler, path string, header ...string) *http.Response {
	t.Helper()
	return do(t, h, http.MethodGet, path, header...)
}

func do(t *testing.T, h http.Handler, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestPageIsServedForEveryPathOfItsOwn(t *testing.T) {
	h := handler(built(), "/")
	for _, path := range []string{"/", "/index.html", "/search", "/trace/5b8efff798038103d269b633813fc60c", "/zipkin/traces/5b8e"} {
		r := get(t, h, path)
		if r.StatusCode != http.StatusOK || !strings.Contains(body(t, r), "<base") {
			t.Errorf("%s: %s", path, r.Status)
		}
		want(t, path, r.Header.Get("Content-Type"), "text/html; charset=utf-8")
		want(t, path, r.Header.Get("Cache-Control"), "no-cache")
	}
	for _, path := range []string{"/assets/index-0f.js", "/assets/", "/api/v2/x", "/favicon.ico", "/robots.txt"} {
		if r := get(t, h, path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}

func TestPageMayLoadOnlyWhatItCameWith(t *testing.T) {
	for _, path := range []string{"/", "/assets/index-1a.js", "/assets/none.js"} {
		h := get(t, handler(built(), "/"), path).Header
		for _, rule := range []string{"default-src 'self'", "object-src 'none'", "base-uri 'self'", "frame-ancestors 'self'"} {
			if !strings.Contains(h.Get("Content-Security-Policy"), rule) {
				t.Errorf("%s: no %q in %q", path, rule, h.Get("Content-Security-Policy"))
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: %q", path, h.Get("Content-Security-Policy"))
		}
		want(t, path, h.Get("X-Content-Type-Options"), "nosniff")
		want(t, path, h.Get("Referrer-Policy"), "same-origin")
	}
}

func TestPageKnowsItsPrefix(t *testing.T) {
	for prefix, base := range map[string]string{
		"/": `<base href="/"`, "": `<base href="/"`, "/clew": `<base href="/clew/"`, "/clew/": `<base href="/clew/"`,
		`/a"><script>`: `<base href="/a&#34;&gt;&lt;script&gt;/"`,
	} {
		if b := body(t, get(t, handler(built(), prefix), "/")); !strings.Contains(b, base) {
			t.Errorf("prefix %q: %s", prefix, b)
		}
	}
}

func TestUnchangedPageIsNotSentAgain(t *testing.T) {
	h := handler(built(), "/")
	tag := get(t, h, "/").Header.Get("ETag")
	if tag == "" {
		t.Fatal("no ETag")
	}
	for header, status := range map[string]int{
		tag: http.StatusNotModified, "W/" + tag: http.StatusNotModified, `"other", ` + tag: http.StatusNotModified, "*": http.StatusNotModified,
		`"other"`: http.StatusOK,
	} {
		r := get(t, h, "/search", "If-None-Match", header)
		if b := body(t, r); r.StatusCode != status || (status == http.StatusNotModified) != (b == "") {
			t.Errorf("If-None-Match %s: %s with %d bytes", header, r.Status, len(b))
		}
	}
	if other := get(t, handler(built(), "/clew"), "/").Header.Get("ETag"); other == tag {
		t.Error("two pages have one ETag")
	}
	logo := get(t, h, "/logo.svg").Header.Get("ETag")
	if r := get(t, h, "/logo.svg", "If-None-Match", logo); logo == "" || r.StatusCode != http.StatusNotModified {
		t.Errorf("logo with ETag %q: %s", logo, r.Status)
	}
}

func TestFilesAreSentAsTheClientTakesThem(t *testing.T) {
	h := handler(built(), "/")
	for _, c := range []struct{ accept, encoding string }{
		{"gzip, deflate, br", "br"}, {"gzip", "gzip"}, {"", ""}, {"identity", ""}, {"br;q=0, gzip", "gzip"}, {"br;q=0.0,gzip;q=0", ""},
	} {
		r := get(t, h, "/assets/index-1a.js", "Accept-Encoding", c.accept)
		want(t, "for "+c.accept, r.Header.Get("Content-Encoding"), c.encoding)
		want(t, "for "+c.accept, r.Header.Get("Content-Type"), "text/javascript; charset=utf-8")
		want(t, "for "+c.accept, r.Header.Get("Vary"), "Accept-Encoding")
		want(t, "for "+c.accept, r.Header.Get("Cache-Control"), "public, max-age=31536000, immutable")
	}
	r := get(t, h, "/assets/index-1a.css", "Accept-Encoding", "br, gzip")
	want(t, "css without brotli", r.Header.Get("Content-Encoding"), "gzip")
	want(t, "css", r.Header.Get("Content-Type"), "text/css; charset=utf-8")
	r = get(t, h, "/theme.js", "Accept-Encoding", "br, gzip")
	want(t, "a file that is not compressed", body(t, r), "theme")
	want(t, "a name that does not change", r.Header.Get("Cache-Control"), "no-cache")
	want(t, "svg", get(t, h, "/logo.svg").Header.Get("Content-Type"), "image/svg+xml")
}

func TestPageIsOnlyRead(t *testing.T) {
	r := do(t, handler(built(), "/"), http.MethodPost, "/search")
	want(t, "status", r.Status, "405 Method Not Allowed")
	want(t, "allow", r.Header.Get("Allow"), "GET, HEAD")
}

func TestWithoutABuildItSaysHowToMakeOne(t *testing.T) {
	r := get(t, handler(fstest.MapFS{".gitkeep": {}}, "/"), "/search")
	want(t, "status", r.Status, "404 Not Found")
	if b := body(t, r); !strings.Contains(b, "make build") || !strings.Contains(b, "/api/v1/status") {
		t.Error(b)
	}
}

func TestHandlerServesWhatIsEmbedded(t *testing.T) {
	r := get(t, Handler("/"), "/")
	if b := body(t, r); !strings.Contains(b, "<base") && !strings.Contains(b, "make build") {
		t.Errorf("%s: %s", r.Status, b)
	}
}
