package spool

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"

	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/trace"
)

// A group's needles are a filter over all values of attributes in it, those of spans, resources and events, each with its key, and
// over its events' names. What a few spans of all that is stored have is found by it: a group that lacks the value costs 64 bytes read.
//
// The filter is a Bloom filter in lines, one of which has all bits of a value:
//
//	line = 480 bits | CRC-32C of them, 4 bytes big-endian
const (
	lineBytes = 64
	lineBits  = (lineBytes - 4) * 8
	// needleBits a value and needleProbes make about 3 groups in 1,000 be read in vain.
	needleBits   = 13
	needleProbes = 8
)

// hashNumber and hashText hash a value of an attribute, given the hash of its key. They are part of the file format.
func hashNumber(key uint64, t trace.ValueType, num uint64) uint64 {
	if t == trace.TypeDouble && math.Float64frombits(num) != math.Float64frombits(num) {
		num = math.Float64bits(math.NaN())
	}
	return hashMix(hashMix(key, uint64(t)), num)
}

func hashText[T ~string | ~[]byte](key uint64, text T) uint64 { return hashBytes(key, text) }

func hashKey(key string) uint64 { return hashBytes(0, key) }

func hashValue(key string, v trace.Value) uint64 {
	switch v.Type() {
	case trace.TypeBool:
		b := uint64(0)
		if v.Bool() {
			b = 1
		}
		return hashNumber(hashKey(key), v.Type(), b)
	case trace.TypeInt:
		return hashNumber(hashKey(key), v.Type(), uint64(v.Int()))
	case trace.TypeDouble:
		return hashNumber(hashKey(key), v.Type(), math.Float64bits(v.Double()))
	}
	return hashText(hashKey(key), v.Text())
}

// needles is the set of a group's values, as hashes, in an open hash table.
type needles struct {
	table []uint64 // 0: free
	n     int
	err   error // the first
}

func (s *needles) add(h uint64) {
	if 2*s.n >= len(s.table) {
		old := s.table
		s.table, s.n = make([]uint64, max(1024, 2*len(old))), 0
		for _, h := range old {
			if h != 0 {
				s.add(h)
			}
		}
	}
	h = max(h, 1)
	mask := uint64(len(s.table) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.table[i] {
		case h:
			return
		case 0:
			s.table[i] = h
			s.n++
			return
		}
	}
}

func (s *needles) attrs(attrs []trace.Attr) {
	for i := range attrs {
		s.add(hashValue(attrs[i].Key, attrs[i].Value))
	}
}

func (s *needles) reset() {
	clear(s.table)
	s.n, s.err = 0, nil
}

// numbers adds the values of an attribute's column that was encoded as enc, which has each once if they are few.
func (s *needles) numbers(k attrKey, v []uint64, enc []byte) {
	if few, ok := pack.Few(enc); ok {
		v = few
	}
	key := hashKey(k.key)
	for _, num := range v {
		s.add(hashNumber(key, k.typ, num))
	}
}

// texts adds the values of an attribute's column.
func (s *needles) texts(k attrKey, c *column) {
	key := hashKey(k.key)
	c.distinct(func(v []byte) {
		if k.typ == trace.TypeString {
			s.add(hashText(key, v))
			return
		}
		value, err := trace.DecodeAttr(k.typ, 0, v)
		s.err = cmp.Or(s.err, err)
		s.add(hashText(key, value.Text()))
	})
}

// rest adds what has no column: events, and a wide shape's attributes.
func (s *needles) rest(c *column) {
	var span trace.Span
	c.distinct(func(rest []byte) {
		if len(rest) == 0 {
			return
		}
		span = trace.Span{Attrs: span.Attrs[:0], Events: span.Events[:0]}
		s.err = cmp.Or(s.err, trace.DecodeRest(rest, &span))
		s.attrs(span.Attrs)
		for k := range span.Events {
			s.add(hashText(hashKey(""), span.Events[k].Name))
			s.attrs(span.Events[k].Attrs)
		}
	})
}

