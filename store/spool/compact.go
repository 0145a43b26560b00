package spool

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/clewtrace/clew/trace"
)

// Blocks of one tier (each is four times as large as the one below) are merged when there are mergeBlocks of them.
const (
	mergeBlocks = 4
	// mergeRange bounds the time that a merged block covers to a part of the retention, so that expiry stays fine-grained.
	mergeRangeParts = 8
	maxMergeRange   = 24 * time.Hour
)

func tier(spans int64) int { return bits.Len64(uint64(spans)/groupSpans) / 2 }

// pick returns blocks to merge, or nil: the newest run of neighbours in time of one tier.
func (s *Spool) pick() []*block {
	blocks := slices.DeleteFunc(slices.Clone(s.state.Load().blocks), func(b *block) bool { return b.hurt.Load() })
	slices.SortFunc(blocks, func(a, b *block) int {
		return cmp.Or(cmp.Compare(a.footer.Newest, b.footer.Newest), cmp.Compare(a.number, b.number))
	})
	limit := maxMergeRange
	if s.cfg.Retention > 0 {
		limit = min(limit, s.cfg.Retention/mergeRangeParts)
	}
	byTier := map[int][]*block{}
	for _, b := range blocks {
		t := tier(b.footer.Spans)
		run := byTier[t]
		total, oldest := b.footer.Spans, b.footer.Oldest
		for _, r := range run {
			total += r.footer.Spans
			oldest = min(oldest, r.footer.Oldest)
		}
		if total > s.cfg.BlockSpans || b.footer.Newest-oldest > uint64(limit) {
			run = nil
		}
		if b.footer.Spans <= s.cfg.BlockSpans/2 {
			run = append(run, b)
		}
		byTier[t] = run
		if len(run) == mergeBlocks {
			return run
		}
	}
	return nil
}

// mergeOne merges some blocks into one, if there are such.
func (s *Spool) mergeOne(ctx context.Context) (worked bool, err error) {
	from := s.pick()
	if from == nil {
		return false, nil
	}
	begin := time.Now()
	b, err := s.merge(ctx, from)
	if trace.KindOf(err) == trace.Corrupt {
		return true, s.spare(from, err)
	}
	if err != nil {
		return false, err
	}
	s.replace(func(next *state) {
		next.blocks = slices.DeleteFunc(slices.Clone(next.blocks), func(b *block) bool { return slices.Contains(from, b) })
		next.blocks = append(next.blocks, b)
	})
	s.metrics.merge.Observe(time.Since(begin).Seconds())
	var total int64
	for _, b := range from {
		total += b.size
	}
	s.log.Debug("blocks merged", "blocks", len(from), "spans", b.footer.Spans, "bytes_before", total, "bytes", b.size, "took", time.Since(begin))
	return true, s.remove(from)
}

// spare makes sure that blocks of which one is damaged are not merged: what is whole stays where it is (I8).
func (s *Spool) spare(from []*block, err error) error {
	if slices.ContainsFunc(from, func(b *block) bool { return b.hurt.Load() }) { // reported
		return nil
	}
	for _, b := range from {
		b.hurt.Store(true)
	}
	return fmt.Errorf("blocks cannot be merged and are left as they are: %w", err)
}

// place is where a part of a trace lies.
type place struct {
	id    trace.ID
	start uint64
	block int
	group int
	index int
}

func (s *Spool) merge(ctx context.Context, from []*block) (*block, error) {
	z := s.codecs.Get().(*codec)
	defer s.codecs.Put(z)
	m := &merger{from: from, reader: newReader(z, nil)}
	places, err := m.places()
	if err != nil {
		return nil, err
	}
	number, path := s.newBlock()
	w, err := createBlock(s.disk, path, z)
	if err != nil {
		return nil, err
	}
	defer w.abort()
	for len(places) > 0 {
		n := 1
		for n < len(places) && places[n].id == places[0].id && places[n].start == places[0].start {
			n++
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		spans, err := m.spans(places[:n])
		if err != nil {
			return nil, err
		}
		if len(spans) > 0 {
			if err := w.add(places[0].id, spans); err != nil {
				return nil, err
			}
		}
		places = places[n:]
	}
	for _, b := range from {
		w.footer.Segment = max(w.footer.Segment, b.footer.Segment)
		w.footer.Replaces = append(w.footer.Replaces, b.number)
	}
	if err := w.finish(); err != nil {
		return nil, err
	}
	s.metrics.duplicates.Add(float64(w.dropped))
	return w.open(number, s.damaged)
}

// merger reads the traces of several blocks in order.
type merger struct {
	from   []*block
	reader *reader
}

// places returns where all traces lie, those of one trace together and with the start of its earliest part.
func (m *merger) places() ([]place, error) {
	var all []place
	for i, b := range m.from {
		for k := range b.footer.Groups {
			g, err := b.groupHeader(k, m.reader.z)
			if err != nil {
				return nil, err
			}
			for t := range g.traces {
				all = append(all, place{g.traces[t].id, g.traces[t].start, i, k, t})
			}
		}
	}
	byID := make(map[trace.ID]uint64, len(all))
	for _, p := range all {
		if start, ok := byID[p.id]; !ok || p.start < start {
			byID[p.id] = p.start
		}
	}
	for i := range all {
		all[i].start = byID[all[i].id]
	}
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.start, b.start), slices.Compare(a.id[:], b.id[:]),
			cmp.Compare(a.block, b.block), cmp.Compare(a.group, b.group), cmp.Compare(a.index, b.index))
	})
	return all, nil
}

func (m *merger) spans(places []place) ([]at, error) {
	var out []at
	for _, p := range places {
		g, err := m.reader.group(groupAt{m.from[p.block], p.group})
		if err != nil {
			return nil, err
		}
		out = g.ats(p.index, out)
		if g.block.hurt.Load() {
			return nil, trace.Errorf(trace.Corrupt, "block %d is damaged", g.block.number)
		}
	}
	return out, nil
}
