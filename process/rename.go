package process

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// Renaming takes out of spans' names what makes each of them different: names are what spans are grouped by.
type Renaming struct {
	// Rules are tried first, in their order, on what the one before made of the name.
	Rules []RenamingRule
	// IDs are kinds of segment of a path that are replaced by With: see IDKinds.
	IDs  []string
	With string
	// Original is the attribute in which the name is kept that a span had; empty: in none.
	Original string
}

// RenamingRule replaces what matches in a name. Replacement may have $1 or ${name} for a group.
type RenamingRule struct {
	Match       *regexp.Regexp
	Replacement string
}

// IDKinds are the kinds of segment that are known. A segment is what stands between slashes, or behind = in a query.
var IDKinds = [...]string{
	"number", // 123, -5
	"uuid",   // 550e8400-e29b-41d4-a716-446655440000
	"hex",    // 8 or more hexadecimal digits, a number among them: 5f2b1c9e
	"token",  // 20 or more letters, digits, - and _, with at least 3 digits among them, and letters: dGhpcyBpcyBhbiBpZA1234
}

// Renamer is the step of Renaming.
type Renamer struct {
	cfg                      Renaming
	number, uuid, hex, token bool
}

// NewRenamer returns a step that renames spans.
func NewRenamer(cfg Renaming) (*Renamer, error) {
	for _, kind := range cfg.IDs {
		if !slices.Contains(IDKinds[:], kind) {
			return nil, fmt.Errorf("ids: %q is not one of %s", kind, strings.Join(IDKinds[:], ", "))
		}
	}
	is := func(kind string) bool { return slices.Contains(cfg.IDs, kind) }
	return &Renamer{cfg: cfg, number: is("number"), uuid: is("uuid"), hex: is("hex"), token: is("token")}, nil
}

// Process renames spans. Those that keep their name stay as they are, byte for byte.
func (r *Renamer) Process(_ context.Context, b *trace.Batch) error {
	var scratch []byte
	any := false
	for i := range b.Spans {
		var changed bool
		if scratch, changed = r.rename(scratch[:0], b.Bytes(b.Spans[i].Name)); changed {
			any = true
			break
		}
	}
	if !any {
		return nil
	}
	return b.Edit(&trace.Edit{Span: func(dst []byte, i int, body []byte) ([]byte, trace.Change) {
		s := &b.Spans[i]
		var changed bool
		if scratch, changed = r.rename(scratch[:0], b.Bytes(s.Name)); !changed {
			return dst, trace.Same
		}
		for len(body) > 0 {
			var f wireField
			if f, body = next(body); f.num == 5 {
				dst = appendField(dst, 5, scratch)
			} else {
				dst = append(dst, f.raw...)
			}
		}
		if r.cfg.Original != "" && !hasAttr(b, s, r.cfg.Original) {
			dst = trace.AppendSpanAttr(dst, trace.Attr{Key: r.cfg.Original, Value: trace.String(string(b.Bytes(s.Name)))})
		}
		return dst, trace.Changed
	}})
}

func hasAttr(b *trace.Batch, s *trace.SpanRef, key string) bool {
	for i := range b.Attrs[s.AttrLo:s.AttrHi] {
		if string(b.Bytes(b.Attrs[int(s.AttrLo)+i].Key)) == key {
			return true
		}
	}
	return false
}

// rename appends the new name, and reports whether it is another one.
func (r *Renamer) rename(dst, name []byte) (out []byte, changed bool) {
	was := name
	for i := range r.cfg.Rules {
		if rule := &r.cfg.Rules[i]; rule.Match.Match(name) {
			name = rule.Match.ReplaceAll(name, []byte(rule.Replacement))
		}
	}
	out = r.replaceIDs(dst, name)
	return out, !bytes.Equal(out[len(dst):], was)
}

// replaceIDs appends a name with those segments replaced that are IDs.
func (r *Renamer) replaceIDs(dst, name []byte) []byte {
	for len(name) > 0 {
		i := bytes.IndexAny(name, "/=")
		if i < 0 {
			return append(dst, name...)
		}
		dst = append(dst, name[:i+1]...)
		name = name[i+1:]
		end := bytes.IndexAny(name, "/=?#&;:, ")
		if end < 0 {
			end = len(name)
		}
		if r.isID(name[:end]) {
			dst = append(dst, r.cfg.With...)
		} else {
			dst = append(dst, name[:end]...)
		}
		name = name[end:]
	}
	return dst
}

func (r *Renamer) isID(s []byte) bool {
	digits, hex, other := 0, 0, 0 // hex: letters that are hexadecimal digits
	for _, c := range s {
		switch {
		case isDigit(c):
			digits++
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			hex++
		case isWord(c) || c == '-':
			other++
		default:
			return false
		}
	}
	switch {
	case digits == 0:
		return false
	case r.number && digits == len(bytes.TrimPrefix(s, []byte{'-'})):
		return true
	case r.uuid && isUUID(s, digits+hex):
		return true
	case r.hex && other == 0 && hex > 0 && len(s) >= 8:
		return true
	}
	return r.token && len(s) >= 20 && digits >= 3 && digits < len(s)
}

// isUUID reports whether a text is 8-4-4-4-12 hexadecimal digits, of which it has so many.
func isUUID(s []byte, digits int) bool {
	return len(s) == 36 && digits == 32 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'
}
