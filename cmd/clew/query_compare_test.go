package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestCompared has 10 spans that are selected, of which 9 have a route that 1 of 20 others has, and an ID with too many values.
func TestCompared(t *testing.T) {
	series := func(n float64, labels ...string) (s querySeries) {
		for i := 0; i < len(labels); i += 2 {
			s.Labels = append(s.Labels, queryField{Name: labels[i], Type: "string", Value: labels[i+1]})
		}
		for range 2 { // steps
			s.Samples = append(s.Samples, struct {
				Time  nanoseconds
				Value float64
			}{Value: n / 2})
		}
		return s
	}
	all := []querySeries{
		series(9, "__meta_type", "selection", "span.http.route", "/cart"),
		series(1, "__meta_type", "baseline", "span.http.route", "/cart"),
		series(19, "__meta_type", "baseline", "span.http.route", "/"),
		series(9, "__meta_type", "selection_total", "span.http.route", "nil"),
		series(20, "__meta_type", "baseline_total", "span.http.route", "nil"),
		series(10, "__meta_type", "selection", "span.id", "nil", "__meta_error", "__too_many_values__"),
		series(14, "__meta_type", "baseline", "span.id", "nil", "__meta_error", "__too_many_values__"),
		series(10, "__meta_type", "selection_total", "span.id", "nil"),
		series(14, "__meta_type", "baseline_total", "span.id", "nil"),
	}
	var out bytes.Buffer
	if err := (&querier{out: &out}).printSeries(all); err != nil {
		t.Fatal(err)
	}
	want := `
SELECTION  BASELINE  DIFFERENCE            ATTRIBUTE
0.0 %      95.0 %    -███████████████████  span.http.route="/"
90.0 %     5.0 %     +█████████████████    span.http.route="/cart"
100.0 %    70.0 %    +███████              span.id=…

Shares of 10 spans selected and of 20 others
`
	if got := out.String(); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("got:\n%s\nwant:%s", got, want)
	}
	out.Reset()
	if err := (&querier{out: &out}).printSeries([]querySeries{series(4, "name", "GET /")}); err != nil || !strings.Contains(out.String(), "COURSE") {
		t.Errorf("other series: %v\n%s", err, &out)
	}
}
