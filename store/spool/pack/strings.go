package pack

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"github.com/klauspost/compress/zstd"

	"github.com/clewtrace/clew/trace"
)

// A Codec turns columns into bytes and back. It picks each column's encoding by what it sees. It is for one goroutine, and has memory that it uses again.
//
//	numbers  = see pack.go
//	bytes    = kind, body
//	  constant  8  the value
//	  indexed   9  uvarint length of dictionary, dictionary (plain), indexes (numbers)
//	  plain    10  uvarint length of lengths, lengths (numbers), data
//	  plain    11  the same, data compressed by zstd: uvarint values a frame, uvarint length of frames' lengths, these (numbers), frames
//	  hex      12  as 10, the data being hexadecimal digits in pairs
type Codec struct {
	enc      *zstd.Encoder
	dec      *zstd.Decoder
	seed     uint64
	packer   Packer
	index    []uint64
	remap    []uint16
	gathered Column
}

const (
	strConstant = 8
	strIndexed  = 9
	strPlain    = 10
	strZstd     = 11
	strHex      = 12
)

// IsNumbers reports whether an encoded column, which is not empty, is one of numbers.
func IsNumbers(enc []byte) bool { return enc[0] <= numIndexed }

// Encoding returns in words how an encoded column is encoded.
func Encoding(enc []byte) string {
	names := map[byte]string{
		numConstant: "constant", numPacked: "packed", numDeltas: "deltas", numIndexed: "indexed numbers",
		strConstant: "constant", strIndexed: "indexed", strPlain: "plain", strZstd: "zstd", strHex: "hex",
	}
	if len(enc) == 0 {
		return "none"
	}
	return names[enc[0]]
}

// AppendSized appends the length of bytes as a uvarint, and the bytes.
func AppendSized(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// NewCodec returns a codec.
func NewCodec() *Codec {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxBytes))
	if err != nil { // only for wrong options
		panic(err)
	}
	z := &Codec{dec: dec, seed: rand.Uint64()}
	z.packer.few.seed = z.seed
	return z
}

// Compress returns bytes as a zstd frame.
func (z *Codec) Compress(b []byte) []byte {
	if z.enc == nil { // readers never need it, and it is large
		// The better levels take a fifth more time to make a block, which is then 0.1 % smaller: frames are short.
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
		if err != nil { // only for wrong options
			panic(err)
		}
		z.enc = enc
	}
	return z.enc.EncodeAll(b, make([]byte, 0, len(b)/2+64))
}

// Decompress returns what Compress was given. It may return part of it with an error.
func (z *Codec) Decompress(b []byte) ([]byte, error) { return z.dec.DecodeAll(b, nil) }

var errColumn = trace.Errorf(trace.Corrupt, "broken column")

// Gathered returns an empty indexed column for Gather, which is valid until the next call.
func (z *Codec) Gathered() *Column {
	z.gathered.clear(z.seed)
	return &z.gathered
}

// Gather appends a column's rows to an indexed one that is to have n in all; false: it has too many values for that.
func (z *Codec) Gather(out, c *Column, rows []uint32, n int) bool {
	switch c.Form {
	case Same:
		k, ok := out.find(c.Data, n, z.seed)
		for range rows {
			out.Index = append(out.Index, k)
		}
		return ok
	case Indexed:
		z.remap = append(z.remap[:0], make([]uint16, len(c.Ends))...)
		for _, i := range rows {
			v := c.Index[i]
			if z.remap[v] == 0 {
				k, ok := out.find(c.One(int(v)), n, z.seed)
				if !ok {
					return false
				}
				z.remap[v] = k + 1
			}
			out.Index = append(out.Index, z.remap[v]-1)
		}
		return true
	}
	for done, i := range rows {
		if done == sampleRows && 8*len(out.Ends) > 7*sampleRows { // nearly all differ
			return false
		}
		k, ok := out.find(c.One(int(i)), n, z.seed)
		if !ok {
			return false
		}
		out.Index = append(out.Index, k)
	}
	return true
}

// sampleRows is after how many rows it is seen whether nearly all values of a column differ.
const sampleRows = 512

// AppendNumbers appends a column of numbers in the shortest encoding.
func (z *Codec) AppendNumbers(dst []byte, v []uint64) []byte { return z.packer.Append(dst, v) }

// Few returns the different values of the column of numbers that was encoded last, and how many rows have each; false: they are many.
func (z *Codec) Few(v []uint64) (values, counts []uint64, ok bool) { return z.packer.Few(v) }

// EncodeStrings returns a bytes column, which has a value for each row, in the encoding that fits it.
func (z *Codec) EncodeStrings(c *Column) []byte {
	rows := make([]uint32, len(c.Ends))
	for i := range rows {
		rows[i] = uint32(i)
	}
	out := z.Gathered()
	if z.Gather(out, c, rows, len(rows)) {
		c = out
	}
	return z.AppendStrings(nil, c)
}

