package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/store/census"
	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// Config is where a spool is and what it may keep.
type Config struct {
	Dir            string        // the data folder; made if it is not there
	Retention      time.Duration // spans are kept this long after their start; 0: for ever
	RetentionBytes int64         // blocks on disk may take this much, then the oldest go; 0: no limit
	HeadBytes      int64         // memory of a head, about, at which it is cut to a block
	HeadAge        time.Duration // age at which a head is cut, however small
	BlockSpans     int64         // blocks are merged up to this many spans
	MergeCPU       int           // merging may take this much of one core, in per cent
	MergeRate      int64         // merging may read and write this many bytes a second; 0: no limit

	groupSpans int // instead of the constant, for tests
}

// Default returns the settings that suit one machine: a week, and heads of 64 MiB.
func Default() Config {
	return Config{
		Dir: "./clew-data", Retention: 7 * 24 * time.Hour,
		HeadBytes: 64 << 20, HeadAge: 10 * time.Minute, BlockSpans: 8 << 20,
		MergeCPU: 50, MergeRate: 64 << 20,
	}
}

// Validate says what is wrong with the settings.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("dir: is empty; want a folder")
	case c.Retention < 0:
		return fmt.Errorf("retention: is %v; want 0 (for ever) or more", c.Retention)
	case c.RetentionBytes < 0:
		return fmt.Errorf("retention_bytes: is %d; want 0 (no limit) or more", c.RetentionBytes)
	case c.HeadBytes < 64<<10 || c.HeadBytes > 2<<30:
		return fmt.Errorf("head_bytes: is %d; want 64 KiB to 2 GiB", c.HeadBytes)
	case c.HeadAge < time.Second:
		return fmt.Errorf("head_age: is %v; want 1s or more", c.HeadAge)
	case c.MergeCPU < 1 || c.MergeCPU > 100:
		return fmt.Errorf("merge_cpu: is %d; want 1 to 100 (per cent of a core)", c.MergeCPU)
	case c.MergeRate < 0 || c.MergeRate > 0 && c.MergeRate < 1<<20:
		return fmt.Errorf("merge_rate: is %d; want 0 (no limit), or 1 MiB or more a second", c.MergeRate)
	case c.BlockSpans < groupSpans:
		return fmt.Errorf("block_spans: is %d; want %d or more", c.BlockSpans, groupSpans)
	}
	return nil
}

// Spool is the store. Its methods may be called at the same time.
type Spool struct {
	cfg     Config
	disk    *wal.Disk
	log     *slog.Logger
	metrics *metrics
	lock    *os.File
	wal     *wal.Log
	limits  trace.Limits // of a replayed batch

	mu         sync.RWMutex // of those who change what follows; who appends holds it to read
	state      atomic.Pointer[state]
	firstBlock uint64 // that this process makes
	nextBlock  uint64
	fullUntil  time.Time // the log could not be written: refuse until then without trying
	closed     bool
	leftOut    bool       // there are block files that could not be opened
	cutDone    *sync.Cond // signalled when a frozen head became a block

	deleter   deleter
	deletions atomic.Uint64

	codecs  sync.Pool
	headers *headerCache
	counts  *pack.Cache[*block, string]
	wake    chan struct{} // a head was frozen, or a block came
	stop    context.CancelFunc
	end     sync.WaitGroup
}

// state is what a reader sees: it is never changed, but replaced. A span may be in a frozen head and a block at once for no one.
type state struct {
	open    *front
	frozen  []*front // oldest first
	blocks  []*block // by number
	names   census.Operations
	deleted *deletions
}

// maxFrozen is how many heads may wait to be cut before writers are told to come back later.
const maxFrozen = 2

// Open opens the spool in a folder, which no other process may have open, and replays its log. It logs what it found.
// The error says what is wrong with the folder.
func Open(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Spool, error) {
	return openOn(&wal.Disk{}, cfg, log, reg)
}

