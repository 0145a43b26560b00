package spool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// tableReader puts spans together again from tables, and holds what the columns say against them.
type tableReader struct {
	mu    sync.Mutex
	spans []trace.Span
	roots map[string]bool // nil: they are not looked at

	traceRoots map[trace.ID]string
}

func (*tableReader) Workers() int { return 3 }

func (r *tableReader) Trace(_ int, t *trace.Trace) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, t.Spans...)
	return nil
}

func (r *tableReader) Table(_ int, t *trace.Table) error {
	starts, err1 := t.Columns.Numbers(trace.StartColumn)
	durations, err2 := t.Columns.Numbers(trace.DurationColumn)
	resources, err3 := t.Columns.Numbers(trace.ResourceColumn)
	roots, err4 := t.Columns.Numbers(trace.RootColumn)
	traceRoots, err6 := t.Columns.Numbers(trace.TraceRootColumn)
	plain, err5 := t.Columns.Numbers(trace.PlainColumn)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return err
	}
	for row := range t.Rows {
		var s trace.Span
		if err := t.Columns.Span(row, &s); err != nil {
			return err
		}
		id, span := t.Columns.IDs(row)
		if id != s.TraceID || span != s.ID || starts[row] != s.Start || durations[row] != uint64(s.Duration()) || r.roots != nil && (t.Hidden == nil || !t.Hidden[row]) && (roots[row] == 1) != r.roots[rootKey(&s)] ||
			t.Resources[resources[row]] != s.Resource || t.Scope != s.Scope || t.Service != s.Service() || t.Kind != s.Kind || t.Status != s.Status ||
			!t.Wide && (t.Name != s.Name || plain[row] == 1 && len(s.Events)+len(s.Links)+len(s.State)+len(s.StatusMessage) > 0) {
			return fmt.Errorf("row %d of %+v is not %+v", row, t, s)
		}
		if hidden := t.Hidden != nil && t.Hidden[row]; r.roots != nil && !hidden && traceRootOf(t, int(traceRoots[row])) != r.traceRoots[id] {
			return fmt.Errorf("root of trace %s: %q; want %q", id, traceRootOf(t, int(traceRoots[row])), r.traceRoots[id])
		}
		for k := range t.Attrs {
			if err := sameAttr(t, k, row, s.Attrs[k]); err != nil {
				return err
			}
		}
		if t.Hidden != nil && t.Hidden[row] {
			continue
		}
		r.mu.Lock()
		r.spans = append(r.spans, s)
		r.mu.Unlock()
	}
	return nil
}

// rootsOf returns the spans that are roots in the trees of all that was appended, by what tells spans apart here.
func rootsOf(all model) map[string]bool {
	out := map[string]bool{}
	for _, spans := range all {
		for _, row := range trace.Arrange(spans).Rows {
			if row.Span >= 0 && row.Parent < 0 {
				out[rootKey(&spans[row.Span])] = true
			}
		}
	}
	return out
}

// traceRoots returns the service and name of each trace's root.
func traceRoots(all model) map[trace.ID]string {
	out := map[trace.ID]string{}
	for id, spans := range all {
		if i := trace.Root(spans); i >= 0 {
			out[id] = spans[i].Service() + " " + spans[i].Name
		}
	}
	return out
}

func traceRootOf(t *trace.Table, i int) string {
	if t.Roots[i] == nil {
		return ""
	}
	return t.Roots[i].Service() + " " + t.Roots[i].Name
}

func rootKey(s *trace.Span) string { return fmt.Sprint(s.TraceID, s.ID, s.Parent, s.Kind, s.Start) }

func sameAttr(t *trace.Table, k, row int, want trace.Attr) error {
	c, err := t.Columns.Attr(k)
	if err != nil {
		return err
	}
	var v trace.Value
	if c.Nums != nil {
		v, err = trace.DecodeAttr(t.Attrs[k].Type, c.Nums[row], nil)
	} else {
		v, err = trace.DecodeAttr(t.Attrs[k].Type, 0, c.Texts.Value(c.Texts.At(row)))
	}
	if err != nil {
		return err
	}
	if other, err := t.Columns.Value(k, row); err != nil || !other.Equal(v) || !want.Value.Equal(v) || want.Key != t.Attrs[k].Key {
		return fmt.Errorf("attribute %d of row %d: %v, %v, %w; want %v", k, row, v, other, err, want)
	}
	return nil
}

