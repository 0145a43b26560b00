package spool

import (
	"encoding/binary"

	"github.com/clewtrace/clew/store/spool/pack"
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

// isNumber reports whether values of a type are numbers in a column, as trace.AttrRef.Num has them; others are bytes.
func isNumber(t trace.ValueType) bool {
	return t == trace.TypeBool || t == trace.TypeInt || t == trace.TypeDouble
}

const (
	// maxShapes bounds the shapes of one set of rows; what comes after goes to catch-all shapes. A shop of 17 services has some 200.
	maxShapes = 4096
	// maxServiceShapes bounds the shapes of one service, so that one with IDs in its names leaves room for the others.
	maxServiceShapes = 1024
	// maxColumns is how many attributes a span may have to get columns of its own.
	maxColumns = 64
)

// hash returns the hash under which rows finds the shape; rows.shapeHash of a span must agree with it.
func (s *shape) hash(seed uint64) uint64 {
	h := pack.HashBytes(seed, s.service)
	h = pack.HashMix(h, uint64(s.scope)<<32|uint64(s.flags))
	h = pack.HashMix(h, uint64(s.kind)<<8|uint64(s.status))
	if s.wide {
		return pack.HashMix(h, 1)
	}
	h = pack.HashBytes(h, s.name)
	for i := range s.keys {
		h = pack.HashBytes(h, s.keys[i].key)
		h = pack.HashMix(h, uint64(s.keys[i].typ))
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
	h := pack.HashBytes(r.seed, service)
	h = pack.HashMix(h, uint64(scope)<<32|uint64(ref.Flags))
	h = pack.HashMix(h, uint64(ref.Kind)<<8|uint64(ref.Status))
	h = pack.HashBytes(h, b.Bytes(ref.Name))
	for i := ref.AttrLo; i < ref.AttrHi; i++ {
		h = pack.HashBytes(h, b.Bytes(b.Attrs[i].Key))
		h = pack.HashMix(h, uint64(b.Attrs[i].Type))
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
	return pack.HashMix(0, pack.HashMix(binary.BigEndian.Uint64(id[:8]), 0)^binary.BigEndian.Uint64(id[8:]))
}
