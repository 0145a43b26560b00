package spool

import (
	"cmp"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/trace"
)

// A front is the heads that one log segment fills: several, so that cores that have a batch each need not wait for one another. They
// become one block.
type front struct {
	heads   []*head
	segment uint64       // the last log segment that has spans of these heads; guarded by Spool.mu
	opened  atomic.Int64 // when the first span came, Unix ns; 0: none did
	logged  atomic.Int64 // bytes of the log segment
}

// maxHeads bounds the heads of a front: each has its own copy of what shapes have in common.
const maxHeads = 8

// newFront returns an empty front that is like the one before; nil: nothing is known.
func newFront(before *front) *front {
	f := &front{heads: make([]*head, min(runtime.GOMAXPROCS(0), maxHeads))}
	for i := range f.heads {
		var like *head
		if before != nil && i < len(before.heads) {
			like = before.heads[i]
		}
		f.heads[i] = newHead(like)
	}
	return f
}

// append adds a batch to a head that nobody is at, if there is one, first the one that has others from the same resource.
func (f *front) append(b *trace.Batch) error {
	f.opened.CompareAndSwap(0, time.Now().UnixNano())
	n := uint64(len(f.heads))
	k := pack.HashBytes(0, b.Bytes(b.Resources[0].Body)) % n
	h := f.heads[k]
	for i := range n {
		if other := f.heads[(k+i)%n]; other.mu.TryLock() {
			defer other.mu.Unlock()
			return other.add(b)
		}
	}
	return h.append(b)
}

// size returns how much memory the heads take, about.
func (f *front) size() (n int64) {
	for _, h := range f.heads {
		n += h.size.Load()
	}
	return n
}

func (f *front) spans() (n int) {
	for _, h := range f.heads {
		n += h.spans()
	}
	return n
}

// chainAt is a chain of one of a front's heads, and the start of the whole trace.
type chainAt struct {
	*chain
	head  int
	start uint64
}

// inOrder returns the chains of a frozen front by the start of their traces, those of one trace together.
func (f *front) inOrder() []chainAt {
	var all []chainAt
	for i, h := range f.heads {
		for k := range h.chains {
			c := chainAt{&h.chains[k], i, h.chains[k].start}
			for j, other := range f.heads {
				if n, ok := other.traces[c.id]; ok && j != i {
					c.start = min(c.start, other.chains[n].start)
				}
			}
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b chainAt) int {
		return cmp.Or(cmp.Compare(a.start, b.start), slices.Compare(a.id[:], b.id[:]), cmp.Compare(a.head, b.head))
	})
	return all
}

// write gives the traces of a frozen front to a block's writer, but for those that are deleted.
func (f *front) write(w *blockWriter, deleted *deletions) error {
	var spans []at
	for all := f.inOrder(); len(all) > 0; {
		id := all[0].id
		spans = spans[:0]
		for len(all) > 0 && all[0].id == id {
			n := len(spans)
			spans = f.heads[all[0].head].ats(all[0].chain, spans)
			slices.Reverse(spans[n:]) // by arrival
			all = all[1:]
		}
		if deleted.has(id) {
			continue
		}
		if err := w.add(id, spans); err != nil {
			return err
		}
	}
	return nil
}
