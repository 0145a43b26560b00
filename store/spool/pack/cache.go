package pack

import (
	"container/list"
	"sync"
)

// A Cache keeps what was read last, up to a number of bytes, or one thing if that is larger. Its methods may be called at the same time, and on
// nil, which keeps nothing.
type Cache[K comparable, V any] struct {
	max int64

	mu      sync.Mutex
	bytes   int64
	entries map[K]*list.Element
	order   *list.List // of kept, most recently used first
}

type kept[K comparable, V any] struct {
	key   K
	value V
	bytes int64
}

// NewCache returns an empty cache for so many bytes.
func NewCache[K comparable, V any](bytes int64) *Cache[K, V] {
	return &Cache[K, V]{max: bytes, entries: map[K]*list.Element{}, order: list.New()}
}

// Get returns what was put under a key; false: it is not there.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	if c == nil {
		return value, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return value, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*kept[K, V]).value, true
}

// Put keeps a value of so many bytes, unless there is one under its key.
func (c *Cache[K, V]) Put(key K, value V, bytes int64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[key] != nil {
		return
	}
	c.entries[key] = c.order.PushFront(&kept[K, V]{key, value, bytes})
	for c.bytes += bytes; c.bytes > c.max && c.order.Len() > 1; {
		c.drop(c.order.Back())
	}
}

func (c *Cache[K, V]) drop(e *list.Element) {
	v := c.order.Remove(e).(*kept[K, V])
	delete(c.entries, v.key)
	c.bytes -= v.bytes
}

// Forget drops what is of things that are gone.
func (c *Cache[K, V]) Forget(gone func(K) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.entries {
		if gone(key) {
			c.drop(e)
		}
	}
}

// Scratch is memory for what a question reads, used again for the next one: garbage of that size would cost more than the reading.
type Scratch struct {
	chunks [][]byte
	chunk  int // that is being given out
	used   int // of it
}

const (
	scratchChunk  = 256 << 10
	scratchChunks = 32 // full: 8 MiB
)

// Take returns n bytes, of any content.
func (s *Scratch) Take(n int) []byte {
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

// Full reports whether so much was taken that memory should be taken back.
func (s *Scratch) Full() bool { return s.chunk >= scratchChunks }

// Reset takes all memory back.
func (s *Scratch) Reset() { s.chunk, s.used = 0, 0 }
