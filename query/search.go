package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// SearchRequest asks for the traces that a query finds. A trace is evaluated whole; it counts as found if one of the spans that are left at the
// query's end starts in Range.
type SearchRequest struct {
	Query  *traceql.Query // one with Query.Search
	Range  trace.Range
	Limit  int    // traces to return; at least 1
	Spans  int    // spans to return of each set, the earliest ones; 0: none
	Cursor string // SearchAnswer.Cursor of the page before, for the same query and range

	NoCursor bool // no next page is wanted: the search ends with the last trace, and does not look for one more

	// Partial is called with each trace as soon as its place in the answer is certain, in the answer's order; traces of an order other than
	// newest first are certain at the end. An error ends the search with it. May be nil.
	Partial func(*FoundTrace) error
	// AllowPartial says that a search that runs out of a budget, or of its context's time, is to be answered with what it has, and
	// Report.Incomplete, instead of an error.
	AllowPartial bool
}

// SearchAnswer is one page of traces in the query's order: newest first unless it says otherwise.
type SearchAnswer struct {
	Traces []FoundTrace
	Cursor string // of the next page; empty: there is no more
	Report Report
	Plan   []string // of a query that begins with explain: what is done, line by line; Traces is empty then
}

// FoundTrace is a trace that was found.
type FoundTrace struct {
	ID                    trace.ID
	RootService, RootName string // of the earliest span without a parent; both empty if Rootless
	Rootless              bool   // no such span has arrived
	Start, End            uint64 // Unix ns, of the earliest and the latest of its spans
	Spans, Errors         int    // of the whole trace; Errors: with status error
	Services              []ServiceCount
	Sets                  []FoundSet // at least one
}

// Duration returns how long the whole trace took.
func (t *FoundTrace) Duration() time.Duration { return max(0, time.Duration(t.End-t.Start)) }

// ServiceCount is how many spans of a trace a service has. They are in order of their names.
type ServiceCount struct {
	Name          string
	Spans, Errors int
}

// FoundSet is a set of spans of a trace: all that were found, or, after by(), those of one group.
type FoundSet struct {
	By      []eval.Label // what by() grouped by
	Matched int          // spans in the set
	Spans   []FoundSpan  // the earliest of them
}

// FoundSpan is a span that was found.
type FoundSpan struct {
	ID     trace.SpanID
	Parent trace.SpanID
	Name   string
	// Service, Kind and Status are what a line of a list shows.
	Service    string
	Kind       trace.Kind
	Status     trace.StatusCode
	Start, End uint64       // Unix ns
	Attrs      []FieldValue // the fields that the query looks at or selects, those that are not nil, in the order of the query
}

// FieldValue is a field of a span and its value; if it has several, as events do, they are a list.
type FieldValue struct {
	Field traceql.Field
	Value eval.Value
}

// Report says what a query read. The zero Report is of a complete answer for which nothing was read.
type Report struct {
	trace.ScanReport       // Incomplete: why something was left out
	Traces           int   // evaluated
	Spans            int64 // of these
}

// Limits bound what one query may cost.
type Limits struct {
	Spans int64 // to be evaluated; 0: no limit
	Bytes int64 // to be read from blocks, compressed; 0: no limit
}

// DefaultLimits are those of an Engine that is not told otherwise: some minutes of one core.
func DefaultLimits() Limits { return Limits{Spans: 200_000_000, Bytes: 64 << 30} }

// Search answers a request. Errors of kind Invalid are the caller's: a limit below 1, a cursor of another query, metrics. Of kind TooLarge are those of a
// budget that was used up, which they name.
func (e *Engine) Search(ctx context.Context, r SearchRequest) (*SearchAnswer, error) {
	s, err := e.newSearch(r)
	if err != nil {
		return nil, err
	}
	s.held = trace.BudgetOf(ctx)
	if r.Query.Explain {
		s.Partial = nil
	}
	if err := s.run(ctx); err != nil {
		if err := s.report.end(err, r.AllowPartial); err != nil {
			return nil, err
		}
		if err := s.finish(); err != nil {
			return nil, err
		}
		s.next = "" // a page that goes on from here would not have what was not looked at
	}
	a := &SearchAnswer{Traces: s.found, Cursor: s.next, Report: s.report}
	if r.Query.Explain {
		way := wholeWay
		if s.newestFirst() {
			way = newestWay
		}
		a.Plan = s.plan.explain(&s.report, way, fmt.Sprintf("found %d traces", len(a.Traces)))
		a.Traces, a.Cursor = nil, ""
	}
	return a, nil
}

