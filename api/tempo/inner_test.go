package tempo

import (
	"context"
	"iter"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
)

// endless is a store whose scans have one trace, and then never end.
type endless struct{ query.Store }

func (endless) Scan(ctx context.Context, _ trace.Scan, _ *trace.ScanReport) iter.Seq2[*trace.Trace, error] {
	return func(yield func(*trace.Trace, error) bool) {
		if yield(&trace.Trace{Spans: testkit.Sample()}, nil) {
			<-ctx.Done()
			yield(nil, ctx.Err())
		}
	}
}

// TestInnerNames looks for names of events and links where that takes too long: what was found until then is answered, at once the next time; but to
// a client that goes away nothing is.
func TestInnerNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, engine := inner{byTenant: map[string]innerNames{}}, query.New(endless{})
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := k.of(gone, engine); err == nil {
			t.Error("a client that is gone is answered")
		}
		for range 2 {
			names, err := k.of(t.Context(), engine)
			if err != nil || !slices.Contains(names.events, "exception.type") || !slices.Contains(names.links, "why") {
				t.Errorf("%+v, %v", names, err)
			}
		}
	})
}

// bare is a store of so many traces, none of which has an event.
type bare struct {
	query.Store
	traces int
	scans  *int
}

func (b bare) Scan(context.Context, trace.Scan, *trace.ScanReport) iter.Seq2[*trace.Trace, error] {
	*b.scans++
	return func(yield func(*trace.Trace, error) bool) {
		for i := range b.traces {
			id := trace.ID{1, byte(i >> 8), byte(i)}
			if !yield(&trace.Trace{ID: id, Spans: []trace.Span{{TraceID: id, ID: trace.SpanID{1}, Start: uint64(1e18 - i), Resource: &trace.Resource{}, Scope: &trace.Scope{}}}}, nil) {
				return
			}
		}
	}
}

// TestNoInnerNames looks for names where there are none: once for a while among many traces, which takes its time, and each time where there are few yet.
func TestNoInnerNames(t *testing.T) {
	for traces, want := range map[int]int{3: 2, innerTraces + 1: 1} {
		scans := 0
		k, engine := inner{byTenant: map[string]innerNames{}}, query.New(bare{traces: traces, scans: &scans})
		for range 2 {
			if names, err := k.of(t.Context(), engine); err != nil || len(names.events)+len(names.links) > 0 {
				t.Errorf("%d traces: %+v, %v", traces, names, err)
			}
		}
		if scans != want {
			t.Errorf("of %d traces, two questions made %d scans; want %d", traces, scans, want)
		}
	}
}
