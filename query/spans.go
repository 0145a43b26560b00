package query

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// SpansRequest asks for the spans that a query with spans() finds: those that are left at its end and start in Range.
type SpansRequest struct {
	Query  *traceql.Query // one with Query.Search and Query.Spans
	Range  trace.Range
	Limit  int    // spans to return; at least 1
	Cursor string // SpansAnswer.Cursor of the page before, for the same query and range
	// AllowPartial says that a search that runs out of a budget, or of its context's time, is to be answered with what it has, and
	// Report.Incomplete, instead of an error.
	AllowPartial bool
}

// SpansAnswer is one page of spans in the query's order: those that start last first, unless it says otherwise. Spans that are equal by it are in the
// order of their traces' IDs, then their own.
type SpansAnswer struct {
	Columns []traceql.Field // what is read of each span: what the query selects, or, if it does not say, what it looks at
	Spans   []SpanRow
	Cursor  string // of the next page; empty: there is no more
	Report  Report
	Plan    []string // of a query that begins with explain: what is done, line by line; Spans is empty then
}

// SpanRow is a span that was found. Its Attrs are in the order of SpansAnswer.Columns, without those that are nil.
type SpanRow struct {
	TraceID trace.ID
	FoundSpan
}

// Spans answers a request. Errors are as those of Search.
func (e *Engine) Spans(ctx context.Context, r SpansRequest) (*SpansAnswer, error) {
	s, err := e.newSpanSearch(r)
	if err != nil {
		return nil, err
	}
	s.held = trace.BudgetOf(ctx)
	ended := s.run(ctx)
	if err := s.report.end(ended, r.AllowPartial); err != nil {
		return nil, err
	}
	a := &SpansAnswer{Columns: s.plan.fields, Report: s.report}
	if len(s.found) > r.Limit {
		s.found = s.found[:r.Limit]
		if ended == nil { // else a page that goes on from here would not have what was not looked at
			a.Cursor = formatCursor(s.found[r.Limit-1].at, s.sum)
		}
	}
	for i := range s.found {
		a.Spans = append(a.Spans, s.found[i].SpanRow)
	}
	if r.Query.Explain {
		way := wholeWay
		if s.order.newestFirst() {
			way = windowWay
		}
		a.Plan = s.plan.explain(&s.report, way, fmt.Sprintf("found %d spans", len(a.Spans)))
		a.Spans, a.Cursor = nil, ""
	}
	return a, nil
}

// spanSearch is one search for spans under way.
type spanSearch struct {
	SpansRequest
	engine *Engine
	held   *trace.Budget
	plan   *plan
	sum    questionSum
	order  spanOrder
	after  *spanPlace // where the page begins; nil: at the beginning
	report Report

	mu    sync.Mutex
	found []placedSpan // in order, one more than the limit at most
}

type placedSpan struct {
	SpanRow
	at spanPlace
}

func (e *Engine) newSpanSearch(r SpansRequest) (*spanSearch, error) {
	if r.Query == nil || r.Query.Search == nil || !r.Query.Spans {
		return nil, trace.Errorf(trace.Invalid, "the query does not find spans; end it with spans(), as in { status = error } | spans()")
	}
	if r.Limit < 1 {
		return nil, trace.Errorf(trace.Invalid, "limit %d: want at least 1", r.Limit)
	}
	s := &spanSearch{SpansRequest: r, engine: e, sum: sumOfQuery(r.Query, r.Range), plan: planPipeline(r.Query.Search, r.Range), order: spanOrder{}}
	if o := r.Query.Order; o != nil {
		s.order = spanOrder{*o}
	}
	if r.Cursor != "" {
		s.after = &spanPlace{}
		if err := parseCursor(r.Cursor, s.after, s.sum); err != nil {
			return nil, err
		}
	}
	s.plan.scan.MaxBytes = e.Limits.Bytes
	s.plan.shows(selected(r.Query.Search))
	return s, nil
}

// selected returns the fields that a pipeline selects, each once.
func selected(p *traceql.Pipeline) (fields []traceql.Field) {
	for _, st := range p.Stages {
		if s, ok := st.(*traceql.Select); ok {
			for _, f := range s.Fields {
				if !slices.Contains(fields, f.Field) {
					fields = append(fields, f.Field)
				}
			}
		}
	}
	return fields
}

// shows makes fields, if there are any, the only ones that are answered of a span.
func (p *plan) shows(fields []traceql.Field) {
	if len(fields) == 0 {
		return
	}
	p.fields, p.reads = fields, nil
	for _, f := range fields {
		p.reads = append(p.reads, eval.Fielder(f))
	}
}

// run looks for the page's spans. Those that start last are looked for in windows of time, from the newest on, each larger than the one before:
// stores have no order of spans, but what lies in a window is before all that lies before it.
func (s *spanSearch) run(ctx context.Context) error {
	if s.plan.never {
		return nil
	}
	if s.plan.byID || !s.order.newestFirst() {
		return s.within(ctx, s.Range)
	}
	stats, err := s.engine.Stats(ctx)
	if err != nil {
		return err
	}
	left := s.Range
	if s.after != nil {
		left.To = s.after.Start
	}
	newest, width := stats.Newest, firstWindow(stats, s.Limit)
	if left.To != 0 {
		newest = min(newest, left.To)
	}
	for {
		window := left
		window.From = newest - min(newest, width)
		last := window.From <= max(left.From, stats.Oldest)
		if last {
			window.From = left.From
		}
		if err := s.within(ctx, window); err != nil || last || len(s.found) > s.Limit {
			return err
		}
		left.To, newest = window.From-1, window.From-1
		if width > math.MaxUint64/8 {
			width = math.MaxUint64 / 8
		}
		width *= 8
	}
}

