package wasm

import (
	"errors"
	"fmt"

	"github.com/clewtrace/clew/trace"
)

// replace makes a batch what a module returned for it, s.out, which is believed in nothing: it must be OTLP, within the limits of the batch, and
// its spans must be spans of the batch, by their IDs, in the same order. Whatever is wrong is a failure, and the batch is as it was.
func (s *scratch) replace(b *trace.Batch) error {
	s.ids = s.ids[:0]
	for i := range b.Spans {
		s.ids = append(s.ids, id{b.Spans[i].TraceID, b.Spans[i].ID})
	}
	raw, before := b.Raw, b.Refused
	if err := b.Rewrite(func(dst []byte) []byte { return append(dst, s.out...) }); err != nil {
		return &failure{badOutput, fmt.Errorf("returned what cannot be taken: %w", err)}
	}
	err := refusedNow(&before, &b.Refused)
	if err == nil {
		err = s.known(b)
	}
	if err == nil {
		return nil
	}
	if back := b.Rewrite(func(dst []byte) []byte { return append(dst, raw...) }); back != nil {
		return back
	}
	b.Refused = before
	return &failure{badOutput, err}
}

// refusedNow says what is wrong with a span that was fine before the module had it. That its trace was deleted meanwhile is no fault of the module.
func refusedNow(before, after *trace.Refusals) error {
	for r := range trace.NumReasons {
		if r != trace.Deleted && after.Count[r] > before.Count[r] {
			return fmt.Errorf("returned %d spans that are refused (%s), such as this: %s", after.Count[r]-before.Count[r], r, after.First)
		}
	}
	return nil
}

var errOtherSpans = errors.New("returned spans that it was not given, or in another order")

// known checks that the spans of b are among s.ids, in the same order.
func (s *scratch) known(b *trace.Batch) error {
	next := 0
	for i := range b.Spans {
		want := id{b.Spans[i].TraceID, b.Spans[i].ID}
		for next < len(s.ids) && s.ids[next] != want {
			next++
		}
		if next == len(s.ids) {
			return errOtherSpans
		}
		next++
	}
	return nil
}