// tableSpans returns the spans that tables have and on which a conjunction of sc holds, in its range.
func tableSpans(ctx context.Context, s *Spool, sc trace.Scan, all model) ([]trace.Span, error) {
	var r tableReader
	if all != nil {
		r.roots, r.traceRoots = rootsOf(all), traceRoots(all)
		sc.Roots = true
	}
	var rep trace.ScanReport
	if err := s.Tables(ctx, sc, &rep, &r); err != nil {
		return nil, err
	}
	if rep.Incomplete != "" {
		return nil, errors.New(rep.Incomplete)
	}
	return inScan(r.spans, sc), nil
}

// inScan returns the spans in a scan's range on which its narrowest conjunction holds.
func inScan(spans []trace.Span, sc trace.Scan) (out []trace.Span) {
	for i := range spans {
		if s := &spans[i]; sc.Range.Contains(s.Start) && trace.MatchSpan(s, narrowest(sc.Spans)) {
			out = append(out, *s)
		}
	}
	return out
}

// TestTables: the columns are those of the spans that were appended, each once, wherever they lie and however often they came.
func TestTables(t *testing.T) {
	s := open(t, testConfig(t))
	m, all := newMaker(21), model{}
	r := rand.New(rand.NewPCG(21, 21))
	var late []trace.Span
	for part := range 5 {
		for range 150 {
			spans := m.trace(6)
			all.add(spans)
			if r.IntN(10) == 0 { // a part comes later, in another block
				late = append(late, spans[len(spans)/2:]...)
				spans = spans[:len(spans)/2]
			} else if r.IntN(10) == 0 { // or once more
				late = append(late, spans...)
			}
			appendSpans(t, s, spans)
			if part > 1 && len(late) > 0 && r.IntN(4) == 0 {
				appendSpans(t, s, late)
				late = nil
			}
		}
		if part < 4 {
			s.cutNow(t)
		}
	}
	appendSpans(t, s, late)
	var gone []trace.ID
	for id := range all {
		if gone = append(gone, id); len(gone) == 20 {
			break
		}
	}
	if _, err := s.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for _, id := range gone {
		delete(all, id)
	}
	for _, sc := range scans(r) {
		sc.Outline = false
		var want []trace.Span
		for _, spans := range all {
			want = append(want, inScan(spans, sc)...)
		}
		got, err := tableSpans(t.Context(), s, sc, all)
		if err != nil {
			t.Fatalf("%+v: %v", sc, err)
		}
		if a, b := wholes(want), wholes(got); !slices.Equal(a, b) {
			t.Fatalf("%+v: %d spans; want %d", sc, len(b), len(a))
		}
		if err := checkWholes(t.Context(), s, sc, maps.All(all)); err != nil {
			t.Fatalf("%+v: %v", sc, err)
		}
	}
}

// TestTablesEnd: an error of the visitor, or a context that ends, ends it.
func TestTablesEnd(t *testing.T) {
	s := open(t, testConfig(t))
	m := newMaker(22)
	for range 50 {
		appendSpans(t, s, m.trace(6))
	}
	s.cutNow(t)
	enough := errors.New("enough")
	var rep trace.ScanReport
	if err := s.Tables(t.Context(), trace.Scan{}, &rep, failing{enough}); !errors.Is(err, enough) {
		t.Errorf("%v; want %v", err, enough)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Tables(ctx, trace.Scan{}, &rep, &tableReader{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want %v", err, context.Canceled)
	}
}

// TestTablesPanic: a visitor that panics costs its question, and not the process.
func TestTablesPanic(t *testing.T) {
	s := open(t, testConfig(t))
	appendSpans(t, s, newMaker(23).trace(6))
	for _, cut := range []bool{false, true} {
		if cut {
			s.cutNow(t)
		}
		var rep trace.ScanReport
		if err := s.Tables(t.Context(), trace.Scan{}, &rep, panicking{}); err == nil || !strings.Contains(err.Error(), "a fault") || trace.KindOf(err) != trace.Internal {
			t.Errorf("cut %v: %v", cut, err)
		}
	}
}

type panicking struct{ failing }

func (panicking) Trace(int, *trace.Trace) error { panic("a fault") }
func (panicking) Table(int, *trace.Table) error { panic("a fault") }

type failing struct{ err error }

func (failing) Workers() int                    { return 2 }
func (f failing) Trace(int, *trace.Trace) error { return f.err }
func (f failing) Table(int, *trace.Table) error { return f.err }
