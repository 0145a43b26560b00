package pack

import (
	"cmp"
	"encoding/binary"
	"io"
	"math/bits"
	"slices"

	"github.com/clewtrace/clew/trace"
)

// An index is hashes in order, each with a number, in pages of 4 KiB:
//
//	341 × ( hash, 8 bytes big-endian | number, 4 bytes big-endian ) | CRC-32C of them, 4 bytes big-endian
//
// The last page is filled with ones. Hashes spread evenly, so that the page of one is nearly always known before reading.
const (
	entryBytes  = 12
	pageEntries = 341
	pageBytes   = pageEntries*entryBytes + 4
)

// An Entry is a hash and the number of what has it.
type Entry struct {
	Hash   uint64
	Number uint32
}

// AppendIndex appends an index of entries, which it puts in order.
func AppendIndex(dst []byte, entries []Entry) []byte {
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.Number, b.Number))
	})
	for len(entries) > 0 {
		lo := len(dst)
		for i := range pageEntries {
			e := Entry{^uint64(0), ^uint32(0)}
			if i < len(entries) {
				e = entries[i]
			}
			dst = binary.BigEndian.AppendUint64(dst, e.Hash)
			dst = binary.BigEndian.AppendUint32(dst, e.Number)
		}
		dst = binary.BigEndian.AppendUint32(dst, Checksum(dst[lo:]))
		entries = entries[min(len(entries), pageEntries):]
	}
	return dst
}

type indexPage [pageBytes]byte

// read reads a page and checks it.
func (p *indexPage) read(f io.ReaderAt, offset int64) error {
	if _, err := f.ReadAt(p[:], offset); err != nil {
		return &trace.Error{Kind: trace.Corrupt, Msg: "index page cannot be read", Err: err}
	}
	if binary.BigEndian.Uint32(p[pageBytes-4:]) != Checksum(p[:pageBytes-4]) {
		return trace.Errorf(trace.Corrupt, "checksum of index page at offset %d is wrong", offset)
	}
	return nil
}

func (p *indexPage) entry(i int) Entry {
	b := p[i*entryBytes:]
	return Entry{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])}
}

// Lookup returns the numbers of what has a hash from an index of size bytes. An error says which page is damaged.
func Lookup(f io.ReaderAt, size int64, hash uint64) ([]uint32, error) {
	pages := int(size / pageBytes)
	if pages == 0 {
		return nil, nil
	}
	var page indexPage
	at := -1
	load := func(i int) error {
		if at == i {
			return nil
		}
		at = i
		return page.read(f, int64(i)*pageBytes)
	}
	guess, _ := bits.Mul64(hash, uint64(pages))
	i := int(guess)
	for { // to the first page that can have it
		if err := load(i); err != nil {
			return nil, err
		}
		if i == 0 || page.entry(0).Hash < hash {
			break
		}
		i--
	}
	var out []uint32
	for ; i < pages; i++ {
		if err := load(i); err != nil {
			return nil, err
		}
		for k := range pageEntries {
			e := page.entry(k)
			if e.Hash > hash || e.Number == ^uint32(0) {
				return out, nil
			}
			if e.Hash == hash {
				out = append(out, e.Number)
			}
		}
	}
	return out, nil
}

// A Cursor reads the hashes of an index in order.
type Cursor struct {
	file io.ReaderAt
	left int64 // bytes of pages
	at   int64
	page indexPage
	next int // entry of the page; pageEntries: another is to be read
}

// NewCursor returns a cursor before the first hash of an index of size bytes.
func NewCursor(f io.ReaderAt, size int64) *Cursor {
	return &Cursor{file: f, left: size, next: pageEntries}
}

// Next returns the next hash; false at the end. An error says which page is damaged.
func (c *Cursor) Next() (hash uint64, ok bool, err error) {
	if c.next == pageEntries {
		if c.left < pageBytes {
			return 0, false, nil
		}
		if err := c.page.read(c.file, c.at); err != nil {
			return 0, false, err
		}
		c.at, c.left, c.next = c.at+pageBytes, c.left-pageBytes, 0
	}
	e := c.page.entry(c.next)
	c.next++
	return e.Hash, e.Number != ^uint32(0), nil
}

// CheckIndex reads all pages of an index of size bytes. The error says which is damaged.
func CheckIndex(f io.ReaderAt, size int64) error {
	for at := int64(0); at+pageBytes <= size; at += pageBytes {
		var page indexPage
		if err := page.read(f, at); err != nil {
			return err
		}
	}
	return nil
}
