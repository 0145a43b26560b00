package zipkin

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// span is one span as it was read from any of the formats. Its texts are parts of what is read, or of the decoder's arena, and its
// slices are used again for the next.
type span struct {
	traceID         trace.ID
	id, parent      trace.SpanID
	kind            trace.Kind
	name            []byte
	start, duration uint64 // ns, 0: none
	local, remote   place
	tags            []tag
	events          []event
	debug, shared   bool
	hasTrace, hasID bool
}

// place is what Zipkin calls an endpoint.
type place struct {
	service, ipv4, ipv6 []byte
	port                uint16
}

// event is what Zipkin calls an annotation.
type event struct {
	at   uint64 // ns
	text []byte
}

// tag is a text, or one of v1's values that are none: a boolean, an integer, a double, or bytes.
type tag struct {
	key  []byte
	typ  trace.ValueType
	num  uint64 // as trace.AttrRef has it
	text []byte // of TypeString and TypeBytes
}

func (s *span) reset() { *s = span{tags: s.tags[:0], events: s.events[:0]} }

func (s *span) addTag(key, text []byte) {
	s.tags = append(s.tags, tag{key: key, typ: trace.TypeString, text: text})
}

func (p *place) isEmpty() bool {
	return len(p.service) == 0 && len(p.ipv4) == 0 && len(p.ipv6) == 0 && p.port == 0
}

// setAddress sets the field of the address's family: an IPv4 address in IPv6's clothes is one of IPv4.
func (p *place) setAddress(addr netip.Addr, arena *[]byte) {
	if b := addr.As16(); addr.Is6() && [12]byte(b[:12]) == [12]byte{} && binary.BigEndian.Uint32(b[12:]) > 1 {
		addr = netip.AddrFrom4([4]byte(b[12:])) // ::10.0.0.1, the form before ::ffff:10.0.0.1
	}
	addr = addr.Unmap()
	at := len(*arena)
	*arena = addr.AppendTo(*arena)
	if text := (*arena)[at:len(*arena):len(*arena)]; addr.Is4() {
		p.ipv4 = text
	} else {
		p.ipv6 = text
	}
}

// setTime sets the start from µs; times that are none, or before 1970, are as if they were missing.
func (s *span) setTime(us int64) { s.start = nanoseconds(uint64(max(0, us))) }

// setDuration sets the duration from µs.
func (s *span) setDuration(us int64) { s.duration = nanoseconds(uint64(max(0, us))) }

// nanoseconds turns µs into ns; what does not fit is the end of time.
func nanoseconds(us uint64) uint64 {
	if us > math.MaxUint64/1000 {
		return math.MaxUint64
	}
	return us * 1000
}

// appendOTLP appends the body of an OTLP Span message. A span without a start starts now.
func (s *span) appendOTLP(b []byte, now uint64) []byte {
	start := s.start
	if start == 0 {
		start = now
	}
	b = appendBytes(b, 1, s.traceID[:])
	b = appendBytes(b, 2, s.id[:])
	if !s.parent.IsZero() {
		b = appendBytes(b, 4, s.parent[:])
	}
	if len(s.name) > 0 {
		b = appendBytes(b, 5, s.name)
	}
	if s.kind != 0 {
		b = append(b, 6<<3, byte(s.kind))
	}
	b = appendFixed64(b, 7, start)
	b = appendFixed64(b, 8, start+min(s.duration, math.MaxUint64-start))
	if s.start == 0 {
		b = appendTrue(b, attrNoTimestamp)
	}
	b = s.local.append(b, &localKeys)
	if len(s.remote.service) > 0 {
		b = appendText(b, attrPeer, s.remote.service)
	}
	b = s.remote.append(b, &peerKeys)
	b, status, message := s.appendTags(b)
	if s.debug {
		b = appendTrue(b, attrDebug)
	}
	if s.shared && s.kind != trace.KindClient { // the client began it, whatever it says, as Zipkin's server has it
		b = appendTrue(b, attrShared)
	}
	for i := range s.events {
		b = s.events[i].append(b)
	}
	if status == trace.StatusUnset {
		return b
	}
	n := 2
	if len(message) > 0 {
		n += 1 + protowire.SizeBytes(len(message))
	}
	b = protowire.AppendVarint(append(b, 15<<3|2), uint64(n))
	if len(message) > 0 {
		b = appendBytes(b, 2, message)
	}
	return append(b, 3<<3, byte(status))
}

