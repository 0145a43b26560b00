package spool

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// delete deletes traces from a spool and its model.
func (m model) delete(t testing.TB, s *Spool, ids ...trace.ID) {
	t.Helper()
	n, err := s.Delete(t.Context(), ids)
	if err != nil || n != len(ids) {
		t.Fatalf("delete %v: %d, %v", ids, n, err)
	}
	for _, id := range ids {
		delete(m, id)
	}
}

// gone fails when an answer has one of the traces.
func gone(t testing.TB, s *Spool, ids ...trace.ID) {
	t.Helper()
	for _, id := range ids {
		if _, err := s.Trace(t.Context(), id, trace.Range{}); trace.KindOf(err) != trace.NotFound {
			t.Fatalf("deleted trace %s: %v", id, err)
		}
	}
	var rep trace.ScanReport
	for tr, err := range s.Scan(t.Context(), trace.Scan{}, &rep) {
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(ids, tr.ID) {
			t.Fatalf("a scan yields the deleted trace %s", tr.ID)
		}
	}
}

// purge makes a pass begin now and waits until it is over, or has failed where that is expected.
func (s *Spool) purge(t testing.TB) {
	t.Helper()
	x := &s.deleter
	x.mu.Lock()
	x.due = time.Now()
	x.mu.Unlock()
	deadline := time.Now().Add(time.Minute)
	for {
		s.signal()
		x.mu.Lock()
		done := x.pass == nil && !x.isDue(time.Now())
		x.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("deleted traces are not purged")
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// age makes all tombstones old enough to be dropped.
func (s *Spool) age() {
	x := &s.deleter
	x.mu.Lock()
	defer x.mu.Unlock()
	d := s.state.Load().deleted
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, t := range d.ids {
		t.at -= uint32(tombstoneKeep / time.Second)
		d.ids[id] = t
	}
}

func (s *Spool) tombstones() (all, pending int) { return s.state.Load().deleted.count() }

// onDisk returns which of the traces a data folder's files have: it reads every group of every block and every record of the log.
func onDisk(t testing.TB, dir string, ids ...trace.ID) map[trace.ID]bool {
	t.Helper()
	found := map[trace.ID]bool{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch filepath.Ext(path) {
		case wal.SegmentSuffix:
			_, err = wal.ReadSegment(bytes.NewReader(raw), int64(len(raw)), func(_ int64, p []byte) error {
				for _, id := range ids {
					found[id] = found[id] || bytes.Contains(p, id[:])
				}
				return nil
			})
		case blockSuffix:
			err = inBlockFile(path, ids, found)
		case tmpSuffix:
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(found, func(_ trace.ID, ok bool) bool { return !ok })
	return found
}

func inBlockFile(path string, ids []trace.ID, found map[trace.ID]bool) error {
	b, err := openBlock(&wal.Disk{}, path, 1, func(string, int64, error) {})
	if err != nil {
		return err
	}
	defer func() { _ = b.file.Close() }()
	z := newCodec()
	for i := range b.footer.Groups {
		h, err := b.groupHeader(i, z)
		if err != nil {
			return err
		}
		for k := range h.traces {
			if slices.Contains(ids, h.traces[k].id) {
				found[h.traces[k].id] = true
			}
		}
	}
	return nil
}

func idsOf(traces [][]trace.Span) (ids []trace.ID) {
	for _, spans := range traces {
		ids = append(ids, spans[0].TraceID)
	}
	return ids
}

// TestDelete follows deleted traces from the log, a head and blocks until nothing of them is left, over restarts.
func TestDelete(t *testing.T) {
	cfg := testConfig(t)
	s := open(t, cfg)
	want := model{}
	traces := smallTraces(1, 6, 5)
	ids := idsOf(traces)
	for i, spans := range traces {
		appendSpans(t, s, spans[:3])
		want.add(spans)
		if i%3 == 2 {
			s.cutNow(t)
		}
	}
	for _, spans := range traces { // each lies in a block and in the head
		appendSpans(t, s, spans[3:])
	}
	dead := []trace.ID{ids[0], ids[3], ids[4], ids[5]} // of a block with two others, and all of a block
	if n := len(onDisk(t, cfg.Dir, dead...)); n != len(dead) {
		t.Fatalf("%d of %d traces are on disk before they are deleted", n, len(dead))
	}
	want.delete(t, s, dead...)
	if n, err := s.Delete(t.Context(), dead); n != 0 || err != nil {
		t.Errorf("deleted again: %d, %v", n, err)
	}
	gone(t, s, dead...)
	want.check(t, s)
	want.checkScan(t, s, trace.Scan{})
	appendSpans(t, s, traces[0][:1]) // one that slips in is not seen either
	gone(t, s, dead...)

	s.crash()
	asleep := &Spool{cfg: s.cfg, disk: s.disk, log: s.log, metrics: s.metrics} // in one that runs, the pass that begins with a start may be over
	read, err := asleep.loadTombstones()
	if err != nil {
		t.Fatal(err)
	}
	if all, pending := read.count(); all != len(dead) || pending != len(dead) {
		t.Errorf("%d tombstones, %d pending, after a start", all, pending)
	}
	s = open(t, cfg)
	gone(t, s, dead...)
	want.check(t, s)
	s.purge(t)
	if left := onDisk(t, cfg.Dir, dead...); len(left) > 0 {
		t.Errorf("still on disk: %v", left)
	}
	gone(t, s, dead...)
	want.check(t, s)
	if all, pending := s.tombstones(); all != len(dead) || pending != 0 {
		t.Errorf("%d tombstones, %d pending, after a pass", all, pending)
	}
	if testutil.ToFloat64(s.metrics.purged) == 0 {
		t.Error("no rewritten bytes are counted")
	}
	if isDead := s.Deleted(); isDead == nil || !isDead(ids[0]) || isDead(ids[1]) {
		t.Error("receivers do not learn what was deleted")
	}

	s.age()
	s.purge(t)
	if all, _ := s.tombstones(); all != 0 || s.Deleted() != nil {
		t.Errorf("%d tombstones after an hour", all)
	}
	appendSpans(t, s, traces[0])
	want.add(traces[0])
	s.crash()
	s = open(t, cfg)
	want.check(t, s)
}

// TestDeleteModel mixes deletions with all else that a spool does and holds it against a map.
func TestDeleteModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			testDeleteModel(t, seed)
		})
	}
}

