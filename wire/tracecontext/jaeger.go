package tracecontext

import (
	"net/url"
	"strings"

	"github.com/clewtrace/clew/trace"
)

const (
	uberHeader          = "Uber-Trace-Id"
	uberPrefix          = "Uberctx-" // and the key of an item of baggage
	jaegerDebugHeader   = "Jaeger-Debug-Id"
	jaegerBaggageHeader = "Jaeger-Baggage"
)

// The flags of uber-trace-id. Debug counts together with sampled alone.
const (
	uberSampled = 1
	uberDebug   = 2
)

// extractJaeger reads
//
//	trace ID : span ID : parent span ID : flags    hexadecimal digits, without leading zeros or with them
//
// where ":" may be percent-encoded, as some clients write it. The parent is 0 of a root, and of clients that no longer know it.
func extractJaeger(h Headers) (c Context) {
	v := only(h, uberHeader)
	if strings.Contains(v, "%") {
		v = strings.NewReplacer("%3A", ":", "%3a", ":").Replace(v)
	}
	ids, rest, _ := strings.Cut(v, ":")
	span, rest, _ := strings.Cut(rest, ":")
	parent, flags, ok := strings.Cut(rest, ":")
	var f [1]byte
	if !ok || trace.ParseHex(c.TraceID[:], ids) != nil || trace.ParseHex(c.SpanID[:], span) != nil || trace.ParseHex(c.Parent[:], parent) != nil ||
		trace.ParseHex(f[:], flags) != nil || !c.Valid() {
		c = Context{DebugID: only(h, jaegerDebugHeader)}
		if c.DebugID != "" {
			c.Sampling = Debug
		}
		return c
	}
	switch f[0] & (uberSampled | uberDebug) {
	case uberSampled:
		c.Sampling = Sampled
	case uberSampled | uberDebug:
		c.Sampling = Debug
	default:
		c.Sampling = NotSampled
	}
	return c
}

// jaegerItems returns the members of baggage that are in uberctx-… headers, percent-encoded, and in jaeger-baggage, which people write by
// hand: k1=v1, k2=v2.
func jaegerItems(h Headers) (items []string) {
	add := func(key, value string) {
		if m, ok := item(key, value); ok {
			items = append(items, m)
		}
	}
	h.Names(func(name string) bool {
		if !isUber(name) {
			return true
		}
		for _, v := range h.Values(name) {
			if decoded, err := url.QueryUnescape(v); err == nil { // else it was never encoded
				v = decoded
			}
			add(strings.ToLower(name[len(uberPrefix):]), v) // case is lost on the way
		}
		return true
	})
	for _, v := range h.Values(jaegerBaggageHeader) {
		for pair := range strings.SplitSeq(v, ",") {
			if key, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
				add(key, value)
			}
		}
	}
	return items
}

func isUber(name string) bool {
	return len(name) > len(uberPrefix) && strings.EqualFold(name[:len(uberPrefix)], uberPrefix)
}

func injectJaeger(c *Context, h Headers) {
	if !c.Valid() {
		h.Del(uberHeader)
	} else {
		flags := [...]byte{Deferred: '0', NotSampled: '0', Sampled: '1', Debug: '3'}[c.Sampling]
		var room [32 + 1 + 16 + 1 + 16 + 1 + 1]byte
		b := append(appendHex(room[:0], c.TraceID[:]), ':')
		b = append(appendHex(b, c.SpanID[:]), ':')
		if c.Parent.IsZero() {
			b = append(b, '0')
		} else {
			b = appendHex(b, c.Parent[:])
		}
		h.Set(uberHeader, string(append(b, ':', flags)))
	}
	var old []string
	h.Names(func(name string) bool {
		if isUber(name) {
			old = append(old, name)
		}
		return true
	})
	for _, name := range old {
		h.Del(name)
	}
	if c.Baggage == "" {
		return
	}
	for key, value := range Items(c.Baggage) {
		h.Set(uberName(key), url.QueryEscape(value))
	}
}

// uberName returns the header of an item of baggage as net/http writes it.
func uberName(key string) string {
	b := []byte(uberPrefix + strings.ToLower(key))
	for i := len(uberPrefix); i < len(b); i++ {
		if (b[i-1] == '-') && b[i] >= 'a' && b[i] <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}
