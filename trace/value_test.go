package trace

import (
	"encoding/json"
	"math"
	"testing"
)

// TestDoubleText checks that a number's text is the one that JSON has, so that it is found by what is shown of it.
func TestDoubleText(t *testing.T) {
	for _, f := range []float64{0, 1, -1, 0.1, 2_500_000, 1e6, 123456789, 1e20, 1e21, 1.5e300, 1e-6, 9.99e-7, 2.5e-9, -3e-12, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		want, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := Double(f).Text(); got != string(want) {
			t.Errorf("%g is %s; want %s", f, got, want)
		}
	}
	for f, want := range map[float64]string{math.Inf(1): "+Inf", math.Inf(-1): "-Inf"} {
		if got := Double(f).Text(); got != want {
			t.Errorf("%g is %s; want %s", f, got, want)
		}
	}
	if got := Double(math.NaN()).Text(); got != "NaN" {
		t.Errorf("NaN is %s", got)
	}
}
