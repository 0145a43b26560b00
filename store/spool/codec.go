package spool

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/clewtrace/clew/trace"
)

// codec turns columns into bytes and back. It picks each column's encoding by what it sees. It is for one goroutine.
//
//	numbers  = kind, body
//	  constant  0  uvarint
//	  packed    1  zigzag base, uvarint divisor, blocks of 64 values: width, (v-base)/divisor in width bits each
//	  deltas    2  zigzag first, packed differences (zigzag)
//	  indexed   3  uvarint count, that many uvarints (sorted, as differences), packed indexes
//	bytes    = kind, body
//	  constant  8  the value
//	  indexed   9  uvarint length of dictionary, dictionary (plain), indexes (numbers)
//	  plain    10  uvarint length of lengths, lengths (numbers), data
//	  plain    11  the same, data compressed by zstd
//	  hex      12  as 10, the data being hexadecimal digits in pairs
type codec struct {
	enc  *zstd.Encoder
	dec  *zstd.Decoder
	seed uint64

	// What gathering and encoding use again.
	buf, body, lengths []byte
	nums               []uint64
	remap              []uint16
	gathered           column
	needles            needles
}

const (
	numConstant = 0
	numPacked   = 1
	numDeltas   = 2
	numIndexed  = 3
	strConstant = 8
	strIndexed  = 9
	strPlain    = 10
	strZstd     = 11
	strHex      = 12

	packBlock = 64
	// maxIndexed is how many different values a column may have to be encoded as indexes.
	maxIndexed = 4096
	// maxColumnBytes bounds what a column may claim to be when it is decoded, so that damage cannot ask for all memory.
	maxColumnBytes = 1 << 31
)

func newCodec() *codec {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxColumnBytes))
	if err != nil { // only for wrong options
		panic(err)
	}
	return &codec{dec: dec, seed: rand.Uint64()}
}

// compress returns b as a zstd frame.
func (z *codec) compress(b []byte) []byte {
	if z.enc == nil { // readers never need it, and it is large
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
		if err != nil { // only for wrong options
			panic(err)
		}
		z.enc = enc
	}
	return z.enc.EncodeAll(b, make([]byte, 0, len(b)/2+64))
}

var errColumn = trace.Errorf(trace.Corrupt, "broken column")

