package wasm

import (
	"sync"
	"time"
)

// A module that fails is given a rest: after enough failures in a row it is not called for a while, each time twice as long, until it has
// done its work once.
const (
	failuresInRow = 5
	shortestPause = time.Second
	longestPause  = time.Minute
)

// breaker decides whether a module is to be called.
type breaker struct {
	mu       sync.Mutex
	failures int  // in a row
	trying   bool // one caller was let through a pause's end
	pause    time.Duration
	until    time.Time
}

// allow returns how long the module is not to be called; 0: call it now. While it is given rests, one caller at a time tries it.
func (b *breaker) allow(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < failuresInRow {
		return 0
	}
	if wait := b.until.Sub(now); wait > 0 {
		return wait
	}
	b.until, b.trying = now.Add(b.pause), true // whoever comes while this one tries waits
	return 0
}

// failed notes a failure, and returns the pause that begins with it, or 0.
func (b *breaker) failed(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures++; b.failures != failuresInRow && !b.trying {
		return 0 // too few, or of a call that was under way when the pause began
	}
	b.trying = false
	b.pause = min(max(2*b.pause, shortestPause), longestPause)
	b.until = now.Add(b.pause)
	return b.pause
}

// succeeded ends the pauses, and reports whether there were any.
func (b *breaker) succeeded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	paused := b.failures >= failuresInRow
	b.failures, b.pause, b.trying = 0, 0, false
	return paused
}
