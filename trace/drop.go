package trace

// drop copies what is left, so that Raw holds no refused span when it is read again, and indexes the copy.
func (b *Batch) drop(limits Limits) error {
	refused, invalid := b.Refused, b.InvalidText
	b.reset(without(b.Raw, b.cut), met(limits))
	if !b.traces() {
		return Errorf(Internal, "own copy is not OTLP: %s at byte %d", b.err, b.errAt)
	}
	b.Refused, b.InvalidText, b.limits = refused, invalid, limits
	return nil
}

// met returns the limits for spans that have met these.
func met(l Limits) Limits {
	l.Oldest, l.Newest, l.Items, l.Deleted = 0, 0, 0, nil
	return l
}

// without copies a TracesData message without some of its spans, given in order, each as its field in the ScopeSpans lies. All
// else is copied as it is, fields that are not known here included.
func without(raw []byte, cut []Part) []byte {
	return copyFields(make([]byte, 0, len(raw)), raw, Part{0, uint32(len(raw))}, func(dst []byte, rs *field) []byte {
		if rs.num != 1 {
			return append(dst, raw[rs.at:rs.end]...)
		}
		return appendMessage(dst, 1, func(dst []byte) []byte {
			return copyFields(dst, raw, Part{uint32(rs.lo), uint32(rs.hi)}, func(dst []byte, ss *field) []byte {
				if ss.num != 2 {
					return append(dst, raw[ss.at:ss.end]...)
				}
				return appendMessage(dst, 2, func(dst []byte) []byte {
					return copyFields(dst, raw, Part{uint32(ss.lo), uint32(ss.hi)}, func(dst []byte, f *field) []byte {
						if len(cut) > 0 && f.at == int(cut[0].Lo) {
							cut = cut[1:]
							return dst
						}
						return append(dst, raw[f.at:f.end]...)
					})
				})
			})
		})
	})
}

// copyFields calls fn, which appends to dst, with each field of a part of raw that has been read before.
func copyFields(dst, raw []byte, p Part, fn func(dst []byte, f *field) []byte) []byte {
	var f field
	for at := int(p.Lo); at < int(p.Hi); at = f.end {
		if !readField(raw, at, int(p.Hi), &f) {
			panic("trace: copying a message that was not indexed")
		}
		dst = fn(dst, &f)
	}
	return dst
}
