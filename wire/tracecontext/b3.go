package tracecontext

import "strings"

const (
	b3Header        = "B3"
	b3TraceHeader   = "X-B3-Traceid"
	b3SpanHeader    = "X-B3-Spanid"
	b3ParentHeader  = "X-B3-Parentspanid"
	b3SampledHeader = "X-B3-Sampled"
	b3FlagsHeader   = "X-B3-Flags"
)

// extractB3 reads the single header, whose IDs are 16 or 32 digits and 16 digits, lower-case hexadecimal:
//
//	trace ID - span ID [ - 0|1|d [ - parent span ID ]]    or  0|1|d  alone: a decision about a trace that is yet to begin
func extractB3(h Headers) (c Context) {
	v := only(h, b3Header)
	ids, rest, ok := strings.Cut(v, "-")
	if !ok {
		c.Sampling, _ = b3State(v)
		return c
	}
	span, rest, more := strings.Cut(rest, "-")
	if !c.b3IDs(ids, span) {
		return Context{}
	}
	if !more {
		return c
	}
	state, parent, more := strings.Cut(rest, "-")
	if c.Sampling, ok = b3State(state); !ok {
		return Context{}
	}
	if more && !lowerHex(c.Parent[:], parent) {
		return Context{}
	}
	return c
}

// b3IDs sets the IDs, and reports whether they are any. A trace ID of 64 bits is the lower half of one.
func (c *Context) b3IDs(traceID, spanID string) bool {
	id := c.TraceID[:]
	if len(traceID) == 16 {
		id = c.TraceID[8:]
	}
	return lowerHex(id, traceID) && lowerHex(c.SpanID[:], spanID) && c.Valid()
}

func b3State(s string) (Sampling, bool) {
	switch s {
	case "0":
		return NotSampled, true
	case "1":
		return Sampled, true
	case "d":
		return Debug, true
	}
	return Deferred, false
}

func extractB3Multi(h Headers) (c Context) {
	switch only(h, b3SampledHeader) {
	case "1", "true": // as clients wrote it before there was a specification
		c.Sampling = Sampled
	case "0", "false":
		c.Sampling = NotSampled
	case "":
	default:
		return Context{}
	}
	if only(h, b3FlagsHeader) == "1" {
		c.Sampling = Debug
	}
	traceID, spanID, parent := only(h, b3TraceHeader), only(h, b3SpanHeader), only(h, b3ParentHeader)
	if traceID == "" && spanID == "" && parent == "" {
		return Context{Sampling: c.Sampling}
	}
	if !c.b3IDs(traceID, spanID) || parent != "" && !lowerHex(c.Parent[:], parent) {
		return Context{}
	}
	return c
}

// b3Value returns the single header's value, "" if there is nothing to say.
func b3Value(c *Context) string {
	state := [...]string{Deferred: "", NotSampled: "0", Sampled: "1", Debug: "d"}[c.Sampling]
	if !c.Valid() {
		return state
	}
	var room [32 + 1 + 16 + 1 + 1 + 1 + 16]byte
	b := appendHex(append(appendHex(room[:0], c.TraceID[:]), '-'), c.SpanID[:])
	if state != "" {
		b = append(append(b, '-'), state...)
		if !c.Parent.IsZero() {
			b = appendHex(append(b, '-'), c.Parent[:])
		}
	}
	return string(b)
}

func injectB3Multi(c *Context, h Headers) {
	traceID, spanID, parent := "", "", ""
	if c.Valid() {
		traceID, spanID = c.TraceID.String(), c.SpanID.String()
		if !c.Parent.IsZero() {
			parent = c.Parent.String()
		}
	}
	set(h, b3TraceHeader, traceID)
	set(h, b3SpanHeader, spanID)
	set(h, b3ParentHeader, parent)
	set(h, b3SampledHeader, [...]string{Deferred: "", NotSampled: "0", Sampled: "1", Debug: ""}[c.Sampling]) // debug says it already
	set(h, b3FlagsHeader, [...]string{Debug: "1"}[c.Sampling])
}
