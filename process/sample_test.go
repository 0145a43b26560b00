package process

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// TestThreshold: the examples of OpenTelemetry's specification, and shares too small for four digits.
func TestThreshold(t *testing.T) {
	for percent, want := range map[float64]string{
		100: "0", 50: "8", 25: "c", 10: "e666", 1: "fd70a", 0.1: "ffbe77", 100.0 / 3: "aaab", 6.25: "f",
	} {
		if got := string(appendThreshold(nil, threshold(percent))); got != want {
			t.Errorf("%g %% gives %s; want %s", percent, got, want)
		}
	}
	if threshold(0) != never || threshold(1e-18) >= never {
		t.Errorf("%x, %x", threshold(0), threshold(1e-18))
	}
}

// sampled returns the state of a span after sampling, and whether it was kept.
func sampled(t *testing.T, cfg Sampling, s trace.Span) (state string, kept bool) {
	t.Helper()
	b := batchOf(t, s)
	if err := NewSampler(cfg).Process(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if len(b.Spans) == 0 {
		return "", false
	}
	return decoded(t, b)[0].State, true
}

func TestSample(t *testing.T) {
	const low, high = "00112233445566778000000000000001", "0011223344556677ffffffffffffffff" // the last 56 bits count
	for _, c := range []struct {
		cfg         Sampling
		id, before  string
		after, gone string
	}{
		{Sampling{Percent: 50}, high, "", "ot=th:8", ""},
		{Sampling{Percent: 50}, low, "", "", "gone"},
		{Sampling{Percent: 100}, low, "a=b", "a=b", ""},
		{Sampling{Percent: 0}, high, "", "", "gone"},
		{Sampling{Percent: 25}, high, "a=b,ot=th:8;rv:d0000000000000;p:8, c=d", "ot=th:c;rv:d0000000000000;p:8,a=b,c=d", ""},
		{Sampling{Percent: 25}, high, "ot=rv:b0000000000000", "", "gone"}, // rv is what counts
		{Sampling{Percent: 25}, low, "ot=rv:c0000000000000", "ot=th:c;rv:c0000000000000", ""},
		{Sampling{Percent: 50}, high, "ot=th:c", "ot=th:c", ""},                                     // sampled to less before: kept whole
		{Sampling{Percent: 50, Proportional: true}, high, "ot=th:c", "ot=th:e", ""},                 // half of what comes
		{Sampling{Percent: 50, Proportional: true}, high, "ot=rv:d0000000000000;th:c", "", "gone"},  // an eighth of all is left
		{Sampling{Percent: 50}, high, "ot=rv:90000000000000;th:c", "ot=th:8;rv:90000000000000", ""}, // th cannot be true
		{Sampling{Percent: 50}, high, "ot=th:zz;rv:short", "ot=th:8;rv:short", ""},                  // nor these
		{Sampling{Percent: 50}, high, "ot=th:" + strings.Repeat("c", 15), "ot=th:8", ""},            // nor one too long
		{Sampling{Percent: 100, Rules: []SamplingRule{{Services: []trace.Glob{"a*"}, Percent: 50}}}, low, "", "", "gone"},
		{Sampling{Percent: 100, Rules: []SamplingRule{{Services: []trace.Glob{"b*"}, Percent: 50}}}, low, "", "", ""},
		{Sampling{Percent: 0, Rules: []SamplingRule{{Services: []trace.Glob{"api"}, Operations: []trace.Glob{"GET *"}, Percent: 100}, {Percent: 0}}}, low, "", "", ""},
		{Sampling{Percent: 0, Rules: []SamplingRule{{Services: []trace.Glob{"api"}, Operations: []trace.Glob{"PUT *"}, Percent: 100}}}, low, "", "", "gone"},
	} {
		s := span("api", 1)
		id, _ := hex.DecodeString(c.id)
		s.TraceID, s.State, s.Name = trace.ID(id), c.before, "GET /"
		if state, kept := sampled(t, c.cfg, s); state != c.after || kept != (c.gone == "") {
			t.Errorf("%+v of %s with %q: kept %v with %q; want %q", c.cfg, c.id, c.before, kept, state, c.after)
		}
	}
	s := span("api", 1)
	s.Status = trace.StatusError
	if state, kept := sampled(t, Sampling{KeepErrors: true}, s); !kept || state != "" {
		t.Errorf("an error: kept %v, with %q", kept, state)
	}
}

// TestStateMembers: a tracestate never gets more members than W3C allows.
func TestStateMembers(t *testing.T) {
	var members []string
	for i := range maxMembers {
		members = append(members, fmt.Sprintf("v%d=x", i))
	}
	got := strings.Split(string(appendState(nil, []byte(strings.Join(members, ",")), 1<<55)), ",")
	if len(got) != maxMembers || got[0] != "ot=th:8" || got[1] != "v0=x" || got[maxMembers-1] != "v30=x" {
		t.Errorf("%d members: %v", len(got), got)
	}
}

// TestConsistent: shares are as asked for, a smaller one is part of a larger one, and the threshold says how many traces one stands for.
func TestConsistent(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const n = 20000
	weight, kept := 0.0, map[float64]int{}
	for range n {
		s := span("a", 1)
		binary.BigEndian.PutUint64(s.TraceID[8:], r.Uint64())
		last := true
		for _, percent := range []float64{75, 30, 5} {
			state, ok := sampled(t, Sampling{Percent: percent}, s)
			if ok && !last {
				t.Fatalf("%v is kept at %g %%, but not at more", s.TraceID, percent)
			}
			if last = ok; ok {
				kept[percent]++
			}
			if ok && percent == 5 {
				th, _ := hexadecimal(subKey(otMember([]byte(state)), "th"))
				th <<= 4 * (digits - len(subKey(otMember([]byte(state)), "th")))
				weight += never / float64(never-th)
			}
		}
	}
	for percent, k := range kept {
		if share := 100 * float64(k) / n; math.Abs(share-percent) > 2 {
			t.Errorf("kept %.1f %%; want %g", share, percent)
		}
	}
	if math.Abs(weight-n) > n/10 {
		t.Errorf("what is left stands for %.0f traces; want about %d", weight, n)
	}
}
