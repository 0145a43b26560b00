package series

import (
	"math"
	"testing"
	"time"

	"github.com/clewtrace/clew/trace"
)

// TestGrid covers ranges by steps, the longest that there are among them, and holds that no step ends beyond all time.
func TestGrid(t *testing.T) {
	now := uint64(1_800_000_000_000_000_000)
	for _, g := range []struct {
		from, to uint64
		step     time.Duration
		steps    int // 0: refused
	}{
		{now, now + 10, 5, 3},
		{now + 1, now + 10, 5, 2},
		{now, now + 11, 5, 4},
		{now, now + 10, math.MaxInt64, 1},
		{now, now + 10, math.MaxInt64 - 1, 1},
		{now, math.MaxInt64, math.MaxInt64, 1},
		{now, math.MaxUint64 - 1, math.MaxInt64, 2},
		{now, math.MaxUint64, math.MaxInt64, 0},
		{math.MaxUint64 - 10, math.MaxUint64, math.MaxInt64, 0},
		{now, now + uint64(time.Hour), time.Nanosecond, 0},
	} {
		grid, err := NewGrid(trace.Range{From: g.from, To: g.to}, g.step)
		if g.steps == 0 {
			if trace.KindOf(err) != trace.Invalid {
				t.Errorf("%+v: %+v, %v", g, grid, err)
			}
			continue
		}
		_, first := grid.At(g.from)
		_, last := grid.At(g.to)
		if err != nil || grid.Steps != g.steps || !first || !last || grid.Range().To < g.to {
			t.Errorf("%+v: %+v covers %v, %v", g, grid, grid.Range(), err)
		}
	}
}
