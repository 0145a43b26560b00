// Package wire reads JSON and protobuf for the formats in its folders: in one pass, keeping nothing but the text being read. It knows gRPC's
// headers, too.
//
// The standard library's decoder builds all values before anyone can look at them, some hundred bytes for each "{}", and reads a
// nested value once more for each level it lies at when types decode themselves. What strangers send must cost no more than it weighs.
package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/clewtrace/clew/trace"
)

// maxJSONDepth bounds the nesting of JSON. A span's values may be 64 deep, and each level of them is up to four of JSON.
const maxJSONDepth = 512

// JSON reads one JSON text. After the first error every call returns false or nothing, and Err says what it was.
type JSON struct {
	b     []byte
	at    int
	depth int
	err   *trace.Error
	text  []byte // of a string with escapes
}

// NewJSON returns a reader of b.
func NewJSON(b []byte) *JSON { return &JSON{b: b} }

// Err returns the first error, of kind Invalid, or nil.
func (r *JSON) Err() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// Fail makes an error of what was just read, unless there was one before.
func (r *JSON) Fail(format string, args ...any) bool {
	if r.err == nil {
		r.err = trace.Errorf(trace.Invalid, "%s at byte %d of %d", fmt.Sprintf(format, args...), r.at, len(r.b))
	}
	return false
}

// peek returns the first byte that is no space, or 0 at the end or after an error.
func (r *JSON) peek() byte {
	if r.err != nil {
		return 0
	}
	for r.at < len(r.b) {
		switch c := r.b[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return c
		}
	}
	return 0
}

// found names what comes next by its first byte, for messages.
func (r *JSON) found() string {
	switch c := r.peek(); {
	case r.at >= len(r.b):
		return "the end"
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"':
		return "a string"
	case c == 't', c == 'f':
		return "a boolean"
	case c == 'n':
		return "null"
	case c == '-', c >= '0' && c <= '9':
		return "a number"
	default:
		return fmt.Sprintf("%q", c)
	}
}

func (r *JSON) open(c byte, what string) bool {
	if r.peek() != c {
		return r.Fail("%s instead of %s", r.found(), what)
	}
	if r.depth++; r.depth > maxJSONDepth {
		return r.Fail("nested deeper than %d", maxJSONDepth)
	}
	r.at++
	return true
}

// more moves to the next element of an object or array that ends with c; first says that none was read yet.
func (r *JSON) more(c byte, first bool) bool {
	switch p := r.peek(); {
	case r.err != nil:
		return false
	case p == c:
		r.at++
		r.depth--
		return false
	case first:
		return true
	case p == ',':
		r.at++
		return true
	default:
		return r.Fail("%s instead of , or %c", r.found(), c)
	}
}

// Object calls member with each key; it must read the value. null counts as an object without members.
func (r *JSON) Object(member func(key []byte)) {
	if r.Null() || !r.open('{', "an object") {
		return
	}
	for first := true; r.more('}', first); first = false {
		key := r.Text()
		if r.peek() != ':' {
			r.Fail("%s instead of :", r.found())
			return
		}
		r.at++
		member(key)
	}
}

// Array calls element before each element; it must read it. null counts as an array without elements.
func (r *JSON) Array(element func()) {
	if r.Null() || !r.open('[', "an array") {
		return
	}
	for first := true; r.more(']', first); first = false {
		element()
	}
}

// Null reads a null, if one comes next.
func (r *JSON) Null() bool { return r.peek() == 'n' && r.literal("null") }

func (r *JSON) literal(word string) bool {
	if len(r.b)-r.at < len(word) || string(r.b[r.at:r.at+len(word)]) != word {
		return r.Fail("a word that is not %s", word)
	}
	r.at += len(word)
	return true
}

// Bool reads a boolean; null counts as false.
func (r *JSON) Bool() bool {
	switch {
	case r.Null():
		return false
	case r.peek() == 't':
		return r.literal("true")
	case r.peek() == 'f':
		r.literal("false")
		return false
	default:
		return r.Fail("%s instead of a boolean", r.found())
	}
}

