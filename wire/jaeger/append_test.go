package jaeger

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// same fails when a trace is not written as encoding/json writes it.
func same(t *testing.T, tr *Trace) {
	t.Helper()
	want, err := json.Marshal(tr)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(tr.AppendJSON(nil)); got != string(want) {
		t.Fatalf("written as\n%s\nwant\n%s", got, want)
	}
}

func TestAppendJSON(t *testing.T) {
	spans := testkit.Sample()
	for _, raw := range []bool{false, true} {
		tr := Encode(&trace.Trace{ID: spans[0].TraceID, Spans: spans}, raw)
		tr.Warnings = []string{"one", "two"}
		same(t, &tr)
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -0.1, 1e-6, 9.9e-7, 1e-9, 1.5e-10, 1e20, 1e21, 1e300, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		same(t, &Trace{Processes: map[string]Process{}, Spans: []Span{{Tags: []KeyValue{{"f", "float64", f}}, References: []Reference{}, Logs: []Log{}}}})
	}
}

// FuzzAppendJSON compares any text and number with encoding/json.
func FuzzAppendJSON(f *testing.F) {
	f.Add("a\"\\/\b\f\n\r\t\x00\x1f\x7f<&>\u2028\u2029\xff\xc0é\U0001F600", 1e-7, int64(-1))
	f.Add("\ufffd\xe2\x80", 0.1, int64(1<<60))
	f.Fuzz(func(t *testing.T, s string, d float64, i int64) {
		if d-d != 0 {
			d = 0
		}
		same(t, &Trace{
			TraceID: s, Warnings: []string{s}, Processes: map[string]Process{s: {s, []KeyValue{{s, s, s}}}, "p": {Tags: []KeyValue{}}},
			Spans: []Span{{References: []Reference{{s, s, s}}, Tags: []KeyValue{{s, s, d}, {s, s, i}, {s, s, true}}, Logs: []Log{{uint64(i), []KeyValue{{s, s, s}}}}, Flags: uint32(i)}},
		})
	})
}
