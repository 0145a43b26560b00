package trace

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Limits bound what a batch may hold. A span over a limit is refused alone; the rest of its batch is not.
type Limits struct {
	SpanBytes int    // one span's OTLP bytes
	Items     int    // one span's attributes (those of events and links, too), events, links, and elements of arrays and maps; 0: no limit
	Depth     int    // arrays and maps inside one another
	Oldest    uint64 // Unix ns: a span that starts before would be expired at once; 0: no limit
	Newest    uint64 // Unix ns: a span that starts later has a broken clock; 0: no limit

	Deleted func(ID) bool // whether a trace was deleted: its spans are refused; nil: none was
}

// DefaultLimits are the limits on size; the limits on time depend on the clock and the retention.
func DefaultLimits() Limits { return Limits{SpanBytes: 16 << 20, Items: 1 << 18, Depth: 64} }

// A request may not be so dense that its index, and the spans made of it, take many times its own memory: an empty
// attribute is 2 bytes on the wire and 32 in the index. The shortest that says anything (a key of one letter and a value) has 9,
// the shortest element of an array 4; so no honest request comes near one item in 4 bytes where an attribute counts as two.
const (
	itemBytes = 4
	partItems = 3       // as how many items a resource, a scope and a span count: the shortest span alone has 39 bytes
	freeItems = 1 << 16 // so many items are harmless however small
)

// Reason says why a span was refused; it is the label of a metric.
type Reason uint8

// The reasons for which a single span is refused.
const (
	BadTraceID   Reason = iota // not 16 bytes, or all zero
	BadSpanID                  // not 8 bytes, or all zero
	NoStartTime                // start time 0
	TooOld                     // older than the retention
	InTheFuture                // starts later than clocks can differ
	SpanTooLarge               // over Limits.SpanBytes
	TooManyItems               // over Limits.Items
	TooDeep                    // values nested deeper than Limits.Depth
	Deleted                    // of a trace that was deleted
	RateLimited                // over a rate that is configured for its service or tenant
	NumReasons                 // how many reasons there are
)

func (r Reason) String() string {
	return [...]string{"bad_trace_id", "bad_span_id", "no_start_time", "too_old", "in_the_future", "span_too_large", "too_many_items", "too_deep", "deleted", "rate_limited"}[r]
}

// Refusals counts the spans of a batch that were refused.
type Refusals struct {
	Count [NumReasons]int
	First string // what was wrong with the first of them, and where
}

// Total returns the number of spans refused.
func (r *Refusals) Total() int {
	n := 0
	for _, c := range r.Count {
		n += c
	}
	return n
}

// Part is a stretch of a batch's Raw.
type Part struct{ Lo, Hi uint32 }

// Len returns the number of bytes in the part.
func (p Part) Len() int { return int(p.Hi - p.Lo) }

// AttrRef tells where an attribute lies. Depending on Type the value is Num (Bool: 0 or 1, Int: two's complement,
// Double: IEEE bits), the bytes Val (String, Bytes), or the AnyValue message Val (Array, Map, Empty).
type AttrRef struct {
	Key, Val Part
	Num      uint64
	Type     ValueType
}

// SpanRef is what the index knows of a span. Its attributes are Batch.Attrs[AttrLo:AttrHi]; Batch.Rest[RestLo:RestHi]
// are its remaining fields as they lie in Raw, tags included: trace state, dropped counts, events, links, a status with a message,
// and fields that OTLP may add one day.
type SpanRef struct {
	TraceID        ID
	ID, Parent     SpanID
	Start, End     uint64
	Name           Part
	Flags          uint32
	Kind           Kind
	Status         StatusCode
	Resource       uint32 // index into Batch.Resources
	Scope          uint32 // index into Batch.Scopes
	AttrLo, AttrHi uint32
	RestLo, RestHi uint32
}

// ResourceRef tells where a Resource message and its schema URL lie. Both may be empty.
type ResourceRef struct{ Body, SchemaURL Part }

// ScopeRef tells where an InstrumentationScope message and its schema URL lie. Both may be empty.
type ScopeRef struct{ Body, SchemaURL Part }

