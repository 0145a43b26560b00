package census

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// A census as bytes, numbers being uvarints and [x] a length as uvarint followed by x:
//
//	services s, s × ([name] [keys k, k × (scope(1) [name] [entry])])
//	others
//
//	entry:  spans  types (bits)  different values at least  sketch (128 bytes, or 1 zero byte: all values are here)
//	        values v, v × (type + 16 if cut (1) [raw] spans)
//
// Services, keys and values are in order: the same census is the same bytes.
const (
	sketched = 1
	cutFlag  = 16
)

// Append writes the census: the keys that most spans have, and their most frequent values.
func (c *Census) Append(b []byte) []byte {
	others := c.others + c.trim()
	names := make([]string, 0, len(c.services))
	for name := range c.services {
		names = append(names, name)
	}
	slices.Sort(names)
	b = binary.AppendUvarint(b, uint64(len(names)))
	var body []byte
	left := maxBytes
	for _, name := range names {
		keys := c.services[name]
		ids := make([]ID, 0, len(keys))
		for id := range keys {
			ids = append(ids, id)
		}
		slices.SortFunc(ids, compareIDs)
		body = binary.AppendUvarint(body[:0], uint64(len(ids)))
		for _, id := range ids {
			body = appendSized(append(body, byte(id.Scope)), id.Name)
			body = appendSized(body, keys[id].append(nil, &left))
		}
		b = appendSized(appendSized(b, name), body)
	}
	return binary.AppendUvarint(b, others)
}

func compareIDs(a, b ID) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Scope, b.Scope))
}

func appendSized[T ~string | ~[]byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// trim drops the keys that fewest spans have and that are too many, and returns how often there was one of them.
func (c *Census) trim() (dropped uint64) {
	type ranked struct {
		service string
		id      ID
		spans   uint64
	}
	byCount := func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.spans, a.spans), strings.Compare(a.service, b.service), compareIDs(a.id, b.id))
	}
	cut := func(list []ranked, n int) []ranked {
		if len(list) <= n {
			return list
		}
		slices.SortFunc(list, byCount)
		for _, r := range list[n:] {
			dropped += r.spans
			delete(c.services[r.service], r.id)
		}
		return list[:n]
	}
	var all []ranked
	for service, keys := range c.services {
		list := make([]ranked, 0, len(keys))
		for id, k := range keys {
			list = append(list, ranked{service, id, k.spans})
		}
		all = append(all, cut(list, maxServiceKeys)...)
	}
	cut(all, maxKeys)
	return dropped
}

// append writes an entry, of whose values no more than left bytes.
func (k *Key) append(b []byte, left *int) []byte {
	list := k.list()
	n := 0
	for n < len(list) && *left >= len(list[n].raw) {
		*left -= len(list[n].raw)
		n++
	}
	if n < len(k.values) {
		k.overflow()
	}
	b = binary.AppendUvarint(b, min(k.spans, math.MaxInt64))
	b = binary.AppendUvarint(b, uint64(k.types))
	b = binary.AppendUvarint(b, min(k.distinct(), math.MaxInt64))
	if k.more {
		b = append(append(b, sketched), k.sketch[:]...)
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(n))
	for _, v := range list[:n] {
		head := byte(v.typ)
		if v.cut {
			head |= cutFlag
		}
		b = appendSized(append(b, head), v.raw)
		b = binary.AppendUvarint(b, min(v.spans, math.MaxInt64))
	}
	return b
}

// cursor reads one thing after the other; the first fault stays.
type cursor struct {
	s   string
	bad bool
}

func (c *cursor) uint() (v uint64) {
	for i, shift := 0, 0; i < len(c.s) && shift < 64; i, shift = i+1, shift+7 {
		b := c.s[i]
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			c.s = c.s[i+1:]
			return v
		}
	}
	c.bad, c.s = true, ""
	return 0
}

func (c *cursor) take(n uint64) string {
	if n > uint64(len(c.s)) {
		c.bad, c.s = true, ""
		return ""
	}
	v := c.s[:n]
	c.s = c.s[n:]
	return v
}

func (c *cursor) sized() string { return c.take(c.uint()) }

func (c *cursor) byte() byte {
	if v := c.take(1); v != "" {
		return v[0]
	}
	return 0
}

var errBroken = trace.Errorf(trace.Corrupt, "broken statistics of attributes")

// Merge adds what Append wrote, as far as it is asked for. After an error of kind Corrupt some of it is there.
func (c *Census) Merge(raw string) error {
	in := cursor{s: raw}
	for range in.uint() {
		if in.bad {
			break
		}
		service, body := in.sized(), in.sized()
		if !c.Wants(service, ID{}) {
			continue
		}
		c.Next()
		keys := cursor{s: body}
		for range keys.uint() {
			scope, name, entry := trace.AttrScope(keys.byte()), keys.sized(), keys.sized()
			if keys.bad || scope > trace.ScopeIntrinsic {
				return errBroken
			}
			if err := c.entry(service, ID{scope, name}, entry); err != nil {
				return err
			}
		}
	}
	c.others += in.uint()
	if in.bad || in.s != "" {
		return errBroken
	}
	return nil
}

func (c *Census) entry(service string, id ID, entry string) error {
	if !c.Wants(service, id) {
		return nil
	}
	in := &cursor{s: entry}
	spans, types, distinct := in.uint(), in.uint(), in.uint()
	if in.bad || spans > math.MaxInt64 || distinct > math.MaxInt64 {
		return errBroken
	}
	k := c.Key(service, id, spans)
	if k == nil {
		return nil
	}
	k.types |= uint16(types) & (1<<(trace.TypeBytes+1) - 1)
	if c.want.Names {
		return nil
	}
	if in.byte() == sketched {
		s := sketch([]byte(in.take(sketchSize) + strings.Repeat("\x00", sketchSize))[:sketchSize])
		k.atLeast(distinct)
		k.sketch.merge(&s)
	}
	for range in.uint() {
		if in.bad {
			break
		}
		head := in.byte()
		v := value{trace.ValueType(head &^ cutFlag), head&cutFlag != 0, in.sized()}
		n := in.uint()
		if in.bad || v.typ > trace.TypeBytes || len(v.raw) > maxText || v.numeric() && len(v.raw) != 8 || n > math.MaxInt64 {
			return errBroken
		}
		if p := k.values[v]; p != nil {
			*p += n
		} else {
			k.add(v, n)
		}
	}
	if in.bad || in.s != "" {
		return errBroken
	}
	return nil
}

func (v *value) numeric() bool {
	return v.typ == trace.TypeBool || v.typ == trace.TypeInt || v.typ == trace.TypeDouble
}
