package query_test

import (
	"fmt"
	"testing"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
)

// BenchmarkNewest asks for the newest 20 traces of 8,000, once from memory and once from blocks, with and without a condition that half of them meet.
func BenchmarkNewest(b *testing.B) {
	for name, headBytes := range map[string]int64{"memory": 1 << 30, "blocks": 1 << 20} {
		s := store(b, headBytes)
		for i := range 8000 {
			spans := make([]trace.Span, 25)
			for k := range spans {
				spans[k] = newSpan(0, now+uint64(i)*1_000_000+uint64(k), fmt.Sprint("service-", k%7))
				spans[k].TraceID = trace.ID{2, 12: byte(i >> 16), 13: byte(i >> 8), 14: byte(i)}
				spans[k].ID = trace.SpanID{byte(i >> 8), byte(i), 7: byte(k + 1)}
				spans[k].Attrs = []trace.Attr{
					{Key: "half", Value: trace.Int(int64(i % 2))}, {Key: "user.id", Value: trace.String(fmt.Sprint("user-", i))}, {Key: "http.route", Value: trace.String("/cart/{id}")},
				}
				if k > 0 {
					spans[k].Parent = spans[0].ID
				}
			}
			add(b, s, spans...)
		}
		half := []trace.Cond{is(trace.FieldService, trace.String("service-3")), {Field: trace.FieldAttr, Key: "half", Op: trace.OpEqual, Value: trace.Int(1)}}
		for what, sc := range map[string]trace.Scan{"all": {}, "half": {Spans: [][]trace.Cond{half}}, "recent": {Range: trace.Range{From: now + 7900*1_000_000}}, "old": {Range: trace.Range{To: now + 2000*1_000_000}}} {
			b.Run(name+"/"+what, func(b *testing.B) {
				var a *query.Answer
				for b.Loop() {
					a = must(b, s, query.Request{Scan: sc, Limit: 20})
				}
				b.ReportMetric(float64(a.Report.Blocks), "blocks")
				b.ReportMetric(float64(a.Report.Bytes), "block-bytes")
			})
		}
	}
}