// append appends the filter over all that was added, and the group's resources.
func (s *needles) append(dst []byte, resources []resource) ([]byte, error) {
	for i := range resources {
		s.attrs(resources[i].decoded.Attrs)
	}
	lo := len(dst)
	lines := s.n*needleBits/lineBits + 1
	dst = append(dst, make([]byte, lines*lineBytes)...)
	for _, h := range s.table {
		if h != 0 {
			line := dst[lo+lineOf(h, lines)*lineBytes:]
			probeLine(h, func(at int, mask byte) bool {
				line[at] |= mask
				return true
			})
		}
	}
	for at := lo; at < len(dst); at += lineBytes {
		binary.BigEndian.PutUint32(dst[at+lineBytes-4:], checksum(dst[at:at+lineBytes-4]))
	}
	return dst, s.err
}

func lineOf(hash uint64, lines int) int {
	i, _ := bits.Mul64(hash, uint64(lines))
	return int(i)
}

func probeLine(hash uint64, fn func(at int, mask byte) bool) bool {
	hash *= hashK1 // its upper half has told the line
	bit, step := uint32(hash>>32), uint32(hash)|1
	for range needleProbes {
		i := int(uint64(bit) * lineBits >> 32)
		if !fn(i/8, 1<<(i%8)) {
			return false
		}
		bit += step
	}
	return true
}

// sought is what a group must have one of to meet a condition, as hashes.
type sought []uint64

// soughtBy returns what a group must have for a conjunction. Conditions that needles say nothing of are left out.
func soughtBy(conds []trace.Cond) (all []sought) {
	for i := range conds {
		c := &conds[i]
		if c.Op != trace.OpText && c.Op != trace.OpEqual {
			continue
		}
		switch c.Field {
		case trace.FieldAttr, trace.FieldTag, trace.FieldEvent:
			all = append(all, soughtValues(c))
		case trace.FieldMark:
			all = append(all, append(soughtValues(c), hashText(hashKey(""), c.Key)))
		}
	}
	return all
}

// soughtValues returns the hashes of all values that meet a condition on an attribute.
func soughtValues(c *trace.Cond) sought {
	if c.Op == trace.OpEqual {
		return sought{hashValue(c.Key, c.Value)}
	}
	text := c.Value.Text()
	values := []trace.Value{trace.String(text), trace.Bool(text == "true")}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		values = append(values, trace.Int(n))
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		values = append(values, trace.Double(f))
	}
	var out sought
	for _, v := range values {
		if v.Text() == text {
			out = append(out, hashValue(c.Key, v))
		}
	}
	return out
}

// mayHave reports whether group i may have all that is sought, and how many bytes it read for that. Damage costs speed alone.
func (b *block) mayHave(i int, all []sought) (ok bool, read int64) {
	info := &b.footer.Groups[i]
	for _, hashes := range all {
		found := false
		for _, h := range hashes {
			may, err := b.hasNeedle(info, max(h, 1))
			read += lineBytes
			if err != nil {
				_ = b.damaged(info.Offset+info.Needles.Offset, err)
			}
			if found = may || err != nil; found {
				break
			}
		}
		if !found {
			return false, read
		}
	}
	return true, read
}

func (b *block) hasNeedle(info *groupInfo, hash uint64) (bool, error) {
	lines := int(info.Needles.Length / lineBytes)
	if lines <= 0 { // a group without
		return true, nil
	}
	line, err := b.needleLine(info, lineOf(hash, lines))
	return err != nil || probeLine(hash, func(at int, mask byte) bool { return line[at]&mask != 0 }), err
}

func (b *block) needleLine(info *groupInfo, i int) (line [lineBytes]byte, err error) {
	if _, err := b.file.ReadAt(line[:], info.Offset+info.Needles.Offset+int64(i)*lineBytes); err != nil {
		return line, err
	}
	if binary.BigEndian.Uint32(line[lineBytes-4:]) != checksum(line[:lineBytes-4]) {
		return line, trace.Errorf(trace.Corrupt, "checksum of line %d of the needles is wrong", i)
	}
	return line, nil
}
