package spool

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/trace"
)

// testContext is the context of steps, which run outside of a test's own function.
var testContext = context.Background()

// read returns the spans of a trace, by all that is in them, sorted.
func (r *runner) read(id trace.ID) ([]string, error) {
	tr, err := r.s.Trace(testContext, id, trace.Range{})
	if trace.KindOf(err) == trace.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return wholes(tr.Spans), nil
}

// check holds a trace against the model.
func (r *runner) check(id trace.ID) error {
	got, err := r.read(id)
	if err != nil {
		return fmt.Errorf("trace %s: %w", id, err)
	}
	r.asked++
	want := slices.Sorted(maps.Keys(r.all[id]))
	if slices.Equal(want, got) {
		return nil
	}
	missing, more := 0, 0
	example := ""
	for key, s := range r.all[id] {
		if !slices.Contains(got, key) {
			missing++
			example = fmt.Sprintf("%.700s", fmt.Sprintf("%+v %+v %+v", s, *s.Resource, *s.Scope))
		}
	}
	for i, key := range got {
		if _, ok := r.all[id][key]; !ok || i > 0 && got[i-1] == key {
			more++
			example = fmt.Sprintf("%.500q", key)
		}
	}
	return fmt.Errorf("trace %s has %d spans; want %d: %d are missing, %d should not be there, such as %s", id, len(got), len(want), missing, more, example)
}

func (r *runner) checkAll() error {
	for k := range modelTraces {
		if err := r.check(modelID(k)); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) trace(seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 5))
	for range 8 {
		if err := r.check(modelID(rnd.IntN(modelTraces))); err != nil {
			return err
		}
	}
	return nil
}

// scan asks some scans, page by page.
func (r *runner) scan(seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 6))
	all := scans(rnd)
	moment := func() uint64 { return base - rnd.Uint64N(uint64(modelTraces*modelEvery)) + uint64(modelEvery) }
	for range 6 {
		sc := all[rnd.IntN(len(all))]
		sc.Range, sc.Before = trace.Range{}, trace.Position{}
		if rnd.IntN(3) == 0 {
			sc.Range.From = moment()
		}
		if rnd.IntN(3) == 0 {
			sc.Range.To = moment()
		}
		if rnd.IntN(4) == 0 {
			sc.Before = trace.Position{Start: moment(), ID: modelID(rnd.IntN(modelTraces))}
		}
		if err := r.checkScan(sc, 1+rnd.IntN(20)); err != nil {
			return fmt.Errorf("%+v: %w", sc, err)
		}
	}
	return nil
}

// checkScan holds a scan against an evaluation of every trace. Pages of some traces each must be all of them, each once, in order.
func (r *runner) checkScan(sc trace.Scan, page int) error {
	r.asked++
	var want []trace.Position
	for id := range r.all {
		spans := r.all.spans(id)
		if len(spans) == 0 {
			continue
		}
		p := trace.Position{Start: startOf(spans), ID: id}
		if sc.Match(&trace.Trace{ID: id, Spans: spans}) && (sc.Before.IsZero() || sc.Before.Precedes(p)) {
			want = append(want, p)
		}
	}
	slices.SortFunc(want, func(a, b trace.Position) int {
		if a.Precedes(b) {
			return -1
		}
		return 1
	})
	var got []trace.Position
	for {
		found, err := r.page(sc, page)
		if err != nil {
			return err
		}
		got = append(got, found...)
		if len(found) < page {
			break
		}
		sc.Before = found[page-1]
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		return fmt.Errorf("pages of %d: (-want +got)\n%s", page, diff)
	}
	return nil
}

