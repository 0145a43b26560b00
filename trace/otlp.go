package trace

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// Pack makes batch the batch of spans, encoded as OTLP and indexed under limits: the way in for formats that are
// decoded to spans first. Neighbouring spans with the same Resource and Scope pointers share them.
func Pack(batch *Batch, spans []Span, limits Limits) error {
	return batch.Index(AppendTraces(nil, spans), limits)
}

// AppendTraces appends spans as an OTLP TracesData message. Neighbours with the same Resource and Scope pointers share them.
func AppendTraces(b []byte, spans []Span) []byte {
	for i := 0; i < len(spans); {
		res := spans[i].Resource
		j := i + 1
		for j < len(spans) && spans[j].Resource == res {
			j++
		}
		b = appendMessage(b, 1, func(b []byte) []byte { return appendResourceSpans(b, spans[i:j]) })
		i = j
	}
	return b
}

// GroupSpans puts the spans of a resource together, and among them those of a scope, each in the order in which they come: AppendTraces then writes
// resource and scope once.
func GroupSpans(spans []Span) {
	resources, scopes := map[*Resource]int{}, map[*Scope]int{}
	for i := range spans {
		if _, ok := resources[spans[i].Resource]; !ok {
			resources[spans[i].Resource] = len(resources)
		}
		if _, ok := scopes[spans[i].Scope]; !ok {
			scopes[spans[i].Scope] = len(scopes)
		}
	}
	slices.SortStableFunc(spans, func(a, b Span) int {
		return cmp.Or(resources[a.Resource]-resources[b.Resource], scopes[a.Scope]-scopes[b.Scope])
	})
}

func appendResourceSpans(b []byte, spans []Span) []byte {
	if res := spans[0].Resource; res != nil {
		b = appendMessage(b, 1, func(b []byte) []byte { return AppendResource(b, res) })
		b = appendText(b, 3, res.SchemaURL)
	}
	for i := 0; i < len(spans); {
		scope := spans[i].Scope
		j := i + 1
		for j < len(spans) && spans[j].Scope == scope {
			j++
		}
		b = appendMessage(b, 2, func(b []byte) []byte {
			if scope != nil {
				b = appendMessage(b, 1, func(b []byte) []byte { return AppendScope(b, scope) })
				b = appendText(b, 3, scope.SchemaURL)
			}
			for k := i; k < j; k++ {
				b = appendMessage(b, 2, func(b []byte) []byte { return AppendSpan(b, &spans[k]) })
			}
			return b
		})
		i = j
	}
	return b
}

// AppendResource appends the body of an OTLP Resource message; the schema URL is not part of it.
func AppendResource(b []byte, r *Resource) []byte {
	b = appendAttrs(b, 1, r.Attrs)
	return appendUint(b, 2, uint64(r.Dropped))
}

// AppendScope appends the body of an OTLP InstrumentationScope message; the schema URL is not part of it.
func AppendScope(b []byte, s *Scope) []byte {
	b = appendText(b, 1, s.Name)
	b = appendText(b, 2, s.Version)
	b = appendAttrs(b, 3, s.Attrs)
	return appendUint(b, 4, uint64(s.Dropped))
}

// AppendSpan appends the body of an OTLP Span message; resource and scope are not part of it.
func AppendSpan(b []byte, s *Span) []byte {
	b = appendBytes(b, 1, s.TraceID[:])
	b = appendBytes(b, 2, s.ID[:])
	b = appendText(b, 3, s.State)
	if !s.Parent.IsZero() {
		b = appendBytes(b, 4, s.Parent[:])
	}
	b = appendText(b, 5, s.Name)
	b = appendUint(b, 6, uint64(s.Kind))
	b = appendFixed64(b, 7, s.Start)
	b = appendFixed64(b, 8, s.End)
	b = appendAttrs(b, 9, s.Attrs)
	b = appendUint(b, 10, uint64(s.Dropped))
	for i := range s.Events {
		b = appendMessage(b, 11, func(b []byte) []byte {
			e := &s.Events[i]
			b = appendFixed64(b, 1, e.Time)
			b = appendText(b, 2, e.Name)
			b = appendAttrs(b, 3, e.Attrs)
			return appendUint(b, 4, uint64(e.Dropped))
		})
	}
	b = appendUint(b, 12, uint64(s.DroppedEvents))
	for i := range s.Links {
		b = appendMessage(b, 13, func(b []byte) []byte { return appendLink(b, &s.Links[i]) })
	}
	b = appendUint(b, 14, uint64(s.DroppedLinks))
	if s.Status != StatusUnset || s.StatusMessage != "" {
		b = appendMessage(b, 15, func(b []byte) []byte {
			b = appendText(b, 2, s.StatusMessage)
			return appendUint(b, 3, uint64(s.Status))
		})
	}
	return appendFixed32(b, 16, s.Flags)
}

func appendLink(b []byte, l *Link) []byte {
	b = appendBytes(b, 1, l.TraceID[:])
	b = appendBytes(b, 2, l.SpanID[:])
	b = appendText(b, 3, l.State)
	b = appendAttrs(b, 4, l.Attrs)
	b = appendUint(b, 5, uint64(l.Dropped))
	return appendFixed32(b, 6, l.Flags)
}

