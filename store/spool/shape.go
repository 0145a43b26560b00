package spool

import (
	"encoding/binary"
	"math/bits"

	"github.com/clewtrace/clew/trace"
)

// A shape is what the spans on one production line have in common.
type shape struct {
	service string
	scope   uint32 // index into rows.scopes
	name    string
	kind    trace.Kind
	status  trace.StatusCode
	flags   uint32
	keys    []attrKey
	// wide marks a catch-all shape, for spans that would need too many shapes or columns: its names are a column, and
	// attributes stay as OTLP bytes in the rest column.
	wide bool
}

type attrKey struct {
	key string
	typ trace.ValueType
}

const (
	// maxShapes bounds the shapes of one set of rows; what comes after goes to catch-all shapes. A shop of 17 services has some 200.
	maxShapes = 4096
	// maxServiceShapes bounds the shapes of one service, so that one with IDs in its names leaves room for the others.
	maxServiceShapes = 1024
	// maxColumns is how many attributes a span may have to get columns of its own.
	maxColumns = 64
)

// The multipliers are odd and have no pattern; the seed comes on top, so that nobody can aim at a collision.
const (
	hashK0 = 0x9e3779b97f4a7c15
	hashK1 = 0xd6e8feb86659fd93
)

func hashMix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^hashK0, v^hashK1)
	return hi ^ lo
}

// hashBytes is a multiply-and-fold hash over 8-byte words. Collisions are told apart by comparing: it has only to be fast and even.
func hashBytes[T ~string | ~[]byte](h uint64, b T) uint64 {
	h = hashMix(h, uint64(len(b)))
	s := []byte(b)
	for len(s) >= 8 {
		h = hashMix(h, binary.LittleEndian.Uint64(s))
		s = s[8:]
	}
	var v uint64
	for i, c := range s {
		v |= uint64(c) << (8 * i)
	}
	return hashMix(h, v)
}

// hash returns the hash under which rows finds the shape; rows.shapeHash of a span must agree with it.
func (s *shape) hash(seed uint64) uint64 {
	h := hashBytes(seed, s.service)
	h = hashMix(h, uint64(s.scope)<<32|uint64(s.flags))
	h = hashMix(h, uint64(s.kind)<<8|uint64(s.status))
	if s.wide {
		return hashMix(h, 1)
	}
	h = hashBytes(h, s.name)
	for i := range s.keys {
		h = hashBytes(h, s.keys[i].key)
		h = hashMix(h, uint64(s.keys[i].typ))
	}
	return h
}

func (s *shape) equal(t *shape) bool {
	if s.service != t.service || s.scope != t.scope || s.name != t.name || s.kind != t.kind || s.status != t.status ||
		s.flags != t.flags || s.wide != t.wide || len(s.keys) != len(t.keys) {
		return false
	}
	for i := range s.keys {
		if s.keys[i] != t.keys[i] {
			return false
		}
	}
	return true
}

// matches reports whether a span of a batch has the shape, given its scope and service.
func (s *shape) matches(b *trace.Batch, ref *trace.SpanRef, scope uint32, service string) bool {
	if s.wide || s.scope != scope || s.kind != ref.Kind || s.status != ref.Status || s.flags != ref.Flags ||
		len(s.keys) != int(ref.AttrHi-ref.AttrLo) || s.name != string(b.Bytes(ref.Name)) || s.service != service {
		return false
	}
	attrs := b.Attrs[ref.AttrLo:ref.AttrHi]
	for i := range s.keys {
		if s.keys[i].typ != attrs[i].Type || s.keys[i].key != string(b.Bytes(attrs[i].Key)) {
			return false
		}
	}
	return true
}

// shapeHash returns the hash of the shape a span of a batch has.
func (r *rows) shapeHash(b *trace.Batch, ref *trace.SpanRef, scope uint32, service string) uint64 {
	h := hashBytes(r.seed, service)
	h = hashMix(h, uint64(scope)<<32|uint64(ref.Flags))
	h = hashMix(h, uint64(ref.Kind)<<8|uint64(ref.Status))
	h = hashBytes(h, b.Bytes(ref.Name))
	for i := ref.AttrLo; i < ref.AttrHi; i++ {
		h = hashBytes(h, b.Bytes(b.Attrs[i].Key))
		h = hashMix(h, uint64(b.Attrs[i].Type))
	}
	return h
}

// shapeOf returns the shape of a span of a batch.
func shapeOf(b *trace.Batch, ref *trace.SpanRef, scope uint32, service string) shape {
	s := shape{
		service: service, scope: scope, name: string(b.Bytes(ref.Name)),
		kind: ref.Kind, status: ref.Status, flags: ref.Flags,
	}
	for _, a := range b.Attrs[ref.AttrLo:ref.AttrHi] {
		s.keys = append(s.keys, attrKey{string(b.Bytes(a.Key)), a.Type})
	}
	return s
}

// widened returns the catch-all shape that takes a shape's spans when there is no room for it.
func (s *shape) widened() shape {
	return shape{service: s.service, scope: s.scope, kind: s.kind, status: s.status, flags: s.flags, wide: true}
}

// idHash spreads trace IDs evenly, also those whose first half is zero. It is part of the file format.
func idHash(id trace.ID) uint64 {
	hi, lo := bits.Mul64(binary.BigEndian.Uint64(id[:8])^hashK0, hashK1)
	h := hi ^ lo ^ binary.BigEndian.Uint64(id[8:])
	hi, lo = bits.Mul64(h^hashK1, hashK0)
	return hi ^ lo
}
