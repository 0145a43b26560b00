package jaeger

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// TestMend holds that a trace that was mended and is written raw is the one that is mended as it is written, and that the spans that come back from
// model.proto's form are those that were mended.
func TestMend(t *testing.T) {
	before := testkit.Sample()
	spans := append(testkit.Sample(), odd()...)
	tr := &trace.Trace{ID: spans[0].TraceID, Spans: spans}
	for i := range spans {
		spans[i].TraceID = tr.ID
	}
	want := (&Encoder{}).Append(nil, tr)
	mended := Mend(tr)
	got := (&Encoder{Raw: true}).Append(nil, mended)
	if diff := cmp.Diff(shown(t, want), shown(t, got)); diff != "" {
		t.Error(diff)
	}
	if len(before) == 0 || !cmp.Equal(len(mended.Spans), len(spans)) {
		t.Errorf("%d spans of %d", len(mended.Spans), len(spans))
	}
	var chunk []byte
	e := &SpanEncoder{}
	for i := range mended.Spans {
		chunk = e.Append(chunk, 1, &mended.Spans[i])
	}
	raw, err := (&Decoder{Limit: 1 << 20}).AppendPost(nil, message(nil, 1, chunk))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(back(t, mended.Spans), back(t, indexed(t, raw))); diff != "" {
		t.Error(diff)
	}
}

// odd are spans of which something has to be mended.
func odd() []trace.Span {
	r, sc := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("odd")}}}, &trace.Scope{}
	id := func(b byte) trace.SpanID { return trace.SpanID{0xcc, 7: b} }
	make := func(own, parent byte, kind trace.Kind) trace.Span {
		return trace.Span{ID: id(own), Parent: id(parent), Kind: kind, Name: "odd", Start: 1_763_885_409_000_000_000 + uint64(own)*1000, End: 1_763_885_409_500_000_000, Resource: r, Scope: sc}
	}
	client, server, child, loop, turned := make(1, 9, trace.KindClient), make(1, 9, trace.KindServer), make(2, 1, 0), make(3, 3, 0), make(4, 2, 0)
	server.Start++
	turned.End = turned.Start - 7000
	turned.Attrs = []trace.Attr{{Key: attrWarnings, Value: trace.Array(trace.String("came"))}}
	child.Links = []trace.Link{{SpanID: id(1), Attrs: []trace.Attr{{Key: "opentracing.ref_type", Value: trace.String("follows_from")}}}}
	return []trace.Span{client, server, child, loop, turned}
}

// shown returns each span of a trace's JSON, warnings as well, with its process's JSON, in the order of the spans.
func shown(t *testing.T, raw []byte) (out []string) {
	t.Helper()
	var v struct {
		Spans     []map[string]any
		Processes map[string]any
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	for _, s := range v.Spans {
		name, _ := s["processID"].(string)
		s["processID"] = v.Processes[name]
		one, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(one))
	}
	return out
}
