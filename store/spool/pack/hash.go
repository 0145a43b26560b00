package pack

import (
	"encoding/binary"
	"math/bits"
)

// The multipliers are odd and have no pattern; where a collision costs something, a seed comes on top, so that nobody can aim at one. They are part
// of the file format.
const (
	hashK0 = 0x9e3779b97f4a7c15
	hashK1 = 0xd6e8feb86659fd93
)

// HashMix adds a number to a hash.
func HashMix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^hashK0, v^hashK1)
	return hi ^ lo
}

// HashBytes adds bytes to a hash: multiply and fold, over 8-byte words. Collisions are told apart by comparing: it has only to be fast and even.
func HashBytes[T ~string | ~[]byte](h uint64, b T) uint64 {
	h = HashMix(h, uint64(len(b)))
	s := []byte(b)
	for len(s) >= 8 {
		h = HashMix(h, binary.LittleEndian.Uint64(s))
		s = s[8:]
	}
	var v uint64
	for i, c := range s {
		v |= uint64(c) << (8 * i)
	}
	return HashMix(h, v)
}
