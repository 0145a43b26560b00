package tempo

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
)

// Names of attributes of events and links are those in so many of the newest traces, for no statistics count them, and are looked for again after a while.
const (
	innerTraces = 500
	innerAge    = time.Minute
	innerMost   = 5000 // names of each
)

// innerNames is the names of attributes that lie in spans: of their events, and of their links. The most frequent come first.
type innerNames struct {
	events, links []string
	at            time.Time // when they were looked for
}

// inner keeps the names of each tenant.
type inner struct {
	mu       sync.Mutex
	byTenant map[string]innerNames
}

// of returns the names of the context's tenant.
func (k *inner) of(ctx context.Context, engine *query.Engine) (innerNames, error) {
	tenant := trace.TenantOf(ctx)
	k.mu.Lock()
	n, ok := k.byTenant[tenant]
	k.mu.Unlock()
	if ok && time.Since(n.at) < innerAge {
		return n, nil
	}
	events, links := map[string]int{}, map[string]int{}
	note := func(to map[string]int, attrs []trace.Attr) {
		for i := range attrs {
			if to[attrs[i].Key] > 0 || len(to) < innerMost {
				to[attrs[i].Key]++
			}
		}
	}
	within, cancel := context.WithTimeout(ctx, valueTime)
	defer cancel()
	looked := 0
	_, _, err := engine.Each(within, query.Request{Scan: trace.Scan{Outline: true, Details: true}, Limit: innerTraces, NoCursor: true}, func(t *trace.Trace) error {
		looked++
		for i := range t.Spans {
			for j := range t.Spans[i].Events {
				note(events, t.Spans[i].Events[j].Attrs)
			}
			for j := range t.Spans[i].Links {
				note(links, t.Spans[i].Links[j].Attrs)
			}
		}
		return nil
	})
	if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
		return innerNames{}, err
	}
	n = innerNames{byCount(events), byCount(links), time.Now()}
	// Where there are few traces yet, the first names shall be seen at once.
	if len(n.events)+len(n.links) > 0 || looked == innerTraces || err != nil {
		k.mu.Lock()
		k.byTenant[tenant] = n
		k.mu.Unlock()
	}
	return n, nil
}

func byCount(n map[string]int) []string {
	return slices.SortedFunc(maps.Keys(n), func(a, b string) int {
		return cmp.Or(cmp.Compare(n[b], n[a]), cmp.Compare(a, b))
	})
}
