package spool

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

var (
	modelTime   = flag.Duration("model.time", 0, "how long random operations are held against a model; 0: some seconds")
	modelSeed   = flag.Uint64("model.seed", 0, "seed of the first sequence of operations; 0: a new one")
	modelReplay = flag.String("model.replay", "", "a `file` with a sequence of operations as a failing test printed it, to be run instead")
)

// A step is an operation of a sequence. All that it does follows from its seed and from what is stored, so that a sequence of which steps are left
// out is one, too: that is how a failing one is made short.
type step struct {
	kind string
	seed uint64
}

func (s step) String() string { return fmt.Sprintf("%s %x", s.kind, s.seed) }

// kind is an operation and how often it comes.
type kind struct {
	name  string
	often int
	do    func(*runner, uint64) error
}

var kinds = []kind{
	{"append", 30, (*runner).append}, // a batch; one that a sequence has twice is a retry of which the first answer was lost
	{"alter", 4, (*runner).alter},    // the batch of that seed, each span changed in one field: these are no copies
	{"trace", 8, (*runner).trace},
	{"scan", 8, (*runner).scan},
	{"tables", 4, (*runner).tables},
	{"names", 3, (*runner).names},
	{"cut", 7, (*runner).cut},
	{"merge", 3, (*runner).merge},
	{"reopen", 3, (*runner).reopen},
	{"crash", 4, (*runner).crash},
	{"expire", 2, (*runner).expire},   // of a clock that goes forth and back
	{"squeeze", 1, (*runner).squeeze}, // expire by bytes
	{"delete", 3, (*runner).delete},
	{"purge", 2, (*runner).purge},
	{"break", 3, (*runner).breakDown},
}

// sequence makes a random sequence.
func sequence(seed uint64) []step {
	r := rand.New(rand.NewPCG(seed, 3))
	var bag []string
	for _, k := range kinds {
		for range k.often {
			bag = append(bag, k.name)
		}
	}
	var steps []step
	var batches []uint64
	for range 20 + r.IntN(80) {
		s := step{bag[r.IntN(len(bag))], r.Uint64() >> 32}
		switch {
		case s.kind == "append" && len(batches) > 0 && r.IntN(6) == 0, s.kind == "alter" && len(batches) > 0:
			s.seed = batches[r.IntN(len(batches))]
		case s.kind == "append":
			batches = append(batches, s.seed)
		}
		steps = append(steps, s)
	}
	return steps
}

// spanSet is spans of traces by all that is in them.
type spanSet map[trace.ID]map[string]trace.Span

func (m spanSet) add(s trace.Span) {
	if m[s.TraceID] == nil {
		m[s.TraceID] = map[string]trace.Span{}
	}
	m[s.TraceID][string(trace.AppendTraces(nil, []trace.Span{s}))] = s
}

func (m spanSet) spans(id trace.ID) []trace.Span { return slices.Collect(maps.Values(m[id])) }

// runner does steps to a store and to a map of spans, and holds one against the other.
type runner struct {
	dir   string
	lives int // how often the folder was replaced by what a crash left
	cfg   Config
	lies  bool
	disk  *volatile
	s     *Spool
	all   spanSet           // what must be there, and nothing else
	gone  spanSet           // what expired
	dead  map[trace.ID]bool // what was deleted, and never comes back
	dirty bool              // something expired may come back: a fault or a crash undid its removal
	asked int
}

