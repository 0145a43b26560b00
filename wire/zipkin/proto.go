package zipkin

import (
	"net/netip"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// protoList reads a zipkin.proto3.ListOfSpans.
func (d *Decoder) protoList(b []byte) {
	if len(b) > 0 && b[0] != 1<<3|byte(wire.Length) {
		d.notList(Proto3)
		return
	}
	list := wire.NewFields(b)
	for list.Next() {
		if list.ID != 1<<3|wire.Length {
			continue
		}
		d.arena = d.arena[:0]
		d.in.reset()
		if !d.protoSpan(list.Body) {
			break
		}
		d.add(&d.in)
		if d.err != nil {
			break
		}
		d.n++
	}
	if list.Broken {
		d.fail(trace.Invalid, "broken field")
	}
}

func (d *Decoder) protoSpan(b []byte) bool {
	s := &d.in
	f := wire.NewFields(b)
	for d.err == nil && f.Next() {
		switch f.ID {
		case 1<<3 | wire.Length:
			d.protoID(s.traceID[:], f.Body, "trace_id")
			s.hasTrace = true
		case 2<<3 | wire.Length:
			d.protoID(s.parent[:], f.Body, "parent_id")
		case 3<<3 | wire.Length:
			d.protoID(s.id[:], f.Body, "id")
			s.hasID = true
		case 4<<3 | wire.Varint:
			s.kind = protoKind(f.Num)
		case 5<<3 | wire.Length:
			s.name = f.Body
		case 6<<3 | wire.Fixed64:
			s.setTime(int64(f.Num))
		case 7<<3 | wire.Varint:
			s.setDuration(int64(f.Num))
		case 8<<3 | wire.Length:
			d.protoPlace(f.Body, &s.local)
		case 9<<3 | wire.Length:
			d.protoPlace(f.Body, &s.remote)
		case 10<<3 | wire.Length:
			d.protoAnnotation(f.Body)
		case 11<<3 | wire.Length:
			d.protoTag(f.Body)
		case 12<<3 | wire.Varint:
			s.debug = f.Num != 0
		case 13<<3 | wire.Varint:
			s.shared = f.Num != 0
		}
	}
	if f.Broken {
		d.fail(trace.Invalid, "broken field")
	}
	return d.hasIDs(s, "trace_id")
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
	f := wire.NewFields(b)
	for f.Next() {
		switch f.ID {
		case 1<<3 | wire.Length:
			p.service = f.Body
		case 2<<3 | wire.Length, 3<<3 | wire.Length:
			d.setIP(f.Body, p)
		case 4<<3 | wire.Varint:
			p.port = d.port(int64(int32(uint32(f.Num))))
		}
	}
	if f.Broken {
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
	f := wire.NewFields(b)
	for f.Next() {
		switch f.ID {
		case 1<<3 | wire.Fixed64:
			e.at = nanoseconds(f.Num)
		case 2<<3 | wire.Length:
			e.text = f.Body
		}
	}
	if f.Broken {
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
	f := wire.NewFields(b)
	for f.Next() {
		switch f.ID {
		case 1<<3 | wire.Length:
			t.key = f.Body
		case 2<<3 | wire.Length:
			t.text = f.Body
		}
	}
	if f.Broken {
		d.fail(trace.Invalid, "broken field of a tag")
	}
	s.tags = append(s.tags, t)
}
