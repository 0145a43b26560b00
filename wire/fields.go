package wire

import "google.golang.org/protobuf/encoding/protowire"

// Fields reads the fields of one protobuf message as they lie in it, without an object for the message:
//
//	f := wire.NewFields(b)
//	for f.Next() {
//		switch f.ID {
//		case 1<<3 | wire.Length:
//			name = f.Body
//		case 2<<3 | wire.Varint:
//			port = f.Num
//		}
//	}
//	if f.Broken { … }
//
// A field that came with another wire type than its own has another ID, and so is passed over as an unknown one is. Groups, which proto3
// does not have, count as broken.
//
// Source: protobuf.dev, "Encoding".
type Fields struct {
	ID     uint64 // the field's number<<3 | its wire type
	Num    uint64 // the value if that is a varint or has 64 bits
	Body   []byte // the value if that has a length; it lies in the message
	Broken bool   // the message ends within a field, or what comes next is none

	b []byte // what is left
}

// The wire types, as Fields.ID has them. Fields of 32 bits are passed over: no message that is read here has one.
const (
	Varint  = uint64(protowire.VarintType)
	Fixed64 = uint64(protowire.Fixed64Type)
	Length  = uint64(protowire.BytesType)
)

// NewFields returns the fields of the message b.
func NewFields(b []byte) Fields { return Fields{b: b} }

// Next moves to the next field. It returns false behind the last one, and from where the message is Broken.
func (f *Fields) Next() bool {
	if len(f.b) == 0 || f.Broken {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.b)
	if n < 0 {
		f.Broken = true
		return false
	}
	f.b, f.ID = f.b[n:], uint64(num)<<3|uint64(typ)
	switch typ {
	case protowire.VarintType:
		f.Num, n = protowire.ConsumeVarint(f.b)
	case protowire.Fixed64Type:
		f.Num, n = protowire.ConsumeFixed64(f.b)
	case protowire.BytesType:
		f.Body, n = protowire.ConsumeBytes(f.b)
	case protowire.Fixed32Type:
		_, n = protowire.ConsumeFixed32(f.b)
	default: // groups
		n = -1
	}
	if f.Broken = n < 0; f.Broken {
		return false
	}
	f.b = f.b[n:]
	return true
}