// Batch is spans on their way in: an OTLP TracesData message (field for field the same as an
// ExportTraceServiceRequest) and an index of it. It can be used again, which saves all allocation, by indexing into it anew;
// whoever is handed a batch must not keep any part of it after returning.
//
// Format: opentelemetry-proto, opentelemetry/proto/trace/v1/trace.proto.
type Batch struct {
	Raw       []byte
	Resources []ResourceRef
	Scopes    []ScopeRef
	Spans     []SpanRef
	Attrs     []AttrRef
	Rest      []Part

	Refused     Refusals
	InvalidText int // names, keys and texts that are not UTF-8: kept as they are, shown with U+FFFD

	limits Limits
	span   int    // spans seen, refused ones included
	items  int    // of the whole batch; see itemBytes
	cut    []Part // refused spans, as fields of their ScopeSpans
	left   []uint32
	own    [2][]byte // for Rewrite, in turn: Raw lies in the other one, or in neither
	next   int       // index into own
	err    string
	errAt  int
	kind   ErrorKind // of err
}

// Bytes returns the bytes of a part.
func (b *Batch) Bytes(p Part) []byte { return b.Raw[p.Lo:p.Hi] }

// Small reports whether the index takes little memory, so that the batch may be kept to be used again: below some 20 MB, enough
// for a request of 10,000 spans.
func (b *Batch) Small() bool {
	const n = 1 << 18
	return cap(b.Attrs) <= n && cap(b.Rest) <= n && cap(b.Spans) <= n/8 && cap(b.Resources) <= n && cap(b.Scopes) <= n && cap(b.cut) <= n &&
		cap(b.own[0]) <= 16*n && cap(b.own[1]) <= 16*n
}

// Index makes the batch the index of raw, which it keeps. Spans over a limit are left out, and Raw is then a copy
// without them. An error of kind Invalid says that raw is no OTLP and at which byte it stops being so; one of kind TooLarge, that
// it is too dense to be handled. The batch is then empty.
//
// It takes what the official libraries take, but for three things that no encoder writes: groups, a field of a span or a value
// with another wire type than its own, and a message that may be there once but comes in pieces, of which the last counts.
func (b *Batch) Index(raw []byte, limits Limits) error {
	if uint64(len(raw)) > 1<<31 {
		return Errorf(TooLarge, "%d bytes of spans in one request; at most 2 GiB can be", len(raw))
	}
	b.reset(raw, limits)
	if !b.traces() {
		at, msg, kind := b.errAt, b.err, b.kind
		b.reset(nil, limits)
		return Errorf(kind, "not an OTLP traces message: %s at byte %d of %d", msg, at, len(raw))
	}
	if b.Refused.Total() > 0 {
		return b.drop(limits)
	}
	return nil
}

func (b *Batch) reset(raw []byte, limits Limits) {
	b.Raw = raw
	b.Resources, b.Scopes, b.Spans = b.Resources[:0], b.Scopes[:0], b.Spans[:0]
	b.Attrs, b.Rest, b.cut = b.Attrs[:0], b.Rest[:0], b.cut[:0]
	b.Refused, b.InvalidText = Refusals{}, 0
	b.limits, b.span, b.items, b.err, b.errAt, b.kind = limits, 0, 0, "", 0, Invalid
}

func (b *Batch) fail(at int, msg string) bool {
	if b.err == "" {
		b.err, b.errAt = msg, at
	}
	return false
}

// count counts n items more, and returns false when the batch has become too dense.
func (b *Batch) count(at, n int) bool {
	b.items += n
	if b.limits.Items == 0 || b.items <= freeItems+len(b.Raw)/itemBytes {
		return true
	}
	if b.err == "" {
		b.kind = TooLarge
	}
	return b.fail(at, "far more attributes, elements or messages than bytes to fill them; send smaller batches,")
}

func (b *Batch) traces() bool {
	var f field
	for at := 0; at < len(b.Raw); at = f.end {
		if !readField(b.Raw, at, len(b.Raw), &f) {
			return b.fail(at, "broken field in TracesData")
		}
		if f.num != 1 {
			continue
		}
		if f.wire != wireBytes {
			return b.fail(at, "resource_spans is not a message")
		}
		if !b.resourceSpans(f.lo, f.hi) {
			return false
		}
	}
	return true
}

