package thrift

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/clewtrace/clew/trace"
)

// Reader reads values one after the other. After the first error all calls return zero, false or nothing, and Err says what it was.
// A length or count that promises more than there are bytes left is an error before anything is done for it; a Reader allocates nothing
// but that error. A struct is read so:
//
//	for r.Struct(); r.Next(); {
//		switch r.Field {
//		case 1<<8 | thrift.I64:
//			id = r.I64()
//		default: // also a known field of another type, as Thrift's own code does it
//			r.Skip()
//		}
//	}
type Reader struct {
	Field Field // where Next has come to; reading its value may change it

	b       []byte
	at      int
	compact bool
	boolean byte // compact: the value of the field that Next has come to, if it is a boolean
	depth   int  // of structs
	last    [maxDepth + 1]int16
	err     *trace.Error
}

// NewBinary returns a reader of the binary protocol.
func NewBinary(b []byte) Reader { return Reader{b: b} }

// NewCompact returns a reader of the compact protocol.
func NewCompact(b []byte) Reader { return Reader{b: b, compact: true} }

// Err returns the first error, of kind Invalid, or nil.
func (r *Reader) Err() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// At returns the number of bytes read.
func (r *Reader) At() int { return r.at }

// Fail makes an error of what was just read, unless there was one before.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = trace.Errorf(trace.Invalid, "%s at byte %d of %d", fmt.Sprintf(format, args...), r.at, len(r.b))
	}
	r.boolean = 0
}

// take returns the next n bytes, or nil if there are not so many.
func (r *Reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.b)-r.at {
		r.Fail("cut off: %d bytes wanted", n)
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

// varint reads a varint of the compact protocol.
func (r *Reader) varint() uint64 {
	if r.err != nil {
		return 0
	}
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint64(r.b[r.at-1])
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.Fail("broken varint")
		return 0
	}
	r.at += n
	return v
}

func zigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// Message reads the head of a message. What is none is an error.
func (r *Reader) Message() (m Message) {
	if r.compact {
		if b := r.take(2); b != nil {
			if b[0] != compactID || b[1]&0x1f != 1 {
				r.Fail("not a message of Thrift's compact protocol: it begins with %#02x %#02x,", b[0], b[1])
			}
			m.Type = MessageType(b[1] >> 5)
		}
		m.Seq = int32(uint32(r.varint()))
		m.Name = r.Bytes()
		r.checkType(m.Type)
		return m
	}
	head := uint32(r.I32())
	if head>>31 == 1 {
		if head>>16 != 0x8001 {
			r.Fail("not a message of Thrift's binary protocol: version %#04x", head>>16)
		}
		m.Type = MessageType(head)
		m.Name = r.Bytes()
	} else {
		m.Name = r.take(int(head))
		m.Type = MessageType(r.Byte())
	}
	r.checkType(m.Type)
	m.Seq = r.I32()
	return m
}

func (r *Reader) checkType(t MessageType) {
	if t < Call || t > Oneway {
		r.Fail("message of type %d", t)
	}
}

// Struct begins to read a struct.
func (r *Reader) Struct() {
	if r.depth == maxDepth {
		r.Fail("nested deeper than %d", maxDepth)
		return
	}
	r.depth++
	r.last[r.depth] = 0
}

// Next moves to the next field of the struct, and returns false at its end. The value of the field before must have been read or skipped.
func (r *Reader) Next() bool {
	if r.err != nil {
		return false
	}
	if r.at >= len(r.b) {
		r.Fail("struct does not end")
		return false
	}
	c := r.b[r.at]
	r.at++
	if c == Stop {
		r.depth--
		return false
	}
	if r.compact {
		r.compactField(c)
	} else {
		id := r.I16()
		r.Field = Field(uint16(id))<<8 | Field(c)
		if int(c) >= len(atLeast) || atLeast[c] == 0 {
			r.Fail("field %d is of type %d, which there is not,", id, c)
		}
	}
	return r.err == nil
}

// compactField reads the head of a field that begins with c: a step from the number before and the type, or the type and the number.
func (r *Reader) compactField(c byte) {
	id := r.last[r.depth] + int16(c>>4)
	if c>>4 == 0 {
		id = r.I16()
	}
	r.last[r.depth] = id
	if c &= 15; int(c) >= len(fromCompact) || c == Stop {
		r.Fail("field %d is of type %d, which there is not,", id, c)
		return
	}
	if r.boolean = 0; c <= compactFalse {
		r.boolean = c
	}
	r.Field = Field(uint16(id))<<8 | Field(fromCompact[c])
}

// Bool reads a boolean.
func (r *Reader) Bool() bool {
	if c := r.boolean; c != 0 {
		r.boolean = 0
		return c == compactTrue
	}
	b := r.take(1)
	return b != nil && (b[0] == compactTrue || !r.compact && b[0] != 0)
}

