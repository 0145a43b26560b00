package jaeger

import "sync"

// chunkBytes is how many bytes of packets are taken at once, and become one batch: so many that a store which is slow gets larger batches, and
// so few that no packet waits for long.
const chunkBytes = 256 << 10

// chunk is packets, one after the other.
type chunk struct {
	bytes   []byte
	ends    []int  // of each packet
	release func() // of its memory
}

// queue is what lies between a socket and the store: packets, of which a bounded number of bytes waits.
type queue struct {
	limit int                         // bytes of chunks
	hold  func(int64) (func(), error) // counts memory as taken

	mu     sync.Mutex
	more   sync.Cond
	chunks []*chunk
	free   []*chunk // to be used again
	held   int      // bytes of all chunks, waiting or being worked on
	closed bool
}

func newQueue(limit int, hold func(int64) (func(), error)) *queue {
	q := &queue{limit: max(limit, chunkBytes), hold: hold}
	q.more.L = &q.mu
	return q
}

// put copies a packet into the queue. It returns false if there is no room.
func (q *queue) put(packet []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	var c *chunk
	if n := len(q.chunks); n > 0 {
		c = q.chunks[n-1]
	}
	if c == nil || len(c.bytes)+len(packet) > chunkBytes {
		if c = q.grow(); c == nil {
			return false
		}
	}
	c.bytes = append(c.bytes, packet...)
	c.ends = append(c.ends, len(c.bytes))
	q.more.Signal()
	return true
}

// grow appends a chunk, or returns nil if there is no room.
func (q *queue) grow() *chunk {
	if q.closed || q.held+chunkBytes > q.limit {
		return nil
	}
	release, err := q.hold(chunkBytes)
	if err != nil {
		return nil
	}
	q.held += chunkBytes
	c := new(chunk)
	if n := len(q.free); n > 0 {
		c, q.free = q.free[n-1], q.free[:n-1]
	}
	c.release = release
	q.chunks = append(q.chunks, c)
	return c
}

// take returns the oldest packets, and waits for some. It returns nil when the queue is closed and empty.
func (q *queue) take() *chunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.chunks) == 0 && !q.closed {
		q.more.Wait()
	}
	if len(q.chunks) == 0 {
		return nil
	}
	c := q.chunks[0]
	q.chunks = q.chunks[1:]
	return c
}

// done gives the memory of a chunk back.
func (q *queue) done(c *chunk) {
	c.release()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held -= chunkBytes
	const kept = 4
	if len(q.free) < kept {
		c.bytes, c.ends, c.release = c.bytes[:0], c.ends[:0], nil
		q.free = append(q.free, c)
	}
}

// close has take return what is left, and then nil.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.more.Broadcast()
}
