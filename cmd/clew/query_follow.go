package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

const (
	followEvery = 2 * time.Second
	// followLate is how long after its start a span may come, and still be found by each look. Those that took longer come later: they are looked for
	// apart.
	followLate = time.Minute
	// followLong is how long after its start a span may come that took longer than followLate. They are few, but looked for among many, so that they are
	// looked for after longEvery, and not before the server has had longRest times as long for others.
	followLong = time.Hour
	longEvery  = 5 * followEvery
	longRest   = 10
)

// follower asks again and again, and prints each trace once.
type follower struct {
	*querier
	all, long url.Values // the query, and the same of spans that took longer than followLate
	from      time.Time  // nothing that starts before is printed, but for long spans; zero: also for these
	begun     bool       // what has been there from then on was found
	longAt    time.Time  // when long spans are looked for again
	seen      map[string]time.Time
	before    map[string]time.Time // traces that had long spans when it began, which are not printed for these; nil: they were not found yet
}

// newFollower checks that a query can be followed.
func (a *querier) newFollower(q *traceql.Query, form url.Values) (*follower, error) {
	if q.Metrics != nil || q.Explain || q.Spans || q.Order != nil || form.Get("to") != "" || form.Get("cursor") != "" {
		return nil, usageError{errors.New("--follow prints traces as they come: it is for searches, without explain, spans(), order by, --end and --cursor")}
	}
	f := &follower{querier: a, all: maps.Clone(form), long: maps.Clone(form), seen: map[string]time.Time{}}
	long, err := traceql.Parse(fmt.Sprintf("{ duration > %s }", followLate))
	if err != nil {
		return nil, err
	}
	longer := *q
	longer.Search = &traceql.Pipeline{At: q.Search.At, Stages: slices.Concat(q.Search.Stages, long.Search.Stages)}
	f.long.Set("q", longer.String())
	if v := form.Get("from"); v != "" {
		var ns nanoseconds
		if err := ns.UnmarshalText([]byte(v)); err != nil {
			return nil, err
		}
		f.from, f.before = time.Unix(0, int64(ns)), map[string]time.Time{}
	}
	return f, nil
}

// run prints what comes until it is interrupted.
func (f *follower) run(ctx context.Context) error {
	began, header := time.Now(), true
	if !f.from.IsZero() {
		began = f.from
	}
	for {
		fresh, err := f.look(ctx, began)
		if err := f.printTraces(fresh, header && len(fresh) > 0); err != nil {
			return err
		}
		header = header && len(fresh) == 0
		refused, ok := errors.AsType[*refusal](err)
		if busy := ok && refused.kind == trace.Busy.String(); ctx.Err() == nil && err != nil && !busy {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // an interrupt is how it ends
		case <-time.After(followEvery):
		}
	}
}

// look returns the traces that were not seen before, the oldest first, also those that came before an error.
func (f *follower) look(ctx context.Context, began time.Time) ([]queryTrace, error) {
	now := time.Now()
	since := began
	if late := now.Add(-followLate); f.begun && late.After(since) {
		since = late
	}
	fresh, err := f.fresh(ctx, f.all, since, f.seen)
	f.begun = f.begun || err == nil
	at := time.Now()
	if err != nil || at.Before(f.longAt) {
		return fresh, err
	}
	defer func() { f.longAt = time.Now().Add(max(longEvery, longRest*time.Since(at))) }()
	if since = now.Add(-followLong); since.Before(f.from) {
		since = f.from
	}
	if f.before == nil {
		before := map[string]time.Time{}
		if _, err = f.fresh(ctx, f.long, since, before); err == nil {
			f.before = before
		}
		return fresh, err
	}
	longer, err := f.fresh(ctx, f.long, since, f.seen)
	for _, t := range longer {
		if _, ok := f.before[t.TraceID]; !ok {
			fresh = append(fresh, t)
		}
	}
	// A trace is forgotten when it has not been found for a while: it may be that of a process that never ends.
	maps.DeleteFunc(f.seen, func(_ string, at time.Time) bool { return now.Sub(at) > 10*followLate })
	return fresh, err
}

// fresh returns the traces that were not seen before, the oldest first, and notes when each was found.
func (f *follower) fresh(ctx context.Context, form url.Values, since time.Time, seen map[string]time.Time) (fresh []queryTrace, err error) {
	form.Set("limit", "1000")
	form.Set("from", strconv.FormatInt(since.UnixNano(), 10))
	form.Del("cursor")
	defer func() { slices.Reverse(fresh) }()
	for {
		ans, _, err := f.ask(ctx, form)
		if err != nil {
			return fresh, err
		}
		for _, t := range ans.Traces {
			if _, ok := seen[t.TraceID]; !ok {
				fresh = append(fresh, t)
			}
			seen[t.TraceID] = time.Now()
		}
		if ans.Cursor == "" {
			return fresh, nil
		}
		form.Set("cursor", ans.Cursor)
	}
}
