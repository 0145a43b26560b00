package wasm

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// assembly is a WebAssembly module in the making: the few parts that the modules of these tests need. Its functions are clew_abi_1,
// clew_alloc, clew_init and clew_process, in this order, behind the imported ones.
type assembly struct {
	imports [][2]string // functions without parameters and results, by module and name
	abi     string      // instead of clew_abi_1
	alloc   []byte      // code, as are the following: returns an i32; parameter 0 is the size
	init    []byte      // returns an i32
	process []byte      // returns an i64
	pages   uint64      // of memory to begin with
	tables  []byte      // the body of the table section
	without string      // an export that is missing
	locals  []byte      // of clew_process: groups of count and type
	data    string      // at address 16
}

// Instructions beside those of fuel.go. Numbers behind them are LEB128.
const (
	opUnreachable = 0x00
	opBr          = 0x0c
	opSelect      = 0x1b
	opLocalGet    = 0x20
	opLocalTee    = 0x22
	opI32Equal    = 0x46
	opI32Shl      = 0x74
	opI64         = 0x42
	opI64Or       = 0x84
	opI64Shl      = 0x86
	opExtend      = 0xad // of an i32 without sign
	opLoad8       = 0x2d

	typeI32, typeI64, block = 0x7f, 0x7e, 0x40
	bufferAt                = 65536 // where the modules take their input
)

// code is a function's body.
func code(parts ...any) (out []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			out = append(out, byte(p))
		case uint64:
			out = binary.AppendUvarint(out, p)
		case int64:
			out = appendSigned(out, p)
		case []byte:
			out = append(out, p...)
		}
	}
	return out
}

// The ends of clew_process: nothing changed; what was put in, or a number of bytes from its beginning on, is the result.
func same() []byte { return code(opI64, int64(0)) }

func returns(size ...any) []byte {
	return code(opI64, int64(bufferAt), opI64, int64(32), opI64Shl, code(size...), opI64Or)
}
func echo() []byte { return returns(opLocalGet, 0, opExtend) }

// fromData returns the module's data.
func (a assembly) fromData() []byte {
	return code(opI64, int64(16), opI64, int64(32), opI64Shl, opI64, int64(len(a.data)), opI64Or)
}

func vector(items ...[]byte) []byte {
	out := binary.AppendUvarint(nil, uint64(len(items)))
	for _, i := range items {
		out = append(out, i...)
	}
	return out
}

func name(s string) []byte { return appendVector(nil, []byte(s)) }

// bytes assembles the module.
func (a assembly) bytes() []byte {
	if a.alloc == nil {
		a.alloc = code(opI32, int64(bufferAt))
	}
	if a.init == nil {
		a.init = code(opI32, int64(0))
	}
	if a.process == nil {
		a.process = same()
	}
	if a.pages == 0 {
		a.pages = 16
	}
	abi := abiVersion
	if a.abi != "" {
		abi = a.abi
	}
	n := len(a.imports)
	var imports, exports [][]byte
	for _, i := range a.imports {
		imports = append(imports, code(name(i[0]), name(i[1]), 0, 0))
	}
	for i, export := range []string{abi, allocName, initName, runName} {
		if export != a.without {
			exports = append(exports, code(name(export), 0, n+i))
		}
	}
	if a.without != "memory" {
		exports = append(exports, code(name("memory"), 2, 0))
	}
	function := func(locals []byte, body []byte) []byte {
		return appendVector(nil, code(vector(), locals, body, opEnd)[1:])
	}
	out := append(append([]byte{}, magic...), coreVersion...)
	section := func(id byte, body []byte) { out = appendVector(append(out, id), body) }
	section(1, vector(code(0x60, 0, 0), code(0x60, 1, typeI32, 1, typeI32), code(0x60, 1, typeI32, 1, typeI64)))
	section(2, vector(imports...))
	section(3, vector([]byte{0}, []byte{1}, []byte{1}, []byte{2}))
	if a.tables != nil {
		section(sectionTable, a.tables)
	}
	section(5, vector(code(0, a.pages)))
	section(7, vector(exports...))
	none := []byte{0}
	if a.locals == nil {
		a.locals = none
	}
	section(sectionCode, vector(function(none, nil), function(none, a.alloc), function(none, a.init), function(a.locals, a.process)))
	section(11, vector(code(0, opI32, int64(16), opEnd, name(a.data))))
	return out
}

// file writes the module to a file.
func (a assembly) file(t testing.TB) string {
	t.Helper()
	return writeModule(t, a.bytes())
}

func writeModule(t testing.TB, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "module.wasm")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