// end returns the error to answer with when a query ended with err. If a part of the answer will do, and err is of a budget or of time, it is nil:
// what was found until then is the answer, and the report says why it is a part.
func (r *Report) end(err error, partial bool) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = &trace.Error{Kind: trace.TooLarge, Msg: "the query took longer than the time it is allowed; ask for a shorter range, or for something rarer", Err: err}
	} else if !errors.Is(err, trace.ErrBudget) {
		return err
	}
	if !partial {
		return err
	}
	r.Incomplete = trace.ErrorOf(err).Msg
	return nil
}

// search is one search under way.
type search struct {
	SearchRequest
	engine *Engine
	held   *trace.Budget
	plan   *plan
	sum    questionSum
	after  place // where the page begins
	report Report
	found  []FoundTrace
	places []place // of found
	next   string
}

func (e *Engine) newSearch(r SearchRequest) (*search, error) {
	if r.Query == nil || r.Query.Search == nil {
		return nil, trace.Errorf(trace.Invalid, "the query is one of metrics, which has series and finds no traces")
	}
	if r.Query.Spans {
		return nil, trace.Errorf(trace.Invalid, "spans() has no form in this API, which finds traces; GET /api/v1/query and clew query answer it")
	}
	if r.Limit < 1 {
		return nil, trace.Errorf(trace.Invalid, "limit %d: want at least 1", r.Limit)
	}
	s := &search{SearchRequest: r, engine: e, sum: sumOfQuery(r.Query, r.Range)}
	if r.Cursor != "" {
		if err := parseCursor(r.Cursor, &s.after, s.sum); err != nil {
			return nil, err
		}
	}
	s.plan = planPipeline(r.Query.Search, r.Range)
	s.plan.scan.MaxBytes = e.Limits.Bytes
	return s, nil
}

// newestFirst reports whether the answer's order is that in which stores yield traces.
func (s *search) newestFirst() bool {
	o := s.Query.Order
	return o == nil || o.Key == traceql.ByStartTime && !o.Asc
}

func (s *search) run(ctx context.Context) error {
	if s.plan.never {
		return nil
	}
	if !s.newestFirst() {
		return s.byWhole(ctx)
	}
	sc := s.plan.scan
	sc.Before = s.after.Position
	c := &eval.Context{Stop: ctx.Err}
	for t, err := range s.engine.traces(ctx, s.plan, sc, &s.report.ScanReport) {
		if err != nil {
			return err
		}
		if err := s.engine.Limits.spend(&s.report, t); err != nil {
			return err
		}
		done, err := s.look(c, t)
		if done || err != nil {
			return err
		}
	}
	return s.finish()
}

// look evaluates a trace. done says that the page is full.
func (s *search) look(c *eval.Context, t *trace.Trace) (done bool, err error) {
	n := int64(len(t.Spans)) * s.plan.perSpan
	if err := s.held.Take(n); err != nil {
		return false, err
	}
	defer s.held.Give(n)
	c.Reset(t)
	defer c.Reset(nil) // the store gives back what the trace holds
	sets, err := s.plan.eval(c)
	if err != nil || len(sets) == 0 {
		return false, err
	}
	return s.take(c, sets)
}

// spend counts a trace that is evaluated against a query's limits.
func (l Limits) spend(r *Report, t *trace.Trace) error {
	r.Traces++
	r.Spans += int64(len(t.Spans))
	if l.Spans > 0 && r.Spans > l.Spans {
		return trace.OverBudget(l.Spans, "spans", "query.spans")
	}
	return nil
}

