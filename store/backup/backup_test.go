package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/api/admin"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

// site is a real store behind a real admin port, and a backup folder.
type site struct {
	t     *testing.T
	store *spool.Spool
	url   string
	dest  string
	wrap  atomic.Pointer[func(http.ResponseWriter) http.ResponseWriter] // of what is sent of files
	sent  atomic.Int64                                                  // bytes of files
	next  byte
}

func newSite(t *testing.T) *site {
	cfg := spool.Default()
	cfg.Dir, cfg.Retention = t.TempDir(), 0 // its spans are of long ago
	log := slog.New(slog.DiscardHandler)
	store, err := spool.Open(cfg, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	h := admin.Handler(admin.NewHealth(""), prometheus.NewRegistry(), false)
	admin.RegisterSnapshots(h, log, func(ctx context.Context) ([]admin.File, error) {
		files, err := store.Snapshot(ctx)
		var out []admin.File
		for _, f := range files {
			out = append(out, admin.File(f))
		}
		return out, err
	})
	s := &site{t: t, store: store, dest: t.TempDir()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/files/") {
			w = &counted{w, &s.sent}
			if f := s.wrap.Load(); f != nil {
				w = (*f)(w)
			}
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return c.ResponseWriter.Write(b)
}

// add stores a trace of some spans.
func (s *site) add(spans int) {
	s.t.Helper()
	s.next++
	list := make([]trace.Span, spans)
	for i := range list {
		list[i] = trace.Span{
			TraceID: trace.ID{s.next, 1}, ID: trace.SpanID{s.next, byte(i >> 8), byte(i), 1}, Name: "op", Start: 1e18 * 1.7, End: 1e18*1.7 + uint64(i),
			Resource: &trace.Resource{}, Scope: &trace.Scope{}, Attrs: []trace.Attr{{Key: "k", Value: trace.String(fmt.Sprint(i*7919, "-", s.next))}},
		}
	}
	var b trace.Batch
	if err := trace.Pack(&b, list, trace.DefaultLimits()); err != nil {
		s.t.Fatal(err)
	}
	if err := s.store.Append(s.t.Context(), &b); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) take(keep int) (*Taken, error) {
	return Take(s.t.Context(), Options{Admin: s.url, Dir: s.dest, Keep: keep, Watch: func(Progress) {}})
}

func (s *site) mustTake(keep int) *Taken {
	s.t.Helper()
	t, err := s.take(keep)
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}

// restored restores a backup and returns the number of spans that a store opens with.
func (s *site) restored(at string) int64 {
	s.t.Helper()
	m, err := Pick(s.dest, at)
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := spool.Default()
	cfg.Dir = filepath.Join(s.t.TempDir(), "new")
	cfg.Retention = 0
	if err := (&Restoration{s.dest, m, cfg.Dir, func(Progress) {}}).Run(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	store, err := spool.Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	st, err := store.Stats(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return st.Spans
}

func (s *site) files() []string {
	found, _ := filepath.Glob(filepath.Join(s.dest, fileDir, "*"))
	return found
}

// TestIncremental takes backup after backup: each copies what is new and nothing else, each can be restored, and what only removed ones
// had is removed with them.
func TestIncremental(t *testing.T) {
	s := newSite(t)
	if b := s.mustTake(0); len(b.Manifest.Files) != 0 || s.restored("") != 0 {
		t.Errorf("of an empty store: %+v", b)
	}
	s.add(300)
	first := s.mustTake(0)
	if first.NewFiles != 1 || first.NewBytes != s.sent.Load() || first.NewBytes == 0 {
		t.Errorf("%+v, %d bytes sent", first, s.sent.Load())
	}
	s.add(5)
	before := s.sent.Load()
	second := s.mustTake(0)
	if len(second.Manifest.Files) != 2 || second.NewFiles != 1 || s.sent.Load()-before != second.NewBytes || second.NewBytes >= first.NewBytes {
		t.Errorf("%+v, %d bytes sent", second, s.sent.Load()-before)
	}
	before = s.sent.Load()
	if third := s.mustTake(0); third.NewFiles != 0 || s.sent.Load() != before {
		t.Errorf("nothing is new: %+v, %d bytes sent", third, s.sent.Load()-before)
	}
	if a, b := s.restored(first.Manifest.Name), s.restored(""); a != 300 || b != 305 {
		t.Errorf("restored %d and %d spans; want 300 and 305", a, b)
	}
	for range 3 { // four blocks are merged
		s.add(5)
		s.mustTake(0)
	}
	if names, _ := List(s.dest); len(names) != 7 {
		t.Errorf("%v; want 7 backups", names)
	}
	last := s.mustTake(1)
	names, _ := List(s.dest)
	if last.Removed != 7 || len(names) != 1 || len(s.files()) != len(last.Manifest.Files) || s.restored("") != 320 {
		t.Errorf("kept %v, %v; %+v", names, s.files(), last)
	}
}

// TestNumbersUsedAgain backs two stores up to one folder, as after a restore: their blocks have the same numbers, and are not the same.
func TestNumbersUsedAgain(t *testing.T) {
	a, b := newSite(t), newSite(t)
	b.dest = a.dest
	a.add(10)
	b.next = 100
	b.add(20)
	first := a.mustTake(0)
	if second := b.mustTake(0); second.NewFiles != 1 || second.Manifest.Files[0].Name != first.Manifest.Files[0].Name {
		t.Errorf("%+v and %+v", first.Manifest, second.Manifest)
	}
	if n := a.restored(first.Manifest.Name); n != 10 {
		t.Errorf("%d spans; want 10", n)
	}
	if n := b.restored(""); n != 20 {
		t.Errorf("%d spans; want 20", n)
	}
}

// TestDamaged flips every byte of a backup's files and manifest, one at a time: a check names the file, and nothing is restored of it.
func TestDamaged(t *testing.T) {
	s := newSite(t)
	s.add(3)
	m := s.mustTake(0).Manifest
	data := filepath.Join(t.TempDir(), "data")
	for _, path := range []string{m.Files[0].path(s.dest), filepath.Join(s.dest, m.Name+manifest)} {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(whole); i += 1 + len(whole)/150 {
			bad := append([]byte(nil), whole...)
			bad[i] ^= 4
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := Verify(t.Context(), s.dest, func(Progress) {})
			if err != nil || len(c.Wrong) == 0 {
				if loaded, err := Load(s.dest, m.Name); err == nil && loaded.Sum == m.Sum {
					continue // white space, or another way to write the same
				}
				t.Fatalf("%s: a flipped bit at %d is not found: %+v, %v", path, i, c, err)
			}
			if !strings.Contains(errors.Join(c.Wrong...).Error(), filepath.Base(path)) {
				t.Fatalf("%v; want the name of %s", c.Wrong, path)
			}
			picked, err := Pick(s.dest, "")
			if err == nil {
				err = (&Restoration{s.dest, picked, data, func(Progress) {}}).Run(t.Context())
			}
			if left, _ := filepath.Glob(filepath.Join(data, "*")); err == nil || len(left) > 0 {
				t.Fatalf("restored what is damaged: %v, %v", err, left)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(m.Files[0].path(s.dest)); err != nil {
		t.Fatal(err)
	}
	if c, err := Verify(t.Context(), s.dest, func(Progress) {}); err != nil || len(c.Wrong) != 1 {
		t.Errorf("%+v, %v; want the missing file", c, err)
	}
	s.mustTake(0) // copies it again
	if c, err := Verify(t.Context(), s.dest, func(Progress) {}); err != nil || len(c.Wrong) != 0 || c.Backups != 2 || c.Files != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// cutting breaks the connection off after some bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	if len(b) > c.left {
		_, _ = c.ResponseWriter.Write(b[:c.left])
		panic(http.ErrAbortHandler)
	}
	c.left -= len(b)
	return c.ResponseWriter.Write(b)
}

// flipping changes a byte on the way.
type flipping struct{ http.ResponseWriter }

func (f *flipping) Write(b []byte) (int, error) {
	c := append([]byte(nil), b...)
	c[len(c)/2] ^= 1
	return f.ResponseWriter.Write(c)
}

// TestCutShort breaks connections off: a backup goes on where it was cut, one that fails leaves no manifest, and the next has only to copy the rest.
func TestCutShort(t *testing.T) {
	s := newSite(t)
	s.add(3000)
	cuts := 0
	few := func(w http.ResponseWriter) http.ResponseWriter {
		if cuts++; cuts > 3 {
			return w
		}
		return &cutting{w, 3000}
	}
	s.wrap.Store(&few)
	if b, err := s.take(0); err != nil || cuts != 4 || s.restored("") != 3000 {
		t.Errorf("%+v, %v, after %d cuts", b, err, cuts-1)
	}
	s.add(3000)
	s.mustTake0(t, func(w http.ResponseWriter) http.ResponseWriter { return &cutting{w, 10} })
	s.mustTake0(t, func(w http.ResponseWriter) http.ResponseWriter { return &flipping{w} })
	s.wrap.Store(nil)
	if n := s.restored(""); n != 3000 {
		t.Errorf("%d spans; want those of the backup that was not cut short", n)
	}
	// A file that came whole before its backup was cut short is not copied again.
	s.mustTake(0)
	names, _ := List(s.dest)
	if err := os.Remove(filepath.Join(s.dest, names[len(names)-1]+manifest)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dest, fileDir, "x.tmp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := s.sent.Load()
	if b := s.mustTake(0); b.NewFiles != 0 || s.sent.Load() != before || s.restored("") != 6000 || len(s.files()) != 2 {
		t.Errorf("%+v; %v", b, s.files())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Take(ctx, Options{Admin: s.url, Dir: s.dest, Watch: func(Progress) {}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// mustTake0 takes a backup that must fail and leave nothing.
func (s *site) mustTake0(t *testing.T, wrap func(http.ResponseWriter) http.ResponseWriter) {
	t.Helper()
	before, files := s.names(), len(s.files())
	s.wrap.Store(&wrap)
	if _, err := s.take(0); err == nil || s.names() != before || len(s.files()) != files {
		t.Errorf("%v; %s, %v", err, s.names(), s.files())
	}
}

func (s *site) names() string {
	names, err := List(s.dest)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(names, " ")
}

// TestRestoreRefuses restores to folders that have something in them, and goes on where a restore was cut short.
func TestRestoreRefuses(t *testing.T) {
	s := newSite(t)
	s.add(3)
	m := s.mustTake(0).Manifest
	for _, name := range []string{"LOCK", "blocks", "notes.txt"} {
		data := t.TempDir()
		if err := os.WriteFile(filepath.Join(data, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (&Restoration{s.dest, m, data, func(Progress) {}}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v; want that there is %s", err, name)
		}
	}
	data := t.TempDir()
	for _, dir := range []string{unfinished + "/blocks", "lost+found"} {
		if err := os.MkdirAll(filepath.Join(data, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&Restoration{s.dest, m, data, func(Progress) {}}).Run(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := Pick(s.dest, "2019"); err == nil || !strings.Contains(err.Error(), m.Name) {
		t.Errorf("%v; want the names there are", err)
	}
	if _, err := Pick(t.TempDir(), ""); err == nil {
		t.Error("restored from nothing")
	}
}

// TestNames gives names that lead elsewhere, from a server and in a manifest.
func TestNames(t *testing.T) {
	for _, name := range []string{"../x", "/etc/passwd", "blocks/../x", "blocks/1.blk", "blocks/000000000001.blk/../../x", "archive/../x", "archive/archive/blocks/000000000001.blk", "archive/", "wal/000000000001.log", "LOCK", ""} {
		f := File{Name: name, ID: strings.Repeat("0", 32)}
		dest := t.TempDir()
		m := &Manifest{Format: format, Files: []File{f}}
		if err := m.save(dest); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dest, m.Name); err == nil {
			t.Errorf("a manifest may name %q", name)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_ = json.NewEncoder(w).Encode(map[string]any{"id": "X", "files": []File{f}})
		}))
		if _, err := Take(t.Context(), Options{Admin: server.URL, Dir: t.TempDir(), Watch: func(Progress) {}}); err == nil {
			t.Errorf("a server may name %q", name)
		}
		server.Close()
	}
}

// TestOneAtATime takes a backup while another holds the folder, and from where there is no admin port.
func TestOneAtATime(t *testing.T) {
	s := newSite(t)
	unlock, err := open(s.dest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.take(0); err == nil || !strings.Contains(err.Error(), "another backup") {
		t.Error(err)
	}
	unlock()
	s.mustTake(0)
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for url, want := range map[string]string{other.URL: "is this the admin port", "http://127.0.0.1:1": "is clew serve running", "x:y:z": "admin port"} {
		s.url = url
		if _, err := s.take(0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", url, err, want)
		}
	}
	later := &Manifest{Format: format + 1}
	if err := later.save(s.dest); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(s.dest, later.Name); err == nil || !strings.Contains(err.Error(), "format "+strconv.Itoa(format+1)) {
		t.Error(err)
	}
}

// TestWriteFails leaves nothing of a file that could not be written.
func TestWriteFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	err := write(path, func(f *os.File) error {
		_, _ = io.WriteString(f, "half")
		return syscall.ENOSPC
	})
	left, _ := filepath.Glob(path + "*")
	if !errors.Is(err, syscall.ENOSPC) || len(left) > 0 {
		t.Errorf("%v, %v", err, left)
	}
}