func testDeleteModel(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 9))
	m := newMaker(100 + seed)
	cfg := testConfig(t)
	if seed%3 == 0 {
		cfg.HeadBytes = 64 << 10
	}
	s := open(t, cfg)
	want, dead := model{}, map[trace.ID]bool{}
	add := func(spans []trace.Span) {
		appendSpans(t, s, spans)
		want.add(slices.DeleteFunc(slices.Clone(spans), func(sp trace.Span) bool { return dead[sp.TraceID] }))
	}
	var late []trace.Span
	for range 60 {
		switch r.IntN(9) {
		default:
			for range 1 + r.IntN(5) {
				spans := m.trace(2 + r.IntN(20))
				n := 1 + r.IntN(len(spans)-1)
				add(spans[:n])
				late = append(late, spans[n:]...)
			}
		case 0:
			if len(late) > 0 {
				add(late)
				late = nil
			}
		case 1, 2:
			ids := slices.Sorted(func(yield func(string) bool) {
				for id := range want {
					if !yield(id.String()) {
						return
					}
				}
			})
			for range min(len(ids), 1+r.IntN(4)) {
				id, _ := trace.ParseID(ids[r.IntN(len(ids))])
				if !dead[id] {
					want.delete(t, s, id)
					dead[id] = true
				}
			}
		case 3:
			s.cutNow(t)
		case 4:
			s.purge(t)
		case 5:
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, cfg)
		case 6:
			s.crash()
			s = open(t, cfg)
		}
	}
	check := func() {
		t.Helper()
		want.check(t, s)
		for _, sc := range scans(r) {
			want.checkScan(t, s, sc)
		}
		gone(t, s, slices.Collect(maps.Keys(dead))...)
	}
	check()
	s.purge(t)
	check()
	if left := onDisk(t, cfg.Dir, slices.Collect(maps.Keys(dead))...); len(left) > 0 {
		t.Errorf("still on disk: %v", left)
	}
	s.age()
	s.purge(t)
	s.cutNow(t)
	s.settle(t)
	check()
	if all, _ := s.tombstones(); all != 0 {
		t.Errorf("%d tombstones are left", all)
	}
	s.crash()
	s = open(t, cfg)
	check()
}

