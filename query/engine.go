package query

import (
	"context"
	"fmt"
	"iter"

	"github.com/clewtrace/clew/trace"
)

// Store is what the engine needs of a store.
type Store interface {
	Traces
	Catalog
}

// Traces is a store's traces.
type Traces interface {
	// Trace returns all spans of a trace; r is a hint where to look first, never a filter. The error is of kind
	// NotFound when there is no such trace.
	Trace(ctx context.Context, id trace.ID, r trace.Range) (*trace.Trace, error)
	// Scan yields whole traces in the order of trace.Position: at least those that sc wants, perhaps more. It fills rep as it
	// goes. It stops at the first error, and when the caller stops.
	Scan(ctx context.Context, sc trace.Scan, rep *trace.ScanReport) iter.Seq2[*trace.Trace, error]
	// Tables hands each span that sc wants to the visitor, and perhaps others: as columns, or, where that is not to be had, in its
	// whole trace, in no order. It fills rep, to the bytes of which it adds.
	Tables(ctx context.Context, sc trace.Scan, rep *trace.ScanReport, v trace.Visitor) error
}

// Catalog is what a store knows without reading spans.
type Catalog interface {
	// Services returns the names of all services, sorted.
	Services(ctx context.Context) ([]string, error)
	// Operations returns a service's operations, sorted by name, then kind. All services' for "".
	Operations(ctx context.Context, service string) ([]trace.Operation, error)
	// Attributes says which attribute keys are in use, or which values of a key, without reading spans.
	Attributes(ctx context.Context, q trace.AttrQuery) (*trace.AttrStats, error)
	// Stats says what is there.
	Stats(ctx context.Context) (trace.Stats, error)
}

// Engine answers questions from a store. Its methods may be called at the same time.
type Engine struct {
	Store  // Trace, Services, Operations, Attributes and Stats are answered as they are
	Limits Limits
}

// New returns an engine over a store, with DefaultLimits.
func New(s Store) *Engine { return &Engine{Store: s, Limits: DefaultLimits()} }

// Request asks for the newest traces that a scan wants.
type Request struct {
	Scan   trace.Scan
	Limit  int    // traces to return; at least 1
	Cursor string // Answer.Cursor of the page before, for the same scan

	NoCursor bool // no next page is wanted: the scan ends with the last trace, and does not look for one more
}

// Answer is one page of traces, newest first.
type Answer struct {
	Traces []*trace.Trace
	Cursor string // of the next page; empty: there is no more
	Report trace.ScanReport
}

// Find returns a page of traces. Errors of kind Invalid are the caller's: a limit below 1, a cursor of another question.
func (e *Engine) Find(ctx context.Context, r Request) (*Answer, error) {
	a := &Answer{}
	var err error
	held := trace.BudgetOf(ctx)
	a.Cursor, a.Report, err = e.Each(ctx, r, func(t *trace.Trace) error {
		a.Traces = append(a.Traces, t)
		return held.Take(t.Memory())
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Each calls fn with each trace of the page that Find would return, in order, and keeps none of them: traces may be large. It stops
// at fn's first error.
func (e *Engine) Each(ctx context.Context, r Request, fn func(*trace.Trace) error) (cursor string, rep trace.ScanReport, err error) {
	if r.Limit < 1 {
		return "", rep, trace.Errorf(trace.Invalid, "limit %d: want at least 1", r.Limit)
	}
	sum := sumOfScan(r.Scan)
	if r.Cursor != "" {
		if err := parseCursor(r.Cursor, &r.Scan.Before, sum); err != nil {
			return "", rep, err
		}
	}
	var last trace.Position
	n, held := 0, trace.BudgetOf(ctx)
	for t, err := range e.Scan(ctx, r.Scan, &rep) {
		if err != nil {
			return "", rep, err
		}
		if !r.Scan.Match(t) {
			continue
		}
		if n == r.Limit {
			cursor = formatCursor(last, sum)
			break
		}
		err := held.Take(eachMemory)
		if err == nil {
			err = fn(t)
		}
		if err != nil {
			return "", rep, err
		}
		last = PositionOf(t)
		if n++; r.NoCursor && n == r.Limit {
			break
		}
	}
	return cursor, rep, nil
}

// PositionOf returns a trace's place in the order of traces.
func PositionOf(t *trace.Trace) trace.Position {
	p := trace.Position{ID: t.ID}
	for i := range t.Spans {
		if i == 0 || t.Spans[i].Start < p.Start {
			p.Start = t.Spans[i].Start
		}
	}
	return p
}

// sumOfScan returns the sum of a scan, wherever it begins.
func sumOfScan(sc trace.Scan) questionSum {
	sc.Before = trace.Position{}
	return sumOf(fmt.Appendf(nil, "%#v", sc))
}
