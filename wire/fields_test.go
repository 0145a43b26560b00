package wire

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// FuzzFields holds the reader against protowire, which knows groups: a message is broken from where the first one is, or where protowire says so.
func FuzzFields(f *testing.F) {
	whole := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "name")
	whole = protowire.AppendVarint(protowire.AppendTag(whole, 2, protowire.VarintType), 1<<63)
	whole = protowire.AppendFixed64(protowire.AppendTag(whole, protowire.MaxValidNumber, protowire.Fixed64Type), 3)
	whole = protowire.AppendFixed32(protowire.AppendTag(whole, 4, protowire.Fixed32Type), 4)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{1<<3 | 2, 0xff, 0xff, 0xff, 0xff, 0x0f}) // a length of 4 GiB
	f.Add([]byte{1<<3 | 3, 1<<3 | 4})                     // a group
	f.Add([]byte{0, 0})                                   // there is no field 0
	f.Fuzz(func(t *testing.T, message []byte) {
		got := NewFields(message)
		for b := message; len(b) > 0; {
			num, typ, n := protowire.ConsumeField(b)
			broken := n < 0 || typ == protowire.StartGroupType
			if got.Next() == broken || got.Broken != broken {
				t.Fatalf("%d bytes before the end: %+v, protowire: field %d, type %d, %d", len(b), got, num, typ, n)
			}
			if broken {
				return
			}
			if got.ID != uint64(num)<<3|uint64(typ) || !bytes.Equal(valueOf(&got), valueAt(b[:n], typ)) {
				t.Fatalf("%d bytes before the end: %+v, protowire: field %d, type %d", len(b), got, num, typ)
			}
			b = b[n:]
		}
		if got.Next() || got.Broken {
			t.Fatalf("behind the end: %+v", got)
		}
	})
}

// valueOf returns what the reader says the field is.
func valueOf(f *Fields) []byte {
	switch f.ID & 7 {
	case Varint, Fixed64:
		return protowire.AppendVarint(nil, f.Num)
	case Length:
		return f.Body
	default:
		return nil
	}
}

// valueAt returns the same of a whole field, by protowire.
func valueAt(field []byte, typ protowire.Type) []byte {
	_, _, n := protowire.ConsumeTag(field)
	switch typ {
	case protowire.VarintType:
		v, _ := protowire.ConsumeVarint(field[n:])
		return protowire.AppendVarint(nil, v)
	case protowire.Fixed64Type:
		v, _ := protowire.ConsumeFixed64(field[n:])
		return protowire.AppendVarint(nil, v)
	case protowire.BytesType:
		v, _ := protowire.ConsumeBytes(field[n:])
		return v
	default:
		return nil
	}
}
