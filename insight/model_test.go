package insight

import (
	"math/rand/v2"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// TestSelfTimesByCounting compares self times of random traces with a count of the moments in which no child runs.
func TestSelfTimesByCounting(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		spans := make([]trace.Span, 1+r.IntN(12))
		for i := range spans {
			start := uint64(r.IntN(30))
			parent := byte(0)
			if i > 0 {
				parent = byte(r.IntN(i) + 1)
			}
			if r.IntN(10) == 0 {
				parent = 100 // never came
			}
			spans[i] = span(byte(i+1), parent, start, start+uint64(r.IntN(15)))
			if r.IntN(15) == 0 {
				spans[i].End = spans[i].Start - uint64(r.IntN(3))
			}
		}
		tree := trace.Arrange(spans)
		m := Measure(spans, tree)
		first, last := ^uint64(0), uint64(0)
		for i, row := range tree.Rows {
			first, last = min(first, m.Start[i]), max(last, m.End[i])
			want := uint64(0)
			for at := m.Start[i]; row.Span >= 0 && at < m.End[i]; at++ {
				busy := false
				for k, other := range tree.Rows {
					busy = busy || other.Parent == int32(i) && m.Start[k] <= at && at < m.End[k]
				}
				if !busy {
					want++
				}
			}
			if m.Self[i] != want {
				t.Fatalf("seed %d: row %d has %d ns of its own; want %d", seed, i, m.Self[i], want)
			}
			if m.Critical[i] && row.Parent >= 0 && !m.Critical[row.Parent] {
				t.Fatalf("seed %d: row %d is waited for, its parent %d is not", seed, i, row.Parent)
			}
		}
		if m.First != first || m.Last != last {
			t.Fatalf("seed %d: from %d to %d; want %d to %d", seed, m.First, m.Last, first, last)
		}
	}
}
