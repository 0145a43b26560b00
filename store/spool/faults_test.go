package spool

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
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

var everyFlag = flag.Bool("every", false, "damage every byte, and let every call to the file system fail, not every few of them")

// stride is how many bytes, or calls, tests of damage go on at a time.
func stride() int {
	switch {
	case *everyFlag:
		return 1
	case testing.Short():
		return 13
	}
	return 5
}

// settle wakes the store until everything is cut and merged.
func (s *Spool) settle(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for len(s.state.Load().frozen) > 0 || s.pick() != nil {
		if time.Now().After(deadline) {
			t.Fatal("heads are not cut, or blocks not merged")
		}
		s.signal()
		time.Sleep(time.Millisecond)
	}
}

// faulty is a disk whose calls fail from one of them on, for a while or for ever, and that knows what would survive a loss of power.
type faulty struct {
	mu     sync.Mutex
	calls  int
	from   int // the first call that fails; -1: none
	n      int // how many fail
	failed string
	synced map[string]int64           // bytes of files
	names  map[string]map[string]bool // of folders
}

// forEver is how many calls fail after a crash.
const forEver = 1 << 30

func newFaulty(from, n int) *faulty {
	return &faulty{from: from, n: n, synced: map[string]int64{}, names: map[string]map[string]bool{}}
}

func (f *faulty) disk() *wal.Disk { return &wal.Disk{Fault: f.fault} }

func (f *faulty) fault(op, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.calls
	f.calls++
	if f.from >= 0 && i >= f.from && i-f.from < f.n {
		f.failed += fmt.Sprintf("%s %s; ", op, filepath.Base(path))
		return syscall.EIO
	}
	switch op {
	case "sync":
		if st, err := os.Stat(path); err == nil {
			f.synced[path] = st.Size()
		}
	case "rename":
		f.synced[path] = f.synced[path+tmpSuffix]
	case "syncdir":
		names := map[string]bool{}
		if entries, err := os.ReadDir(path); err == nil {
			for _, e := range entries {
				names[e.Name()] = true
			}
		}
		f.names[path] = names
	}
	return nil
}

// dead reports whether nothing works any more.
func (f *faulty) dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n == forEver && f.calls > f.from
}

// mend makes the disk work again.
func (f *faulty) mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.from = -1
}

// losePower leaves of a folder's files what was synced: the bytes, and the names too if lose is set.
func (f *faulty) losePower(t *testing.T, dir string, lose bool) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if lose && !f.names[dir][e.Name()] {
			err = os.Remove(path)
		} else if st, serr := os.Stat(path); serr == nil && st.Size() > f.synced[path] {
			err = os.Truncate(path, f.synced[path])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// faultScript writes, cuts, merges, closes and opens again. It goes on when something fails, unless the disk is dead, and returns what was acknowledged,
// and the batch that was not, if the disk died.
func faultScript(t *testing.T, f *faulty, cfg Config) (*Spool, model) {
	t.Helper()
	want := model{}
	traces := smallTraces(5, 12, 4)
	start := func() *Spool {
		for {
			s, err := openOn(f.disk(), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if err == nil {
				t.Cleanup(s.crash)
				return s
			}
			if f.dead() {
				return nil
			}
		}
	}
	s := start()
	for i, spans := range traces {
		if s == nil {
			return nil, want
		}
		for !f.dead() {
			var b trace.Batch
			if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
				t.Fatal(err)
			}
			err := s.Append(t.Context(), &b)
			if err == nil {
				want.add(spans)
				break
			}
			if trace.KindOf(err) != trace.Busy {
				t.Fatalf("append: %v; want an error of kind busy", err)
			}
			s.mu.Lock()
			s.fullUntil = time.Time{} // do not wait for it
			s.mu.Unlock()
		}
		if i%2 == 1 {
			s.mu.Lock()
			s.freeze()
			s.mu.Unlock()
			for !f.dead() && (len(s.state.Load().frozen) > 0 || s.pick() != nil) {
				s.signal()
				time.Sleep(50 * time.Microsecond)
			}
		}
		if i == len(traces)-3 {
			if err := s.Close(); err != nil {
				s.stop()
			}
			s = start()
		}
	}
	return s, want
}

// TestEveryFault lets each call to the file system fail: alone, with the next two, or with all that follow, which is a crash at that moment, of the
// process or of the machine. Nothing acknowledged may be lost, nothing may be there twice, and the store must go on when the disk does.
func TestEveryFault(t *testing.T) {
	dry := newFaulty(-1, 0)
	s, want := faultScript(t, dry, testConfig(t))
	want.check(t, s)
	s.crash()
	dry.mu.Lock()
	calls := dry.calls
	dry.mu.Unlock()
	t.Logf("%d calls to the file system", calls)
	step := stride()
	for _, mode := range []string{"one", "three", "killed", "power", "power and names"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			for n := calls % step; n < calls; n += step {
				if !t.Run(fmt.Sprint("call", n), func(t *testing.T) { testFault(t, mode, n) }) {
					return
				}
			}
		})
	}
}

