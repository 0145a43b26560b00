package traceql

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is the kind of a token.
type kind uint8

const (
	tEOF    kind = iota
	tIdent       // a bare word
	tField       // an attribute, or an intrinsic with its scope
	tString      // in either kind of quotes
	tNumber      // an integer, a float or a duration
	tPunct       // an operator or a bracket
)

// A token is a piece of the query.
type token struct {
	kind  kind
	pos   int
	end   int
	text  string // as it is written; of a string what it says
	field Field  // of tField
}

// is reports whether the token is an operator, a bracket or a bare word.
func (t token) is(s string) bool { return (t.kind == tPunct || t.kind == tIdent) && t.text == s }

// String returns the token as an error message shows it.
func (t token) String() string {
	text := shorten(t.text)
	switch t.kind {
	case tEOF:
		return "the end of the query"
	case tString:
		return "the string " + strconv.Quote(text)
	case tField, tIdent, tNumber:
		return text
	}
	return strconv.Quote(text)
}

// puncts are the operators and brackets, each before those that it begins with.
var puncts = []string{
	"&&", "||", "&>>", "&>", "&<<", "&<", "&~", "!>>", "!>", "!<<", "!<", "!~", "!=", "=~", ">>", ">=", "<<", "<=",
	"{", "}", "(", ")", "[", "]", ",", "|", "=", ">", "<", "~", "!", "+", "-", "*", "/", "%", "^",
}

// A lexer cuts a query into tokens.
type lexer struct {
	text string
	pos  int
}

// next returns the next token.
func (l *lexer) next() (token, *Error) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	rest := l.text[l.pos:]
	if rest == "" {
		return token{kind: tEOF, pos: l.pos, end: l.pos}, nil
	}
	switch c := rest[0]; {
	case c == '"', c == '`':
		return l.str()
	case isDigit(c), c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return l.number()
	case c == '.':
		return l.attribute(Field{}, l.pos, l.pos+1)
	case isLetter(c):
		return l.word()
	}
	for _, p := range puncts {
		if strings.HasPrefix(rest, p) {
			l.pos += len(p)
			return token{kind: tPunct, pos: l.pos - len(p), end: l.pos, text: p}, nil
		}
	}
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case r == utf8.RuneError && size == 1:
		return token{}, errorAt(l.pos, "the byte %#02x is no UTF-8", rest[0])
	case r == '\'' || r == '“' || r == '”':
		return token{}, errorAt(l.pos, "strings stand in double quotes or backquotes, not in %c", r)
	case r == '&':
		return token{}, errorAt(l.pos, `expected &&, found a single "&"`)
	}
	return token{}, errorAt(l.pos, "unexpected character %q", r)
}

// space skips white space and comments.
func (l *lexer) space() *Error {
	for l.pos < len(l.text) {
		rest := l.text[l.pos:]
		switch r, size := utf8.DecodeRuneInString(rest); {
		case unicode.IsSpace(r):
			l.pos += size
		case strings.HasPrefix(rest, "//"):
			line, _, _ := strings.Cut(rest, "\n")
			l.pos += len(line)
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return errorAt(l.pos, "the comment is not closed; expected */")
			}
			l.pos += end + 4
		default:
			return nil
		}
	}
	return nil
}

// str reads a string: with Go's escapes between double quotes, without any between backquotes.
func (l *lexer) str() (token, *Error) {
	start, quote := l.pos, l.text[l.pos]
	rest := l.text[start+1:]
	if quote == '`' {
		end := strings.IndexByte(rest, '`')
		if end < 0 {
			return token{}, errorAt(start, "the string is not closed; expected `")
		}
		l.pos += end + 2
		return l.valid(token{kind: tString, pos: start, end: l.pos, text: rest[:end]})
	}
	var b []byte
	for rest != "" && rest[0] != '"' {
		r, multibyte, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil { // a quote ends the loop: it is a backslash
			at := len(l.text) - len(rest)
			return token{}, errorAt(at, "%s is no escape in a string; write \\\\ for a backslash, or put the string in backquotes", l.escape(at))
		}
		if multibyte && r == utf8.RuneError && !strings.HasPrefix(rest, "\uFFFD") && rest[0] != '\\' {
			return token{}, errorAt(len(l.text)-len(rest), "the byte %#02x is no UTF-8", rest[0])
		}
		if r < utf8.RuneSelf || !multibyte {
			b = append(b, byte(r))
		} else {
			b = utf8.AppendRune(b, r)
		}
		rest = tail
	}
	if rest == "" {
		return token{}, errorAt(start, `the string is not closed; expected "`)
	}
	l.pos = len(l.text) - len(rest) + 1
	return token{kind: tString, pos: start, end: l.pos, text: string(b)}, nil
}

