package process

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// span appends the body of a span as the rules have it.
func (r *Redactor) span(dst, body []byte) []byte {
	for len(body) > 0 {
		var f wireField
		f, body = next(body)
		switch f.num {
		case 5:
			dst = r.field(dst, &f)
		case 9:
			dst = r.attr(dst, &f)
		case 11, 13:
			dst = r.nested(dst, &f)
		case 15:
			dst = appendMessage(dst, f.num, func(dst []byte) []byte {
				for body := f.body; len(body) > 0; {
					var m wireField
					if m, body = next(body); m.num == 2 && m.wire == protowire.BytesType {
						dst = r.field(dst, &m)
					} else {
						dst = append(dst, m.raw...)
					}
				}
				return dst
			})
		default:
			dst = append(dst, f.raw...)
		}
	}
	return dst
}

// nested appends an event or a link.
func (r *Redactor) nested(dst []byte, f *wireField) []byte {
	return appendMessage(dst, f.num, func(dst []byte) []byte {
		for body := f.body; len(body) > 0; {
			var m wireField
			m, body = next(body)
			switch {
			case m.wire == protowire.BytesType && m.num == nestedAttrs(f.num):
				dst = r.attr(dst, &m)
			case m.wire == protowire.BytesType && f.num == 11 && m.num == 2:
				dst = r.field(dst, &m)
			default:
				dst = append(dst, m.raw...)
			}
		}
		return dst
	})
}

// field appends a field that is a text.
func (r *Redactor) field(dst []byte, f *wireField) []byte {
	if r.texts == 0 || !r.hitsText(f.body, r.texts) {
		return append(dst, f.raw...)
	}
	out, _ := r.replace(f.body, r.texts)
	return appendField(dst, f.num, out)
}

// attrs appends a message as the rules have its attributes.
func (r *Redactor) attrs(dst, body []byte, num protowire.Number) ([]byte, trace.Change) {
	if !r.hitsAttrs(body, num) {
		return dst, trace.Same
	}
	for len(body) > 0 {
		var f wireField
		if f, body = next(body); f.num == num && f.wire == protowire.BytesType {
			dst = r.attr(dst, &f)
		} else {
			dst = append(dst, f.raw...)
		}
	}
	return dst, trace.Changed
}

// attr appends an attribute, unless it is dropped.
func (r *Redactor) attr(dst []byte, f *wireField) []byte {
	key, value := keyValue(f.body)
	v := r.of(key)
	switch {
	case v.whole && v.action == Drop:
		return dst
	case v.whole:
		return appendMessage(dst, f.num, func(dst []byte) []byte {
			dst = appendField(dst, 1, key)
			return appendMessage(dst, 2, func(dst []byte) []byte {
				return appendMessage(dst, 1, func(dst []byte) []byte { return r.put(dst, textValue(value), v.action) })
			})
		})
	case v.patterns == 0 || !r.hitsValue(value, v.patterns):
		return append(dst, f.raw...)
	}
	at, drop := len(dst), false
	dst = appendMessage(dst, f.num, func(dst []byte) []byte {
		dst = appendField(dst, 1, bytes.Clone(key)) // which lies in what is read
		return appendMessage(dst, 2, func(dst []byte) []byte {
			dst, drop = r.value(dst, value, v.patterns)
			return dst
		})
	})
	if drop {
		return dst[:at]
	}
	return dst
}

// value appends the body of an AnyValue. drop says that the attribute is not to be kept.
func (r *Redactor) value(dst, value []byte, rules uint64) (out []byte, drop bool) {
	for len(value) > 0 {
		var f wireField
		f, value = next(value)
		switch {
		case f.wire != protowire.BytesType:
			dst = append(dst, f.raw...)
		case f.num == 1:
			text, gone := r.replace(f.body, rules)
			dst, drop = appendField(dst, 1, text), drop || gone
		case f.num == 5:
			dst = appendMessage(dst, 5, func(dst []byte) []byte {
				for list := f.body; len(list) > 0; {
					var e wireField
					if e, list = next(list); e.num != 1 || e.wire != protowire.BytesType {
						dst = append(dst, e.raw...)
						continue
					}
					dst = appendMessage(dst, 1, func(dst []byte) []byte {
						var gone bool
						dst, gone = r.value(dst, e.body, rules)
						drop = drop || gone
						return dst
					})
				}
				return dst
			})
		case f.num == 6:
			dst = appendMessage(dst, 6, func(dst []byte) []byte {
				dst, _ = r.attrs(dst, f.body, 1) // those that are dropped are gone from the map alone
				if !r.hitsAttrs(f.body, 1) {
					dst = append(dst, f.body...)
				}
				return dst
			})
		default:
			dst = append(dst, f.raw...)
		}
	}
	return dst, drop
}
