package spool

import (
	"cmp"
	"math"
	"strconv"

	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/trace"
)

// A group's needles are a filter over all values of attributes in it, those of spans, resources and events, each with its key, and
// over its events' names. What a few spans of all that is stored have is found by it: a group that lacks the value costs 256 bytes read.

// hashNumber and hashText hash a value of an attribute, given the hash of its key. They are part of the file format.
func hashNumber(key uint64, t trace.ValueType, num uint64) uint64 {
	if t == trace.TypeDouble && math.Float64frombits(num) != math.Float64frombits(num) {
		num = math.Float64bits(math.NaN())
	}
	return pack.HashMix(pack.HashMix(key, uint64(t)), num)
}

func hashText[T ~string | ~[]byte](key uint64, text T) uint64 { return pack.HashBytes(key, text) }

func hashKey(key string) uint64 { return pack.HashBytes(0, key) }

func hashValue(key string, v trace.Value) uint64 {
	switch v.Type() {
	case trace.TypeBool:
		b := uint64(0)
		if v.Bool() {
			b = 1
		}
		return hashNumber(hashKey(key), v.Type(), b)
	case trace.TypeInt:
		return hashNumber(hashKey(key), v.Type(), uint64(v.Int()))
	case trace.TypeDouble:
		return hashNumber(hashKey(key), v.Type(), math.Float64bits(v.Double()))
	}
	return hashText(hashKey(key), v.Text())
}

// needles gathers a group's values.
type needles struct {
	pack.Set
	err error // the first
}

func (s *needles) attrs(attrs []trace.Attr) {
	for i := range attrs {
		s.value(attrs[i].Key, attrs[i].Value)
	}
}

// value adds a value, and, of an array, its elements, too.
func (s *needles) value(key string, v trace.Value) {
	s.Add(hashValue(key, v))
	if v.Type() != trace.TypeArray {
		return
	}
	for _, e := range v.List() {
		s.Add(hashValue(key, e.Value))
	}
}

// numbers adds the values of an attribute's column.
func (s *needles) numbers(k attrKey, v []uint64) {
	key := hashKey(k.key)
	for _, num := range v {
		s.Add(hashNumber(key, k.typ, num))
	}
}

// texts adds the values of an attribute's column.
func (s *needles) texts(k attrKey, c *pack.Column) {
	key := hashKey(k.key)
	c.Distinct(func(v []byte) {
		if k.typ == trace.TypeString {
			s.Add(hashText(key, v))
			return
		}
		value, err := trace.DecodeAttr(k.typ, 0, v)
		s.err = cmp.Or(s.err, err)
		s.value(k.key, value)
	})
}

// rest adds what has no column: events, and a wide shape's attributes.
func (s *needles) rest(c *pack.Column) {
	var span trace.Span
	c.Distinct(func(rest []byte) {
		if len(rest) == 0 {
			return
		}
		span = trace.Span{Attrs: span.Attrs[:0], Events: span.Events[:0]}
		s.err = cmp.Or(s.err, trace.DecodeRest(rest, &span))
		s.attrs(span.Attrs)
		for k := range span.Events {
			s.Add(hashText(hashKey(""), span.Events[k].Name))
			s.attrs(span.Events[k].Attrs)
		}
	})
}

// append appends the filter over all that was added, and the group's resources.
func (s *needles) append(dst []byte, resources []resource) ([]byte, error) {
	for i := range resources {
		s.attrs(resources[i].decoded.Attrs)
	}
	return s.AppendLines(dst), s.err
}

// sought is what is looked for: spans on which all of some conditions hold. A group that has one has one of each of needles, which are hashes.
type sought struct {
	conds   []trace.Cond
	needles [][]uint64
}

// soughtBy returns what a scan looks for: one of its alternatives, or else its narrowest conjunction.
func soughtBy(sc *trace.Scan) []sought {
	alternatives := sc.Any
	if len(alternatives) == 0 {
		alternatives = [][]trace.Cond{narrowest(sc.Spans)}
	}
	all := make([]sought, len(alternatives))
	for i, conds := range alternatives {
		all[i] = sought{conds, needlesOf(conds)}
	}
	return all
}

// condsOf returns the conditions of what is sought.
func condsOf(all []sought) [][]trace.Cond {
	conds := make([][]trace.Cond, len(all))
	for i := range all {
		conds[i] = all[i].conds
	}
	return conds
}

// needlesOf returns what a group must have for a conjunction. Conditions that needles say nothing of are left out.
func needlesOf(conds []trace.Cond) (all [][]uint64) {
	for i := range conds {
		c := &conds[i]
		if c.Op != trace.OpText && c.Op != trace.OpEqual && c.Op != trace.OpAny {
			continue
		}
		switch c.Field {
		case trace.FieldAttr, trace.FieldTag, trace.FieldEvent:
			all = append(all, soughtValues(c))
		case trace.FieldMark:
			all = append(all, append(soughtValues(c), hashText(hashKey(""), c.Key)))
		}
	}
	return all
}

// soughtValues returns the hashes of all values that meet a condition on an attribute.
func soughtValues(c *trace.Cond) []uint64 {
	switch c.Op {
	case trace.OpEqual:
		return []uint64{hashValue(c.Key, c.Value)}
	case trace.OpAny:
		hashes := make([]uint64, len(c.Values))
		for i, v := range c.Values {
			hashes[i] = hashValue(c.Key, v)
		}
		return hashes
	}
	text := c.Value.Text()
	values := []trace.Value{trace.String(text), trace.Bool(text == "true")}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		values = append(values, trace.Int(n))
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		values = append(values, trace.Double(f))
	}
	var out []uint64
	for _, v := range values {
		if v.Text() == text {
			out = append(out, hashValue(c.Key, v))
		}
	}
	return out
}

// mayHave reports whether group i may have one of what is sought, and how many bytes it read for that. Damage costs speed alone.
func (b *block) mayHave(i int, all []sought) (ok bool, read int64) {
	for k := range all {
		ok, n := b.mayHaveEach(i, all[k].needles)
		if read += n; ok {
			return true, read
		}
	}
	return false, read
}

func (b *block) mayHaveEach(i int, needles [][]uint64) (ok bool, read int64) {
	info := &b.footer.Groups[i]
	for _, hashes := range needles {
		found := false
		for _, h := range hashes {
			may, err := pack.HasLine(b.at(info.Offset, info.Needles), info.Needles.Length, h)
			read += pack.LineBytes
			if err != nil {
				_ = b.damaged(info.Offset+info.Needles.Offset, err)
			}
			if found = may || err != nil; found {
				break
			}
		}
		if !found {
			return false, read
		}
	}
	return true, read
}