// AppendStrings appends a bytes column in the encoding that its form asks for.
func (z *Codec) AppendStrings(dst []byte, c *Column) []byte {
	switch {
	case c.Form == Same:
		return append(append(dst, strConstant), c.Data...)
	case c.Form == Each:
		return append(dst, z.EncodePlain(c)...)
	case len(c.Ends) <= 1: // or none
		return append(append(dst, strConstant), c.Data...)
	case len(c.Ends) > max(len(c.Index)/2, 1):
		c.spell()
		return append(dst, z.EncodePlain(c)...)
	}
	d := z.EncodePlain(&Column{Data: c.Data, Ends: c.Ends})
	dst = binary.AppendUvarint(append(dst, strIndexed), uint64(len(c.Ends)))
	dst = binary.AppendUvarint(dst, uint64(len(d)))
	dst = append(dst, d...)
	index := z.index[:0]
	for _, k := range c.Index {
		index = append(index, uint64(k))
	}
	z.index = index
	return appendPacked(append(dst, numPacked), index) // without a look at other encodings
}

// zstdMin is how many bytes are worth a zstd frame.
const zstdMin = 64

// EncodePlain returns a bytes column, which has a value for each row, as it is, or compressed.
func (z *Codec) EncodePlain(c *Column) []byte {
	lengths := make([]uint64, len(c.Ends))
	last := uint32(0)
	for i, e := range c.Ends {
		lengths[i] = uint64(e - last)
		last = e
	}
	l := z.packer.Append(nil, lengths)
	kind, data := byte(strPlain), c.Data
	if packed, ok := packHex(c.Data); ok {
		kind, data = strHex, packed
	} else if len(c.Data) >= zstdMin {
		packed := z.frames(c)
		if len(packed) < len(c.Data)*15/16 {
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
func (z *Codec) frames(c *Column) []byte {
	per := max(1, frameBytes*len(c.Ends)/len(c.Data)/blockValues) * blockValues
	var sizes []uint64
	var body []byte
	lo := uint32(0)
	for i := 0; i < len(c.Ends); i += per {
		hi := c.Ends[min(len(c.Ends), i+per)-1]
		f := z.Compress(c.Data[lo:hi])
		sizes, body, lo = append(sizes, uint64(len(f))), append(body, f...), hi
	}
	dst := binary.AppendUvarint(nil, uint64(per))
	return append(AppendSized(dst, z.packer.Append(nil, sizes)), body...)
}

// framed is a column's data as frames wrote it, of n values.
type framed struct {
	per    int // values a frame
	frames [][]byte
}

func openFrames(b []byte, n int) (f framed, err error) {
	per, k := binary.Uvarint(b)
	if k <= 0 || per == 0 || per > MaxBytes || per%blockValues != 0 {
		return f, errColumn
	}
	f.per = int(per)
	enc, body, err := lengthsOf(b[k:])
	if err != nil {
		return f, err
	}
	sizes, err := Read(enc, (n+f.per-1)/f.per)
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
func (z *Codec) unframe(frames [][]byte) (data []byte, err error) {
	for _, f := range frames {
		if data, err = z.dec.DecodeAll(f, data); err != nil || len(data) > MaxBytes {
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

// Strings reads a bytes column of n values that takes all of b. Errors are of kind Corrupt.
func (z *Codec) Strings(b []byte, n int) (Column, error) {
	var c Column
	if len(b) == 0 {
		return c, errColumn
	}
	kind, b := b[0], b[1:]
	switch kind {
	case strConstant:
		return Column{Form: Same, Data: b}, nil
	case strIndexed:
		return z.indexedStrings(b, n)
	case strPlain, strZstd, strHex:
		enc, data, err := lengthsOf(b)
		if err != nil {
			return c, err
		}
		lengths, err := Read(enc, n)
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
func plainColumn(data []byte, lengths []uint64) (Column, error) {
	c := Column{Data: data, Ends: make([]uint32, len(lengths))}
	end := uint64(0)
	for i, l := range lengths {
		if end += l; l > uint64(len(data)) || end > uint64(len(data)) {
			return Column{}, errColumn
		}
		c.Ends[i] = uint32(end)
	}
	return c, nil
}

func (z *Codec) indexedStrings(b []byte, n int) (Column, error) {
	var c Column
	count, k := binary.Uvarint(b)
	if k <= 0 || count > maxIndexed {
		return c, errColumn
	}
	b = b[k:]
	enc, index, err := lengthsOf(b)
	if err != nil || len(enc) == 0 || enc[0] < strPlain { // a dictionary is plain
		return c, errColumn
	}
	dict, err := z.Strings(enc, int(count))
	if err != nil {
		return c, err
	}
	at, err := Read(index, n)
	if err != nil {
		return c, err
	}
	if dict.Form != Each {
		return c, errColumn
	}
	dict.Form, dict.Index = Indexed, make([]uint16, n)
	for i, x := range at {
		if x >= count {
			return c, errColumn
		}
		dict.Index[i] = uint16(x)
	}
	return dict, nil
}

// Load decodes a column of n values if that has not been done. A nil codec is for columns that were never encoded. Errors are of kind Corrupt.
func (z *Codec) Load(c *Column, n int) error {
	if len(c.Enc) == 0 {
		return nil
	}
	if IsNumbers(c.Enc) {
		v, err := Read(c.Enc, n)
		if err != nil {
			return err
		}
		c.Nums, c.Enc = v, nil
		return nil
	}
	dec, err := z.Strings(c.Enc, n)
	if err != nil {
		return err
	}
	*c = dec
	return nil
}
