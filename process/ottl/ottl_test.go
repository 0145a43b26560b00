package ottl

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/trace"
)

// spans makes n spans of two services, with everything that a span can have.
func spans(n int) []trace.Span {
	resources := []*trace.Resource{
		{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shop")}, {Key: "host.name", Value: trace.String("a")}}, SchemaURL: "u"},
		{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("db")}}},
	}
	scope := &trace.Scope{Name: "lib", Version: "1"}
	out := make([]trace.Span, n)
	for i := range out {
		out[i] = trace.Span{
			TraceID: trace.ID{15: byte(i), 14: byte(i >> 8), 0: 1}, ID: trace.SpanID{7: byte(i), 0: 1}, State: "a=b", Name: fmt.Sprint("op ", i%3), Kind: trace.KindServer,
			Start: 1e18, End: 1e18 + 1e9, StatusMessage: "m", Status: trace.StatusError, Resource: resources[2*i/n], Scope: scope,
			Attrs:  []trace.Attr{{Key: "http.method", Value: trace.String("GET")}, {Key: "n", Value: trace.Int(int64(i))}, {Key: "list", Value: trace.Array(trace.Int(1))}},
			Events: []trace.Event{{Time: 1e18, Name: "one", Attrs: []trace.Attr{{Key: "n", Value: trace.Int(int64(i))}}}, {Time: 1e18, Name: "two"}, {Time: 1e18, Name: "one"}},
			Links:  []trace.Link{{TraceID: trace.ID{9}, SpanID: trace.SpanID{9}}},
		}
	}
	return out
}

func batch(t testing.TB, in []trace.Span) *trace.Batch {
	t.Helper()
	b := new(trace.Batch)
	if err := trace.Pack(b, in, trace.DefaultLimits()); err != nil || b.Refused.Total() > 0 {
		t.Fatal(err, b.Refused)
	}
	return b
}

