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

func (s *Spool) tier(b *block) int {
	return bits.Len64(uint64(b.footer.Spans)/uint64(s.cfg.groupSpans)) / 2
}

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
		t := s.tier(b)
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
	s.metrics.merge.Observe(time.Since(begin).Seconds())
	s.log.Debug("blocks merged", "blocks", len(from), "bytes_before", bytesOf(from), "bytes", bytesOf(b), "took", time.Since(begin))
	return true, s.swap(from, b)
}

// swap lets others take the place of blocks, whose files it deletes. When one of them has expired meanwhile, the others are for
// nothing: they have its spans.
func (s *Spool) swap(from, to []*block) error {
	expired := false
	s.replace(func(next *state) {
		for _, b := range from {
			expired = expired || !slices.Contains(next.blocks, b)
		}
		if expired {
			return
		}
		next.blocks = slices.DeleteFunc(slices.Clone(next.blocks), func(b *block) bool { return slices.Contains(from, b) })
		next.blocks = append(next.blocks, to...)
	})
	if expired {
		from = to
	}
	return s.remove(from)
}

func bytesOf(blocks []*block) (n int64) {
	for _, b := range blocks {
		n += b.size
	}
	return n
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

// merge writes one block of several, or none if all their traces were deleted. Groups that are large, and whose traces no other block
// has, are copied as they are: of a store's spans most are never decoded again. What is left is written anew: small groups, groups
// with deleted traces, and traces that are in several.
func (s *Spool) merge(ctx context.Context, from []*block) ([]*block, error) {
	z := s.codecs.Get().(*codec)
	defer s.codecs.Put(z)
	m := &merger{
		pace: s.newPace(ctx), from: from, reader: newReader(z, nil), large: s.cfg.groupSpans / 2,
		deleted: s.state.Load().deleted, thinned: map[*block]bool{},
	}
	if err := m.survey(); err != nil {
		return nil, err
	}
	number, w, err := s.newBlock(z)
	if err != nil {
		return nil, err
	}
	defer w.abort()
	if len(m.thinned) == 0 {
		w.adopt(from)
	} // else the spans that are left are counted anew: nothing may tell of deleted ones
	if err := m.copyWhole(w); err != nil {
		return nil, err
	}
	if err := m.rewrite(w); err != nil {
		return nil, err
	}
	if w.empty() {
		return nil, nil
	}
	for _, b := range from {
		w.footer.Segment = max(w.footer.Segment, b.footer.Segment)
		w.footer.Replaces = append(w.footer.Replaces, b.number)
	}
	if err := w.finish(); err != nil {
		return nil, err
	}
	s.metrics.duplicates.Add(float64(w.dropped))
	b, err := w.open(number, s.damaged)
	return []*block{b}, err
}

// merger reads the groups of several blocks.
type merger struct {
	pace   *pace
	from   []*block
	reader *reader
	large  int       // spans of a group that would hardly get better by being put together with others
	whole  []groupAt // to be copied as they are
	places []place   // of the traces to be written anew, in order

	deleted *deletions
	thinned map[*block]bool // blocks with deleted traces: their lists of operations are not to be trusted
}

// survey finds out which groups can be copied, and where the traces of the others lie: those of one trace together, with the
// start of its earliest part.
func (m *merger) survey() error {
	type seen struct {
		group int // in groups, of the part that was found first
		start uint64
	}
	var groups []groupAt
	var heads []*groupHeader
	var apart []bool // by group: it has a trace that another block has, too
	byID := map[trace.ID]seen{}
	for _, b := range m.from {
		for k := range b.footer.Groups {
			h, err := b.groupHeader(k, m.reader.z)
			if err != nil {
				return err
			}
			if err := m.pace.step(b.footer.Groups[k].Header.Length); err != nil {
				return err
			}
			n := len(groups)
			groups, heads, apart = append(groups, groupAt{b, k}), append(heads, h), append(apart, false)
			for i := range h.traces {
				t := &h.traces[i]
				if m.deleted.has(t.id) {
					apart[n], m.thinned[b] = true, true
					continue
				}
				first, ok := byID[t.id]
				if !ok {
					first = seen{n, t.start}
				}
				if groups[first.group].block != b { // parts within a block were split for their size
					apart[n], apart[first.group] = true, true
				}
				first.start = min(first.start, t.start)
				byID[t.id] = first
			}
		}
	}
	for n, g := range groups {
		if !apart[n] && (g.info().Spans >= m.large || g.info().Length >= groupBytes/8) {
			m.whole = append(m.whole, g)
			continue
		}
		block := slices.Index(m.from, g.block)
		for i := range heads[n].traces {
			id := heads[n].traces[i].id
			if first, ok := byID[id]; ok {
				m.places = append(m.places, place{id, first.start, block, g.index, i})
			}
		}
	}
	slices.SortFunc(m.places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.start, b.start), slices.Compare(a.id[:], b.id[:]),
			cmp.Compare(a.block, b.block), cmp.Compare(a.group, b.group), cmp.Compare(a.index, b.index))
	})
	return nil
}

// copyWhole copies groups as they are, having checked every byte (I8).
func (m *merger) copyWhole(w *blockWriter) error {
	for _, at := range m.whole {
		if err := m.pace.step(2 * at.info().Length); err != nil {
			return err
		}
		h, raw, err := at.block.groupBytes(at.index, m.reader.z)
		if err != nil {
			return err
		}
		if err := w.copyGroup(*at.info(), h.traces, raw); err != nil {
			return err
		}
		if len(m.thinned) > 0 {
			if err := w.group.tally.group(newGroup(at, h, m.reader)); err != nil {
				return err
			}
		}
		if m.thinned[at.block] {
			if err := newGroup(at, h, m.reader).operations(w.names); err != nil {
				return err
			}
		}
	}
	for _, b := range m.from {
		if !m.thinned[b] {
			w.names.AddAll(b.footer.Operations)
		}
	}
	return nil
}

// rewrite writes the traces that are left.
func (m *merger) rewrite(w *blockWriter) error {
	written := w.at
	for places := m.places; len(places) > 0; {
		n := 1
		for n < len(places) && places[n].id == places[0].id {
			n++
		}
		if err := m.pace.step(2 * (w.at - written)); err != nil {
			return err
		}
		written = w.at
		spans, err := m.spans(places[:n])
		if err != nil {
			return err
		}
		if len(spans) > 0 {
			if err := w.add(places[0].id, spans); err != nil {
				return err
			}
		}
		places = places[n:]
	}
	return nil
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
