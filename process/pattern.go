package process

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Pattern finds what is sensitive in a text.
type Pattern struct {
	Name  string
	needs traits // without which a text has no match
	// find returns where the first match is that begins at from or later: -1 if there is none.
	find func(text []byte, from int) (lo, hi int)
}

// Patterns returns the names of the patterns that are built in.
func Patterns() []string {
	var names []string
	for _, p := range builtin() {
		names = append(names, p.Name)
	}
	return names
}

// PatternOf returns the built-in pattern of a name.
func PatternOf(name string) (Pattern, error) {
	all := builtin()
	if i := slices.IndexFunc(all, func(p Pattern) bool { return p.Name == name }); i >= 0 {
		return all[i], nil
	}
	return Pattern{}, fmt.Errorf("%q is no built-in pattern; want one of %s, or a regular expression in regexps", name, strings.Join(Patterns(), ", "))
}

// Regexp returns a pattern that is a regular expression in Go's syntax, which is RE2's.
func Regexp(text string) (Pattern, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return Pattern{}, fmt.Errorf("%q is no regular expression: %w", text, err)
	}
	if re.MatchString("") {
		return Pattern{}, fmt.Errorf("%q matches the empty text; want one that matches what is to be redacted", text)
	}
	literal, _ := re.LiteralPrefix()
	prefix := []byte(literal)
	return Pattern{text, 0, func(text []byte, from int) (lo, hi int) {
		if len(prefix) > 0 && !bytes.Contains(text[from:], prefix) {
			return -1, -1
		}
		at := re.FindIndex(text[from:])
		if at == nil || at[0] == at[1] {
			return -1, -1
		}
		return from + at[0], from + at[1]
	}}, nil
}

// builtin returns the patterns that are built in. They are written by hand: what is looked through is every text of every span.
func builtin() []Pattern {
	return []Pattern{
		{"credit_card", hasCard, creditCard},
		{"email", hasAt | hasDot, email},
		{"bearer_token", hasSpace, bearerToken},
		{"jwt", hasDot | hasJ, jwt},
		{"ipv4", hasDot | hasFour, ipv4},
		{"url_password", hasAt | hasColon, urlPassword},
	}
}

// traits are what a text has: most have too little of it for most patterns, which one look at each byte shows.
type traits uint8

const (
	hasAt traits = 1 << iota
	hasDot
	hasSpace
	hasColon
	hasJ
	hasFour // four digits
	hasCard // thirteen
)

// byteTraits has the traits that a byte gives a text.
var byteTraits = [256]traits{'@': hasAt, '.': hasDot, ' ': hasSpace, ':': hasColon, 'J': hasJ}

func traitsOf(text []byte) (t traits) {
	digits := 0
	for _, c := range text {
		t |= byteTraits[c]
		if isDigit(c) {
			digits++
		}
	}
	if digits >= 4 {
		t |= hasFour
	}
	if digits >= 13 {
		t |= hasCard
	}
	return t
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c == '_'
}

// creditCard finds 13 to 19 digits, with single spaces or dashes between groups, whose check digit by Luhn's algorithm (ISO/IEC 7812) is right,
// and that are no part of a longer number or word.
func creditCard(text []byte, from int) (lo, hi int) {
	for i := from; i < len(text); i++ {
		if !isDigit(text[i]) || i > 0 && isWord(text[i-1]) {
			continue
		}
		n, end := 1, i+1
		var number [20]byte
		number[0] = text[i] - '0'
		for end < len(text) && n < len(number) {
			c := text[end]
			if (c == ' ' || c == '-') && end+1 < len(text) && isDigit(text[end+1]) {
				end++
				c = text[end]
			}
			if !isDigit(c) {
				break
			}
			number[n] = c - '0'
			n++
			end++
		}
		if n >= 13 && n <= 19 && (end == len(text) || !isWord(text[end])) && luhn(number[:n]) {
			return i, end
		}
		for i+1 < len(text) && isDigit(text[i+1]) { // a part of a number is none
			i++
		}
	}
	return -1, -1
}

