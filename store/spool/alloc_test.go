package spool

import (
	"fmt"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// TestHeadAllocatesNothingPerSpan holds that spans of known shapes are indexed and appended without an allocation for each: what is allocated is
// room for columns, which grow in ever larger steps.
func TestHeadAllocatesNothingPerSpan(t *testing.T) {
	const batches, spansEach = 400, 200
	raws := make([][]byte, batches)
	res := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("cart")}, {Key: "host.name", Value: trace.String("node-1")}}}
	scope := &trace.Scope{Name: "lib"}
	m := newMaker(1)
	for i := range raws {
		var spans []trace.Span
		for k := range spansEach / 10 {
			tr := m.trace(10)
			for j := range tr {
				s := &tr[j]
				*s = trace.Span{TraceID: s.TraceID, ID: s.ID, Parent: s.Parent, Name: fmt.Sprint("op", j), Kind: trace.KindServer, Start: s.Start, End: s.End, Resource: res, Scope: scope}
				s.Attrs = []trace.Attr{
					{Key: "http.route", Value: trace.String("/cart")},
					{Key: "http.status_code", Value: trace.Int(200 + int64(j%3))},
					{Key: "user", Value: trace.String(fmt.Sprint("user-", i*spansEach+k))},
					{Key: "amount", Value: trace.Double(float64(i))},
					{Key: "ok", Value: trace.Bool(true)},
				}
				if j == 3 {
					s.Events = []trace.Event{{Time: s.Start, Name: "exception", Attrs: s.Attrs[:2]}}
				}
			}
			spans = append(spans, tr...)
		}
		raws[i] = trace.AppendTraces(nil, spans)
	}
	h := newHead(nil)
	var b trace.Batch
	add := func(raw []byte) {
		if err := b.Index(raw, trace.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		if err := h.append(&b); err != nil {
			t.Fatal(err)
		}
	}
	for _, raw := range raws[:batches/2] {
		add(raw)
	}
	h = newHead(h) // as one that follows another in a running store
	add(raws[0])
	i := 0
	perBatch := testing.AllocsPerRun(batches-2, func() {
		i++
		add(raws[i])
	})
	if perSpan := perBatch / spansEach; perSpan > 0.05 {
		t.Errorf("%.3f allocations a span; want none but for growing columns", perSpan)
	} else {
		t.Logf("%.4f allocations a span", perSpan)
	}
}
