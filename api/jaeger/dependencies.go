package jaeger

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
)

// dependencySpans is how many spans are read for one answer: about a second of one core.
const dependencySpans = 500_000

const defaultDependencyLookback = 24 * time.Hour

type call struct{ parent, child string }

type dependency struct {
	Parent string `json:"parent"`
	Child  string `json:"child"`
	Calls  uint64 `json:"callCount"`
}

// dependencies counts the calls between services in the traces of a stretch of time. Jaeger has them counted beforehand; here the
// newest traces are read, and a header says so when there were more than the budget allows.
func (a *API) dependencies(r *http.Request) (api.Answer, error) {
	end, ok, err := number(r.URL.Query(), "endTs", "milliseconds")
	if err != nil {
		return api.Answer{}, err
	}
	if !ok {
		end = uint64(time.Now().UnixMilli())
	}
	lookback, ok, err := number(r.URL.Query(), "lookback", "milliseconds")
	if err != nil {
		return api.Answer{}, err
	}
	if !ok {
		lookback = uint64(defaultDependencyLookback.Milliseconds())
	}
	end = min(end, 1<<43) // nanoseconds have to fit
	sc := trace.Scan{Range: trace.Range{From: (end - min(end, lookback)) * 1e6, To: end*1e6 + 999_999}}
	calls := map[call]uint64{}
	var rep trace.ScanReport
	var header map[string]string
	spans := 0
	for t, err := range a.engine.Scan(r.Context(), sc, &rep) {
		if err != nil {
			return api.Answer{}, err
		}
		if !sc.Match(t) {
			continue
		}
		if spans += len(t.Spans); spans > dependencySpans {
			header = map[string]string{"X-Clew-Incomplete": fmt.Sprintf("counted in the newest %d spans", dependencySpans)}
			break
		}
		count(t, calls)
	}
	return api.Answer{Value: body{Data: links(calls, r.FormValue("service"))}, Header: header}, nil
}

// count adds a trace's calls: a span below one of another service is a call of it.
func count(t *trace.Trace, calls map[call]uint64) {
	tree := trace.Arrange(t.Spans)
	for _, row := range tree.Rows {
		if row.Parent < 0 || row.Span < 0 || tree.Rows[row.Parent].Span < 0 {
			continue
		}
		c := call{t.Spans[tree.Rows[row.Parent].Span].Service(), t.Spans[row.Span].Service()}
		if c.parent != c.child {
			calls[c]++
		}
	}
}

// links returns the calls in order of their names; only those of a service, if that is not empty.
func links(calls map[call]uint64, service string) []dependency {
	out := []dependency{}
	for c, n := range calls {
		if service == "" || service == c.parent || service == c.child {
			out = append(out, dependency{c.parent, c.child, n})
		}
	}
	slices.SortFunc(out, func(a, b dependency) int {
		return cmp.Or(cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Child, b.Child))
	})
	return out
}