// deleteScript makes blocks and a head of which each has a trace that is to be deleted, deletes, purges and forgets. It returns what is left,
// which deletions were acknowledged, and which were tried.
func deleteScript(t *testing.T, f *faulty, cfg Config) (s *Spool, want model, acked, tried []trace.ID) {
	t.Helper()
	want = model{}
	s, err := openOn(f.disk(), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return nil, want, nil, nil
	}
	t.Cleanup(s.crash)
	traces := smallTraces(7, 8, 4)
	for i, spans := range traces {
		var b trace.Batch
		if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		for s.Append(t.Context(), &b) != nil && !f.dead() {
			s.mu.Lock()
			s.fullUntil = time.Time{}
			s.mu.Unlock()
		}
		if f.dead() {
			return s, want, nil, nil
		}
		want.add(spans)
		if i == 2 || i == 5 {
			s.mu.Lock()
			s.freeze()
			s.mu.Unlock()
			for !f.dead() && len(s.state.Load().frozen) > 0 {
				s.signal()
				time.Sleep(50 * time.Microsecond)
			}
		}
	}
	pass := func() {
		s.deleter.mu.Lock()
		s.deleter.due = time.Now()
		s.deleter.mu.Unlock()
		for !f.dead() && !s.rested() {
			s.signal()
			time.Sleep(50 * time.Microsecond)
		}
	}
	for _, i := range []int{0, 3, 4, 5, 6} { // two passes: of the blocks, then of the head
		id := traces[i][0].TraceID
		tried = append(tried, id)
		for !f.dead() {
			if _, err := s.Delete(t.Context(), []trace.ID{id}); err == nil {
				acked = append(acked, id)
				break
			}
		}
		if i == 5 {
			pass()
		}
	}
	s.age()
	pass()
	return s, want, acked, tried
}

// rested reports whether no pass is under way or due.
func (s *Spool) rested() bool {
	x := &s.deleter
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.pass == nil && !x.isDue(time.Now())
}

// TestPassBeginsByItself holds that what was deleted goes from disk without anything else that happens.
func TestPassBeginsByItself(t *testing.T) {
	cfg := testConfig(t)
	s := open(t, cfg)
	spans := smallTraces(1, 1, 5)[0]
	appendSpans(t, s, spans)
	s.cutNow(t)
	if _, err := s.Delete(t.Context(), []trace.ID{spans[0].TraceID}); err != nil {
		t.Fatal(err)
	}
	s.deleter.mu.Lock()
	s.deleter.due = time.Now()
	s.deleter.mu.Unlock()
	for deadline := time.Now().Add(time.Minute); len(s.state.Load().blocks) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no pass began")
		}
	}
}

// TestDeleteEveryFault lets each call to the file system fail, as TestEveryFault does: no deletion that was acknowledged may come undone,
// nothing else may be lost, and in the end nothing of what was deleted may be on disk.
func TestDeleteEveryFault(t *testing.T) {
	dry := newFaulty(-1, 0)
	cfg := testConfig(t)
	s, want, acked, _ := deleteScript(t, dry, cfg)
	for _, id := range acked {
		delete(want, id)
	}
	want.check(t, s)
	if all, _ := s.tombstones(); all != 0 || len(acked) != 5 || len(onDisk(t, cfg.Dir, acked...)) > 0 {
		t.Fatalf("%d tombstones after the deletion of %d traces, on disk %v", all, len(acked), onDisk(t, cfg.Dir, acked...))
	}
	s.crash()
	calls := dry.calls
	t.Logf("%d calls to the file system", calls)
	step := stride()
	for _, mode := range []string{"one", "three", "killed", "power", "power and names"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			for n := calls % step; n < calls; n += step {
				if !t.Run(fmt.Sprint("call", n), func(t *testing.T) { testDeleteFault(t, mode, n) }) {
					return
				}
			}
		})
	}
}

func testDeleteFault(t *testing.T, mode string, n int) {
	count := map[string]int{"one": 1, "three": 3}[mode]
	crash := count == 0
	if crash {
		count = forEver
	}
	f := newFaulty(n, count)
	cfg := testConfig(t)
	s, want, acked, tried := deleteScript(t, f, cfg)
	defer func() {
		if t.Failed() {
			t.Logf("failed calls: %.300s", f.failed)
		}
	}()
	for _, id := range tried {
		delete(want, id)
	}
	if s != nil {
		s.crash()
	}
	if strings.HasPrefix(mode, "power") {
		for _, dir := range []string{filepath.Join(cfg.Dir, "wal"), filepath.Join(cfg.Dir, "blocks")} {
			f.losePower(t, dir, mode == "power and names")
		}
		loseDeleted(t, f, cfg.Dir, mode == "power and names")
	}
	s = open(t, cfg)
	want.check(t, s)
	gone(t, s, acked...)
	s.purge(t)
	s.settle(t)
	want.check(t, s)
	gone(t, s, acked...)
	if left := onDisk(t, cfg.Dir, acked...); len(left) > 0 {
		t.Errorf("still on disk: %v", left)
	}
}

