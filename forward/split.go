package forward

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// splitter copies some of the spans of a TracesData message into messages of its own, none larger than max bytes unless a single span is.
// Resource and scope, and whatever else is beside the spans, are in each of them. It is of one goroutine.
type splitter struct {
	max   int
	alone bool                                  // each resource in messages of its own
	keep  func(n int) bool                      // whether the nth span is to be copied; nil: all are
	emit  func(message []byte, spans int) error // is called with each; the message is valid during the call

	span                          int    // number of the next
	spans                         int    // copied and not emitted
	out, resource, scope          []byte // the bodies of the messages being written
	resourceRest, scopeRest       []byte // what is beside the spans of those
	resourceWritten, scopeWritten int    // spans in resource and in scope
}

const spansField = 2 // of ResourceSpans: the ScopeSpans, of ScopeSpans: the spans

// split walks a message, which must be well-formed as trace.Batch.Index sees it. Errors are emit's.
func (s *splitter) split(raw []byte) error {
	s.span, s.spans = 0, 0
	s.out, s.resource, s.scope = s.out[:0], s.resource[:0], s.scope[:0]
	s.resourceWritten, s.scopeWritten = 0, 0
	err := fields(raw, func(number protowire.Number, body, _ []byte) error {
		if number != 1 || body == nil {
			return nil
		}
		s.resourceRest = rest(s.resourceRest[:0], body)
		return fields(body, s.scopeSpans, s.endResource)
	})
	if err != nil {
		return err
	}
	return s.flush()
}

func (s *splitter) scopeSpans(number protowire.Number, body, _ []byte) error {
	if number != spansField || body == nil {
		return nil
	}
	s.scopeRest = rest(s.scopeRest[:0], body)
	return fields(body, s.oneSpan, s.endScope)
}

func (s *splitter) oneSpan(number protowire.Number, body, whole []byte) error {
	if number != spansField || body == nil {
		return nil
	}
	n := s.span
	s.span++
	if s.keep != nil && !s.keep(n) {
		return nil
	}
	size := len(s.out) + len(s.resource) + len(s.scope) + len(whole) + len(s.resourceRest) + len(s.scopeRest) + 3*(1+binary.MaxVarintLen32)
	if s.spans > 0 && size > s.max {
		if err := s.cut(); err != nil {
			return err
		}
	}
	s.scope = append(s.scope, whole...)
	s.spans++
	s.scopeWritten++
	s.resourceWritten++
	return nil
}

// cut emits what is there in the midst of a scope.
func (s *splitter) cut() error {
	if err := s.endScope(); err != nil {
		return err
	}
	s.closeResource()
	return s.flush()
}

func (s *splitter) endScope() error {
	if s.scopeWritten > 0 {
		s.resource = appendTag(s.resource, spansField, len(s.scopeRest)+len(s.scope))
		s.resource = append(append(s.resource, s.scopeRest...), s.scope...)
	}
	s.scope, s.scopeWritten = s.scope[:0], 0
	return nil
}

func (s *splitter) endResource() error {
	s.closeResource()
	if s.alone {
		return s.flush()
	}
	return nil
}

func (s *splitter) closeResource() {
	if s.resourceWritten > 0 {
		s.out = appendTag(s.out, 1, len(s.resourceRest)+len(s.resource))
		s.out = append(append(s.out, s.resourceRest...), s.resource...)
	}
	s.resource, s.resourceWritten = s.resource[:0], 0
}

func (s *splitter) flush() error {
	if s.spans == 0 {
		return nil
	}
	err := s.emit(s.out, s.spans)
	s.out, s.spans = s.out[:0], 0
	return err
}

// rest appends the fields of a ResourceSpans or ScopeSpans that are beside the spans.
func rest(dst, raw []byte) []byte {
	_ = fields(raw, func(number protowire.Number, body, whole []byte) error {
		if number != spansField || body == nil {
			dst = append(dst, whole...)
		}
		return nil
	})
	return dst
}

// fields calls fn with each field of a message: its number, its body if it is of bytes, else nil, and all of it with its tag; and then with
// each of what is to be done at the end.
func fields(raw []byte, fn func(number protowire.Number, body, whole []byte) error, end ...func() error) error {
	for len(raw) > 0 {
		number, wire, tag := protowire.ConsumeTag(raw)
		if tag < 0 {
			return protowire.ParseError(tag)
		}
		n := protowire.ConsumeFieldValue(number, wire, raw[tag:])
		if n < 0 {
			return protowire.ParseError(n)
		}
		var body []byte
		if wire == protowire.BytesType {
			body, _ = protowire.ConsumeBytes(raw[tag:])
			if body == nil {
				body = []byte{}
			}
		}
		if err := fn(number, body, raw[:tag+n]); err != nil {
			return err
		}
		raw = raw[tag+n:]
	}
	for _, fn := range end {
		if err := fn(); err != nil {
			return err
		}
	}
	return nil
}

// appendTag appends the tag and the length of a field of bytes.
func appendTag(b []byte, number protowire.Number, length int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.BytesType), uint64(length))
}
