package pack

import "encoding/binary"

// Reading one number, without decoding the others: what a single trace needs. What is returned is what Read returns at the same
// place, damage included.

// skip returns what lies behind n packed numbers, and checks that they are there.
func skip(b []byte, n int) (rest []byte, ok bool) {
	for at := 0; at < n; at += blockValues {
		if len(b) == 0 || b[0] > 64 {
			return nil, false
		}
		size := 1 + (min(n-at, blockValues)*int(b[0])+7)/8
		if size > len(b) {
			return nil, false
		}
		b = b[size:]
	}
	return b, true
}

// packed is the head of packed numbers.
type packed struct {
	base int64
	div  uint64
	body []byte
}

func openPacked(b []byte) (p packed, ok bool) {
	base, k := binary.Varint(b)
	if k <= 0 {
		return p, false
	}
	div, m := binary.Uvarint(b[k:])
	if m <= 0 {
		return p, false
	}
	return packed{base, div, b[k+m:]}, true
}

// at returns number i of n.
func (p *packed) at(i, n int) (uint64, bool) {
	first := i / blockValues * blockValues
	b, ok := skip(p.body, first)
	if !ok || len(b) == 0 {
		return 0, false
	}
	w := int(b[0])
	size := (min(n-first, blockValues)*w + 7) / 8
	if w > 64 || size > len(b)-1 {
		return 0, false
	}
	return bitsAt(b[1:1+size], i-first, w)*p.div + uint64(p.base), true
}

// bitsAt returns value i of w bits each of b, which has it.
func bitsAt(b []byte, i, w int) uint64 {
	if w == 0 {
		return 0
	}
	bit := i * w
	at, off := bit/8, bit%8
	var t [16]byte
	copy(t[:], b[at:])
	x := binary.LittleEndian.Uint64(t[:])>>off | uint64(t[8])<<(63-off)<<1
	return x & (^uint64(0) >> (64 - w))
}

// At returns number i of the n that Read would return, without decoding the others.
func At(b []byte, i, n int) (uint64, error) {
	if len(b) == 0 || i >= n {
		return 0, errBroken
	}
	kind, b := b[0], b[1:]
	var x uint64
	ok := false
	switch kind {
	case numConstant:
		var k int
		x, k = binary.Uvarint(b)
		ok = k > 0
	case numPacked:
		var p packed
		if p, ok = openPacked(b); ok {
			x, ok = p.at(i, n)
		}
	case numDeltas:
		x, ok = deltaAt(b, i, n)
	case numIndexed:
		x, ok = indexedAt(b, i, n)
	}
	if !ok {
		return 0, errBroken
	}
	return x, nil
}

// Range returns numbers lo up to hi of the n that Read would return; lo must be a multiple of blockValues. Of packed numbers it decodes these alone.
func Range(b []byte, lo, hi, n int) ([]uint64, error) {
	if len(b) > 0 && b[0] == numConstant && hi <= n && n <= MaxBytes/8 {
		return Read(b, hi-lo)
	}
	if len(b) > 0 && b[0] == numPacked && hi <= n {
		p, ok := openPacked(b[1:])
		if ok {
			p.body, ok = skip(p.body, lo)
		}
		if !ok {
			return nil, errBroken
		}
		v, ok := unpackBlocks(p, hi-lo)
		if !ok {
			return nil, errBroken
		}
		return v, nil
	}
	all, err := Read(b, n)
	if err != nil || hi > n {
		return nil, errBroken
	}
	return all[lo:hi], nil
}

func deltaAt(b []byte, i, n int) (uint64, bool) {
	first, k := binary.Varint(b)
	if k <= 0 {
		return 0, false
	}
	d, ok := unpack(b[k:], n-1)
	if !ok {
		return 0, false
	}
	x := uint64(first)
	for _, step := range d[:i] {
		x += step
	}
	return x, true
}

func indexedAt(b []byte, i, n int) (uint64, bool) {
	count, k := binary.Uvarint(b)
	if k <= 0 || count > maxIndexed {
		return 0, false
	}
	dict := b[k:]
	b = dict
	for range count {
		_, k := binary.Uvarint(b)
		if k <= 0 {
			return 0, false
		}
		b = b[k:]
	}
	p, ok := openPacked(b)
	if !ok {
		return 0, false
	}
	at, ok := p.at(i, n)
	if !ok || at >= count {
		return 0, false
	}
	x := uint64(0)
	for range at + 1 {
		d, k := binary.Uvarint(dict)
		dict = dict[k:]
		x += d
	}
	return x, true
}
