package wasm

import "encoding/binary"

// pieceBytes is how much of a batch a module is given at a time, about: so its memory need not grow with the largest request, and the
// time that it has is for a known amount of work. What is common to spans and longer than headBytes is not repeated: its spans stay together.
const (
	pieceBytes = 1 << 20
	headBytes  = pieceBytes / 8
)

// split calls fn with pieces of a TracesData message that was indexed, in order, each a message of its own. A ResourceSpans that is too large
// is divided among several, each with its resource and scope. The pieces lie in buf, and are gone when fn returns; buf is returned.
func split(buf, raw []byte, fn func(piece []byte) error) ([]byte, error) {
	if len(raw) <= pieceBytes {
		return buf, fn(raw)
	}
	s := splitter{piece: buf[:0], fn: fn}
	for in := (reader{raw}); len(in.left) > 0; {
		s.resourceSpans(in.field())
	}
	s.cut()
	return s.piece, s.err
}

type splitter struct {
	piece []byte
	fn    func([]byte) error
	err   error // of fn; nothing more is done then
}

// cut hands on what there is.
func (s *splitter) cut() {
	if len(s.piece) > 0 && s.err == nil {
		s.err = s.fn(s.piece)
	}
	s.piece = s.piece[:0]
}

// fits makes room for n bytes, and reports whether n bytes can be part of a piece.
func (s *splitter) fits(n int) bool {
	if len(s.piece)+n > pieceBytes {
		s.cut()
	}
	return n <= pieceBytes
}

func (s *splitter) resourceSpans(f field) {
	head := f.without(2)
	if s.fits(len(f.all)) || f.num != 1 || len(head) > headBytes {
		s.piece = append(s.piece, f.all...)
		return
	}
	res := s.open(1, head)
	for in := (reader{f.body}); len(in.left) > 0; {
		scope := in.field()
		if scope.num != 2 {
			continue
		}
		if len(s.piece)+len(scope.all) > pieceBytes && len(scope.without(2)) <= headBytes {
			s.scopeSpans(&res, head, scope)
			continue
		}
		s.piece = append(s.piece, scope.all...)
	}
	s.shut(res)
}

// scopeSpans writes a ScopeSpans into the ResourceSpans that begins at res, and into new ones as each is full.
func (s *splitter) scopeSpans(res *int, head []byte, f field) {
	own := f.without(2)
	scope := s.open(2, own)
	empty := len(s.piece)
	for in := (reader{f.body}); len(in.left) > 0; {
		span := in.field()
		if span.num != 2 {
			continue
		}
		if len(s.piece)+len(span.all) > pieceBytes && len(s.piece) > empty {
			s.shut(scope)
			s.shut(*res)
			s.cut()
			*res = s.open(1, head)
			scope = s.open(2, own)
			empty = len(s.piece)
		}
		s.piece = append(s.piece, span.all...)
	}
	s.shut(scope)
}

// lengthBytes is the room that open leaves for a message's length: a varint of 32 bits, filled up with empty groups.
const lengthBytes = 5

// open begins a message, as field num, with what it begins with; it returns where its length goes.
func (s *splitter) open(num byte, head []byte) int {
	s.piece = append(s.piece, num<<3|wireBytes, 0, 0, 0, 0, 0)
	at := len(s.piece) - lengthBytes
	s.piece = append(s.piece, head...)
	return at
}

// shut ends the message whose length goes to at.
func (s *splitter) shut(at int) {
	n := len(s.piece) - at - lengthBytes
	for i := range lengthBytes {
		s.piece[at+i] = byte(n>>(7*i))&0x7f | 0x80
	}
	s.piece[at+lengthBytes-1] &= 0x7f
}

const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// field is a protobuf field: all of it, and what is in it.
type field struct {
	num       uint64
	all, body []byte
}

// field reads a field of a message that was indexed; what is not one is the rest of the message, with number 0.
func (r *reader) field() field {
	all := r.left
	tag, n := binary.Uvarint(all)
	if n <= 0 {
		r.left = nil
		return field{all: all}
	}
	r.left = all[n:]
	var body []byte
	ok := false
	switch tag & 7 {
	case wireVarint:
		_, ok = r.uvarint()
	case wireFixed64:
		body, ok = r.take(8)
	case wireFixed32:
		body, ok = r.take(4)
	case wireBytes:
		body, ok = r.vector()
	}
	if !ok {
		r.left = nil
		return field{all: all}
	}
	return field{tag >> 3, all[:len(all)-len(r.left)], body}
}

func (r *reader) take(n int) ([]byte, bool) {
	if len(r.left) < n {
		return nil, false
	}
	v := r.left[:n]
	r.left = r.left[n:]
	return v, true
}

// without returns the fields of a message that have another number.
func (f field) without(num uint64) (out []byte) {
	for in := (reader{f.body}); len(in.left) > 0; {
		if sub := in.field(); sub.num != num {
			out = append(out, sub.all...)
		}
	}
	return out
}
