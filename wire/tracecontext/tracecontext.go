// Package tracecontext reads and writes the headers by which a request says of which trace it is: W3C Trace Context and Baggage, B3 in one
// header and in several, Jaeger's uber-trace-id, and Linkerd's l5d-ctx-trace.
//
// Headers come from strangers: what breaks its format's rules is as if it were not there, and never more than that. Reading W3C's headers
// allocates nothing; their texts are kept as they came.
//
// Sources: W3C Trace Context level 2 and Baggage, openzipkin/b3-propagation, Jaeger's client libraries ("Propagation Format"), and Finagle's
// TraceId with Linkerd's documentation of its headers.
package tracecontext

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// Sampling is what was decided about recording the trace. Not all formats can tell all of it: W3C and Jaeger have no Deferred, and write it
// as NotSampled; W3C has no Debug, and writes it as Sampled.
type Sampling uint8

// The decisions.
const (
	Deferred   Sampling = iota // nobody has decided: who receives it may
	NotSampled                 // do not record it
	Sampled                    // record it
	Debug                      // record it whatever it costs
)

// Context is what a request says of its trace. The zero value is that of a request that says nothing.
type Context struct {
	TraceID  trace.ID
	SpanID   trace.SpanID // of the caller's span, the parent of what the request causes
	Parent   trace.SpanID // of that span's own parent; zero: it has none, or the format does not tell
	Sampling Sampling
	Random   bool   // W3C's flag: the last 7 bytes of TraceID are random
	State    string // W3C's tracestate: valid, at most 32 members and 512 characters
	Baggage  string // as W3C's baggage: valid, at most 180 members and 8192 bytes; see Items
	DebugID  string // jaeger-debug-id: what somebody calls a trace that is yet to begin; Sampling is then Debug

	// LinkerdFlags are those of Finagle's flags that say other things than Sampling does, among them the rate of sampling. They are
	// handed on in l5d-ctx-trace alone.
	LinkerdFlags uint64
}

// Valid reports whether the context is of a trace.
func (c *Context) Valid() bool { return !c.TraceID.IsZero() && !c.SpanID.IsZero() }

// Headers is a request's headers. Names are given as net/http writes them: X-B3-Traceid.
type Headers interface {
	// Values returns all values of a header, in their order. The slice is not changed.
	Values(name string) []string
	Set(name, value string)
	Del(name string)
	// Names yields the names of all headers, in upper or lower case.
	Names(yield func(name string) bool)
}

// HTTP makes Headers of those of net/http.
type HTTP http.Header

// Values returns all values of a header.
func (h HTTP) Values(name string) []string { return h[name] }

// Set replaces the values of a header.
func (h HTTP) Set(name, value string) { h[name] = []string{value} }

// Del removes a header.
func (h HTTP) Del(name string) { delete(h, name) }

// Names yields the names of all headers.
func (h HTTP) Names(yield func(name string) bool) {
	for name := range h {
		if !yield(name) {
			return
		}
	}
}

// only returns the value of a header that may be there once. Of several none can be told to be the right one.
func only(h Headers, name string) string {
	if v := h.Values(name); len(v) == 1 {
		return v[0]
	}
	return ""
}

// Format is one way to write a context.
type Format uint8

// The formats. Their names are those of OTEL_PROPAGATORS, and l5d.
const (
	TraceContext Format = iota // traceparent, tracestate
	Baggage                    // baggage
	B3                         // b3
	B3Multi                    // X-B3-TraceId and others
	Jaeger                     // uber-trace-id, uberctx-…, jaeger-debug-id, jaeger-baggage
	Linkerd                    // l5d-ctx-trace, l5d-reqid
	numFormats
)

func (f Format) String() string {
	return [...]string{"tracecontext", "baggage", "b3", "b3multi", "jaeger", "l5d"}[f]
}

// Names returns the names of all formats, with commas in between.
func Names() string {
	var names []string
	for f := range numFormats {
		names = append(names, f.String())
	}
	return strings.Join(names, ", ")
}

// Propagator reads contexts in the first of its formats that a request has, and writes them in all.
type Propagator []Format

// Parse returns the propagator of a list of formats' names, with commas in between. Each may be there once.
func Parse(list string) (Propagator, error) {
	var p Propagator
	seen := [numFormats]bool{}
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		f, ok := formatNamed(name)
		switch {
		case !ok:
			return nil, fmt.Errorf("%.40q is no format of trace context; want some of %s", name, Names())
		case seen[f]:
			return nil, fmt.Errorf("%s is there twice", name)
		}
		seen[f] = true
		p = append(p, f)
	}
	return p, nil
}

func formatNamed(name string) (Format, bool) {
	for f := range numFormats {
		if f.String() == name {
			return f, true
		}
	}
	return 0, false
}

// Extract returns what headers say in the first format in which they name a trace. Without one it has what they say all the same: a
// decision about sampling, or Jaeger's debug ID. Baggage is that of W3C's header, and Jaeger's behind it.
func (p Propagator) Extract(h Headers) Context {
	var c Context
	var undecided Context
	var bag bag
	for _, f := range p {
		if f == Baggage {
			for _, v := range h.Values(baggageHeader) {
				bag.add(v)
			}
			continue
		}
		if f == Jaeger {
			for _, m := range jaegerItems(h) {
				bag.member(m)
			}
		}
		if c.Valid() {
			continue
		}
		var got Context
		switch f {
		case TraceContext:
			got = extractW3C(h)
		case B3:
			got = extractB3(h)
		case B3Multi:
			got = extractB3Multi(h)
		case Jaeger:
			got = extractJaeger(h)
		case Linkerd:
			got = extractLinkerd(h)
		}
		switch {
		case got.Valid():
			c = got
		case undecided.Sampling == Deferred:
			undecided = got
		}
	}
	if !c.Valid() {
		c = Context{Sampling: undecided.Sampling, DebugID: undecided.DebugID}
	}
	c.Baggage = bag.String()
	return c
}

// Inject writes a context in all formats, in place of what headers said in them before. One that is not of a trace is written as far as a
// format can: B3's decision about sampling, and baggage.
func (p Propagator) Inject(c *Context, h Headers) {
	for _, f := range p {
		switch f {
		case TraceContext:
			injectW3C(c, h)
		case Baggage:
			set(h, baggageHeader, trimBaggage(c.Baggage))
		case B3:
			set(h, b3Header, b3Value(c))
		case B3Multi:
			injectB3Multi(c, h)
		case Jaeger:
			injectJaeger(c, h)
		case Linkerd:
			injectLinkerd(c, h)
		}
	}
}

// set sets a header, or removes it if there is nothing to say.
func set(h Headers, name, value string) {
	if value == "" {
		h.Del(name)
		return
	}
	h.Set(name, value)
}

const hexDigits = "0123456789abcdef"

func appendHex(b, id []byte) []byte {
	for _, c := range id {
		b = append(b, hexDigits[c>>4], hexDigits[c&0xf])
	}
	return b
}

// lowerHex reads exactly the digits that dst has room for, none of them in upper case.
func lowerHex(dst []byte, s string) bool {
	if len(s) != 2*len(dst) {
		return false
	}
	for i := range dst {
		high, ok1 := lowerDigit(s[2*i])
		low, ok2 := lowerDigit(s[2*i+1])
		if !ok1 || !ok2 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

func lowerDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
