package spool

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestModel does random things to a store and holds it against a map of spans. A sequence that fails is made short and printed; -model.replay runs it.
func TestModel(t *testing.T) {
	dir := t.TempDir()
	if *modelReplay != "" {
		steps, err := readSteps(*modelReplay)
		if err != nil {
			t.Fatal(err)
		}
		if at, err := runSteps(filepath.Join(dir, "store"), steps, false); err != nil {
			t.Fatalf("step %d: %v", at, err)
		}
		return
	}
	length, seed := *modelTime, *modelSeed
	if seed == 0 {
		seed = rand.Uint64() >> 16
	}
	if length == 0 {
		length = 3 * time.Second
	}
	begin := time.Now()
	sequences, operations := 0, 0
	told := begin
	for ; time.Since(begin) < length && !t.Failed(); seed++ {
		steps := sequence(seed)
		if at, err := runSteps(filepath.Join(dir, fmt.Sprint(seed)), steps, false); err != nil {
			t.Errorf("-model.seed %d: step %d: %v", seed, at, err)
			report(t, dir, steps[:min(at+1, len(steps))])
		}
		sequences++
		operations += len(steps)
		if length > time.Minute && time.Since(told) > time.Minute {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "model: %v, %d sequences, %d operations, seed %d\n", time.Since(begin).Round(time.Second), sequences, operations, seed)
		}
	}
	t.Logf("%d operations in %d sequences, up to -model.seed %d", operations, sequences, seed-1)
}

// report makes a failing sequence short and prints it.
func report(t *testing.T, dir string, steps []step) {
	t.Helper()
	runs := 0
	deadline := time.Now().Add(3 * time.Minute)
	short := shrink(steps, func(part []step) bool {
		for range 3 { // what happens in the background is not the same each time
			if time.Now().After(deadline) {
				return false
			}
			runs++
			if _, err := runSteps(filepath.Join(dir, fmt.Sprint("shrink", runs)), part, false); err != nil {
				return true
			}
		}
		return false
	})
	_, err := runSteps(filepath.Join(dir, "short"), short, false)
	var b strings.Builder
	for _, s := range short {
		fmt.Fprintln(&b, s)
	}
	t.Errorf("of %d operations these are left (run them: -model.replay FILE):\n%s\nwhich end in: %v", len(steps), b.String(), err)
}

// shrink leaves out what a failing sequence fails without: halves, then quarters, down to single steps, until none can go.
func shrink(steps []step, fails func([]step) bool) []step {
	for n := (len(steps) + 1) / 2; n > 0; {
		smaller := false
		for lo := 0; lo < len(steps); {
			part := slices.Delete(slices.Clone(steps), lo, min(lo+n, len(steps)))
			if fails(part) {
				steps, smaller = part, true
			} else {
				lo += n
			}
		}
		if n == 1 && !smaller {
			break
		}
		n = max(1, min(n/2, len(steps)))
	}
	return steps
}

// readSteps reads a sequence, a step a line.
func readSteps(path string) ([]step, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var steps []step
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("%q: want an operation and a number", line)
		}
		seed, err := strconv.ParseUint(fields[1], 16, 64)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step{fields[0], seed})
	}
	return steps, nil
}

func TestShrink(t *testing.T) {
	steps := sequence(1)
	first, last := steps[3], steps[len(steps)-2]
	got := shrink(steps, func(part []step) bool {
		i := slices.Index(part, first)
		return i >= 0 && slices.Contains(part[i:], last)
	})
	if want := []step{first, last}; !slices.Equal(got, want) {
		t.Errorf("shrunk to %v; want %v", got, want)
	}
}

// TestModelFindsLoss holds that a disk which loses what it said was synced is found out, with few operations.
func TestModelFindsLoss(t *testing.T) {
	fails := func(part []step) bool {
		for range 4 { // what happens in the background is not the same each time
			if _, err := runSteps(filepath.Join(t.TempDir(), "store"), part, true); err != nil {
				return true
			}
		}
		return false
	}
	for seed := uint64(1); seed < 50; seed++ {
		if steps := sequence(seed); fails(steps) {
			short := shrink(steps, fails)
			if len(short) > 5 {
				t.Errorf("shrunk to %d steps: %v", len(short), short)
			}
			return
		}
	}
	t.Error("nobody noticed")
}