func decoded(t testing.TB, b *trace.Batch) []trace.Span {
	t.Helper()
	out, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var compare = cmp.Comparer(func(a, b trace.Value) bool { return a.Equal(b) })

// transformed runs statements, and changes the same in the spans by hand.
func transformed(t *testing.T, g Group, byHand func(s *trace.Span)) {
	t.Helper()
	step, err := NewTransform([]Group{g})
	if err != nil {
		t.Fatal(err)
	}
	b := batch(t, spans(6))
	if err := step.Process(t.Context(), b); err != nil {
		t.Errorf("%+v: %v", g, err)
	}
	want := spans(6)
	for i := range want {
		byHand(&want[i])
	}
	if diff := cmp.Diff(want, decoded(t, b), compare); diff != "" {
		t.Errorf("%v (-want +got):\n%s", g, diff)
	}
}

func TestTransform(t *testing.T) {
	on := func(statements ...string) Group { return Group{Statements: statements} }
	transformed(t, on(`set(span.name, "x") where span.attributes["n"] == 2`), func(s *trace.Span) {
		if s.Attrs[1].Value.Int() == 2 {
			s.Name = "x"
		}
	})
	transformed(t, on(`set(span.attributes["of"], resource.attributes["service.name"]) where IsMatch(span.name, "op [12]")`), func(s *trace.Span) {
		if s.Name != "op 0" {
			s.Attrs = append(s.Attrs, trace.Attr{Key: "of", Value: trace.String(s.Service())})
		}
	})
	transformed(t, on(`delete_key(resource.attributes, "host.name")`), func(s *trace.Span) {
		s.Resource = &trace.Resource{Attrs: s.Resource.Attrs[:1], SchemaURL: s.Resource.SchemaURL}
	})
	transformed(t, on(`set(resource.schema_url, "new") where resource.attributes["service.name"] == "db"`), func(s *trace.Span) {
		if s.Service() == "db" {
			s.Resource.SchemaURL = "new"
		}
	})
	transformed(t, Group{Context: "scope", Statements: []string{`set(version, "2")`}}, func(s *trace.Span) { s.Scope = &trace.Scope{Name: "lib", Version: "2"} })
	transformed(t, Group{Context: "spanevent", Conditions: []string{`name == "two"`, `attributes["n"] == 1`}, Statements: []string{`set(name, "hit")`}}, func(s *trace.Span) {
		s.Events[1].Name = "hit"
		if s.Attrs[1].Value.Int() == 1 {
			s.Events[0].Name = "hit"
		}
	})
	transformed(t, on(`set(span.attributes["n"], 7) where span.name == "nobody"`), func(*trace.Span) {})
	transformed(t, on(`replace_pattern(span.status.message, "m", "masked")`), func(s *trace.Span) { s.StatusMessage = "masked" })
}

// TestUntouched: a span that no statement worked on is the same bytes, even those that this version of OTLP does not know.
func TestUntouched(t *testing.T) {
	step, err := NewTransform([]Group{{Statements: []string{`set(span.attributes["n"], 7) where span.attributes["n"] == 1`}}})
	if err != nil {
		t.Fatal(err)
	}
	b := batch(t, spans(4))
	unknown := []byte("\xfa\x01\x03new")
	add := func(b *trace.Batch) map[string]bool {
		found := map[string]bool{}
		if err := b.Edit(&trace.Edit{Span: func(dst []byte, i int, body []byte) ([]byte, trace.Change) {
			out := append(append(dst, body...), unknown...)
			found[string(out[len(dst):])] = true
			return out, trace.Changed
		}}); err != nil {
			t.Fatal(err)
		}
		return found
	}
	before := add(b)
	if err := step.Process(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	same := 0
	if err := b.Edit(&trace.Edit{Span: func(dst []byte, i int, body []byte) ([]byte, trace.Change) {
		if before[string(body)] {
			same++
		}
		return dst, trace.Same
	}}); err != nil || same != 3 {
		t.Errorf("%v: %d of 4 spans are the bytes they were; want 3", err, same)
	}
}

func TestFilter(t *testing.T) {
	for _, c := range []struct {
		groups []Group
		want   string
		events int
	}{
		{[]Group{{Conditions: []string{`span.name == "op 1"`}}}, "0 2 3 5", 12},
		{[]Group{{Conditions: []string{`span.name == "op 1"`, `resource.attributes["service.name"] == "db"`}}}, "0 2", 6},
		{[]Group{{Conditions: []string{`scope.name == "lib"`}}}, "", 0},
		{[]Group{{Conditions: []string{`spanevent.name == "one"`}}}, "0 1 2 3 4 5", 6},
		{[]Group{{Conditions: []string{`spanevent.name == "two"`}}, {Conditions: []string{`spanevent.attributes["n"] == 4`, `span.attributes["n"] == 5`}}}, "0 1 2 3 4", 9},
		{[]Group{{Context: "span", Conditions: []string{`IsRootSpan() and attributes["n"] > 3`}}}, "0 1 2 3", 12},
		{[]Group{{Conditions: []string{`span.name == "nobody"`}}}, "0 1 2 3 4 5", 18},
	} {
		step, err := NewFilter(c.groups)
		if err != nil {
			t.Fatal(err)
		}
		b := batch(t, spans(6))
		if err := step.Process(t.Context(), b); err != nil {
			t.Errorf("%v: %v", c.groups, err)
		}
		var left []string
		events := 0
		for _, s := range decoded(t, b) {
			left = append(left, fmt.Sprint(s.Attrs[1].Value.Int()))
			events += len(s.Events)
		}
		if got := strings.Join(left, " "); got != c.want || events != c.events {
			t.Errorf("%v leaves %s with %d events; want %s with %d", c.groups, got, events, c.want, c.events)
		}
	}
}

// TestErrors: what cannot be done is told, and does or does not keep the rest from being done.
func TestErrors(t *testing.T) {
	for _, mode := range []process.ErrorMode{process.Ignore, process.Propagate} {
		step, err := NewTransform([]Group{{Errors: mode, Statements: []string{
			`set(span.attributes["json"], ParseJSON(span.name))`, `set(span.attributes["n"], 7)`,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		b := batch(t, spans(3))
		before := bytes.Clone(b.Raw)
		if err := step.Process(t.Context(), b); err == nil || !strings.Contains(err.Error(), "ParseJSON") || mode == process.Ignore && !strings.Contains(err.Error(), "and 2 more") {
			t.Errorf("%v: %v", mode, err)
		}
		if changed := !bytes.Equal(before, b.Raw); changed != (mode == process.Ignore) {
			t.Errorf("%v: the batch was changed: %v", mode, changed)
		}
		filter, err := NewFilter([]Group{{Errors: mode, Conditions: []string{`ParseJSON(span.name)["x"] == 1`, `span.attributes["n"] == 1`}}})
		if err != nil {
			t.Fatal(err)
		}
		b = batch(t, spans(3))
		if err := filter.Process(t.Context(), b); err == nil || (len(b.Spans) == 2) != (mode == process.Ignore) {
			t.Errorf("%v: %v, %d spans left", mode, err, len(b.Spans))
		}
	}
}

func TestWrong(t *testing.T) {
	for _, c := range []struct {
		group Group
		want  string
	}{
		{Group{Statements: []string{`set(span.nam, "x")`}}, `segment "nam"`},
		{Group{Statements: []string{`sett(span.name, "x")`}}, `does not support the function "sett"`},
		{Group{Statements: []string{`set(span.name, "x"`}}, "statement has invalid syntax"},
		{Group{Statements: []string{`set(log.body, "x")`}}, `"log"`},
		{Group{Context: "resource", Statements: []string{`set(span.name, "x")`}}, "span"},
		{Group{Conditions: []string{`span.name = "x"`}}, "condition has invalid syntax"},
		{Group{Conditions: []string{`set(span.name, "x")`}}, "condition has invalid syntax"},
		{Group{Conditions: []string{`nam == "x"`}}, ""},
	} {
		if err := Check(c.group); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v; want %s", c.group, err, c.want)
		}
	}
	step, err := NewTransform([]Group{{Statements: []string{`set(span.name, "x")`}}})
	if err != nil {
		t.Fatal(err)
	}
	huge := spans(1)
	huge[0].Attrs = append(huge[0].Attrs, trace.Attr{Key: "pad", Value: trace.Bytes(make([]byte, maxBytes))})
	var b trace.Batch
	if err := trace.Pack(&b, huge, trace.Limits{SpanBytes: 1 << 30, Depth: 64}); err != nil {
		t.Fatal(err)
	}
	if err := step.Process(t.Context(), &b); trace.KindOf(err) != trace.TooLarge {
		t.Errorf("a batch that is too large for objects: %v", err)
	}
}

// TestStatementsChangeNothingElse: for random statements over random spans, what no statement names stays as it was.
func TestStatementsChangeNothingElse(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := r.IntN(6)
		step, err := NewTransform([]Group{{Statements: []string{fmt.Sprintf(`set(span.attributes["n"], -1) where span.attributes["n"] >= %d`, n)}}})
		if err != nil {
			t.Fatal(err)
		}
		in := spans(6)
		r.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		b := batch(t, in)
		if err := step.Process(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for i := range in {
			if in[i].Attrs[1].Value.Int() >= int64(n) {
				in[i].Attrs = slices.Clone(in[i].Attrs)
				in[i].Attrs[1].Value = trace.Int(-1)
			}
		}
		if diff := cmp.Diff(in, decoded(t, b), compare); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}

// formerly moves the scopes of a resource to field 1000, where they were in OTLP once, and where the Collector's library still looks for them.
func formerly(raw []byte) []byte {
	_, _, n := protowire.ConsumeTag(raw)
	rs, _ := protowire.ConsumeBytes(raw[n:])
	var body []byte
	for len(rs) > 0 {
		num, wire, _ := protowire.ConsumeTag(rs)
		_, _, size := protowire.ConsumeField(rs)
		if num == 2 && wire == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(rs)
			body = append(protowire.AppendTag(body, 1000, wire), rs[tag:size]...)
		} else {
			body = append(body, rs[:size]...)
		}
		rs = rs[size:]
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), body)
}

// TestSpansOnlyTheLibrarySees: spans in a field that is none any more are no spans to Clew. A batch in which the library finds others than
// the index has is not worked on: what is touched is put in place by its number.
func TestSpansOnlyTheLibrarySees(t *testing.T) {
	transform, err := NewTransform([]Group{{Statements: []string{`set(span.name, "x")`}}})
	if err != nil {
		t.Fatal(err)
	}
	var b trace.Batch
	if err := b.Index(append(formerly(batch(t, spans(1)).Raw), batch(t, spans(2)).Raw...), trace.DefaultLimits()); err != nil || len(b.Spans) != 2 {
		t.Fatal(err, len(b.Spans))
	}
	before := bytes.Clone(b.Raw)
	err = transform.Process(t.Context(), &b)
	if changed := !bytes.Equal(before, b.Raw); changed == (err != nil) || len(b.Spans) != 2 {
		t.Errorf("%v, changed: %v, %d spans", err, changed, len(b.Spans))
	}
}

// FuzzSteps runs statements and conditions over whatever is taken as OTLP: what comes out is taken again, and spans that no statement is
// for are the same bytes.
func FuzzSteps(f *testing.F) {
	f.Add(batch(f, spans(4)).Raw)
	f.Add([]byte("\x0a\x00\x0a\x02\x12\x00"))
	f.Add(formerly(batch(f, spans(2)).Raw))
	transform, err := NewTransform([]Group{
		{Statements: []string{`set(span.attributes["x"], "y") where span.name == "op 1"`}},
		{Statements: []string{`set(resource.attributes["x"], "y") where resource.attributes["service.name"] == "db"`}},
		{Statements: []string{`set(spanevent.name, "z") where spanevent.name == "two" and span.name == "op 2"`}},
	})
	if err != nil {
		f.Fatal(err)
	}
	filter, err := NewFilter([]Group{{Conditions: []string{`span.name == "op 0"`, `spanevent.name == "one" and span.name == "op 1"`}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, step := range []process.Step{transform, filter} {
			var b, again trace.Batch
			if b.Index(in, trace.DefaultLimits()) != nil || len(b.Spans) == 0 {
				return
			}
			same := map[string]int{}
			bodies := func(b *trace.Batch, add int) {
				if err := b.Edit(&trace.Edit{Span: func(dst []byte, i int, body []byte) ([]byte, trace.Change) {
					if name := string(b.Bytes(b.Spans[i].Name)); name != "op 0" && name != "op 1" && name != "op 2" {
						same[string(body)] += add
					}
					return dst, trace.Same
				}}); err != nil {
					t.Fatal(err)
				}
			}
			bodies(&b, 1)
			arrived := len(b.Spans)
			if err := step.Process(t.Context(), &b); err != nil && len(b.Spans) != arrived {
				t.Fatalf("%T: %v, and %d of %d spans are left", step, err, len(b.Spans), arrived)
			}
			bodies(&b, -1)
			for body, n := range same {
				if n != 0 {
					t.Fatalf("%T: a span that is not touched was changed: %x", step, body)
				}
			}
			if err := again.Index(b.Raw, trace.DefaultLimits()); err != nil || len(again.Spans) != len(b.Spans) || len(b.Spans) > arrived {
				t.Fatalf("%T: %v: %d spans, %d indexed again, %d at first", step, err, len(b.Spans), len(again.Spans), arrived)
			}
		}
	})
}
