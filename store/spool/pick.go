package spool

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/clewtrace/clew/store/spool/pack"
)

// Reading one value of an encoded column, without decoding the others: what a single trace needs. What these return is what
// nums and strings return at the same place, damage included.

// num returns number i of a column of n.
func (c *column) num(i, n int) (uint64, error) {
	if len(c.enc) == 0 {
		if c.form == same {
			return c.nums[0], nil
		}
		return c.nums[i], nil
	}
	return pack.At(c.enc, i, n)
}

// value returns value i of a bytes column of n. The zstd frame that has it is decompressed, and kept until another is.
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
	if kind != strZstd {
		return nil, errColumn
	}
	return z.framedValue(c, i, n)
}

func (z *codec) framedValue(c *column, i, n int) ([]byte, error) {
	if c.dict != nil && i/c.per == c.frame { // who asks for one value often asks for the next
		return c.dict.one(i - c.frame*c.per), nil
	}
	lengths, data, err := lengthsOf(c.enc[1:])
	if err != nil {
		return nil, err
	}
	f, err := openFrames(data, n)
	if err != nil {
		return nil, err
	}
	at := i / f.per
	l, err := pack.Range(lengths, at*f.per, min(n, (at+1)*f.per), n)
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
	return c.dict.one(i - at*f.per), nil
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
	if len(p.lengths) > 0 && p.lengths[0] == pack.Constant {
		l, err := pack.At(p.lengths, i, n)
		if err != nil || l > maxColumnBytes {
			return nil, errColumn
		}
		lo, length = uint64(i)*l, l
	} else {
		all, err := pack.Read(p.lengths, n)
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
	if k <= 0 || count > pack.MaxIndexed {
		return nil, errColumn
	}
	dict, index, err := lengthsOf(b[k:])
	if err != nil {
		return nil, err
	}
	if len(dict) == 0 || dict[0] < strPlain {
		return nil, errColumn
	}
	at, err := pack.At(index, i, n)
	if err != nil || at >= count {
		return nil, errColumn
	}
	if c.dict == nil {
		c.dict = &column{enc: dict}
	}
	return z.value(c.dict, int(at), int(count))
}
