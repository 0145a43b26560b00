package zipkin

import (
	"math"
	"strconv"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// v1Reading is the annotation, binary annotation and endpoint that are being read.
type v1Reading struct {
	annotation               v1Annotation
	binary                   v1Binary
	hasTime, hasText, hasKey bool
	number                   string // a value that is a number
	double                   bool   // its type says so
	place                    place
}

func (d *Decoder) v1Calls() {
	d.calls = jsonCalls{
		member: d.v1Member, annotations: d.v1Annotation, annotationMember: d.v1AnnotationMember,
		binaries: d.v1Binary, binaryMember: d.v1BinaryMember,
		endpoint: func(key []byte) { d.jsonPlace(key, &d.reading.place) },
	}
}

// v1JSONSpan reads one span and adds what becomes of it.
func (d *Decoder) v1JSONSpan() {
	d.arena = d.arena[:0]
	v := &d.v1
	v.reset()
	d.r.Object(d.calls.member)
	if d.r.Err() == nil && d.hasIDs(&v.head, "traceId") {
		d.v1Add()
	}
}

func (d *Decoder) v1Member(key []byte) {
	v := &d.v1
	s := &v.head
	switch string(key) {
	case "traceId":
		s.hasTrace = true
		d.jsonID(s.traceID[:], "traceId")
	case "id":
		s.hasID = true
		d.jsonID(s.id[:], "id")
	case "parentId":
		if !d.r.Null() {
			d.jsonID(s.parent[:], "parentId")
		}
	case "name":
		s.name = d.keep(d.r.Text())
	case "timestamp":
		v.start = int64(min(d.micros(), math.MaxInt64))
	case "duration":
		v.duration = int64(min(d.micros(), math.MaxInt64))
	case "annotations":
		d.r.Array(d.calls.annotations)
	case "binaryAnnotations":
		d.r.Array(d.calls.binaries)
	case "debug":
		s.debug = d.r.Bool()
	case "localEndpoint", "remoteEndpoint", "tags":
		d.mixedUp(JSONV1, JSONV2)
	default:
		d.r.Skip()
	}
}

func (d *Decoder) v1Annotation() {
	v, g := &d.v1, &d.reading
	if !d.allow(len(v.annotations) + len(v.binaries)) {
		return
	}
	*g = v1Reading{annotation: v1Annotation{place: -1}}
	d.r.Object(d.calls.annotationMember)
	if d.r.Err() == nil && (!g.hasTime || !g.hasText) {
		d.fail(trace.Invalid, "has an annotation without a timestamp or a value")
		return
	}
	v.annotations = append(v.annotations, g.annotation)
}

func (d *Decoder) v1AnnotationMember(key []byte) {
	g := &d.reading
	switch string(key) {
	case "timestamp":
		g.annotation.at = int64(min(d.micros(), math.MaxInt64))
		g.hasTime = true
	case "value":
		g.annotation.text = d.keep(d.r.Text())
		g.hasText = true
	case "endpoint":
		g.annotation.place = d.v1Endpoint()
	default:
		d.r.Skip()
	}
}

// v1Endpoint reads an endpoint and returns its index, or -1 if it says nothing.
func (d *Decoder) v1Endpoint() int {
	d.reading.place = place{}
	d.r.Object(d.calls.endpoint)
	return d.addPlace(d.reading.place)
}

// addPlace keeps an endpoint and returns its index, or -1 if it says nothing. There are no more than annotations may be: one whose endpoint
// comes again and again is not honest.
func (d *Decoder) addPlace(p place) int {
	v := &d.v1
	if p.isEmpty() || !d.allow(len(v.places)) {
		return -1
	}
	v.places = append(v.places, p)
	return len(v.places) - 1
}

func (d *Decoder) v1Binary() {
	v, g := &d.v1, &d.reading
	if !d.allow(len(v.annotations) + len(v.binaries)) {
		return
	}
	*g = v1Reading{binary: v1Binary{place: -1}}
	d.r.Object(d.calls.binaryMember)
	b := &g.binary
	switch {
	case d.r.Err() != nil:
		return
	case !g.hasKey:
		d.fail(trace.Invalid, "has a binary annotation without a key")
		return
	case g.number != "":
		b.setNumber(g.number, g.double)
	}
	if b.isAddress() {
		if b.address = true; b.place < 0 {
			return // an address that is none
		}
	}
	if b.typ != trace.TypeEmpty {
		v.binaries = append(v.binaries, *b)
	}
}

// isAddress reports whether the value is the endpoint.
func (b *v1Binary) isAddress() bool {
	if b.typ != trace.TypeBool || b.num != 1 {
		return false
	}
	k := string(b.key)
	return k == "ca" || k == "sa" || k == "ma"
}

func (d *Decoder) v1BinaryMember(key []byte) {
	g := &d.reading
	b := &g.binary
	switch string(key) {
	case "key":
		b.key, g.hasKey = d.keep(d.r.Text()), true
	case "value":
		switch {
		case d.r.IsText():
			b.typ, b.text = trace.TypeString, d.keep(d.r.Text())
		case d.r.IsNumber():
			g.number = d.r.Number()
		case d.r.IsBool():
			b.typ, b.num = trace.TypeBool, 0
			if d.r.Bool() {
				b.num = 1
			}
		default:
			d.r.Skip()
		}
	case "type":
		g.double = string(d.r.Text()) == "DOUBLE"
	case "endpoint":
		b.place = d.v1Endpoint()
	default:
		d.r.Skip()
	}
}

// setNumber sets a value that JSON has as a number: an integer, unless its type or its form says otherwise.
func (b *v1Binary) setNumber(text string, double bool) {
	if n, ok := wire.Whole(text); ok && !double {
		b.typ, b.num = trace.TypeInt, uint64(n)
		return
	}
	f, _ := strconv.ParseFloat(text, 64) // what is too large is infinite
	b.typ, b.num = trace.TypeDouble, math.Float64bits(f)
}