func openOn(d *wal.Disk, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Spool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.groupSpans == 0 {
		cfg.groupSpans = groupSpans
	}
	s := &Spool{cfg: cfg, disk: d, log: log, wake: make(chan struct{}, 1), limits: replayLimits()}
	s.cutDone = sync.NewCond(&s.mu)
	s.codecs.New = func() any { return newCodec() }
	s.headers, s.counts = pack.NewCache[groupAt, *groupHeader](headerBytes), pack.NewCache[*block, string](censusBytes)
	s.metrics = newMetrics(reg, s)
	for _, dir := range []string{cfg.Dir, s.walDir(), s.blockDir()} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, fmt.Errorf("make data folder: %w", err)
		}
	}
	if err := s.acquire(); err != nil {
		return nil, err
	}
	err := s.syncFolders()
	if err == nil {
		err = s.recover()
	}
	if err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.end.Add(2)
	go func() { defer s.end.Done(); s.cutLoop(ctx) }()
	go func() { defer s.end.Done(); s.keepLoop(ctx) }()
	s.signal()
	return s, nil
}

// replayLimits bounds what a batch in the log may be: whatever was accepted once.
func replayLimits() trace.Limits { return trace.Limits{SpanBytes: 1 << 30, Depth: 1 << 10} }

func (s *Spool) walDir() string   { return filepath.Join(s.cfg.Dir, "wal") }
func (s *Spool) blockDir() string { return filepath.Join(s.cfg.Dir, "blocks") }

// acquire takes the folder's lock, which the system releases however the process ends.
func (s *Spool) acquire() error {
	path := filepath.Join(s.cfg.Dir, "LOCK")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return fmt.Errorf("data folder is not writable: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid := make([]byte, 32)
		n, _ := f.ReadAt(pid, 0)
		_ = f.Close()
		return fmt.Errorf("data folder %s is in use by another clew (process %s); stop it or choose another folder", s.cfg.Dir, pid[:n])
	}
	_ = f.Truncate(0)
	if _, err := f.WriteAt(fmt.Appendf(nil, "%d", os.Getpid()), 0); err != nil {
		return errors.Join(fmt.Errorf("data folder is not writable: %w", err), f.Close())
	}
	s.lock = f
	return nil
}

// syncFolders makes the data folder itself durable (I1): it may have been made just now.
func (s *Spool) syncFolders() error {
	for _, dir := range []string{filepath.Dir(filepath.Clean(s.cfg.Dir)), s.cfg.Dir} {
		if err := s.disk.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrPermission) { // the parent may be another's
			return fmt.Errorf("make data folder: %w", err)
		}
	}
	return nil
}

// busyAfter is when a client that was told to come back later should.
const busyAfter = time.Second

// Append stores a batch. When it returns nil, the batch is on disk and can be read. An error of kind Busy says that it was not kept
// but may be sent again: the disk is full, or blocks cannot be written as fast as spans arrive.
func (s *Spool) Append(ctx context.Context, b *trace.Batch) error {
	if len(b.Spans) == 0 {
		return nil
	}
	if len(b.Raw) > wal.MaxRecord {
		return trace.Errorf(trace.TooLarge, "batch of %d bytes; at most %d can be stored", len(b.Raw), wal.MaxRecord)
	}
	ticket, err := s.enqueue(ctx, b)
	if err != nil {
		return err
	}
	trace.Yield(ctx)
	if err := s.wal.Wait(ticket); err != nil {
		s.mu.Lock()
		if time.Now().After(s.fullUntil) {
			s.log.Error("log cannot be written, refusing spans", "err", err)
		}
		s.fullUntil = time.Now().Add(busyAfter)
		s.mu.Unlock()
		return &trace.Error{Kind: trace.Busy, Msg: "the log cannot be written; is the disk full?", After: busyAfter, Err: err}
	}
	s.metrics.appended.Add(float64(len(b.Spans)))
	return nil
}

