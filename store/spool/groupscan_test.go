package spool

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// TestScanOfLargeSpans scans groups of the same time, whose traces are so large that, while one group is looked through, the memory of
// what was read of the others is taken back.
func TestScanOfLargeSpans(t *testing.T) {
	s := open(t, testConfig(t))
	m, want := newMaker(8), model{}
	r := rand.New(rand.NewPCG(8, 8))
	var all [4][][]trace.Span // by block; the last block has none of the newer half
	for n := range len(all) * 4 * stretchTraces {
		spans := m.trace(2)
		for i := range spans {
			spans[i] = trace.Span{
				TraceID: spans[i].TraceID, ID: spans[i].ID, Name: fmt.Sprint("op", n%40), Start: spans[i].Start, End: spans[i].End, Resource: spans[i].Resource, Scope: spans[i].Scope,
				Attrs: []trace.Attr{{Key: "noise", Value: trace.Bytes(noise(r, 20_000))}, {Key: "tenth", Value: trace.Bool(n%10 == 0)}, {Key: "number", Value: trace.Int(int64(n))}},
			}
		}
		want.add(spans)
		block := n % len(all)
		if n > len(all)*2*stretchTraces {
			block = n % (len(all) - 1)
		}
		all[block] = append(all[block], spans)
	}
	for _, traces := range all {
		for _, spans := range traces {
			appendSpans(t, s, spans)
		}
		s.cutNow(t)
	}
	tenth := trace.Cond{Field: trace.FieldAttr, Key: "tenth", Op: trace.OpEqual, Value: trace.Bool(true)}
	high := trace.Cond{Field: trace.FieldAttr, Key: "number", Op: trace.OpGreaterEqual, Value: trace.Int(100)}
	for _, conds := range [][]trace.Cond{{tenth}, {high}, {tenth, high}, {}} {
		want.checkScan(t, s, trace.Scan{Spans: [][]trace.Cond{conds}})
	}
}
