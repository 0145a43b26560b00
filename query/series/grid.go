package series

import (
	"math"
	"time"

	"github.com/clewtrace/clew/trace"
)

// Grid is the steps of time of a query. Step i is the time after From + i*Step, up to and with From + (i+1)*Step, which is its sample's time.
type Grid struct {
	From  uint64 // Unix ns; a span that starts then is before the first step
	Step  uint64 // ns, at least 1
	Steps int    // at least 1
}

// maxSteps is how many samples a series may have: a screen has fewer points, and a week has 10,080 minutes.
const maxSteps = 11_000

// NewGrid returns the steps that cover a range, at multiples of step: the same moment is in the same step of all queries. With step 0, it is one
// step of the whole range. The error is of kind Invalid.
func NewGrid(r trace.Range, step time.Duration) (Grid, error) {
	if r.From == 0 || r.To <= r.From {
		return Grid{}, trace.Errorf(trace.Invalid, "metrics want a range of time: its end %d is not after its start %d", r.To, r.From)
	}
	if step < 0 {
		return Grid{}, trace.Errorf(trace.Invalid, "step %s: want more than 0", step)
	}
	if step == 0 {
		return Grid{From: r.From - 1, Step: r.To - r.From + 1, Steps: 1}, nil
	}
	s := uint64(step)
	from := (r.From - 1) / s * s
	steps := (r.To-from-1)/s + 1
	if last := from + (steps-1)*s; last > math.MaxUint64-s {
		return Grid{}, trace.Errorf(trace.Invalid, "a step of %s from that time on ends after all time there is; ask for shorter steps", step)
	}
	if steps > maxSteps {
		return Grid{}, trace.Errorf(trace.Invalid, "a step of %s makes %d samples of each series; at most %d: ask for longer steps", step, steps, maxSteps)
	}
	return Grid{From: from, Step: s, Steps: int(steps)}, nil
}

// Range returns the time that the steps cover.
func (g Grid) Range() trace.Range {
	return trace.Range{From: g.From + 1, To: g.From + g.Step*uint64(g.Steps)}
}

// At returns the step that a moment is in; ok is false if it is in none.
func (g Grid) At(t uint64) (i int, ok bool) {
	if t <= g.From {
		return 0, false
	}
	n := (t - g.From - 1) / g.Step
	return int(n), n < uint64(g.Steps)
}

// Cursor finds the steps of moments of which most are in the same step as the one before. The zero Cursor is not usable: see Grid.Cursor.
type Cursor struct {
	grid     Grid
	step     int
	from, to uint64 // of step: the time after from, up to and with to
}

// Cursor returns a Cursor, for one goroutine.
func (g Grid) Cursor() Cursor { return Cursor{grid: g} }

// At is Grid.At.
func (c *Cursor) At(t uint64) (i int, ok bool) {
	if c.from < t && t <= c.to {
		return c.step, true
	}
	if i, ok = c.grid.At(t); ok {
		c.step, c.from = i, c.grid.From+c.grid.Step*uint64(i)
		c.to = c.from + c.grid.Step
	}
	return i, ok
}

// Time returns the time of a step's sample in Unix ms.
func (g Grid) Time(i int) int64 { return int64((g.From + g.Step*uint64(i+1)) / 1e6) }

// Seconds returns how long a step is.
func (g Grid) Seconds() float64 { return float64(g.Step) / 1e9 }
