package spool

import (
	"context"
	"slices"

	"github.com/clewtrace/clew/trace"
)

// planWholes finds out which traces are not to be read from groups alone, because a part of them is elsewhere, and which traces of heads match.
func (t *tables) planWholes() error {
	for _, h := range t.state.heads() {
		h.mu.RLock()
		for i := range h.chains {
			t.apart[idHash(h.chains[i].id)] = true
		}
		stretches := (len(h.chains) + stretchChains - 1) / stretchChains
		if !t.scan.Range.Overlaps(h.oldest, h.newest) {
			stretches = 0
		}
		h.mu.RUnlock()
		sn := t.scanner(nil)
		for n := range stretches {
			if err := sn.stretch(h, n); err != nil {
				return err
			}
		}
		for id := range sn.seen {
			t.whole[id] = true
		}
		if stretches > 0 {
			t.rep.Blocks++
			t.rep.Groups++
			t.rep.Shapes += sn.rep.Shapes
			t.rep.ShapesKept += sn.rep.ShapesKept
		}
	}
	return nil
}

// scanner returns what looks for matches, with a report of its own.
func (t *tables) scanner(r *reader) *scanner {
	return &scanner{
		scan: t.scan, sought: t.sought, state: t.state, reader: r, rep: &trace.ScanReport{},
		seen: map[trace.ID]bool{}, blocks: map[*block]bool{}, heads: map[*head]bool{},
	}
}

// wholes hands out the traces of one group that match. Those of which a part may be elsewhere are left for later.
func (t *tables) wholes(ctx context.Context, w *tableWorker, i int) error {
	at := t.groups[i]
	ok, read := at.block.mayHave(at.index, t.sought)
	if w.reader.read += read; !ok {
		return nil
	}
	sn := t.scanner(w.reader)
	g := sn.open(at, nil)
	if g == nil {
		t.note(at.block, errColumn)
		return nil
	}
	t.note(at.block, nil)
	t.keep(g.possible)
	for k := range g.traces {
		if !sn.matches(g, k) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.one(w, g.group, k); err != nil {
			return err
		}
	}
	if sn.rep.Incomplete != "" {
		t.note(at.block, errColumn)
	}
	return nil
}

// one hands out trace k of a group.
func (t *tables) one(w *tableWorker, g *group, k int) error {
	id := g.traces[k].id
	if t.state.deleted.has(id) {
		return nil
	}
	var spans []trace.Span
	if !t.elsewhere(idHash(id)) {
		if err := w.reader.hold(spanMemory * g.spansOf(k)); err != nil {
			return err
		}
		spans = g.spans(k, w.reader.want)
		if err := w.reader.holdSpans(spans); err != nil {
			return err
		}
	}
	defer w.reader.drop()
	if spans == nil || repeated(spans) {
		t.mu.Lock()
		t.whole[id] = true
		t.mu.Unlock()
		return nil
	}
	return t.visitor.Trace(w.number, &trace.Trace{ID: id, Spans: spans})
}

// elsewhere reports whether a trace may have a part that is not in the one place where it was found.
func (t *tables) elsewhere(hash uint64) bool {
	return t.apart[hash] || slices.ContainsFunc(t.far, func(b *block) bool { return b.mayHaveTrace(hash) })
}

// spans returns the spans of trace k of the group. What is damaged is reported and left out.
func (g *group) spans(k int, w *want) []trace.Span {
	ats := g.ats(k, nil)
	out := make([]trace.Span, 0, len(ats))
	for _, a := range ats {
		var s trace.Span
		if err := a.span(g.traces[k].id, w, &s); err != nil {
			_ = g.block.lost(g.info.Offset+g.sections[a.shape].Offset, err)
			continue
		}
		out = append(out, s)
	}
	return out
}