func (b *Batch) resourceSpans(at, end int) bool {
	res := len(b.Resources)
	b.Resources = append(b.Resources, ResourceRef{})
	if !b.count(at, partItems) {
		return false
	}
	var f field
	for ; at < end; at = f.end {
		if !readField(b.Raw, at, end, &f) {
			return b.fail(at, "broken field in ResourceSpans")
		}
		if f.num > 3 {
			continue
		}
		if f.wire != wireBytes {
			return b.fail(at, "field of ResourceSpans has the wrong type")
		}
		switch f.num {
		case 1:
			if !b.checkBody(f.lo, f.hi, 1, 0) {
				return false
			}
			b.Resources[res].Body = Part{uint32(f.lo), uint32(f.hi)}
		case 2:
			if !b.scopeSpans(f.lo, f.hi, res) {
				return false
			}
		case 3:
			b.Resources[res].SchemaURL = Part{uint32(f.lo), uint32(f.hi)}
		}
	}
	return true
}

func (b *Batch) scopeSpans(at, end, res int) bool {
	scope := len(b.Scopes)
	b.Scopes = append(b.Scopes, ScopeRef{})
	if !b.count(at, partItems) {
		return false
	}
	var f field
	for ; at < end; at = f.end {
		if !readField(b.Raw, at, end, &f) {
			return b.fail(at, "broken field in ScopeSpans")
		}
		if f.num > 3 {
			continue
		}
		if f.wire != wireBytes {
			return b.fail(at, "field of ScopeSpans has the wrong type")
		}
		switch f.num {
		case 1:
			if !b.checkBody(f.lo, f.hi, 3, 0) {
				return false
			}
			b.Scopes[scope].Body = Part{uint32(f.lo), uint32(f.hi)}
		case 2:
			refused := b.Refused.Total()
			if !b.count(f.at, partItems) || !b.spanAt(f.lo, f.hi, res, scope) {
				return false
			}
			if b.Refused.Total() > refused {
				b.cut = append(b.cut, Part{uint32(f.at), uint32(f.end)})
			}
		case 3:
			b.Scopes[scope].SchemaURL = Part{uint32(f.lo), uint32(f.hi)}
		}
	}
	return true
}

// checkBody checks that a message is well-formed and its attributes, of field number attrs, are.
func (b *Batch) checkBody(at, end int, attrs uint32, depth int) bool {
	var f field
	for ; at < end; at = f.end {
		if !readField(b.Raw, at, end, &f) {
			return b.fail(at, "broken field")
		}
		if f.num == attrs && f.wire == wireBytes {
			var a AttrRef
			if ok, deep := b.keyValue(f.lo, f.hi, depth, &a); !ok {
				return false
			} else if deep {
				return b.fail(at, fmt.Sprintf("values nested deeper than %d", b.limits.Depth))
			}
		}
	}
	return true
}

func (b *Batch) refuse(r Reason, format string, args ...any) bool {
	b.Refused.Count[r]++
	if b.Refused.First == "" {
		b.Refused.First = fmt.Sprintf("span %d of the request: ", b.span) + fmt.Sprintf(format, args...)
	}
	return true
}

// spanAt indexes one span. It returns false if the bytes are broken; a span that breaks a limit is refused and the result is true.
func (b *Batch) spanAt(at, end, res, scope int) bool {
	defer func() { b.span++ }()
	if end-at > b.limits.SpanBytes {
		return b.refuse(SpanTooLarge, "has %d bytes; at most %d are taken", end-at, b.limits.SpanBytes)
	}
	attrLo, restLo, items := len(b.Attrs), len(b.Rest), b.items
	b.Spans = append(b.Spans, SpanRef{})
	s := &b.Spans[len(b.Spans)-1]
	s.Resource, s.Scope = uint32(res), uint32(scope)
	s.AttrLo, s.RestLo = uint32(attrLo), uint32(restLo)
	var x spanExtra
	if !b.spanFields(at, end, s, &x) {
		return false
	}
	s.AttrHi, s.RestHi = uint32(len(b.Attrs)), uint32(len(b.Rest))
	x.many = b.limits.Items > 0 && b.items-items > b.limits.Items
	if !b.valid(s, &x) {
		b.Spans, b.Attrs, b.Rest = b.Spans[:len(b.Spans)-1], b.Attrs[:attrLo], b.Rest[:restLo]
	}
	return true
}

