package wasm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// maxTable is how many elements the tables of a module may have, together; each takes 8 bytes of Clew. Go's largest programs have some 50,000.
const maxTable = 1 << 20

// maxLocals is how many local variables a function may have, as in browsers: a few bytes can declare four billion.
const maxLocals = 50_000

// The sections that matter here, by their numbers. All but custom ones are in this order, data count (12) aside.
const (
	sectionCustom = 0
	sectionImport = 2
	sectionTable  = 4
	sectionMemory = 5
	sectionGlobal = 6
	sectionExport = 7
	sectionCode   = 10
)

var (
	magic       = []byte{0, 'a', 's', 'm'}
	coreVersion = []byte{1, 0, 0, 0}
	errBroken   = errors.New("is a broken WebAssembly module")
)

// harden returns a module that does as raw does, but within what can be bounded: it calls home before it has worked for long without (see
// fuel), and its tables, which are no part of its memory, may not grow. How much memory it may have is not its own decision. Of the custom
// sections the names alone are kept, for what is logged of a crash.
//
// Format: WebAssembly Core Specification 2.0, section 5.5 (binary format of modules).
func harden(raw []byte) ([]byte, error) {
	if !bytes.HasPrefix(raw, magic) {
		return nil, errors.New("is not a WebAssembly module: it does not begin with \\0asm")
	}
	if len(raw) < 8 || !bytes.Equal(raw[4:8], coreVersion) {
		return nil, errors.New("is not a WebAssembly core module of version 1; components are not taken")
	}
	h := hardener{out: append(make([]byte, 0, len(raw)+len(raw)/4), raw[:8]...)}
	for in := (reader{raw[8:]}); len(in.left) > 0; {
		id, ok := in.byte()
		body, ok2 := in.vector()
		if !ok || !ok2 {
			return nil, errBroken
		}
		if err := h.section(id, body); err != nil {
			return nil, err
		}
	}
	return h.out, nil
}

// hardener writes a hardened module.
type hardener struct {
	out    []byte
	memory bool // there was a memory section
	fuel   fuel // known from the global section on
	rank   int  // of the section before
}

// rank is the place of a section among the others: each is there once, at most, and they are in order.
func rank(id byte) int {
	const order = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0c\x0a\x0b"
	return strings.IndexByte(order, id) + 1
}

func (h *hardener) section(id byte, body []byte) (err error) {
	if id != sectionCustom {
		if rank(id) <= h.rank {
			return errors.New("has a section twice, in the wrong place, or one that WebAssembly 2.0 does not know")
		}
		h.rank = rank(id)
	}
	if err := countTrue(id, body); err != nil {
		return err
	}
	switch id {
	case sectionCustom:
		if body = functionNames(body); body == nil {
			return nil
		}
	case sectionImport:
		err = onlyFunctions(body)
	case sectionTable:
		body, err = pinTables(body)
	case sectionMemory:
		h.memory = true
		body, err = unlimited(body)
	case sectionGlobal:
		body, err = h.fuel.addTo(body)
	case sectionExport:
		if !h.memory {
			return errors.New("has no memory")
		}
		if h.fuel.tank == nil { // it has no globals of its own
			globals, err := h.fuel.addTo([]byte{0})
			if err != nil {
				return err
			}
			h.out = appendVector(append(h.out, sectionGlobal), globals)
		}
	case sectionCode:
		body, err = h.fuel.spend(body)
	}
	h.out = appendVector(append(h.out, id), body)
	return err
}

// onlyFunctions refuses the import of anything but functions.
func onlyFunctions(body []byte) error {
	in := reader{body}
	n, ok := in.uvarint()
	for ; n > 0 && ok; n-- {
		_, ok1 := in.vector()
		_, ok2 := in.vector()
		kind, ok3 := in.byte()
		if ok = ok1 && ok2 && ok3; ok && kind != 0 {
			return errors.New("imports a memory, table or global; it must have its own")
		}
		if ok {
			_, ok = in.uvarint()
		}
	}
	if !ok {
		return errBroken
	}
	return nil
}

// unlimited takes from a memory the limit that it sets itself: it has that of its configuration.
func unlimited(body []byte) ([]byte, error) {
	in := reader{body}
	n, _ := in.uvarint()
	limits, ok := in.byte()
	least, ok2 := in.uvarint()
	if n != 1 || !ok || !ok2 {
		return nil, errBroken
	}
	if limits > 1 {
		return nil, errors.New("has a shared or 64-bit memory, which WebAssembly 2.0 does not know")
	}
	return binary.AppendUvarint([]byte{1, 0}, least), nil
}

// pinTables makes the size that a table begins with the one that it has for good.
func pinTables(body []byte) ([]byte, error) {
	in := reader{body}
	n, ok := in.uvarint()
	out, total := binary.AppendUvarint(nil, n), uint64(0)
	for ; n > 0 && ok; n-- {
		var kind, limits byte
		var least uint64
		if kind, ok = in.byte(); !ok {
			break
		}
		if kind != 0x70 && kind != 0x6f { // funcref, externref
			return nil, errors.New("has a table of a kind that WebAssembly 2.0 does not know")
		}
		if limits, ok = in.byte(); !ok || limits > 1 {
			return nil, errBroken
		}
		if least, ok = in.uvarint(); ok && limits == 1 {
			_, ok = in.uvarint()
		}
		if total += least; total > maxTable || least > maxTable {
			return nil, fmt.Errorf("has tables of more than %d elements", maxTable)
		}
		out = binary.AppendUvarint(append(out, kind, 1), least)
		out = binary.AppendUvarint(out, least)
	}
	if !ok || len(in.left) > 0 {
		return nil, errBroken
	}
	return out, nil
}

// skipLocals goes behind the declaration of a function's local variables.
func skipLocals(in *reader) error {
	groups, ok := in.uvarint()
	for total := uint64(0); groups > 0 && ok; groups-- {
		var n uint64
		if n, ok = in.uvarint(); ok {
			_, ok = in.byte()
		}
		if total += n; n > maxLocals || total > maxLocals {
			return fmt.Errorf("has a function with more than %d local variables", maxLocals)
		}
	}
	if !ok {
		return errBroken
	}
	return nil
}

// reader reads what WebAssembly and protobuf have in common: bytes, LEB128 numbers, and lengths before contents.
type reader struct{ left []byte }

func (r *reader) byte() (byte, bool) {
	if len(r.left) == 0 {
		return 0, false
	}
	b := r.left[0]
	r.left = r.left[1:]
	return b, true
}

func (r *reader) uvarint() (uint64, bool) {
	v, n := binary.Uvarint(r.left)
	if n <= 0 {
		return 0, false
	}
	r.left = r.left[n:]
	return v, true
}

// skipNumber goes behind a LEB128 number, with a sign or without.
func (r *reader) skipNumber() bool {
	for i, b := range r.left {
		if b < 0x80 {
			r.left = r.left[i+1:]
			return i < binary.MaxVarintLen64
		}
	}
	return false
}

func (r *reader) vector() ([]byte, bool) {
	n, ok := r.uvarint()
	if !ok || n > uint64(len(r.left)) {
		return nil, false
	}
	v := r.left[:n]
	r.left = r.left[n:]
	return v, true
}

func appendVector(dst, body []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(body))), body...)
}
