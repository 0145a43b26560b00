package jaeger

import (
	"encoding/binary"
	"math"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
)

// What a message to the agent's port may be that is no batch of Jaeger's spans. Both are of kind Invalid.
var (
	// ZipkinBatch is the error for a call of emitZipkinBatch, which the agent took on port 5775.
	ZipkinBatch = trace.Errorf(trace.Invalid, "a batch of Zipkin's spans (emitZipkinBatch); send it to Zipkin's port")
	// OtherCall is the error for a call of something else.
	OtherCall = trace.Errorf(trace.Invalid, "a Thrift message that is no oneway call of emitBatch")
)

// AppendBatch appends the spans of a Batch of jaeger.thrift, in Thrift's binary protocol, to dst as an OTLP TracesData message. After an
// error, of kind Invalid or TooLarge, the result is dst.
func (d *Decoder) AppendBatch(dst, b []byte) ([]byte, error) {
	d.begin(dst)
	d.r = thrift.NewBinary(b)
	return d.thrift(dst)
}

// AppendMessage appends the spans of a message that calls Agent.emitBatch, in Thrift's compact or binary protocol, as AppendBatch does.
func (d *Decoder) AppendMessage(dst, b []byte, compact bool) ([]byte, error) {
	d.begin(dst)
	if d.r = thrift.NewBinary(b); compact {
		d.r = thrift.NewCompact(b)
	}
	switch m := d.r.Message(); {
	case d.r.Err() != nil:
	case string(m.Name) == "emitZipkinBatch":
		return dst, ZipkinBatch
	case string(m.Name) != "emitBatch" || m.Type != thrift.Oneway && m.Type != thrift.Call:
		return dst, OtherCall
	}
	found := false
	for d.r.Struct(); d.r.Next(); {
		if d.r.Field == 1<<8|thrift.Struct && !found {
			found = true
			d.thriftBatch()
		} else {
			d.r.Skip()
		}
	}
	if !found {
		d.r.Fail("emitBatch without a batch")
	}
	return d.endThrift(dst)
}

func (d *Decoder) thrift(dst []byte) ([]byte, error) {
	d.thriftBatch()
	return d.endThrift(dst)
}

// endThrift ends a batch, of which what is broken is an error of the whole.
func (d *Decoder) endThrift(dst []byte) ([]byte, error) {
	if err := d.r.Err(); err != nil && d.err == nil {
		d.err = trace.Errorf(trace.Invalid, "not a Thrift batch: %v", err)
	}
	return d.end(dst)
}

// need checks that a struct had all fields that must be there: bits by their numbers.
func (d *Decoder) need(name string, seen, want uint) {
	if missing := want &^ seen; missing != 0 && d.r.Err() == nil {
		n := 0
		for missing>>n&1 == 0 {
			n++
		}
		d.r.Fail("%s without its field %d", name, n)
	}
}

func (d *Decoder) thriftBatch() {
	r, seen := &d.r, uint(0)
	for r.Struct(); r.Next(); {
		field := r.Field.ID() & 31 // Field moves on
		switch r.Field {
		case 1<<8 | thrift.Struct:
			d.thriftProcess()
		case 2<<8 | thrift.List:
			for n := r.List(thrift.Struct); n > 0 && r.Err() == nil; n-- {
				d.thriftSpan()
			}
		case 3<<8 | thrift.I64:
			d.Client.SeqNo = r.I64()
		case 4<<8 | thrift.Struct:
			d.thriftStats()
		default:
			r.Skip()
			continue
		}
		seen |= 1 << field
	}
	d.need("Batch", seen, 1<<1|1<<2)
}

func (d *Decoder) thriftStats() {
	r, c := &d.r, &d.Client
	c.Stats = true
	for r.Struct(); r.Next(); {
		switch r.Field {
		case 1<<8 | thrift.I64:
			c.FullQueue = r.I64()
		case 2<<8 | thrift.I64:
			c.TooLarge = r.I64()
		case 3<<8 | thrift.I64:
			c.Failed = r.I64()
		default:
			r.Skip()
		}
	}
}

func (d *Decoder) thriftProcess() {
	r, seen := &d.r, uint(0)
	for r.Struct(); r.Next(); {
		field := r.Field.ID() & 31 // Field moves on
		switch r.Field {
		case 1<<8 | thrift.String:
			d.serviceName(r.Bytes())
		case 2<<8 | thrift.List:
			var t tag
			for n := r.List(thrift.Struct); n > 0 && d.thriftTag(&t); n-- {
				d.addProcessTag(&t)
			}
		default:
			r.Skip()
			continue
		}
		seen |= 1 << field
	}
	d.need("Process", seen, 1<<1)
}

