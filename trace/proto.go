package trace

import (
	"encoding/binary"
	"math/bits"
)

// Protocol Buffers wire types that OTLP uses; see the encoding chapter of the Protocol Buffers documentation.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// field is one field of a protobuf message: a number, its wire type and, by type, num or the body b[lo:hi].
type field struct {
	num    uint32
	wire   uint8
	val    uint64 // varint, fixed64, fixed32
	lo, hi int    // wireBytes: where the body lies
	at     int    // first byte of the field, its tag
	end    int    // first byte behind the field
}

// readField reads the field at b[at:end]. It returns false if the bytes are no valid field.
func readField(b []byte, at, end int, f *field) bool {
	f.at = at
	tag, at := readVarint(b, at, end)
	if at < 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
		return false
	}
	f.num, f.wire = uint32(tag>>3), uint8(tag&7)
	switch f.wire {
	case wireVarint:
		f.val, at = readVarint(b, at, end)
		if at < 0 {
			return false
		}
		f.end = at
	case wireFixed64:
		if end-at < 8 {
			return false
		}
		f.val = binary.LittleEndian.Uint64(b[at:])
		f.end = at + 8
	case wireFixed32:
		if end-at < 4 {
			return false
		}
		f.val = uint64(binary.LittleEndian.Uint32(b[at:]))
		f.end = at + 4
	case wireBytes:
		var n uint64
		n, at = readVarint(b, at, end)
		if at < 0 || n > uint64(end-at) {
			return false
		}
		f.lo, f.hi = at, at+int(n)
		f.end = f.hi
	default: // groups are not in proto3
		return false
	}
	return true
}

// readVarint returns the value and the first position behind it, or -1.
func readVarint(b []byte, at, end int) (uint64, int) {
	if at < end && b[at] < 0x80 {
		return uint64(b[at]), at + 1
	}
	var v uint64
	for shift := uint(0); shift < 64 && at < end; shift += 7 {
		c := b[at]
		at++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if shift == 63 && c > 1 { // more than 64 bits
				return 0, -1
			}
			return v, at
		}
	}
	return 0, -1
}

func appendTag(b []byte, num, wire int) []byte {
	return binary.AppendUvarint(b, uint64(num)<<3|uint64(wire))
}

func appendBytes[T ~string | ~[]byte](b []byte, num int, s T) []byte {
	b = appendTag(b, num, wireBytes)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendText(b []byte, num int, s string) []byte {
	if s == "" {
		return b
	}
	return appendBytes(b, num, s)
}

func appendUint(b []byte, num int, v uint64) []byte {
	if v == 0 {
		return b
	}
	return binary.AppendUvarint(appendTag(b, num, wireVarint), v)
}

func appendFixed64(b []byte, num int, v uint64) []byte {
	if v == 0 {
		return b
	}
	return binary.LittleEndian.AppendUint64(appendTag(b, num, wireFixed64), v)
}

func appendFixed32(b []byte, num int, v uint32) []byte {
	if v == 0 {
		return b
	}
	return binary.LittleEndian.AppendUint32(appendTag(b, num, wireFixed32), v)
}

// appendMessage appends a message field whose body fn appends. The length is written behind the body and moved in
// front of it, so that nothing has to be measured first.
func appendMessage(b []byte, num int, fn func([]byte) []byte) []byte {
	b = appendTag(b, num, wireBytes)
	at := len(b)
	b = append(b, 0)
	b = fn(b)
	n := len(b) - at - 1
	if w := varintLen(uint64(n)); w > 1 {
		b = append(b, make([]byte, w-1)...)
		copy(b[at+w:], b[at+1:at+1+n])
	}
	binary.PutUvarint(b[at:cap(b)], uint64(n))
	return b
}

func varintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }
