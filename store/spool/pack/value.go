package pack

import (
	"encoding/binary"
	"encoding/hex"
)

// Reading one value of an encoded column, without decoding the others: what a single trace needs. What these return is what
// Read and Codec.Strings return at the same place, damage included.

// Num returns number i of a column of n. Errors are of kind Corrupt.
func (c *Column) Num(i, n int) (uint64, error) {
	if len(c.Enc) == 0 {
		if c.Form == Same {
			return c.Nums[0], nil
		}
		return c.Nums[i], nil
	}
	return At(c.Enc, i, n)
}

// Value returns value i of a bytes column of n. Errors are of kind Corrupt. The zstd frame that has it is decompressed, and kept until another is.
func (z *Codec) Value(c *Column, i, n int) ([]byte, error) {
	if len(c.Enc) == 0 {
		return c.Bytes(i), nil
	}
	if i >= n {
		return nil, errColumn
	}
	kind, b := c.Enc[0], c.Enc[1:]
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
	if kind != strZstd {
		return nil, errColumn
	}
	return z.framedValue(c, i, n)
}

func (z *Codec) framedValue(c *Column, i, n int) ([]byte, error) {
	if c.dict != nil && i/c.per == c.frame { // who asks for one value often asks for the next
		return c.dict.One(i - c.frame*c.per), nil
	}
	lengths, data, err := lengthsOf(c.Enc[1:])
	if err != nil {
		return nil, err
	}
	f, err := openFrames(data, n)
	if err != nil {
		return nil, err
	}
	at := i / f.per
	l, err := Range(lengths, at*f.per, min(n, (at+1)*f.per), n)
	if err != nil {
		return nil, err
	}
	if data, err = z.unframe(f.frames[at : at+1]); err != nil {
		return nil, err
	}
	values, err := plainColumn(data, l)
	if err != nil {
		return nil, err
	}
	c.dict, c.frame, c.per = &values, at, f.per
	return c.dict.One(i - at*f.per), nil
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
		l, err := At(p.lengths, i, n)
		if err != nil || l > MaxBytes {
			return nil, errColumn
		}
		lo, length = uint64(i)*l, l
	} else {
		all, err := Read(p.lengths, n)
		if err != nil {
			return nil, err
		}
		for _, l := range all[:i] {
			if lo += l; l > MaxBytes || lo > MaxBytes {
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
func (z *Codec) indexedValue(c *Column, i, n int) ([]byte, error) {
	b := c.Enc[1:]
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
	at, err := At(index, i, n)
	if err != nil || at >= count {
		return nil, errColumn
	}
	if c.dict == nil {
		c.dict = &Column{Enc: dict}
	}
	return z.Value(c.dict, int(at), int(count))
}
