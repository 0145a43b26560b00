package zipkin

import (
	"bytes"
	"net/netip"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// jsonCalls are what is handed to wire.JSON, made once: a method value made for each span would be an allocation for each.
type jsonCalls struct {
	member, local, remote, endpoint, tag func(key []byte)
	annotationMember, binaryMember       func(key []byte)
	annotations, binaries                func()
}

// jsonList reads a list of spans in JSON, of either version.
func (d *Decoder) jsonList(f Format, b []byte) {
	if b = bytes.TrimLeft(b, " \t\r\n"); len(b) > 0 && b[0] != '[' {
		d.notList(f)
		return
	}
	if len(b) == 0 {
		return // nothing is an empty list, as Zipkin's server has it
	}
	d.r = wire.NewJSON(b)
	if f == JSONV1 {
		d.v1Calls()
		d.r.Array(d.v1JSONSpan)
	} else {
		d.v2Calls()
		d.r.Array(d.v2Span)
	}
	d.r.End()
	if err := d.r.Err(); err != nil && d.err == nil {
		d.err = trace.ErrorOf(err)
	}
}

func (d *Decoder) v2Calls() {
	d.calls = jsonCalls{
		member: d.v2Member, tag: d.v2Tag, annotations: d.v2Annotation, annotationMember: d.v2AnnotationMember,
		local:  func(key []byte) { d.jsonPlace(key, &d.in.local) },
		remote: func(key []byte) { d.jsonPlace(key, &d.in.remote) },
	}
}

// v2Span reads one span and adds it to those of its service.
func (d *Decoder) v2Span() {
	d.arena = d.arena[:0]
	s := &d.in
	s.reset()
	d.r.Object(d.calls.member)
	if d.r.Err() != nil || !d.hasIDs(s, "traceId") {
		return
	}
	if d.add(s); d.err == nil {
		d.n++
	}
}

func (d *Decoder) v2Member(key []byte) {
	s := &d.in
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
	case "kind":
		s.kind, _ = trace.ParseKind(string(d.r.Text()))
	case "name":
		s.name = d.keep(d.r.Text())
	case "timestamp":
		s.start = nanoseconds(d.micros())
	case "duration":
		s.duration = nanoseconds(d.micros())
	case "localEndpoint":
		d.r.Object(d.calls.local)
	case "remoteEndpoint":
		d.r.Object(d.calls.remote)
	case "annotations":
		d.r.Array(d.calls.annotations)
	case "tags":
		d.r.Object(d.calls.tag)
	case "debug":
		s.debug = d.r.Bool()
	case "shared":
		s.shared = d.r.Bool()
	case "binaryAnnotations":
		d.mixedUp(JSONV2, JSONV1)
	default:
		d.r.Skip()
	}
}

// jsonID reads an ID of up to 2*len(dst) hexadecimal digits.
func (d *Decoder) jsonID(dst []byte, name string) {
	s := d.r.Text()
	if d.r.Err() != nil {
		return
	}
	clear(dst) // a key that comes twice counts the last time
	if err := trace.ParseHex(dst, string(s)); err != nil {
		d.fail(trace.Invalid, "%s %.40q: %v", name, s, err)
	}
}

// micros reads a time, or a length of it, in µs. As Zipkin's server has it, what is below zero is none.
func (d *Decoder) micros() uint64 {
	if d.r.IsNegative() {
		d.r.Int()
		return 0
	}
	return d.r.Uint(64)
}

// jsonPlace reads a member of an endpoint. As in Zipkin an address goes to the field of its family whichever it came in. What is no
// address stays as it came.
func (d *Decoder) jsonPlace(key []byte, p *place) {
	switch string(key) {
	case "serviceName":
		p.service = d.keep(d.r.Text())
	case "ipv4", "ipv6":
		s := d.r.Text()
		if isIPv4(s) {
			p.ipv4 = d.keep(s)
			return
		}
		addr, err := netip.ParseAddr(string(s))
		switch {
		case err == nil:
			p.setAddress(addr, &d.arena)
		case len(s) > 0 && len(p.ipv4) == 0:
			p.ipv4 = d.keep(s)
		}
	case "port":
		p.port = d.port(d.r.Int())
	default:
		d.r.Skip()
	}
}

// isIPv4 reports whether s is an IPv4 address as one is written; what is not is for netip to judge, which needs a copy of it.
func isIPv4(s []byte) bool {
	dots, n, digits := 0, 0, 0
	for _, c := range s {
		switch {
		case c == '.' && digits > 0 && dots < 3:
			dots, n, digits = dots+1, 0, 0
		case c >= '0' && c <= '9' && (digits == 0 || n > 0):
			if n, digits = 10*n+int(c-'0'), digits+1; n > 255 {
				return false
			}
		default:
			return false
		}
	}
	return dots == 3 && digits > 0
}

func (d *Decoder) v2Annotation() {
	s := &d.in
	if d.allow(len(s.tags) + len(s.events)) {
		s.events = append(s.events, event{})
		d.r.Object(d.calls.annotationMember)
	}
}

func (d *Decoder) v2AnnotationMember(key []byte) {
	e := &d.in.events[len(d.in.events)-1]
	switch string(key) {
	case "timestamp":
		e.at = nanoseconds(d.micros())
	case "value":
		e.text = d.keep(d.r.Text())
	default:
		d.r.Skip()
	}
}

// v2Tag reads a tag. Values should be texts; numbers and booleans are taken as they are written.
func (d *Decoder) v2Tag(key []byte) {
	s := &d.in
	if d.allow(len(s.tags) + len(s.events)) {
		k := d.keep(key)
		s.addTag(k, d.scalar())
	}
}

// scalar reads a text, a number or a boolean as text.
func (d *Decoder) scalar() []byte {
	if d.r.IsText() {
		return d.keep(d.r.Text())
	}
	return []byte(d.r.Scalar())
}
