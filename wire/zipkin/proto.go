package zipkin

import (
	"net/netip"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// fields reads the fields of a protobuf message one after the other. The result of next is false at the end, and where the message is
// broken.
type fields struct {
	id     uint64 // number<<3 | wire type: what a switch over the known ones compares
	num    uint64 // a varint's, or a number's of fixed size
	body   []byte // what has a length
	broken bool

	b []byte
}

// The wire types, to be added to a number shifted by 3.
const (
	varint  = uint64(protowire.VarintType)
	fixed64 = uint64(protowire.Fixed64Type)
	length  = uint64(protowire.BytesType)
)

func (f *fields) next() bool {
	if len(f.b) == 0 || f.broken {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.b)
	if n < 0 {
		f.broken = true
		return false
	}
	f.b, f.id = f.b[n:], uint64(num)<<3|uint64(typ)
	switch typ {
	case protowire.VarintType:
		f.num, n = protowire.ConsumeVarint(f.b)
	case protowire.Fixed64Type:
		f.num, n = protowire.ConsumeFixed64(f.b)
	case protowire.BytesType:
		f.body, n = protowire.ConsumeBytes(f.b)
	case protowire.Fixed32Type:
		_, n = protowire.ConsumeFixed32(f.b)
	default: // groups, which proto3 has not
		n = -1
	}
	if f.broken = n < 0; f.broken {
		return false
	}
	f.b = f.b[n:]
	return true
}

// protoList reads a zipkin.proto3.ListOfSpans.
func (d *Decoder) protoList(b []byte) {
	if len(b) > 0 && b[0] != 1<<3|byte(length) {
		d.notList(Proto3)
		return
	}
	list := fields{b: b}
	for list.next() {
		if list.id != 1<<3|length {
			continue
		}
		d.arena = d.arena[:0]
		d.in.reset()
		if !d.protoSpan(list.body) {
			break
		}
		d.add(&d.in)
		if d.err != nil {
			break
		}
		d.n++
	}
	if list.broken {
		d.fail(trace.Invalid, "broken field")
	}
}

func (d *Decoder) protoSpan(b []byte) bool {
	s := &d.in
	f := fields{b: b}
	for d.err == nil && f.next() {
		switch f.id {
		case 1<<3 | length:
			d.protoID(s.traceID[:], f.body, "trace_id")
			s.hasTrace = true
		case 2<<3 | length:
			d.protoID(s.parent[:], f.body, "parent_id")
		case 3<<3 | length:
			d.protoID(s.id[:], f.body, "id")
			s.hasID = true
		case 4<<3 | varint:
			s.kind = protoKind(f.num)
		case 5<<3 | length:
			s.name = f.body
		case 6<<3 | fixed64:
			s.setTime(int64(f.num))
		case 7<<3 | varint:
			s.setDuration(int64(f.num))
		case 8<<3 | length:
			d.protoPlace(f.body, &s.local)
		case 9<<3 | length:
			d.protoPlace(f.body, &s.remote)
		case 10<<3 | length:
			d.protoAnnotation(f.body)
		case 11<<3 | length:
			d.protoTag(f.body)
		case 12<<3 | varint:
			s.debug = f.num != 0
		case 13<<3 | varint:
			s.shared = f.num != 0
		}
	}
	switch {
	case f.broken:
		d.fail(trace.Invalid, "broken field")
	case !s.hasTrace:
		d.fail(trace.Invalid, "has no trace_id")
	case !s.hasID:
		d.fail(trace.Invalid, "has no id")
	}
	return d.err == nil
}

// protoKind returns the kind for a number of zipkin.proto3.Span.Kind; those that are not known say nothing.
func protoKind(n uint64) trace.Kind {
	if n < 5 {
		return [...]trace.Kind{0, trace.KindClient, trace.KindServer, trace.KindProducer, trace.KindConsumer}[n]
	}
	return trace.KindUnspecified
}

// protoID reads an ID; missing leading bytes are zero.
func (d *Decoder) protoID(dst, b []byte, name string) {
	if len(b) > len(dst) || len(b) == 0 {
		d.fail(trace.Invalid, "%s has %d bytes; want 1 to %d", name, len(b), len(dst))
		return
	}
	clear(dst)
	copy(dst[len(dst)-len(b):], b)
}

func (d *Decoder) protoPlace(b []byte, p *place) {
	f := fields{b: b}
	for f.next() {
		switch f.id {
		case 1<<3 | length:
			p.service = f.body
		case 2<<3 | length, 3<<3 | length:
			d.setIP(f.body, p)
		case 4<<3 | varint:
			p.port = d.port(int64(int32(uint32(f.num))))
		}
	}
	if f.broken {
		d.fail(trace.Invalid, "broken field of an endpoint")
	}
}

// setIP sets an address that came as 4 or 16 bytes; what is none says nothing.
func (d *Decoder) setIP(b []byte, p *place) {
	if addr, ok := netip.AddrFromSlice(b); ok {
		p.setAddress(addr, &d.arena)
	}
}

func (d *Decoder) protoAnnotation(b []byte) {
	s := &d.in
	if !d.allow(len(s.tags) + len(s.events)) {
		return
	}
	var e event
	f := fields{b: b}
	for f.next() {
		switch f.id {
		case 1<<3 | fixed64:
			e.at = nanoseconds(f.num)
		case 2<<3 | length:
			e.text = f.body
		}
	}
	if f.broken {
		d.fail(trace.Invalid, "broken field of an annotation")
	}
	s.events = append(s.events, e)
}

func (d *Decoder) protoTag(b []byte) {
	s := &d.in
	if !d.allow(len(s.tags) + len(s.events)) {
		return
	}
	t := tag{typ: trace.TypeString}
	f := fields{b: b}
	for f.next() {
		switch f.id {
		case 1<<3 | length:
			t.key = f.body
		case 2<<3 | length:
			t.text = f.body
		}
	}
	if f.broken {
		d.fail(trace.Invalid, "broken field of a tag")
	}
	s.tags = append(s.tags, t)
}
