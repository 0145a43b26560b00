package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// damaged logs and counts damage in a file.
func (s *Spool) damaged(path string, offset int64, err error) {
	s.metrics.damaged.Inc()
	s.log.Error("damaged data is left out", "file", path, "offset", offset, "err", err)
}

// recover opens the blocks, replays the log and starts a new segment.
func (s *Spool) recover() error {
	begin := time.Now()
	deleted, err := s.loadTombstones()
	if err != nil {
		return fmt.Errorf("read deleted traces: %w", err)
	}
	blocks, last, err := s.openBlocks()
	if err != nil {
		return err
	}
	old, err := s.replay(last)
	if err != nil {
		return err
	}
	w, err := wal.Open(s.disk, s.walDir(), old.next, s.metrics.synced)
	if err != nil {
		return fmt.Errorf("data folder is not writable: %w", err)
	}
	s.wal = w
	st := &state{open: newFront(nil), frozen: old.fronts, blocks: blocks, names: namesOf(blocks), deleted: deleted}
	st.open.segment = old.next
	keepFilters(blocks)
	s.state.Store(st)
	s.firstBlock = s.nextBlock
	var inBlocks, inLog int64
	for _, b := range blocks {
		inBlocks += b.footer.Spans
	}
	for _, f := range old.fronts {
		inLog += int64(f.spans())
	}
	s.metrics.replayed.Add(float64(inLog))
	s.log.Info("store is open", "dir", s.cfg.Dir, "blocks", len(blocks), "spans_in_blocks", inBlocks,
		"log_segments", old.segments, "spans_from_log", inLog, "took", time.Since(begin).Round(time.Millisecond))
	return nil
}

// openBlocks opens the blocks that count, deletes what a crash left behind, and returns the last log segment that is in blocks.
func (s *Spool) openBlocks() (blocks []*block, last uint64, err error) {
	entries, err := s.disk.ReadDir(s.blockDir())
	if err != nil {
		return nil, 0, err
	}
	replaced := map[uint64]bool{}
	var broken []uint64
	for _, e := range entries {
		path := filepath.Join(s.blockDir(), e.Name())
		if strings.HasSuffix(e.Name(), tmpSuffix) {
			s.log.Info("deleting a block that a crash left unfinished; its spans are in the log or in older blocks", "file", path)
			if err := s.disk.Remove(path); err != nil {
				return nil, 0, err
			}
			continue
		}
		number, ok := blockNumber(e.Name())
		if !ok {
			continue
		}
		s.nextBlock = max(s.nextBlock, number+1)
		b, err := openBlock(s.disk, path, number, s.damaged)
		if trace.KindOf(err) == trace.Corrupt {
			broken = append(broken, number)
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("open block: %w", err)
		}
		blocks = append(blocks, b)
		last = max(last, b.footer.Segment)
		for _, n := range b.footer.Replaces {
			replaced[n] = true
		}
	}
	// A name that a crash left on its way to the disk must be there before what it stands for is deleted.
	if err := s.disk.SyncDir(s.blockDir()); err != nil {
		return nil, 0, err
	}
	var errs []error
	blocks = slices.DeleteFunc(blocks, func(b *block) bool {
		if replaced[b.number] {
			errs = append(errs, b.file.Close(), s.disk.Remove(b.path))
		}
		return replaced[b.number]
	})
	for _, n := range broken {
		path := blockPath(s.blockDir(), n)
		if replaced[n] {
			errs = append(errs, s.disk.Remove(path))
			continue
		}
		s.leftOut = true
		s.log.Error("block is left out; move the file away to silence this", "file", path)
	}
	return blocks, last, errors.Join(errs...)
}

// replayed is what was in the log.
type replayed struct {
	fronts   []*front
	segments int
	next     uint64 // the number of the segment to write next
}

// pieceBytes is how much of a segment at least is worth a goroutine and a head of its own.
const pieceBytes = 64 << 20

// replay makes frozen fronts of the log segments after last. All cores work: at several segments at once, and on parts of large ones.
func (s *Spool) replay(last uint64) (*replayed, error) {
	entries, err := s.disk.ReadDir(s.walDir())
	if err != nil {
		return nil, err
	}
	out := &replayed{next: last + 1}
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for _, e := range entries { // in order of numbers
		n, ok := wal.SegmentNumber(e.Name())
		if !ok {
			continue
		}
		path := wal.SegmentPath(s.walDir(), n)
		out.next = max(out.next, n+1)
		if n <= last { // a block has it (I3)
			if err := s.disk.Remove(path); err != nil {
				return nil, errors.Join(err, work.Wait())
			}
			continue
		}
		pieces := 1
		if info, err := e.Info(); err == nil {
			pieces = int(min(1+info.Size()/pieceBytes, int64(runtime.GOMAXPROCS(0))))
		}
		f := &front{segment: n}
		for range pieces {
			f.heads = append(f.heads, newHead(nil))
		}
		out.fronts = append(out.fronts, f)
		out.segments++
		work.Go(func() error { return s.replaySegment(path, f.heads) })
	}
	return out, work.Wait()
}

// records is some whole records of a segment, one after the other.
type records struct {
	raw     []byte
	ends    []int
	offsets []int64 // in the file
}

// chunkBytes is how much of a segment is handed to a goroutine at once.
const chunkBytes = 1 << 20

// replaySegment reads a segment's records into heads, each by a goroutine of its own.
func (s *Spool) replaySegment(path string, heads []*head) error {
	f, err := s.disk.Open(path)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	filled, empty := make(chan *records, len(heads)), make(chan *records, 2*len(heads))
	var work sync.WaitGroup
	for _, h := range heads {
		empty <- &records{}
		empty <- &records{}
		work.Go(func() {
			var b trace.Batch
			for c := range filled {
				s.replayRecords(path, c, &b, h)
				*c = records{c.raw[:0], c.ends[:0], c.offsets[:0]}
				empty <- c
			}
		})
	}
	c := <-empty
	bad, err := wal.ReadSegment(f, st.Size(), func(offset int64, payload []byte) error {
		c.raw = append(c.raw, payload...)
		c.ends, c.offsets = append(c.ends, len(c.raw)), append(c.offsets, offset)
		if len(c.raw) >= chunkBytes {
			filled <- c
			c = <-empty
		}
		return nil
	})
	filled <- c
	close(filled)
	work.Wait()
	s.reportLog(path, bad)
	if err != nil {
		return fmt.Errorf("read log: %w", inFile(path, err))
	}
	return nil
}

// inFile names the file in an error that does not.
func inFile(path string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// replayRecords appends records to a head. What is whole but no batch can only be damage that the wal.Checksum does not see.
func (s *Spool) replayRecords(path string, c *records, b *trace.Batch, h *head) {
	lo := 0
	for i, hi := range c.ends {
		err := b.Index(c.raw[lo:hi], s.limits)
		if err == nil {
			err = h.append(b)
		}
		if err != nil {
			s.damaged(path, c.offsets[i], err)
		}
		lo = hi
	}
}

// reportLog reports damage in a segment.
func (s *Spool) reportLog(path string, bad []wal.Damage) {
	for _, d := range bad {
		if d.Last {
			s.metrics.damaged.Inc()
			s.log.Warn("log ends in a record that is not whole, and is left out: a crash cut it short, or it is damaged", "file", path, "offset", d.Offset, "bytes", d.Bytes)
			continue
		}
		s.damaged(path, d.Offset, trace.Errorf(trace.Corrupt, "log record of %d bytes is damaged", d.Bytes))
	}
}
