package tracecontext

import (
	"iter"
	"net/url"
	"strings"
)

const baggageHeader = "Baggage"

// The limits of W3C's baggage, in members and in bytes of all headers together.
const (
	maxItems     = 180
	baggageBytes = 8192
)

// bag collects members of baggage within the limits. What does not fit, and what is not valid, is left out, member by member.
type bag struct {
	first string // all that there is, while it came in one piece
	rest  []string
	n     int
	size  int
}

// add adds the members of a header. One whose members are all valid is kept as it is.
func (b *bag) add(header string) {
	if b.n == 0 {
		if n, ok := cleanBaggage(header); ok {
			b.first, b.n, b.size = header, n, len(header)
			return
		}
	}
	for m := range strings.SplitSeq(header, ",") {
		if m = strings.Trim(m, " \t"); validItem(m) {
			b.member(m)
		}
	}
}

func (b *bag) member(m string) {
	size := len(m)
	if b.n > 0 {
		size++
	}
	if b.n == maxItems || b.size+size > baggageBytes {
		return
	}
	b.rest = append(b.rest, m)
	b.n, b.size = b.n+1, b.size+size
}

// String returns the members as a header.
func (b *bag) String() string {
	switch {
	case len(b.rest) == 0:
		return b.first
	case b.first == "":
		return strings.Join(b.rest, ",")
	}
	return b.first + "," + strings.Join(b.rest, ",")
}

// cleanBaggage counts the members of a header, and reports whether all of it can be handed on as it is.
func cleanBaggage(header string) (n int, ok bool) {
	if header == "" || len(header) > baggageBytes {
		return 0, false
	}
	for m := range strings.SplitSeq(header, ",") {
		if n++; n > maxItems || !validItem(m) {
			return 0, false
		}
	}
	return n, true
}

// trimBaggage returns a header within the limits.
func trimBaggage(header string) string {
	if _, ok := cleanBaggage(header); ok {
		return header
	}
	var b bag
	b.add(header)
	return b.String()
}

// validItem reports whether m is a member: a token, "=", octets of which those that are not allowed are percent-encoded, and maybe
// properties, which are handed on as they are.
func validItem(m string) bool {
	m, properties, _ := strings.Cut(m, ";")
	key, value, ok := strings.Cut(m, "=")
	if !ok || !isToken(strings.TrimRight(key, " \t")) {
		return false
	}
	value = strings.Trim(value, " \t")
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c > '~' || c == '"' || c == ',' || c == ';' || c == '\\' {
			return false
		}
	}
	for i := range len(properties) {
		if c := properties[i]; c != '\t' && (c < ' ' || c > '~') {
			return false
		}
	}
	return true
}

// isToken reports whether s is one of HTTP's tokens (RFC 9110).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// Items yields the keys and values of baggage in W3C's form, decoded, without properties. A key may come twice.
func Items(baggage string) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for m := range strings.SplitSeq(baggage, ",") {
			m, _, _ = strings.Cut(m, ";")
			key, value, ok := strings.Cut(m, "=")
			if !ok {
				continue
			}
			value = strings.Trim(value, " \t")
			if decoded, err := url.PathUnescape(value); err == nil { // else it was never encoded
				value = decoded
			}
			if !yield(strings.Trim(key, " \t"), value) {
				return
			}
		}
	}
}

// item returns a member of a key and any value, and whether the key can be one.
func item(key, value string) (string, bool) {
	if !isToken(key) {
		return "", false
	}
	var b strings.Builder
	b.WriteString(key)
	b.WriteByte('=')
	for i := range len(value) {
		c := value[i]
		if c <= ' ' || c > '~' || strings.IndexByte(`",;\%`, c) >= 0 {
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&0xf])
			continue
		}
		b.WriteByte(c)
	}
	return b.String(), true
}