// IsText reports whether a string comes next.
func (r *JSON) IsText() bool { return r.peek() == '"' }

// IsBool reports whether a boolean comes next.
func (r *JSON) IsBool() bool { c := r.peek(); return c == 't' || c == 'f' }

// IsNumber reports whether a number comes next, without quotes.
func (r *JSON) IsNumber() bool { c := r.peek(); return c == '-' || c >= '0' && c <= '9' }

// Text reads a string; null counts as an empty one. What is not UTF-8 stays as it is. The bytes are good until the next call.
func (r *JSON) Text() []byte {
	if r.Null() {
		return nil
	}
	if r.peek() != '"' {
		r.Fail("%s instead of a string", r.found())
		return nil
	}
	r.at++
	i := plain(r.b, r.at)
	switch {
	case i == len(r.b):
	case r.b[i] == '"':
		s := r.b[r.at:i]
		r.at = i + 1
		return s
	case r.b[i] == '\\':
		return r.escaped(i)
	default:
		r.at = i
		r.Fail("control character in a string")
		return nil
	}
	r.at = len(r.b)
	r.Fail("string without an end")
	return nil
}

// plain returns the index of the first byte from i on that is not simply a part of a string: a quote, a backslash, or a control character. It looks at eight
// bytes at a time. A test for a byte below n, or for one that is 0, may be wrong about those above the first that is, but not about the first.
func plain(b []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		if found := ((x-ones*' ')&^x | (quote-ones)&^quote | (slash-ones)&^slash) & tops; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
		i++
	}
	return i
}

// escaped reads a string from its start, whose first backslash is at i.
func (r *JSON) escaped(i int) []byte {
	s := append(r.text[:0], r.b[r.at:i]...)
	for r.at = i; r.at < len(r.b); {
		c := r.b[r.at]
		r.at++
		switch {
		case c == '"':
			r.text = s
			return s
		case c < ' ':
			r.Fail("control character in a string")
			return nil
		case c != '\\':
			s = append(s, c)
			continue
		}
		if r.at == len(r.b) {
			break
		}
		c = r.b[r.at]
		r.at++
		if k := strings.IndexByte(`"\/bfnrt`, c); k >= 0 {
			s = append(s, "\"\\/\b\f\n\r\t"[k])
		} else if u, ok := r.hex4(); c == 'u' && ok {
			s = utf8.AppendRune(s, r.surrogate(u))
		} else {
			r.Fail("broken escape in a string")
			return nil
		}
	}
	r.Fail("string without an end")
	return nil
}

