package spool

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/trace"
)

// plainKey is a key as a plain count over spans has it.
type plainKey struct {
	spans  uint64
	types  map[trace.ValueType]bool
	values map[string]uint64 // by type and text
	long   bool              // a value is longer than statistics keep
}

// plainly counts what spans have, one by one.
func plainly(spans []trace.Span, service string) map[string]*plainKey {
	out := map[string]*plainKey{}
	for i := range spans {
		s := &spans[i]
		if service != "" && s.Service() != service {
			continue
		}
		for scope, attrs := range map[trace.AttrScope][]trace.Attr{
			trace.ScopeSpan: s.Attrs, trace.ScopeResource: s.Resource.Attrs, trace.ScopeInstrumentation: s.Scope.Attrs,
			trace.ScopeIntrinsic: {
				{Key: "name", Value: trace.String(s.Name)},
				{Key: "kind", Value: trace.String(s.Kind.String())},
				{Key: "status", Value: trace.String(s.Status.String())},
			},
		} {
			seen := map[string]bool{}
			for _, a := range attrs {
				id := scope.String() + "." + a.Key
				k := out[id]
				if k == nil {
					k = &plainKey{types: map[trace.ValueType]bool{}, values: map[string]uint64{}}
					out[id] = k
				}
				if !seen[id] {
					k.spans++
				}
				seen[id] = true
				k.types[a.Value.Type()] = true
				k.values[a.Value.Type().String()+" "+a.Value.Text()]++
				k.long = k.long || len(trace.AppendValue(nil, a.Value)) > 120
			}
		}
	}
	return out
}

// checkAttributes compares what the spool says of attributes with a plain count. Counts of values are exact where all are kept; else they are at most that.
func checkAttributes(t *testing.T, s *Spool, spans []trace.Span, what string) {
	t.Helper()
	for _, service := range []string{"", "service-1"} {
		want := plainly(spans, service)
		all, err := s.Attributes(t.Context(), trace.AttrQuery{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		if len(all.Keys) != len(want) || all.Others != 0 || all.Incomplete != "" {
			t.Errorf("%s: %d keys, %d others, %q; want %d", what, len(all.Keys), all.Others, all.Incomplete, len(want))
		}
		for _, k := range all.Keys {
			id := k.Scope.String() + "." + k.Key
			w := want[id]
			if w == nil {
				t.Fatalf("%s: %s is in no span", what, id)
			}
			checkKey(t, what+": "+id, w, k)
			one, err := s.Attributes(t.Context(), trace.AttrQuery{Service: service, Scope: k.Scope, Key: k.Key})
			if err != nil || len(one.Keys) != 1 {
				t.Fatalf("%s: %s: %v, %v", what, id, one, err)
			}
			checkKey(t, what+": "+id, w, one.Keys[0])
			checkKeyValues(t, what+": "+id, w, one.Keys[0])
		}
	}
}

func checkKey(t *testing.T, what string, want *plainKey, k trace.KeyStat) {
	t.Helper()
	types := map[trace.ValueType]bool{}
	for _, typ := range k.Types {
		types[typ] = true
	}
	if diff := gocmp.Diff(want.types, types); diff != "" || k.Spans != want.spans {
		t.Errorf("%s: %d spans, want %d; types %s", what, k.Spans, want.spans, diff)
	}
	distinct := len(want.values)
	if k.All && !want.long && int(k.Distinct) != distinct {
		t.Errorf("%s: %d different values, want %d", what, k.Distinct, distinct)
	}
	if off := math.Abs(float64(k.Distinct)/float64(distinct) - 1); off > 0.35 {
		t.Errorf("%s: about %d different values, want %d", what, k.Distinct, distinct)
	}
	if distinct <= 8 && !k.All && !want.long {
		t.Errorf("%s: not all of %d values", what, distinct)
	}
}

func checkKeyValues(t *testing.T, what string, want *plainKey, k trace.KeyStat) {
	t.Helper()
	if k.All && len(k.Values) != int(k.Distinct) {
		t.Errorf("%s: %d values of %d", what, len(k.Values), k.Distinct)
	}
	for _, v := range k.Values {
		n, ok := want.values[v.Value.Type().String()+" "+v.Value.Text()]
		switch {
		case v.Cut:
		case !ok:
			t.Errorf("%s: no span has %s %q", what, v.Value.Type(), v.Value.Text())
		case v.Spans > n || k.All && v.Spans != n:
			t.Errorf("%s: %q: %d spans, want %d", what, v.Value.Text(), v.Spans, n)
		}
	}
	if !slices.IsSortedFunc(k.Values, func(a, b trace.ValueStat) int { return int(int64(b.Spans) - int64(a.Spans)) }) {
		t.Errorf("%s: values are not in order", what)
	}
}

// TestAttributes compares statistics with a plain count: in heads, in blocks, in both, after a restart, and when blocks were merged.
func TestAttributes(t *testing.T) {
	cfg := testConfig(t)
	s := open(t, cfg)
	m := newMaker(7)
	var spans []trace.Span
	add := func() {
		for range 20 {
			tr := m.trace(12)
			appendSpans(t, s, tr)
			spans = append(spans, tr...)
		}
	}
	add()
	checkAttributes(t, s, spans, "head")
	for i := range 3 {
		s.cutNow(t)
		checkAttributes(t, s, spans, fmt.Sprint(i+1, " blocks"))
		add()
		checkAttributes(t, s, spans, fmt.Sprint(i+1, " blocks and a head"))
	}
	s.crash()
	s = open(t, cfg)
	checkAttributes(t, s, spans, "replayed")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	for len(s.state.Load().blocks) > 1 {
		s.cutNow(t)
	}
	checkAttributes(t, s, spans, "merged")
}

// TestAttributesOfAMillionKeys stores spans with keys and values that have no end: statistics stay small, and keep what repeats.
func TestAttributesOfAMillionKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	cfg := testConfig(t)
	s := open(t, cfg)
	res := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("many")}}}
	other := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shop")}}}
	const keys, batch = 1_000_000, 50_000
	for lo := 0; lo < keys; lo += batch {
		var spans []trace.Span
		for i := lo; i < lo+batch; i += 50 {
			sp := trace.Span{TraceID: trace.ID{1, byte(i >> 16), byte(i >> 8), byte(i), 15: 1}, ID: trace.SpanID{7: 1}, Name: fmt.Sprint("op ", i), Start: base + uint64(i), End: base + uint64(i) + 5, Resource: res, Scope: &trace.Scope{}}
			sp.Attrs = append(sp.Attrs, trace.Attr{Key: "order.id", Value: trace.String(fmt.Sprint("order-", i))}, trace.Attr{Key: "body", Value: trace.String(strings.Repeat(fmt.Sprint(i%100, " "), 2000))})
			for k := range 50 {
				sp.Attrs = append(sp.Attrs, trace.Attr{Key: fmt.Sprint("key-", i+k), Value: trace.Int(int64(i))})
			}
			spans = append(spans, sp)
		}
		sp := spans[0]
		sp.TraceID[15], sp.Resource, sp.Attrs = 2, other, []trace.Attr{{Key: "shop.key", Value: trace.String("v")}}
		appendSpans(t, s, append(spans, sp))
		if lo == keys/2 {
			s.cutNow(t)
		}
	}
	check := func(what string, part float64) { // of what is counted
		t.Helper()
		all, err := s.Attributes(t.Context(), trace.AttrQuery{})
		if err != nil {
			t.Fatal(err)
		}
		if len(all.Keys) > 40_010 || all.Others == 0 {
			t.Errorf("%s: %d keys, others %d", what, len(all.Keys), all.Others)
		}
		for _, key := range []string{"order.id", "body", "shop.key"} {
			if !slices.ContainsFunc(all.Keys, func(k trace.KeyStat) bool { return k.Key == key }) {
				t.Errorf("%s: no %s among %d keys", what, key, len(all.Keys))
			}
		}
		one, err := s.Attributes(t.Context(), trace.AttrQuery{Key: "order.id"})
		if err != nil || len(one.Keys) != 1 {
			t.Fatal(one, err)
		}
		if k := one.Keys[0]; !k.Many || len(k.Values) > 8 || k.Spans != keys/50 || float64(k.Distinct) < keys/50*part || k.Distinct > keys/50*13/10 {
			t.Errorf("%s: %+v", what, k)
		}
		one, err = s.Attributes(t.Context(), trace.AttrQuery{Key: "body"})
		if err != nil || len(one.Keys) != 1 || len(one.Keys[0].Values) == 0 {
			t.Fatal(one, err)
		}
		for _, v := range one.Keys[0].Values {
			if !v.Cut || len(v.Value.Str()) > 128 {
				t.Errorf("%s: a value of %d bytes, cut %v", what, len(v.Value.Str()), v.Cut)
			}
		}
	}
	check("head and block", 0.5)
	s.cutNow(t)
	check("blocks", 0.8)
	for _, b := range s.state.Load().blocks {
		if b.footer.Census.Length > 4<<20 {
			t.Errorf("statistics of %d spans take %d bytes", b.footer.Spans, b.footer.Census.Length)
		}
		t.Logf("statistics of %d spans: %d bytes of %d", b.footer.Spans, b.footer.Census.Length, b.size)
	}
}

