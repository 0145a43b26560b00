package wasm

import (
	"encoding/binary"
	"errors"
)

// wazero can interrupt a module, but asks at each turn of each loop whether it should, which costs ten times what most turns do, and not at
// calls, of which some make more without end. So a module is given a meter instead. A global variable is the fuel that it has: each turn of
// a loop, and each call of a function that itself calls, takes 1 from it, and what moves much memory at once takes more. When it is used up,
// the module fills the tank and calls home: it asks for more memory than anyone may have, which is refused, but makes a stop in Go. There
// memory.Reallocate ends the module if its time is over, and Go's scheduler and garbage collector get their turn.
const (
	fuelTank  = 20_000 // from one call home to the next: some 100 µs
	fuelBulk  = 200    // for an instruction that moves any number of bytes
	homePages = 40_000 // of memory: wanted by nobody, since a memory has at most 16,384
)

// fuel is the meter of a module.
type fuel struct {
	global uint64 // its index
	tank   []byte // instructions that fill it and call home
	turn   []byte // instructions for a turn, and for bulk
	bulk   []byte
}

// The instructions that are written or looked for.
const (
	opBlock     = 0x02
	opLoop      = 0x03
	opIf        = 0x04
	opEnd       = 0x0b
	opCall      = 0x10
	opIndirect  = 0x11
	opDrop      = 0x1a
	opGlobalGet = 0x23
	opGlobalSet = 0x24
	opGrow      = 0x40
	opI32       = 0x41
	opI32Less   = 0x48 // with a sign
	opI32Sub    = 0x6b
	blockEmpty  = 0x40
)

// addTo adds the meter to a global section.
func (f *fuel) addTo(globals []byte) ([]byte, error) {
	in := reader{globals}
	n, ok := in.uvarint()
	if !ok {
		return nil, errBroken
	}
	f.global = n
	get, set := binary.AppendUvarint([]byte{opGlobalGet}, n), binary.AppendUvarint([]byte{opGlobalSet}, n)
	number := func(v int64) []byte { return appendSigned([]byte{opI32}, v) }
	f.tank = join(number(fuelTank), set, number(homePages), []byte{opGrow, 0, opDrop})
	take := func(v int64) []byte { return join(get, number(v), []byte{opI32Sub}, set) }
	f.bulk = take(fuelBulk)
	f.turn = join(take(1), get, number(0), []byte{opI32Less, opIf, blockEmpty}, f.tank, []byte{opEnd})

	out := append(binary.AppendUvarint(nil, n+1), in.left...)
	return join(out, []byte{0x7f, 1}, number(fuelTank), []byte{opEnd}), nil // a variable i32
}