// take adds a trace that was found. done says that the page is full.
func (s *search) take(c *eval.Context, sets []eval.Set) (done bool, err error) {
	at := s.placeOf(c, sets)
	if s.newestFirst() {
		if len(s.found) == s.Limit {
			s.next = formatCursor(s.places[s.Limit-1], s.sum)
			return true, nil
		}
		found, err := s.describe(c, sets)
		if err != nil {
			return false, err
		}
		s.found, s.places = append(s.found, found), append(s.places, at)
		return s.NoCursor && len(s.found) == s.Limit, s.tell(len(s.found) - 1)
	}
	if s.Cursor != "" && !s.after.before(at, s.Query.Order.Asc) {
		return false, nil
	}
	i, _ := slices.BinarySearchFunc(s.places, at, func(p, q place) int {
		if p.before(q, s.Query.Order.Asc) {
			return -1
		}
		return 1
	})
	if i > s.Limit {
		return false, nil
	}
	found, err := s.describe(c, sets)
	if err != nil {
		return false, err
	}
	s.places = slices.Insert(s.places, i, at)
	s.found = slices.Insert(s.found, i, found)
	if len(s.found) > s.Limit+1 {
		s.held.Give(s.found[s.Limit+1].memory())
		s.found[s.Limit+1] = FoundTrace{}
		s.found, s.places = s.found[:s.Limit+1], s.places[:s.Limit+1]
	}
	return false, nil
}

func (s *search) tell(i int) error {
	if s.Partial == nil {
		return nil
	}
	return s.Partial(&s.found[i])
}

// finish ends a search that goes over no more traces.
func (s *search) finish() error {
	if s.newestFirst() {
		return nil
	}
	if len(s.found) > s.Limit {
		s.found = s.found[:s.Limit]
		s.next = formatCursor(s.places[s.Limit-1], s.sum)
	}
	for i := range s.found {
		if err := s.tell(i); err != nil {
			return err
		}
	}
	return nil
}

// describe makes what is answered of a trace, and takes memory for it.
func (s *search) describe(c *eval.Context, sets []eval.Set) (FoundTrace, error) {
	t := Describe(c)
	err := s.held.Take(foundMemory(&t))
	for i := 0; i < len(sets) && err == nil; i++ {
		t.Sets = append(t.Sets, s.describeSet(c, sets[i]))
		err = s.held.Take(setMemory(&t.Sets[i]))
	}
	return t, err
}

// Describe returns a trace in a line, without sets.
func Describe(c *eval.Context) FoundTrace {
	spans := c.Trace.Spans
	t := FoundTrace{ID: c.Trace.ID, Spans: len(spans), Rootless: true}
	t.Start, t.End = c.Bounds()
	if root := c.Root(); root != nil {
		t.RootService, t.RootName, t.Rootless = root.Service(), root.Name, false
	}
	byResource := map[*trace.Resource]*ServiceCount{} // spans of one service mostly share it
	byName := map[string]*ServiceCount{}
	for i := range spans {
		n := byResource[spans[i].Resource]
		if n == nil {
			name := spans[i].Service()
			if n = byName[name]; n == nil {
				n = &ServiceCount{Name: name}
				byName[name] = n
			}
			byResource[spans[i].Resource] = n
		}
		n.Spans++
		if spans[i].Status == trace.StatusError {
			n.Errors++
			t.Errors++
		}
	}
	for _, n := range byName {
		t.Services = append(t.Services, *n)
	}
	slices.SortFunc(t.Services, func(a, b ServiceCount) int { return cmp.Compare(a.Name, b.Name) })
	return t
}

func (s *search) describeSet(c *eval.Context, set eval.Set) FoundSet {
	out := FoundSet{By: set.By, Matched: len(set.Spans)}
	if s.Spans < 1 {
		return out
	}
	first := slices.Clone(set.Spans)
	slices.SortFunc(first, func(a, b int32) int {
		return cmp.Or(trace.CompareSpans(&c.Trace.Spans[a], &c.Trace.Spans[b]), cmp.Compare(a, b))
	})
	for _, i := range first[:min(len(first), s.Spans)] {
		out.Spans = append(out.Spans, s.plan.describe(c.At(int(i))))
	}
	return out
}

// describe makes what is answered of a span.
func (p *plan) describe(a eval.At) FoundSpan {
	x := a.Span
	f := FoundSpan{ID: x.ID, Parent: x.Parent, Name: x.Name, Service: x.Service(), Kind: x.Kind, Status: x.Status, Start: x.Start, End: max(x.Start, x.End)}
	for i, read := range p.reads {
		if v := read(a); !v.IsNil() {
			f.Attrs = append(f.Attrs, FieldValue{p.fields[i], v.Readable(p.fields[i].Type())})
		}
	}
	return f
}
