package spool

import (
	"encoding/binary"
	"encoding/hex"
)

// Reading one value of an encoded column, without decoding the others: what a single trace needs. What these return is what
// nums and strings return at the same place, damage included.

// skip returns what lies behind n packed numbers, and checks that they are there.
func skip(b []byte, n int) (rest []byte, ok bool) {
	for at := 0; at < n; at += packBlock {
		if len(b) == 0 || b[0] > 64 {
			return nil, false
		}
		size := 1 + (min(n-at, packBlock)*int(b[0])+7)/8
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
	first := i / packBlock * packBlock
	b, ok := skip(p.body, first)
	if !ok || len(b) == 0 {
		return 0, false
	}
	w := int(b[0])
	size := (min(n-first, packBlock)*w + 7) / 8
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

// numAt returns number i of n that appendNums wrote.
func numAt(b []byte, i, n int) (uint64, error) {
	if len(b) == 0 || i >= n {
		return 0, errColumn
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
		return 0, errColumn
	}
	return x, nil
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

// num returns number i of a column of n.
func (c *column) num(i, n int) (uint64, error) {
	if len(c.enc) == 0 {
		if c.form == same {
			return c.nums[0], nil
		}
		return c.nums[i], nil
	}
	return numAt(c.enc, i, n)
}

// value returns value i of a bytes column of n. What zstd has compressed is decompressed whole, and kept.
func (z *codec) value(c *column, i, n int) ([]byte, error) {
	if len(c.enc) == 0 {
		return c.bytes(i), nil
	}
	if i >= n {
		return nil, errColumn
	}
	kind, b := c.enc[0], c.enc[1:]
	switch kind {
	case strConstant:
		return b, nil
	case strIndexed:
		return z.indexedValue(c, i, n)
	case strPlain, strHex:
		lengths, data, err := lengthsOf(b)
		if err != nil {
			return nil, err
		}
		return plainAt(plain{lengths, data, kind == strHex}, i, n)
	}
	if kind <= numIndexed {
		return nil, errColumn
	}
	if err := z.load(c, n); err != nil {
		return nil, err
	}
	return c.bytes(i), nil
}

func lengthsOf(b []byte) (lengths, data []byte, err error) {
	size, k := binary.Uvarint(b)
	if k <= 0 || size > uint64(len(b)-k) {
		return nil, nil, errColumn
	}
	return b[k : k+int(size)], b[k+int(size):], nil
}

// plain is values one behind the other, of hex two characters a byte.
type plain struct {
	lengths, data []byte
	hex           bool
}

func plainAt(p plain, i, n int) ([]byte, error) {
	var lo, length uint64
	if len(p.lengths) > 0 && p.lengths[0] == numConstant {
		l, err := numAt(p.lengths, i, n)
		if err != nil || l > maxColumnBytes {
			return nil, errColumn
		}
		lo, length = uint64(i)*l, l
	} else {
		all, err := nums(p.lengths, n)
		if err != nil {
			return nil, err
		}
		for _, l := range all[:i] {
			if lo += l; l > maxColumnBytes || lo > maxColumnBytes {
				return nil, errColumn
			}
		}
		length = all[i]
	}
	size := uint64(len(p.data))
	if p.hex {
		size *= 2
	}
	if lo > size || length > size-lo {
		return nil, errColumn
	}
	if !p.hex {
		return p.data[lo : lo+length], nil
	}
	text := hex.AppendEncode(nil, p.data[lo/2:(lo+length+1)/2])
	return text[lo%2:][:length], nil
}

// indexedValue looks value i up in the column's dictionary, which is decoded once.
func (z *codec) indexedValue(c *column, i, n int) ([]byte, error) {
	b := c.enc[1:]
	count, k := binary.Uvarint(b)
	if k <= 0 || count > maxIndexed {
		return nil, errColumn
	}
	dict, index, err := lengthsOf(b[k:])
	if err != nil {
		return nil, err
	}
	if len(dict) == 0 || dict[0] < strPlain {
		return nil, errColumn
	}
	at, err := numAt(index, i, n)
	if err != nil || at >= count {
		return nil, errColumn
	}
	if c.dict == nil {
		c.dict = &column{enc: dict}
	}
	return z.value(c.dict, int(at), int(count))
}