func appendAttrs(b []byte, num int, attrs []Attr) []byte {
	for i := range attrs {
		b = appendMessage(b, num, func(b []byte) []byte { return appendKeyValue(b, &attrs[i]) })
	}
	return b
}

// AppendSpanAttr appends an attribute as a field of an OTLP Span message, as DecodeRest reads it.
func AppendSpanAttr(b []byte, a Attr) []byte {
	return appendMessage(b, 9, func(b []byte) []byte { return appendKeyValue(b, &a) })
}

func appendKeyValue(b []byte, a *Attr) []byte {
	b = appendText(b, 1, a.Key)
	return appendMessage(b, 2, func(b []byte) []byte { return AppendValue(b, a.Value) })
}

// AppendValue appends the body of an OTLP AnyValue message.
func AppendValue(b []byte, v Value) []byte {
	switch v.typ {
	case TypeString:
		return appendBytes(b, 1, v.str)
	case TypeBool:
		return binary.AppendUvarint(appendTag(b, 2, wireVarint), v.num)
	case TypeInt:
		return binary.AppendUvarint(appendTag(b, 3, wireVarint), v.num)
	case TypeDouble:
		return binary.LittleEndian.AppendUint64(appendTag(b, 4, wireFixed64), v.num)
	case TypeArray:
		return appendMessage(b, 5, func(b []byte) []byte {
			for i := range v.list {
				b = appendMessage(b, 1, func(b []byte) []byte { return AppendValue(b, v.list[i].Value) })
			}
			return b
		})
	case TypeMap:
		return appendMessage(b, 6, func(b []byte) []byte { return appendAttrs(b, 1, v.list) })
	case TypeBytes:
		return appendBytes(b, 7, v.str)
	}
	return b
}

// Decode returns the batch's spans. Spans of one resource or scope share it by pointer.
func (b *Batch) Decode() ([]Span, error) {
	resources := make([]*Resource, len(b.Resources))
	for i, ref := range b.Resources {
		r, err := DecodeResource(b.Bytes(ref.Body))
		if err != nil {
			return nil, err
		}
		r.SchemaURL = string(b.Bytes(ref.SchemaURL))
		resources[i] = r
	}
	scopes := make([]*Scope, len(b.Scopes))
	for i, ref := range b.Scopes {
		s, err := DecodeScope(b.Bytes(ref.Body))
		if err != nil {
			return nil, err
		}
		s.SchemaURL = string(b.Bytes(ref.SchemaURL))
		scopes[i] = s
	}
	spans := make([]Span, len(b.Spans))
	for i := range b.Spans {
		ref, s := &b.Spans[i], &spans[i]
		*s = Span{
			TraceID: ref.TraceID, ID: ref.ID, Parent: ref.Parent, Flags: ref.Flags, Name: string(b.Bytes(ref.Name)), Kind: ref.Kind,
			Start: ref.Start, End: ref.End, Status: ref.Status, Resource: resources[ref.Resource], Scope: scopes[ref.Scope],
		}
		for _, a := range b.Attrs[ref.AttrLo:ref.AttrHi] {
			v, err := DecodeAttr(a.Type, a.Num, b.Bytes(a.Val))
			if err != nil {
				return nil, err
			}
			s.Attrs = append(s.Attrs, Attr{string(b.Bytes(a.Key)), v})
		}
		for _, p := range b.Rest[ref.RestLo:ref.RestHi] {
			if err := DecodeRest(b.Bytes(p), s); err != nil {
				return nil, err
			}
		}
	}
	return spans, nil
}

// DecodeAttr returns the value that an AttrRef of a type with Num and the bytes of Val stands for.
func DecodeAttr(t ValueType, num uint64, val []byte) (Value, error) {
	switch t {
	case TypeString, TypeBytes:
		return Value{typ: t, str: string(val)}, nil
	case TypeBool, TypeInt, TypeDouble:
		return Value{typ: t, num: num}, nil
	}
	return DecodeValue(val)
}

var errBroken = Errorf(Corrupt, "broken OTLP bytes")

// each calls fn with each field of a message.
func each(b []byte, fn func(f *field) error) error {
	var f field
	for at := 0; at < len(b); at = f.end {
		if !readField(b, at, len(b), &f) {
			return errBroken
		}
		if err := fn(&f); err != nil {
			return err
		}
	}
	return nil
}

// DecodeResource reads the body of a Resource message. Errors, here and below, are of kind Corrupt.
func DecodeResource(b []byte) (*Resource, error) {
	r := &Resource{}
	err := each(b, func(f *field) error {
		switch {
		case f.num == 1 && f.wire == wireBytes:
			return decodeAttr(b[f.lo:f.hi], &r.Attrs)
		case f.num == 2 && f.wire == wireVarint:
			r.Dropped = uint32(f.val)
		}
		return nil
	})
	return r, err
}

