package tracecontext

import "strings"

const (
	parentHeader = "Traceparent"
	stateHeader  = "Tracestate"
)

// The flags of traceparent. Others are left out, as level 2 asks of who does not know them.
const (
	flagSampled = 1
	flagRandom  = 2
)

// parentLength is the length of a traceparent of version 00; later versions may have more behind another "-".
//
//	| version 2 | - | trace ID 32 | - | span ID 16 | - | flags 2 |    digits, lower-case hexadecimal
const parentLength = 2 + 1 + 32 + 1 + 16 + 1 + 2

func extractW3C(h Headers) (c Context) {
	v := only(h, parentHeader)
	if len(v) < parentLength || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return Context{}
	}
	var version, flags [1]byte
	if !lowerHex(version[:], v[:2]) || !lowerHex(c.TraceID[:], v[3:35]) || !lowerHex(c.SpanID[:], v[36:52]) || !lowerHex(flags[:], v[53:55]) || !c.Valid() {
		return Context{}
	}
	switch {
	case version[0] == 0xff:
		return Context{}
	case version[0] == 0 && len(v) > parentLength, len(v) > parentLength && v[parentLength] != '-':
		return Context{}
	}
	c.Sampling = NotSampled
	if flags[0]&flagSampled != 0 {
		c.Sampling = Sampled
	}
	c.Random = flags[0]&flagRandom != 0
	c.State = parseState(h.Values(stateHeader))
	return c
}

func injectW3C(c *Context, h Headers) {
	if !c.Valid() {
		h.Del(parentHeader)
		h.Del(stateHeader) // it means nothing without the other
		return
	}
	flags := byte(0)
	if c.Sampling >= Sampled {
		flags = flagSampled
	}
	if c.Random {
		flags |= flagRandom
	}
	var room [parentLength]byte
	b := append(appendHex(append(room[:0], "00-"...), c.TraceID[:]), '-')
	b = append(appendHex(b, c.SpanID[:]), '-')
	h.Set(parentHeader, string(appendHex(b, []byte{flags})))
	set(h, stateHeader, trimState(c.State))
}

// The limits of tracestate. A system need not hand on more than stateBytes; members larger than largeMember go first then.
const (
	maxMembers  = 32
	stateBytes  = 512
	largeMember = 128
)

// parseState returns the members of all tracestate headers, or "" if one of them breaks a rule: it would be wrong to hand on a part of what
// nobody understands. One header without spaces and empty members, which is the rule, comes back as it is.
func parseState(values []string) string {
	if len(values) == 0 {
		return ""
	}
	joined := values[0]
	if len(values) > 1 {
		joined = strings.Join(values, ",")
	}
	var members [maxMembers]string
	n, size := 0, -1
	for rest, more := joined, true; more; {
		var m string
		m, rest, more = strings.Cut(rest, ",")
		if m = strings.Trim(m, " \t"); m == "" {
			continue
		}
		if n == maxMembers || !validMember(m) || hasKey(members[:n], m) {
			return ""
		}
		members[n] = m
		n, size = n+1, size+1+len(m)
	}
	if size != len(joined) {
		joined = strings.Join(members[:n], ",")
	}
	return trimState(joined)
}

// hasKey reports whether one of some members has the key of m.
func hasKey(members []string, m string) bool {
	key := m[:strings.IndexByte(m, '=')+1]
	for _, other := range members {
		if strings.HasPrefix(other, key) {
			return true
		}
	}
	return false
}

// validMember reports whether m is key=value by level 2's grammar, of which level 1's is a part:
//
//	key   = ( lcalpha / DIGIT ) 0*255( lcalpha / DIGIT / "_" / "-" / "*" / "/" / "@" )
//	value = 0*255( printable, space, but neither "," nor "=" ) and one that is no space
func validMember(m string) bool {
	key, value, ok := strings.Cut(m, "=")
	if !ok || len(key) == 0 || len(key) > 256 || len(value) == 0 || len(value) > 256 {
		return false
	}
	for i := range len(key) {
		c := key[i]
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || strings.IndexByte("_-*/@", c) < 0) {
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == ',' || c == '=' {
			return false
		}
	}
	return true // its end is no space: m was trimmed
}

// trimState leaves members out until no more than stateBytes are left: the large ones first, from the end, then others from the end.
func trimState(s string) string {
	if len(s) <= stateBytes {
		return s
	}
	members := strings.Split(s, ",")
	size := len(s)
	for _, least := range []int{largeMember + 1, 0} {
		for i := len(members) - 1; i >= 0 && size > stateBytes; i-- {
			if len(members[i]) >= least {
				size -= len(members[i]) + 1
				members = append(members[:i], members[i+1:]...)
			}
		}
	}
	return strings.Join(members, ",")
}
