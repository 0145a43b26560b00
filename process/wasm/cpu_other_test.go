//go:build !linux

package wasm

import "time"

// cpu adds up time: the processor's is not to be had here.
type cpu struct {
	at    time.Time
	total time.Duration
}

func (c *cpu) begin() { c.at = time.Now() }
func (c *cpu) end()   { c.total += time.Since(c.at) }