// runSteps runs a sequence on a new store and returns what went wrong and where.
func runSteps(dir string, steps []step, lies bool) (at int, err error) {
	cfg := Default()
	cfg.Retention, cfg.BlockSpans = 30*24*time.Hour, groupSpans
	if len(steps) > 0 && steps[0].seed%3 == 0 {
		cfg.HeadBytes = 64 << 10 // cuts happen by themselves
	}
	if len(steps) > 0 && steps[0].seed%2 == 0 {
		cfg.groupSpans = 40 // blocks have several groups, and merges copy them
	}
	r := &runner{dir: dir, cfg: cfg, lies: lies, all: spanSet{}, gone: spanSet{}, dead: map[trace.ID]bool{}}
	defer func() {
		if r.s != nil {
			r.s.crash()
		}
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if err := r.open(); err != nil {
		return 0, err
	}
	for at = range steps {
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == steps[at].kind })
		if i < 0 {
			return at, fmt.Errorf("no such operation: %s", steps[at])
		}
		if err := kinds[i].do(r, steps[at].seed); err != nil {
			return at, fmt.Errorf("%s: %w", steps[at], err)
		}
	}
	at = len(steps)
	for _, last := range []func() error{
		r.checkAll, func() error { return r.scan(1) }, func() error { return r.reopen(0) }, r.checkAll, func() error { return r.scan(2) }, func() error { return r.names(0) },
	} {
		if err := last(); err != nil {
			return at, fmt.Errorf("at the end: %w", err)
		}
	}
	return at, nil
}

// open opens the store; while calls fail, again and again.
func (r *runner) open() error {
	r.cfg.Dir = filepath.Join(r.dir, fmt.Sprint("life", r.lives))
	fail := r.disk
	if fail != nil {
		_, ever := fail.broken()
		r.dirty = r.dirty || ever
	}
	var err error
	if r.disk, err = newVolatile(filepath.Join(r.dir, "side", fmt.Sprint(r.lives)), r.cfg.Dir, filepath.Join(r.cfg.Dir, "wal"), filepath.Join(r.cfg.Dir, "blocks")); err != nil {
		return err
	}
	r.disk.lies = r.lies
	if fail != nil {
		r.disk.fail, r.disk.err, r.disk.n = fail.fail, fail.err, fail.n
	}
	for {
		r.s, err = openOn(&wal.Disk{Fault: r.disk.fault}, r.cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err == nil {
			return nil
		}
		if !isDiskError(err) {
			return fmt.Errorf("open: %w", err)
		}
		r.dirty = true
	}
}

func isDiskError(err error) bool {
	return slices.ContainsFunc(diskErrors, func(e error) bool { return errors.Is(err, e) })
}

const (
	modelTraces = 30               // of which a sequence's batches bring spans
	modelEvery  = 20 * time.Minute // a trace starts
)

func modelID(k int) trace.ID { return trace.ID{0: byte(k * 37), 7: 1, 15: byte(k)} }

// batchOf makes the batch of a seed: parts of some of the traces, a few with large values, very many spans or names.
func batchOf(seed uint64) []trace.Span {
	m := newMaker(seed)
	var out []trace.Span
	for range 1 + m.r.IntN(6) {
		k := m.r.IntN(modelTraces)
		m.clock = base - uint64(k)*uint64(modelEvery)
		if m.r.IntN(5) == 0 {
			m.clock += m.r.Uint64N(uint64(6 * time.Hour)) // late: of a trace that goes on for hours
		}
		n := 1 + m.r.IntN(30)
		if m.r.IntN(150) == 0 {
			n = 2000
		}
		spans := m.trace(n)
		for i := range spans {
			spans[i].TraceID = modelID(k)
			if n == 2000 && seed%2 == 0 {
				spans[i].Name = fmt.Sprint("GET /user/", i)
			}
		}
		switch m.r.IntN(80) {
		case 0:
			spans[0].Attrs = append(spans[0].Attrs, trace.Attr{Key: "huge", Value: trace.String(strings.Repeat(fmt.Sprint(seed), 100_000))})
		case 1:
			spans[0] = trace.Span{TraceID: modelID(k), ID: trace.SpanID{7: 1}, Start: m.clock, Resource: spans[0].Resource, Scope: spans[0].Scope}
		case 2:
			spans[0].Start, spans[0].End = m.clock, ^uint64(0)
		}
		out = append(out, spans...)
	}
	return out
}

func (r *runner) append(seed uint64) error { return r.store(batchOf(seed)) }

// alter changes each span of a batch in one field.
func (r *runner) alter(seed uint64) error {
	m := newMaker(seed + 1)
	spans := batchOf(seed)
	for i := range spans {
		s := &spans[i]
		switch m.r.IntN(8) {
		case 0:
			s.Scope = &trace.Scope{Name: "another", Version: "1"}
		case 1:
			s.Resource = &trace.Resource{Attrs: append(slices.Clone(s.Resource.Attrs), trace.Attr{Key: "k", Value: trace.Int(1)})}
		case 2:
			slices.Reverse(s.Attrs)
		case 3:
			s.End++
		case 4:
			s.StatusMessage += "."
		case 5:
			s.Events = append(s.Events, trace.Event{Name: "more"})
		case 6:
			s.Parent[3]++
		case 7:
			s.Resource = &trace.Resource{Attrs: s.Resource.Attrs, SchemaURL: s.Resource.SchemaURL, Dropped: s.Resource.Dropped + 1}
		}
	}
	return r.store(spans)
}

// store appends a batch as a client does: until it is taken.
func (r *runner) store(spans []trace.Span) error {
	var b trace.Batch
	if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
		return err
	}
	if b.Refused.Total() > 0 {
		return errors.New(b.Refused.First)
	}
	for {
		err := r.s.Append(testContext, &b)
		if err == nil {
			break
		}
		if trace.KindOf(err) != trace.Busy {
			return err
		}
		r.s.mu.Lock()
		r.s.fullUntil = time.Time{} // do not wait for it
		r.s.mu.Unlock()
		r.s.signal()
	}
	for i := range spans {
		if !r.dead[spans[i].TraceID] { // too late
			r.all.add(spans[i])
		}
	}
	return nil
}

