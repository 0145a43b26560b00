package census

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/clewtrace/clew/trace"
)

// A sketch tells how many different hashes it saw, to within some 10 % (HyperLogLog with 128 registers). Those of two sets, larger register by
// register, are that of their union.
type sketch [sketchSize]byte

const (
	sketchBits = 7
	sketchSize = 1 << sketchBits
)

func (s *sketch) add(h uint64) {
	r := &s[h>>(64-sketchBits)]
	*r = max(*r, byte(bits.LeadingZeros64(h<<sketchBits|1)+1))
}

func (s *sketch) merge(t *sketch) {
	for i := range s {
		s[i] = max(s[i], t[i])
	}
}

func (s *sketch) count() uint64 {
	sum, empty := 0.0, 0
	for _, r := range s {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			empty++
		}
	}
	const m = float64(sketchSize)
	n := 0.7213 / (1 + 1.079/m) * m * m / sum
	if n <= 2.5*m && empty > 0 {
		n = m * math.Log(m/float64(empty))
	}
	return uint64(math.Round(n))
}

// The multipliers are odd and have no pattern. They are part of the format: sketches of all blocks must agree.
const (
	hashK0 = 0x9e3779b97f4a7c15
	hashK1 = 0xd6e8feb86659fd93
)

func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^hashK0, v^hashK1)
	return hi ^ lo
}

// hash returns the hash of a value, of which no more than maxText bytes are given.
func hash[T ~string | ~[]byte](typ trace.ValueType, raw T) uint64 {
	h := mix(uint64(typ), uint64(len(raw)))
	b := []byte(raw)
	for ; len(b) >= 8; b = b[8:] {
		h = mix(h, binary.LittleEndian.Uint64(b))
	}
	var v uint64
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	return mix(mix(h, v), hashK0)
}