// appendNums appends numbers in the shortest of their encodings.
func (z *codec) appendNums(dst []byte, v []uint64) []byte {
	if len(v) == 0 {
		return append(dst, numConstant, 0)
	}
	if constant(v) {
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
		alt := appendPacked(binary.AppendVarint(append(z.buf[:0], numDeltas), int64(v[0])), d)
		if len(alt) < best {
			dst, best = append(dst[:n], alt...), len(alt)
		}
		z.buf = alt
	}
	if best < 3*len(v)/8 || varied(v) { // at most 3 bits a value: no dictionary is much better
		return dst
	}
	if alt, ok := appendIndexed(z.buf[:0], v); ok {
		if len(alt) < best {
			dst = append(dst[:n], alt...)
		}
		z.buf = alt
	}
	return dst
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

func appendIndexed(dst []byte, v []uint64) ([]byte, bool) {
	dict := slices.Clone(v)
	slices.Sort(dict)
	dict = slices.Compact(dict)
	if len(dict) > maxIndexed || 2*len(dict) > len(v) {
		return dst, false
	}
	dst = binary.AppendUvarint(append(dst, numIndexed), uint64(len(dict)))
	last := uint64(0)
	for _, d := range dict {
		dst = binary.AppendUvarint(dst, d-last)
		last = d
	}
	idx := make([]uint64, len(v))
	for i, x := range v {
		k, _ := slices.BinarySearch(dict, x)
		idx[i] = uint64(k)
	}
	return appendPacked(dst, idx), true
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
	var q [packBlock]uint64
	for len(v) > 0 {
		n := min(len(v), packBlock)
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
	base, k := binary.Varint(b)
	if k <= 0 {
		return nil, false
	}
	b = b[k:]
	div, k := binary.Uvarint(b)
	if k <= 0 {
		return nil, false
	}
	b = b[k:]
	if n/packBlock > len(b) { // each block has a byte at least
		return nil, false
	}
	v = make([]uint64, n)
	for at := 0; at < n; at += packBlock {
		if len(b) == 0 {
			return nil, false
		}
		blk := v[at:min(n, at+packBlock)]
		if b, ok = unpackBits(b[1:], blk, int(b[0])); !ok {
			return nil, false
		}
		for i := range blk {
			blk[i] = blk[i]*div + uint64(base)
		}
	}
	return v, true
}

// nums reads n numbers that appendNums wrote.
func nums(b []byte, n int) ([]uint64, error) {
	if len(b) == 0 {
		return nil, errColumn
	}
	kind, b := b[0], b[1:]
	var v []uint64
	ok := true
	switch kind {
	case numConstant:
		x, k := binary.Uvarint(b)
		if k <= 0 || n > maxColumnBytes/8 {
			return nil, errColumn
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
			return nil, errColumn
		}
		d, ok := unpack(b[k:], n-1)
		if !ok {
			return nil, errColumn
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
		return nil, errColumn
	}
	return v, nil
}

// numDict reads the sorted values of an indexed column of numbers, and returns what follows.
func numDict(b []byte) (dict []uint64, rest []byte, err error) {
	count, k := binary.Uvarint(b)
	if k <= 0 || count > maxIndexed {
		return nil, nil, errColumn
	}
	b = b[k:]
	dict = make([]uint64, count)
	last := uint64(0)
	for i := range dict {
		d, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, nil, errColumn
		}
		b = b[k:]
		last += d
		dict[i] = last
	}
	return dict, b, nil
}

func indexedNums(b []byte, n int) ([]uint64, bool) {
	dict, b, err := numDict(b)
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

// encodeStrings returns a bytes column, which has a value for each row, in the encoding that fits it.
func (z *codec) encodeStrings(c *column) []byte {
	rows := make([]uint32, len(c.ends))
	for i := range rows {
		rows[i] = uint32(i)
	}
	out := &z.gathered
	out.clear(z.seed)
	if z.gather(out, c, rows, len(rows)) {
		c = out
	}
	return z.appendStrings(nil, c)
}

// appendStrings appends a bytes column in the encoding that its form asks for.
func (z *codec) appendStrings(dst []byte, c *column) []byte {
	switch {
	case c.form == same:
		return append(append(dst, strConstant), c.data...)
	case c.form == each:
		return append(dst, z.encodePlain(c)...)
	case len(c.ends) <= 1: // or none
		return append(append(dst, strConstant), c.data...)
	case len(c.ends) > max(len(c.index)/2, 1):
		c.spell()
		return append(dst, z.encodePlain(c)...)
	}
	d := z.encodePlain(&column{data: c.data, ends: c.ends})
	dst = binary.AppendUvarint(append(dst, strIndexed), uint64(len(c.ends)))
	dst = binary.AppendUvarint(dst, uint64(len(d)))
	dst = append(dst, d...)
	index := z.nums[:0]
	for _, k := range c.index {
		index = append(index, uint64(k))
	}
	z.nums = index
	return appendPacked(append(dst, numPacked), index)
}

// zstdMin is how many bytes are worth a zstd frame.
const zstdMin = 64

func (z *codec) encodePlain(c *column) []byte {
	lengths := make([]uint64, len(c.ends))
	last := uint32(0)
	for i, e := range c.ends {
		lengths[i] = uint64(e - last)
		last = e
	}
	l := z.appendNums(nil, lengths)
	kind, data := byte(strPlain), c.data
	if packed, ok := packHex(c.data); ok {
		kind, data = strHex, packed
	} else if len(c.data) >= zstdMin {
		packed := z.compress(c.data)
		if len(packed) < len(c.data)*15/16 {
			kind, data = strZstd, packed
		}
	}
	dst := binary.AppendUvarint([]byte{kind}, uint64(len(l)))
	return append(append(dst, l...), data...)
}

// packHex packs lower-case hexadecimal digits in pairs: IDs in text compress no better than that.
func packHex(b []byte) ([]byte, bool) {
	if len(b) < 16 || len(b)%2 != 0 {
		return nil, false
	}
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil, false
		}
	}
	out := make([]byte, len(b)/2)
	if _, err := hex.Decode(out, b); err != nil {
		return nil, false
	}
	return out, true
}

// strings reads a bytes column of n values that takes all of b.
func (z *codec) strings(b []byte, n int) (column, error) {
	var c column
	if len(b) == 0 {
		return c, errColumn
	}
	kind, b := b[0], b[1:]
	switch kind {
	case strConstant:
		return column{form: same, data: b}, nil
	case strIndexed:
		return z.indexedStrings(b, n)
	case strPlain, strZstd, strHex:
		enc, data, err := lengthsOf(b)
		if err != nil {
			return c, err
		}
		lengths, err := nums(enc, n)
		if err != nil {
			return c, err
		}
		switch kind {
		case strZstd:
			if data, err = z.dec.DecodeAll(data, nil); err != nil {
				return c, errColumn
			}
		case strHex:
			data = hex.AppendEncode(nil, data)
		}
		c.data = data
		c.ends = make([]uint32, n)
		end := uint64(0)
		for i, l := range lengths {
			if end += l; l > uint64(len(data)) || end > uint64(len(data)) {
				return column{}, errColumn
			}
			c.ends[i] = uint32(end)
		}
		return c, nil
	}
	return c, errColumn
}

func (z *codec) indexedStrings(b []byte, n int) (column, error) {
	var c column
	count, k := binary.Uvarint(b)
	if k <= 0 || count > maxIndexed {
		return c, errColumn
	}
	b = b[k:]
	enc, index, err := lengthsOf(b)
	if err != nil || len(enc) == 0 || enc[0] < strPlain { // a dictionary is plain
		return c, errColumn
	}
	dict, err := z.strings(enc, int(count))
	if err != nil {
		return c, err
	}
	at, err := nums(index, n)
	if err != nil {
		return c, err
	}
	if dict.form != each {
		return c, errColumn
	}
	dict.form, dict.index = indexed, make([]uint16, n)
	for i, x := range at {
		if x >= count {
			return c, errColumn
		}
		dict.index[i] = uint16(x)
	}
	return dict, nil
}

// load decodes a column of n values if that has not been done. A nil codec is of rows that were never encoded.
func (z *codec) load(c *column, n int) error {
	if len(c.enc) == 0 {
		return nil
	}
	if c.enc[0] <= numIndexed {
		v, err := nums(c.enc, n)
		if err != nil {
			return err
		}
		c.nums, c.enc = v, nil
		return nil
	}
	dec, err := z.strings(c.enc, n)
	if err != nil {
		return err
	}
	*c = dec
	return nil
}