// until wakes the store until something holds.
func (r *runner) until(what string, holds func() bool) error {
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			return errors.New(what + " does not come to its end")
		}
		r.s.signal()
		time.Sleep(50 * time.Microsecond)
	}
	return nil
}

func (r *runner) cut(uint64) error {
	r.s.mu.Lock()
	if r.s.state.Load().open.spans() > 0 {
		r.s.freeze()
	}
	r.s.mu.Unlock()
	return r.until("cutting", func() bool { return len(r.s.state.Load().frozen) == 0 })
}

func (r *runner) merge(uint64) error {
	if err := r.cut(0); err != nil {
		return err
	}
	return r.until("merging", func() bool { return r.s.pick() == nil })
}

func (r *runner) reopen(uint64) error {
	if err := r.s.Close(); err != nil && !isDiskError(err) {
		return fmt.Errorf("close: %w", err)
	} else if err != nil {
		r.dirty = true
		r.s.stop()
	}
	return r.opened(nil)
}

// opened opens the store again and looks at what is there: all that must be, and of may as much as there is.
func (r *runner) opened(may spanSet) error {
	if err := r.open(); err != nil {
		return err
	}
	if may == nil {
		may = spanSet{}
	}
	r.back(may)
	return r.resolve(may)
}

// back adds to may what expired and may be back.
func (r *runner) back(may spanSet) {
	for _, spans := range r.gone {
		for _, s := range spans {
			if r.dirty {
				may.add(s)
			}
		}
	}
}

// resolve reads everything and takes what is there of may as given from now on.
func (r *runner) resolve(may spanSet) error {
	for id := range may {
		got, err := r.read(id)
		if err != nil {
			return err
		}
		for key, s := range may[id] {
			if slices.Contains(got, key) && !r.dead[id] {
				r.all.add(s)
			}
		}
	}
	return r.checkAll()
}

// crash drops the process's state, in some cases while a batch is on its way, and goes on with what a loss of power leaves of the folder.
func (r *runner) crash(seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 4))
	may := spanSet{}
	sent := make(chan error, 1)
	if rnd.IntN(2) == 0 {
		spans := batchOf(seed)
		for i := range spans {
			may.add(spans[i])
		}
		var b trace.Batch
		if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
			return err
		}
		s := r.s
		go func() { sent <- s.Append(testContext, &b) }()
	} else {
		sent <- nil
	}
	if rnd.IntN(3) == 0 { // while a block is being written
		r.s.mu.Lock()
		if len(r.s.state.Load().frozen) == 0 && r.s.state.Load().open.spans() > 0 {
			r.s.freeze()
		}
		r.s.mu.Unlock()
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
	}
	old := r.cfg.Dir
	r.lives++
	if err := r.disk.losePower(rnd, old, filepath.Join(r.dir, fmt.Sprint("life", r.lives))); err != nil {
		return err
	}
	if err := <-sent; err != nil && trace.KindOf(err) != trace.Busy {
		return err
	}
	r.s.crash()
	r.dirty = true
	if err := errors.Join(os.RemoveAll(old), os.RemoveAll(r.disk.side)); err != nil {
		return err
	}
	return r.opened(may)
}

