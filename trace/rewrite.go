package trace

// Change is what an Edit has done to a message.
type Change uint8

// The changes.
const (
	Same    Change = iota // nothing: the message stays as it is, byte for byte
	Changed               // what was appended takes its place
	Left                  // it is left out; a span's alone can be
)

// Edit changes parts of a batch. Each func appends to dst the new body of a message, given body, the one that there is, and returns dst.
// A nil func leaves all messages of its kind as they are. The calls come in the order in which the messages lie in Raw: i counts
// Batch.Resources, Batch.Scopes and Batch.Spans. A resource or scope that is not there has an empty body, and becomes one if it is Changed.
type Edit struct {
	Resource func(dst []byte, i int, body []byte) ([]byte, Change)
	Scope    func(dst []byte, i int, body []byte) ([]byte, Change)
	Span     func(dst []byte, i int, body []byte) ([]byte, Change)
}

// Rewrite makes the batch the index of other bytes: those that fn appends to dst, and may take from the batch as it is until then. They are
// held to the limits of the batch: spans that break one now are refused, and counted with those refused before. An error says that they are
// no OTLP, or too dense; the batch is then as it was. The memory is the batch's own, and used again.
func (b *Batch) Rewrite(fn func(dst []byte) []byte) error { return b.rewrite(fn, b.limits) }

// rewrite is Rewrite with other limits, for this once.
func (b *Batch) rewrite(fn func(dst []byte) []byte, limits Limits) error {
	raw, refused, invalid, own := b.Raw, b.Refused, b.InvalidText, b.limits
	defer func() { b.limits = own }()
	out := fn(b.own[b.next][:0])
	b.own[b.next] = out
	if err := b.Index(out, limits); err != nil {
		if err := b.Index(raw, met(own)); err != nil { // it was taken before
			return Errorf(Internal, "the batch before the rewriting: %v", err)
		}
		b.Refused, b.InvalidText = refused, invalid
		return err
	}
	b.next = 1 - b.next
	b.Refused.add(&refused)
	b.InvalidText = invalid // what arrived is counted, once
	return nil
}

// add adds the refusals that were there before.
func (r *Refusals) add(before *Refusals) {
	for i, n := range before.Count {
		r.Count[i] += n
	}
	if before.First != "" {
		r.First = before.First
	}
}

// Edit changes the batch. Errors are as of Rewrite. A ResourceSpans or ScopeSpans of which all spans are left out is left out, too.
func (b *Batch) Edit(e *Edit) error {
	return b.editWithin(e, b.limits)
}

func (b *Batch) editWithin(e *Edit, limits Limits) error {
	w := editor{b: b, edit: e}
	return b.rewrite(w.traces, limits)
}

// Keep leaves out the spans for which keep is false, and returns how many those are. It calls keep once for each span, in order.
func (b *Batch) Keep(keep func(i int) bool) (left int, err error) {
	b.left = b.left[:0]
	for i := range b.Spans {
		if !keep(i) {
			b.left = append(b.left, uint32(i))
		}
	}
	if len(b.left) == 0 {
		return 0, nil
	}
	next := b.left
	return len(b.left), b.editWithin(&Edit{Span: func(dst []byte, i int, _ []byte) ([]byte, Change) {
		if len(next) > 0 && int(next[0]) == i {
			next = next[1:]
			return dst, Left
		}
		return dst, Same
	}}, met(b.limits))
}

// editor copies a TracesData message that was indexed, and changes it on the way.
type editor struct {
	b                *Batch
	edit             *Edit
	res, scope, span int // how many began
	kept             int // spans
}

func (w *editor) traces(dst []byte) []byte {
	raw := w.b.Raw
	return copyFields(dst, raw, Part{0, uint32(len(raw))}, func(dst []byte, f *field) []byte {
		if f.num != 1 {
			return append(dst, raw[f.at:f.end]...)
		}
		return w.unlessEmptied(dst, f, w.resourceSpans)
	})
}

