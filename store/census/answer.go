package census

import (
	"cmp"
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"github.com/clewtrace/clew/trace"
)

// Answer returns what was counted for a question.
func (c *Census) Answer() *trace.AttrStats {
	out := &trace.AttrStats{Keys: []trace.KeyStat{}, Others: c.others}
	for id, k := range c.services[""] {
		s := trace.KeyStat{Scope: id.Scope, Key: id.Name, Spans: k.spans, Distinct: k.distinct(), All: !k.more, Many: k.many()}
		for t := trace.TypeEmpty; t <= trace.TypeBytes; t++ {
			if k.types&(1<<t) != 0 {
				s.Types = append(s.Types, t)
			}
		}
		if c.want.Key != "" {
			for _, v := range k.list() {
				if w, err := v.decode(); err == nil {
					s.Values = append(s.Values, trace.ValueStat{Value: w, Cut: v.cut, Spans: v.spans})
				}
			}
			s.All = s.All && len(s.Values) == len(k.values)
		}
		out.Keys = append(out.Keys, s)
	}
	slices.SortFunc(out.Keys, func(a, b trace.KeyStat) int {
		return cmp.Or(cmp.Compare(b.Spans, a.Spans), compareIDs(ID{a.Scope, a.Key}, ID{b.Scope, b.Key}))
	})
	return out
}

func (v *value) decode() (trace.Value, error) {
	switch {
	case v.numeric():
		return trace.DecodeAttr(v.typ, binary.BigEndian.Uint64([]byte(v.raw)), nil)
	case v.cut && v.typ == trace.TypeString:
		return trace.String(v.raw[:whole(v.raw)]), nil
	}
	return trace.DecodeAttr(v.typ, 0, []byte(v.raw))
}

// whole returns how long a text is without a character at its end that was cut in two.
func whole(s string) int {
	for n := len(s); n > 0 && n > len(s)-utf8.UTFMax; n-- {
		if utf8.RuneStart(s[n-1]) {
			if utf8.FullRuneInString(s[n-1:]) {
				break
			}
			return n - 1
		}
	}
	return len(s)
}
