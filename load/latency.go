package load

import (
	"math/bits"
	"time"
)

// Latency is a histogram of durations in a fixed amount of memory. A quantile is at most 3 % above the true one.
type Latency struct {
	counts [64 * latencySteps]uint64
	n      uint64
	max    time.Duration
}

// latencySteps is into how many buckets each power of two is divided.
const latencySteps = 32

func latencyBucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < latencySteps {
		return int(v)
	}
	e := bits.Len64(v) - 6 // v>>e is in [32, 64)
	return (e+1)*latencySteps + int(v>>e) - latencySteps
}

// Add counts a duration.
func (l *Latency) Add(d time.Duration) {
	l.counts[latencyBucket(d)]++
	l.n++
	l.max = max(l.max, d)
}

// Count returns how many durations were counted.
func (l *Latency) Count() uint64 { return l.n }

// Max returns the longest duration.
func (l *Latency) Max() time.Duration { return l.max }

// Quantile returns the duration that a share q of all is not above; 0 if there are none.
func (l *Latency) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(l.n))
	for b, c := range l.counts {
		if rank < c {
			return min(latencyTop(b), l.max)
		}
		rank -= c
	}
	return l.max
}

// latencyTop returns the longest duration of a bucket.
func latencyTop(b int) time.Duration {
	if b < latencySteps {
		return time.Duration(b)
	}
	e := b/latencySteps - 1
	return time.Duration(uint64(b%latencySteps+latencySteps+1)<<e - 1)
}