// Byte reads an i8.
func (r *Reader) Byte() int8 {
	if b := r.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

// I16 reads an i16.
func (r *Reader) I16() int16 {
	if r.compact {
		return int16(zigzag(r.varint()))
	}
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

// I32 reads an i32.
func (r *Reader) I32() int32 {
	if r.compact {
		return int32(zigzag(r.varint()))
	}
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// I64 reads an i64.
func (r *Reader) I64() int64 {
	if r.compact {
		return zigzag(r.varint())
	}
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// Double reads a double.
func (r *Reader) Double() float64 {
	b := r.take(8)
	switch {
	case b == nil:
		return 0
	case r.compact:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

// Bytes reads a string or a binary. The result is a part of what is read.
func (r *Reader) Bytes() []byte {
	if r.compact && r.err == nil && r.at < len(r.b) { // most have a length of one byte
		if n := int(r.b[r.at]); n < 0x80 && n < len(r.b)-r.at {
			r.at += 1 + n
			return r.b[r.at-n : r.at]
		}
	}
	if n := r.count(1, "string", "bytes"); n > 0 {
		return r.take(n)
	}
	return nil
}

// count reads a length or a count of things that take at least size bytes each, and holds it against the bytes left.
func (r *Reader) count(size int, of, things string) int {
	var n int64
	if r.compact {
		n = int64(int32(uint32(min(r.varint(), math.MaxUint32))))
	} else {
		n = int64(r.I32())
	}
	switch {
	case r.err != nil:
		return 0
	case n < 0:
		r.Fail("%s of %d %s", of, n, things)
		return 0
	case n > int64((len(r.b)-r.at)/size):
		r.Fail("%s of %d %s, but %d bytes are left", of, n, things, len(r.b)-r.at)
		return 0
	}
	return int(n)
}

// elements reads the head of a list or set.
func (r *Reader) elements() (t Type, n int) {
	if !r.compact {
		t = Type(r.Byte())
		return t, r.count(r.smallest(t), "list", "elements")
	}
	b := r.take(1)
	if b == nil {
		return 0, 0
	}
	if c := b[0] & 15; int(c) < len(fromCompact) {
		t = fromCompact[c]
	}
	if n = int(b[0] >> 4); n == 15 {
		return t, r.count(r.smallest(t), "list", "elements")
	}
	if n*r.smallest(t) > len(r.b)-r.at {
		r.Fail("list of %d elements, but %d bytes are left", n, len(r.b)-r.at)
		return 0, 0
	}
	return t, n
}

// smallest returns how many bytes a value has at least. A type that there is not is an error only where a value of it is read.
func (r *Reader) smallest(t Type) int {
	sizes := &atLeast
	if r.compact {
		sizes = &atLeastCompact
	}
	if int(t) < len(sizes) {
		return max(1, sizes[t])
	}
	return 1
}

// List begins to read a list or set of elements of a type, and returns how many there are. Those of another type are an error.
func (r *Reader) List(of Type) int {
	t, n := r.elements()
	if n > 0 && t != of {
		r.Fail("list of elements of type %d; want %d", t, of)
		return 0
	}
	return n
}

// Skip skips the value of the field that Next has come to.
func (r *Reader) Skip() { r.skip(r.Field.Type(), r.depth) }

// skip skips a value of a type that lies at a depth.
func (r *Reader) skip(t Type, depth int) {
	switch {
	case r.err != nil:
	case depth > maxDepth:
		r.Fail("nested deeper than %d", maxDepth)
	case t == Bool:
		r.Bool()
	case t == String:
		r.Bytes()
	case t == Struct:
		for r.Struct(); r.Next(); {
			r.skip(r.Field.Type(), depth+1)
		}
	case t == List || t == Set:
		of, n := r.elements()
		r.skipAll(of, n, depth+1)
	case t == Map:
		r.skipMap(depth + 1)
	case r.compact && (t == I16 || t == I32 || t == I64):
		r.varint()
	case int(t) < len(fixed) && fixed[t] > 0:
		r.take(fixed[t])
	default:
		r.Fail("value of type %d, which there is not,", t)
	}
}

func (r *Reader) skipAll(t Type, n, depth int) {
	for ; n > 0 && r.err == nil; n-- {
		r.skip(t, depth)
	}
}

func (r *Reader) skipMap(depth int) {
	var key, value Type
	n := 0
	if r.compact {
		if n = r.count(2, "map", "pairs"); n == 0 {
			return // an empty map has no types
		}
		if b := r.take(1); b != nil && b[0]>>4 < byte(len(fromCompact)) && b[0]&15 < byte(len(fromCompact)) {
			key, value = fromCompact[b[0]>>4], fromCompact[b[0]&15]
		}
	} else {
		key, value = Type(r.Byte()), Type(r.Byte())
		n = r.count(r.smallest(key)+r.smallest(value), "map", "pairs")
	}
	for ; n > 0 && r.err == nil; n-- {
		r.skip(key, depth)
		r.skip(value, depth)
	}
}