// unlessEmptied appends a message that fn copies, unless fn leaves out all spans that are in it.
func (w *editor) unlessEmptied(dst []byte, f *field, fn func(dst []byte, p Part) []byte) []byte {
	at, spans, kept := len(dst), w.span, w.kept
	dst = appendMessage(dst, int(f.num), func(dst []byte) []byte { return fn(dst, Part{uint32(f.lo), uint32(f.hi)}) })
	if w.span > spans && w.kept == kept {
		return dst[:at]
	}
	return dst
}

func (w *editor) resourceSpans(dst []byte, p Part) []byte {
	i, there := w.res, false
	w.res++
	dst = copyFields(dst, w.b.Raw, p, func(dst []byte, f *field) []byte {
		switch f.num {
		case 1:
			there = true
			return w.message(dst, f, i, w.edit.Resource)
		case 2:
			return w.unlessEmptied(dst, f, w.scopeSpans)
		}
		return append(dst, w.b.Raw[f.at:f.end]...)
	})
	if !there {
		dst = w.message(dst, &field{num: 1}, i, w.edit.Resource)
	}
	return dst
}

func (w *editor) scopeSpans(dst []byte, p Part) []byte {
	i, there := w.scope, false
	w.scope++
	dst = copyFields(dst, w.b.Raw, p, func(dst []byte, f *field) []byte {
		switch f.num {
		case 1:
			there = true
			return w.message(dst, f, i, w.edit.Scope)
		case 2:
			at := len(dst)
			w.span++
			dst = w.message(dst, f, w.span-1, w.edit.Span)
			if len(dst) > at {
				w.kept++
			}
			return dst
		}
		return append(dst, w.b.Raw[f.at:f.end]...)
	})
	if !there {
		dst = w.message(dst, &field{num: 1}, i, w.edit.Scope)
	}
	return dst
}

// message appends a message as fn changes it.
func (w *editor) message(dst []byte, f *field, i int, fn func([]byte, int, []byte) ([]byte, Change)) []byte {
	raw := w.b.Raw
	if fn == nil {
		return append(dst, raw[f.at:f.end]...)
	}
	at, change := len(dst), Same
	dst = appendMessage(dst, int(f.num), func(dst []byte) []byte {
		dst, change = fn(dst, i, raw[f.lo:f.hi])
		return dst
	})
	switch change {
	case Same:
		return append(dst[:at], raw[f.at:f.end]...)
	case Left:
		return dst[:at]
	}
	return dst
}

// Split makes part a batch of copies of those of b's resources for which in is true, with their spans, under b's limits; b stays as it is.
func (b *Batch) Split(part *Batch, in func(resource int) bool) error {
	part.reset(nil, b.limits)
	return part.rewrite(func(dst []byte) []byte { return b.appendResources(dst, in) }, met(b.limits))
}

// Join puts part, as it has become since b was split, in the place of what it was made of; in must be as it was then. It comes last.
// What was refused of part counts as refused of b.
func (b *Batch) Join(part *Batch, in func(resource int) bool) error {
	err := b.rewrite(func(dst []byte) []byte {
		return append(b.appendResources(dst, func(i int) bool { return !in(i) }), part.Raw...)
	}, met(b.limits))
	if err == nil {
		refused := b.Refused
		b.Refused = part.Refused
		b.Refused.add(&refused)
	}
	return err
}

// appendResources appends those ResourceSpans of the batch for which in is true.
func (b *Batch) appendResources(dst []byte, in func(resource int) bool) []byte {
	i := 0
	return copyFields(dst, b.Raw, Part{0, uint32(len(b.Raw))}, func(dst []byte, f *field) []byte {
		if f.num == 1 {
			if i++; !in(i - 1) {
				return dst
			}
		}
		return append(dst, b.Raw[f.at:f.end]...)
	})
}