// DecodeScope reads the body of an InstrumentationScope message.
func DecodeScope(b []byte) (*Scope, error) {
	s := &Scope{}
	err := each(b, func(f *field) error {
		switch {
		case f.num == 1 && f.wire == wireBytes:
			s.Name = string(b[f.lo:f.hi])
		case f.num == 2 && f.wire == wireBytes:
			s.Version = string(b[f.lo:f.hi])
		case f.num == 3 && f.wire == wireBytes:
			return decodeAttr(b[f.lo:f.hi], &s.Attrs)
		case f.num == 4 && f.wire == wireVarint:
			s.Dropped = uint32(f.val)
		}
		return nil
	})
	return s, err
}

// DecodeRest reads fields of a Span message that a SpanRef keeps as Rest into s.
func DecodeRest(b []byte, s *Span) error {
	return each(b, func(f *field) error {
		switch f.num {
		case 3:
			s.State = string(b[f.lo:f.hi])
		case 9: // in the store's catch-all shape attributes are kept as they came
			return decodeAttr(b[f.lo:f.hi], &s.Attrs)
		case 10:
			s.Dropped = uint32(f.val)
		case 11:
			e, err := decodeEvent(b[f.lo:f.hi])
			s.Events = append(s.Events, e)
			return err
		case 12:
			s.DroppedEvents = uint32(f.val)
		case 13:
			l, err := decodeLink(b[f.lo:f.hi])
			s.Links = append(s.Links, l)
			return err
		case 14:
			s.DroppedLinks = uint32(f.val)
		case 15:
			body := b[f.lo:f.hi]
			return each(body, func(f *field) error {
				if f.num == 2 && f.wire == wireBytes {
					s.StatusMessage = string(body[f.lo:f.hi])
				}
				return nil
			})
		}
		return nil
	})
}

func decodeEvent(b []byte) (Event, error) {
	var e Event
	err := each(b, func(f *field) error {
		switch {
		case f.num == 1 && f.wire == wireFixed64:
			e.Time = f.val
		case f.num == 2 && f.wire == wireBytes:
			e.Name = string(b[f.lo:f.hi])
		case f.num == 3 && f.wire == wireBytes:
			return decodeAttr(b[f.lo:f.hi], &e.Attrs)
		case f.num == 4 && f.wire == wireVarint:
			e.Dropped = uint32(f.val)
		}
		return nil
	})
	return e, err
}

func decodeLink(b []byte) (Link, error) {
	var l Link
	err := each(b, func(f *field) error {
		switch {
		case f.num == 1 && f.wire == wireBytes && f.hi-f.lo == len(l.TraceID):
			copy(l.TraceID[:], b[f.lo:f.hi])
		case f.num == 2 && f.wire == wireBytes && f.hi-f.lo == len(l.SpanID):
			copy(l.SpanID[:], b[f.lo:f.hi])
		case f.num == 3 && f.wire == wireBytes:
			l.State = string(b[f.lo:f.hi])
		case f.num == 4 && f.wire == wireBytes:
			return decodeAttr(b[f.lo:f.hi], &l.Attrs)
		case f.num == 5 && f.wire == wireVarint:
			l.Dropped = uint32(f.val)
		case f.num == 6 && f.wire == wireFixed32:
			l.Flags = uint32(f.val)
		}
		return nil
	})
	return l, err
}

func decodeAttr(b []byte, attrs *[]Attr) error {
	var a Attr
	err := each(b, func(f *field) (err error) {
		switch {
		case f.num == 1 && f.wire == wireBytes:
			a.Key = string(b[f.lo:f.hi])
		case f.num == 2 && f.wire == wireBytes:
			a.Value, err = DecodeValue(b[f.lo:f.hi])
		}
		return err
	})
	*attrs = append(*attrs, a)
	return err
}

// DecodeValue reads the body of an AnyValue message. Its depth must have been checked, as Batch.Index does.
func DecodeValue(b []byte) (Value, error) {
	var v Value
	err := each(b, func(f *field) error {
		switch {
		case f.num == 1 && f.wire == wireBytes:
			v = Value{typ: TypeString, str: string(b[f.lo:f.hi])}
		case f.num == 2 && f.wire == wireVarint:
			v = Bool(f.val != 0)
		case f.num == 3 && f.wire == wireVarint:
			v = Int(int64(f.val))
		case f.num == 4 && f.wire == wireFixed64:
			v = Double(math.Float64frombits(f.val))
		case f.num == 5 && f.wire == wireBytes:
			v = Value{typ: TypeArray}
			body := b[f.lo:f.hi]
			return each(body, func(f *field) error {
				if f.num != 1 || f.wire != wireBytes {
					return nil
				}
				e, err := DecodeValue(body[f.lo:f.hi])
				v.list = append(v.list, Attr{Value: e})
				return err
			})
		case f.num == 6 && f.wire == wireBytes:
			v = Value{typ: TypeMap}
			body := b[f.lo:f.hi]
			return each(body, func(f *field) error {
				if f.num != 1 || f.wire != wireBytes {
					return nil
				}
				return decodeAttr(body[f.lo:f.hi], &v.list)
			})
		case f.num == 7 && f.wire == wireBytes:
			v = Value{typ: TypeBytes, str: string(b[f.lo:f.hi])}
		}
		return nil
	})
	return v, err
}
