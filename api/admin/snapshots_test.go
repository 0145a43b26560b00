package admin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

const content = "0123456789"

func served(t *testing.T) (*snapshots, string) {
	t.Helper()
	s := newSnapshots(slog.New(slog.DiscardHandler), some)
	mux := Handler(NewHealth(""), prometheus.NewRegistry(), false)
	s.register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return s, server.URL
}

func some(context.Context) ([]File, error) {
	return []File{{Name: "blocks/000000000001.blk", ID: "abc", Bytes: 10, Spans: 3, Content: strings.NewReader(content)}}, nil
}

// ask returns an answer's status, header and body.
func ask(t *testing.T, method, url string, header ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// TestSnapshots goes the way of a backup; the answer is as the document has it.
func TestSnapshots(t *testing.T) {
	_, url := served(t)
	status, _, body := ask(t, "POST", url+"/api/v1/snapshots")
	var shot map[string]any
	if err := json.Unmarshal([]byte(body), &shot); status != 201 || err != nil {
		t.Fatal(status, body, err)
	}
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "http-api.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "`POST /api/v1/snapshots`")
	_, section, _ = strings.Cut(section, "```json\n")
	section, _, _ = strings.Cut(section, "```")
	var documented map[string]any
	if err := json.Unmarshal([]byte(section), &documented); err != nil {
		t.Fatal(err)
	}
	keys := func(m map[string]any) (n int) {
		for k := range m {
			if _, ok := documented[k]; ok {
				n++
			}
		}
		for k := range m["files"].([]any)[0].(map[string]any) {
			if _, ok := documented["files"].([]any)[0].(map[string]any)[k]; ok {
				n++
			}
		}
		return n
	}
	if keys(shot) != 7 || keys(documented) != 7 {
		t.Errorf("the document has %v; the answer %v", documented, shot)
	}
	id, _ := shot["id"].(string)
	file := url + "/api/v1/snapshots/" + id + "/files/blocks/000000000001.blk"
	sum := sha256.Sum256([]byte(content))
	status, h, body := ask(t, "GET", file)
	if status != 200 || body != content || h.Get("Repr-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" || h.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%d %v %s", status, h, body)
	}
	if status, h, body := ask(t, "GET", file, "Range", "bytes=7-"); status != 206 || body != "789" || h.Get("Repr-Digest") == "" {
		t.Errorf("%d %s", status, body)
	}
	for _, path := range []string{
		"/files/blocks/000000000002.blk", "/files/LOCK", "/files/..%2f..%2fLOCK", "/files/blocks/..%2f..%2fblocks/000000000001.blk", "/files//etc/passwd", "/files/", "/files/blocks",
	} {
		if status, _, body := ask(t, "GET", url+"/api/v1/snapshots/"+id+path); status != 404 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _, _ := ask(t, "DELETE", url+"/api/v1/snapshots/"+id, "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("a page from elsewhere may drop a snapshot: %d", status)
	}
	if status, _, _ := ask(t, "DELETE", url+"/api/v1/snapshots/"+id); status != 204 {
		t.Error(status)
	}
	for _, method := range []string{"GET", "DELETE"} {
		to := file
		if method == "DELETE" {
			to = url + "/api/v1/snapshots/" + id
		}
		if status, _, _ := ask(t, method, to); status != 404 {
			t.Errorf("%s of what was dropped: %d", method, status)
		}
	}
}

// TestSnapshotsBounded takes more than there may be, and leaves them: after a while there is room again.
func TestSnapshotsBounded(t *testing.T) {
	s, url := served(t)
	if status, _, _ := ask(t, "POST", url+"/api/v1/snapshots", "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("a page from elsewhere may take a snapshot: %d", status)
	}
	for range maxSnapshots {
		if status, _, body := ask(t, "POST", url+"/api/v1/snapshots"); status != 201 {
			t.Fatal(status, body)
		}
	}
	if status, h, body := ask(t, "POST", url+"/api/v1/snapshots"); status != 503 || h.Get("Retry-After") == "" || !strings.Contains(body, "there are 4 snapshots") {
		t.Error(status, body)
	}
	s.mu.Lock()
	s.quiet = 0
	s.mu.Unlock()
	if status, _, body := ask(t, "POST", url+"/api/v1/snapshots"); status != 201 || len(s.kept) != maxSnapshots {
		t.Error("one that was left does not make room:", status, body)
	}
	s.mu.Lock()
	for _, shot := range s.kept {
		shot.end.Reset(time.Microsecond)
	}
	s.mu.Unlock()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		n := len(s.kept)
		s.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d snapshots are kept for ever", n)
		}
	}
	for cause, want := range map[error]int{errors.New("no disk"): 500, trace.Errorf(trace.Busy, "not now"): 503} {
		s.take = func(context.Context) ([]File, error) { return nil, cause }
		if status, _, body := ask(t, "POST", url+"/api/v1/snapshots"); status != want || strings.Contains(body, "no disk") {
			t.Errorf("%d %s; want %d", status, body, want)
		}
	}
	if s.next != 0 {
		t.Errorf("%d snapshots are still being taken", s.next)
	}
}
