package spool

import (
	"cmp"
	"encoding/binary"
	"io"
	"math/bits"
	"slices"

	"github.com/clewtrace/clew/trace"
)

// The trace index of a block is its traces' hashes in order, each with the trace's number in the block, in pages of 4 KiB:
//
//	341 × ( hash, 8 bytes big-endian | number, 4 bytes big-endian ) | CRC-32C of them, 4 bytes big-endian
//
// The last page is filled with ones. Hashes spread evenly, so that the page of one is nearly always known before reading.
const (
	entryBytes  = 12
	pageEntries = 341
	pageBytes   = pageEntries*entryBytes + 4
)

type indexEntry struct {
	hash   uint64
	number uint32
}

// idHash spreads trace IDs evenly, also those whose first half is zero. It is part of the file format.
func idHash(id trace.ID) uint64 {
	hi, lo := bits.Mul64(binary.BigEndian.Uint64(id[:8])^hashK0, hashK1)
	h := hi ^ lo ^ binary.BigEndian.Uint64(id[8:])
	hi, lo = bits.Mul64(h^hashK1, hashK0)
	return hi ^ lo
}

func appendIndex(dst []byte, entries []indexEntry) []byte {
	slices.SortFunc(entries, func(a, b indexEntry) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.number, b.number))
	})
	for len(entries) > 0 {
		lo := len(dst)
		for i := range pageEntries {
			e := indexEntry{^uint64(0), ^uint32(0)}
			if i < len(entries) {
				e = entries[i]
			}
			dst = binary.BigEndian.AppendUint64(dst, e.hash)
			dst = binary.BigEndian.AppendUint32(dst, e.number)
		}
		dst = binary.BigEndian.AppendUint32(dst, checksum(dst[lo:]))
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
	if binary.BigEndian.Uint32(p[pageBytes-4:]) != checksum(p[:pageBytes-4]) {
		return trace.Errorf(trace.Corrupt, "checksum of index page at offset %d is wrong", offset)
	}
	return nil
}

func (p *indexPage) entry(i int) indexEntry {
	b := p[i*entryBytes:]
	return indexEntry{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])}
}

// lookup returns the numbers of the traces with a hash. An error says which page is damaged.
func (s Section) lookup(f io.ReaderAt, hash uint64) ([]uint32, error) {
	pages := int(s.Length / pageBytes)
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
		return page.read(f, s.Offset+int64(i)*pageBytes)
	}
	guess, _ := bits.Mul64(hash, uint64(pages))
	i := int(guess)
	for { // to the first page that can have it
		if err := load(i); err != nil {
			return nil, err
		}
		if i == 0 || page.entry(0).hash < hash {
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
			if e.hash > hash || e.number == ^uint32(0) {
				return out, nil
			}
			if e.hash == hash {
				out = append(out, e.number)
			}
		}
	}
	return out, nil
}

// filter is a Bloom filter over hashes: 10 bits and 6 probes each, about 1 % false positives.
type filter []byte

const (
	filterBits   = 10
	filterProbes = 6
)

func newFilter(n int) filter { return make(filter, (n*filterBits+7)/8+8) }

func (f filter) probe(hash uint64, fn func(byteIndex uint64, mask byte) bool) bool {
	n := uint64(len(f)) * 8
	step := hash>>32 | 1
	for range filterProbes {
		bit, _ := bits.Mul64(hash, n)
		if !fn(bit/8, 1<<(bit%8)) {
			return false
		}
		hash = hash*hashK0 + step
	}
	return true
}

func (f filter) add(hash uint64) {
	f.probe(hash, func(i uint64, mask byte) bool {
		f[i] |= mask
		return true
	})
}

// has reports whether hash may have been added; an empty filter, of a block whose own is damaged, says so of all.
func (f filter) has(hash uint64) bool {
	if len(f) == 0 {
		return true
	}
	return f.probe(hash, func(i uint64, mask byte) bool { return f[i]&mask != 0 })
}