// hex4 reads the digits of \uXXXX.
func (r *JSON) hex4() (rune, bool) {
	if len(r.b)-r.at < 4 {
		return 0, false
	}
	var u rune
	for _, c := range r.b[r.at : r.at+4] {
		switch {
		case c >= '0' && c <= '9':
			u = u<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			u = u<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	r.at += 4
	return u, true
}

// surrogate returns u, or the character that it and the \uXXXX behind it stand for; half a pair is U+FFFD.
func (r *JSON) surrogate(u rune) rune {
	if !utf16.IsSurrogate(u) {
		return u
	}
	if at := r.at; len(r.b)-at >= 6 && r.b[at] == '\\' && r.b[at+1] == 'u' {
		r.at += 2
		if low, ok := r.hex4(); ok {
			if c := utf16.DecodeRune(u, low); c != utf8.RuneError {
				return c
			}
		}
		r.at = at
	}
	return utf8.RuneError
}

// Number reads a number, in quotes or not, as its text; null counts as 0.
func (r *JSON) Number() string {
	if r.Null() {
		return "0"
	}
	if r.peek() == '"' {
		return string(r.Text())
	}
	at := r.at
	for r.at < len(r.b) && strings.IndexByte("+-.eE0123456789", r.b[r.at]) >= 0 {
		r.at++
	}
	s := string(r.b[at:r.at])
	if !validNumber(s) {
		r.at = at
		if found := r.found(); found != "a number" {
			r.Fail("%s instead of a number", found)
		} else {
			r.Fail("broken number")
		}
		return "0"
	}
	return s
}

// validNumber reports whether s is a number by JSON's grammar.
func validNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if strings.HasPrefix(s, "0") {
		s = s[1:]
	} else if !digits() {
		return false
	}
	if strings.HasPrefix(s, ".") {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && s[0]|0x20 == 'e' {
		if s = s[1:]; s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		return digits() && s == ""
	}
	return s == ""
}

// Scalar reads a string, a number or a boolean as text; null counts as empty.
func (r *JSON) Scalar() string {
	switch r.peek() {
	case '"', 'n':
		return string(r.Text())
	case 't', 'f':
		return strconv.FormatBool(r.Bool())
	default:
		return r.Number()
	}
}

// digits reads a whole number in the form that most have, a few digits and no more. Nothing is read if another comes next.
func (r *JSON) digits() (v uint64, ok bool) {
	c := r.peek()
	if c < '1' || c > '9' {
		return 0, false
	}
	for i := r.at; i < len(r.b); i++ {
		switch c := r.b[i]; {
		case c >= '0' && c <= '9':
			if i-r.at == 18 { // what has more may be too large
				return 0, false
			}
			v = 10*v + uint64(c-'0')
		case c == ',', c == '}', c == ']', c <= ' ':
			r.at = i
			return v, true
		default:
			return 0, false
		}
	}
	return 0, false
}

// IsNegative reports whether a number below zero comes next, or -0.
func (r *JSON) IsNegative() bool { return r.peek() == '-' }

// Uint reads an unsigned number of some bits, in quotes or not, also one such as 1.7e18.
func (r *JSON) Uint(bits int) uint64 {
	if v, ok := r.digits(); ok {
		if bits < 64 && v>>bits > 0 {
			r.Fail("\"%d\" is not an unsigned %d-bit number", v, bits)
			return 0
		}
		return v
	}
	s := r.Number()
	v, err := strconv.ParseUint(s, 10, bits)
	if err == nil {
		return v
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f != math.Trunc(f) || f >= math.Ldexp(1, bits) {
		r.Fail("%.40q is not an unsigned %d-bit number", s, bits)
		return 0
	}
	return uint64(f)
}

// Int reads a 64-bit number, in quotes or not.
func (r *JSON) Int() int64 {
	if v, ok := r.digits(); ok {
		return int64(v)
	}
	s := r.Number()
	v, ok := Whole(s)
	if !ok {
		r.Fail("%.40q is not a 64-bit number", s)
	}
	return v
}

// Whole reads a number's text, with a fraction of nothing or an exponent too, if it is whole and has a place in 64 bits.
func Whole(s string) (int64, bool) {
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return v, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || f < math.MinInt64 || f >= math.MaxInt64 {
		return 0, false
	}
	return int64(f), true
}

// Double reads a number, in quotes or not, or NaN, Infinity or -Infinity in quotes. What is too large is infinite.
func (r *JSON) Double() float64 {
	s := r.Number()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(v, 0) {
		r.Fail("%.40q is not a number", s)
		return 0
	}
	return v
}

// Skip reads a value of any kind and depth that Object and Array take.
func (r *JSON) Skip() {
	switch c := r.peek(); c {
	case '{':
		r.Object(func([]byte) { r.Skip() })
	case '[':
		r.Array(r.Skip)
	case '"':
		r.Text()
	case 't', 'f':
		r.Bool()
	case 'n':
		r.Null()
	default:
		r.Number()
	}
}

// End fails if anything comes after what was read.
func (r *JSON) End() {
	if r.peek(); r.err == nil && r.at < len(r.b) {
		r.Fail("%s behind the end of the text", r.found())
	}
}
