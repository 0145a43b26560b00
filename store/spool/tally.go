package spool

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/clewtrace/clew/store/census"
	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/trace"
)

// A tally counts rows for a census: all of a group while it is written, or some of a head. Shape comes before the shape's columns,
// and finish after all shapes of some rows.
type tally struct {
	*census.Census
	census.Counter
	n uint64 // rows of the shape
}

const (
	// tallyFew is how many rows are counted one by one though their values do not repeat: other groups may have the same ones.
	tallyFew = 64
	// tallyHead is about how many rows of a head are looked at for the values of a key, the newest among them, where they have no index. Each takes some 30 ns.
	tallyHead = 64 << 10
	// tallyHeadKeys is how many of such rows of a shape are looked at for how many values its keys have.
	tallyHeadKeys = 64
	// tallyBlocks is how many blocks are asked, the newest.
	tallyBlocks = 256
	// censusBytes is how much memory statistics that were read may take. Those of a block of a shop of 17 services take some 150 kB.
	censusBytes = 16 << 20
)

// shape counts what all of a shape's n rows have.
func (t *tally) shape(r *rows, s *shape, n int) {
	t.Next()
	t.n = uint64(n)
	t.Attrs(s.service, trace.ScopeInstrumentation, r.scopes[s.scope].decoded.Attrs, t.n)
	t.Attrs(s.service, trace.ScopeIntrinsic, census.Common(s.kind, s.status), t.n)
	if !s.wide {
		t.Attrs(s.service, trace.ScopeIntrinsic, census.Name(s.name), t.n)
	}
}

// numbers counts attribute j of a shape: a number for each row, or one for all.
func (t *tally) numbers(s *shape, j int, v []uint64) {
	if k := t.Key(s.service, census.ID{Scope: trace.ScopeSpan, Name: s.keys[j].key}, t.n); k != nil {
		t.Numbers(k, s.keys[j].typ, v, t.n)
	}
}

// few counts attribute j of a shape: different numbers, and how many rows have each.
func (t *tally) few(s *shape, j int, values, counts []uint64) {
	if k := t.Key(s.service, census.ID{Scope: trace.ScopeSpan, Name: s.keys[j].key}, t.n); k != nil {
		k.Numbers(s.keys[j].typ, values, counts)
	}
}

// texts counts attribute j of a shape, in a bytes column.
func (t *tally) texts(s *shape, j int, c *pack.Column) {
	typ, k := s.keys[j].typ, t.Key(s.service, census.ID{Scope: trace.ScopeSpan, Name: s.keys[j].key}, t.n)
	switch {
	case k == nil:
	case c.Form == pack.Same:
		k.Value(typ, c.Data, t.n)
	case c.Form == pack.Indexed:
		k.Column(typ, c.One, t.Indexed(c.Index, len(c.Ends)))
	case t.Limit > 0 || t.n <= tallyFew:
		t.Texts(k, typ, int(t.n), c.Bytes)
	default: // about half of them are different, or more
		k.Different(typ, int(t.n), c.Bytes)
	}
}

// wide counts the names and attributes of a catch-all shape.
func (t *tally) wide(s *shape, rest, names *pack.Column) {
	t.Spans(t.Census, s.service, int(t.n), func(i int) (name, attrs []byte) { return names.Bytes(i), rest.Bytes(i) })
}

// finish counts what the rows' resources have.
func (t *tally) finish(r *rows) {
	for i, n := range t.Counted() {
		t.Next()
		t.Attrs(r.resources[i].service, trace.ScopeResource, r.resources[i].decoded.Attrs, n)
	}
}

// rows counts rows whose columns are there.
func (t *tally) rows(r *rows) {
	for _, s := range r.shapes {
		if !t.Wants(s.service, census.ID{}) {
			continue
		}
		t.shape(r, &s.shape, s.n)
		t.Count(s.resource.Nums)
		if s.wide {
			t.wide(&s.shape, &s.rest, &s.names)
			continue
		}
		for j := range s.keys {
			if isNumber(s.keys[j].typ) {
				t.numbers(&s.shape, j, s.attrs[j].Nums)
			} else {
				t.texts(&s.shape, j, &s.attrs[j])
			}
		}
	}
	t.finish(r)
}

// group counts a group that was read.
func (t *tally) group(g *group) error {
	for i := range g.shapes {
		s := g.shape(uint32(i))
		if s == nil {
			return trace.Errorf(trace.Corrupt, "block %d is damaged", g.block.number)
		}
		if err := g.rows.load(s); err != nil {
			return err
		}
	}
	t.rows(g.rows)
	return nil
}

// tally counts what a question asks for in a head: keys exactly, but for those in catch-all shapes, and values in the newest rows
// and some of the others.
func (h *head) tally(t *tally, q trace.AttrQuery) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.rows.spans == 0 || !q.Range.Overlaps(h.oldest, h.newest) {
		return
	}
	t.Limit = tallyHeadKeys
	if q.Key != "" {
		t.Limit = max(tallyHead/len(h.rows.shapes), tallyHeadKeys)
	}
	t.rows(h.rows)
}

// Attributes says which attributes are in use. What it costs grows with how many blocks overlap the range, which count as wholes, and not with their spans.
func (s *Spool) Attributes(ctx context.Context, q trace.AttrQuery) (*trace.AttrStats, error) {
	z := s.codecs.Get().(*codec)
	defer s.codecs.Put(z)
	st, c := s.state.Load(), census.Ask(q)
	for _, h := range st.heads() {
		h.tally(&tally{Census: c}, q)
	}
	blocks := slices.DeleteFunc(slices.Clone(st.blocks), func(b *block) bool { return !q.Range.Overlaps(b.footer.Oldest, b.footer.Newest) })
	slices.SortFunc(blocks, func(a, b *block) int { return cmp.Compare(b.footer.Newest, a.footer.Newest) })
	broken, left := 0, len(blocks)-tallyBlocks
	for _, b := range blocks[:min(len(blocks), tallyBlocks)] {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		raw, ok := s.counts.Get(b)
		var err error
		if !ok {
			if raw, err = b.census(z); err == nil {
				s.counts.Put(b, raw, int64(len(raw)))
			}
		}
		if err != nil || b.adopted(c.Merge(raw)) != nil { // reported; costs statistics alone
			broken++
		}
	}
	out := c.Answer()
	switch {
	case broken > 0:
		out.Incomplete = fmt.Sprintf("the statistics of %d blocks are damaged", broken)
	case left > 0:
		out.Incomplete = fmt.Sprintf("the oldest %d of %d blocks were left out", left, len(blocks))
	}
	return out, nil
}

// adopt takes over the statistics of blocks that are merged: none of their spans has to be looked at.
func (w *blockWriter) adopt(from []*block) {
	w.group.tally = &tally{Census: census.None()}
	for _, b := range from {
		if raw, err := b.census(w.z); err == nil {
			_ = b.adopted(w.census.Merge(raw))
		}
	}
}

// census reads the block's statistics of attributes. Damage is reported.
func (b *block) census(z *codec) (string, error) {
	raw, err := b.read(b.footer.Census, 0)
	if err == nil {
		raw, err = z.Decompress(raw)
	}
	return string(raw), b.adopted(err)
}

func (b *block) adopted(err error) error {
	if err != nil {
		return b.damaged(b.footer.Census.Offset, err)
	}
	return nil
}
