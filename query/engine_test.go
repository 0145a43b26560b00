package query_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

// now is when the tests' spans start: recent, so that no retention takes them.
var now = uint64(time.Now().Add(-time.Hour).UnixNano())

// store opens a spool, whose heads are cut as soon as they have headBytes.
func store(t testing.TB, headBytes int64) *spool.Spool {
	t.Helper()
	cfg := spool.Default()
	cfg.Dir, cfg.HeadBytes, cfg.Retention = t.TempDir(), headBytes, 0
	s, err := spool.Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func add(t testing.TB, s *spool.Spool, spans ...trace.Span) {
	t.Helper()
	var b trace.Batch
	if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	for {
		err := s.Append(t.Context(), &b)
		if err == nil {
			return
		}
		if trace.KindOf(err) != trace.Busy {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // heads are filled faster than they are cut
	}
}

// fill adds traces until the store has so many more blocks.
func fill(t testing.TB, s *spool.Spool, start uint64, blocks int64) {
	t.Helper()
	before, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		st, err := s.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if st.Blocks >= before.Blocks+blocks {
			return
		}
		span := newSpan(0, start+uint64(i), "filler")
		span.TraceID = trace.ID{0xff, 8: byte(start >> 16), 9: byte(start >> 8), 10: byte(start), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}
		span.Attrs = []trace.Attr{{Key: "pad", Value: trace.String(fmt.Sprint(strings.Repeat("p", 500), i))}}
		add(t, s, span)
	}
}

func newSpan(n byte, start uint64, service string) trace.Span {
	return trace.Span{
		TraceID: trace.ID{1, 15: n}, ID: trace.SpanID{7: 1}, Name: "op", Start: start, End: start + 10, Scope: &trace.Scope{},
		Resource: &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(service)}}},
	}
}

func is(field trace.Field, v trace.Value) trace.Cond {
	return trace.Cond{Field: field, Op: trace.OpEqual, Value: v}
}

