//go:build race

package zipkin

// raceAllocations is what the race detector adds to each element: closures that it keeps from being inlined.
const raceAllocations = 6
