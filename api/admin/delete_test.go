package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

// serve returns the admin port over a real store with some traces: of services a and b in turn, each with its number as an attribute.
func serve(t *testing.T, traces int) (*httptest.Server, *spool.Spool) {
	t.Helper()
	cfg := spool.Default()
	cfg.Dir, cfg.Retention = t.TempDir(), 0
	log := slog.New(slog.DiscardHandler)
	store, err := spool.Open(cfg, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	mux := Handler(NewHealth(""), prometheus.NewRegistry(), false)
	RegisterDelete(mux, api.NewGate(4, log, prometheus.NewRegistry()), query.New(store), store)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	for i := range traces {
		sp := trace.Span{
			TraceID: id(i), ID: trace.SpanID{1}, Name: "op", Start: uint64(1000 + i), End: uint64(2000 + 2*i), Scope: &trace.Scope{},
			Attrs:    []trace.Attr{{Key: "number", Value: trace.Int(int64(i))}},
			Resource: &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String([]string{"a", "b"}[i%2])}}},
		}
		var b trace.Batch
		if err := trace.Pack(&b, []trace.Span{sp}, trace.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		if err := store.Append(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	return s, store
}

func id(i int) trace.ID { return trace.ID{1, 14: byte(i >> 8), 15: byte(i)} }

// call makes a request and returns its status and body.
func call(t *testing.T, s *httptest.Server, request string) (int, string) {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// left returns the numbers of the traces that are there.
func left(t *testing.T, store *spool.Spool) (out []int) {
	t.Helper()
	var rep trace.ScanReport
	for tr, err := range store.Scan(t.Context(), trace.Scan{}, &rep) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, int(tr.ID[14])<<8|int(tr.ID[15]))
	}
	slices.Sort(out)
	return out
}

func TestDelete(t *testing.T) {
	s, store := serve(t, 10)
	for _, c := range []struct {
		request, want string
		left          []int
	}{
		{"DELETE /api/v1/traces/" + id(3).String(), `200 {"matched":1,"deleted":1,"dryRun":false,"cursor":"","complete":true,"reason":""}`, []int{0, 1, 2, 4, 5, 6, 7, 8, 9}},
		{"DELETE /api/v1/traces/" + id(3).String(), `404 {"error":{"kind":"not_found","message":"no trace 01000000000000000000000000000003"}}`, []int{0, 1, 2, 4, 5, 6, 7, 8, 9}},
		{"POST /api/v1/delete?service=b&dryRun=true", `200 {"matched":4,"deleted":0,"dryRun":true,`, []int{0, 1, 2, 4, 5, 6, 7, 8, 9}},
		{"POST /api/v1/delete?service=b&tag=number%3D4", `200 {"matched":0,"deleted":0,`, []int{0, 1, 2, 4, 5, 6, 7, 8, 9}},
		{"POST /api/v1/delete?service=b&minDuration=1007ns", `200 {"matched":2,"deleted":2,`, []int{0, 1, 2, 4, 5, 6, 8}},
		{"POST /api/v1/delete?to=1001", `200 {"matched":2,"deleted":2,`, []int{2, 4, 5, 6, 8}},
		{"POST /api/v1/delete?operation=op&limit=2&dryRun=false", `200 {"matched":2,"deleted":2,"dryRun":false,"cursor":"`, []int{2, 4, 5}},
		{"POST /api/v1/delete?all=true&dryRun=true", `200 {"matched":3,"deleted":0,`, []int{2, 4, 5}},
		{"POST /api/v1/delete?all=true", `200 {"matched":3,"deleted":3,`, nil},
	} {
		status, body := call(t, s, c.request)
		if got := fmt.Sprint(status, " ", body); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s; want %s", c.request, got, c.want)
		}
		if got := left(t, store); !slices.Equal(got, c.left) {
			t.Errorf("%s: left %v; want %v", c.request, got, c.left)
		}
	}
}

// TestDeleteInRounds deletes more than one round's worth of traces, in one call and in one call after the other.
func TestDeleteInRounds(t *testing.T) {
	const n = 2*roundTraces + 300
	s, store := serve(t, n)
	answer := func(request string) (a deleted) {
		t.Helper()
		status, body := call(t, s, request)
		if err := json.Unmarshal([]byte(body), &a); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s", request, status, body)
		}
		return a
	}
	if a := answer("POST /api/v1/delete?all=true&dryRun=true"); a != (deleted{Matched: n, DryRun: true, Complete: true}) {
		t.Errorf("dry run: %+v", a)
	}
	matched, cursor := 0, ""
	for calls := 0; calls == 0 || cursor != ""; calls++ {
		a := answer("POST /api/v1/delete?service=a&limit=400&cursor=" + cursor)
		matched, cursor = matched+a.Deleted, a.Cursor
		if calls > 3 {
			t.Fatal("the cursor does not come to an end")
		}
	}
	if a := answer("POST /api/v1/delete?all=true"); matched != n/2 || a != (deleted{Matched: n / 2, Deleted: n / 2, Complete: true}) {
		t.Errorf("%d deleted by cursor, then %+v", matched, a)
	}
	if got := left(t, store); len(got) > 0 {
		t.Errorf("left %v", got)
	}
}

