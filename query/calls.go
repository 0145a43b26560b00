package query

import (
	"cmp"
	"context"
	"slices"

	"github.com/clewtrace/clew/trace"
)

// Calls is how often one service called another.
type Calls struct {
	Parent, Child string
	Count, Errors uint64 // Errors: of Count, where the called span failed
}

// callSpans is how many spans are read for one count of calls: about a second of one core.
const callSpans = 500_000

// Newest calls fn with the traces that have a span in the range of a scan without conditions, the newest first, for counts of calls.
// complete is false when there were more than its budget of spans allows.
func (e *Engine) Newest(ctx context.Context, sc trace.Scan, fn func(t *trace.Trace)) (complete bool, err error) {
	var rep trace.ScanReport
	spans := 0
	for t, err := range e.Scan(ctx, sc, &rep) {
		if err != nil {
			return false, err
		}
		if !sc.Match(t) {
			continue
		}
		if spans += len(t.Spans); spans > callSpans {
			return false, nil
		}
		fn(t)
	}
	return rep.Incomplete == "", nil
}

// Calls counts the calls between services in the traces that have a span in a range, in order of their names. It reads the
// newest traces; complete is false when there were more than its budget of spans allows.
func (e *Engine) Calls(ctx context.Context, r trace.Range) (calls []Calls, complete bool, err error) {
	type pair struct{ parent, child string }
	byPair := map[pair]*Calls{}
	complete, err = e.Newest(ctx, trace.Scan{Range: r, Outline: true}, func(t *trace.Trace) {
		tree := trace.Arrange(t.Spans)
		for _, row := range tree.Rows {
			if row.Parent < 0 || row.Span < 0 || tree.Rows[row.Parent].Span < 0 {
				continue
			}
			child := &t.Spans[row.Span]
			p := pair{t.Spans[tree.Rows[row.Parent].Span].Service(), child.Service()}
			if p.parent == p.child {
				continue
			}
			c := byPair[p]
			if c == nil {
				c = &Calls{Parent: p.parent, Child: p.child}
				byPair[p] = c
			}
			c.Count++
			if child.IsError() {
				c.Errors++
			}
		}
	})
	if err != nil {
		return nil, false, err
	}
	for _, c := range byPair {
		calls = append(calls, *c)
	}
	slices.SortFunc(calls, func(a, b Calls) int { return cmp.Or(cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Child, b.Child)) })
	return calls, complete, nil
}