// enqueue puts a batch into a head and the log. Those who do may do so at the same time: they hold s.mu to read.
func (s *Spool) enqueue(ctx context.Context, b *trace.Batch) (ticket uint64, err error) {
	s.mu.RLock()
	for s.refusal() != nil || s.crowded() {
		s.mu.RUnlock()
		trace.Yield(ctx)
		if err := s.waitForRoom(ctx); err != nil {
			return 0, err
		}
		s.mu.RLock()
	}
	f := s.state.Load().open
	err = f.append(b) // first, so that the log gets no record that cannot be replayed
	if err == nil {
		ticket = s.wal.Add(b.Raw)
		f.logged.Add(int64(len(b.Raw)))
	}
	full := s.isFull(f)
	s.mu.RUnlock()
	if full {
		s.mu.Lock()
		defer s.mu.Unlock()
		if f == s.state.Load().open && !s.closed {
			s.freeze()
		}
	}
	return ticket, err
}

func (s *Spool) isFull(f *front) bool {
	return f.size() >= s.cfg.HeadBytes || f.logged.Load() >= maxLogRatio*s.cfg.HeadBytes
}

// crowded reports whether too many fronts wait to be cut.
func (s *Spool) crowded() bool { return len(s.state.Load().frozen) > maxFrozen }

// refusal returns why no batch is taken now, if none is. The caller holds s.mu.
func (s *Spool) refusal() error {
	if s.closed {
		return &trace.Error{Kind: trace.Busy, Msg: "the store is being closed", After: 5 * time.Second}
	}
	if time.Now().Before(s.fullUntil) {
		return &trace.Error{Kind: trace.Busy, Msg: "the log cannot be written; is the disk full?", After: busyAfter}
	}
	return nil
}

// maxLogRatio is how many times a head's memory its log segment may take before it is cut, too: batches that repeat a large resource
// for every span are small in memory, but not in the log. Large batches of a shop's load take about as much of both.
const maxLogRatio = 4

// waitForRoom returns when a batch may be added, or why it may not.
func (s *Spool) waitForRoom(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, busyAfter)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cutDone.Broadcast()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.refusal(); err != nil || !s.crowded() {
			return err
		}
		if ctx.Err() != nil {
			return &trace.Error{Kind: trace.Busy, Msg: "spans arrive faster than blocks can be written", After: busyAfter}
		}
		s.cutDone.Wait()
	}
}

// freeze closes the front and its log segment and opens new ones. The caller holds s.mu.
func (s *Spool) freeze() {
	old := s.state.Load()
	next := *old
	next.open = newFront(old.open)
	next.open.segment = s.wal.Next()
	next.frozen = append(append([]*front{}, old.frozen...), old.open)
	s.state.Store(&next)
	s.signal()
}

func (s *Spool) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close makes a block of what is in memory and closes the store. Nothing is lost if it is never called: the log has all of it.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if s.state.Load().open.spans() > 0 {
		s.freeze()
	}
	s.cutDone.Broadcast()
	s.mu.Unlock()
	s.stop()
	s.end.Wait()
	s.deleter.mu.Lock() // a deletion under way is finished; there is no other
	defer s.deleter.mu.Unlock()
	err := s.cutAll()
	return errors.Join(err, s.wal.Close(), s.lock.Close())
}

// Stats says what the store holds.
func (s *Spool) Stats(context.Context) (trace.Stats, error) {
	st := s.state.Load()
	var out trace.Stats
	see := func(oldest, newest uint64) {
		if oldest != 0 && (out.Oldest == 0 || oldest < out.Oldest) {
			out.Oldest = oldest
		}
		out.Newest = max(out.Newest, newest)
	}
	for _, b := range st.blocks {
		out.Spans += b.footer.Spans
		out.Blocks++
		out.Bytes += b.size
		see(b.footer.Oldest, b.footer.Newest)
	}
	for _, h := range st.heads() {
		h.mu.RLock()
		out.Spans += int64(h.rows.spans)
		see(h.oldest, h.newest)
		h.mu.RUnlock()
	}
	out.Bytes += dirBytes(s.walDir())
	return out, nil
}

// fronts returns the frozen fronts and the open one.
func (st *state) fronts() []*front { return append(append([]*front{}, st.frozen...), st.open) }

// heads returns the heads of all fronts.
func (st *state) heads() (all []*head) {
	for _, f := range st.fronts() {
		all = append(all, f.heads...)
	}
	return all
}

func dirBytes(dir string) (n int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}
