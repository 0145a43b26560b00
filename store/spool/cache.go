package spool

import (
	"container/list"
	"slices"
	"sync"
)

// cacheBytes is how much memory decoded group headers may take. One of 65,000 spans takes about 1 MB, and decoding it a millisecond.
const cacheBytes = 32 << 20

// A headerCache keeps the headers of the groups that were read last. Its methods may be called at the same time, and on nil.
type headerCache struct {
	mu      sync.Mutex
	bytes   int64
	entries map[groupAt]*list.Element
	order   *list.List // of cached, most recently used first
}

type cached struct {
	at     groupAt
	header *groupHeader
	bytes  int64
}

func newHeaderCache() *headerCache {
	return &headerCache{entries: map[groupAt]*list.Element{}, order: list.New()}
}

func (c *headerCache) get(at groupAt) *groupHeader {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[at]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).header
}

func (c *headerCache) put(at groupAt, h *groupHeader) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[at] != nil {
		return
	}
	n := h.memory()
	c.entries[at] = c.order.PushFront(&cached{at, h, n})
	for c.bytes += n; c.bytes > cacheBytes && c.order.Len() > 1; {
		c.drop(c.order.Back())
	}
}

func (c *headerCache) drop(e *list.Element) {
	v := c.order.Remove(e).(*cached)
	delete(c.entries, v.at)
	c.bytes -= v.bytes
}

// forget drops the headers of blocks that are gone, so that their files can be closed.
func (c *headerCache) forget(gone []*block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.order.Front(); e != nil; {
		next := e.Next()
		if slices.Contains(gone, e.Value.(*cached).at.block) {
			c.drop(e)
		}
		e = next
	}
}

// memory returns how much memory the header takes, about.
func (g *groupHeader) memory() int64 {
	n := int64(len(g.traces))*40 + int64(len(g.firsts))*4 + int64(len(g.parents))*8
	for i := range g.list {
		n += int64(len(g.list[i].shapes))*8 + 48
	}
	for i := range g.shapes {
		n += 160 + int64(len(g.shapes[i].keys))*40
	}
	for i := range g.resources {
		n += 4 * int64(len(g.resources[i].body))
	}
	return n
}

// scratch is memory for what a question reads, used again for the next one: garbage of that size would cost more than the reading.
type scratch struct {
	chunks [][]byte
	chunk  int // that is being given out
	used   int // of it
}

const (
	scratchChunk  = 256 << 10
	scratchChunks = 32 // full: 8 MiB
)

// take returns n bytes, of any content.
func (s *scratch) take(n int) []byte {
	if n > scratchChunk {
		return make([]byte, n)
	}
	if s.chunk < len(s.chunks) && s.used+n > scratchChunk {
		s.chunk, s.used = s.chunk+1, 0
	}
	if s.chunk == len(s.chunks) {
		s.chunks = append(s.chunks, make([]byte, scratchChunk))
	}
	s.used += n
	return s.chunks[s.chunk][s.used-n : s.used : s.used]
}

func (s *scratch) full() bool { return s.chunk >= scratchChunks }

func (s *scratch) reset() { s.chunk, s.used = 0, 0 }