func testFault(t *testing.T, mode string, n int) {
	count := map[string]int{"one": 1, "three": 3}[mode]
	crash := count == 0
	if crash {
		count = forEver
	}
	f := newFaulty(n, count)
	cfg := testConfig(t)
	s, want := faultScript(t, f, cfg)
	defer func() {
		if t.Failed() {
			t.Logf("failed calls: %.300s", f.failed)
		}
	}()
	if !crash {
		f.mend()
		want.check(t, s)
	}
	if s != nil {
		s.crash()
	}
	if strings.HasPrefix(mode, "power") {
		for _, dir := range []string{filepath.Join(cfg.Dir, "wal"), filepath.Join(cfg.Dir, "blocks")} {
			f.losePower(t, dir, mode == "power and names")
		}
	}
	s = open(t, cfg)
	want.check(t, s)
	s.settle(t)
	want.check(t, s)
	tmp, _ := filepath.Glob(filepath.Join(cfg.Dir, "blocks", "*"+tmpSuffix))
	if len(tmp) > 0 {
		t.Errorf("left behind: %v", tmp)
	}
}

// TestDiskFull refuses spans while the disk is full, answers questions meanwhile, and goes on afterwards.
func TestDiskFull(t *testing.T) {
	var full sync.Map
	d := &wal.Disk{Fault: func(op, _ string) error {
		if _, ok := full.Load("now"); ok && (op == "write" || op == "create") {
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
	traces := smallTraces(9, 20, 5)
	for _, spans := range traces[:5] {
		appendSpans(t, s, spans)
		want.add(spans)
	}
	full.Store("now", true)
	for _, spans := range traces[5:10] {
		var b trace.Batch
		if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		if err := s.Append(t.Context(), &b); trace.KindOf(err) != trace.Busy {
			t.Fatalf("append to a full disk: %v", err)
		}
	}
	s.mu.Lock()
	s.freeze() // cannot be cut
	s.mu.Unlock()
	s.signal()
	want.check(t, s)
	full.Delete("now")
	for _, spans := range traces[5:] {
		var b trace.Batch
		if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		for s.Append(t.Context(), &b) != nil {
			time.Sleep(10 * time.Millisecond)
		}
		want.add(spans)
	}
	s.settle(t)
	want.check(t, s)
	s.crash()
	s = open(t, cfg)
	want.check(t, s)
}

// TestFilesOfRemovedBlocks holds that merges leave no files open: each block has one, and no more.
func TestFilesOfRemovedBlocks(t *testing.T) {
	s := open(t, testConfig(t))
	for _, spans := range smallTraces(1, 40, 3) {
		appendSpans(t, s, spans)
		s.cutNow(t)
	}
	s.settle(t)
	deadline := time.Now().Add(time.Minute)
	for {
		runtime.GC() // closes what no reader has any more
		open, err := filepath.Glob("/proc/self/fd/*")
		if err != nil || len(open) == 0 {
			t.Skip("the system does not tell which files are open")
		}
		gone := slices.DeleteFunc(open, func(fd string) bool {
			to, err := os.Readlink(fd)
			return err != nil || !strings.HasPrefix(to, s.blockDir()) || !strings.HasSuffix(to, "(deleted)")
		})
		if len(gone) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d removed blocks are still open", len(gone))
		}
		time.Sleep(time.Millisecond)
	}
}

// TestTornWrites lets writes end half-way though the disk says they did not, as one without power-loss protection may: of the log and of blocks. What was
// written then is lost, and reported; nothing else is, and nothing false is read.
func TestTornWrites(t *testing.T) {
	for _, suffix := range []string{wal.SegmentSuffix, tmpSuffix} {
		for n := range 6 {
			t.Run(fmt.Sprint(suffix, n), func(t *testing.T) { testTornWrite(t, suffix, n) })
		}
	}
}

// testTornWrite cuts the file in half in which the n-th sync finds something new.
func testTornWrite(t *testing.T, suffix string, n int) {
	sizes := map[string]int64{}
	torn := ""
	var mu sync.Mutex
	d := &wal.Disk{Fault: func(op, path string) error {
		mu.Lock()
		defer mu.Unlock()
		if st, err := os.Stat(path); op == "sync" && strings.HasSuffix(path, suffix) && torn == "" && err == nil {
			if n--; n < 0 {
				torn = path
				return os.Truncate(path, (sizes[path]+st.Size())/2)
			}
			sizes[path] = st.Size()
		}
		return nil
	}}
	cfg := testConfig(t)
	reg := prometheus.NewRegistry()
	s, err := openOn(d, cfg, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.crash)
	traces := smallTraces(5, 12, 4)
	for i, spans := range traces {
		appendSpans(t, s, spans)
		if i%2 == 1 && suffix == tmpSuffix {
			s.mu.Lock()
			s.freeze()
			s.mu.Unlock()
		}
	}
	if suffix == tmpSuffix {
		for range 200 { // until all is cut, or cannot be
			s.signal()
			time.Sleep(time.Millisecond)
		}
	}
	s.crash()
	if torn == "" {
		t.Fatal("nothing was torn")
	}
	s, err = Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.crash)
	lost := 0
	for _, spans := range traces {
		tr, err := s.Trace(t.Context(), spans[0].TraceID, trace.Range{})
		if trace.KindOf(err) == trace.NotFound {
			tr = &trace.Trace{}
		} else if err != nil {
			t.Fatal(err)
		}
		if missing(t, "torn", wholes(spans), tr.Spans) > 0 {
			lost++
		}
	}
	if damaged := testutil.ToFloat64(s.metrics.damaged); lost > 2 || lost > 0 && damaged == 0 {
		t.Errorf("%s torn: %d traces are hurt; %v damages reported", torn, lost, damaged)
	}
}

// TestClockStepsBack holds that a clock that goes back and forth takes nothing that is young enough, and stops nothing.
func TestClockStepsBack(t *testing.T) {
	cfg := testConfig(t)
	cfg.Retention = 48 * time.Hour
	s := open(t, cfg)
	want := model{}
	now := time.Unix(0, int64(base))
	for i, clock := range []time.Duration{0, -36 * time.Hour, 24 * time.Hour, -time.Hour} {
		spans := smallTraces(uint64(i), 1, 5)[0]
		for k := range spans {
			spans[k].Start += uint64(clock) // the senders' clocks step, too
			spans[k].End += uint64(clock)
		}
		appendSpans(t, s, spans)
		want.add(spans)
		s.cutNow(t)
		if clock == 24*time.Hour { // the spans of 36 hours ago are 60 hours old now
			delete(want, smallTraces(1, 1, 5)[0][0].TraceID)
		}
		if err := s.expire(now.Add(clock)); err != nil {
			t.Fatal(err)
		}
		want.check(t, s)
		want.checkScan(t, s, trace.Scan{})
	}
	if n := len(s.state.Load().blocks); n != 3 {
		t.Errorf("%d blocks; want 3", n)
	}
}