// spanExtra is what matters of a span only until it is known to be valid.
type spanExtra struct {
	traceID, spanID, parent Part
	link                    Part // an ID of a link that is none
	deep, many              bool // nested too deep, too many items
}

// spanFields reads a span's fields. It is the hot loop: of what arrives, most is spans.
func (b *Batch) spanFields(at, end int, s *SpanRef, x *spanExtra) bool {
	raw := b.Raw
	var f field
	for ; at < end; at = f.end {
		if !readField(raw, at, end, &f) {
			return b.fail(at, "broken field in Span")
		}
		if f.num <= 16 && f.wire != spanWire[f.num] {
			return b.fail(at, fmt.Sprintf("field %d of Span has the wrong type", f.num))
		}
		body := Part{uint32(f.lo), uint32(f.hi)}
		ok, deep, rest := true, false, false
		switch f.num {
		case 1:
			x.traceID = body
		case 2:
			x.spanID = body
		case 4:
			x.parent = body
		case 5:
			s.Name = body
			b.text(f.lo, f.hi)
		case 6:
			s.Kind = KindUnspecified
			if v := uint32(f.val); v <= uint32(KindConsumer) { // as in any protobuf enum, the low 32 bits count
				s.Kind = Kind(v)
			}
		case 7:
			s.Start = f.val
		case 8:
			s.End = f.val
		case 9:
			b.Attrs = append(b.Attrs, AttrRef{})
			ok, deep = b.keyValue(f.lo, f.hi, 0, &b.Attrs[len(b.Attrs)-1])
			ok = ok && b.count(at, 1) // and 1 in keyValue
		case 15:
			ok, rest = b.status(f.lo, f.hi, s)
		case 16:
			s.Flags = uint32(f.val)
		case 11, 13:
			ok = b.nested(&f, x) && b.count(at, 1)
			rest = true
		default:
			ok, rest = b.count(at, 1), true
		}
		if !ok {
			return false
		}
		x.deep = x.deep || deep
		if rest {
			b.Rest = append(b.Rest, Part{uint32(at), uint32(f.end)})
		}
	}
	return true
}

// spanWire is the wire type of each of Span's fields.
var spanWire = [17]uint8{
	1: wireBytes, 2: wireBytes, 3: wireBytes, 4: wireBytes, 5: wireBytes, 6: wireVarint, 7: wireFixed64, 8: wireFixed64,
	9: wireBytes, 10: wireVarint, 11: wireBytes, 12: wireVarint, 13: wireBytes, 14: wireVarint, 15: wireBytes, 16: wireFixed32,
}

// valid sets a span's IDs, and refuses a span that cannot be stored.
func (b *Batch) valid(s *SpanRef, x *spanExtra) bool {
	copy(s.TraceID[:], b.Bytes(x.traceID))
	copy(s.ID[:], b.Bytes(x.spanID))
	if x.parent.Len() == len(s.Parent) {
		copy(s.Parent[:], b.Bytes(x.parent))
	}
	switch {
	case x.traceID.Len() != len(s.TraceID) || s.TraceID.IsZero():
		b.refuse(BadTraceID, "trace_id is %x; want 16 bytes, not all zero", clip(b.Bytes(x.traceID)))
	case x.spanID.Len() != len(s.ID) || s.ID.IsZero():
		b.refuse(BadSpanID, "span_id is %x; want 8 bytes, not all zero", clip(b.Bytes(x.spanID)))
	case x.parent.Len() != 0 && x.parent.Len() != len(s.Parent):
		b.refuse(BadSpanID, "parent_span_id is %x; want 8 bytes or none", clip(b.Bytes(x.parent)))
	case x.link.Len() != 0:
		b.refuse(BadSpanID, "an ID of a link is %x; want 16 bytes of a trace, 8 of a span", clip(b.Bytes(x.link)))
	case s.Start == 0:
		b.refuse(NoStartTime, "start_time_unix_nano is 0")
	case s.Start < b.limits.Oldest:
		b.refuse(TooOld, "starts at %d ns since 1970, before the retention's start %d", s.Start, b.limits.Oldest)
	case b.limits.Newest != 0 && s.Start > b.limits.Newest:
		b.refuse(InTheFuture, "starts at %d ns since 1970, in the future (at most %d is taken)", s.Start, b.limits.Newest)
	case b.limits.Deleted != nil && b.limits.Deleted(s.TraceID):
		b.refuse(Deleted, "is of trace %s, which was deleted", s.TraceID)
	case x.deep:
		b.refuse(TooDeep, "has values nested deeper than %d", b.limits.Depth)
	case x.many:
		b.refuse(TooManyItems, "has more than %d attributes, events, links and elements", b.limits.Items)
	default:
		return true
	}
	return false
}

