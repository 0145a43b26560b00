package jaeger

import (
	"encoding/json"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// TestGolden holds the form of a trace that has everything: what is not in it, Jaeger's form has no place for.
func TestGolden(t *testing.T) {
	for file, raw := range map[string]bool{"testdata/trace.json": false, "testdata/raw.json": true} {
		spans := testkit.Sample()
		b, err := json.Marshal(Encode(&trace.Trace{ID: spans[0].TraceID, Spans: spans}, raw))
		if err != nil {
			t.Fatal(err)
		}
		testkit.Golden(t, file, b)
	}
}

// TestOrder checks that the answer does not depend on how the store had the spans.
func TestOrder(t *testing.T) {
	spans := testkit.Sample()
	want, err := json.Marshal(Encode(&trace.Trace{ID: spans[0].TraceID, Spans: spans}, false))
	if err != nil {
		t.Fatal(err)
	}
	for i := range spans {
		turned := append(append([]trace.Span{}, spans[i:]...), spans[:i]...)
		if got, err := json.Marshal(Encode(&trace.Trace{ID: spans[0].TraceID, Spans: turned}, false)); err != nil || string(got) != string(want) {
			t.Fatalf("spans from %d on first (%v):\n%s\nwant\n%s", i, err, got, want)
		}
	}
}

func TestShortID(t *testing.T) {
	got := Encode(&trace.Trace{ID: trace.ID{15: 1}, Spans: []trace.Span{{
		TraceID: trace.ID{15: 1}, ID: trace.SpanID{7: 2}, Resource: &trace.Resource{}, Scope: &trace.Scope{},
	}}}, false)
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
	got := Encode(&trace.Trace{ID: trace.ID{1}, Spans: []trace.Span{
		span(1, 0, trace.KindClient, 1), span(1, 0, trace.KindServer, 2), span(2, 1, trace.KindClient, 3), span(2, 1, trace.KindServer, 4), span(3, 2, trace.KindInternal, 5),
	}}, false)
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