// TestDeletedAttributes deletes a trace: when its block was rewritten, statistics know nothing of it, and all of the others.
func TestDeletedAttributes(t *testing.T) {
	cfg := testConfig(t)
	cfg.groupSpans = 100 // of this test: many groups, large enough to be copied
	s := open(t, cfg)
	m := newMaker(9)
	var spans, left []trace.Span
	for i := range 40 {
		tr := m.trace(20)
		if i == 20 {
			tr[3].Attrs = append(tr[3].Attrs, trace.Attr{Key: "secret", Value: trace.String("alice")})
		} else {
			left = append(left, tr...)
		}
		spans = append(spans, tr...)
	}
	appendSpans(t, s, spans)
	s.cutNow(t)
	checkAttributes(t, s, spans, "before")
	model{}.delete(t, s, spans[20*20].TraceID)
	s.purge(t)
	checkAttributes(t, s, left, "after")
}

// TestDamagedCensus damages the statistics of a block: spans are all there, blocks are merged, and what is lost is said.
func TestDamagedCensus(t *testing.T) {
	cfg := testConfig(t)
	s := open(t, cfg)
	m := newMaker(8)
	want := model{}
	for range mergeBlocks - 1 {
		tr := m.trace(20)
		want.add(tr)
		appendSpans(t, s, tr)
		s.cutNow(t)
	}
	s.crash()
	s = open(t, cfg)
	b := s.state.Load().blocks[0]
	f, err := os.OpenFile(b.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), b.footer.Census.Offset+9); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	got, err := s.Attributes(t.Context(), trace.AttrQuery{})
	if err != nil || got.Incomplete != "the statistics of 1 blocks are damaged" || len(got.Keys) == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	want.check(t, s)
	tr := m.trace(20)
	want.add(tr)
	appendSpans(t, s, tr)
	for len(s.state.Load().blocks) != 1 { // merged, damage or not
		s.cutNow(t)
	}
	want.check(t, s)
	if got, err = s.Attributes(t.Context(), trace.AttrQuery{}); err != nil || got.Incomplete != "" || len(got.Keys) == 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
