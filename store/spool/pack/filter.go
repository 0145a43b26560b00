package pack

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
	"slices"

	"github.com/clewtrace/clew/trace"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC-32C of some bytes.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// The multipliers by which probes are spread are odd and have no pattern. They are part of the file format.
const (
	spread0 = 0x9e3779b97f4a7c15
	spread1 = 0xd6e8feb86659fd93
)

// Lines are a Bloom filter over hashes of which one line, with a checksum of its own, has all bits of a hash: it is asked where it
// lies in a file, by reading 256 bytes.
//
//	line = 2016 bits | CRC-32C of them, 4 bytes big-endian
const (
	LineBytes = 256
	lineBits  = (LineBytes - 4) * 8
	// setBits a hash and setProbes find 1 of 2,500 hashes that were not added: among all groups of a month's spans next to none.
	setBits   = 18
	setProbes = 10
)

// A Set gathers hashes for Lines. The zero Set is empty.
type Set struct {
	all     []uint64 // as they came, also twice
	compact int      // once there are so many, they are looked through for those that are there twice
	apart   []uint64 // scratch
	table   []uint64 // scratch; 0: free
}

// Reset makes the set empty; it keeps its memory.
func (s *Set) Reset() { s.all, s.compact = s.all[:0], setCompact }

// setCompact bounds what a set takes beside its hashes: 8 MiB.
const setCompact = 1 << 20

// Add adds a hash.
func (s *Set) Add(h uint64) {
	if s.all = append(s.all, max(h, 1)); len(s.all) >= max(s.compact, setCompact) {
		s.once()
		s.compact = 2*len(s.all) + setCompact
	}
}

// once leaves each hash once. They are put into heaps by their first bits, so that the table of a heap stays in the nearest cache.
func (s *Set) once() {
	const heapBits = 8
	var ends [1<<heapBits + 1]int
	for _, h := range s.all {
		ends[h>>(64-heapBits)+1]++
	}
	for i := range 1 << heapBits {
		ends[i+1] += ends[i]
	}
	s.apart = slices.Grow(s.apart[:0], len(s.all))[:len(s.all)]
	next := ends
	for _, h := range s.all {
		i := h >> (64 - heapBits)
		s.apart[next[i]] = h
		next[i]++
	}
	s.all = s.all[:0]
	for i := range 1 << heapBits {
		s.heap(s.apart[ends[i]:ends[i+1]])
	}
}

// heap appends the different ones of some hashes that begin with the same bits.
func (s *Set) heap(hashes []uint64) {
	size := 1 << bits.Len(uint(2*len(hashes)))
	s.table = slices.Grow(s.table[:0], size)[:size]
	clear(s.table)
next:
	for _, h := range hashes {
		i := h & uint64(size-1)
		for ; s.table[i] != 0; i = (i + 1) & uint64(size-1) {
			if s.table[i] == h {
				continue next
			}
		}
		s.table[i] = h
		s.all = append(s.all, h)
	}
}

// AppendLines appends the filter over the set.
func (s *Set) AppendLines(dst []byte) []byte {
	s.once()
	return AppendLines(dst, s.all)
}

// AppendLines appends the filter over hashes, each of which is there once.
func AppendLines(dst []byte, hashes []uint64) []byte {
	lo := len(dst)
	lines := len(hashes)*setBits/lineBits + 1
	dst = append(dst, make([]byte, lines*LineBytes)...)
	for _, h := range hashes {
		line := dst[lo+lineOf(h, lines)*LineBytes:]
		probeLine(h, func(at int, mask byte) bool {
			line[at] |= mask
			return true
		})
	}
	for at := lo; at < len(dst); at += LineBytes {
		binary.BigEndian.PutUint32(dst[at+LineBytes-4:], Checksum(dst[at:at+LineBytes-4]))
	}
	return dst
}

func lineOf(hash uint64, lines int) int {
	i, _ := bits.Mul64(hash, uint64(lines))
	return int(i)
}

func probeLine(hash uint64, fn func(at int, mask byte) bool) bool {
	hash *= spread1 // its upper half has told the line
	bit, step := uint32(hash>>32), uint32(hash)|1
	for range setProbes {
		i := int(uint64(bit) * lineBits >> 32)
		if !fn(i/8, 1<<(i%8)) {
			return false
		}
		bit += step
	}
	return true
}

// HasLine reports whether lines of size bytes may have a hash. Where they cannot tell, being none or damaged, they may.
func HasLine(f io.ReaderAt, size int64, hash uint64) (bool, error) {
	hash = max(hash, 1)
	lines := int(size / LineBytes)
	if lines <= 0 {
		return true, nil
	}
	line, err := readLine(f, lineOf(hash, lines))
	return err != nil || probeLine(hash, func(at int, mask byte) bool { return line[at]&mask != 0 }), err
}

// CheckLines reads lines of size bytes. The error says which is damaged.
func CheckLines(f io.ReaderAt, size int64) error {
	for i := range int(size / LineBytes) {
		if _, err := readLine(f, i); err != nil {
			return err
		}
	}
	return nil
}

func readLine(f io.ReaderAt, i int) (line [LineBytes]byte, err error) {
	if _, err := f.ReadAt(line[:], int64(i)*LineBytes); err != nil {
		return line, err
	}
	if binary.BigEndian.Uint32(line[LineBytes-4:]) != Checksum(line[:LineBytes-4]) {
		return line, trace.Errorf(trace.Corrupt, "checksum of line %d is wrong", i)
	}
	return line, nil
}
