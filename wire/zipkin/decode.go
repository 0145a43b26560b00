package zipkin

import (
	"bytes"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// AppendBinary appends a list of spans in Zipkin's v2 JSON as an OTLP TracesData message, one resource for each service. A span
// without a timestamp, which Zipkin allows, starts now. Zero IDs stay, so that their spans alone are refused by trace.Batch. Errors
// say which span is wrong and where; none of the list is then taken, as Zipkin's server does it. They are of kind Invalid, or
// TooLarge for a span over limits.
func AppendBinary(dst, b []byte, now time.Time, limits trace.Limits) ([]byte, error) {
	if b = bytes.TrimLeft(b, " \t\r\n"); len(b) == 0 || b[0] != '[' {
		return nil, trace.Errorf(trace.Invalid, "Expected a JSON_V2 encoded list")
	}
	if bytes.Contains(b[:min(len(b), 4096)], []byte(`"binaryAnnotations"`)) {
		return nil, trace.Errorf(trace.Invalid, "Expected a JSON_V2 encoded list, but received: JSON_V1")
	}
	d := decoder{r: wire.NewJSON(b), now: uint64(now.UnixNano()), limits: limits, spans: map[string][]byte{}}
	n := 0
	d.r.Array(func() {
		if d.span() {
			n++
		}
	})
	d.r.End()
	if d.err != nil {
		return nil, trace.Errorf(d.err.Kind, "span %d of the list: %s", n, d.err.Msg)
	}
	if err := d.r.Err(); err != nil {
		return nil, trace.Errorf(trace.Invalid, "Expected a JSON_V2 encoded list: span %d: %v", n, err)
	}
	return d.append(dst), nil
}

// decoder reads spans one by one and keeps them in their binary form, by service.
type decoder struct {
	r        *wire.JSON
	now      uint64
	limits   trace.Limits
	err      *trace.Error // of what a span says, where its JSON is right
	services []string     // in the order in which they came
	spans    map[string][]byte
	in       input
	body     []byte
}

// input is one span as it was read. The slices are used again for the next.
type input struct {
	s             trace.Span // IDs, name, kind
	timestamp     uint64     // ns, 0: none
	duration      uint64     // ns
	local, remote endpoint
	tags          []trace.Attr
	events        []trace.Event
	attrs         []trace.Attr
	hasTrace      bool
	hasID         bool
	debug, shared bool
}

// fail ends the reading with an error of a kind.
func (d *decoder) fail(kind trace.ErrorKind, format string, args ...any) {
	if d.r.Fail("broken"); d.err == nil {
		d.err = trace.Errorf(kind, format, args...)
	}
}

// span reads one span and adds it to those of its service.
func (d *decoder) span() bool {
	d.in = input{tags: d.in.tags[:0], events: d.in.events[:0], attrs: d.in.attrs[:0]}
	in := &d.in
	d.r.Object(d.member)
	if d.r.Err() != nil {
		return false
	}
	switch {
	case !in.hasTrace:
		d.fail(trace.Invalid, "has no traceId")
		return false
	case !in.hasID:
		d.fail(trace.Invalid, "has no id")
		return false
	}
	s := &in.s
	in.finish(d.now)
	service := in.local.Service
	spans, ok := d.spans[service]
	if !ok {
		d.services = append(d.services, service)
	}
	d.body = trace.AppendSpan(d.body[:0], s)
	d.spans[service] = protowire.AppendBytes(protowire.AppendTag(spans, 2, protowire.BytesType), d.body)
	return true
}

// append appends the spans of each service as ResourceSpans with one ScopeSpans.
func (d *decoder) append(dst []byte) []byte {
	field := func(b []byte, num protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), body)
	}
	for _, service := range d.services {
		var res trace.Resource
		if service != "" {
			res.Attrs = []trace.Attr{{Key: attrService, Value: trace.String(service)}}
		}
		body := trace.AppendResource(nil, &res)
		spans := d.spans[service]
		delete(d.spans, service)
		n := protowire.SizeTag(1) + protowire.SizeBytes(len(body)) + protowire.SizeTag(2) + protowire.SizeBytes(len(spans))
		dst = protowire.AppendVarint(protowire.AppendTag(dst, 1, protowire.BytesType), uint64(n))
		dst = field(field(dst, 1, body), 2, spans)
	}
	return dst
}

func (d *decoder) member(key []byte) {
	in := &d.in
	switch string(key) {
	case "traceId":
		in.hasTrace = true
		d.id(in.s.TraceID[:], "traceId")
	case "id":
		in.hasID = true
		d.id(in.s.ID[:], "id")
	case "parentId":
		if !d.r.Null() {
			d.id(in.s.Parent[:], "parentId")
		}
	case "kind":
		in.s.Kind, _ = trace.ParseKind(string(d.r.Text()))
	case "name":
		in.s.Name = string(d.r.Text())
	case "timestamp":
		in.timestamp = nanoseconds(d.r.Uint(64))
	case "duration":
		in.duration = nanoseconds(d.r.Uint(64))
	case "localEndpoint":
		d.r.Object(func(key []byte) { d.endpoint(key, &in.local) })
	case "remoteEndpoint":
		d.r.Object(func(key []byte) { d.endpoint(key, &in.remote) })
	case "annotations":
		d.r.Array(d.annotation)
	case "tags":
		d.r.Object(d.tag)
	case "debug":
		in.debug = d.r.Bool()
	case "shared":
		in.shared = d.r.Bool()
	default:
		d.r.Skip()
	}
}

