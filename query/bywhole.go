package query

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/trace"
)

// byWhole goes over whole traces on all cores, in no order.
type byWhole struct {
	limits   Limits
	held     *trace.Budget
	plan     *plan
	contexts []eval.Context // by worker
	// found is called with each trace in which the plan's pipeline leaves spans, or, if there is none, with every trace.
	found func(worker int, c *eval.Context, sets []eval.Set) error

	mu     sync.Mutex
	report *Report
}

// wholeWorkers is how many traces are evaluated at once.
func wholeWorkers() int { return runtime.GOMAXPROCS(0) }

// whole calls found with what the plan finds, from several goroutines, of which each has a number below wholeWorkers.
func (e *Engine) whole(ctx context.Context, p *plan, rep *Report, found func(worker int, c *eval.Context, sets []eval.Set) error) error {
	b := &byWhole{limits: e.Limits, held: trace.BudgetOf(ctx), plan: p, contexts: make([]eval.Context, wholeWorkers()), found: found, report: rep}
	sc := p.scan
	sc.Whole = true
	read := trace.ScanReport{Bytes: rep.Bytes} // a search for spans scans several times
	err := e.Tables(ctx, sc, &read, b)
	rep.ScanReport = read
	return err
}

// Workers returns how many goroutines there may be.
func (b *byWhole) Workers() int { return len(b.contexts) }

// Table is not called: whole traces were asked for.
func (b *byWhole) Table(int, *trace.Table) error {
	return errors.New("a table in place of whole traces")
}

// Trace evaluates a trace.
func (b *byWhole) Trace(worker int, t *trace.Trace) error {
	b.mu.Lock()
	err := b.limits.spend(b.report, t)
	b.mu.Unlock()
	if err != nil {
		return err
	}
	n := int64(len(t.Spans)) * max(b.plan.perSpan, evalBytes)
	if err := b.held.Take(n); err != nil {
		return err
	}
	defer b.held.Give(n)
	c := &b.contexts[worker]
	c.Reset(t)
	defer c.Reset(nil) // the store gives back what the trace holds
	if b.plan.pipeline == nil {
		return b.found(worker, c, nil)
	}
	if sets := b.plan.eval(c); len(sets) > 0 {
		return b.found(worker, c, sets)
	}
	return nil
}

// byWholes counts whole traces on all cores.
func (m *metrics) byWholes(ctx context.Context) error {
	workers := make([][]*leaf, wholeWorkers())
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
