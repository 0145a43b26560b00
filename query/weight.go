package query

import (
	"strconv"
	"strings"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// weightOf returns how many spans each span stands for: 1, unless the hint extrapolate says that a sampler's word is to be taken for it.
// Other hints on sampling ask for an estimate; the answer is exact, which is allowed.
func weightOf(q *traceql.Query) func(*trace.Span) float64 {
	h, ok := q.Hint("extrapolate")
	switch {
	case ok && h.Kind == traceql.TypeString:
		key := h.Value.Str()
		return func(s *trace.Span) float64 { return ofRatio(s, key) }
	case ok && h.Value.Bool():
		return func(s *trace.Span) float64 { return ofThreshold(s.State) }
	}
	return func(*trace.Span) float64 { return 1 }
}

// ofRatio reads the share of spans that was kept from an attribute of the span, or of its resource.
func ofRatio(s *trace.Span, key string) float64 {
	v, ok := trace.Get(s.Attrs, key)
	if !ok {
		v, ok = trace.Get(s.Resource.Attrs, key)
	}
	ratio := v.Double()
	switch {
	case ok && v.Type() == trace.TypeInt:
		ratio = float64(v.Int())
	case ok && v.Type() == trace.TypeString:
		ratio, _ = strconv.ParseFloat(v.Str(), 64)
	case !ok || v.Type() != trace.TypeDouble:
		return 1
	}
	if !(ratio > 0 && ratio <= 1) {
		return 1
	}
	return 1 / ratio
}

// ofThreshold reads the sampling threshold of a W3C tracestate, as OpenTelemetry's specification of probability sampling has it: ot=th:c is
// that spans whose randomness is below 0xc0000000000000, of 56 bits, were left out, so that each that is left stands for four.
func ofThreshold(state string) float64 {
	for member := range strings.SplitSeq(state, ",") {
		fields, ok := strings.CutPrefix(strings.TrimSpace(member), "ot=")
		if !ok {
			continue
		}
		for field := range strings.SplitSeq(fields, ";") {
			th, ok := strings.CutPrefix(field, "th:")
			if !ok || len(th) == 0 || len(th) > 14 {
				continue
			}
			t, err := strconv.ParseUint(th+strings.Repeat("0", 14-len(th)), 16, 64)
			if err == nil {
				return 1 / (1 - float64(t)/(1<<56))
			}
		}
	}
	return 1
}
