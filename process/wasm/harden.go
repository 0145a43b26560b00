package wasm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// maxTable is how many elements the tables of a module may have, together; each takes 8 bytes of Clew. Go's largest programs have some 50,000.
const maxTable = 1 << 20

// maxLocals is how many local variables a function may have, as in browsers: a few bytes can declare four billion.
const maxLocals = 50_000

const (
	sectionCustom = 0
	sectionTable  = 4
	sectionCode   = 10
)

var (
	magic       = []byte{0, 'a', 's', 'm'}
	coreVersion = []byte{1, 0, 0, 0}
	errBroken   = errors.New("is a broken WebAssembly module")
)

// harden returns a module that does as raw does, but within what can be bounded. wazero interrupts a module at the heads of loops
// alone, so a function that calls others gets one at its beginning: endless recursion is then stopped like an endless loop.
// Tables, which are no part of a module's memory, may not grow. Of the custom sections the names alone are kept, for what is logged of a crash.
//
// Format: WebAssembly Core Specification 2.0, section 5.5 (binary format of modules).
func harden(raw []byte) ([]byte, error) {
	if !bytes.HasPrefix(raw, magic) {
		return nil, errors.New("is not a WebAssembly module: it does not begin with \\0asm")
	}
	if len(raw) < 8 || !bytes.Equal(raw[4:8], coreVersion) {
		return nil, errors.New("is not a WebAssembly core module of version 1; components are not taken")
	}
	out := append(make([]byte, 0, len(raw)+len(raw)/16), raw[:8]...)
	for in := (reader{raw[8:]}); len(in.left) > 0; {
		id, ok := in.byte()
		body, ok2 := in.vector()
		if !ok || !ok2 {
			return nil, errBroken
		}
		var err error
		switch id {
		case sectionCustom:
			if name, ok := (&reader{body}).vector(); !ok || string(name) != "name" {
				continue
			}
		case sectionTable:
			body, err = pinTables(body)
		case sectionCode:
			body, err = checkCalls(body)
		}
		if err != nil {
			return nil, err
		}
		out = appendVector(append(out, id), body)
	}
	return out, nil
}

// pinTables makes the size that a table begins with the one that it has for good.
func pinTables(body []byte) ([]byte, error) {
	in := reader{body}
	n, ok := in.uvarint()
	out, total := binary.AppendUvarint(nil, n), uint64(0)
	for ; n > 0 && ok; n-- {
		var kind, limits byte
		var least uint64
		kind, ok = in.byte()
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

// checkCalls puts an empty loop at the beginning of each function that may call another. Its instructions are not read: what has
// none of the bytes by which a call begins has no call.
func checkCalls(body []byte) ([]byte, error) {
	const call, callIndirect = 0x10, 0x11
	emptyLoop := []byte{0x03, 0x40, 0x0b}
	in := reader{body}
	n, ok := in.uvarint()
	out := binary.AppendUvarint(make([]byte, 0, len(body)+len(body)/16), n)
	for ; n > 0 && ok; n-- {
		var code []byte
		if code, ok = in.vector(); !ok {
			break
		}
		locals := reader{code}
		if err := skipLocals(&locals); err != nil {
			return nil, err
		}
		if bytes.IndexByte(locals.left, call) < 0 && bytes.IndexByte(locals.left, callIndirect) < 0 {
			out = appendVector(out, code)
			continue
		}
		head := code[:len(code)-len(locals.left)]
		out = binary.AppendUvarint(out, uint64(len(code)+len(emptyLoop)))
		out = append(append(append(out, head...), emptyLoop...), locals.left...)
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
