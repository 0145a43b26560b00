package main

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
)

// leastQueryMemory is what queries get where process.memory leaves nothing, and what they must be given at least.
const leastQueryMemory = 16 << 20

// queryPool returns how much memory queries may hold.
func (c *config) queryPool() trace.PoolSize {
	size := trace.PoolSize{All: c.queryMemory, Each: c.queryMemoryEach, Runs: c.queries}
	switch {
	case size.All > 0:
	case c.memory == 0:
		size.All = 2 << 30
	default:
		// Beside queries there are four heads, requests, the traces that the page shows, and what is decoded of blocks and kept, or used again.
		const kept = 96 << 20
		size.All = max(c.memory-c.systemMemory()-4*c.store.HeadBytes-c.heldBytes-c.keepBytes()-kept, c.memory/8, leastQueryMemory)
	}
	return size
}

func (c *config) validateQueries() error {
	if c.queryMemory != 0 && c.queryMemory < leastQueryMemory {
		return fmt.Errorf("query.memory: is %d; want 16MiB or more, or 0", c.queryMemory)
	}
	if c.memory > 0 && c.queryMemory > c.memory {
		return fmt.Errorf("query.memory: is %d; want no more than process.memory, %d", c.queryMemory, c.memory)
	}
	if most := c.queryPool().All; c.queryMemoryEach != 0 && (c.queryMemoryEach < 1<<20 || c.queryMemoryEach > most) {
		return fmt.Errorf("query.memory_each: is %d; want 1MiB to query.memory, %d, or 0", c.queryMemoryEach, most)
	}
	if c.queryTimeout < 0 {
		return fmt.Errorf("query.timeout: is %v; want 0 or more", c.queryTimeout)
	}
	return nil
}

// openQueries returns what answers queries, and what bounds how many run, how long, and what they cost.
func (c *config) openQueries(store query.Store, log *slog.Logger, reg prometheus.Registerer) (*query.Engine, *api.Gate) {
	engine, gate := query.New(store), api.NewGate(c.queries, log, reg)
	engine.Limits = query.Limits{Spans: c.querySpans, Bytes: c.queryBytes}
	gate.Timeout = c.queryTimeout
	gate.Bound(trace.NewPool(c.queryPool()), reg)
	return engine, gate
}
