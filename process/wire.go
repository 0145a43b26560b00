package process

import (
	"encoding/binary"
	"math/bits"

	"google.golang.org/protobuf/encoding/protowire"
)

// wireField is a field of a protobuf message that was indexed, and so is well-formed.
type wireField struct {
	num  protowire.Number
	wire protowire.Type
	raw  []byte // the field with its tag
	body []byte // of a field of protowire.BytesType
}

// next returns the first field of b, and what is behind it.
func next(b []byte) (f wireField, after []byte) {
	num, wire, n := protowire.ConsumeTag(b)
	if n < 0 {
		panic("process: a message that was not indexed")
	}
	f.num, f.wire = num, wire
	if wire == protowire.BytesType {
		var m int
		if f.body, m = protowire.ConsumeBytes(b[n:]); m < 0 {
			panic("process: a message that was not indexed")
		}
		n += m
	} else {
		m := protowire.ConsumeFieldValue(num, wire, b[n:])
		if m < 0 {
			panic("process: a message that was not indexed")
		}
		n += m
	}
	f.raw = b[:n]
	return f, b[n:]
}

// keyValue returns the key of a KeyValue, and the body of its AnyValue: of each the last one.
func keyValue(b []byte) (key, value []byte) {
	for len(b) > 0 {
		var f wireField
		f, b = next(b)
		switch {
		case f.num == 1 && f.wire == protowire.BytesType:
			key = f.body
		case f.num == 2 && f.wire == protowire.BytesType:
			value = f.body
		}
	}
	return key, value
}

// textOf returns the text that an AnyValue is, if it is one.
func textOf(value []byte) (text []byte, ok bool) {
	for len(value) > 0 {
		var f wireField
		if f, value = next(value); f.num <= 7 { // the kinds of value, of which the last counts
			text, ok = f.body, f.num == 1
		}
	}
	return text, ok
}

// appendMessage appends a message field whose body fn appends. The length is written behind the body and moved in front of it.
func appendMessage(b []byte, num protowire.Number, fn func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	at := len(b)
	b = fn(append(b, 0))
	n := len(b) - at - 1
	if w := (bits.Len64(uint64(n)|1) + 6) / 7; w > 1 {
		b = append(b, make([]byte, w-1)...)
		copy(b[at+w:], b[at+1:at+1+n])
	}
	binary.PutUvarint(b[at:cap(b)], uint64(n))
	return b
}

func appendField(b []byte, num protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), body)
}
