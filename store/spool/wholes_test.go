package spool

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/clewtrace/clew/trace"
)

// wholeReader takes whole traces.
type wholeReader struct {
	mu     sync.Mutex
	traces map[trace.ID][]trace.Span
}

func (*wholeReader) Workers() int { return 3 }

func (*wholeReader) Table(int, *trace.Table) error {
	return fmt.Errorf("a table in place of whole traces")
}

func (r *wholeReader) Trace(_ int, t *trace.Trace) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.traces[t.ID]; ok {
		return fmt.Errorf("trace %s comes twice", t.ID)
	}
	r.traces[t.ID] = t.Spans
	return nil
}

// checkWholes holds the whole traces that tables hand out for a scan against all that there are, by ID: none is missing that matches, each
// comes once, and each is whole, wherever its parts are.
func checkWholes(ctx context.Context, s *Spool, sc trace.Scan, all func(yield func(trace.ID, []trace.Span) bool)) error {
	sc.Whole = true
	r := wholeReader{traces: map[trace.ID][]trace.Span{}}
	var rep trace.ScanReport
	if err := s.Tables(ctx, sc, &rep, &r); err != nil || rep.Incomplete != "" {
		return fmt.Errorf("%w, %s", err, rep.Incomplete)
	}
	left := len(r.traces)
	for id, want := range all {
		got, ok := r.traces[id]
		if !ok {
			if sc.Match(&trace.Trace{ID: id, Spans: want}) {
				return fmt.Errorf("trace %s is missing", id)
			}
			continue
		}
		left--
		if a, b := wholes(want), wholes(got); !slices.Equal(a, b) {
			return fmt.Errorf("trace %s has %d spans; want %d", id, len(b), len(a))
		}
	}
	if left > 0 {
		return fmt.Errorf("%d traces are not there any more", left)
	}
	return nil
}