func join(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// appendSigned appends a signed LEB128 number.
func appendSigned(out []byte, v int64) []byte {
	for {
		b := byte(v & 0x7f)
		if v >>= 7; v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

var errInstruction = errors.New("has an instruction that WebAssembly 2.0 does not know")

// spend puts the meter's instructions into a code section.
func (f *fuel) spend(body []byte) ([]byte, error) {
	in := reader{body}
	n, ok := in.uvarint()
	out := binary.AppendUvarint(make([]byte, 0, len(body)+len(body)/4), n)
	var fn []byte
	for ; n > 0 && ok; n-- {
		var code []byte
		if code, ok = in.vector(); !ok {
			break
		}
		left := reader{code}
		if err := skipLocals(&left); err != nil {
			return nil, err
		}
		var err error
		if fn, err = f.function(append(fn[:0], code[:len(code)-len(left.left)]...), left); err != nil {
			return nil, err
		}
		out = appendVector(out, fn)
	}
	if !ok || len(in.left) > 0 || f.tank == nil {
		return nil, errBroken
	}
	return out, nil
}

// function appends a function's instructions with the meter's among them.
func (f *fuel) function(out []byte, in reader) ([]byte, error) {
	head := len(out)
	code, calls := in.left, false
	straight, covered := true, false // so far, no branch; then a loop: whoever calls the function pays there
	out = append(out, f.turn...)     // taken away again if it calls none, or is covered
	copied := 0
	for len(in.left) > 0 {
		at := len(code) - len(in.left)
		op, err := f.instruction(&in)
		if err != nil {
			return nil, err
		}
		switch op {
		case opCall, opIndirect:
			calls = true
		case opLoop:
			behind := len(code) - len(in.left)
			out = append(append(out, code[copied:behind]...), f.turn...)
			copied = behind
			covered = covered || straight
		case prefixBulk:
			out = append(append(out, code[copied:at]...), f.bulk...)
			copied = at
		}
		straight = straight && (op == opBlock || op >= opDrop && op < prefixBulk)
	}
	out = append(out, code[copied:]...)
	if !calls || covered {
		out = append(out[:head], out[head+len(f.turn):]...)
	}
	return out, nil
}

// The first byte of an instruction that has another number behind it.
const (
	prefixBulk = 0xfc
	prefixSIMD = 0xfd
)

// immediates says what is behind the first byte of an instruction: a letter each of n (a LEB128 number), 4 and 8 (so many bytes), v (a vector of
// numbers), b (a byte), g (the number of a global).
func immediates(op byte) (string, bool) {
	switch {
	case op <= 0x01, op == 0x05, op == opEnd, op == 0x0f, op == opDrop, op == 0x1b, op >= 0x45 && op <= 0xc4, op == 0xd1:
		return "", true
	case op >= 0x02 && op <= 0x04, op == 0x0c, op == 0x0d, op == opCall, op == 0x20, op == 0x21, op == 0x22, op == 0x25, op == 0x26,
		op == 0x3f, op == opGrow, op == opI32, op == 0x42, op == 0xd2:
		return "n", true
	case op == opGlobalGet, op == opGlobalSet:
		return "g", true
	case op == 0x0e:
		return "vn", true
	case op == opIndirect, op >= 0x28 && op <= 0x3e:
		return "nn", true
	case op == 0x1c:
		return "v", true
	case op == 0x43:
		return "4", true
	case op == 0x44:
		return "8", true
	case op == 0xd0:
		return "b", true
	}
	return "", false
}

// bulkImmediates is immediates for the number behind prefixBulk, and whether the instruction moves any number of bytes.
func bulkImmediates(op uint64) (what string, bulk, ok bool) {
	switch {
	case op <= 7: // conversions
		return "", false, true
	case op == 8, op == 10, op == 12, op == 14: // init and copy of memory and tables
		return "nn", true, true
	case op == 11, op == 15, op == 17: // fill, and growth of tables
		return "n", true, true
	case op == 9, op == 13, op == 16: // data.drop, elem.drop, table.size
		return "n", false, true
	}
	return "", false, false
}

// simdImmediates is immediates for the number behind prefixSIMD.
func simdImmediates(op uint64) (string, bool) {
	switch {
	case op <= 11, op == 92, op == 93: // loads and stores
		return "nn", true
	case op == 12, op == 13: // a constant, a shuffle
		return "88", true
	case op >= 21 && op <= 34: // lanes
		return "b", true
	case op >= 84 && op <= 91: // loads and stores of lanes
		return "nnb", true
	case op <= 255:
		return "", true
	}
	return "", false
}

// instruction reads one, and returns its first byte; prefixBulk only if it moves any number of bytes.
func (f *fuel) instruction(in *reader) (byte, error) {
	op, ok := in.byte()
	if !ok {
		return 0, errBroken
	}
	kind := op
	var what string
	switch op {
	case prefixBulk:
		n, ok1 := in.uvarint()
		var bulk, ok2 bool
		if what, bulk, ok2 = bulkImmediates(n); !bulk {
			kind = 0
		}
		ok = ok1 && ok2
	case prefixSIMD:
		n, ok1 := in.uvarint()
		var ok2 bool
		what, ok2 = simdImmediates(n)
		ok = ok1 && ok2
	default:
		what, ok = immediates(op)
	}
	if !ok {
		return 0, errInstruction
	}
	for _, w := range []byte(what) {
		if !f.immediate(in, w) {
			return 0, errBroken
		}
	}
	return kind, nil
}

// immediate reads one that is as immediates says.
func (f *fuel) immediate(in *reader, what byte) bool {
	ok := false
	switch what {
	case 'n':
		ok = in.skipNumber()
	case 'g':
		var n uint64
		n, ok = in.uvarint()
		ok = ok && n < f.global // the meter is not the module's to set
	case 'b':
		_, ok = in.byte()
	case '4':
		_, ok = in.take(4)
	case '8':
		_, ok = in.take(8)
	case 'v':
		var n uint64
		for n, ok = in.uvarint(); n > 0 && ok; n-- {
			_, ok = in.uvarint()
		}
	}
	return ok
}
