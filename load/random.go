package load

import (
	"math"
	"math/bits"
)

// random is SplitMix64: 64 bits in about a nanosecond, the same everywhere for the same seed.
//
// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n).
func (r *random) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.next(), n)
	return hi
}

// skewed returns a number in [0, n), low ones much more often: the most popular tenth is drawn about half of the time.
func (r *random) skewed(n uint64) uint64 {
	f := float64(r.next()>>11) / (1 << 53)
	return uint64(f * f * f * float64(n))
}

// chance is true with probability p of 1<<16.
func (r *random) chance(p uint32) bool { return uint32(r.next()>>48) < p }

// A spread is how widely durations scatter around their median: a table of the log-normal distribution's quantiles, in 1/65536.
type spread [spreadSteps + 1]uint32

// spreadSteps quantiles are enough for a tail of 3.1 sigma; between two of them durations are spread evenly.
const spreadSteps = 1024

func newSpread(sigma float64) *spread {
	var s spread
	for i := range s {
		p := (float64(i) + 0.5) / (spreadSteps + 1)
		s[i] = uint32(65536 * math.Exp(sigma*math.Sqrt2*math.Erfinv(2*p-1)))
	}
	return &s
}

// draw returns a duration of a median, in the unit of the median.
func (s *spread) draw(r *random, median uint64) uint64 {
	x := r.next()
	i, frac := x>>54, x>>38&0xffff
	q := uint64(s[i]) + (uint64(s[i+1]-s[i])*frac)>>16
	return median * q >> 16
}
