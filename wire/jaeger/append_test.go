package jaeger

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// same fails when something is not written as encoding/json writes it.
func same(t *testing.T, v any, got []byte) {
	t.Helper()
	want, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Fatalf("written as\n%s\nwant\n%s", got, want)
	}
}

func TestAppendDouble(t *testing.T) {
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -0.1, 1e-6, 9.9e-7, 1e-9, 1.5e-10, 1e20, 1e21, 1e300, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		same(t, f, appendDouble(nil, f))
	}
}

// FuzzAppend compares any text and number, and tags of them, with encoding/json.
func FuzzAppend(f *testing.F) {
	f.Add("a\"\\/\b\f\n\r\t\x00\x1f\x7f<&>\u2028\u2029\xff\xc0é\U0001F600", 1e-7, int64(-1))
	f.Add("\ufffd\xe2\x80", 0.1, int64(1<<60))
	type tag struct {
		Key   string `json:"key"`
		Type  string `json:"type"`
		Value any    `json:"value"`
	}
	f.Fuzz(func(t *testing.T, s string, d float64, i int64) {
		if d-d != 0 {
			d = 0
		}
		i %= maxSafe + 1
		same(t, s, appendText(nil, s))
		same(t, tag{"k", "string", s}, appendString(nil, "k", s))
		for _, w := range []struct {
			tag   tag
			value trace.Value
		}{
			{tag{s, "string", s}, trace.String(s)},
			{tag{s, "float64", d}, trace.Double(d)},
			{tag{s, "int64", i}, trace.Int(i)},
			{tag{s, "bool", i > 0}, trace.Bool(i > 0)},
			{tag{s, "binary", []byte(s)}, trace.Bytes([]byte(s))},
		} {
			same(t, w.tag, appendAttr(nil, &trace.Attr{Key: s, Value: w.value}))
		}
	})
}
