package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clewtrace/clew/store/census"
	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// A deleted trace is remembered by a tombstone, in memory and in the file "deleted", from before Delete returns until nothing on
// disk can have a span of it any more: that is what keeps a merge under way, a crash, or a span that is late from bringing it back.
//
//	Delete ──▶ file, fsync ──▶ tombstone: out of sight ──▶ pass: cut heads, rewrite blocks ──▶ gone from disk ──an hour──▶ no tombstone
//
// The file (docs/format/deleted.md) has a log segment's form (package wal); a record's payload is, for each trace, its ID and when it was deleted, in Unix
// seconds, 4 bytes little-endian.
const (
	deletedName   = "deleted"
	deletedBytes  = 20
	maxTombstones = 1 << 20   // some 60 MB of memory
	tombstoneKeep = time.Hour // at least, for spans that are late: a collector's queue may hold them for long
	purgeQuiet    = 5 * time.Second
	purgeLate     = 5 * time.Minute  // deletions that go on and on put a pass off so long: each rewrites blocks
	purgeAgain    = 10 * time.Minute // until what is held back by damage is looked at again
)

type tombstone struct {
	at      uint32 // Unix seconds
	pending bool   // spans of it may still be on disk
}

// deletions is the tombstones. Some are added to it; when some are dropped, another takes its place.
type deletions struct {
	mu   sync.RWMutex
	ids  map[trace.ID]tombstone
	next *deletions // what took its place: who still reads with this one, from blocks that are gone, must see what was deleted since
}

// has reports whether a trace was deleted.
func (d *deletions) has(id trace.ID) bool {
	for d != nil {
		d.mu.RLock()
		_, ok := d.ids[id]
		next := d.next
		d.mu.RUnlock()
		if ok {
			return true
		}
		d = next
	}
	return false
}

// count returns how many tombstones there are, and of how many spans may be on disk.
func (d *deletions) count() (all, pending int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, t := range d.ids {
		if t.pending {
			pending++
		}
	}
	return len(d.ids), pending
}

// deleter is what is needed to delete beside the tombstones.
type deleter struct {
	mu     sync.Mutex
	path   string
	size   int64     // of the file, as far as it is known to be whole; 0: it must be written anew
	due    time.Time // when the next pass is; zero: never
	latest time.Time // when it is, however much is deleted meanwhile
	stuck  []string  // files that should be gone, and could not be removed; guarded by Spool.mu

	pass *pass           // of the goroutine that cuts
	told map[string]bool // files of which it was said that they cannot be rewritten; of that goroutine, too
}

// Delete deletes traces, whole: when it returns nil, that is on disk, and no answer has them any more. Their bytes go from the disk
// some time later. It returns how many of them were not deleted before. Spans of them that come later are not kept, as long as
// Deleted knows the trace. Errors are of kind Busy: too many deletions are pending, or the disk is full.
func (s *Spool) Delete(ctx context.Context, ids []trace.ID) (int, error) {
	x := &s.deleter
	x.mu.Lock()
	defer x.mu.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return 0, &trace.Error{Kind: trace.Busy, Msg: "the store is being closed", After: 5 * time.Second}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	d, now := s.state.Load().deleted, time.Now()
	fresh := map[trace.ID]tombstone{}
	for _, id := range ids {
		if !d.has(id) {
			fresh[id] = tombstone{at: uint32(now.Unix()), pending: true}
		}
	}
	if len(fresh) == 0 {
		return 0, nil
	}
	if len(d.ids)+len(fresh) > maxTombstones { // changed under x.mu alone
		return 0, &trace.Error{
			Kind: trace.Busy, After: time.Minute,
			Msg: "too many deletions: the store remembers 1,048,576 until their spans are gone from the disk; see clew_store_tombstones, and try again",
		}
	}
	if err := s.saveTombstones(d.ids, fresh); err != nil {
		s.log.Error("deletion cannot be written", "err", err)
		return 0, &trace.Error{Kind: trace.Busy, Msg: "the deletion cannot be written; is the disk full?", After: busyAfter, Err: err}
	}
	d.mu.Lock()
	maps.Copy(d.ids, fresh)
	d.mu.Unlock()
	s.deletions.Add(1)
	s.metrics.deleted.Add(float64(len(fresh)))
	if x.latest.IsZero() {
		x.latest = now.Add(purgeLate)
	}
	x.due = now.Add(purgeQuiet)
	if x.latest.Before(x.due) {
		x.due = x.latest
	}
	return len(fresh), nil
}

