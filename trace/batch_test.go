package trace

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var compareValues = gocmp.Comparer(func(a, b Value) bool { return a.Equal(b) })

// index returns the batch of raw bytes under limits; it fails the test if they are refused.
func index(t testing.TB, raw []byte, limits Limits) *Batch {
	t.Helper()
	var b Batch
	if err := b.Index(raw, limits); err != nil {
		t.Fatal(err)
	}
	return &b
}

func decode(t testing.TB, b *Batch) []Span {
	t.Helper()
	spans, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	return spans
}

// good returns a span that no limit refuses.
func good(id byte) Span {
	return Span{TraceID: ID{1}, ID: SpanID{id}, Name: "op", Start: 1000, End: 2000}
}

func nestedValue(depth int) Value {
	v := Int(1)
	for i := range depth {
		if i%2 == 0 {
			v = Array(v)
		} else {
			v = Map(Attr{"k", v})
		}
	}
	return v
}

func TestRefusals(t *testing.T) {
	limits := Limits{SpanBytes: 1 << 10, Items: 20, Depth: 4, Oldest: 100, Newest: 5000, Deleted: func(id ID) bool { return id == ID{9} }}
	many := make([]Attr, 21)
	for i := range many {
		many[i] = Attr{fmt.Sprint("k", i), Int(1)}
	}
	f := func(reason Reason, message string, change func(s *Span)) {
		t.Helper()
		bad := good(2)
		change(&bad)
		// The bad one stands in the middle of a scope, so that what is left has to be put together again.
		res := &Resource{Attrs: []Attr{{"service.name", String("svc")}}, SchemaURL: "u"}
		spans := []Span{good(1), bad, good(3)}
		for i := range spans {
			spans[i].Resource, spans[i].Scope = res, &Scope{Name: "lib", SchemaURL: "v"}
			if i > 0 {
				spans[i].Scope = spans[0].Scope
			}
		}
		b := index(t, AppendTraces(nil, spans), limits)
		if b.Refused.Total() != 1 || b.Refused.Count[reason] != 1 || !strings.Contains(b.Refused.First, message) || !strings.HasPrefix(b.Refused.First, "span 1 of the request") {
			t.Errorf("%v: refused %+v; want one with %q", reason, b.Refused, message)
		}
		if diff := gocmp.Diff([]Span{spans[0], spans[2]}, decode(t, b), compareValues); diff != "" {
			t.Errorf("%v: the others are not whole (-want +got):\n%s", reason, diff)
		}
		if again := index(t, b.Raw, DefaultLimits()); len(again.Spans) != 2 || again.Refused.Total() != 0 {
			t.Errorf("%v: Raw still has %d spans", reason, len(again.Spans))
		}
	}
	f(BadTraceID, "trace_id is 0000", func(s *Span) { s.TraceID = ID{} })
	f(BadSpanID, "span_id is 0000", func(s *Span) { s.ID = SpanID{} })
	f(NoStartTime, "start_time_unix_nano is 0", func(s *Span) { s.Start = 0 })
	f(TooOld, "starts at 99 ns", func(s *Span) { s.Start = 99 })
	f(InTheFuture, "starts at 5001 ns", func(s *Span) { s.Start = 5001 })
	f(InTheFuture, "starts at 18446744073709551615 ns", func(s *Span) { s.Start = math.MaxUint64 })
	f(Deleted, "is of trace 09000000000000000000000000000000, which was deleted", func(s *Span) { s.TraceID = ID{9} })
	f(SpanTooLarge, "at most 1024", func(s *Span) { s.Name = strings.Repeat("x", 1024) })
	f(TooManyItems, "more than 20", func(s *Span) { s.Attrs = many })
	f(TooManyItems, "more than 20", func(s *Span) { s.Events = []Event{{Attrs: many[:20]}} })
	f(TooManyItems, "more than 20", func(s *Span) { s.Attrs = []Attr{{"a", Array(make([]Value, 20)...)}} })
	f(TooDeep, "deeper than 4", func(s *Span) { s.Attrs = []Attr{{"a", nestedValue(5)}} })
	f(TooDeep, "deeper than 4", func(s *Span) { s.Links = []Link{{Attrs: []Attr{{"a", nestedValue(5)}}}} })
	f(TooDeep, "deeper than 4", func(s *Span) { s.Events = []Event{{Attrs: []Attr{{"a", nestedValue(5)}}}} })
	// What the limits allow is taken to the last.
	ok := good(1)
	ok.Attrs, ok.End = []Attr{{"a", nestedValue(4)}}, 0
	if b := index(t, AppendTraces(nil, []Span{ok}), limits); b.Refused.Total() != 0 {
		t.Errorf("refused %+v", b.Refused)
	}
}