// id reads an ID of up to 2*len(dst) hexadecimal digits.
func (d *decoder) id(dst []byte, name string) {
	s := d.r.Text()
	if d.r.Err() != nil {
		return
	}
	clear(dst) // a key that comes twice counts the last time
	if err := trace.ParseHex(dst, string(s)); err != nil {
		d.fail(trace.Invalid, "%s %.40q: %v", name, s, err)
	}
}

// nanoseconds turns µs into ns; what does not fit is the end of time.
func nanoseconds(us uint64) uint64 {
	if us > math.MaxUint64/1000 {
		return math.MaxUint64
	}
	return us * 1000
}

// endpoint reads a member of an endpoint. As in Zipkin an address goes to the field of its family whichever it came in, and an IPv4
// address in IPv6's clothes is one of IPv4. What is no address stays as it came.
func (d *decoder) endpoint(key []byte, e *endpoint) {
	switch string(key) {
	case "serviceName":
		e.Service = string(d.r.Text())
	case "ipv4", "ipv6":
		s := string(d.r.Text())
		addr, err := netip.ParseAddr(s)
		switch addr = addr.Unmap(); {
		case err != nil && s != "" && e.IPv4 == "":
			e.IPv4 = s
		case err != nil:
		case addr.Is4():
			e.IPv4 = addr.String()
		default:
			e.IPv6 = addr.String()
		}
	case "port":
		n := d.r.Uint(64)
		if n > math.MaxUint16 {
			d.fail(trace.Invalid, "port %d; want at most 65535", n)
			return
		}
		e.Port = int(n)
	default:
		d.r.Skip()
	}
}

// room checks that the span may have one tag or annotation more.
func (d *decoder) room() bool {
	if n := len(d.in.tags) + len(d.in.events); d.limits.Items > 0 && n >= d.limits.Items {
		d.fail(trace.TooLarge, "has more than %d tags and annotations", d.limits.Items)
		return false
	}
	return true
}

func (d *decoder) annotation() {
	if !d.room() {
		return
	}
	var e trace.Event
	d.r.Object(func(key []byte) {
		switch string(key) {
		case "timestamp":
			e.Time = nanoseconds(d.r.Uint(64))
		case "value":
			e.Name = string(d.r.Text())
		default:
			d.r.Skip()
		}
	})
	d.in.events = append(d.in.events, e)
}

// tag reads a tag. Values should be strings; numbers and booleans are taken as they are written.
func (d *decoder) tag(key []byte) {
	if !d.room() {
		return
	}
	k := string(key)
	d.in.tags = append(d.in.tags, trace.Attr{Key: k, Value: trace.String(d.r.Scalar())})
}

// finish makes a span of what was read.
func (in *input) finish(now uint64) {
	s := &in.s
	s.Attrs, s.Events = in.attrs, in.events
	add := func(k string, v trace.Value) { s.Attrs = append(s.Attrs, trace.Attr{Key: k, Value: v}) }
	s.Start = in.timestamp
	if s.Start == 0 {
		s.Start = now
		add(attrNoTimestamp, trace.Bool(true))
	}
	s.End = s.Start + min(in.duration, math.MaxUint64-s.Start)
	s.Attrs = appendAddress(s.Attrs, &in.local, localKeys)
	if in.remote.Service != "" {
		add(attrPeer, trace.String(in.remote.Service))
	}
	s.Attrs = appendAddress(s.Attrs, &in.remote, peerKeys)
	// In order: spans of one kind then have one shape in the store, however their sender's map was walked.
	slices.SortStableFunc(in.tags, func(a, b trace.Attr) int { return strings.Compare(a.Key, b.Key) })
	for i, tag := range in.tags {
		if i+1 < len(in.tags) && in.tags[i+1].Key == tag.Key {
			continue // the last counts
		}
		if !setStatus(s, tag) {
			s.Attrs = append(s.Attrs, tag)
		}
	}
	if in.debug {
		add(attrDebug, trace.Bool(true))
	}
	if in.shared {
		add(attrShared, trace.Bool(true))
	}
	in.attrs = s.Attrs
}

// setStatus sets the status that a tag tells of, and reports whether the tag says no more than that. error, whatever its
// value, is Zipkin's mark; otel.status_code is that of OpenTelemetry's exporters.
func setStatus(s *trace.Span, tag trace.Attr) bool {
	switch v := tag.Value.Str(); {
	case tag.Key == attrError:
		s.Status, s.StatusMessage = trace.StatusError, v
	case tag.Key == attrStatus && v == "OK":
		s.Status = trace.StatusOK
		return true
	case tag.Key == attrStatus && v == "ERROR":
		s.Status = trace.StatusError
		return true
	}
	return false
}

// addressKeys are the attributes that hold an endpoint's address.
type addressKeys struct{ ipv4, ipv6, port string }

var (
	localKeys = addressKeys{attrLocalIPv4, attrLocalIPv6, attrLocalPort}
	peerKeys  = addressKeys{attrPeerIPv4, attrPeerIPv6, attrPeerPort}
)

func appendAddress(attrs []trace.Attr, e *endpoint, keys addressKeys) []trace.Attr {
	if e.IPv4 != "" {
		attrs = append(attrs, trace.Attr{Key: keys.ipv4, Value: trace.String(e.IPv4)})
	}
	if e.IPv6 != "" {
		attrs = append(attrs, trace.Attr{Key: keys.ipv6, Value: trace.String(e.IPv6)})
	}
	if e.Port != 0 {
		attrs = append(attrs, trace.Attr{Key: keys.port, Value: trace.Int(int64(e.Port))})
	}
	return attrs
}

func portOf(v trace.Value) int {
	n, err := strconv.Atoi(v.Text())
	if err != nil || n < 0 || n > math.MaxUint16 {
		return 0
	}
	return n
}
