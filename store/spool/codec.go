package spool

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"github.com/klauspost/compress/zstd"

	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/trace"
)

// codec turns columns into bytes and back. It picks each column's encoding by what it sees. It is for one goroutine.
//
//	numbers  = see package pack
//	bytes    = kind, body
//	  constant  8  the value
//	  indexed   9  uvarint length of dictionary, dictionary (plain), indexes (numbers)
//	  plain    10  uvarint length of lengths, lengths (numbers), data
//	  plain    11  the same, data compressed by zstd: uvarint values a frame, uvarint length of frames' lengths, these (numbers), frames
//	  hex      12  as 10, the data being hexadecimal digits in pairs
type codec struct {
	enc  *zstd.Encoder
	dec  *zstd.Decoder
	seed uint64

	// What gathering and encoding use again.
	packer        pack.Packer
	body, lengths []byte
	nums          []uint64
	remap         []uint16
	gathered      column
	needles       needles
	scratch       scratch
}

const (
	strConstant = 8
	strIndexed  = 9
	strPlain    = 10
	strZstd     = 11
	strHex      = 12

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
	return pack.AppendPacked(dst, index)
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
	l := z.packer.Append(nil, lengths)
	kind, data := byte(strPlain), c.data
	if packed, ok := packHex(c.data); ok {
		kind, data = strHex, packed
	} else if len(c.data) >= zstdMin {
		packed := z.frames(c)
		if len(packed) < len(c.data)*15/16 {
			kind, data = strZstd, packed
		}
	}
	dst := binary.AppendUvarint([]byte{kind}, uint64(len(l)))
	return append(append(dst, l...), data...)
}

// frameBytes is how much of a column a zstd frame has, about: one value costs a frame. In frames of 4 KiB a group is 0.3 % larger
// than with one frame a column.
const frameBytes = 4 << 10

// frames returns a column's data in zstd frames of a number of values each.
func (z *codec) frames(c *column) []byte {
	per := max(1, frameBytes*len(c.ends)/len(c.data)/pack.Block) * pack.Block
	var sizes []uint64
	var body []byte
	lo := uint32(0)
	for i := 0; i < len(c.ends); i += per {
		hi := c.ends[min(len(c.ends), i+per)-1]
		f := z.compress(c.data[lo:hi])
		sizes, body, lo = append(sizes, uint64(len(f))), append(body, f...), hi
	}
	dst := binary.AppendUvarint(nil, uint64(per))
	return append(appendSized(dst, z.packer.Append(nil, sizes)), body...)
}

// framed is a column's data as frames wrote it, of n values.
type framed struct {
	per    int // values a frame
	frames [][]byte
}

func openFrames(b []byte, n int) (f framed, err error) {
	per, k := binary.Uvarint(b)
	if k <= 0 || per == 0 || per > maxColumnBytes || per%pack.Block != 0 {
		return f, errColumn
	}
	f.per = int(per)
	enc, body, err := lengthsOf(b[k:])
	if err != nil {
		return f, err
	}
	sizes, err := pack.Read(enc, (n+f.per-1)/f.per)
	if err != nil {
		return f, err
	}
	f.frames = make([][]byte, len(sizes))
	for i, size := range sizes {
		if size > uint64(len(body)) {
			return f, errColumn
		}
		f.frames[i], body = body[:size], body[size:]
	}
	return f, nil
}

// unframe returns the data of frames, one after the other.
func (z *codec) unframe(frames [][]byte) (data []byte, err error) {
	for _, f := range frames {
		if data, err = z.dec.DecodeAll(f, data); err != nil || len(data) > maxColumnBytes {
			return nil, errColumn
		}
	}
	return data, nil
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
		lengths, err := pack.Read(enc, n)
		if err != nil {
			return c, err
		}
		switch kind {
		case strZstd:
			f, err := openFrames(data, n)
			if err != nil {
				return c, err
			}
			if data, err = z.unframe(f.frames); err != nil {
				return c, err
			}
		case strHex:
			data = hex.AppendEncode(nil, data)
		}
		return plainColumn(data, lengths)
	}
	return c, errColumn
}

// plainColumn returns a column with values of some lengths, one after the other in data.
func plainColumn(data []byte, lengths []uint64) (column, error) {
	c := column{data: data, ends: make([]uint32, len(lengths))}
	end := uint64(0)
	for i, l := range lengths {
		if end += l; l > uint64(len(data)) || end > uint64(len(data)) {
			return column{}, errColumn
		}
		c.ends[i] = uint32(end)
	}
	return c, nil
}

func (z *codec) indexedStrings(b []byte, n int) (column, error) {
	var c column
	count, k := binary.Uvarint(b)
	if k <= 0 || count > pack.MaxIndexed {
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
	at, err := pack.Read(index, n)
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
	if c.enc[0] <= pack.Indexed {
		v, err := pack.Read(c.enc, n)
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
