//go:build !race

package zipkin

const raceAllocations = 0