// TestLinkIDs refuses a span with an ID of another length in a link: it would come back as zeros. IDs that are not there are zeros.
func TestLinkIDs(t *testing.T) {
	for _, c := range []struct{ traceID, id, refused int }{{16, 8, 0}, {0, 0, 0}, {17, 8, 1}, {8, 8, 1}, {16, 9, 1}, {16, 7, 1}} {
		raw := appendMessage(nil, 1, func(b []byte) []byte {
			return appendMessage(b, 2, func(b []byte) []byte {
				return appendMessage(b, 2, func(b []byte) []byte {
					b = appendFixed64(appendBytes(appendBytes(b, 1, bytes.Repeat([]byte{7}, 16)), 2, bytes.Repeat([]byte{7}, 8)), 7, 1)
					return appendMessage(b, 13, func(b []byte) []byte {
						b = append(append(b, 1<<3|2, byte(c.traceID)), bytes.Repeat([]byte{7}, c.traceID)...)
						return append(append(b, 2<<3|2, byte(c.id)), bytes.Repeat([]byte{7}, c.id)...)
					})
				})
			})
		})
		if b := index(t, raw, DefaultLimits()); b.Refused.Count[BadSpanID] != c.refused || b.Refused.Total() != c.refused {
			t.Errorf("a link with IDs of %d and %d bytes: %+v", c.traceID, c.id, b.Refused)
		}
	}
}

// TestIDLengths refuses spans whose IDs have other lengths than OTLP's, each alone.
func TestIDLengths(t *testing.T) {
	span := func(traceID, id, parent int) []byte {
		b := appendBytes(nil, 1, bytes.Repeat([]byte{7}, traceID))
		b = appendBytes(b, 2, bytes.Repeat([]byte{7}, id))
		b = appendBytes(b, 4, bytes.Repeat([]byte{7}, parent))
		return appendFixed64(b, 7, 1)
	}
	for _, c := range []struct {
		traceID, id, parent int
		reason              Reason
	}{
		{15, 8, 8, BadTraceID},
		{17, 8, 8, BadTraceID},
		{0, 8, 8, BadTraceID},
		{1 << 10, 8, 8, BadTraceID},
		{16, 7, 8, BadSpanID},
		{16, 9, 8, BadSpanID},
		{16, 0, 8, BadSpanID},
		{16, 8, 7, BadSpanID},
		{16, 8, 9, BadSpanID},
		{16, 8, 8, NumReasons},
		{16, 8, 0, NumReasons},
	} {
		raw := appendMessage(nil, 1, func(b []byte) []byte {
			return appendMessage(b, 2, func(b []byte) []byte { return appendBytes(b, 2, span(c.traceID, c.id, c.parent)) })
		})
		b := index(t, raw, DefaultLimits())
		want := [NumReasons]int{}
		if c.reason < NumReasons {
			want[c.reason] = 1
		}
		if b.Refused.Count != want || len(b.Refused.First) > 200 {
			t.Errorf("%+v: refused %+v", c, b.Refused)
		}
	}
}

