package zipkin_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/internal/testkit"
)

// shown is what a user reads in Zipkin's page.
type shown struct {
	Found, First, Trace, Services []string
	Wrong                         []string // errors, and what was not loaded
}

// lens opens Zipkin's own page in a browser, with Zipkin's server behind it and with Clew: a search, traces and the dependencies must look the same.
// The spans are those of bytesAlike.
func lens(t *testing.T, peers []*peer) {
	modules := testkit.NodeModules(t, "lens")
	browser := os.Getenv("CLEW_CHROMIUM")
	if browser == "" {
		browser = testkit.Tool(t, "chromium", "Chromium (Debian: chromium), or name a browser of its kind in CLEW_CHROMIUM")
	}
	page := servePage(t, peers[1])
	var seen [2]shown
	for i, at := range []string{peers[0].http, page} {
		cmd := exec.CommandContext(t.Context(), "node", "lens.js", browser, at, "front", traceOne)
		cmd.Dir = "lens"
		cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
		cmd.SysProcAttr = testkit.Child()
		var log bytes.Buffer
		cmd.Stderr = &log
		out, err := cmd.Output()
		if err == nil {
			err = json.Unmarshal(out, &seen[i])
		}
		if err != nil {
			t.Fatalf("%s: %v: %s\n%s", peers[i].name, err, out, log.String())
		}
	}
	if diff := gocmp.Diff(seen[0], seen[1]); diff != "" || len(seen[1].Wrong) > 0 {
		t.Errorf("Zipkin's page shows (-Zipkin +Clew):\n%s", diff)
	}
	// That it shows anything at all.
	for part, want := range map[*[]string][]string{
		&seen[1].Found:    {"front: get /", "3.500ms", "9.000ms"},
		&seen[1].First:    {"stock: take", "Broker Address"},
		&seen[1].Trace:    {"front: get /", "cart: cart", "Total Spans"},
		&seen[1].Services: {"cart", "front", "kafka", "stock"},
	} {
		for _, text := range want {
			if !slices.ContainsFunc(*part, func(s string) bool { return strings.Contains(s, text) }) {
				t.Errorf("%q is not shown, but %q", text, *part)
			}
		}
	}
}

// servePage serves the files of Zipkin's page, out of its server's jar, with what else they ask for from a peer, and returns its URL.
func servePage(t *testing.T, p *peer) string {
	t.Helper()
	files := pageFiles(t)
	target, err := url.Parse(p.http)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/zipkin/", func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/zipkin/")
		if path.Ext(name) == "" { // a part of the page
			name = "index.html"
		}
		http.ServeFileFS(w, r, files, name)
	})
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	mux.Handle("/zipkin/api/", proxy)
	mux.Handle("/zipkin/config.json", proxy)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// pageFiles returns the files of Zipkin's page: they are in a jar of their own, which is in the server's.
func pageFiles(t *testing.T) fs.FS {
	t.Helper()
	jars, err := filepath.Glob(testkit.ClassPath(t, "server"))
	if err != nil || len(jars) != 1 {
		t.Fatalf("%v are not one jar: %v", jars, err)
	}
	outer, err := zip.OpenReader(jars[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = outer.Close() }()
	inner, err := fs.Glob(outer, "BOOT-INF/lib/zipkin-lens-*.jar")
	if err != nil || len(inner) != 1 {
		t.Fatalf("Zipkin's page is in none or several of %v: %v", inner, err)
	}
	f, err := outer.Open(inner[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	jar, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(jar, "zipkin-lens")
	if err != nil {
		t.Fatal(err)
	}
	return files
}