// appendTags appends the tags in order of their keys: spans of one kind then have one shape in the store, however their sender's map was
// walked. Of tags with one key the last counts.
func (s *span) appendTags(b []byte) (out []byte, status trace.StatusCode, message []byte) {
	slices.SortStableFunc(s.tags, func(a, b tag) int { return bytes.Compare(a.key, b.key) })
	for i := range s.tags {
		t := &s.tags[i]
		if i+1 < len(s.tags) && bytes.Equal(s.tags[i+1].key, t.key) {
			continue
		}
		if t.typ == trace.TypeString { // error, whatever its value, is Zipkin's mark; otel.status_code is that of OpenTelemetry's exporters
			switch string(t.key) {
			case attrError:
				status, message = trace.StatusError, t.text
			case attrStatus:
				if string(t.text) == "OK" {
					status, message = trace.StatusOK, nil
					continue
				} else if string(t.text) == "ERROR" {
					status = trace.StatusError
					continue
				}
			case attrStatusText: // comes behind the two above; the mark is "true" then
				if status == trace.StatusError && !bytes.Equal(message, t.text) {
					message = t.text
					continue
				}
			}
		}
		b = t.append(b)
	}
	return b, status, message
}

func (t *tag) append(b []byte) []byte {
	switch t.typ {
	case trace.TypeString:
		return appendText(b, string(t.key), t.text)
	case trace.TypeBool:
		b = appendKey(b, string(t.key), 2)
		return append(b, 2<<3, byte(t.num))
	case trace.TypeInt:
		b = appendKey(b, string(t.key), 1+protowire.SizeVarint(t.num))
		return protowire.AppendVarint(append(b, 3<<3), t.num)
	case trace.TypeDouble:
		b = appendKey(b, string(t.key), 9)
		return binary.LittleEndian.AppendUint64(append(b, 4<<3|1), t.num)
	default:
		b = appendKey(b, string(t.key), 1+protowire.SizeBytes(len(t.text)))
		return appendBytes(b, 7, t.text)
	}
}

func (e *event) append(b []byte) []byte {
	n := 0
	if e.at != 0 {
		n += 9
	}
	if len(e.text) > 0 {
		n += 1 + protowire.SizeBytes(len(e.text))
	}
	b = protowire.AppendVarint(append(b, 11<<3|2), uint64(n))
	if e.at != 0 {
		b = appendFixed64(b, 1, e.at)
	}
	if len(e.text) > 0 {
		b = appendBytes(b, 2, e.text)
	}
	return b
}

// addressKeys are the attributes that hold an endpoint's address.
type addressKeys struct{ ipv4, ipv6, port string }

var (
	localKeys = addressKeys{attrLocalIPv4, attrLocalIPv6, attrLocalPort}
	peerKeys  = addressKeys{attrPeerIPv4, attrPeerIPv6, attrPeerPort}
)

func (p *place) append(b []byte, keys *addressKeys) []byte {
	if len(p.ipv4) > 0 {
		b = appendText(b, keys.ipv4, p.ipv4)
	}
	if len(p.ipv6) > 0 {
		b = appendText(b, keys.ipv6, p.ipv6)
	}
	if p.port != 0 {
		b = appendKey(b, keys.port, 1+protowire.SizeVarint(uint64(p.port)))
		b = protowire.AppendVarint(append(b, 3<<3), uint64(p.port))
	}
	return b
}

// The rest appends fields of OTLP's messages, whose numbers are below 16: a tag is one byte.

func appendBytes(b []byte, num int, v []byte) []byte {
	b = protowire.AppendVarint(append(b, byte(num<<3|2)), uint64(len(v)))
	return append(b, v...)
}

func appendFixed64(b []byte, num int, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, byte(num<<3|1)), v)
}

// appendKey appends an attribute of a span up to its AnyValue, whose n bytes follow.
func appendKey(b []byte, key string, n int) []byte {
	size := 1 + protowire.SizeBytes(n)
	if key != "" {
		size += 1 + protowire.SizeBytes(len(key))
	}
	b = protowire.AppendVarint(append(b, 9<<3|2), uint64(size))
	if key != "" {
		b = protowire.AppendVarint(append(b, 1<<3|2), uint64(len(key)))
		b = append(b, key...)
	}
	return protowire.AppendVarint(append(b, 2<<3|2), uint64(n))
}

func appendText(b []byte, key string, v []byte) []byte {
	b = appendKey(b, key, 1+protowire.SizeBytes(len(v)))
	return appendBytes(b, 1, v)
}

func appendTrue(b []byte, key string) []byte { return append(appendKey(b, key, 2), 2<<3, 1) }
