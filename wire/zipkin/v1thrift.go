package zipkin

import (
	"encoding/binary"
	"net/netip"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
)

// thriftList reads a list of v1 spans in Thrift's binary protocol:
//
//	| type of the elements, 1 byte: 12, or 11 from senders with a flaw that is known | how many, 4 bytes, big-endian | spans |
func (d *Decoder) thriftList(b []byte) {
	if len(b) == 0 {
		return
	}
	if b[0] != thrift.Struct && b[0] != thrift.String {
		d.notList(Thrift)
		return
	}
	r := thrift.NewBinary(b)
	r.Byte()
	n := r.I32()
	if n < 0 {
		r.Fail("list of %d elements", n)
	}
	for ; n > 0 && d.err == nil && r.Err() == nil; n-- {
		d.thriftSpan(&r)
	}
	d.thriftErr(&r)
}

// thriftOne reads one v1 span. What may follow it is not looked at, as Zipkin's server has it.
func (d *Decoder) thriftOne(b []byte) {
	r := thrift.NewBinary(b)
	d.thriftSpan(&r)
	d.thriftErr(&r)
}

func (d *Decoder) thriftErr(r *thrift.Reader) {
	if err := r.Err(); err != nil && d.err == nil {
		d.err = trace.ErrorOf(err)
	}
}

// thriftSpan reads one span and adds what becomes of it.
func (d *Decoder) thriftSpan(r *thrift.Reader) {
	d.arena = d.arena[:0]
	v := &d.v1
	v.reset()
	s := &v.head
	for r.Struct(); d.err == nil && r.Next(); {
		switch r.Field {
		case 1<<8 | thrift.I64:
			binary.BigEndian.PutUint64(s.traceID[8:], uint64(r.I64()))
			s.hasTrace = true
		case 3<<8 | thrift.String:
			s.name = r.Bytes()
		case 4<<8 | thrift.I64:
			binary.BigEndian.PutUint64(s.id[:], uint64(r.I64()))
			s.hasID = true
		case 5<<8 | thrift.I64:
			binary.BigEndian.PutUint64(s.parent[:], uint64(r.I64()))
		case 6<<8 | thrift.List:
			for n := r.List(thrift.Struct); n > 0 && d.err == nil && r.Err() == nil; n-- {
				d.thriftAnnotation(r)
			}
		case 8<<8 | thrift.List:
			for n := r.List(thrift.Struct); n > 0 && d.err == nil && r.Err() == nil; n-- {
				d.thriftBinary(r)
			}
		case 9<<8 | thrift.Bool:
			s.debug = r.Bool()
		case 10<<8 | thrift.I64:
			v.start = max(0, r.I64())
		case 11<<8 | thrift.I64:
			v.duration = max(0, r.I64())
		case 12<<8 | thrift.I64:
			binary.BigEndian.PutUint64(s.traceID[:8], uint64(r.I64()))
		default:
			r.Skip()
		}
	}
	if r.Err() == nil && d.hasIDs(s, "trace_id") {
		d.v1Add()
	}
}

func (d *Decoder) thriftAnnotation(r *thrift.Reader) {
	v := &d.v1
	a, hasText := v1Annotation{place: -1}, false
	for r.Struct(); d.err == nil && r.Next(); {
		switch r.Field {
		case 1<<8 | thrift.I64:
			a.at = r.I64()
		case 2<<8 | thrift.String:
			a.text, hasText = r.Bytes(), true
		case 3<<8 | thrift.Struct:
			a.place = d.thriftEndpoint(r)
		default:
			r.Skip()
		}
	}
	// Without a time or a text it says nothing, and Zipkin's server, too, leaves it out.
	if r.Err() == nil && a.at != 0 && hasText && d.allow(len(v.annotations)+len(v.binaries)) {
		v.annotations = append(v.annotations, a)
	}
}

func (d *Decoder) thriftBinary(r *thrift.Reader) {
	v := &d.v1
	b := v1Binary{place: -1}
	hasKey, hasValue, typ := false, false, int32(1)
	for r.Struct(); d.err == nil && r.Next(); {
		switch r.Field {
		case 1<<8 | thrift.String:
			b.key, hasKey = r.Bytes(), true
		case 2<<8 | thrift.String:
			b.text, hasValue = r.Bytes(), true
		case 3<<8 | thrift.I32:
			typ = r.I32()
		case 4<<8 | thrift.Struct:
			b.place = d.thriftEndpoint(r)
		default:
			r.Skip()
		}
	}
	if r.Err() != nil || !hasKey || !hasValue || !d.allow(len(v.annotations)+len(v.binaries)) {
		return
	}
	b.setBytes(typ)
	if b.isAddress() {
		if b.address = true; b.place < 0 {
			return // an address that is none
		}
	}
	v.binaries = append(v.binaries, b)
}

// setBytes makes of b.text, whose type has a number of zipkinCore.AnnotationType, a value of that type. What has not the type's length
// stays bytes.
func (b *v1Binary) setBytes(typ int32) {
	sizes := [7]int{0: 1, 2: 2, 3: 4, 4: 8, 5: 8}
	t := b.text
	b.typ = trace.TypeBytes
	switch {
	case typ == 6:
		b.typ = trace.TypeString
	case typ < 0 || int(typ) >= len(sizes) || sizes[typ] != len(t):
	case typ == 0 && t[0] <= 1:
		b.typ, b.num = trace.TypeBool, uint64(t[0])
	case typ == 2:
		b.typ, b.num = trace.TypeInt, uint64(int64(int16(binary.BigEndian.Uint16(t))))
	case typ == 3:
		b.typ, b.num = trace.TypeInt, uint64(int64(int32(binary.BigEndian.Uint32(t))))
	case typ == 4:
		b.typ, b.num = trace.TypeInt, binary.BigEndian.Uint64(t)
	case typ == 5:
		b.typ, b.num = trace.TypeDouble, binary.BigEndian.Uint64(t)
	}
}

// thriftEndpoint reads an endpoint and returns its index, or -1 if it says nothing.
func (d *Decoder) thriftEndpoint(r *thrift.Reader) int {
	var p place
	for r.Struct(); r.Next(); {
		switch r.Field {
		case 1<<8 | thrift.I32:
			if n := uint32(r.I32()); n != 0 {
				p.setAddress(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n))), &d.arena)
			}
		case 2<<8 | thrift.I16:
			p.port = uint16(r.I16())
		case 3<<8 | thrift.String:
			p.service = r.Bytes()
		case 4<<8 | thrift.String:
			d.setIP(r.Bytes(), &p)
		default:
			r.Skip()
		}
	}
	return d.addPlace(p)
}
