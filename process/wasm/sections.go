package wasm

// countTrue checks that a section has as many things in it as it says, everywhere: wazero makes room for what is said before it reads it, and a
// few bytes can say four billion. It reads no more than that takes; wazero checks the rest. Imports, tables, memories and code are read elsewhere.
func countTrue(id byte, body []byte) error {
	in := reader{body}
	each := map[byte]func(*reader) bool{
		1: (*reader).functionType, 3: (*reader).skipNumber, sectionGlobal: (*reader).global, sectionExport: (*reader).export,
		9: (*reader).elements, 11: (*reader).data,
	}[id]
	if each == nil {
		return nil
	}
	if !in.each(each) || len(in.left) > 0 {
		return errBroken
	}
	return nil
}

// each reads a vector.
func (r *reader) each(fn func(*reader) bool) bool {
	n, ok := r.uvarint()
	for ; n > 0 && ok; n-- {
		ok = fn(r)
	}
	return ok
}

func (r *reader) skipByte() bool {
	_, ok := r.byte()
	return ok
}

func (r *reader) skipVector() bool {
	_, ok := r.vector()
	return ok
}

func (r *reader) functionType() bool { return r.skipByte() && r.skipVector() && r.skipVector() } // all types have one byte

func (r *reader) global() bool {
	_, ok := r.take(2) // its type, and whether it is a variable
	return ok && r.expression()
}

func (r *reader) export() bool { return r.skipVector() && r.skipByte() && r.skipNumber() }

// expression reads instructions up to their end; blocks are none of a constant.
func (r *reader) expression() bool {
	for {
		op, err := (&fuel{}).instruction(r)
		if err != nil {
			return false
		}
		if op == opEnd {
			return true
		}
	}
}

// elements reads an element segment, of one of eight kinds.
func (r *reader) elements() bool {
	kind, ok := r.uvarint()
	if !ok || kind > 7 {
		return false
	}
	passive, explicit, expressions := kind&1 != 0, kind&2 != 0, kind&4 != 0
	if !passive && explicit && !r.skipNumber() { // the table
		return false
	}
	if !passive && !r.expression() { // where
		return false
	}
	if (passive || explicit) && !r.skipByte() { // of what type
		return false
	}
	if expressions {
		return r.each((*reader).expression)
	}
	return r.each((*reader).skipNumber)
}

// data reads a data segment, of one of three kinds.
func (r *reader) data() bool {
	kind, ok := r.uvarint()
	switch {
	case !ok || kind > 2:
		return false
	case kind == 2 && !r.skipNumber(): // the memory
		return false
	case kind != 1 && !r.expression(): // where
		return false
	}
	return r.skipVector()
}

// functionNames returns a name section with the names of functions alone, and nil if it has none that can be read.
func functionNames(body []byte) []byte {
	in := reader{body}
	if name, ok := in.vector(); !ok || string(name) != "name" {
		return nil
	}
	for len(in.left) > 0 {
		kind, ok := in.byte()
		names, ok2 := in.vector()
		if !ok || !ok2 {
			return nil
		}
		if kind != 1 {
			continue
		}
		of := reader{names}
		if !of.each(func(r *reader) bool { return r.skipNumber() && r.skipVector() }) || len(of.left) > 0 {
			return nil
		}
		return appendVector(append(appendVector(nil, []byte("name")), kind), names)
	}
	return nil
}