// firstWindow returns how long the first window is, in ns: some pages of what is stored, were it spread evenly, and short, since it is not.
func firstWindow(st trace.Stats, limit int) uint64 {
	const pages, least, most = 4, 1e6, 1e8
	if st.Spans == 0 {
		return most
	}
	return uint64(min(most, max(least, pages*float64(limit)/float64(st.Spans)*float64(st.Newest-st.Oldest))))
}

// within finds spans that start in a window.
func (s *spanSearch) within(ctx context.Context, window trace.Range) error {
	p := *s.plan
	p.scan.Range = window
	before := s.report.ScanReport
	err := s.engine.whole(ctx, &p, &s.report, func(_ int, c *eval.Context, sets []eval.Set) error {
		for _, set := range sets {
			s.add(c, set.Spans, window)
		}
		return nil
	})
	s.report.ScanReport = joined(before, s.report.ScanReport)
	return err
}

// joined returns a report of two scans, the bytes of the second of which are those of both. What the shorter one read the longer one mostly reads, too.
func joined(a, b trace.ScanReport) trace.ScanReport {
	all := max(a.Blocks+a.BlocksSkipped, b.Blocks+b.BlocksSkipped)
	b.Blocks = max(a.Blocks, b.Blocks)
	b.BlocksSkipped = all - b.Blocks
	b.Groups += a.Groups
	b.Shapes, b.ShapesKept = a.Shapes+b.Shapes, a.ShapesKept+b.ShapesKept
	if b.Incomplete == "" {
		b.Incomplete = a.Incomplete
	}
	return b
}

// add keeps those of a trace's spans that start in the window and belong to the page.
func (s *spanSearch) add(c *eval.Context, spans []int32, window trace.Range) {
	first, last := uint64(0), uint64(0)
	if s.order.Key == traceql.ByTraceDuration {
		first, last = c.Bounds()
	}
	twins := twins(c.Trace.Spans)
	for _, i := range spans {
		a := c.At(int(i))
		if !window.Contains(a.Span.Start) {
			continue
		}
		at := spanPlace{Start: a.Span.Start, Trace: a.Span.TraceID, Span: a.Span.ID}
		if twins != nil {
			at.Twin = twins[i]
		}
		switch s.order.Key {
		case traceql.ByDuration:
			at.Key = uint64(a.Span.Duration())
		case traceql.ByTraceDuration:
			at.Key = last - min(last, first)
		}
		s.mu.Lock()
		s.place(a, at)
		s.mu.Unlock()
	}
}

// place keeps a span if it is one of the first.
func (s *spanSearch) place(a eval.At, at spanPlace) {
	if s.after != nil && s.order.compare(at, *s.after) <= 0 {
		return
	}
	i, known := slices.BinarySearchFunc(s.found, at, func(p placedSpan, q spanPlace) int { return s.order.compare(p.at, q) })
	if known || i > s.Limit {
		return // by() puts a span into each group that it belongs to
	}
	row := placedSpan{SpanRow{a.Span.TraceID, s.plan.describe(a)}, at}
	if len(s.found) > s.Limit {
		s.held.Give(forms * spanMemory(&s.found[s.Limit].FoundSpan))
		s.found = s.found[:s.Limit]
	}
	s.held.Owe(forms * spanMemory(&row.FoundSpan))
	s.found = slices.Insert(s.found, i, row)
}

// twins returns, for each span, how many come before it, in the order of trace.CompareSpans, that share its start and ID, as client and server do in
// Zipkin. It is nil if no spans share their ID.
func twins(spans []trace.Span) []uint16 {
	seen, shared := make(map[trace.SpanID]struct{}, len(spans)), false
	for i := range spans {
		_, known := seen[spans[i].ID]
		seen[spans[i].ID], shared = struct{}{}, shared || known
	}
	if !shared {
		return nil
	}
	order := make([]int, len(spans))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return trace.CompareSpans(&spans[a], &spans[b]) })
	out := make([]uint16, len(spans))
	for k := 1; k < len(order); k++ {
		if s, before := &spans[order[k]], &spans[order[k-1]]; s.ID == before.ID && s.Start == before.Start {
			out[order[k]] = out[order[k-1]] + 1
		}
	}
	return out
}

// spanPlace is a span's place in the order of an answer, and so in its cursor.
type spanPlace struct {
	Key   uint64 // what is ordered by, unless that is the start
	Start uint64
	Trace trace.ID
	Span  trace.SpanID
	Twin  uint16
}

// spanOrder is the order of spans: newest first, if it is zero but for its key.
type spanOrder struct{ traceql.Order }

// newestFirst reports whether spans that start later come before all that start earlier.
func (o spanOrder) newestFirst() bool { return o.Key == traceql.ByStartTime && !o.Asc }

// compare returns below 0 if a comes before b, above 0 if after it, and 0 of one and the same place.
func (o spanOrder) compare(a, b spanPlace) int {
	first := cmp.Compare(b.Key, a.Key)
	if o.Key == traceql.ByStartTime {
		first = cmp.Compare(b.Start, a.Start)
	}
	if o.Asc {
		first = -first
	}
	return cmp.Or(first, cmp.Compare(b.Start, a.Start), bytes.Compare(a.Trace[:], b.Trace[:]), bytes.Compare(a.Span[:], b.Span[:]), cmp.Compare(a.Twin, b.Twin))
}
