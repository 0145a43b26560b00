// Package census counts services, attribute keys and their values within bounds, as bytes that add up: the census of two blocks is that of their spans.
//
// A Census is filled from columns (Key, then Value, Column and Hash) or from what another one wrote (Merge), all of it or only
// what a question asks for. Append writes it as bytes, Answer as what a question wants.
//
// What is bounded, so that no spans make it large: keys, values of a key, bytes of a value, and bytes in all. What repeats most is
// kept. How many different values a key has is known exactly while all of them are kept, and estimated by a sketch beyond.
package census

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/clewtrace/clew/trace"
)

const (
	// maxKeys and maxServiceKeys are how many keys are written: a service uses some tens, and one with IDs in its keys must leave room for others.
	maxKeys        = 10_000
	maxServiceKeys = 2_000
	// maxValues is how many values of a key are written. A list for people needs no more.
	maxValues = 64
	// maxNames is the same of span names, which are chosen from longer lists.
	maxNames = 1024
	// maxSamples is how many values are written of a key of which hardly a value repeats.
	maxSamples = 8
	// maxText is how many bytes of a value are kept.
	maxText = 128
	// maxName is how long a key or a service's name may be to be counted.
	maxName = 1024
	// slack is how many times as much is held while counting: what repeats most is known only at the end.
	slack = 4
	// maxBytes bounds the text that is written, and slack times that what is held.
	maxBytes = 4 << 20
)

// A Census is what was counted. It is for one goroutine.
type Census struct {
	want     trace.AttrQuery
	nothing  bool
	asked    bool // only what want asks for is counted, all services as one
	services map[string]map[ID]*Key
	room     map[string]int // of keys that were found first in a service
	keys     int
	bytes    int // of text that is held
	others   uint64
	turn     uint64
}

// ID is a key in a scope.
type ID struct {
	Scope trace.AttrScope
	Name  string
}

// Key is what was counted of a key of a service.
type Key struct {
	of     *Census
	limit  int    // values to keep
	turn   uint64 // in which it was counted last
	spans  uint64
	types  uint16 // bits by trace.ValueType
	values map[value]*uint64
	more   bool    // there were values that are not in values
	sketch *sketch // of all values; nil until more
	floor  uint64  // different values that there are at least
}

// value is a value as columns have it: numbers as 8 bytes, big-endian; texts and bytes as they are; others as an AnyValue message.
type value struct {
	typ trace.ValueType
	cut bool
	raw string
}

// New returns an empty census, which counts everything.
func New() *Census { return &Census{services: map[string]map[ID]*Key{}, room: map[string]int{}} }

// Ask returns an empty census, which counts what a question asks for.
func Ask(q trace.AttrQuery) *Census {
	c := New()
	c.want, c.asked = q, true
	return c
}

// None returns a census that counts nothing.
func None() *Census {
	c := New()
	c.asked, c.nothing = true, true
	return c
}

// Attrs counts attributes that n spans have.
func (c *Census) Attrs(service string, scope trace.AttrScope, attrs []trace.Attr, n uint64) {
	if c.nothing {
		return
	}
	for i := range attrs {
		if k := c.Key(service, ID{scope, attrs[i].Key}, n); k != nil {
			k.Attr(attrs[i].Value, n)
		}
	}
}

// Wants reports whether a service counts, and a key if one is given.
func (c *Census) Wants(service string, key ID) bool {
	w := &c.want
	return !c.asked || !c.nothing && (w.Service == "" || w.Service == service) &&
		(key.Scope == trace.ScopeAny || w.Scope == trace.ScopeAny || w.Scope == key.Scope) && (key.Name == "" || w.Key == "" || w.Key == key.Name)
}

// Next goes on to another span, or to some of one kind: until then, a key is counted once, however often it is there.
func (c *Census) Next() { c.turn++ }

// Key counts a key of a number of a service's spans, and returns where its values are counted: nil if they are not.
func (c *Census) Key(service string, id ID, spans uint64) *Key {
	if !c.Wants(service, id) || id.Name == "" {
		return nil
	}
	from := service
	if c.asked {
		service = ""
	}
	keys, ok := c.services[service]
	if k := keys[id]; k != nil {
		if k.turn != c.turn {
			k.turn = c.turn
			k.spans += spans
		}
		return k
	}
	size := len(id.Name)
	if !ok {
		size += len(service)
	}
	if c.keys >= slack*maxKeys || c.room[from] >= slack*maxServiceKeys || len(id.Name) > maxName || len(service) > maxName || c.bytes+size > slack*maxBytes {
		c.others += spans
		return nil
	}
	if !ok {
		keys = map[ID]*Key{}
		c.services[service] = keys
	}
	k := &Key{of: c, limit: maxValues, turn: c.turn, spans: spans, values: map[value]*uint64{}}
	if id.Scope == trace.ScopeIntrinsic {
		k.limit = maxNames
	}
	keys[id] = k
	c.room[from]++
	c.keys++
	c.bytes += size
	return k
}

