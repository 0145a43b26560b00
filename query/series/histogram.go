package series

import "math"

// fine is into how many parts of equal width each power of two is divided: a quantile is off by 1/16 of its value at most, and by much less
// where a bucket's values are spread evenly.
const fine = 8

// histogram counts values in buckets. Bucket i has the values above bound(i-1), up to and with bound(i).
type histogram struct {
	low    int // the first bucket that is kept
	counts []float64
	zero   float64 // values of 0 and less
	total  float64
}

// bucketOf returns the bucket of a value above 0.
func bucketOf(v float64) int {
	frac, exp := math.Frexp(v) // v = frac * 2^exp, frac from 0.5 to below 1
	return (exp-1)*fine + int(math.Ceil((frac-0.5)*2*fine))
}

// bound returns the upper bound of a bucket.
func bound(i int) float64 {
	octave := int(math.Floor(float64(i) / fine))
	return math.Ldexp(1+float64(i-octave*fine)/fine, octave)
}

func (h *histogram) add(v, weight float64) {
	h.total += weight
	if v <= 0 {
		h.zero += weight
		return
	}
	*h.at(bucketOf(v)) += weight
}

// at returns a bucket's count, and makes room for it.
func (h *histogram) at(i int) *float64 {
	switch {
	case len(h.counts) == 0:
		h.low = i
		h.counts = append(h.counts, 0)
	case i < h.low:
		h.counts = append(make([]float64, h.low-i, h.low-i+len(h.counts)), h.counts...)
		h.low = i
	case i >= h.low+len(h.counts):
		h.counts = append(h.counts, make([]float64, i-h.low-len(h.counts)+1)...)
	}
	return &h.counts[i-h.low]
}

func (h *histogram) merge(o *histogram) {
	h.total += o.total
	h.zero += o.zero
	for i, n := range o.counts {
		if n > 0 {
			*h.at(o.low + i) += n
		}
	}
}

// quantile returns the value below which a share q of the values is, as if the values of a bucket were spread evenly over it.
func (h *histogram) quantile(q float64) float64 {
	want := q * h.total
	seen := h.zero
	if want <= seen && h.zero > 0 {
		return 0
	}
	for i, n := range h.counts {
		if n > 0 && seen+n >= want {
			lo, hi := bound(h.low+i-1), bound(h.low+i)
			return lo + (hi-lo)*max(0, want-seen)/n
		}
		seen += n
	}
	return bound(h.low + len(h.counts) - 1)
}

// octaves calls fn with each power of two up to and with which there are values, and how many those are since the one before.
func (h *histogram) octaves(fn func(upper, n float64)) {
	if h.zero > 0 {
		fn(0, h.zero)
	}
	n := 0.0
	for i, k := range h.counts {
		n += k
		at := h.low + i
		if last := i == len(h.counts)-1; last || at%fine == 0 { // the last bucket of its power
			if n > 0 {
				fn(math.Ldexp(1, int(math.Ceil(float64(at)/fine))), n)
			}
			n = 0
		}
	}
}
