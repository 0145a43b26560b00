package query

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/trace"
)

// Workers is how many goroutines a query that begins now is to have. It may be another number a moment later: Go follows the limits of containers.
func Workers() int { return runtime.GOMAXPROCS(0) }

// wholes takes whole traces, in no order, from several goroutines, of which each has a number below workers.
type wholes struct {
	workers int
	take    func(worker int, t *trace.Trace) error
}

// Workers returns how many goroutines there may be.
func (w wholes) Workers() int { return w.workers }

// Table is not called: whole traces were asked for.
func (wholes) Table(int, *trace.Table) error { return errors.New("a table in place of whole traces") }

// Trace hands a trace on.
func (w wholes) Trace(worker int, t *trace.Trace) error { return w.take(worker, t) }

// whole evaluates traces on the plan's workers, and calls found with each in which the plan's pipeline leaves spans or, if it has none, with every trace.
func (e *Engine) whole(ctx context.Context, p *plan, rep *Report, found func(worker int, c *eval.Context, sets []eval.Set) error) error {
	sc, held, contexts := p.scan, trace.BudgetOf(ctx), make([]eval.Context, p.workers)
	var mu sync.Mutex // of rep
	take := func(worker int, t *trace.Trace) error {
		mu.Lock()
		err := e.Limits.spend(rep, t)
		mu.Unlock()
		if err != nil {
			return err
		}
		n := int64(len(t.Spans)) * max(p.perSpan, evalBytes)
		if err := held.Take(n); err != nil {
			return err
		}
		defer held.Give(n)
		c := &contexts[worker]
		c.Stop = ctx.Err
		c.Reset(t)
		defer c.Reset(nil) // the store gives back what the trace holds
		if p.pipeline == nil {
			return found(worker, c, nil)
		}
		sets, err := p.eval(c)
		if err != nil || len(sets) == 0 {
			return err
		}
		return found(worker, c, sets)
	}
	if p.byID {
		return e.eachByID(ctx, p, take)
	}
	sc.Whole = true
	read := trace.ScanReport{Bytes: rep.Bytes} // a search for spans scans several times
	err := e.Tables(ctx, sc, &read, wholes{p.workers, take})
	rep.ScanReport = read
	return err
}

// byWholes counts whole traces on all cores.
func (m *metrics) byWholes(ctx context.Context) error {
	workers := make([][]*leaf, m.plan.workers)
	var all []*leaf
	for _, l := range m.leaves {
		all = append(all, l)
		for i := range workers {
			workers[i] = append(workers[i], &leaf{plan: l.plan, by: l.by, of: l.of, agg: l.agg.Another(), row: make([]eval.Value, len(l.by)), node: l.node})
		}
	}
	err := m.engine.whole(ctx, m.plan, &m.report, func(worker int, c *eval.Context, _ []eval.Set) error {
		for _, l := range workers[worker] {
			if err := m.add(l, c); err != nil {
				return err
			}
		}
		return nil
	})
	for _, theirs := range workers {
		for i, l := range theirs {
			err = errors.Join(err, all[i].agg.Merge(l.agg))
		}
	}
	return err
}

// byWhole finds traces on all cores, for an order in which all must be known before the first is.
func (s *search) byWhole(ctx context.Context) error {
	var mu sync.Mutex
	err := s.engine.whole(ctx, s.plan, &s.report, func(_ int, c *eval.Context, sets []eval.Set) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := s.take(c, sets)
		return err
	})
	if err != nil {
		return err
	}
	return s.finish()
}
