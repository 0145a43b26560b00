package query

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

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
// incomplete says why it was not with all of them: there were more than its budget of spans allows, or a part of the store could not be read.
func (e *Engine) Newest(ctx context.Context, sc trace.Scan, fn func(t *trace.Trace)) (incomplete string, err error) {
	var rep trace.ScanReport
	spans := 0
	for t, err := range e.Scan(ctx, sc, &rep) {
		if err != nil {
			return "", err
		}
		if !sc.Match(t) {
			continue
		}
		if spans += len(t.Spans); spans > callSpans {
			return "of the newest traces only", nil
		}
		fn(t)
	}
	return rep.Incomplete, nil
}

// callsTime is how long all traces of a time are read for one count of calls: some 20 million spans on two cores.
const callsTime = 30 * time.Second

// errCallsTime is the cause of the end of a count's time.
var errCallsTime = errors.New("the time of a count of calls is over")

// All calls fn with all traces that have a span in the range of a scan without conditions, in no order, for counts of calls. It holds a trace for
// each worker: fn is called from as many goroutines at once, of which each has a number below workers. incomplete says why it was not with
// all of them: it took longer than a count may, or a part of the store could not be read.
func (e *Engine) All(ctx context.Context, sc trace.Scan, workers int, fn func(worker int, t *trace.Trace)) (incomplete string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, callsTime, errCallsTime)
	defer cancel()
	return e.all(ctx, sc, workers, fn)
}

// all is All until the context's time ends.
func (e *Engine) all(ctx context.Context, sc trace.Scan, workers int, fn func(worker int, t *trace.Trace)) (incomplete string, err error) {
	var rep trace.ScanReport
	sc.Whole = true
	err = e.Tables(ctx, sc, &rep, wholes{workers, func(worker int, t *trace.Trace) error {
		fn(worker, t)
		return nil
	}})
	if err != nil && errors.Is(context.Cause(ctx), errCallsTime) {
		return "counted in a part of the traces: ask for a shorter time", nil
	}
	return rep.Incomplete, err
}

// caller is who calls whom.
type caller struct{ parent, child string }

// callCounts is what one goroutine has counted.
type callCounts map[caller]*Calls

func (cs callCounts) add(p caller, count, errors uint64) {
	c := cs[p]
	if c == nil {
		c = &Calls{Parent: p.parent, Child: p.child}
		cs[p] = c
	}
	c.Count += count
	c.Errors += errors
}

func (cs callCounts) addTrace(t *trace.Trace) {
	tree := trace.Arrange(t.Spans)
	for _, row := range tree.Rows {
		if row.Parent < 0 || row.Span < 0 || tree.Rows[row.Parent].Span < 0 {
			continue
		}
		child := &t.Spans[row.Span]
		p := caller{t.Spans[tree.Rows[row.Parent].Span].Service(), child.Service()}
		if p.parent == p.child {
			continue
		}
		failed := uint64(0)
		if child.IsError() {
			failed = 1
		}
		cs.add(p, 1, failed)
	}
}

// Calls counts the calls between services in all traces that have a span in a range, in order of their names. incomplete is as that of All.
func (e *Engine) Calls(ctx context.Context, r trace.Range) (calls []Calls, incomplete string, err error) {
	counted := make([]callCounts, Workers())
	for i := range counted {
		counted[i] = callCounts{}
	}
	held := trace.BudgetOf(ctx)
	incomplete, err = e.All(ctx, trace.Scan{Range: r, Outline: true}, len(counted), func(worker int, t *trace.Trace) {
		n := len(counted[worker])
		counted[worker].addTrace(t)
		held.Owe(int64(len(counted[worker])-n) * eachMemory)
	})
	if err != nil {
		return nil, "", err
	}
	sum := counted[0]
	for _, theirs := range counted[1:] {
		for p, c := range theirs {
			sum.add(p, c.Count, c.Errors)
		}
	}
	for _, c := range sum {
		calls = append(calls, *c)
	}
	slices.SortFunc(calls, func(a, b Calls) int { return cmp.Or(cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Child, b.Child)) })
	return calls, incomplete, nil
}
