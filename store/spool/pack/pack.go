package pack

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/clewtrace/clew/trace"
)

// The encodings, by the byte that they begin with:
//
//	constant  0  uvarint
//	packed    1  zigzag base, uvarint divisor, blocks of 64 values: width, (v-base)/divisor in width bits each
//	deltas    2  zigzag first, packed differences (zigzag)
//	indexed   3  uvarint count, that many uvarints (sorted, as differences), packed indexes
const (
	numConstant = 0
	numPacked   = 1
	numDeltas   = 2
	numIndexed  = 3
)

const (
	// maxIndexed is how many different values a column may have to be encoded as indexes.
	maxIndexed = 4096
	// blockValues is how many values are packed in as many bits each.
	blockValues = 64
	// MaxBytes bounds what a column may claim to be when it is decoded, so that damage cannot ask for all memory.
	MaxBytes = 1 << 31
)

var errBroken = trace.Errorf(trace.Corrupt, "broken column of numbers")

// A Packer encodes columns of numbers, one after the other. The zero Packer is ready.
type Packer struct {
	buf    []byte
	few    few
	isFew  bool // few is of the last column
	looked bool // for that
}

// Append appends numbers to dst in the shortest of their encodings.
func (p *Packer) Append(dst []byte, v []uint64) []byte {
	p.isFew, p.looked = false, false
	if len(v) == 0 {
		return append(dst, numConstant, 0)
	}
	if constant(v) {
		p.few.values, p.few.counts = append(p.few.values[:0], v[0]), append(p.few.counts[:0], uint64(len(v)))
		p.isFew, p.looked = true, true
		return binary.AppendUvarint(append(dst, numConstant), v[0])
	}
	n := len(dst)
	dst = appendPacked(append(dst, numPacked), v)
	best := len(dst) - n
	if sorted := slices.IsSorted(v); sorted {
		d := make([]uint64, len(v)-1)
		for i := range d {
			d[i] = v[i+1] - v[i]
		}
		alt := appendPacked(binary.AppendVarint(append(p.buf[:0], numDeltas), int64(v[0])), d)
		if len(alt) < best {
			dst, best = append(dst[:n], alt...), len(alt)
		}
		p.buf = alt
	}
	if best < 3*len(v)/8 || !p.look(v) { // at most 3 bits a value: no dictionary is much better
		return dst
	}
	p.few.sort()
	if p.buf = p.few.append(p.buf[:0]); len(p.buf) < best {
		dst = append(dst[:n], p.buf...)
	}
	return dst
}

// look reports whether few is of a column: once for each.
func (p *Packer) look(v []uint64) bool {
	if !p.looked {
		p.isFew, p.looked = !varied(v) && p.few.of(v), true
	}
	return p.isFew
}

// Few returns the different values of the column that was encoded last, and how many rows have each; false: they are not known, being many.
// The result is valid until the next column.
func (p *Packer) Few(v []uint64) (values, counts []uint64, ok bool) {
	if len(v) == 0 || !p.look(v) {
		return nil, nil, false
	}
	return p.few.values, p.few.counts, true
}

func constant(v []uint64) bool {
	for _, x := range v {
		if x != v[0] {
			return false
		}
	}
	return true
}

// varied reports whether so many of some values differ that no dictionary of all is worth its making.
func varied(v []uint64) bool {
	const some = 256
	if len(v) < 4*some {
		return false
	}
	var sample [some]uint64
	for i := range sample {
		sample[i] = v[i*len(v)/some]
	}
	slices.Sort(sample[:])
	return len(slices.Compact(sample[:])) > some*3/4
}

// append appends the column as indexes of its values, which are in order.
func (f *few) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, numIndexed), uint64(len(f.values)))
	last := uint64(0)
	for _, d := range f.values {
		dst = binary.AppendUvarint(dst, d-last)
		last = d
	}
	return appendPacked(dst, f.index)
}

// appendPacked appends numbers as differences from the smallest (as signed numbers), without a common divisor, in
// blocks that have as many bits a value as their largest needs.
func appendPacked(dst []byte, v []uint64) []byte {
	base := int64(v[0])
	for _, x := range v {
		base = min(base, int64(x))
	}
	div := divisor(v, base)
	dst = binary.AppendVarint(dst, base)
	dst = binary.AppendUvarint(dst, div)
	var q [blockValues]uint64
	for len(v) > 0 {
		n := min(len(v), blockValues)
		all := uint64(0)
		for i, x := range v[:n] {
			q[i] = (x - uint64(base)) / div
			all |= q[i]
		}
		w := bits.Len64(all)
		dst = append(dst, byte(w))
		dst = packBits(dst, q[:n], w)
		v = v[n:]
	}
	return dst
}