// expire lets blocks expire at some moment of a clock that jumps: nothing newer than that may go.
func (r *runner) expire(seed uint64) error {
	if err := r.merge(0); err != nil {
		return err
	}
	cutoff := base - seed%uint64(modelTraces*modelEvery)
	if err := r.s.expire(time.Unix(0, int64(cutoff)).Add(r.cfg.Retention)); err != nil && !isDiskError(err) {
		return err
	}
	for _, b := range r.s.state.Load().blocks {
		if b.footer.Newest < cutoff {
			return fmt.Errorf("block %d should have expired", b.number)
		}
	}
	return r.lost(cutoff)
}

// lost takes note of what has expired: it may be spans that start before a moment, and no others.
func (r *runner) lost(before uint64) error {
	may := spanSet{}
	for _, spans := range r.all {
		for key, s := range spans {
			if s.Start < before {
				may.add(s)
				delete(spans, key)
			}
		}
	}
	r.back(may)
	for id := range may {
		got, err := r.read(id)
		if err != nil {
			return err
		}
		for key, s := range may[id] {
			if slices.Contains(got, key) {
				r.all.add(s)
				delete(r.gone[id], key)
			} else {
				r.gone.add(s)
			}
		}
	}
	return r.checkAll()
}

// squeeze gives the store less room than it takes: the oldest blocks go.
func (r *runner) squeeze(seed uint64) error {
	if err := r.merge(0); err != nil {
		return err
	}
	before := map[uint64]*block{}
	var total int64
	for _, b := range r.s.state.Load().blocks {
		before[b.number] = b
		total += b.size
	}
	r.cfg.RetentionBytes = max(1, total*int64(seed%8)/8)
	err := r.s.Close()
	if err != nil && !isDiskError(err) {
		return err
	}
	if err := r.open(); err != nil {
		return err
	}
	if err := r.s.expire(time.Now()); err != nil && !isDiskError(err) {
		return err
	}
	left := int64(0)
	for _, b := range r.s.state.Load().blocks {
		left += b.size
		delete(before, b.number)
	}
	if left > r.cfg.RetentionBytes {
		return fmt.Errorf("%d bytes of blocks are left of %d", left, r.cfg.RetentionBytes)
	}
	var newest uint64
	for _, b := range before {
		newest = max(newest, b.footer.Newest)
	}
	r.cfg.RetentionBytes = 0
	_ = r.s.Close() // of a disk that fails: the log keeps all
	if err := r.open(); err != nil {
		return err
	}
	return r.lost(newest + 1)
}

// delete deletes some traces: at once from all answers, and for good.
func (r *runner) delete(seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 7))
	var ids []trace.ID
	for range 1 + rnd.IntN(3) {
		ids = append(ids, modelID(rnd.IntN(modelTraces)))
	}
	for {
		_, err := r.s.Delete(testContext, ids)
		if err == nil {
			break
		}
		if trace.KindOf(err) != trace.Busy {
			return err
		}
	}
	for _, id := range ids {
		r.dead[id] = true
		delete(r.all, id)
		delete(r.gone, id)
	}
	return r.checkAll()
}

// purge waits until the bytes of deleted traces are gone from the disk.
func (r *runner) purge(uint64) error {
	x := &r.s.deleter
	x.mu.Lock()
	x.due = time.Now()
	x.mu.Unlock()
	if err := r.until("purging", r.s.rested); err != nil {
		return err
	}
	return r.checkAll()
}

func (r *runner) breakDown(seed uint64) error {
	r.disk.breakDown(1+int(seed%5), diskErrors[seed/8%2])
	return nil
}
