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
