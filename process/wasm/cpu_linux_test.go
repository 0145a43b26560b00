package wasm

import (
	"syscall"
	"time"
)

// cpu adds up the processor time of this process: what a benchmark takes, however busy the machine is with other things.
type cpu struct{ at, total time.Duration }

func (c *cpu) begin() { c.at = used() }
func (c *cpu) end()   { c.total += used() - c.at }

func used() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