// Deleted returns a function that reports whether a trace was deleted; nil when none was. Receivers refuse spans of such traces.
func (s *Spool) Deleted() func(trace.ID) bool {
	d := s.state.Load().deleted
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.ids) == 0 {
		return nil
	}
	return d.has
}

// Deletions returns a number that grows with each deletion: who keeps traces must forget them then.
func (s *Spool) Deletions() uint64 { return s.deletions.Load() }

// saveTombstones makes tombstones durable: those that are new, behind the ones in the file, or all if that is not known to be whole. The caller
// holds deleter.mu.
func (s *Spool) saveTombstones(old, fresh map[trace.ID]tombstone) (err error) {
	x := &s.deleter
	size, path, flag := x.size, x.path, os.O_WRONLY
	var record []byte
	if size == 0 {
		path, flag = x.path+tmpSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY
		record = appendTombstones(wal.FileHeader(wal.SegmentMagic, wal.SegmentVersion), old)
	}
	record = appendTombstones(record, fresh)
	x.size = 0 // until all went well
	f, err := s.disk.OpenFile(path, flag)
	if err != nil {
		return err
	}
	if _, err = f.Seek(size, io.SeekStart); err == nil {
		_, err = f.Write(record)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if size == 0 {
		if err := s.disk.Rename(path, x.path); err != nil {
			return err
		}
		if err := s.disk.SyncDir(s.cfg.Dir); err != nil {
			return err
		}
	}
	x.size = size + int64(len(record))
	return nil
}

// appendTombstones appends a record.
func appendTombstones(dst []byte, ids map[trace.ID]tombstone) []byte {
	if len(ids) == 0 {
		return dst
	}
	payload := make([]byte, 0, len(ids)*deletedBytes)
	for id, t := range ids {
		payload = binary.LittleEndian.AppendUint32(append(payload, id[:]...), t.at)
	}
	return wal.AppendRecord(dst, payload)
}

// loadTombstones reads the file of deleted traces. A damaged record is reported, and the traces that it names are back.
func (s *Spool) loadTombstones() (*deletions, error) {
	x := &s.deleter
	x.path, x.told = filepath.Join(s.cfg.Dir, deletedName), map[string]bool{}
	d := &deletions{ids: map[trace.ID]tombstone{}}
	if err := s.disk.Remove(x.path + tmpSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := s.disk.Open(x.path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	now := uint32(time.Now().Unix())
	bad, err := wal.ReadSegment(f, st.Size(), func(_ int64, p []byte) error {
		for ; len(p) >= deletedBytes; p = p[deletedBytes:] {
			d.ids[trace.ID(p[:16])] = tombstone{at: min(now, binary.LittleEndian.Uint32(p[16:])), pending: true}
		}
		return nil
	})
	if err != nil {
		return nil, inFile(x.path, err)
	}
	if x.size = st.Size(); len(bad) > 0 || x.size < wal.SegmentHeader {
		x.size = 0 // write it anew next time, without what is torn
	}
	for _, b := range bad {
		s.metrics.damaged.Inc()
		if b.Last {
			s.log.Warn("list of deleted traces ends in a record that is not whole: a crash cut short a deletion that was not acknowledged, or it is damaged",
				"file", x.path, "offset", b.Offset, "bytes", b.Bytes)
			continue
		}
		s.log.Error("list of deleted traces is damaged: delete again what was deleted in the last hour",
			"file", x.path, "offset", b.Offset, "bytes", b.Bytes)
	}
	if len(d.ids) > 0 {
		x.due = time.Now()
	}
	return d, nil
}

// A pass brings it about that nothing on disk has the traces that were deleted when it began: it cuts heads and rewrites blocks that have any.
type pass struct {
	begun time.Time
	ids   []trace.ID
	clean map[*block]bool   // looked at
	held  map[trace.ID]bool // a damaged block may have them
}

// mayDrop reports whether a tombstone may go as far as its age is concerned. When memory runs short, what is gone from disk goes.
func (p *pass) mayDrop(t tombstone, all int) bool {
	return all > maxTombstones/2 || int64(t.at) <= p.begun.Add(-tombstoneKeep).Unix()
}

// beginPass returns the pass under way, or a new one if it is due, or nil.
func (s *Spool) beginPass() *pass {
	x := &s.deleter
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := time.Now(); x.pass == nil && x.isDue(now) {
		x.due, x.latest = time.Time{}, time.Time{}
		p := &pass{begun: now, clean: map[*block]bool{}, held: map[trace.ID]bool{}}
		ids := s.state.Load().deleted.ids // changed under x.mu alone
		for id, t := range ids {
			if t.pending || p.mayDrop(t, len(ids)) {
				p.ids = append(p.ids, id)
			}
		}
		x.pass = p
	}
	return x.pass
}

func (x *deleter) isDue(now time.Time) bool { return !x.due.IsZero() && !now.Before(x.due) }

// purgeDue reports whether a pass should begin.
func (s *Spool) purgeDue(now time.Time) bool {
	s.deleter.mu.Lock()
	defer s.deleter.mu.Unlock()
	return s.deleter.isDue(now)
}

// purgeOne goes one step on with a pass, if there is one. The goroutine that cuts and merges calls it, so that neither is under way.
func (s *Spool) purgeOne(ctx context.Context) (worked bool, err error) {
	p := s.beginPass()
	if p == nil {
		return false, nil
	}
	st := s.state.Load()
	for _, h := range st.heads() {
		if !p.inHead(h) {
			continue
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if slices.Contains(s.state.Load().open.heads, h) && !s.closed {
			s.freeze() // so that its log segment goes, too
		}
		return true, nil
	}
	z := s.codecs.Get().(*codec)
	defer s.codecs.Put(z)
	r := newReader(z, s.headers)
	for _, b := range st.blocks {
		if p.clean[b] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		found := p.inBlock(b, r)
		if b.hurt.Load() {
			s.hold(p, b)
		} else if found {
			return true, s.rewrite(ctx, b)
		}
		p.clean[b] = true
	}
	return false, s.endPass(p)
}

func (p *pass) inHead(h *head) bool {
	for _, id := range p.ids {
		if h.start(id) != ^uint64(0) {
			return true
		}
	}
	return false
}

// inBlock reports whether a block has one of the traces. Damage that it finds shows in block.hurt.
func (p *pass) inBlock(b *block, r *reader) bool {
	for _, id := range p.ids {
		for _, place := range b.find(id, r.z) {
			if h, err := r.header(groupAt{b, place[0]}); err == nil && h.traces[place[1]].id == id {
				return true
			}
		}
	}
	return false
}

// hold keeps the tombstones of what a damaged block may have: it is not rewritten (I8).
func (s *Spool) hold(p *pass, b *block) {
	any := false
	for _, id := range p.ids {
		hash := idHash(id)
		if !b.mayHaveTrace(hash) {
			continue
		}
		if n, err := pack.Lookup(b.at(0, b.footer.Index), b.footer.Index.Length, hash); err != nil || len(n) > 0 {
			p.held[id], any = true, true
		}
	}
	if any && !s.deleter.told[b.path] {
		s.deleter.told[b.path] = true
		s.log.Error("a damaged block has deleted traces: it cannot be rewritten, so their bytes stay on disk until it expires; no answer has them",
			"file", b.path, "traces", len(p.held))
	}
}

// rewrite replaces a block by one without its deleted traces.
func (s *Spool) rewrite(ctx context.Context, b *block) error {
	from := []*block{b}
	to, err := s.merge(ctx, from)
	if trace.KindOf(err) == trace.Corrupt {
		return s.spare(from, err)
	}
	if err != nil {
		return err
	}
	s.metrics.purged.Add(float64(b.size))
	s.log.Info("block rewritten without deleted traces", "block", b.number, "spans", b.footer.Spans, "bytes_before", b.size, "bytes", bytesOf(to))
	return s.swap(from, to)
}

// endPass notes that the traces are gone from disk, once the removal of files is durable, and drops the tombstones that are old enough.
func (s *Spool) endPass(p *pass) error {
	if err := s.sweep(); err != nil {
		return err
	}
	x := &s.deleter
	x.mu.Lock()
	defer x.mu.Unlock()
	old := s.state.Load().deleted
	keep, done := make(map[trace.ID]tombstone, len(old.ids)), make(map[trace.ID]bool, len(p.ids))
	for _, id := range p.ids {
		done[id] = !p.held[id] && !s.leftOut
	}
	if s.leftOut && len(p.ids) > 0 && !x.told[""] {
		x.told[""] = true
		s.log.Error("deleted traces are remembered until block files that were left out at the start are moved away: they may have them")
	}
	for id, t := range old.ids {
		if done[id] && p.mayDrop(t, len(old.ids)) {
			continue
		}
		t.pending = t.pending && !done[id]
		keep[id] = t
	}
	if len(keep) < len(old.ids) {
		x.size = 0
		if err := s.saveTombstones(keep, nil); err != nil {
			return err
		}
	}
	next := &deletions{ids: keep}
	s.replace(func(st *state) { st.deleted = next })
	old.mu.Lock()
	old.next = next
	old.mu.Unlock()
	x.pass = nil
	for _, t := range keep {
		again := time.Unix(int64(t.at), 0).Add(tombstoneKeep)
		if soon := p.begun.Add(purgeAgain); again.Before(soon) {
			again = soon
		}
		if x.due.IsZero() || again.Before(x.due) {
			x.due = again
		}
	}
	return nil
}

// sweep removes what should be gone, but could not be removed, and makes the removal of files durable: blocks that are no longer
// used, and segments of heads that are in blocks.
func (s *Spool) sweep() error {
	entries, err := s.disk.ReadDir(s.blockDir())
	if err != nil {
		return err
	}
	s.mu.Lock()
	stuck, st := s.deleter.stuck, s.state.Load()
	s.deleter.stuck = nil
	for _, e := range entries { // of blocks of this process that failed: only files that are known are touched
		n, ok := blockNumber(strings.TrimSuffix(e.Name(), tmpSuffix))
		if ok && n >= s.firstBlock && !slices.ContainsFunc(st.blocks, func(b *block) bool { return b.number == n }) {
			stuck = append(stuck, filepath.Join(s.blockDir(), e.Name()))
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, path := range stuck {
		errs = append(errs, s.removeBlock(path))
	}
	first := st.fronts()[0].segment
	if first > 0 {
		errs = append(errs, s.removeSegments(first-1))
	}
	return errors.Join(append(errs, s.disk.SyncDir(s.blockDir()), s.disk.SyncDir(s.walDir()))...)
}

// removeBlock removes a block's file. If it cannot, that is tried again before a tombstone is dropped: it may have deleted traces.
func (s *Spool) removeBlock(path string) error {
	err := s.disk.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) { // expired while it was merged
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleter.stuck = append(s.deleter.stuck, path)
	return err
}

// operations adds those of a group that is copied from a block whose list has those of deleted traces, too.
func (g *group) operations(names census.Operations) error {
	for i := range g.shapes {
		s := g.rowsOf(uint32(i))
		if s.wide && g.shape(uint32(i)) == nil {
			return trace.Errorf(trace.Corrupt, "block %d is damaged", g.block.number)
		}
		if s.wide {
			if err := g.rows.z.Load(&s.names, s.n); err != nil {
				return err
			}
		}
		s.operations(nil, names)
	}
	return nil
}
