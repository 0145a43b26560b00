package census

import "sync"

// A Cache keeps the bytes of censuses, by what they are of, up to a number of bytes. Its methods may be called at the same time.
type Cache[K comparable] struct {
	max int

	mu    sync.Mutex
	bytes int
	raw   map[K]string
}

// NewCache returns an empty cache, which keeps some bytes.
func NewCache[K comparable](bytes int) *Cache[K] { return &Cache[K]{max: bytes, raw: map[K]string{}} }

// Get returns a census' bytes, which read returns if they are not there.
func (c *Cache[K]) Get(key K, read func() (string, error)) (string, error) {
	c.mu.Lock()
	raw, ok := c.raw[key]
	c.mu.Unlock()
	if ok {
		return raw, nil
	}
	raw, err := read()
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
	for other := range c.raw { // any: all are asked for alike
		if c.bytes+len(raw) <= c.max {
			break
		}
		c.drop(other)
	}
	c.raw[key] = raw
	c.bytes += len(raw)
	return raw, nil
}

func (c *Cache[K]) drop(key K) {
	c.bytes -= len(c.raw[key])
	delete(c.raw, key)
}

// Forget drops what is of things that are gone.
func (c *Cache[K]) Forget(gone []K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range gone {
		c.drop(key)
	}
}