// escape returns the backslash at an offset and the character after it.
func (l *lexer) escape(at int) string {
	_, size := utf8.DecodeRuneInString(l.text[at+1:])
	return strings.ToValidUTF8(l.text[at:at+1+size], "\uFFFD")
}

// valid refuses a token whose text is no UTF-8.
func (l *lexer) valid(t token) (token, *Error) {
	if !utf8.ValidString(t.text) {
		return token{}, errorAt(t.pos, "%s: no UTF-8", strings.ToValidUTF8(t.String(), "\uFFFD"))
	}
	return t, nil
}

// number reads a number or a duration, as far as letters, digits and dots go; parseNumber says whether it is one.
func (l *lexer) number() (token, *Error) {
	start := l.pos
	for l.pos < len(l.text) {
		r, size := utf8.DecodeRuneInString(l.text[l.pos:])
		if !isWordRune(r) && r != '.' && r != 'µ' && r != 'μ' && !l.exponentSign(start) {
			break
		}
		l.pos += size
	}
	return token{kind: tNumber, pos: start, end: l.pos, text: l.text[start:l.pos]}, nil
}

// exponentSign reports whether the lexer is at the sign of an exponent, as in 1e-3, of a number that began at start.
func (l *lexer) exponentSign(start int) bool {
	c, before := l.text[l.pos], l.text[start:l.pos]
	if c != '+' && c != '-' || l.pos+1 == len(l.text) || !isDigit(l.text[l.pos+1]) {
		return false
	}
	e := before[len(before)-1]
	return (e == 'e' || e == 'E') && strings.Trim(before[:len(before)-1], ".0123456789") == ""
}

// word reads a bare word, or a field that begins with its scope.
func (l *lexer) word() (token, *Error) {
	start := l.pos
	word := l.ident(start)
	end := start + len(word)
	switch rest := l.text[end:]; {
	case strings.HasPrefix(rest, "."):
		return l.scoped(word, start)
	case strings.HasPrefix(rest, ":"):
		return l.intrinsic(word, start)
	}
	l.pos = end
	return token{kind: tIdent, pos: start, end: end, text: word}, nil
}

// ident returns the letters, digits and underscores at an offset.
func (l *lexer) ident(at int) string {
	end := at
	for end < len(l.text) && (isLetter(l.text[end]) || isDigit(l.text[end])) {
		end++
	}
	return l.text[at:end]
}

// scoped reads an attribute after its first scope; the lexer is at the scope.
func (l *lexer) scoped(word string, start int) (token, *Error) {
	f, at := Field{}, start+len(word)+1
	if word == "parent" {
		f.Parent = true
		if inner := l.ident(at); slices.Contains(parentScopes, inner) && strings.HasPrefix(l.text[at+len(inner):], ".") {
			f.Scope, at = attrScopes[inner], at+len(inner)+1
		}
		return l.attribute(f, start, at)
	}
	scope, ok := attrScopes[word]
	if !ok {
		t, err := l.attribute(Field{}, start, start)
		if err != nil {
			return t, err
		}
		if guess := withScope(t.field.Key); guess != "" {
			return token{}, errorAt(start, "%s has no scope; did you mean %s?", shorten(t.field.Key), shorten(guess))
		}
		return token{}, errorAt(start, "%s is no field; texts, and regular expressions, stand in quotes", shorten(t.field.Key))
	}
	f.Scope = scope
	return l.attribute(f, start, at)
}

// scopeWords are the words that may stand before a dot.
func scopeWords() []string {
	return []string{"span", "resource", "event", "link", "instrumentation", "parent"}
}

