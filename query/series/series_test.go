package series

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

var funcs = []traceql.MetricsFunc{
	traceql.Rate, traceql.CountOverTime, traceql.MinOverTime, traceql.MaxOverTime, traceql.AvgOverTime, traceql.SumOverTime,
	traceql.QuantileOverTime, traceql.HistogramOverTime,
}

// TestMerge adds the same spans to one Aggregator, and to three that are merged, in another order: the series are the same.
func TestMerge(t *testing.T) {
	grid, err := NewGrid(trace.Range{From: 1000, To: 9000}, 500)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, f := range funcs {
		spec := Spec{Func: f, Quantiles: []float64{0.5, 0.9}, By: []string{"a"}, Grid: grid, Exemplars: 10, Limits: DefaultLimits()}
		whole, parts := New(spec), []*Aggregator{New(spec), New(spec), New(spec)}
		type span struct {
			values []eval.Value
			Sample
		}
		spans := make([]span, 1000)
		for i := range spans {
			spans[i] = span{
				[]eval.Value{eval.Of(trace.Int(r.Int64N(5)))},
				Sample{Time: 1 + r.Uint64N(10_000), Value: float64(r.IntN(1000) - 10), Weight: 1, SpanID: trace.SpanID{byte(i), byte(i >> 8), 1}},
			}
			if err := whole.Add(spans[i].values, spans[i].Sample); err != nil {
				t.Fatal(err)
			}
		}
		for i, x := range slices.Backward(spans) {
			if err := parts[i%3].Add(x.values, x.Sample); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range parts[1:] {
			if err := parts[0].Merge(p); err != nil {
				t.Fatal(err)
			}
		}
		same := cmp.Options{cmpopts.EquateNaNs(), cmpopts.EquateApprox(1e-12, 0), cmp.Comparer(func(a, b trace.Value) bool { return a.Equal(b) })}
		if d := cmp.Diff(whole.Rows(), parts[0].Rows(), same); d != "" {
			t.Errorf("%s: merged, the series differ:\n%s", f, d)
		}
	}
}

// TestQuantiles compares quantiles with the true ones.
func TestQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, draw := range map[string]func() float64{
		"uniform": func() float64 { return r.Float64() * 1e9 },
		"normal":  func() float64 { return math.Abs(r.NormFloat64()) * 1e6 },
		"tail":    func() float64 { return math.Exp(r.NormFloat64()*2 + 10) },
		"one":     func() float64 { return 200e6 },
		"small":   func() float64 { return r.Float64() },
	} {
		var h histogram
		values := make([]float64, 10_000)
		for i := range values {
			values[i] = draw()
			h.add(values[i], 1)
		}
		slices.Sort(values)
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 1} {
			want := values[min(int(q*float64(len(values))), len(values)-1)]
			if got := h.quantile(q); math.Abs(got-want) > want/fine {
				t.Errorf("%s: quantile %g is %g; want %g", name, q, got, want)
			}
		}
		sum := 0.0
		h.octaves(func(upper, n float64) {
			sum += n
			if math.Abs(math.Log2(upper)-math.Round(math.Log2(upper))) > 0 {
				t.Errorf("%s: %g is no power of two", name, upper)
			}
		})
		if sum != float64(len(values)) {
			t.Errorf("%s: the buckets have %g values", name, sum)
		}
	}
}

// TestBounds puts values on the bounds of buckets: each is in the bucket that ends with it.
func TestBounds(t *testing.T) {
	for i := -100; i < 400; i++ {
		if got := bucketOf(bound(i)); got != i {
			t.Errorf("%g, the upper bound of bucket %d, is in %d", bound(i), i, got)
		}
		if got := bucketOf(math.Nextafter(bound(i), math.Inf(1))); got != i+1 {
			t.Errorf("what follows %g is in bucket %d; want %d", bound(i), got, i+1)
		}
	}
}

// TestLimits makes more series and samples than are allowed.
func TestLimits(t *testing.T) {
	grid, err := NewGrid(trace.Range{From: 1, To: 1000 * uint64(time.Second)}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]Limits{"series": {Series: 10, Cells: 1 << 20}, "samples": {Series: 1000, Cells: 9_000}} {
		a := New(Spec{Func: traceql.Rate, By: []string{"user"}, Grid: grid, Limits: l})
		var err error
		n := 0
		for ; n < 1000 && err == nil; n++ {
			err = a.Add([]eval.Value{eval.Of(trace.String(fmt.Sprint(n)))}, Sample{Time: 1000 * uint64(time.Second), Weight: 1})
		}
		if trace.KindOf(err) != trace.TooLarge || n > 11 {
			t.Errorf("%s: after %d groups: %v", name, n, err)
		}
	}
}

// TestManyValues compares by an attribute that has more values than are counted.
func TestManyValues(t *testing.T) {
	c, other := NewComparison(Grid{Step: 10, Steps: 1}, 3), NewComparison(Grid{Step: 10, Steps: 1}, 3)
	for i := range 3 * maxValues {
		side := c
		if i%2 == 0 {
			side = other
		}
		labels := []eval.Label{{Name: "id", Value: eval.Of(trace.Int(int64(i)))}, {Name: "few", Value: eval.Of(trace.Int(int64(i % 7)))}}
		if err := side.Add(5, false, labels); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Merge(other); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range c.Rows() {
		line := ""
		for _, l := range r.Labels {
			line += l.Name + "=" + l.Value.Text() + " "
		}
		got = append(got, line+fmt.Sprint(r.Values[0]))
	}
	want := []string{
		"__meta_error=__too_many_values__ __meta_type=baseline id=nil 3000",
		"__meta_type=baseline few=0 429", "__meta_type=baseline few=1 429", "__meta_type=baseline few=2 429",
		"__meta_type=baseline_total few=nil 3000", "__meta_type=baseline_total id=nil 3000",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestHostileValues adds values from one end of the numbers to the other, and what is beyond: nothing is made that is out of proportion.
func TestHostileValues(t *testing.T) {
	grid, err := NewGrid(trace.Range{From: 1, To: 1000 * uint64(time.Second)}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range funcs {
		a := New(Spec{Func: f, Quantiles: []float64{0.5}, Grid: grid, Exemplars: 10, Limits: Limits{Series: 10, Cells: 1 << 20}})
		for _, v := range []float64{math.Inf(1), math.Inf(-1), math.NaN(), 5e-324, math.MaxFloat64, -math.MaxFloat64, 1} {
			if err := a.Add(nil, Sample{Time: 1, Weight: 1, Value: v}); err != nil {
				t.Fatalf("%s of %g: %v", f, v, err)
			}
		}
		for _, r := range a.Rows() {
			for _, e := range r.Exemplars {
				if math.IsNaN(e.Value) || math.IsInf(e.Value, 0) {
					t.Errorf("%s: an exemplar is %g", f, e.Value)
				}
			}
		}
		var err error
		for i := range uint64(1000) {
			for _, v := range []float64{5e-324, math.MaxFloat64} {
				if err == nil {
					err = a.Add(nil, Sample{Time: i*uint64(time.Second) + 1, Weight: 1, Value: v})
				}
			}
		}
		if wide := f == traceql.QuantileOverTime || f == traceql.HistogramOverTime; wide != (trace.KindOf(err) == trace.TooLarge) {
			t.Errorf("%s of values far apart in each of 1000 steps: %v", f, err)
		}
		err = nil
	}
}
