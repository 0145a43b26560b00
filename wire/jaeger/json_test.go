package jaeger

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

func encoded(spans []trace.Span, raw bool) []byte {
	e := Encoder{Raw: raw}
	return e.Append(nil, &trace.Trace{ID: spans[0].TraceID, Spans: spans})
}

// written is what tests look at of a trace that was written.
type written struct {
	TraceID string
	Spans   []struct {
		TraceID, SpanID string
		References      []struct{ SpanID string }
	}
}

func decoded(t *testing.T, spans []trace.Span) (w written) {
	t.Helper()
	if err := json.Unmarshal(encoded(spans, false), &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestGolden holds the form of a trace that has everything: what is not in it, Jaeger's form has no place for.
func TestGolden(t *testing.T) {
	for file, raw := range map[string]bool{"testdata/trace.json": false, "testdata/raw.json": true} {
		spans := testkit.Sample()
		testkit.Golden(t, file, encoded(spans, raw))
	}
}

// TestOrder checks that the answer does not depend on how the store had the spans.
func TestOrder(t *testing.T) {
	spans := testkit.Sample()
	want := string(encoded(spans, false))
	for i := range spans {
		turned := append(append([]trace.Span{}, spans[i:]...), spans[:i]...)
		if got := string(encoded(turned, false)); got != want {
			t.Fatalf("spans from %d on first:\n%s\nwant\n%s", i, got, want)
		}
	}
}

// TestSeveral checks that a trace is written the same after others, with which it shares resources.
func TestSeveral(t *testing.T) {
	spans := testkit.Sample()
	other := slices.Clone(spans)
	slices.Reverse(other)
	e := Encoder{}
	for _, part := range [][]trace.Span{spans, other[:2], spans[:3], other, spans} {
		if got, want := string(e.Append(nil, &trace.Trace{ID: part[0].TraceID, Spans: part})), string(encoded(part, false)); got != want {
			t.Fatalf("written as\n%s\nwant\n%s", got, want)
		}
	}
}

func TestShortID(t *testing.T) {
	got := decoded(t, []trace.Span{{
		TraceID: trace.ID{15: 1}, ID: trace.SpanID{7: 2}, Resource: &trace.Resource{}, Scope: &trace.Scope{},
	}})
	if got.TraceID != "0000000000000001" || got.Spans[0].TraceID != got.TraceID {
		t.Errorf("a 64-bit ID is %s and %s; want 16 digits", got.TraceID, got.Spans[0].TraceID)
	}
}

// TestFreeIDs checks that an ID made for a shared one is no other span's.
func TestFreeIDs(t *testing.T) {
	span := func(id, parent byte, kind trace.Kind, start uint64) trace.Span {
		s := trace.Span{TraceID: trace.ID{1}, ID: trace.SpanID{7: id}, Kind: kind, Start: start, End: start + 1, Resource: &trace.Resource{}, Scope: &trace.Scope{}}
		s.Parent[7] = parent
		return s
	}
	got := decoded(t, []trace.Span{
		span(1, 0, trace.KindClient, 1), span(1, 0, trace.KindServer, 2), span(2, 1, trace.KindClient, 3), span(2, 1, trace.KindServer, 4), span(3, 2, trace.KindInternal, 5),
	})
	seen := map[string]bool{}
	parent := ""
	for _, s := range got.Spans { // a chain in pre-order
		if seen[s.SpanID] {
			t.Errorf("%s twice", s.SpanID)
		}
		seen[s.SpanID] = true
		if parent != "" && (len(s.References) != 1 || s.References[0].SpanID != parent) {
			t.Errorf("span %s has references %v; want %s", s.SpanID, s.References, parent)
		}
		parent = s.SpanID
	}
}