func (r *runner) page(sc trace.Scan, n int) (found []trace.Position, err error) {
	last := sc.Before
	var rep trace.ScanReport
	for tr, err := range r.s.Scan(testContext, sc, &rep) {
		if err != nil {
			return nil, err
		}
		p := trace.Position{Start: startOf(tr.Spans), ID: tr.ID}
		if !last.IsZero() && !last.Precedes(p) {
			return nil, fmt.Errorf("%v after %v", p, last)
		}
		last = p
		if err := r.whole(tr, sc.Outline); err != nil {
			return nil, err
		}
		if sc.Match(tr) {
			found = append(found, p)
		}
		if len(found) == n {
			break
		}
	}
	if rep.Incomplete != "" {
		return nil, fmt.Errorf("incomplete: %s", rep.Incomplete)
	}
	return found, nil
}

// tables holds what tables have of some scans against the model.
func (r *runner) tables(seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 9))
	all := scans(rnd)
	for range 3 {
		sc := all[rnd.IntN(len(all))]
		sc.Outline, sc.Range = false, trace.Range{}
		if rnd.IntN(2) == 0 {
			sc.Range.From = base - rnd.Uint64N(uint64(modelTraces*modelEvery))
		}
		var want []trace.Span
		for id := range r.all {
			want = append(want, inScan(r.all.spans(id), sc)...)
		}
		got, err := tableSpans(testContext, r.s, sc, nil)
		if err != nil {
			return fmt.Errorf("tables of %+v: %w", sc, err)
		}
		if a, b := wholes(want), wholes(got); !slices.Equal(a, b) {
			return fmt.Errorf("tables of %+v: %d spans; want %d", sc, len(b), len(a))
		}
		err = checkWholes(testContext, r.s, sc, func(yield func(trace.ID, []trace.Span) bool) {
			for id := range r.all {
				if !yield(id, r.all.spans(id)) {
					return
				}
			}
		})
		if err != nil {
			return fmt.Errorf("whole traces of %+v: %w", sc, err)
		}
	}
	return nil
}

// whole holds a found trace against the model; of an outline its spans alone, without what is in them.
func (r *runner) whole(tr *trace.Trace, outline bool) error {
	want := r.all[tr.ID]
	if !outline && !slices.Equal(slices.Sorted(maps.Keys(want)), wholes(tr.Spans)) {
		return fmt.Errorf("trace %s is not whole", tr.ID)
	}
	brief := func(s *trace.Span) string {
		return fmt.Sprint(s.ID, s.Parent, s.Start, s.End, s.Kind, s.Status, s.IsError(), s.Name, s.Service())
	}
	var a, b []string
	for _, s := range want {
		a = append(a, brief(&s))
	}
	for i := range tr.Spans {
		b = append(b, brief(&tr.Spans[i]))
	}
	slices.Sort(a)
	slices.Sort(b)
	if !slices.Equal(a, b) {
		return fmt.Errorf("outline of trace %s: (-want +got)\n%s", tr.ID, gocmp.Diff(a, b))
	}
	return nil
}

// names holds the lists of services and operations against the spans.
func (r *runner) names(uint64) error {
	services := map[string]map[trace.Operation]bool{}
	for _, spans := range r.all {
		for _, s := range spans {
			if services[s.Service()] == nil {
				services[s.Service()] = map[trace.Operation]bool{}
			}
			services[s.Service()][trace.Operation{Name: s.Name, Kind: s.Kind}] = true
		}
	}
	got, err := r.s.Services(testContext)
	if err != nil {
		return err
	}
	if len(r.dead) > 0 { // their names may be there until they are gone from the disk
		for service := range services {
			if !slices.Contains(got, service) {
				return fmt.Errorf("services %q; there is %q, too", got, service)
			}
		}
		return nil
	}
	if want := slices.Sorted(maps.Keys(services)); !slices.Equal(want, got) {
		return fmt.Errorf("services %q; want %q", got, want)
	}
	for _, service := range got {
		ops, err := r.s.Operations(testContext, service)
		if err != nil {
			return err
		}
		if service == "" { // those of all services
			continue
		}
		want := slices.SortedFunc(maps.Keys(services[service]), func(a, b trace.Operation) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
		})
		if !slices.Equal(want, ops) {
			return fmt.Errorf("operations of %s: (-want +got)\n%s", service, gocmp.Diff(want, ops))
		}
	}
	return nil
}