func TestIndexErrors(t *testing.T) {
	deepResource := appendMessage(nil, 1, func(b []byte) []byte {
		return appendMessage(b, 1, func(b []byte) []byte { return AppendResource(b, &Resource{Attrs: []Attr{{"a", nestedValue(65)}}}) })
	})
	for in, want := range map[string]string{
		"\x0a":                             "broken field in TracesData at byte 0 of 1",
		"\x0a\x05\x12":                     "broken field in TracesData at byte 0 of 3",
		"\x08\x01":                         "resource_spans is not a message",
		"\x0a\x02\x10\x01":                 "field of ResourceSpans has the wrong type at byte 2",
		"\x0a\x01\x80":                     "broken field in ResourceSpans at byte 2",
		"\x0a\x04\x12\x02\x10\x01":         "field of ScopeSpans has the wrong type at byte 4",
		"\x0a\x06\x12\x04\x12\x02\x28\x01": "field 5 of Span has the wrong type at byte 6",
		"\x00\x00":                         "broken field",
		"\x98\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02": "broken field", // a varint of more than 64 bits
		string(deepResource): "values nested deeper than 64",
	} {
		var b Batch
		err := b.Index([]byte(in), DefaultLimits())
		if KindOf(err) != Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20x: error %v; want %q in it", in, err, want)
		}
		if len(b.Raw)+len(b.Spans)+len(b.Resources) > 0 {
			t.Errorf("%.20x: the batch is not empty", in)
		}
	}
}

// TestDenseRequest refuses requests that would cost many times their own memory.
func TestDenseRequest(t *testing.T) {
	const n = 1 << 20
	fill := func(num int) []byte { return bytes.Repeat(append(appendTag(nil, num, wireBytes), 0), n) }
	traces := func(span []byte) []byte {
		return appendMessage(nil, 1, func(b []byte) []byte {
			return appendMessage(b, 2, func(b []byte) []byte { return appendBytes(b, 2, span) })
		})
	}
	for name, raw := range map[string][]byte{
		"resources":  fill(1),
		"scopes":     appendBytes(nil, 1, fill(2)),
		"spans":      appendMessage(nil, 1, func(b []byte) []byte { return appendBytes(b, 2, fill(2)) }),
		"attributes": traces(fill(9)),
		"events":     traces(fill(11)),
		"states":     traces(fill(3)),
		"array": traces(appendMessage(nil, 9, func(b []byte) []byte {
			return appendMessage(b, 2, func(b []byte) []byte { return appendBytes(b, 5, fill(1)) })
		})),
		"resource": appendMessage(nil, 1, func(b []byte) []byte { return appendBytes(b, 1, fill(1)) }),
	} {
		var b Batch
		if err := b.Index(raw, DefaultLimits()); KindOf(err) != TooLarge || !strings.Contains(err.Error(), "send smaller batches") {
			t.Errorf("%s: %d bytes: error %v, refused %+v", name, len(raw), err, b.Refused)
		}
		if size := 32*cap(b.Attrs) + 8*cap(b.Rest) + 8*cap(b.cut) + 16*cap(b.Resources) + 16*cap(b.Scopes); size > 16*len(raw) {
			t.Errorf("%s: %d bytes cost %d of index", name, len(raw), size)
		}
	}
	// Taken is a request of nothing but spans that say no more than they must, each with a resource of its own.
	b := index(t, AppendTraces(nil, minimal(1<<17)), DefaultLimits())
	if len(b.Spans) != 1<<17 || b.Small() {
		t.Errorf("%d spans were taken, %+v refused, the index is small: %v", len(b.Spans), b.Refused, b.Small())
	}
	// The densest that means something is taken: attributes with a key of one letter, arrays of small numbers.
	s := good(1)
	for range 1 << 16 {
		s.Attrs = append(s.Attrs, Attr{"k", Bool(true)})
	}
	s.Attrs = append(s.Attrs, Attr{"a", Array(slices.Repeat([]Value{Int(1)}, 1<<17)...)})
	if b := index(t, AppendTraces(nil, []Span{s, s, s, s, s, s, s, s}), Limits{SpanBytes: 1 << 30, Items: 1 << 20, Depth: 64}); len(b.Spans) != 8 {
		t.Errorf("refused %+v", b.Refused)
	}
}

