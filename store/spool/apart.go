package spool

import (
	"container/heap"
	"slices"

	"github.com/clewtrace/clew/store/spool/pack"
)

// repeatedHashes returns the hashes of traces that some blocks have more than once in all: of those whose parts were not merged yet,
// or are too large for one group. It reads the blocks' indexes side by side, in order, and keeps a page of each.
func repeatedHashes(blocks []*block, z *codec) map[uint64]bool {
	out := map[uint64]bool{}
	var line hashLine
	for _, b := range blocks {
		s := &hashSource{block: b, codec: z, cursor: pack.NewCursor(b.at(0, b.footer.Index), b.footer.Index.Length)}
		if s.move() {
			line = append(line, s)
		}
	}
	heap.Init(&line)
	for last, any := uint64(0), false; len(line) > 0; any = true {
		h := line[0].hash
		if any && h == last {
			out[h] = true
		}
		last = h
		if line[0].move() {
			heap.Fix(&line, 0)
		} else {
			heap.Pop(&line)
		}
	}
	return out
}

// hashSource is the hashes of a block's traces in order.
type hashSource struct {
	block  *block
	codec  *codec
	cursor *pack.Cursor // nil: the index is damaged
	read   int          // from the index
	left   []uint64     // in place of it
	hash   uint64
}

// move goes on to the next hash; false at the end.
func (s *hashSource) move() bool {
	if s.cursor != nil {
		hash, ok, err := s.cursor.Next()
		if err == nil {
			s.read++
			s.hash = hash
			return ok
		}
		_ = s.block.damaged(s.block.footer.Index.Offset, err)
		s.cursor, s.left = nil, s.block.traceHashes(s.codec)
		s.left = s.left[min(s.read, len(s.left)):]
	}
	if len(s.left) == 0 {
		return false
	}
	s.hash, s.left = s.left[0], s.left[1:]
	return true
}

// traceHashes returns the hashes of the block's traces in order, from its groups.
func (b *block) traceHashes(z *codec) (all []uint64) {
	for i := range b.footer.Groups {
		g, err := b.groupHeader(i, z)
		if err != nil {
			continue // reported
		}
		for k := range g.traces {
			all = append(all, idHash(g.traces[k].id))
		}
	}
	slices.Sort(all)
	return all
}

// hashLine is a heap, the lowest hash first.
type hashLine []*hashSource

func (l hashLine) Len() int           { return len(l) }
func (l hashLine) Less(i, j int) bool { return l[i].hash < l[j].hash }
func (l hashLine) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *hashLine) Push(x any)        { *l = append(*l, x.(*hashSource)) }
func (l *hashLine) Pop() any {
	old := *l
	x := old[len(old)-1]
	*l = old[:len(old)-1]
	return x
}