func (d *Decoder) thriftSpan() {
	d.beginSpan()
	r, s, seen := &d.r, &d.s, uint(0)
	var low, high, id, parent int64
	for r.Struct(); r.Next(); {
		field := r.Field.ID() & 31 // Field moves on
		switch r.Field {
		case 1<<8 | thrift.I64:
			low = r.I64()
		case 2<<8 | thrift.I64:
			high = r.I64()
		case 3<<8 | thrift.I64:
			id = r.I64()
		case 4<<8 | thrift.I64:
			parent = r.I64()
		case 5<<8 | thrift.String:
			s.name = r.Bytes()
		case 6<<8 | thrift.List:
			for n := r.List(thrift.Struct); n > 0 && r.Err() == nil; n-- {
				d.thriftReference()
			}
		case 7<<8 | thrift.I32:
			s.flags = uint32(r.I32())
		case 8<<8 | thrift.I64:
			s.start = nanoseconds(r.I64())
		case 9<<8 | thrift.I64:
			s.duration = inNanoseconds(r.I64())
		case 10<<8 | thrift.List:
			var t tag
			for n := r.List(thrift.Struct); n > 0 && d.thriftTag(&t); n-- {
				d.addTag(&t)
			}
		case 11<<8 | thrift.List:
			for n := r.List(thrift.Struct); n > 0 && r.Err() == nil; n-- {
				d.thriftLog()
			}
		default:
			r.Skip()
			continue
		}
		seen |= 1 << field
	}
	const all = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<7 | 1<<8 | 1<<9
	if d.need("Span", seen, all); r.Err() != nil {
		return
	}
	d.traceID = thriftID(high, low)
	binary.BigEndian.PutUint64(d.spanID[:], uint64(id))
	binary.BigEndian.PutUint64(s.parent[:], uint64(parent))
	s.traceID, s.id = d.traceID[:], d.spanID[:]
	d.endSpan()
}

func thriftID(high, low int64) (id trace.ID) {
	binary.BigEndian.PutUint64(id[:8], uint64(high))
	binary.BigEndian.PutUint64(id[8:], uint64(low))
	return id
}

func (d *Decoder) thriftReference() {
	r, seen := &d.r, uint(0)
	var kind int32
	var low, high, id int64
	for r.Struct(); r.Next(); {
		field := r.Field.ID() & 31 // Field moves on
		switch r.Field {
		case 1<<8 | thrift.I32:
			kind = r.I32()
		case 2<<8 | thrift.I64:
			low = r.I64()
		case 3<<8 | thrift.I64:
			high = r.I64()
		case 4<<8 | thrift.I64:
			id = r.I64()
		default:
			r.Skip()
			continue
		}
		seen |= 1 << field
	}
	if d.need("SpanRef", seen, 1<<1|1<<2|1<<3|1<<4); r.Err() == nil {
		ref := reference{trace: thriftID(high, low), childOf: kind == 0}
		binary.BigEndian.PutUint64(ref.span[:], uint64(id))
		d.addReference(ref)
	}
}

func (d *Decoder) thriftLog() {
	at := d.beginEvent()
	r, seen := &d.r, uint(0)
	var ns uint64
	for r.Struct(); r.Next(); {
		field := r.Field.ID() & 31 // Field moves on
		switch r.Field {
		case 1<<8 | thrift.I64:
			ns = nanoseconds(r.I64())
		case 2<<8 | thrift.List:
			var t tag
			for n := r.List(thrift.Struct); n > 0 && d.thriftTag(&t); n-- {
				d.addField(&t)
			}
		default:
			r.Skip()
			continue
		}
		seen |= 1 << field
	}
	d.need("Log", seen, 1<<1|1<<2)
	d.endEvent(at, ns)
}

// thriftTag reads a tag. The value is that of the type that it says it has; a missing one is that type's zero.
func (d *Decoder) thriftTag(t *tag) bool {
	r, seen := &d.r, uint(0)
	var kind int32
	var text, data []byte
	var double float64
	var boolean bool
	var long int64
	*t = tag{}
	for r.Struct(); r.Next(); {
		field := r.Field.ID() & 31 // Field moves on
		switch r.Field {
		case 1<<8 | thrift.String:
			t.key = r.Bytes()
		case 2<<8 | thrift.I32:
			kind = r.I32()
		case 3<<8 | thrift.String:
			text = r.Bytes()
		case 4<<8 | thrift.Double:
			double = r.Double()
		case 5<<8 | thrift.Bool:
			boolean = r.Bool()
		case 6<<8 | thrift.I64:
			long = r.I64()
		case 7<<8 | thrift.String:
			data = r.Bytes()
		default:
			r.Skip()
			continue
		}
		seen |= 1 << field
	}
	switch kind { // TagType
	case 0:
		t.typ, t.str = trace.TypeString, text
	case 1:
		t.typ, t.num = trace.TypeDouble, math.Float64bits(double)
	case 2:
		if t.typ = trace.TypeBool; boolean {
			t.num = 1
		}
	case 3:
		t.typ, t.num = trace.TypeInt, uint64(long)
	case 4:
		t.typ, t.str = trace.TypeBytes, data
	default:
		r.Fail("Tag of type %d, which there is not,", kind)
	}
	d.need("Tag", seen, 1<<1|1<<2)
	return r.Err() == nil
}
