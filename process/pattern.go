package process

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pattern finds what is sensitive in a text.
type Pattern struct {
	Name  string
	needs traits // without which a text has no match
	// find returns where the first match is that begins at from or later: -1 if there is none.
	find   func(text []byte, from int) (lo, hi int)
	re     *regexp.Regexp // instead of find
	prefix []byte         // with which each match of re begins
}

// matches reports whether a text has a match.
func (p *Pattern) matches(text []byte) bool {
	if p.find != nil {
		lo, _ := p.find(text, 0)
		return lo >= 0
	}
	if !bytes.Contains(text, p.prefix) {
		return false
	}
	at := p.re.FindIndex(text)
	return at != nil && (at[0] < at[1] || len(p.all(text)) > 0)
}

// all returns where the matches of a text begin and end. Those of nothing, such as at a word's border, are none.
func (p *Pattern) all(text []byte) [][]int {
	if p.find == nil {
		return slices.DeleteFunc(p.re.FindAllIndex(text, -1), func(at []int) bool { return at[0] == at[1] })
	}
	var out [][]int
	for lo, hi := p.find(text, 0); lo >= 0; lo, hi = p.find(text, hi) {
		out = append(out, []int{lo, hi})
	}
	return out
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
	return Pattern{Name: text, re: re, prefix: []byte(literal)}, nil
}

// builtin returns the patterns that are built in. They are written by hand: what is looked through is every text of every span.
func builtin() []Pattern {
	return []Pattern{
		{Name: "credit_card", needs: hasCard, find: creditCard},
		{Name: "email", needs: hasAt | hasDot, find: email},
		{Name: "bearer_token", needs: hasSpace, find: bearerToken},
		{Name: "jwt", needs: hasDot | hasJ, find: jwt},
		{Name: "ipv4", needs: hasDot | hasFour, find: ipv4},
		{Name: "url_password", needs: hasAt | hasColon, find: urlPassword},
	}
}

// traits are what a text has: most have too little of it for most patterns, which one look at each byte shows.
type traits uint8

const (
	hasAt traits = 1 << iota // or a percent sign
	hasDot
	hasSpace
	hasColon
	hasJ
	hasFour // four digits
	hasCard // thirteen
)

// byteTraits has the traits that a byte gives a text.
var byteTraits = [256]traits{'@': hasAt, '.': hasDot, '%': hasAt, ' ': hasSpace, ':': hasColon, 'J': hasJ}

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

// creditCard finds 13 to 19 digits, in one group or several, whose check digit by Luhn's algorithm (ISO/IEC 7812) is right, and that are no
// part of a longer number or word.
func creditCard(text []byte, from int) (lo, hi int) {
	for i := from; i < len(text); i++ {
		if !isDigit(text[i]) || i > 0 && isWord(text[i-1]) {
			continue
		}
		if end := cardEnd(text, i); end > 0 {
			return i, end
		}
		for i+1 < len(text) && isDigit(text[i+1]) { // a part of a number is none
			i++
		}
	}
	return -1, -1
}

// cardEnd returns where a card's number ends that begins at lo, or 0. What follows a number in a group of its own, such as when the card
// expires, may look like a part of it.
func cardEnd(text []byte, lo int) (end int) {
	var number [20]byte
	n := 0
	for at := lo; ; {
		group := at
		for at < len(text) && isDigit(text[at]) && n < len(number) {
			number[n] = text[at] - '0'
			n, at = n+1, at+1
		}
		if n == len(number) {
			return end
		}
		if n >= 13 && (at == len(text) || !isWord(text[at])) && luhn(number[:n]) {
			end = at
		}
		gap := separator(text[at:], at-group)
		if at-group < 3 || gap == 0 || at+gap == len(text) || !isDigit(text[at+gap]) { // of less than 3 are lists of numbers
			return end
		}
		at += gap
	}
}

// separator returns how long what text begins with is, if it may stand between a card's groups, behind one of so many digits: one space or dash, also of
// Unicode or as an URL has it, or a dot between groups of four, which are no fractions.
func separator(text []byte, digits int) int {
	switch {
	case len(text) == 0:
		return 0
	case text[0] == ' ' || text[0] == '-' || text[0] == '+':
		return 1
	case text[0] == '.' && digits == 4 && len(text) > 4 && !bytes.ContainsFunc(text[1:5], func(r rune) bool { return r < '0' || r > '9' }) && (len(text) == 5 || !isDigit(text[5])):
		return 1
	case bytes.HasPrefix(text, []byte("%20")):
		return 3
	}
	if r, n := utf8.DecodeRune(text); n > 1 && unicode.In(r, unicode.Zs, unicode.Pd, unicode.Cf) {
		return n
	}
	return 0
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

// email finds local@domain.tld, with letters of any script; in an URL the @ may be %40.
func email(text []byte, from int) (lo, hi int) {
	local := func(c byte) bool {
		return isWord(c) || c >= utf8.RuneSelf || strings.IndexByte(".!#$%&'*+/=?^`{|}~-", c) >= 0
	}
	domain := func(c byte) bool { return isWord(c) && c != '_' || c >= utf8.RuneSelf || c == '-' || c == '.' }
	for begin := from; ; begin = hi {
		at, sign := atSign(text, begin)
		if at < 0 {
			return -1, -1
		}
		for lo = at; lo > begin && local(text[lo-1]) && text[lo-1] != '/' && text[lo-1] != '='; { // which are in URLs
			lo--
		}
		hi = at + sign
		for hi < len(text) && domain(text[hi]) {
			hi++
		}
		name := bytes.TrimRight(text[at+sign:hi], ".-")
		dot := bytes.LastIndexByte(name, '.')
		if lo < at && dot > 0 && len(name)-dot > 2 && !bytes.Contains(name, []byte("..")) && !isDigit(name[len(name)-1]) {
			return lo, at + sign + len(name)
		}
		hi = at + sign // the next may begin with what was no domain
	}
}

// atSign returns where the next @ is, and how long.
func atSign(text []byte, from int) (at, length int) {
	for at = from; at < len(text); at++ {
		i := bytes.IndexAny(text[at:], "@%")
		if i < 0 {
			break
		}
		if at += i; text[at] == '@' {
			return at, 1
		}
		if bytes.HasPrefix(text[at:], []byte("%40")) {
			return at, 3
		}
	}
	return -1, 0
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
		if dots < 2 { // nor has any that begins within it
			at = hi - 1
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
		authority := text[at+3:]
		if end := bytes.IndexAny(authority, "/?# \"'<>"); end >= 0 {
			authority = authority[:end]
		}
		colon, end := bytes.IndexByte(authority, ':'), bytes.LastIndexByte(authority, '@')
		if lo = at + 3 + colon + 1; colon >= 0 && colon+1 < end && lo >= from {
			return lo, at + 3 + end
		}
	}
}