// Value counts a value that n spans have.
func (k *Key) Value(typ trace.ValueType, raw []byte, n uint64) {
	k.types |= 1 << typ
	cut := len(raw) > maxText
	if cut {
		raw = raw[:maxText]
		if typ != trace.TypeString && typ != trace.TypeBytes {
			k.miss(hash(typ, raw))
			return
		}
	}
	if p := k.values[value{typ, cut, string(raw)}]; p != nil {
		*p += n
		return
	}
	k.add(value{typ, cut, string(raw)}, n)
}

func (k *Key) number(typ trace.ValueType, num, n uint64) {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], num)
	k.Value(typ, raw[:], n)
}

// Attr is Value for one that was decoded.
func (k *Key) Attr(v trace.Value, n uint64) {
	switch typ := v.Type(); typ {
	case trace.TypeString, trace.TypeBytes:
		k.Value(typ, []byte(v.Str()), n)
	case trace.TypeBool, trace.TypeInt:
		k.number(typ, uint64(v.Int()), n)
	case trace.TypeDouble:
		k.number(typ, math.Float64bits(v.Double()), n)
	default:
		k.Value(typ, trace.AppendValue(nil, v), n)
	}
}

// add keeps a value that is not there yet.
func (k *Key) add(v value, n uint64) {
	if k.of.bytes >= slack*maxBytes {
		k.miss(hash(v.typ, v.raw))
		return
	}
	if len(k.values) >= slack*k.limit {
		k.prune(slack * k.limit / 2)
	}
	if k.sketch != nil {
		k.sketch.add(hash(v.typ, v.raw))
	}
	k.values[v] = &n
	k.of.bytes += len(v.raw)
}

// Column counts many different values, each with the spans that have it. What repeats least is only counted as different.
func (k *Key) Column(typ trace.ValueType, at func(i int) []byte, counts []uint64) {
	least := uint64(0)
	if len(counts) > 2*k.limit {
		sorted := slices.Clone(counts)
		slices.Sort(sorted)
		least = sorted[len(sorted)-k.limit]
	}
	room := k.limit
	for i, n := range counts {
		switch {
		case n > least || least == 0:
			k.Value(typ, at(i), n)
		case n == least && room > 0:
			room--
			k.Value(typ, at(i), n)
		default:
			k.Hash(typ, at(i))
		}
	}
}

// Numbers is Column for numbers, as trace.AttrRef.Num has them.
func (k *Key) Numbers(typ trace.ValueType, values, counts []uint64) {
	var raw [8]byte
	k.Column(typ, func(i int) []byte {
		binary.BigEndian.PutUint64(raw[:], values[i])
		return raw[:]
	}, counts)
}

// Different counts n rows whose values hardly repeat: how many different ones there are, and some of them.
func (k *Key) Different(typ trace.ValueType, n int, at func(i int) []byte) {
	for i := range n {
		k.Hash(typ, at(i))
	}
	for i := 0; i < n; i += max(1, n/maxSamples) {
		k.Value(typ, at(i), 1)
	}
}

// Hash counts a value as one that there is, and no more.
func (k *Key) Hash(typ trace.ValueType, raw []byte) {
	k.types |= 1 << typ
	k.miss(hash(typ, raw[:min(len(raw), maxText)]))
}

// atLeast says that there are n different values, of which not all are counted.
func (k *Key) atLeast(n uint64) {
	k.overflow()
	k.floor = max(k.floor, n)
}

func (k *Key) hashNumber(typ trace.ValueType, num uint64) {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], num)
	k.Hash(typ, raw[:])
}

func (k *Key) miss(h uint64) {
	k.overflow()
	k.sketch.add(h)
}

// overflow goes on with a sketch.
func (k *Key) overflow() {
	k.more = true
	if k.sketch != nil {
		return
	}
	k.floor = max(k.floor, uint64(len(k.values)))
	k.sketch = new(sketch)
	for v := range k.values {
		k.sketch.add(hash(v.typ, v.raw))
	}
}

// prune keeps the n most frequent values.
func (k *Key) prune(n int) {
	if len(k.values) <= n {
		return
	}
	k.overflow()
	for _, c := range k.sorted()[n:] {
		k.of.bytes -= len(c.raw)
		delete(k.values, c.value)
	}
}

// counted is a value and how many spans have it.
type counted struct {
	value
	spans uint64
}

// sorted returns the values, the most frequent first.
func (k *Key) sorted() []counted {
	list := make([]counted, 0, len(k.values))
	for v, n := range k.values {
		list = append(list, counted{v, *n})
	}
	slices.SortFunc(list, func(a, b counted) int {
		if a.spans != b.spans {
			return cmp.Compare(b.spans, a.spans)
		}
		return cmp.Or(cmp.Compare(a.raw, b.raw), cmp.Compare(a.typ, b.typ))
	})
	return list
}

func (k *Key) distinct() uint64 {
	n := uint64(len(k.values))
	if k.more {
		n = max(n, k.floor, k.sketch.count())
	}
	return n
}

// manyDistinct is how many different values nobody chooses from.
const manyDistinct = 4096

func (k *Key) many() bool {
	d := k.distinct()
	return k.more && (d > manyDistinct || 2*d > k.spans)
}

// list returns the values that are worth writing.
func (k *Key) list() []counted {
	list := k.sorted()
	if k.many() {
		return list[:min(len(list), maxSamples)]
	}
	return list[:min(len(list), k.limit)]
}
