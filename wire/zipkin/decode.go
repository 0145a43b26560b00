package zipkin

import (
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// Decode returns a list of spans in a format as an OTLP TracesData message, one resource for each service. A span without a timestamp,
// which Zipkin allows, starts now. Zero IDs stay, so that their spans alone are refused by trace.Batch. Errors say which span is wrong and
// where; none of the list is then taken, as Zipkin's server does it. They are of kind Invalid, or TooLarge for a span over limits.
func Decode(f Format, b []byte, now time.Time, limits trace.Limits) ([]byte, error) {
	d := NewDecoder(now, limits)
	if err := d.List(f, b); err != nil {
		return nil, err
	}
	return d.Append(nil), nil
}

// Decoder collects spans, in their OTLP form, by service. It allocates nothing for a span but room for its bytes.
type Decoder struct {
	now    uint64
	limits trace.Limits
	err    *trace.Error
	mixed  bool // err says that the list is in another format, and not what is wrong with a span
	n      int  // spans read; one of v1 counts once, also if it becomes several
	room   int  // bytes that spans may yet become
	groups []group
	byName map[string]int // from the second service on
	at     int            // the group of the span before
	body   []byte

	in    span   // the span that is being read
	v1    v1Span // or this
	arena []byte // texts of it which are no part of what is read
	r     *wire.JSON
	calls jsonCalls

	reading v1Reading
}

// group is the spans of one service, as fields of a ScopeSpans.
type group struct {
	service string
	spans   []byte
}

// NewDecoder returns a decoder of spans that arrive now.
func NewDecoder(now time.Time, limits trace.Limits) *Decoder {
	return &Decoder{now: uint64(now.UnixNano()), limits: limits}
}

// growth is how many times as large as it came what is read may become, and spareRoom is free. Honest spans become smaller; those without
// a timestamp grow most. But the name of a v1 span is in the spans of all its services.
const (
	growth    = 3
	spareRoom = 64 << 10
)

// List adds a list of spans.
func (d *Decoder) List(f Format, b []byte) error {
	d.room += growth*len(b) + spareRoom
	switch f {
	case Proto3:
		d.protoList(b)
	case Thrift:
		d.thriftList(b)
	default:
		d.jsonList(f, b)
	}
	return d.failed("List<Span>", f)
}

// ThriftSpan adds one v1 span in Thrift's binary protocol, as scribe's messages have it.
func (d *Decoder) ThriftSpan(b []byte) error {
	d.room += growth*len(b) + spareRoom/64
	d.thriftOne(b)
	return d.failed("Span", Thrift)
}

// failed returns the error of what was read, or nil. Its text begins as that of Zipkin's server.
func (d *Decoder) failed(what string, f Format) error {
	switch {
	case d.err == nil:
		return nil
	case d.mixed:
		return d.err
	}
	return trace.Errorf(d.err.Kind, "Malformed reading %s from %s: span %d: %s", what, f.coding(), d.n, d.err.Msg)
}

// fail keeps the first error of what a span says.
func (d *Decoder) fail(kind trace.ErrorKind, format string, args ...any) {
	if d.err == nil {
		d.err = trace.Errorf(kind, format, args...)
	}
	if d.r != nil {
		d.r.Fail("stopped")
	}
}

// notList says that what is read is no list in a format.
func (d *Decoder) notList(f Format) {
	d.mixed = true
	d.fail(trace.Invalid, "Expected a %s encoded list", f)
}

// mixedUp says that it is in another format than was said.
func (d *Decoder) mixedUp(expected, received Format) {
	if d.err == nil {
		d.mixed = true
		d.fail(trace.Invalid, "Expected a %s encoded list, but received: %s", expected, received)
	}
}

// hasIDs checks that a span came with the IDs that it must have, of which the first is called so, and without an error.
func (d *Decoder) hasIDs(s *span, traceID string) bool {
	switch {
	case d.err != nil:
	case !s.hasTrace:
		d.fail(trace.Invalid, "has no %s", traceID)
	case !s.hasID:
		d.fail(trace.Invalid, "has no id")
	}
	return d.err == nil
}

// allow checks that a span may have one tag or annotation more than n.
func (d *Decoder) allow(n int) bool {
	if d.limits.Items > 0 && n >= d.limits.Items {
		d.fail(trace.TooLarge, "has more than %d tags and annotations", d.limits.Items)
		return false
	}
	return true
}

// add adds a span to those of its service.
func (d *Decoder) add(s *span) {
	d.body = s.appendOTLP(d.body[:0], d.now)
	if d.room -= len(d.body); d.room < 0 {
		d.fail(trace.TooLarge, "becomes far larger than it came; send its services' spans one by one, with timestamps")
		return
	}
	g := &d.groups[d.group(s.local.service)]
	g.spans = appendBytes(g.spans, 2, d.body)
}

// group returns the index of a service's spans.
func (d *Decoder) group(service []byte) int {
	if d.at < len(d.groups) && d.groups[d.at].service == string(service) {
		return d.at
	}
	i, ok := d.byName[string(service)]
	if !ok {
		if d.byName == nil {
			d.byName = map[string]int{}
		}
		i = len(d.groups)
		d.groups = append(d.groups, group{service: string(service)})
		d.byName[d.groups[i].service] = i
	}
	d.at = i
	return i
}

// Append appends the spans, those of each service as ResourceSpans with one ScopeSpans. The decoder is of no use afterwards.
func (d *Decoder) Append(dst []byte) []byte {
	size := 0
	for i := range d.groups {
		size += len(d.groups[i].spans) + len(d.groups[i].service) + 64 // which is more than tags and lengths take
	}
	dst = slices.Grow(dst, size)
	for i := range d.groups {
		g := &d.groups[i]
		var res trace.Resource
		if g.service != "" {
			res.Attrs = []trace.Attr{{Key: attrService, Value: trace.String(g.service)}}
		}
		body := trace.AppendResource(nil, &res)
		n := 1 + protowire.SizeBytes(len(body)) + 1 + protowire.SizeBytes(len(g.spans))
		dst = protowire.AppendVarint(append(dst, 1<<3|2), uint64(n))
		dst = appendBytes(appendBytes(dst, 1, body), 2, g.spans)
		g.spans = nil
	}
	return dst
}

// keep returns text as a part of the arena, where it lasts as long as the span.
func (d *Decoder) keep(text []byte) []byte {
	at := len(d.arena)
	d.arena = append(d.arena, text...)
	return d.arena[at:len(d.arena):len(d.arena)]
}

// port returns a port; Zipkin has none below 1.
func (d *Decoder) port(n int64) uint16 {
	if n > 65535 {
		d.fail(trace.Invalid, "port %d; want at most 65535", n)
		return 0
	}
	return uint16(max(0, n))
}
