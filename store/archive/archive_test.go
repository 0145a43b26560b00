package archive

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/store/tenants"
	"github.com/clewtrace/clew/trace"
)

// open opens a store in a folder, that keeps for an hour, with one tenant beside the default, and its archive.
func open(t testing.TB, dir string) *Store {
	t.Helper()
	cfg, log, reg := spool.Default(), slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	cfg.Dir, cfg.Retention, cfg.HeadAge = dir, time.Hour, time.Second
	s, err := tenants.Open(cfg, []tenants.Tenant{{Name: "other", Retention: time.Hour}}, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Open(s, cfg, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// spans are some of one trace that start then.
func spans(id byte, start time.Time, n int) (out []trace.Span) {
	r, sc := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shop")}}}, &trace.Scope{Name: "lib"}
	for i := range n {
		s := trace.Span{TraceID: trace.ID{15: id}, ID: trace.SpanID{1, 6: byte(i >> 8), 7: byte(i)}, Name: "pay", Kind: trace.KindServer, Resource: r, Scope: sc}
		s.Start = uint64(start.UnixNano()) + uint64(i)
		s.End = s.Start + 5
		s.Attrs = []trace.Attr{{Key: "n", Value: trace.Int(int64(i))}}
		s.Events = []trace.Event{{Time: s.Start, Name: "e"}}
		out = append(out, s)
	}
	return out
}

func add(t testing.TB, ctx context.Context, a *Store, list []trace.Span) {
	t.Helper()
	var b trace.Batch
	if err := trace.Pack(&b, list, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	if err := a.Append(ctx, &b); err != nil {
		t.Fatal(err)
	}
}

// count returns how many spans of a trace there are.
func count(t testing.TB, ctx context.Context, a *Store, id byte) int {
	t.Helper()
	tr, err := a.Trace(ctx, trace.ID{15: id}, trace.Range{})
	if trace.KindOf(err) == trace.NotFound {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(tr.Spans)
}

// TestArchive archives one of two traces of each of two tenants, and waits until the retention has deleted all: what was archived is there, whole,
// to its tenant alone, after a restart, too, until it is deleted.
func TestArchive(t *testing.T) {
	dir := t.TempDir()
	ctx, other := t.Context(), trace.WithTenant(t.Context(), "other")
	synctest.Test(t, func(t *testing.T) {
		a, begin := open(t, dir), time.Now()
		for _, ctx := range []context.Context{ctx, other} {
			add(t, ctx, a, spans(1, begin, 10_000))
			add(t, ctx, a, spans(2, begin, 3))
		}
		if _, err := os.Stat(filepath.Join(dir, folder)); err == nil {
			t.Error("there is an archive before anything was archived")
		}
		if err := a.Archive(ctx, trace.ID{15: 9}); trace.KindOf(err) != trace.NotFound {
			t.Errorf("archiving what is not there: %v", err)
		}
		for range 2 { // again is no error
			if err := a.Archive(ctx, trace.ID{15: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Archive(other, trace.ID{15: 2}); err != nil {
			t.Fatal(err)
		}
		before, err := a.Trace(other, trace.ID{15: 2}, trace.Range{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		got := []int{count(t, ctx, a, 1), count(t, ctx, a, 2), count(t, other, a, 1), count(t, other, a, 2)}
		if want := []int{10_000, 0, 0, 3}; !cmp.Equal(got, want) {
			t.Errorf("after the retention there are %v spans; want %v", got, want)
		}
		after, err := a.Trace(other, trace.ID{15: 2}, trace.Range{})
		for _, tr := range []*trace.Trace{before, after} {
			slices.SortFunc(tr.Spans, func(s, t trace.Span) int { return int(s.Start) - int(t.Start) })
		}
		if err != nil || !cmp.Equal(before.Spans, after.Spans, cmp.AllowUnexported(trace.Value{})) {
			t.Errorf("the archived trace has changed: %v\n%s", err, cmp.Diff(before.Spans, after.Spans, cmp.AllowUnexported(trace.Value{})))
		}
		if err := a.Archive(ctx, trace.ID{15: 1}); err != nil {
			t.Errorf("archiving what is in the archive alone: %v", err)
		}
		if a.bytes() == 0 {
			t.Error("the archive takes no bytes")
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := a.Archive(ctx, trace.ID{15: 1}); err != nil && trace.KindOf(err) != trace.Busy {
			t.Errorf("archiving in a closed store: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a := open(t, dir)
		if n := count(t, ctx, a, 1); n != 10_000 {
			t.Errorf("after a restart the trace has %d spans", n)
		}
		if _, err := a.Delete(ctx, []trace.ID{{15: 1}, {15: 7}}); err != nil {
			t.Fatal(err)
		}
		if n := count(t, ctx, a, 1) + count(t, other, a, 1); n != 0 {
			t.Errorf("a deleted trace has %d spans", n)
		}
		if n := count(t, other, a, 2); n != 3 {
			t.Errorf("another's trace has %d spans", n)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestArchiveAgain archives a trace of which more comes later: the archive has both then, each span once.
func TestArchiveAgain(t *testing.T) {
	a, all := open(t, t.TempDir()), spans(1, time.Now(), 5)
	for _, part := range [][]trace.Span{all[:2], all[2:]} {
		add(t, t.Context(), a, part)
		if err := a.Archive(t.Context(), trace.ID{15: 1}); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := a.of(t.Context()).Trace(t.Context(), trace.ID{15: 1}, trace.Range{})
	if err != nil || len(tr.Spans) != 5 {
		t.Errorf("the archive has %v, %v; want 5 spans", tr, err)
	}
}

// TestHalfExpired archives a trace of which the retention then deletes a half: it stays whole.
func TestHalfExpired(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := open(t, dir)
		list := spans(1, time.Now(), 4)
		add(t, t.Context(), a, list[:2])
		time.Sleep(50 * time.Minute)
		for i := range list[2:] {
			list[2+i].Start = uint64(time.Now().UnixNano())
			list[2+i].End = list[2+i].Start
		}
		add(t, t.Context(), a, list[2:])
		if err := a.Archive(t.Context(), trace.ID{15: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		left, err := a.Store.Trace(t.Context(), trace.ID{15: 1}, trace.Range{})
		if err != nil || len(left.Spans) != 2 {
			t.Errorf("the store has %v, %v; want 2 spans", left, err)
		}
		if n := count(t, t.Context(), a, 1); n != 4 {
			t.Errorf("the trace has %d spans; want all 4", n)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLater archives a trace of which all that was archived expires, and fewer spans than that come later: they are shown with it, and can be
// archived, too.
func TestLater(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := open(t, dir)
		list := spans(1, time.Now(), 4)
		add(t, t.Context(), a, list[:3])
		if err := a.Archive(t.Context(), trace.ID{15: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Minute)
		if left, err := a.Store.Trace(t.Context(), trace.ID{15: 1}, trace.Range{}); trace.KindOf(err) != trace.NotFound {
			t.Errorf("the store has %v, %v; want nothing", left, err)
		}
		list[3].Start = uint64(time.Now().UnixNano())
		list[3].End = list[3].Start
		add(t, t.Context(), a, list[3:])
		if n := count(t, t.Context(), a, 1); n != 4 {
			t.Errorf("the trace has %d spans; want 3 that were archived, and a later one", n)
		}
		if err := a.Archive(t.Context(), trace.ID{15: 1}); err != nil {
			t.Fatal(err)
		}
		kept, err := a.of(t.Context()).Trace(t.Context(), trace.ID{15: 1}, trace.Range{})
		if err != nil || len(kept.Spans) != 4 {
			t.Errorf("the archive has %v, %v; want 4 spans", kept, err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLargeSpans archives spans of which a few are more than a record should be.
func TestLargeSpans(t *testing.T) {
	a, list := open(t, t.TempDir()), spans(1, time.Now(), 5)
	for i := range list {
		list[i].Attrs = append(list[i].Attrs, trace.Attr{Key: "pad", Value: trace.Bytes(make([]byte, 5<<20))})
	}
	add(t, t.Context(), a, list)
	if err := a.Archive(t.Context(), trace.ID{15: 1}); err != nil {
		t.Fatal(err)
	}
	if tr, err := a.of(t.Context()).Trace(t.Context(), trace.ID{15: 1}, trace.Range{}); err != nil || len(tr.Spans) != 5 {
		t.Errorf("%v, %v; want 5 spans", tr, err)
	}
}