func clip(b []byte) []byte { return b[:min(len(b), 32)] }

// nested checks an Event (field 11 of a span; its name is field 2, attributes 3) or a Link (IDs 1 and 2, attributes 4).
func (b *Batch) nested(in *field, x *spanExtra) bool {
	var f field
	event, attrs := in.num == 11, uint32(4)
	if event {
		attrs = 3
	}
	for at := in.lo; at < in.hi; at = f.end {
		if !readField(b.Raw, at, in.hi, &f) {
			return b.fail(at, "broken field in an event or link")
		}
		switch {
		case f.wire != wireBytes:
		case f.num == attrs:
			var a AttrRef
			ok, deep := b.keyValue(f.lo, f.hi, 0, &a)
			if !ok {
				return false
			}
			x.deep = x.deep || deep
		case !event && f.hi > f.lo && (f.num == 1 && f.hi-f.lo != len(ID{}) || f.num == 2 && f.hi-f.lo != len(SpanID{})):
			x.link = Part{uint32(f.lo), uint32(f.hi)}
		}
	}
	return true
}

// status reads a Status; rest says that it holds more than the code.
func (b *Batch) status(at, end int, s *SpanRef) (ok, rest bool) {
	var f field
	for ; at < end; at = f.end {
		if !readField(b.Raw, at, end, &f) {
			return b.fail(at, "broken field in Status"), false
		}
		if f.num == 3 && f.wire == wireVarint {
			s.Status = StatusUnset
			if v := uint32(f.val); v <= uint32(StatusError) {
				s.Status = StatusCode(v)
			}
		} else {
			rest = true
		}
	}
	return true, rest
}

// keyValue reads a KeyValue. deep says that the value is nested deeper than allowed; it was then not looked at further.
func (b *Batch) keyValue(at, end, depth int, a *AttrRef) (ok, deep bool) {
	if !b.count(at, 1) {
		return false, false
	}
	if b.shortKeyValue(at, end, a) {
		return true, false
	}
	var f field
	for ; at < end; at = f.end {
		if !readField(b.Raw, at, end, &f) {
			return b.fail(at, "broken field in KeyValue"), false
		}
		if f.wire != wireBytes {
			continue
		}
		switch f.num {
		case 1:
			a.Key = Part{uint32(f.lo), uint32(f.hi)}
			b.text(f.lo, f.hi)
		case 2:
			ok, d := b.anyValue(f.lo, f.hi, depth, a)
			if !ok {
				return false, false
			}
			deep = deep || d
		}
	}
	return true, deep
}

// shortKeyValue reads a KeyValue as encoders write nearly all of them: a key and a text, number or bool, none longer than 127
// bytes. Of any other it returns false, and keyValue reads it field by field.
func (b *Batch) shortKeyValue(at, end int, a *AttrRef) bool {
	raw := b.Raw[at:end]
	const key, value = 1<<3 | wireBytes, 2<<3 | wireBytes
	if len(raw) < 6 || raw[0] != key || raw[1] >= 0x80 {
		return false
	}
	k := 2 + int(raw[1]) // behind the key
	if len(raw) < k+4 || raw[k] != value || int(raw[k+1]) != len(raw)-k-2 || raw[k+1] >= 0x80 {
		return false
	}
	v := raw[k+2:]
	switch v[0] {
	case 1<<3 | wireBytes:
		if int(v[1]) != len(v)-2 || v[1] >= 0x80 {
			return false
		}
		a.Type, a.Num, a.Val = TypeString, 0, Part{uint32(at + k + 4), uint32(end)}
	case 2<<3 | wireVarint:
		if len(v) != 2 || v[1] >= 0x80 {
			return false
		}
		a.Type, a.Num, a.Val = TypeBool, uint64(min(v[1], 1)), Part{uint32(at + k + 2), uint32(end)}
	case 3<<3 | wireVarint:
		n, behind := readVarint(v, 1, len(v))
		if behind != len(v) {
			return false
		}
		a.Type, a.Num, a.Val = TypeInt, n, Part{uint32(at + k + 2), uint32(end)}
	case 4<<3 | wireFixed64:
		if len(v) != 9 {
			return false
		}
		a.Type, a.Num, a.Val = TypeDouble, binary.LittleEndian.Uint64(v[1:]), Part{uint32(at + k + 2), uint32(end)}
	default:
		return false
	}
	a.Key = Part{uint32(at + 2), uint32(at + k)}
	if a.Type != TypeString {
		b.text(at+2, at+k)
	} else if !b.ascii(at, end) { // key and value in one go: the bytes around them are below 0x80
		b.text(at+2, at+k)
		b.text(at+k+4, end)
	}
	return true
}