func find(t testing.TB, s query.Store, r query.Request) (ids []byte, a *query.Answer) {
	t.Helper()
	a, err := query.New(s).Find(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range a.Traces {
		ids = append(ids, tr.ID[15])
	}
	return ids, a
}

// TestStraddling asks for traces whose spans lie in several blocks and the head, and arrive in any order: each is evaluated whole, has
// its place by its earliest span, and comes once.
func TestStraddling(t *testing.T) {
	s := store(t, 64<<10)
	spanOf := func(n byte, id byte, start uint64, service string) trace.Span {
		x := newSpan(n, start, service)
		x.ID[7] = id
		return x
	}
	const s1 = 1_000_000_000
	// Trace 1 starts last by its first-arrived span, and first by the one that comes late. Trace 2 is whole at once.
	add(t, s, spanOf(1, 1, now+100*s1, "a"))
	fill(t, s, now+10*s1, 1)
	add(t, s, spanOf(2, 1, now+50*s1, "a"), spanOf(2, 2, now+51*s1, "b"))
	fill(t, s, now+20*s1, 1)
	add(t, s, spanOf(1, 2, now+40*s1, "b"))
	fill(t, s, now+30*s1, 1)
	add(t, s, spanOf(1, 3, now+30*s1, "c"), spanOf(3, 1, now+45*s1, "a"))

	a, b, c := is(trace.FieldService, trace.String("a")), is(trace.FieldService, trace.String("b")), is(trace.FieldService, trace.String("c"))
	for _, q := range []struct {
		name  string
		spans [][]trace.Cond
		r     trace.Range
		want  []byte
	}{
		{"one condition", [][]trace.Cond{{a}}, trace.Range{}, []byte{2, 3, 1}},
		{"on other spans, in other blocks", [][]trace.Cond{{a}, {b}, {c}}, trace.Range{}, []byte{1}},
		{"two of three", [][]trace.Cond{{a}, {b}}, trace.Range{}, []byte{2, 1}},
		{"not on one span", [][]trace.Cond{{a, b}}, trace.Range{}, nil},
		{"the range is of the matching span", [][]trace.Cond{{a}}, trace.Range{From: now + 90*s1}, []byte{1}},
		{"the range is of each matching span", [][]trace.Cond{{a}, {c}}, trace.Range{From: now + 90*s1}, nil},
		{"the late part alone", [][]trace.Cond{{c}}, trace.Range{To: now + 35*s1}, []byte{1}},
	} {
		got, answer := find(t, s, query.Request{Scan: trace.Scan{Spans: q.spans, Range: q.r}, Limit: 100})
		if !slices.Equal(got, q.want) {
			t.Errorf("%s: found %v; want %v", q.name, got, q.want)
		}
		for _, tr := range answer.Traces {
			if tr.ID[15] == 1 && len(tr.Spans) != 3 {
				t.Errorf("%s: trace 1 has %d spans; want all 3", q.name, len(tr.Spans))
			}
		}
	}
	for _, tr := range must(t, s, query.Request{Limit: 10_000}).Traces {
		if p := query.PositionOf(tr); tr.ID == (trace.ID{1, 15: 1}) && p.Start != now+30*s1 {
			t.Errorf("trace 1 starts at %d; want %d", p.Start, now+30*s1)
		}
	}
}

func must(t testing.TB, s query.Store, r query.Request) *query.Answer {
	t.Helper()
	a, err := query.New(s).Find(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestOrderAndPages asks for random traces in pages of all sizes: the pages joined are the whole, in order of start and ID.
func TestOrderAndPages(t *testing.T) {
	s := store(t, 64<<10)
	const traces = 250
	r := rand.New(rand.NewPCG(1, 2))
	for i := range traces {
		n := newSpan(byte(i), now+uint64(r.IntN(50))*1000, "a") // many start at the same moment
		n.TraceID = trace.ID{byte(r.Uint32()), byte(r.Uint32()), 15: byte(i)}
		n.Attrs = []trace.Attr{{Key: "pad", Value: trace.String(strings.Repeat("p", r.IntN(1000)))}}
		add(t, s, n)
	}
	whole := must(t, s, query.Request{Limit: 10_000})
	if whole.Cursor != "" || len(whole.Traces) != traces {
		t.Fatalf("%d traces, cursor %q", len(whole.Traces), whole.Cursor)
	}
	for i := 1; i < len(whole.Traces); i++ {
		if !query.PositionOf(whole.Traces[i-1]).Precedes(query.PositionOf(whole.Traces[i])) {
			t.Fatalf("trace %d is not after the one before", i)
		}
	}
	for _, limit := range []int{4, 7, 100, traces - 1, traces, traces + 1} {
		var got []*trace.Trace
		req := query.Request{Limit: limit}
		for {
			a := must(t, s, req)
			if got = append(got, a.Traces...); a.Cursor == "" {
				break
			}
			req.Cursor = a.Cursor
		}
		if len(got) != traces {
			t.Fatalf("pages of %d: %d traces", limit, len(got))
		}
		for i := range got {
			if got[i].ID != whole.Traces[i].ID {
				t.Fatalf("pages of %d: trace %d is %s; want %s", limit, i, got[i].ID, whole.Traces[i].ID)
			}
		}
	}
	if a := must(t, s, query.Request{Limit: traces, NoCursor: true}); len(a.Traces) != traces || a.Cursor != "" {
		t.Errorf("without a cursor: %d traces, cursor %q", len(a.Traces), a.Cursor)
	}
}

func TestCursors(t *testing.T) {
	s := store(t, 1<<20)
	add(t, s, newSpan(1, now, "a"))
	add(t, s, newSpan(2, now, "a"))
	scan := trace.Scan{Spans: [][]trace.Cond{{is(trace.FieldService, trace.String("a"))}}}
	cursor := must(t, s, query.Request{Scan: scan, Limit: 1}).Cursor
	if cursor == "" {
		t.Fatal("no cursor")
	}
	other := trace.Scan{Spans: [][]trace.Cond{{is(trace.FieldService, trace.String("b"))}}}
	for _, c := range []struct {
		r    query.Request
		want string
	}{
		{query.Request{Scan: scan}, "limit 0: want at least 1"},
		{query.Request{Scan: scan, Limit: 1, Cursor: "x"}, "is not one that an answer gave"},
		{query.Request{Scan: scan, Limit: 1, Cursor: cursor[1:]}, "is not one that an answer gave"},
		{query.Request{Scan: other, Limit: 1, Cursor: cursor}, "is of another search"},
		{query.Request{Limit: 1, Cursor: cursor}, "is of another search"},
	} {
		if _, err := query.New(s).Find(t.Context(), c.r); trace.KindOf(err) != trace.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want %q", c.r, err, c.want)
		}
	}
}

// TestTypes checks what each comparison takes for equal: the exact one the type, too; that of text what a person reads.
func TestTypes(t *testing.T) {
	s := store(t, 1<<20)
	for i, v := range []trace.Value{
		trace.Int(200), trace.String("200"), trace.Double(200), trace.Bool(true), trace.String("true"), {}, trace.String(""), trace.Array(trace.Int(1)), trace.Double(2.5e6),
	} {
		span := newSpan(byte(i), now+uint64(100-i), "a")
		span.Attrs = []trace.Attr{{Key: "k", Value: v}}
		add(t, s, span)
	}
	add(t, s, newSpan(99, now, "a")) // has no k
	for _, c := range []struct {
		op   trace.Op
		v    trace.Value
		want []byte
	}{
		{trace.OpEqual, trace.Int(200), []byte{0}},
		{trace.OpEqual, trace.String("200"), []byte{1}},
		{trace.OpEqual, trace.Double(200), []byte{2}},
		{trace.OpText, trace.String("200"), []byte{0, 1, 2}},
		{trace.OpText, trace.String("true"), []byte{3, 4}},
		{trace.OpText, trace.String(""), []byte{5, 6}},
		{trace.OpText, trace.String("[1]"), []byte{7}},
		{trace.OpText, trace.String("2500000"), []byte{8}},
		{trace.OpExists, trace.Value{}, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{trace.OpGreaterEqual, trace.Int(200), []byte{0}},
		{trace.OpLessEqual, trace.Int(199), nil},
	} {
		cond := trace.Cond{Field: trace.FieldAttr, Key: "k", Op: c.op, Value: c.v}
		if got, _ := find(t, s, query.Request{Scan: trace.Scan{Spans: [][]trace.Cond{{cond}}}, Limit: 100}); !slices.Equal(got, c.want) {
			t.Errorf("op %d, %s %q: found %v; want %v", c.op, c.v.Type(), c.v.Text(), got, c.want)
		}
	}
}

// TestCancel checks that a question whose asker is gone reads no further block.
func TestCancel(t *testing.T) {
	s := store(t, 64<<10)
	for i := uint64(0); ; i++ { // until there are some that are not merged
		st, err := s.Stats(t.Context())
		if err != nil || i == 100 {
			t.Fatalf("%d blocks, %v; want 3", st.Blocks, err)
		}
		if st.Blocks >= 3 {
			break
		}
		fill(t, s, now+i*1_000_000_000, 1)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var rep trace.ScanReport
	read := -1
	for _, err := range s.Scan(ctx, trace.Scan{}, &rep) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("ends with %v", err)
			}
			break
		}
		if read < 0 {
			read = rep.Blocks
			cancel()
		}
	}
	if read < 0 || rep.Blocks > read+1 {
		t.Errorf("%d blocks were read when the asker went, %d at the end", read, rep.Blocks)
	}
	if _, err := query.New(s).Find(ctx, query.Request{Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("a question that was cancelled before: %v", err)
	}
	if _, _, err := query.New(s).Calls(ctx, trace.Range{}); !errors.Is(err, context.Canceled) {
		t.Errorf("counting calls: %v", err)
	}
}

func TestCalls(t *testing.T) {
	s := store(t, 1<<20)
	a, b, c := newSpan(1, now, "a"), newSpan(1, now+1, "b"), newSpan(1, now+2, "b")
	b.ID, b.Parent, b.Status = trace.SpanID{7: 2}, a.ID, trace.StatusError
	c.ID, c.Parent = trace.SpanID{7: 3}, b.ID // in the service itself: no call
	d := newSpan(2, now, "a")
	d.Parent = trace.SpanID{7: 9} // never came
	add(t, s, a, b, c, d)
	calls, incomplete, err := query.New(s).Calls(t.Context(), trace.Range{From: now, To: now + 5})
	if err != nil || incomplete != "" || !slices.Equal(calls, []query.Calls{{Parent: "a", Child: "b", Count: 1, Errors: 1}}) {
		t.Errorf("calls %v, incomplete %q, %v", calls, incomplete, err)
	}
	if calls, _, err := query.New(s).Calls(t.Context(), trace.Range{From: now + 100}); err != nil || len(calls) != 0 {
		t.Errorf("calls outside of the range: %v, %v", calls, err)
	}
}
