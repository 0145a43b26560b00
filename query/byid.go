package query

import (
	"context"
	"iter"
	"slices"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// maxByID is how many traces are looked up by their IDs, and held together to be put in order. Where a query names more, it is asked of all traces.
const maxByID = 32

// idsOfPipeline returns the IDs of all traces in which a pipeline can leave spans, if it names them.
func idsOfPipeline(p *traceql.Pipeline) (ids []trace.ID, named bool) {
	for _, s := range p.Stages { // each leaves some, or the last does not
		if set, ok := s.(traceql.Spanset); ok {
			if ids, named = idsOfSpanset(set); named {
				return ids, true
			}
		}
	}
	return nil, false
}

// idsOfSpanset returns the IDs of all traces in which a set can select spans.
func idsOfSpanset(s traceql.Spanset) (ids []trace.ID, named bool) {
	switch s := s.(type) {
	case *traceql.Filter:
		if s.Cond != nil {
			return idsOfExpr(s.Cond)
		}
	case *traceql.Nested:
		return idsOfPipeline(s.Pipeline)
	case *traceql.Combine:
		x, byX := idsOfSpanset(s.X)
		y, byY := idsOfSpanset(s.Y)
		switch {
		case s.Relation == traceql.Or:
			return append(x, y...), byX && byY
		case byY:
			return y, true
		case !s.Not: // else none of X is there, perhaps
			return x, byX
		}
	}
	return nil, false
}

// idsOfExpr returns the IDs of all traces on whose spans an expression can be true.
func idsOfExpr(e traceql.Expr) (ids []trace.ID, named bool) {
	switch e := e.(type) {
	case *traceql.Binary:
		switch e.Op {
		case traceql.OpAnd, traceql.OpOr:
			x, byX := idsOfExpr(e.X)
			y, byY := idsOfExpr(e.Y)
			if e.Op == traceql.OpOr {
				return append(x, y...), byX && byY
			}
			if byX {
				return x, true
			}
			return y, byY
		case traceql.OpEqual:
			if c, ok := e.Y.(*traceql.Const); ok && isTraceID(e.X) && c.Kind == traceql.TypeString {
				return idsOf([]trace.Value{c.Value}), true
			}
		}
	case *traceql.In:
		if isTraceID(e.X) && !e.Not {
			return idsOf(e.Values), true
		}
	}
	return nil, false
}

func isTraceID(e traceql.Expr) bool {
	f, ok := e.(*traceql.FieldRef)
	return ok && f.Field.Intrinsic == traceql.TraceID
}

// idsOf returns those of texts that are IDs as traces have them: nothing else is equal to one.
func idsOf(texts []trace.Value) (ids []trace.ID) {
	for _, text := range texts {
		if id, err := trace.ParseID(text.Str()); err == nil && id.String() == text.Str() {
			ids = append(ids, id)
		}
	}
	return ids
}

// named makes a plan that looks traces up by their IDs, if the query names them, and few.
func (p *plan) named(n *traceql.Pipeline) {
	p.ids, p.byID = idsOfPipeline(n)
	slices.SortFunc(p.ids, func(a, b trace.ID) int { return slices.Compare(a[:], b[:]) })
	p.ids = slices.Compact(p.ids)
	if len(p.ids) > maxByID {
		p.ids, p.byID = nil, false
	}
}

// traces yields the traces that a plan wants, in the order of stores, and perhaps others.
func (e *Engine) traces(ctx context.Context, p *plan, sc trace.Scan, rep *trace.ScanReport) iter.Seq2[*trace.Trace, error] {
	if !p.byID {
		return e.Scan(ctx, sc, rep)
	}
	return func(yield func(*trace.Trace, error) bool) {
		var all []*trace.Trace
		for _, id := range p.ids {
			t, err := e.Trace(ctx, id, sc.Range)
			switch {
			case err == nil:
				all = append(all, t)
			case trace.KindOf(err) != trace.NotFound:
				yield(nil, err)
				return
			}
		}
		slices.SortFunc(all, func(a, b *trace.Trace) int {
			if PositionOf(a).Precedes(PositionOf(b)) {
				return -1
			}
			return 1
		})
		for _, t := range all {
			if (sc.Before.IsZero() || sc.Before.Precedes(PositionOf(t))) && !yield(t, nil) {
				return
			}
		}
	}
}

// eachByID calls take with the traces of a plan that names them, one by one.
func (e *Engine) eachByID(ctx context.Context, p *plan, take func(worker int, t *trace.Trace) error) error {
	for t, err := range e.traces(ctx, p, p.scan, nil) {
		if err == nil {
			err = take(0, t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