// minimal returns the shortest spans that are taken.
func minimal(n int) []Span {
	spans := make([]Span, n)
	for i := range spans {
		spans[i] = Span{TraceID: ID{1}, ID: SpanID{1}, Start: 1, Resource: &Resource{}, Scope: &Scope{}}
	}
	return spans
}

func TestInvalidText(t *testing.T) {
	s := good(1)
	s.Name = "a\xffb"
	s.Attrs = []Attr{{"k\xfe", String("v\xfd")}, {"bytes", Bytes([]byte{0xff})}}
	b := index(t, AppendTraces(nil, []Span{s}), DefaultLimits())
	if b.InvalidText != 3 {
		t.Errorf("counted %d texts that are not UTF-8; want 3", b.InvalidText)
	}
	if got := decode(t, b)[0]; got.Name != s.Name || got.Attrs[0].Key != s.Attrs[0].Key || !got.Attrs[0].Value.Equal(s.Attrs[0].Value) {
		t.Errorf("read %+v", got)
	}
}

// TestInvalidTextAnywhere has one wrong byte at each place of keys and values of each length.
func TestInvalidTextAnywhere(t *testing.T) {
	for n := 1; n <= 20; n++ {
		for at := range n {
			wrong := []byte(strings.Repeat("x", n))
			wrong[at] = 0xff
			s := good(1)
			s.Attrs = []Attr{{string(wrong), Int(1)}, {"k", String(string(wrong))}, {"é" + string(wrong[1:]), String("ü")}}
			want := 2
			if at > 0 {
				want = 3
			}
			if b := index(t, AppendTraces(nil, []Span{s}), DefaultLimits()); b.InvalidText != want {
				t.Errorf("byte %d of %d: %d wrong texts; want %d", at, n, b.InvalidText, want)
			}
		}
	}
}

// TestDropKeepsUnknown holds that refusing a span does not touch what is around it: fields that are not known are still there.
func TestDropKeepsUnknown(t *testing.T) {
	unknown := appendBytes(nil, 99, "from the future")
	bad, fine := good(1), good(2)
	bad.Start = 0
	raw := appendMessage(nil, 1, func(b []byte) []byte {
		b = appendMessage(append(b, unknown...), 2, func(b []byte) []byte {
			b = appendBytes(append(b, unknown...), 2, AppendSpan(nil, &bad))
			return appendBytes(b, 2, append(AppendSpan(nil, &fine), unknown...))
		})
		return appendMessage(b, 2, func(b []byte) []byte { return appendBytes(b, 2, AppendSpan(nil, &bad)) })
	})
	raw = append(raw, unknown...)
	b := index(t, raw, DefaultLimits())
	if b.Refused.Count[NoStartTime] != 2 || len(b.Spans) != 1 || bytes.Count(b.Raw, unknown) != 4 {
		t.Errorf("refused %+v, %d spans left, unknown fields left: %d of 4", b.Refused, len(b.Spans), bytes.Count(b.Raw, unknown))
	}
}

// maker makes random spans that have everything.
type maker struct{ *rand.Rand }

func (m maker) text() string {
	return []string{"", "a", "op", "zażółć", "\x00\xff", strings.Repeat("long ", 40)}[m.IntN(6)]
}

func (m maker) value(depth int) Value {
	switch m.IntN(8 - 2*min(depth/3, 1)) {
	case 0:
		return Value{}
	case 1:
		return String(m.text())
	case 2:
		return Bool(m.IntN(2) == 0)
	case 3:
		return Int(int64(m.Uint64()))
	case 4:
		return Double([]float64{0, -1.5, math.NaN(), math.Inf(1), 5e-324}[m.IntN(5)])
	case 5:
		return Bytes([]byte(m.text()))
	case 6:
		vs := make([]Value, m.IntN(4))
		for i := range vs {
			vs[i] = m.value(depth + 1)
		}
		return Array(vs...)
	}
	return Map(m.attrs(depth + 1)...)
}

