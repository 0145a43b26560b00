package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

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
	blocks, last, err := s.openBlocks()
	if err != nil {
		return err
	}
	heads, next, err := s.replay(last)
	if err != nil {
		return err
	}
	w, err := openWAL(s.walDir(), next, s.metrics.synced)
	if err != nil {
		return fmt.Errorf("data folder is not writable: %w", err)
	}
	s.wal = w
	st := &state{head: newHead(), frozen: heads, blocks: blocks, names: namesOf(blocks)}
	st.head.segment = next
	s.state.Store(st)
	var inBlocks, inLog int64
	for _, b := range blocks {
		inBlocks += b.footer.Spans
	}
	for _, h := range heads {
		inLog += int64(h.rows.spans)
	}
	s.metrics.replayed.Add(float64(inLog))
	s.log.Info("store is open", "dir", s.cfg.Dir, "blocks", len(blocks), "spans_in_blocks", inBlocks,
		"log_segments", len(heads), "spans_from_log", inLog, "took", time.Since(begin).Round(time.Millisecond))
	return nil
}

// openBlocks opens the blocks that count, deletes what a crash left behind, and returns the last log segment that is in blocks.
func (s *Spool) openBlocks() (blocks []*block, last uint64, err error) {
	entries, err := os.ReadDir(s.blockDir())
	if err != nil {
		return nil, 0, err
	}
	replaced := map[uint64]bool{}
	for _, e := range entries {
		path := filepath.Join(s.blockDir(), e.Name())
		if strings.HasSuffix(e.Name(), tmpSuffix) {
			s.log.Info("deleting a block that a crash left unfinished; its spans are in the log or in older blocks", "file", path)
			if err := os.Remove(path); err != nil {
				return nil, 0, err
			}
			continue
		}
		number, ok := blockNumber(e.Name())
		if !ok {
			continue
		}
		s.nextBlock = max(s.nextBlock, number+1)
		b, err := openBlock(path, number, s.damaged)
		if trace.KindOf(err) == trace.Corrupt {
			s.log.Error("block is left out; move the file away to silence this", "file", path)
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
	var errs []error
	blocks = slices.DeleteFunc(blocks, func(b *block) bool {
		if replaced[b.number] {
			errs = append(errs, b.file.Close(), os.Remove(b.path))
		}
		return replaced[b.number]
	})
	return blocks, last, errors.Join(errs...)
}

// replay makes a frozen head of each log segment after last, and returns the number of the segment to write next.
func (s *Spool) replay(last uint64) (heads []*head, next uint64, err error) {
	entries, err := os.ReadDir(s.walDir())
	if err != nil {
		return nil, 0, err
	}
	next = last + 1
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for _, e := range entries {
		number, ok := segmentNumber(e.Name())
		if !ok {
			continue
		}
		next = max(next, number+1)
		path := segmentPath(s.walDir(), number)
		if number <= last { // a block has it (I3)
			if err := os.Remove(path); err != nil {
				return nil, 0, err
			}
			continue
		}
		h := newHead()
		h.segment = number
		heads = append(heads, h)
		work.Go(func() error { return s.replaySegment(path, h) })
	}
	if err := work.Wait(); err != nil {
		return nil, 0, err
	}
	slices.SortFunc(heads, func(a, b *head) int { return int(int64(a.segment) - int64(b.segment)) })
	return heads, next, nil
}

func (s *Spool) replaySegment(path string, h *head) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	var b trace.Batch
	bad, err := readSegment(raw, func(payload []byte) error {
		if err := b.Index(payload, s.limits); err != nil {
			return err
		}
		return h.append(&b)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, d := range bad {
		if d.torn {
			s.metrics.damaged.Inc()
			s.log.Warn("log ends in a torn record, which is cut off", "file", path, "offset", d.offset, "bytes", d.bytes)
			continue
		}
		s.damaged(path, d.offset, trace.Errorf(trace.Corrupt, "log record of %d bytes is damaged", d.bytes))
	}
	return nil
}