func luhn(digits []byte) bool {
	sum, zeros := 0, true
	for i, d := range digits {
		zeros = zeros && d == 0
		n := int(d)
		if (len(digits)-i)%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0 && !zeros
}

// email finds local@domain.tld.
func email(text []byte, from int) (lo, hi int) {
	local := func(c byte) bool { return isWord(c) || strings.IndexByte(".!#$%&'*+/=?^`{|}~-", c) >= 0 }
	domain := func(c byte) bool { return isWord(c) && c != '_' || c == '-' || c == '.' }
	for at := from; ; at++ {
		i := bytes.IndexByte(text[at:], '@')
		if i < 0 {
			return -1, -1
		}
		at += i
		lo, hi = at, at+1
		for lo > from && local(text[lo-1]) && text[lo-1] != '/' && text[lo-1] != '=' { // which are in URLs
			lo--
		}
		for hi < len(text) && domain(text[hi]) {
			hi++
		}
		name := bytes.TrimRight(text[at+1:hi], ".-")
		hi = at + 1 + len(name)
		dot := bytes.LastIndexByte(name, '.')
		if lo < at && dot > 0 && len(name)-dot > 2 && !bytes.Contains(name, []byte("..")) && !isDigit(name[len(name)-1]) {
			return lo, hi
		}
	}
}

// bearerToken finds the token behind "Bearer ": the scheme stays.
func bearerToken(text []byte, from int) (lo, hi int) {
	const scheme = "bearer "
	for at := from; ; at++ {
		i := bytes.IndexByte(text[at:], ' ')
		if i < 0 {
			return -1, -1
		}
		at += i
		lo = at + 1
		if lo < len(scheme) || !bytes.EqualFold(text[lo-len(scheme):lo], []byte(scheme)) || lo > len(scheme) && isWord(text[lo-len(scheme)-1]) {
			continue
		}
		for hi = lo; hi < len(text) && (isWord(text[hi]) || strings.IndexByte("-.~+/=", text[hi]) >= 0); {
			hi++
		}
		if hi-lo >= 8 && lo >= from { // "bearer of", and what was masked
			return lo, hi
		}
	}
}

// jwt finds a JSON Web Token: three parts of base64url, of which the first is an object's beginning, {".
func jwt(text []byte, from int) (lo, hi int) {
	for at := from; ; at++ {
		i := bytes.Index(text[at:], []byte("eyJ"))
		if i < 0 {
			return -1, -1
		}
		at += i
		dots, last := 0, 0
		for hi = at; hi < len(text) && (isWord(text[hi]) || text[hi] == '-' || text[hi] == '.' && dots < 2); hi++ {
			if text[hi] == '.' {
				dots++
				last = hi
			}
		}
		if dots == 2 && last > at+10 && (at == 0 || !isWord(text[at-1])) {
			return at, hi
		}
	}
}

// ipv4 finds four numbers up to 255 with dots between them, that are no part of a longer row of numbers.
func ipv4(text []byte, from int) (lo, hi int) {
	for at := from; at < len(text); at++ {
		i := bytes.IndexByte(text[at:], '.')
		if i < 0 {
			return -1, -1
		}
		at += i
		lo = at
		for lo > from && isDigit(text[lo-1]) {
			lo--
		}
		if lo == at || lo > 0 && (isWord(text[lo-1]) || text[lo-1] == '.') {
			continue
		}
		if hi = address(text, lo); hi > 0 {
			return lo, hi
		}
	}
	return -1, -1
}

// address returns where an IPv4 address ends that begins at lo, or 0.
func address(text []byte, lo int) int {
	at := lo
	for part := range 4 {
		n, first := 0, at
		for at < len(text) && isDigit(text[at]) && at-first < 4 {
			n = n*10 + int(text[at]-'0')
			at++
		}
		if at == first || n > 255 || at-first > 1 && text[first] == '0' {
			return 0
		}
		if part == 3 {
			break
		}
		if at == len(text) || text[at] != '.' {
			return 0
		}
		at++
	}
	if at < len(text) && (isWord(text[at]) || text[at] == '.' && at+1 < len(text) && isDigit(text[at+1])) {
		return 0
	}
	return at
}

// urlPassword finds the password in scheme://user:password@host.
func urlPassword(text []byte, from int) (lo, hi int) {
	for at := from; ; at++ {
		i := bytes.Index(text[at:], []byte("://"))
		if i < 0 {
			return -1, -1
		}
		at += i
		for end := at + 3; end < len(text) && strings.IndexByte("/?# \"'<>", text[end]) < 0; end++ {
			if text[end] != '@' {
				continue
			}
			if colon := bytes.IndexByte(text[at+3:end], ':'); colon >= 0 && at+3+colon+1 < end && at+3+colon+1 >= from {
				return at + 3 + colon + 1, end
			}
			break
		}
	}
}
