package process

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"

	"github.com/clewtrace/clew/trace"
)

// Sampling says which share of traces is kept. It is decided by the trace ID, as OpenTelemetry's consistent probability sampling has it: each
// span of a trace is decided alike, here and wherever else the same is done, and a share that is smaller is a part of a larger one.
type Sampling struct {
	Percent float64 // of traces that are kept
	Rules   []SamplingRule
	// Proportional keeps the share of what comes, however much of it was sampled before. Otherwise the share is of all that was there
	// at first: what was sampled to less than that already is kept whole.
	Proportional bool
	KeepErrors   bool // spans with the status error are kept, whatever becomes of the rest of their trace
}

// SamplingRule is a share of its own for spans of some services with some names; of several that fit the first counts. No list is all.
type SamplingRule struct {
	Services, Operations []trace.Glob
	Percent              float64
}

// SamplingModes are the names of Sampling.Proportional's two values.
var SamplingModes = [...]string{"equalizing", "proportional"}

// Sampler is the step of Sampling.
//
// Source: OpenTelemetry specification, "TraceState: Probability Sampling" and "TraceState Handling". A trace has 56 bits of randomness: the
// sub-key rv of tracestate's ot, or else the last 7 bytes of its ID. It is kept if they are not below the threshold, th, which is
// 2^56 times the share that is not kept. th is written without its trailing zeros:
//
//	tracestate: ot=th:c;rv:6e6d1a75832a2f    25 % are kept: a threshold of c0000000000000
type Sampler struct {
	cfg       Sampling
	threshold uint64
	rules     []uint64 // thresholds
}

// NewSampler returns a step that keeps a share of traces.
func NewSampler(cfg Sampling) *Sampler {
	s := &Sampler{cfg: cfg, threshold: threshold(cfg.Percent)}
	for _, r := range cfg.Rules {
		s.rules = append(s.rules, threshold(r.Percent))
	}
	return s
}

const (
	randomBits = 56
	never      = 1 << randomBits // a threshold that no randomness reaches
	digits     = randomBits / 4
	precision  = 4 // digits of a threshold behind its leading f's; as OpenTelemetry recommends
)

// threshold returns the threshold of a share, rounded to its precision.
func threshold(percent float64) uint64 {
	if percent <= 0 {
		return never
	}
	t := uint64(math.Round((1 - min(percent, 100)/100) * never))
	keep := precision
	for d := digits - 1; d >= 0 && t>>(4*d)&0xf == 0xf; d-- {
		keep++
	}
	if cut := 4 * (digits - keep); cut > 0 {
		t = (t + 1<<(cut-1)) >> cut << cut
	}
	return min(t, never-1)
}

// Process leaves out the spans of traces that are not kept, and notes the threshold in those that are.
func (s *Sampler) Process(_ context.Context, b *trace.Batch) error {
	if s.threshold == 0 && len(s.rules) == 0 {
		return nil
	}
	resource, service := -1, []byte(nil)
	var state []byte
	return b.Edit(&trace.Edit{Span: func(dst []byte, i int, body []byte) ([]byte, trace.Change) {
		span := &b.Spans[i]
		if r := int(span.Resource); r != resource {
			resource, service = r, Service(b.Bytes(b.Resources[r].Body))
		}
		if s.cfg.KeepErrors && span.Status == trace.StatusError {
			return dst, trace.Same
		}
		old := traceState(b, span)
		out, change := s.decide(span.TraceID, old, s.of(service, b.Bytes(span.Name)))
		if change != trace.Changed {
			return dst, change
		}
		state = appendState(state[:0], old, out)
		return withState(dst, body, state, len(old) > 0), trace.Changed
	}})
}

// of returns the threshold for an operation of a service.
func (s *Sampler) of(service, operation []byte) uint64 {
	for i := range s.rules {
		if r := &s.cfg.Rules[i]; matchAny(r.Services, service) && matchAny(r.Operations, operation) {
			return s.rules[i]
		}
	}
	return s.threshold
}

