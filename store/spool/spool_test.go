package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clewtrace/clew/trace"
)

// base is when the tests' spans start: recent, so that no retention takes them.
var base = uint64(time.Now().Add(-time.Hour).UnixNano())

func open(t testing.TB, cfg Config) *Spool {
	t.Helper()
	s, err := Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.crash() })
	return s
}

func testConfig(t testing.TB) Config {
	cfg := Default()
	cfg.Dir = t.TempDir()
	cfg.MergeCPU, cfg.MergeRate = 100, 0
	return cfg
}

// crash stops the spool as a kill would: nothing is cut or flushed.
func (s *Spool) crash() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	s.stop()
	s.end.Wait()
	_ = s.wal.Close()
	_ = s.lock.Close()
}

// cutNow makes blocks of all that is in memory.
func (s *Spool) cutNow(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	s.freeze()
	s.mu.Unlock()
	deadline := time.Now().Add(time.Minute)
	for len(s.state.Load().frozen) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the head is not cut")
		}
		time.Sleep(time.Millisecond)
	}
}

func appendSpans(t testing.TB, s *Spool, spans []trace.Span) {
	t.Helper()
	var b trace.Batch
	if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	if n := b.Refused.Total(); n > 0 {
		t.Fatalf("%d spans refused: %s", n, b.Refused.First)
	}
	if err := s.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

// maker makes spans of all sorts.
type maker struct {
	r         *rand.Rand
	resources []*trace.Resource
	scopes    []*trace.Scope
	clock     uint64
}

func newMaker(seed uint64) *maker {
	m := &maker{r: rand.New(rand.NewPCG(seed, 1)), clock: base}
	for i := range 5 {
		m.resources = append(m.resources, &trace.Resource{
			Attrs: []trace.Attr{
				{Key: "service.name", Value: trace.String(fmt.Sprintf("service-%d", i%3))},
				{Key: "host.name", Value: trace.String(fmt.Sprintf("host-%d", i))},
				{Key: "cpus", Value: trace.Int(int64(i))},
			},
			SchemaURL: []string{"", "https://schema/1"}[i%2], Dropped: uint32(i),
		})
		m.scopes = append(m.scopes, &trace.Scope{
			Name: fmt.Sprint("lib", i), Version: "1", Attrs: []trace.Attr{{Key: "x", Value: trace.Bool(true)}},
			SchemaURL: []string{"https://scope/1", ""}[i%2],
		})
	}
	m.resources = append(m.resources, &trace.Resource{})
	m.scopes = append(m.scopes, &trace.Scope{})
	return m
}

func (m *maker) value(depth int) trace.Value {
	switch n := m.r.IntN(9); {
	case n == 0:
		return trace.Bool(m.r.IntN(2) == 0)
	case n == 1:
		return trace.Double(m.r.NormFloat64())
	case n == 2:
		return trace.Bytes([]byte{1, 2, byte(m.r.IntN(256))})
	case n == 3:
		return trace.Value{}
	case n == 4 && depth > 0:
		return trace.Array(m.value(depth-1), m.value(depth-1))
	case n == 5 && depth > 0:
		return trace.Map(trace.Attr{Key: "k", Value: m.value(depth - 1)}, trace.Attr{Key: "", Value: m.value(depth - 1)})
	case n == 6:
		return trace.Int(int64(m.r.Uint64()))
	case n == 7:
		return trace.Int(int64(m.r.IntN(5)))
	}
	return trace.String([]string{"", "red", "green", "blué", "00f067aa0ba902b7", fmt.Sprint(m.r.Uint64())}[m.r.IntN(6)])
}

func (m *maker) attrs(n int) []trace.Attr {
	var out []trace.Attr
	for range m.r.IntN(n + 1) {
		out = append(out, trace.Attr{Key: []string{"color", "size", "http.route", "user.id", "error"}[m.r.IntN(5)], Value: m.value(2)})
	}
	return out
}

func (m *maker) id() (id trace.SpanID) {
	for i := range id {
		id[i] = byte(m.r.Uint32())
	}
	id[0] |= 1
	return id
}

// trace makes a trace's spans; now and then with a missing parent, a shared ID, or hundreds of attributes.
func (m *maker) trace(n int) []trace.Span {
	var id trace.ID
	for i := range id {
		id[i] = byte(m.r.Uint32())
	}
	id[15] |= 1
	m.clock += uint64(m.r.IntN(1_000_000))
	spans := make([]trace.Span, n)
	for i := range spans {
		s := trace.Span{
			TraceID: id, ID: m.id(), Name: fmt.Sprint("op", m.r.IntN(6)), Kind: trace.Kind(m.r.IntN(6)),
			Start: m.clock + uint64(m.r.IntN(1_000_000)), Status: trace.StatusCode(m.r.IntN(3)), Flags: uint32(m.r.IntN(2)) * 257,
			Attrs: m.attrs(4), Resource: m.resources[m.r.IntN(len(m.resources))], Scope: m.scopes[m.r.IntN(len(m.scopes))],
		}
		s.End = s.Start + uint64(m.r.IntN(5_000_000)) - 1000
		switch m.r.IntN(10) {
		case 0:
			s.Name = fmt.Sprint("user ", m.r.Uint32())
		case 1:
			s.StatusMessage, s.State, s.Dropped, s.DroppedEvents, s.DroppedLinks = "bad", "a=b", 1, 2, 3
		case 2:
			s.Events = []trace.Event{{Time: s.Start, Name: "exception", Attrs: m.attrs(3), Dropped: 1}}
			s.Links = []trace.Link{{TraceID: id, SpanID: s.ID, State: "x=y", Flags: 1, Attrs: m.attrs(2), Dropped: 4}}
		case 3:
			if m.r.IntN(20) == 0 {
				for k := range 200 {
					s.Attrs = append(s.Attrs, trace.Attr{Key: fmt.Sprint("many", k), Value: m.value(1)})
				}
			}
		}
		switch {
		case i > 0 && m.r.IntN(30) == 0:
			s.ID, s.Parent = spans[i-1].ID, spans[i-1].Parent // a shared ID
		case i > 0 && m.r.IntN(20) != 0:
			s.Parent = spans[m.r.IntN(i)].ID
		case i > 0:
			s.Parent = m.id()
		}
		spans[i] = s
	}
	return spans
}

// model is what a spool must answer.
type model map[trace.ID][]trace.Span

func (m model) add(spans []trace.Span) {
	for _, s := range spans {
		m[s.TraceID] = append(m[s.TraceID], s)
	}
}

func sortSpans(spans []trace.Span) []trace.Span {
	out := slices.Clone(spans)
	slices.SortFunc(out, func(a, b trace.Span) int {
		return cmp.Or(slices.Compare(a.ID[:], b.ID[:]), cmp.Compare(a.Start, b.Start), slices.Compare(trace.AppendSpan(nil, &a), trace.AppendSpan(nil, &b)))
	})
	return out
}

var compareValues = gocmp.Comparer(func(a, b trace.Value) bool { return a.Equal(b) })

func (m model) check(t *testing.T, s *Spool) {
	t.Helper()
	for id, want := range m {
		got, err := s.Trace(t.Context(), id, trace.Range{})
		if err != nil {
			t.Fatalf("trace %s: %v", id, err)
		}
		if diff := gocmp.Diff(sortSpans(want), sortSpans(got.Spans), compareValues); diff != "" {
			t.Fatalf("trace %s differs (-want +got):\n%s", id, diff)
		}
	}
	if _, err := s.Trace(t.Context(), trace.ID{1}, trace.Range{}); trace.KindOf(err) != trace.NotFound {
		t.Fatalf("unknown trace: %v", err)
	}
}

// checkScan compares a scan with an evaluation of every trace.
func (m model) checkScan(t *testing.T, s *Spool, sc trace.Scan) {
	t.Helper()
	var want []trace.Position
	for id, spans := range m {
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
	var last trace.Position
	var rep trace.ScanReport
	for tr, err := range s.Scan(t.Context(), sc, &rep) {
		if err != nil {
			t.Fatal(err)
		}
		p := trace.Position{Start: startOf(tr.Spans), ID: tr.ID}
		if !last.IsZero() && !last.Precedes(p) {
			t.Fatalf("scan %+v: %v after %v", sc, p, last)
		}
		last = p
		if diff := gocmp.Diff(outlines(m[tr.ID]), outlines(tr.Spans), compareValues); diff != "" {
			t.Fatalf("scan %+v: trace %s differs (-want +got):\n%s", sc, tr.ID, diff)
		}
		if sc.Match(tr) {
			got = append(got, p)
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("scan %+v differs (-want +got):\n%s", sc, diff)
	}
}

// outlines returns what all spans that a scan yields must have.
func outlines(spans []trace.Span) []trace.Span {
	out := make([]trace.Span, len(spans))
	for i, s := range spans {
		out[i] = trace.Span{
			TraceID: s.TraceID, ID: s.ID, Parent: s.Parent, Flags: s.Flags, Name: s.Name, Kind: s.Kind, Start: s.Start, End: s.End,
			Status: s.Status, Resource: s.Resource, Scope: s.Scope,
		}
		if s.IsError() {
			out[i].Status = trace.StatusError
		}
	}
	return sortSpans(out)
}

func scans(r *rand.Rand) []trace.Scan {
	attr := func(key string, op trace.Op, v trace.Value) trace.Cond {
		return trace.Cond{Field: trace.FieldAttr, Key: key, Op: op, Value: v}
	}
	service := trace.Cond{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String("service-1")}
	all := []trace.Scan{
		{},
		{Spans: [][]trace.Cond{{service}}},
		{Spans: [][]trace.Cond{{service, attr("color", trace.OpText, trace.String("red"))}}},
		{Spans: [][]trace.Cond{{attr("size", trace.OpText, trace.String("3"))}}},
		{Spans: [][]trace.Cond{{attr("size", trace.OpExists, trace.Value{})}, {service}}},
		{Spans: [][]trace.Cond{{attr("host.name", trace.OpText, trace.String("host-4"))}}},
		{Spans: [][]trace.Cond{{attr("many3", trace.OpExists, trace.Value{})}}},
		{Spans: [][]trace.Cond{{attr("nowhere", trace.OpExists, trace.Value{})}}},
		{Spans: [][]trace.Cond{{service, {Field: trace.FieldName, Op: trace.OpEqual, Value: trace.String("op2")}}}},
		{Spans: [][]trace.Cond{{{Field: trace.FieldDuration, Op: trace.OpGreaterEqual, Value: trace.Int(4_500_000)}}}},
		{Spans: [][]trace.Cond{{{Field: trace.FieldStatus, Op: trace.OpEqual, Value: trace.Int(2)}, {Field: trace.FieldKind, Op: trace.OpEqual, Value: trace.Int(3)}}}},
		{Spans: [][]trace.Cond{{{Field: trace.FieldEvent, Op: trace.OpEqual, Value: trace.String("exception")}}}},
		{Spans: [][]trace.Cond{{{Field: trace.FieldEvent, Key: "color", Op: trace.OpExists}}}},
		{Spans: [][]trace.Cond{{service, {Field: trace.FieldTag, Key: "color", Op: trace.OpText, Value: trace.String("red")}}}},
		{Spans: [][]trace.Cond{{service, {Field: trace.FieldError, Op: trace.OpEqual, Value: trace.Bool(true)}}}},
		{Spans: [][]trace.Cond{{{Field: trace.FieldError, Op: trace.OpEqual, Value: trace.Bool(false)}, attr("error", trace.OpExists, trace.Value{})}}},
		{Spans: [][]trace.Cond{{service, {Field: trace.FieldScopeName, Op: trace.OpEqual, Value: trace.String("lib2")}}}},
		{Spans: [][]trace.Cond{{{Field: trace.FieldScopeVersion, Op: trace.OpEqual, Value: trace.String("")}}}},
		{Spans: [][]trace.Cond{{{Field: trace.FieldMark, Key: "host.name", Op: trace.OpExists}}, {{Field: trace.FieldMark, Key: "exception", Op: trace.OpExists}}}},
	}
	for i := range all {
		all[i].Outline = r.IntN(2) == 0
		if r.IntN(3) == 0 {
			all[i].Range.From = base + uint64(r.IntN(40_000_000))
		}
		if r.IntN(3) == 0 {
			all[i].Range.To = base + uint64(r.IntN(80_000_000))
		}
		if r.IntN(4) == 0 {
			all[i].Before = trace.Position{Start: base + uint64(r.IntN(60_000_000))}
		}
	}
	return all
}

func TestServicesAndOperations(t *testing.T) {
	s := open(t, testConfig(t))
	res := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shop")}}}
	span := func(name string, kind trace.Kind) trace.Span {
		sp := newMaker(1).trace(1)[0]
		sp.Resource, sp.Name, sp.Kind = res, name, kind
		return sp
	}
	check := func() {
		t.Helper()
		services, err := s.Services(t.Context())
		if err != nil || !slices.Equal(services, []string{"shop"}) {
			t.Fatalf("services %v, %v", services, err)
		}
		ops, err := s.Operations(t.Context(), "shop")
		want := []trace.Operation{{Name: "buy", Kind: trace.KindClient}, {Name: "buy", Kind: trace.KindServer}, {Name: "sell", Kind: trace.KindServer}}
		want[0], want[1] = want[1], want[0]
		if err != nil || !slices.Equal(ops, want) {
			t.Fatalf("operations %v, %v; want %v", ops, err, want)
		}
	}
	appendSpans(t, s, []trace.Span{span("sell", trace.KindServer), span("buy", trace.KindServer)})
	s.cutNow(t)
	appendSpans(t, s, []trace.Span{span("buy", trace.KindClient)})
	check()
	s.cutNow(t)
	check()
	if ops, _ := s.Operations(t.Context(), "other"); len(ops) != 0 {
		t.Errorf("operations of an unknown service: %v", ops)
	}
}

func TestLimitsOfShapes(t *testing.T) {
	s := open(t, testConfig(t))
	m := newMaker(7)
	want := model{}
	spans := m.trace(3000)
	for i := range spans {
		spans[i].Name = fmt.Sprint("GET /user/", i) // a shape each, without the limit
		spans[i].Resource = m.resources[0]
	}
	appendSpans(t, s, spans)
	want.add(spans)
	if n := len(s.state.Load().open.heads[0].rows.shapes); n > maxServiceShapes+6*3*2*6 { // the catch-all shapes: scopes, kinds, statuses, flags
		t.Errorf("%d shapes", n)
	}
	want.check(t, s)
	s.cutNow(t)
	want.check(t, s)
	ops, err := s.Operations(t.Context(), "service-0")
	if err != nil || len(ops) < 3000 {
		t.Errorf("%d operations, %v", len(ops), err)
	}
	want.checkScan(t, s, trace.Scan{Spans: [][]trace.Cond{{{Field: trace.FieldName, Op: trace.OpEqual, Value: trace.String("GET /user/2999")}}}})
}

func TestLargeTrace(t *testing.T) {
	s := open(t, testConfig(t))
	m := newMaker(3)
	spans := m.trace(3 * groupSpans / 2)
	for i := range spans {
		spans[i].Attrs, spans[i].Events, spans[i].Links = nil, nil, nil
	}
	want := model{}
	want.add(spans)
	appendSpans(t, s, spans)
	s.cutNow(t)
	if n := len(s.state.Load().blocks[0].footer.Groups); n < 1 {
		t.Errorf("%d groups", n)
	}
	want.check(t, s)
}

// A merge copies groups as they are, but for those that share a trace, which comes to lie in one place.
func TestMergeCopiesGroups(t *testing.T) {
	cfg := testConfig(t)
	cfg.groupSpans = 100
	s := open(t, cfg)
	s.stop() // nothing merges by itself
	s.end.Wait()
	m, want := newMaker(11), model{}
	straddling := m.trace(10)
	for i := range mergeBlocks {
		part := straddling[:0:0]
		if i < 2 {
			part = straddling[5*i : 5*i+5]
		}
		appendSpans(t, s, part)
		want.add(part)
		for range 12 {
			spans := m.trace(50)
			appendSpans(t, s, spans)
			want.add(spans)
		}
		s.mu.Lock()
		s.freeze()
		s.mu.Unlock()
		if err := s.cutAll(); err != nil {
			t.Fatal(err)
		}
	}
	contents := map[uint32]bool{}
	for _, b := range s.state.Load().blocks {
		for i := range b.footer.Groups {
			_, raw, err := b.groupBytes(i, newCodec())
			if err != nil {
				t.Fatal(err)
			}
			contents[checksum(raw)] = true
		}
	}
	if worked, err := s.mergeOne(t.Context()); !worked || err != nil {
		t.Fatal(worked, err)
	}
	b := s.state.Load().blocks[0]
	copied := 0
	for i := range b.footer.Groups {
		_, raw, err := b.groupBytes(i, newCodec())
		if err != nil {
			t.Fatal(err)
		}
		if contents[checksum(raw)] {
			copied++
		}
	}
	if all := len(b.footer.Groups); copied < all/2 || copied == all {
		t.Errorf("%d of %d groups were copied", copied, all)
	}
	if places := b.find(straddling[0].TraceID, newCodec()); len(places) != 1 {
		t.Errorf("the straddling trace lies in %d places", len(places))
	}
	want.check(t, s)
	for _, sc := range scans(m.r) {
		want.checkScan(t, s, sc)
	}
}

// Who appends does not wait for a merge: fronts are cut between its steps.
func TestCutDuringMerge(t *testing.T) {
	cfg := testConfig(t)
	cfg.MergeRate = 1 << 20
	cfg.groupSpans = 100
	s := open(t, cfg)
	m, want := newMaker(12), model{}
	fill := func() {
		spans := m.trace(50)
		spans[0].Attrs = append(spans[0].Attrs, trace.Attr{Key: "noise", Value: trace.Bytes(noise(m.r, 3<<20))})
		appendSpans(t, s, spans)
		want.add(spans)
		s.cutNow(t)
	}
	for range mergeBlocks {
		fill()
	}
	merging := func() bool {
		files, err := filepath.Glob(filepath.Join(s.blockDir(), "*"+tmpSuffix))
		return err == nil && len(files) > 0
	}
	for deadline := time.Now().Add(time.Minute); !merging(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no merge begins")
		}
	}
	for range 3 { // of the 25 MB that the merge moves, it may move 1 MiB a second
		fill()
	}
	if !merging() {
		t.Error("the merge was not held to its pace")
	}
	want.check(t, s)
}

// A block that expires while it is merged does not come back with the merged one.
func TestExpireDuringMerge(t *testing.T) {
	s := open(t, testConfig(t))
	s.stop() // nothing merges by itself
	s.end.Wait()
	m, want := newMaker(13), model{}
	for i := range mergeBlocks {
		spans := m.trace(20)
		appendSpans(t, s, spans)
		if i > 0 {
			want.add(spans)
		}
		s.mu.Lock()
		s.freeze()
		s.mu.Unlock()
		if err := s.cutAll(); err != nil {
			t.Fatal(err)
		}
	}
	from := s.pick()
	merged, err := s.merge(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.remove(from[:1]); err != nil {
		t.Fatal(err)
	}
	if err := s.swap(from, merged); err != nil {
		t.Fatal(err)
	}
	want.check(t, s)
	want.checkScan(t, s, trace.Scan{})
	if files, err := os.ReadDir(s.blockDir()); err != nil || len(files) != mergeBlocks-1 {
		t.Errorf("%d files, %v; want those of the blocks that are left", len(files), err)
	}
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestRetention(t *testing.T) {
	cfg := testConfig(t)
	cfg.Retention = 2 * time.Hour
	s := open(t, cfg)
	m := newMaker(1)
	old := m.trace(10)
	for i := range old {
		old[i].Start -= uint64(3 * time.Hour)
		old[i].End = old[i].Start
	}
	appendSpans(t, s, old)
	s.cutNow(t)
	if err := s.expire(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Trace(t.Context(), old[0].TraceID, trace.Range{}); trace.KindOf(err) != trace.NotFound {
		t.Errorf("expired trace: %v", err)
	}
	if n := testutil.ToFloat64(s.metrics.expired.WithLabelValues("age")); n != 10 {
		t.Errorf("%v spans counted as expired", n)
	}

	s.crash()
	cfg.RetentionBytes = 1
	s = open(t, cfg)
	want := model{}
	young := m.trace(10)
	want.add(young)
	appendSpans(t, s, young)
	s.cutNow(t)
	if err := s.expire(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(s.metrics.expired.WithLabelValues("bytes")); n != 10 {
		t.Errorf("%v spans counted as expired by bytes", n)
	}
	entries, err := os.ReadDir(s.blockDir())
	if err != nil || len(entries) != 0 {
		t.Errorf("files left: %v, %v", entries, err)
	}
}

func TestFolderInUse(t *testing.T) {
	cfg := testConfig(t)
	open(t, cfg)
	_, err := Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err == nil {
		t.Fatal("opened twice")
	}
	if want := fmt.Sprintf("in use by another clew (process %d)", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("error %q; want %q in it", err, want)
	}
}

func TestAppendAfterClose(t *testing.T) {
	s := open(t, testConfig(t))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var b trace.Batch
	if err := trace.Pack(&b, newMaker(1).trace(1), trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	var e *trace.Error
	if err := s.Append(context.Background(), &b); !errors.As(err, &e) || e.Kind != trace.Busy {
		t.Errorf("append after close: %v", err)
	}
}

// TestExactCopies holds that a span is taken for a copy of another one only if all of it is the same.
func TestExactCopies(t *testing.T) {
	s := open(t, testConfig(t))
	span := smallTraces(1, 1, 1)[0][0]
	span.Attrs = []trace.Attr{{Key: "a"}, {Key: "b"}}
	var want []trace.Span
	for _, change := range []func(*trace.Span){
		func(*trace.Span) {},
		func(s *trace.Span) { s.Scope = &trace.Scope{Name: "another"} },
		func(s *trace.Span) { scope := *s.Scope; scope.SchemaURL = "x"; s.Scope = &scope },
		func(s *trace.Span) { res := *s.Resource; res.SchemaURL = "x"; s.Resource = &res },
		func(s *trace.Span) { res := *s.Resource; res.Dropped = 7; s.Resource = &res },
		func(s *trace.Span) { s.Attrs = []trace.Attr{{Key: "b"}, {Key: "a"}} },
		func(s *trace.Span) { s.Status = 3 - s.Status },
	} {
		altered := span
		change(&altered)
		want = append(want, altered)
		appendSpans(t, s, []trace.Span{altered})
		appendSpans(t, s, []trace.Span{altered})
	}
	for _, where := range []string{"head", "block"} {
		got, err := s.Trace(t.Context(), span.TraceID, trace.Range{})
		if err != nil || !slices.Equal(wholes(want), wholes(got.Spans)) {
			t.Errorf("%s: %d spans, %v; want %d", where, len(got.Spans), err, len(want))
		}
		s.cutNow(t)
	}
}