// intrinsic reads a scope, a colon and an intrinsic's name.
func (l *lexer) intrinsic(word string, start int) (token, *Error) {
	name := l.ident(start + len(word) + 1)
	l.pos = start + len(word) + 1 + len(name)
	t := token{kind: tField, pos: start, end: l.pos, text: l.text[start:l.pos], field: Field{Scope: ScopeIntrinsic}}
	full := t.text
	if word == "parent" {
		t.field.Parent, full = true, "span:"+name
	}
	if t.field.Intrinsic, _ = intrinsicNamed(full); t.field.Intrinsic != NoIntrinsic {
		return t, nil
	}
	if _, ok := attrScopes[word]; ok && l.pos < len(l.text) && l.text[l.pos] == '.' { // resource:service.name
		if a, err := l.attribute(Field{}, start, start+len(word)+1); err == nil {
			return token{}, errorAt(start, "after an attribute's scope stands a dot; did you mean %s.%s?", word, shorten(a.field.Key))
		}
	}
	return token{}, errorAt(start, "there is no intrinsic %s%s", t, unknownIntrinsic(word, name))
}

// unknownIntrinsic says what somebody meant who wrote a scope and a name that is no intrinsic's.
func unknownIntrinsic(scope, name string) string {
	same := scope
	if scope == "parent" {
		same = "span"
	}
	var names []string
	for _, n := range Intrinsics() {
		if bare, ok := strings.CutPrefix(n, same+":"); ok {
			names = append(names, scope+":"+bare)
		}
	}
	if hint := didYouMean(scope+":"+name, names); hint != "" {
		return hint
	}
	if hint := didYouMean(scope+":"+name, Intrinsics()); hint != "" {
		return hint
	}
	if _, ok := attrScopes[scope]; ok && name != "" {
		return "; did you mean the attribute " + scope + "." + shorten(name) + "?"
	}
	if len(names) > 0 {
		return "; there are " + strings.Join(names, ", ")
	}
	return "; the scopes of intrinsics are span, trace, event, link and instrumentation"
}

// attribute reads the key of an attribute, which may have pieces in double quotes; the lexer's token began at start.
func (l *lexer) attribute(f Field, start, at int) (token, *Error) {
	var key strings.Builder
	l.pos = at
	for l.pos < len(l.text) {
		r, size := utf8.DecodeRuneInString(l.text[l.pos:])
		if r == '"' {
			if err := l.quotedKey(&key); err != nil {
				return token{}, err
			}
			continue
		}
		if !isKeyRune(r) {
			break
		}
		key.WriteString(l.text[l.pos : l.pos+size])
		l.pos += size
	}
	f.Key = key.String()
	t := token{kind: tField, pos: start, end: l.pos, text: l.text[start:l.pos], field: f}
	if l.pos == at {
		return token{}, errorAt(at, `expected the name of an attribute after %s`, strconv.Quote(t.text))
	}
	return l.valid(t)
}

// quotedKey reads a piece of a key in double quotes, in which a backslash stands only before a quote or a backslash.
func (l *lexer) quotedKey(key *strings.Builder) *Error {
	start := l.pos
	for l.pos++; l.pos < len(l.text); l.pos++ {
		c := l.text[l.pos]
		switch {
		case c == '"':
			l.pos++
			return nil
		case c == '\\' && l.pos+1 < len(l.text) && (l.text[l.pos+1] == '"' || l.text[l.pos+1] == '\\'):
			l.pos++
			c = l.text[l.pos]
		case c == '\\':
			return errorAt(l.pos, `in the name of an attribute only \" and \\ are escapes`)
		}
		key.WriteByte(c)
	}
	return errorAt(start, `the name of the attribute is not closed; expected "`)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func isWordRune(r rune) bool { return r < utf8.RuneSelf && (isLetter(byte(r)) || isDigit(byte(r))) }

// isKeyRune reports whether an attribute's name goes on with r when it is not in quotes. What stands for arithmetic may be in a name:
// a space is needed before it.
func isKeyRune(r rune) bool { return !unicode.IsSpace(r) && !strings.ContainsRune("{}()=~!<>&|^,", r) }
