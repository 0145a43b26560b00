package spool

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// copyTo writes a snapshot's files to a new data folder.
func copyTo(t testing.TB, files []File) Config {
	t.Helper()
	cfg := testConfig(t)
	for _, f := range files {
		path := filepath.Join(cfg.Dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(io.NewSectionReader(f.Content, 0, f.Bytes))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

// TestSnapshot takes a snapshot of spans in memory and in blocks, and lets the store merge and expire all that is in it before it is read: the
// copy has each span that was there, once, and no deleted trace.
func TestSnapshot(t *testing.T) {
	cfg := testConfig(t)
	s := open(t, cfg)
	traces := smallTraces(3, 40, 10)
	for i, spans := range traces {
		appendSpans(t, s, spans)
		if i%10 == 9 && i < 30 {
			s.cutNow(t)
		}
	}
	gone := traces[7][0].TraceID
	if _, err := s.Delete(t.Context(), []trace.ID{gone}); err != nil {
		t.Fatal(err)
	}
	files, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(files, again, func(a, b File) bool { return a.Name == b.Name && a.ID == b.ID && a.Bytes == b.Bytes }) {
		t.Error("nothing came, and the snapshot is another")
	}
	for _, spans := range smallTraces(4, 40, 10) { // not in the snapshot
		appendSpans(t, s, spans)
		s.cutNow(t)
	}
	s.settle(t)
	s.stop() // what goes on by itself reads the settings
	s.end.Wait()
	s.cfg.RetentionBytes = 1
	if err := s.expire(time.Now()); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.blockDir(), "*")); len(left) > 0 {
		t.Fatalf("%v is left; want all blocks merged and expired", left)
	}
	back := open(t, copyTo(t, files))
	for _, spans := range traces {
		got, err := back.Trace(t.Context(), spans[0].TraceID, trace.Range{})
		if spans[0].TraceID == gone {
			if trace.KindOf(err) != trace.NotFound {
				t.Errorf("a deleted trace is back: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		want, have := wholes(spans), wholes(got.Spans)
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(want, have) {
			t.Errorf("trace %s has %d spans; want %d", got.ID, len(have), len(want))
		}
	}
	if n := countSpans(t, back); n != 400 && n != 390 { // the deleted one is gone from disk, or not yet
		t.Errorf("%d spans are in the copy", n)
	}
}

func countSpans(t testing.TB, s *Spool) int64 {
	t.Helper()
	st, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st.Spans
}

// TestSnapshotCannot asks for a snapshot that cannot be: blocks cannot be written, or the store is closed.
func TestSnapshotCannot(t *testing.T) {
	full := &wal.Disk{Fault: func(op, path string) error {
		if op == "create" && strings.HasSuffix(path, blockSuffix+tmpSuffix) {
			return syscall.ENOSPC
		}
		return nil
	}}
	s, err := openOn(full, testConfig(t), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.crash)
	appendSpans(t, s, smallTraces(5, 1, 5)[0])
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Snapshot(ctx); trace.KindOf(err) != trace.Busy {
		t.Errorf("%v; want busy", err)
	}
	s.crash()
	if _, err := s.Snapshot(t.Context()); trace.KindOf(err) != trace.Busy {
		t.Errorf("%v; want busy", err)
	}
}

// TestSnapshotIDs changes one value: a block of the same number and length, with other spans, is another file.
func TestSnapshotIDs(t *testing.T) {
	ids := map[string]bool{}
	for i := range 3 {
		s := open(t, testConfig(t))
		spans := smallTraces(6, 1, 5)[0]
		spans[0].ID[7] ^= byte(i)
		appendSpans(t, s, spans)
		files, err := s.Snapshot(t.Context())
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		ids[files[0].ID] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d IDs for 3 blocks", len(ids))
	}
}