func (m maker) attrs(depth int) []Attr {
	var out []Attr
	for range m.IntN(4) {
		out = append(out, Attr{m.text(), m.value(depth)})
	}
	return out
}

func (m maker) id() (id ID) {
	for i := range id {
		id[i] = byte(m.Uint32())
	}
	return id
}

func (m maker) spans(n int) []Span {
	out := make([]Span, n)
	for i := range out {
		s := &out[i]
		*s = Span{
			TraceID: m.id(), ID: SpanID{1, byte(i)}, State: m.text(), Flags: m.Uint32(), Name: m.text(), Kind: Kind(m.IntN(6)),
			Start: 1 + m.Uint64N(1<<60), End: m.Uint64(), Attrs: m.attrs(0), Dropped: m.Uint32N(3), DroppedEvents: m.Uint32(), DroppedLinks: m.Uint32N(2),
			Status: StatusCode(m.IntN(3)), StatusMessage: m.text(),
		}
		if m.IntN(2) == 0 {
			s.Parent = SpanID{2}
		}
		for range m.IntN(3) {
			s.Events = append(s.Events, Event{m.Uint64(), m.text(), m.attrs(0), m.Uint32N(2)})
			s.Links = append(s.Links, Link{m.id(), SpanID{9}, m.text(), m.Uint32(), m.attrs(0), m.Uint32N(2)})
		}
		s.Resource, s.Scope = &Resource{m.attrs(0), m.Uint32N(2), m.text()}, &Scope{m.text(), m.text(), m.attrs(0), m.Uint32N(2), m.text()}
		if i > 0 && m.IntN(2) == 0 {
			if s.Resource = out[i-1].Resource; m.IntN(2) == 0 {
				s.Scope = out[i-1].Scope
			}
		}
	}
	return out
}

// TestRoundTrip: spans, to bytes, to an index, to spans again, for random spans.
func TestRoundTrip(t *testing.T) {
	var b Batch
	for seed := range uint64(300) {
		spans := maker{rand.New(rand.NewPCG(seed, 1))}.spans(1 + int(seed%7))
		if err := Pack(&b, spans, DefaultLimits()); err != nil || b.Refused.Total() > 0 {
			t.Fatalf("seed %d: %v, refused %+v", seed, err, b.Refused)
		}
		if diff := gocmp.Diff(spans, decode(t, &b), compareValues); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

// realistic returns the bytes of a batch as an SDK sends it: 100 spans of 10 attributes.
func realistic() []byte {
	res := &Resource{Attrs: []Attr{{"service.name", String("cart")}, {"host.name", String("node-1")}}}
	scope := &Scope{Name: "lib"}
	spans := make([]Span, 100)
	for i := range spans {
		s := good(byte(i + 1))
		for k := range 9 {
			s.Attrs = append(s.Attrs, Attr{fmt.Sprint("http.attribute.", k), String("some value")})
		}
		s.Attrs = append(s.Attrs, Attr{"list", Array(String("a"), Int(1))})
		s.Events = []Event{{Time: 5, Name: "exception", Attrs: s.Attrs[:2]}}
		s.StatusMessage, s.Resource, s.Scope = "bad", res, scope
		spans[i] = s
	}
	return AppendTraces(nil, spans)
}

func TestIndexAllocatesNothing(t *testing.T) {
	raw, b := realistic(), index(t, realistic(), DefaultLimits())
	if n := testing.AllocsPerRun(50, func() {
		if err := b.Index(raw, DefaultLimits()); err != nil || len(b.Spans) != 100 {
			t.Fatal(err, len(b.Spans))
		}
	}); n != 0 {
		t.Errorf("indexing into a used batch allocates %v times; want 0", n)
	}
}

func BenchmarkIndex(b *testing.B) {
	raw, batch := realistic(), &Batch{}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if err := batch.Index(raw, DefaultLimits()); err != nil {
			b.Fatal(err)
		}
	}
}
