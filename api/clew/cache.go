package clew

import (
	"slices"
	"sync"
	"time"

	"github.com/clewtrace/clew/trace"
)

// cacheFor is how long a trace is kept that nobody asks for.
const cacheFor = 2 * time.Minute

// cache keeps the traces arranged last for the rows calls that follow a columns call, least recently asked for first.
type cache struct {
	max int64 // bytes; a trace that is larger is read anew for each call

	mu     sync.Mutex
	traces []*arranged
	bytes  int64
	idle   *time.Timer
}

func newCache(bytes int64) *cache { return &cache{max: bytes} }

// is reports whether the trace is a tenant's one with an ID: two tenants may have the same.
func (x *arranged) is(tenant string, id trace.ID) bool { return x.tenant == tenant && x.trace.ID == id }

// get returns a tenant's trace in a version if it is kept, and nothing was deleted since.
func (c *cache) get(tenant string, id trace.ID, version string, deletions uint64) *arranged {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(func(x *arranged) bool { return x.deletions != deletions })
	i := slices.IndexFunc(c.traces, func(x *arranged) bool { return x.is(tenant, id) && x.version() == version })
	if i < 0 {
		return nil
	}
	x := c.traces[i]
	c.traces = append(slices.Delete(c.traces, i, i+1), x)
	c.used()
	return x
}

func (c *cache) put(x *arranged) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(func(old *arranged) bool { return old.is(x.tenant, x.trace.ID) })
	if x.bytes > c.max {
		return
	}
	c.drop(func(*arranged) bool { return c.bytes+x.bytes > c.max }) // the first are the oldest
	c.traces = append(c.traces, x)
	c.bytes += x.bytes
	c.used()
}

// drop forgets the traces that del says, asked in order, each after those before it are gone. The caller has the lock.
func (c *cache) drop(del func(*arranged) bool) {
	c.traces = slices.DeleteFunc(c.traces, func(x *arranged) bool {
		if !del(x) {
			return false
		}
		c.bytes -= x.bytes
		return true
	})
}

// used has everything dropped when nobody asks for long. The caller has the lock.
func (c *cache) used() {
	if c.idle == nil {
		c.idle = time.AfterFunc(cacheFor, c.clear)
	}
	c.idle.Reset(cacheFor)
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.traces, c.bytes = nil, 0
}
