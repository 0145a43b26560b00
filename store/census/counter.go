package census

import (
	"cmp"
	"iter"
	"slices"

	"github.com/clewtrace/clew/trace"
)

// A Counter counts columns' values for a key: all, or those of a sample of rows. It is for one goroutine.
type Counter struct {
	Limit int // rows of a column to look at; 0: all

	index  map[string]int
	data   []byte // the different values, one behind the other
	ends   []int
	counts []uint64
	nums   numbers
	order  []int // of nums
	rows   []uint64
	span   trace.Span
}

// Count counts rows by the numbers that they have, which are small.
func (c *Counter) Count(rows []uint64) {
	for _, i := range rows {
		for uint64(len(c.rows)) <= i {
			c.rows = append(c.rows, 0)
		}
		c.rows[i]++
	}
}

// Counted yields each number that rows had, with how many had it, and starts anew.
func (c *Counter) Counted() iter.Seq2[int, uint64] {
	return func(yield func(int, uint64) bool) {
		for i, n := range c.rows {
			if n > 0 && !yield(i, n) {
				break
			}
		}
		c.rows = c.rows[:0]
	}
}

// Indexed returns how many rows have each of some values, given the number of each row's. The result is valid until the next call.
func (c *Counter) Indexed(index []uint16, values int) []uint64 {
	c.counts = append(c.counts[:0], make([]uint64, values)...)
	for _, i := range index {
		c.counts[i]++
	}
	return c.counts
}

// maxNumbers is how many different numbers of a column are counted; what comes after is only counted as different.
const maxNumbers = slack * maxValues

// Rows yields the rows of n to look at, each with how many it stands for: all, or the newest (the last) and some of the others.
func (c *Counter) Rows(n int) iter.Seq2[int, uint64] {
	return func(yield func(int, uint64) bool) {
		older, step := 0, 1
		if c.Limit > 0 && n > c.Limit {
			older = n - c.Limit/2
			step = max(1, older/(c.Limit/2))
		}
		for i := 0; i < older; i += step {
			if !yield(i, uint64(min(step, older-i))) {
				return
			}
		}
		for i := older; i < n; i++ {
			if !yield(i, 1) {
				return
			}
		}
	}
}

// Texts counts the values of n rows that are no numbers.
func (c *Counter) Texts(k *Key, typ trace.ValueType, n int, at func(i int) []byte) {
	if c.index == nil {
		c.index = map[string]int{}
	}
	clear(c.index)
	c.data, c.ends, c.counts = c.data[:0], c.ends[:0], c.counts[:0]
	for i, weight := range c.Rows(n) {
		v := at(i)
		j, ok := c.index[string(v)]
		if !ok {
			j = len(c.counts)
			c.index[string(v)] = j
			c.data = append(c.data, v...)
			c.ends = append(c.ends, len(c.data))
			c.counts = append(c.counts, 0)
		}
		c.counts[j] += weight
	}
	k.Column(typ, c.value, c.counts)
	c.estimate(k, n, len(c.counts))
}

func (c *Counter) value(i int) []byte {
	lo := 0
	if i > 0 {
		lo = c.ends[i-1]
	}
	return c.data[lo:c.ends[i]]
}

// Numbers counts the values of n rows that are numbers, as trace.AttrRef.Num has them: one for each, or for all.
func (c *Counter) Numbers(k *Key, typ trace.ValueType, rows []uint64, n uint64) {
	same := true
	for _, v := range rows {
		if v != rows[0] {
			same = false
			break
		}
	}
	if same {
		k.number(typ, rows[0], n)
		return
	}
	c.nums.reset()
	for i, weight := range c.Rows(len(rows)) {
		if !c.nums.add(rows[i], weight) {
			k.hashNumber(typ, rows[i])
		}
	}
	room := maxValues
	if len(c.nums.values) == maxNumbers {
		room = maxSamples // such as durations: that many new values from each column would be sorted out again and again
	}
	values, counts := c.nums.values, c.nums.counts
	c.order = c.order[:0]
	for i := range values {
		c.order = append(c.order, i)
	}
	slices.SortFunc(c.order, func(a, b int) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(values[a], values[b]))
	})
	for at, i := range c.order {
		if at < room || counts[i] > uint64(len(rows)/maxValues) {
			k.number(typ, values[i], counts[i])
		} else {
			k.hashNumber(typ, values[i])
		}
	}
	c.estimate(k, len(rows), len(c.nums.values))
}

// numbers counts up to maxNumbers different numbers: in much less time than a map.
type numbers struct {
	table  [4 * maxNumbers]uint16 // values' numbers + 1, by hash; 0: free
	values []uint64
	counts []uint64
}

func (s *numbers) reset() {
	clear(s.table[:])
	s.values, s.counts = s.values[:0], s.counts[:0]
}

// add returns false when there is no room for another number.
func (s *numbers) add(v, n uint64) bool {
	i := mix(0, v) % uint64(len(s.table))
	for ; s.table[i] != 0; i = (i + 1) % uint64(len(s.table)) {
		if k := s.table[i] - 1; s.values[k] == v {
			s.counts[k] += n
			return true
		}
	}
	if len(s.values) == maxNumbers {
		return false
	}
	s.values, s.counts = append(s.values, v), append(s.counts, n)
	s.table[i] = uint16(len(s.values))
	return true
}

// estimate says how many different values there are in n rows, when a sample had some.
func (c *Counter) estimate(k *Key, n, distinct int) {
	if c.Limit == 0 || n <= c.Limit {
		return
	}
	if 2*distinct > c.Limit { // hardly one repeats
		distinct = n / c.Limit * distinct
	}
	k.atLeast(uint64(distinct))
}

// leastSpans is how many of such spans a sample has at least, of which each may have keys of its own.
const leastSpans = 1024

// Spans counts the names and attributes of n spans that have nothing in common; at returns a span's name, and its attributes as fields of an OTLP Span.
func (c *Counter) Spans(to *Census, service string, n int, at func(i int) (name, attrs []byte)) {
	if !to.Wants(service, ID{}) {
		return
	}
	defer func(before int) { c.Limit = before }(c.Limit)
	if c.Limit > 0 {
		c.Limit = max(c.Limit, leastSpans)
	}
	for i, weight := range c.Rows(n) {
		name, attrs := at(i)
		to.Next()
		to.Attrs(service, trace.ScopeIntrinsic, Name(string(name)), weight)
		c.span = trace.Span{Attrs: c.span.Attrs[:0]}
		if trace.DecodeRest(attrs, &c.span) == nil { // what is broken costs statistics alone
			to.Attrs(service, trace.ScopeSpan, c.span.Attrs, weight)
		}
	}
}

// Common returns what spans of a kind and status have, as attributes of trace.ScopeIntrinsic.
func Common(kind trace.Kind, status trace.StatusCode) []trace.Attr {
	return []trace.Attr{
		{Key: trace.IntrinsicKind, Value: trace.String(kind.String())},
		{Key: trace.IntrinsicStatus, Value: trace.String(status.String())},
	}
}

// Name returns a span's name as an attribute of trace.ScopeIntrinsic.
func Name(name string) []trace.Attr {
	return []trace.Attr{{Key: trace.IntrinsicName, Value: trace.String(name)}}
}
