package jaeger

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/clewtrace/clew/trace"
)

// call is what of a span is counted.
type call struct {
	took   time.Duration
	failed bool
}

// gather counts the spans of each service, on all cores, and returns the series by service and operation.
func (a *API) gather(ctx context.Context, q *metricsQuery, m measure) ([]*series, *trace.ScanReport, error) {
	var all []*series
	rep := &trace.ScanReport{}
	for _, service := range q.services {
		sc := q.scan(service)
		g := &gathering{query: q, service: service, when: sc.Range}
		for range runtime.GOMAXPROCS(0) {
			g.workers = append(g.workers, &gathered{query: q, measure: m, byName: map[string]*series{}})
		}
		if err := a.engine.Tables(ctx, sc, rep, g); err != nil {
			return nil, nil, err
		}
		first := g.workers[0]
		for _, w := range g.workers[1:] {
			if err := first.merge(w, service); err != nil {
				return nil, nil, err
			}
		}
		if all = append(all, first.all...); len(all)*q.points() > maxSeriesPoints {
			return nil, nil, errManySeries
		}
	}
	slices.SortFunc(all, func(s, t *series) int { return slices.Compare(s.key[:], t.key[:]) })
	return all, rep, nil
}

var errManySeries = trace.Errorf(trace.TooLarge, "there are too many operations, or different durations, for so many points; ask for a shorter lookback, or with a larger step")

// gathering visits the spans of a service.
type gathering struct {
	query   *metricsQuery
	service string
	when    trace.Range
	workers []*gathered
}

// Workers returns how many cores there are.
func (g *gathering) Workers() int { return len(g.workers) }

// Trace counts the spans of a trace that is in no table.
func (g *gathering) Trace(worker int, t *trace.Trace) error {
	w := g.workers[worker]
	for i := range t.Spans {
		if s := &t.Spans[i]; slices.Contains(g.query.kinds, s.Kind) && s.Service() == g.service {
			if err := g.span(w, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *gathering) span(w *gathered, s *trace.Span) error {
	if !g.when.Contains(s.Start) {
		return nil
	}
	to, err := w.of(g.service, s.Name)
	if err != nil {
		return err
	}
	return w.add(to, s.Start, call{s.Duration(), s.IsError()})
}

// Table counts a table's spans.
func (g *gathering) Table(worker int, t *trace.Table) error {
	if t.Service != g.service || !slices.Contains(g.query.kinds, t.Kind) {
		return nil
	}
	starts, err := t.Columns.Numbers(trace.StartColumn)
	if err != nil {
		return err
	}
	w := g.workers[worker]
	shown := func(row int) bool {
		return g.when.Contains(starts[row]) && (t.Hidden == nil || !t.Hidden[row])
	}
	if t.Wide {
		var s trace.Span
		for row := range starts {
			if !shown(row) {
				continue
			}
			if err := t.Columns.Span(row, &s); err != nil {
				return err
			}
			if err := g.span(w, &s); err != nil {
				return err
			}
		}
		return nil
	}
	took, err := t.Columns.Numbers(trace.DurationColumn)
	if err != nil {
		return err
	}
	failed, err := failures(t)
	if err != nil {
		return err
	}
	var to *series
	for row, start := range starts {
		if !shown(row) {
			continue
		}
		if to == nil {
			if to, err = w.of(g.service, t.Name); err != nil {
				return err
			}
		}
		if err := w.add(to, start, call{time.Duration(took[row]), failed(row)}); err != nil {
			return err
		}
	}
	return nil
}

// failures returns what says whether a row of a table is of a span that failed, as Span.IsError does.
func failures(t *trace.Table) (failed func(row int) bool, err error) {
	k := slices.IndexFunc(t.Attrs, func(a trace.TableAttr) bool { return a.Key == "error" })
	if t.Status == trace.StatusError || k < 0 || t.Attrs[k].Type != trace.TypeBool && t.Attrs[k].Type != trace.TypeString {
		return func(int) bool { return t.Status == trace.StatusError }, nil
	}
	c, err := t.Columns.Attr(k)
	if err != nil {
		return nil, err
	}
	if t.Attrs[k].Type == trace.TypeBool {
		return func(row int) bool { return c.Nums[row] != 0 }, nil
	}
	return func(row int) bool { return string(c.Texts.Value(c.Texts.At(row))) == "true" }, nil
}

// gathered is the series that one goroutine has made of a service.
type gathered struct {
	query   *metricsQuery
	measure measure
	byName  map[string]*series // by operation; "" if that does not matter
	all     []*series
	cells   int // of all series
}

// of returns the series of an operation.
func (g *gathered) of(service, operation string) (*series, error) {
	if !g.query.byOperation {
		operation = ""
	}
	s := g.byName[operation]
	if s == nil {
		n := g.query.points()
		if (len(g.all)+1)*n > maxSeriesPoints {
			return nil, errManySeries
		}
		s = newSeries([2]string{service, operation}, n)
		g.byName[operation] = s
		g.all = append(g.all, s)
	}
	return s, nil
}

func (g *gathered) add(s *series, start uint64, c call) error {
	lo, hi := g.query.window(start)
	if lo >= hi {
		return nil
	}
	before := len(s.cells)
	g.measure.take(s, c, lo, hi)
	return g.grown(len(s.cells) - before)
}

func (g *gathered) grown(cells int) error {
	if g.cells += cells; g.cells > maxSeriesPoints {
		return errManySeries
	}
	return nil
}

// merge adds what another goroutine has counted.
func (g *gathered) merge(other *gathered, service string) error {
	for _, o := range other.all {
		s, err := g.of(service, o.key[1])
		if err != nil {
			return err
		}
		before := len(s.cells)
		s.merge(o)
		if err := g.grown(len(s.cells) - before); err != nil {
			return err
		}
	}
	return nil
}