// loseDeleted leaves of the file of deleted traces what was synced.
func loseDeleted(t *testing.T, f *faulty, dir string, lose bool) {
	t.Helper()
	path := filepath.Join(dir, deletedName)
	st, err := os.Stat(path)
	if err != nil {
		return
	}
	if lose && !f.names[dir][deletedName] {
		err = os.Remove(path)
	} else if st.Size() > f.synced[path] {
		err = os.Truncate(path, f.synced[path])
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestDeleteNames holds that services and operations of deleted traces go from the lists when their blocks are rewritten, also those
// of blocks of which other groups are copied as they are.
func TestDeleteNames(t *testing.T) {
	cfg := testConfig(t)
	cfg.groupSpans = 100 // of this test: many groups, large enough to be copied
	s := open(t, cfg)
	m := newMaker(5)
	want := model{}
	secret := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("secret")}}}
	var dead trace.ID
	var spans []trace.Span
	for i := range 40 {
		tr := m.trace(20)
		for k := range tr {
			tr[k].Name = fmt.Sprint("user ", i%7, k) // names enough to be in a column
		}
		if i == 20 {
			dead, tr[3].Resource, tr[3].Name = tr[0].TraceID, secret, "alice"
		}
		spans = append(spans, tr...)
	}
	appendSpans(t, s, spans)
	want.add(spans)
	s.cutNow(t)
	if n := len(s.state.Load().blocks[0].footer.Groups); n < 4 {
		t.Fatalf("%d groups", n)
	}
	before, err := s.Operations(t.Context(), "service-1")
	if err != nil {
		t.Fatal(err)
	}
	want.delete(t, s, dead)
	s.purge(t)
	want.check(t, s)
	want.checkScan(t, s, trace.Scan{})
	if left := onDisk(t, cfg.Dir, dead); len(left) > 0 {
		t.Errorf("still on disk: %v", left)
	}
	if services, err := s.Services(t.Context()); err != nil || slices.Contains(services, "secret") {
		t.Errorf("services %v, %v", services, err)
	}
	if after, err := s.Operations(t.Context(), "service-1"); err != nil || len(after) == 0 || len(after) > len(before) {
		t.Errorf("%d operations, %d before, %v", len(after), len(before), err)
	}
	raw, err := os.ReadFile(s.state.Load().blocks[0].path)
	if err != nil || bytes.Contains(raw, []byte("alice")) || bytes.Contains(raw, []byte("secret")) {
		t.Errorf("the block still has the names: %v", err)
	}
}