// divisor returns a power of ten that divides all differences from base: clocks often count in micro- or milliseconds.
func divisor(v []uint64, base int64) uint64 {
	div := uint64(1_000_000)
	for _, x := range v {
		for d := x - uint64(base); div > 1 && d%div != 0; {
			div /= 1000
		}
		if div <= 1 {
			return 1
		}
	}
	return div
}

func packBits(dst []byte, v []uint64, w int) []byte {
	if w == 0 {
		return dst
	}
	var acc uint64
	n := 0 // bits in acc
	for _, x := range v {
		acc |= x << n
		if n+w >= 64 {
			dst = binary.LittleEndian.AppendUint64(dst, acc)
			acc = 0
			if n > 0 {
				acc = x >> (64 - n)
			}
			n = n + w - 64
		} else {
			n += w
		}
	}
	for ; n > 0; n -= 8 {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// unpackBits reads len(v) values of w bits and returns the rest of b, or false.
func unpackBits(b []byte, v []uint64, w int) ([]byte, bool) {
	size := (len(v)*w + 7) / 8
	if w > 64 || len(b) < size {
		return nil, false
	}
	if w == 0 {
		clear(v)
		return b, true
	}
	mask := ^uint64(0) >> (64 - w)
	for i := range v {
		bit := i * w
		at, off := bit/8, bit%8
		var x uint64
		if at+8 <= size {
			x = binary.LittleEndian.Uint64(b[at:]) >> off
			if off+w > 64 {
				x |= uint64(b[at+8]) << (64 - off)
			}
		} else {
			var t [16]byte
			copy(t[:], b[at:size])
			x = binary.LittleEndian.Uint64(t[:])>>off | uint64(t[8])<<(63-off)<<1
		}
		v[i] = x & mask
	}
	return b[size:], true
}

// unpack reads n numbers that appendPacked wrote, or returns false.
func unpack(b []byte, n int) (v []uint64, ok bool) {
	p, ok := openPacked(b)
	if !ok || n/blockValues > len(p.body) { // each block has a byte at least
		return nil, false
	}
	return unpackBlocks(p, n)
}

// unpackBlocks reads n numbers, the first of which begins a block.
func unpackBlocks(p packed, n int) (v []uint64, ok bool) {
	b := p.body
	v = make([]uint64, n)
	for at := 0; at < n; at += blockValues {
		if len(b) == 0 {
			return nil, false
		}
		blk := v[at:min(n, at+blockValues)]
		if b, ok = unpackBits(b[1:], blk, int(b[0])); !ok {
			return nil, false
		}
		for i := range blk {
			blk[i] = blk[i]*p.div + uint64(p.base)
		}
	}
	return v, true
}

// Read returns the n numbers that Append wrote. The error is of kind Corrupt.
func Read(b []byte, n int) ([]uint64, error) {
	if len(b) == 0 {
		return nil, errBroken
	}
	kind, b := b[0], b[1:]
	var v []uint64
	ok := true
	switch kind {
	case numConstant:
		x, k := binary.Uvarint(b)
		if k <= 0 || n > MaxBytes/8 {
			return nil, errBroken
		}
		v = make([]uint64, n)
		for i := range v {
			v[i] = x
		}
	case numPacked:
		v, ok = unpack(b, n)
	case numDeltas:
		first, k := binary.Varint(b)
		if k <= 0 || n < 1 {
			return nil, errBroken
		}
		d, ok := unpack(b[k:], n-1)
		if !ok {
			return nil, errBroken
		}
		v = make([]uint64, n)
		v[0] = uint64(first)
		for i, x := range d {
			v[i+1] = v[i] + x
		}
	case numIndexed:
		v, ok = indexedNums(b, n)
	default:
		ok = false
	}
	if !ok {
		return nil, errBroken
	}
	return v, nil
}

// dictionary reads the sorted values of an indexed column of numbers, and returns what follows.
func dictionary(b []byte) (dict []uint64, rest []byte, err error) {
	count, k := binary.Uvarint(b)
	if k <= 0 || count > maxIndexed {
		return nil, nil, errBroken
	}
	b = b[k:]
	dict = make([]uint64, count)
	last := uint64(0)
	for i := range dict {
		d, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, nil, errBroken
		}
		b = b[k:]
		last += d
		dict[i] = last
	}
	return dict, b, nil
}

func indexedNums(b []byte, n int) ([]uint64, bool) {
	dict, b, err := dictionary(b)
	if err != nil {
		return nil, false
	}
	v, ok := unpack(b, n)
	if !ok {
		return nil, false
	}
	for i, x := range v {
		if x >= uint64(len(dict)) {
			return nil, false
		}
		v[i] = dict[x]
	}
	return v, true
}
