package spool

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/clewtrace/clew/store/spool/wal"
)

// cutLoop makes blocks of frozen fronts, and merges blocks when there is nothing to cut.
func (s *Spool) cutLoop(ctx context.Context) {
	for {
		worked, err := s.cutOne()
		if err == nil && !worked && ctx.Err() == nil {
			worked, err = s.purgeOne(ctx)
		}
		if err == nil && !worked && ctx.Err() == nil {
			worked, err = s.mergeOne(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.metrics.failed.Inc()
			s.log.Error("block cannot be written; the log keeps its spans, trying again", "err", err)
		}
		if worked && err == nil && ctx.Err() == nil {
			continue
		}
		retry := time.After(time.Hour)
		if err != nil {
			retry = time.After(5 * time.Second)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-retry:
		}
	}
}

// cutAll makes blocks of all frozen fronts.
func (s *Spool) cutAll() error {
	for {
		if worked, err := s.cutOne(); err != nil || !worked {
			return err
		}
	}
}

// cutOne makes a block of the oldest frozen front, if it has spans that are not deleted, and deletes the log segments it came from.
func (s *Spool) cutOne() (worked bool, err error) {
	st := s.state.Load()
	if len(st.frozen) == 0 {
		return false, nil
	}
	f := st.frozen[0]
	var b *block
	if f.spans() > 0 {
		begin := time.Now()
		if b, err = s.writeFront(f); err != nil {
			return false, err
		}
		s.metrics.cut.Observe(time.Since(begin).Seconds())
	}
	s.replace(func(next *state) {
		next.frozen = slices.Clone(next.frozen[1:])
		if b != nil {
			next.blocks = append(slices.Clone(next.blocks), b)
		}
	})
	return true, s.removeSegments(f.segment)
}

// replace changes what readers see.
func (s *Spool) replace(change func(next *state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.state.Load()
	change(&next)
	slices.SortFunc(next.blocks, func(a, b *block) int { return cmp.Compare(a.number, b.number) })
	next.names = namesOf(next.blocks)
	keepFilters(next.blocks)
	s.state.Store(&next)
	s.cutDone.Broadcast()
}

// newBlock begins a block with the next number.
func (s *Spool) newBlock(z *codec) (number uint64, w *blockWriter, err error) {
	s.mu.Lock()
	number = s.nextBlock
	s.nextBlock++
	s.mu.Unlock()
	w, err = createBlock(s.disk, blockPath(s.blockDir(), number), z)
	if err == nil {
		w.group.limit = s.cfg.groupSpans
	}
	return number, w, err
}

// writeFront makes a block of a front; nil when all of it was deleted.
func (s *Spool) writeFront(f *front) (*block, error) {
	z := s.codecs.Get().(*codec)
	defer s.codecs.Put(z)
	number, w, err := s.newBlock(z)
	if err != nil {
		return nil, err
	}
	defer w.abort()
	if err := f.write(w, s.state.Load().deleted); err != nil {
		return nil, err
	}
	if w.empty() {
		return nil, nil
	}
	w.footer.Segment = f.segment
	if err := w.finish(); err != nil {
		return nil, err
	}
	s.metrics.duplicates.Add(float64(w.dropped))
	return w.open(number, s.damaged)
}

// removeSegments deletes the log up to a segment; its spans are in blocks now (I2).
func (s *Spool) removeSegments(last uint64) error {
	entries, err := s.disk.ReadDir(s.walDir())
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if n, ok := wal.SegmentNumber(e.Name()); ok && n <= last {
			errs = append(errs, s.disk.Remove(wal.SegmentPath(s.walDir(), n)))
		}
	}
	return errors.Join(errs...)
}

// keepLoop cuts heads that are old and deletes blocks past the retention.
func (s *Spool) keepLoop(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if s.isOld(s.state.Load().open, now) {
				s.mu.Lock()
				if s.isOld(s.state.Load().open, now) && !s.closed {
					s.freeze()
				}
				s.mu.Unlock()
			}
			if s.purgeDue(now) {
				s.signal()
			}
			if err := s.expire(now); err != nil {
				s.log.Error("expired block cannot be deleted", "err", err)
			}
		}
	}
}

func (s *Spool) isOld(f *front, now time.Time) bool {
	return now.UnixNano()-f.opened.Load() >= int64(s.cfg.HeadAge) && f.spans() > 0
}

// expire deletes the blocks whose newest span is older than the retention, and the oldest ones over the limit of bytes.
func (s *Spool) expire(now time.Time) error {
	st := s.state.Load()
	byAge := slices.Clone(st.blocks)
	slices.SortFunc(byAge, func(a, b *block) int { return cmp.Compare(a.footer.Newest, b.footer.Newest) })
	var total int64
	for _, b := range byAge {
		total += b.size
	}
	var gone []*block
	for _, b := range byAge {
		old := s.cfg.Retention > 0 && int64(b.footer.Newest) < now.Add(-s.cfg.Retention).UnixNano()
		over := s.cfg.RetentionBytes > 0 && total > s.cfg.RetentionBytes
		if !old && !over {
			break
		}
		reason := "age"
		if !old {
			reason = "bytes"
		}
		s.metrics.expired.WithLabelValues(reason).Add(float64(b.footer.Spans))
		s.log.Info("block expired", "block", b.number, "spans", b.footer.Spans, "bytes", b.size, "reason", reason)
		total -= b.size
		gone = append(gone, b)
	}
	return s.remove(gone)
}

// remove takes blocks out of sight and deletes their files. Readers that have them open go on reading.
func (s *Spool) remove(gone []*block) error {
	if len(gone) == 0 {
		return nil
	}
	s.replace(func(next *state) {
		next.blocks = slices.DeleteFunc(slices.Clone(next.blocks), func(b *block) bool { return slices.Contains(gone, b) })
	})
	s.headers.Forget(func(at groupAt) bool { return slices.Contains(gone, at.block) }) // so that their files can be closed
	s.counts.Forget(func(b *block) bool { return slices.Contains(gone, b) })
	var errs []error
	for _, b := range gone {
		errs = append(errs, s.removeBlock(b.path))
	}
	return errors.Join(errs...)
}