// TestDeleteDuringMerge deletes traces at each call that a merge makes to the file system: none may come back with the merged block.
func TestDeleteDuringMerge(t *testing.T) {
	for at := range 12 {
		cfg := testConfig(t)
		var s *Spool
		var once sync.Once
		var armed sync.Map
		traces := smallTraces(3, 2*mergeBlocks, 4)
		ids := idsOf(traces)
		n := 0
		d := &wal.Disk{Fault: func(op, path string) error {
			if _, ok := armed.Load(1); ok && strings.Contains(path, "blocks") {
				if n++; n > at {
					once.Do(func() {
						armed.Clear()
						if _, err := s.Delete(t.Context(), []trace.ID{ids[0], ids[len(ids)-1]}); err != nil {
							t.Error(err)
						}
					})
				}
			}
			return nil
		}}
		s, err := openOn(d, cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		want := model{}
		for i, spans := range traces {
			appendSpans(t, s, spans)
			want.add(spans)
			if i == len(traces)-1 {
				armed.Store(1, true)
			}
			if i%2 == 1 {
				s.cutNow(t)
			}
		}
		s.settle(t)
		delete(want, ids[0])
		delete(want, ids[len(ids)-1])
		if _, ok := armed.Load(1); ok {
			want.delete(t, s, ids[0], ids[len(ids)-1])
		}
		gone(t, s, ids[0], ids[len(ids)-1])
		s.purge(t)
		want.check(t, s)
		if left := onDisk(t, cfg.Dir, ids[0], ids[len(ids)-1]); len(left) > 0 {
			t.Errorf("deleted at call %d: still on disk: %v", at, left)
		}
		s.crash()
	}
}

// TestDeleteUnderReaders holds that a scan which began before a deletion, a purge and the end of the tombstone does not yield the trace.
func TestDeleteUnderReaders(t *testing.T) {
	s := open(t, testConfig(t))
	traces := smallTraces(2, 3, 4)
	for _, spans := range traces {
		appendSpans(t, s, spans)
	}
	s.cutNow(t)
	old := s.state.Load()
	var rep trace.ScanReport
	var dead trace.ID
	for tr, err := range s.Scan(t.Context(), trace.Scan{}, &rep) {
		if err != nil {
			t.Fatal(err)
		}
		if tr.ID == dead {
			t.Error("a scan under way yields a trace that was deleted meanwhile")
		}
		if !dead.IsZero() {
			continue
		}
		i := slices.IndexFunc(traces, func(spans []trace.Span) bool { return spans[0].TraceID != tr.ID })
		dead = traces[i][0].TraceID
		s.purge(t) // nothing to do; puts another set in place
		if n, err := s.Delete(t.Context(), []trace.ID{dead}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		s.age()
		s.purge(t)
		if all, _ := s.tombstones(); all != 0 {
			t.Errorf("%d tombstones", all)
		}
	}
	if !old.deleted.has(dead) || s.state.Load().deleted.has(dead) {
		t.Error("who reads what was there before the deletion must know of it, and nobody else")
	}
}

// TestDeleteFromDamagedBlock holds that a damaged block is not rewritten (I8), that this is said, and that its tombstones stay.
func TestDeleteFromDamagedBlock(t *testing.T) {
	cfg := testConfig(t)
	s := open(t, cfg)
	traces := smallTraces(1, 3, 5)
	for _, spans := range traces {
		appendSpans(t, s, spans)
	}
	s.cutNow(t)
	b := s.state.Load().blocks[0]
	raw, err := os.ReadFile(b.path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(raw)
	flipped[b.footer.Groups[0].Offset+9] ^= 1
	if err := os.WriteFile(b.path, flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	s.crash()
	var log strings.Builder
	var mu sync.Mutex
	s, err = Open(cfg, slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.crash)
	id := traces[2][0].TraceID // what is damaged is another's, too
	if _, err := s.Delete(t.Context(), []trace.ID{id}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.age()
		s.purge(t)
	}
	if all, pending := s.tombstones(); all != 1 || pending != 1 {
		t.Errorf("%d tombstones, %d pending", all, pending)
	}
	mu.Lock()
	if n := strings.Count(log.String(), "a damaged block has deleted traces"); n != 1 {
		t.Errorf("said %d times that the block cannot be rewritten:\n%s", n, log.String())
	}
	mu.Unlock()
	s.crash()
	if err := os.WriteFile(b.path, raw, 0o600); err != nil { // a whole copy is put in its place
		t.Fatal(err)
	}
	s = open(t, cfg)
	gone(t, s, id)
	s.purge(t)
	if _, pending := s.tombstones(); pending != 0 || len(onDisk(t, cfg.Dir, id)) > 0 {
		t.Errorf("%d deletions pending after the block was mended", pending)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestDeleteRefusals refuses what cannot be remembered, and nothing is deleted then.
func TestDeleteRefusals(t *testing.T) {
	var full sync.Map
	d := &wal.Disk{Fault: func(op, path string) error {
		if _, ok := full.Load(1); ok && strings.Contains(path, deletedName) {
			return syscall.ENOSPC
		}
		return nil
	}}
	cfg := testConfig(t)
	s, err := openOn(d, cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.crash)
	want := model{}
	traces := smallTraces(1, 3, 5)
	for _, spans := range traces {
		appendSpans(t, s, spans)
		want.add(spans)
	}
	full.Store(1, true)
	if n, err := s.Delete(t.Context(), idsOf(traces)); n != 0 || trace.KindOf(err) != trace.Busy {
		t.Errorf("delete with a full disk: %d, %v", n, err)
	}
	want.check(t, s)
	full.Delete(1)
	want.delete(t, s, traces[0][0].TraceID)

	many := make([]trace.ID, maxTombstones)
	for i := range many {
		many[i] = trace.ID{1, byte(i), byte(i >> 8), byte(i >> 16)}
	}
	if n, err := s.Delete(t.Context(), many); n != 0 || trace.KindOf(err) != trace.Busy || !strings.Contains(err.Error(), "too many deletions") {
		t.Errorf("delete one too many: %d, %v", n, err)
	}
	want.check(t, s)
	if n, err := s.Delete(t.Context(), many[1:]); n != len(many)-1 || err != nil {
		t.Fatalf("delete as many as can be: %d, %v", n, err)
	}
	s.purge(t) // what is gone from disk makes room
	if all, _ := s.tombstones(); all != 0 {
		t.Errorf("%d tombstones", all)
	}
	want.delete(t, s, traces[1][0].TraceID)
	want.check(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(t.Context(), idsOf(traces)); trace.KindOf(err) != trace.Busy {
		t.Errorf("delete after close: %v", err)
	}
	s = open(t, cfg)
	want.check(t, s)
}