// decide says what becomes of a span: it is left out, stays as it is, or gets a threshold.
func (s *Sampler) decide(id trace.ID, state []byte, want uint64) (out uint64, c trace.Change) {
	random := binary.BigEndian.Uint64(id[8:]) & (never - 1)
	before := uint64(0)
	if ot := otMember(state); ot != nil {
		if rv, ok := hexadecimal(subKey(ot, "rv")); ok && len(subKey(ot, "rv")) == digits {
			random = rv
		}
		if th := subKey(ot, "th"); len(th) > 0 {
			if t, ok := hexadecimal(th); ok {
				before = t << (4 * (digits - len(th)))
			}
			if before > random { // it would not be here: whoever wrote it did not mean this trace
				before = 0
			}
		}
	}
	out = max(before, want)
	if s.cfg.Proportional {
		share := float64(never-want) / never
		out = never - uint64(math.Round(float64(never-before)*share))
	}
	switch {
	case random < out:
		return out, trace.Left
	case out == before:
		return out, trace.Same
	}
	return out, trace.Changed
}

// traceState returns a span's tracestate.
func traceState(b *trace.Batch, s *trace.SpanRef) (state []byte) {
	for _, p := range b.Rest[s.RestLo:s.RestHi] {
		if f, _ := next(b.Bytes(p)); f.num == 3 {
			state = f.body // of several the last counts
		}
	}
	return state
}

// otMember returns the value of the member ot of a tracestate: nil if there is none.
func otMember(state []byte) []byte {
	for len(state) > 0 {
		var m []byte
		m, state, _ = bytes.Cut(state, []byte{','})
		if k, v, ok := bytes.Cut(bytes.Trim(m, " \t"), []byte{'='}); ok && string(k) == "ot" {
			return v
		}
	}
	return nil
}

// subKey returns the value of a sub-key of the member ot: nil if there is none.
func subKey(ot []byte, key string) []byte {
	for len(ot) > 0 {
		var m []byte
		m, ot, _ = bytes.Cut(ot, []byte{';'})
		if k, v, ok := bytes.Cut(m, []byte{':'}); ok && string(k) == key {
			return v
		}
	}
	return nil
}

// hexadecimal reads 1 to 14 lower-case digits.
func hexadecimal(text []byte) (n uint64, ok bool) {
	if len(text) == 0 || len(text) > digits {
		return 0, false
	}
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// maxMembers is how many members a tracestate may have; W3C Trace Context 3.3.1.1.
const maxMembers = 32

// appendState appends a tracestate with another threshold. Who changes a member puts it first; the last one makes room for a new one.
func appendState(dst, state []byte, threshold uint64) []byte {
	dst = appendThreshold(append(dst, "ot=th:"...), threshold)
	for rest := otMember(state); len(rest) > 0; {
		var m []byte
		if m, rest, _ = bytes.Cut(rest, []byte{';'}); len(m) > 0 && !bytes.HasPrefix(m, []byte("th:")) {
			dst = append(append(dst, ';'), m...)
		}
	}
	for n := 1; len(state) > 0 && n < maxMembers; {
		var m []byte
		m, state, _ = bytes.Cut(state, []byte{','})
		if m = bytes.Trim(m, " \t"); len(m) > 0 && !bytes.HasPrefix(m, []byte("ot=")) {
			dst = append(append(dst, ','), m...)
			n++
		}
	}
	return dst
}

// appendThreshold appends a threshold's digits, without the zeros at their end.
func appendThreshold(dst []byte, t uint64) []byte {
	for n := 0; n < digits && (t != 0 || n == 0); n++ {
		dst = append(dst, "0123456789abcdef"[t>>(randomBits-4)&0xf])
		t = t << 4 & (never - 1)
	}
	return dst
}

// withState appends a span's body with a tracestate.
func withState(dst, body, state []byte, had bool) []byte {
	if !had {
		return appendField(append(dst, body...), 3, state)
	}
	for len(body) > 0 {
		var f wireField
		if f, body = next(body); f.num != 3 {
			dst = append(dst, f.raw...)
		}
	}
	return appendField(dst, 3, state)
}