// text counts a text that is not UTF-8. Most are ASCII, and short.
func (b *Batch) text(lo, hi int) {
	if !b.ascii(lo, hi) && !utf8.Valid(b.Raw[lo:hi]) {
		b.InvalidText++
	}
}

// ascii reports whether a stretch of Raw has ASCII alone; it may say no of what begins in the first eight bytes.
func (b *Batch) ascii(lo, hi int) bool {
	const highBits = 0x8080808080808080
	raw := b.Raw[:hi]
	n := hi - lo
	switch {
	case n >= 8:
		high := binary.LittleEndian.Uint64(raw[hi-8:]) // what the steps leave, and some of it twice
		for ; lo < hi-8; lo += 8 {
			high |= binary.LittleEndian.Uint64(raw[lo:])
		}
		return high&highBits == 0
	case hi >= 8:
		return binary.LittleEndian.Uint64(raw[hi-8:])>>(64-8*n)&highBits == 0 // with what stands before it shifted out
	}
	return n == 0
}

// anyValue reads an AnyValue into a. Of several values the last counts, as in any protobuf oneof.
func (b *Batch) anyValue(at, end, depth int, a *AttrRef) (ok, deep bool) {
	a.Type, a.Num, a.Val = TypeEmpty, 0, Part{uint32(at), uint32(end)}
	var f field
	for p := at; p < end; p = f.end {
		if !readField(b.Raw, p, end, &f) {
			return b.fail(p, "broken field in AnyValue"), false
		}
		switch {
		case f.num == 1 && f.wire == wireBytes:
			a.Type, a.Val = TypeString, Part{uint32(f.lo), uint32(f.hi)}
			b.text(f.lo, f.hi)
		case f.num == 2 && f.wire == wireVarint:
			a.Type, a.Num = TypeBool, min(f.val, 1)
		case f.num == 3 && f.wire == wireVarint:
			a.Type, a.Num = TypeInt, f.val
		case f.num == 4 && f.wire == wireFixed64:
			a.Type, a.Num = TypeDouble, f.val
		case (f.num == 5 || f.num == 6) && f.wire == wireBytes:
			a.Type, a.Val = TypeArray, Part{uint32(at), uint32(end)}
			if f.num == 6 {
				a.Type = TypeMap
			}
			if depth+1 > b.limits.Depth {
				return true, true
			}
			ok, d := b.list(f.lo, f.hi, depth+1, f.num == 6)
			if !ok {
				return false, false
			}
			deep = deep || d
		case f.num == 7 && f.wire == wireBytes:
			a.Type, a.Val = TypeBytes, Part{uint32(f.lo), uint32(f.hi)}
		case f.num <= 7:
			return b.fail(p, "field of AnyValue has the wrong type"), false
		}
	}
	return true, deep
}

// list checks an ArrayValue or KeyValueList.
func (b *Batch) list(at, end, depth int, kv bool) (ok, deep bool) {
	var f field
	for ; at < end; at = f.end {
		if !readField(b.Raw, at, end, &f) {
			return b.fail(at, "broken field in an array or map"), false
		}
		if f.num != 1 || f.wire != wireBytes {
			continue
		}
		var a AttrRef
		var d bool
		if kv {
			ok, d = b.keyValue(f.lo, f.hi, depth, &a)
		} else if ok = b.count(f.lo, 1); ok {
			ok, d = b.anyValue(f.lo, f.hi, depth, &a)
		}
		if !ok {
			return false, false
		}
		deep = deep || d
	}
	return true, deep
}
