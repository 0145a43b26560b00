package trace

import "strings"

// Glob is a pattern for names: * stands for any text, also an empty one, ? for one character, all else for itself.
type Glob string

// Match reports whether the whole of a name is as the pattern has it. It takes no longer than one's length times the other's.
func (g Glob) Match(name []byte) bool { return matchGlob(string(g), name) }

// MatchString is as Match.
func (g Glob) MatchString(name string) bool { return matchGlob(string(g), name) }

func matchGlob[T string | []byte](glob string, name T) bool {
	g, n := 0, 0
	star, from := -1, 0 // the last * in the glob, and what of the name is behind what it stands for
	for n < len(name) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, from = g, n
			g++
		case g < len(glob) && glob[g] == '?':
			g++
			for n++; n < len(name) && name[n]&0xc0 == 0x80; n++ { // the rest of a character in UTF-8
			}
		case g < len(glob) && glob[g] == name[n]:
			g++
			n++
		case star >= 0: // let it stand for one byte more
			from++
			g, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}