// TestDeleteErrors refuses what may be a mistake, and deletes nothing then.
func TestDeleteErrors(t *testing.T) {
	s, store := serve(t, 4)
	for request, want := range map[string]string{
		"DELETE /api/v1/traces/xyz":                 `400 {"error":{"kind":"invalid","message":"trace ID \"xyz\"`,
		"GET /api/v1/delete":                        `404 {"error":{"kind":"not_found","message":"there is no call GET /api/v1/delete on the admin port`,
		"POST /api/v1/delete":                       `400 {"error":{"kind":"invalid","message":"there is no condition, so that every trace would be deleted`,
		"POST /api/v1/delete?dryRun=true":           `400 {"error":{"kind":"invalid","message":"there is no condition`,
		"POST /api/v1/delete?service=":              `400 {"error":{"kind":"invalid","message":"service is empty; leave it out if it is no condition"}}`,
		"POST /api/v1/delete?from=1&operation=":     `400 {"error":{"kind":"invalid","message":"operation is empty`,
		"POST /api/v1/delete?from=1&tag=":           `400 {"error":{"kind":"invalid","message":"tag is empty`,
		"POST /api/v1/delete?servcie=a&all=true":    `400 {"error":{"kind":"invalid","message":"there is no parameter \"servcie\"; did you mean service?"}}`,
		"POST /api/v1/delete?service=a&all=true":    `400 {"error":{"kind":"invalid","message":"all=true and a condition contradict each other`,
		"POST /api/v1/delete?service=a&dryRun=yess": `400 {"error":{"kind":"invalid","message":"dryRun is \"yess\"; want true or false"}}`,
		"POST /api/v1/delete?service=a&limit=0":     `400 {"error":{"kind":"invalid","message":"limit is \"0\"`,
		"POST /api/v1/delete?service=a&cursor=x":    `400 {"error":{"kind":"invalid","message":"cursor \"x\" is not one`,
		"POST /api/v1/nothing":                      `404`,
	} {
		status, body := call(t, s, request)
		if got := fmt.Sprint(status, " ", body); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s; want %s", request, got, want)
		}
	}
	// A web page that a person on this machine looks at.
	for _, header := range []http.Header{{"Origin": {"http://elsewhere"}}, {"Sec-Fetch-Site": {"cross-site"}}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v1/delete?all=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%v: status %d", header, resp.StatusCode)
		}
	}
	if got := left(t, store); len(got) != 4 {
		t.Errorf("left %v; want all", got)
	}
}

// TestDeleteFromElsewhere is refused: with listen.host the port may be open to a whole cluster, for its metrics.
func TestDeleteFromElsewhere(t *testing.T) {
	s, store := serve(t, 1)
	for from, host := range map[string]string{"192.0.2.1:4711": "127.0.0.1:14269", "[2001:db8::1]:4711": "[::1]:14269", "127.0.0.1:4711": "rebound.example:14269"} {
		req := httptest.NewRequest(http.MethodPost, "/api/v1/delete?all=true", nil)
		req.RemoteAddr, req.Host = from, host
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, req)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "traces are deleted") {
			t.Errorf("from %s to %s: %d %s", from, host, w.Code, w.Body)
		}
	}
	if got := left(t, store); len(got) != 1 {
		t.Errorf("left %v; want all", got)
	}
	own := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: 14269}
	req := httptest.NewRequest(http.MethodPost, "/api/v1/delete?all=true&dryRun=true", nil)
	req = req.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, own))
	req.RemoteAddr, req.Host = "10.0.0.5:4711", own.String()
	w := httptest.NewRecorder()
	if s.Config.Handler.ServeHTTP(w, req); w.Code != http.StatusOK {
		t.Errorf("from the server's own address: %d %s", w.Code, w.Body)
	}
	for from, host := range map[string]string{"[::1]:4711": "[::1]:14269", "127.0.0.1:4711": "localhost:14269", "[::ffff:127.0.0.1]:4711": "localhost"} {
		req := httptest.NewRequest(http.MethodPost, "/api/v1/delete?all=true&dryRun=true", nil)
		req.RemoteAddr, req.Host = from, host
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, req)
		if w.Code != http.StatusOK {
			t.Errorf("from %s to %s: %d %s", from, host, w.Code, w.Body)
		}
	}
}

// TestNotYet does not answer "not found" while the store is being opened.
func TestNotYet(t *testing.T) {
	s := httptest.NewServer(Handler(NewHealth("recovering"), prometheus.NewRegistry(), false))
	t.Cleanup(s.Close)
	if status, body := call(t, s, "DELETE /api/v1/traces/1"); status != http.StatusServiceUnavailable || !strings.Contains(body, `{"error":{"kind":"busy","message":"recovering"}}`) {
		t.Errorf("%d %s", status, body)
	}
}

// TestDocument holds the example in docs/http-api.md against the answer.
func TestDocument(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "http-api.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(doc), "\n## Deleting, on the admin port\n")
	if !ok {
		t.Fatal("no section on deleting")
	}
	_, example, _ := strings.Cut(section, "```json\n")
	example, _, _ = strings.Cut(example, "```")
	var a deleted
	dec := json.NewDecoder(strings.NewReader(example))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(a)
	if err != nil || strings.Count(string(whole), ":") != strings.Count(example, ":") {
		t.Errorf("the example is not all of the answer: %s", whole)
	}
	for _, p := range []string{"dryRun", "all", "limit", "cursor"} {
		if !strings.Contains(section, "| `"+p) {
			t.Errorf("parameter %s is not described", p)
		}
	}
}
