package clew

import (
	"testing"

	"github.com/clewtrace/clew/trace"
)

// TestCache: what is kept stays within its bytes, and what was asked for last is kept longest.
func TestCache(t *testing.T) {
	c := newCache(100)
	const whose = trace.DefaultTenant
	made := func(id byte, bytes int64) *arranged {
		return &arranged{trace: &trace.Trace{ID: trace.ID{id}}, tenant: whose, bytes: bytes}
	}
	has := func(id byte) bool { return c.get(whose, trace.ID{id}, "0", 0) != nil }
	for id := range byte(10) {
		c.put(made(id, 30))
		if c.bytes > c.max || len(c.traces) != min(int(id)+1, 3) {
			t.Fatalf("after %d: %d traces, %d bytes", id, len(c.traces), c.bytes)
		}
	}
	if !has(7) || has(6) {
		t.Errorf("7 is there: %v; 6 is: %v", has(7), has(6))
	}
	c.put(made(10, 40)) // in place of 8, the least recently asked for
	if has(8) || !has(7) || !has(9) || c.bytes != 100 {
		t.Errorf("8: %v, 7: %v, 9: %v, %d bytes", has(8), has(7), has(9), c.bytes)
	}
	c.put(made(7, 101)) // another state of it, too large
	if has(7) || c.bytes != 70 {
		t.Errorf("7: %v, %d bytes", has(7), c.bytes)
	}
	if c.get(whose, trace.ID{9}, "0", 1) != nil || c.bytes != 0 {
		t.Errorf("after a deletion %d bytes are there", c.bytes)
	}
}
