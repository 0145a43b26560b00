package spool

import (
	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/trace"
)

// A column is one thing that varies over the spans of a shape, a value a row: numbers (Bool, Int, Double, as trace.AttrRef.Num
// has them) or bytes. Many columns have one value and most have few, which costs a row nothing, or two bytes.
type column struct {
	form  form
	nums  []uint64 // numbers
	data  []byte   // bytes: the values, one after the other
	ends  []uint32 // where each ends
	index []uint16 // of an indexed column: which of the values each row has
	table []uint16 // of an indexed column that grows: the values' numbers + 1, by hash
	room  int      // rows that are expected
	enc   []byte   // not decoded yet
	dict  *column  // of an encoded column, when a value was asked for: the values it indexes, or the frame that was read last
	frame int      // which frame
	per   int      // values in a frame
}

type form uint8

const (
	each    form = iota // a value for each row
	same                // one value for all rows
	indexed             // bytes only: few values, and for each row the number of one
)

func isNumber(t trace.ValueType) bool {
	return t == trace.TypeBool || t == trace.TypeInt || t == trace.TypeDouble
}

// addBytes adds a value, which in an indexed column is one that rows may have.
func (c *column) addBytes(b []byte) {
	c.data = append(c.data, b...)
	c.ends = append(c.ends, uint32(len(c.data)))
}

// bytes returns the value of row i.
func (c *column) bytes(i int) []byte {
	switch c.form {
	case same:
		return c.data
	case indexed:
		i = int(c.index[i])
	}
	return c.one(i)
}

// one returns value i, which in an indexed column may be that of many rows.
func (c *column) one(i int) []byte {
	lo := uint32(0)
	if i > 0 {
		lo = c.ends[i-1]
	}
	return c.data[lo:c.ends[i]]
}

// distinct calls fn with the values of a bytes column that is not empty: each once if it has one or few.
func (c *column) distinct(fn func(v []byte)) {
	if c.form == same {
		fn(c.data)
		return
	}
	for i := range c.ends {
		fn(c.one(i))
	}
}

// pushNum appends a number to a column of n and returns how much memory that takes, about.
func (c *column) pushNum(v uint64, n int) int {
	if c.form == same {
		switch {
		case n == 0:
			c.nums = append(c.nums, v)
			return 0
		case c.nums[0] == v:
			return 0
		}
		all := make([]uint64, n, max(n+8, c.room))
		for i := range all {
			all[i] = c.nums[0]
		}
		c.form, c.nums = each, all
	}
	c.nums = append(c.nums, v)
	return 8
}

// push appends a value to a bytes column of n and returns how much memory that takes, about.
func (c *column) push(v []byte, n int, seed uint64) int {
	if c.form == same {
		if n == 0 {
			c.data = append(c.data, v...)
			return len(v)
		}
		if string(c.data) == string(v) {
			return 0
		}
		c.form, c.ends = indexed, append(c.ends, uint32(len(c.data)))
		c.index = make([]uint16, n, max(n+8, c.room))
		c.rehash(seed)
	}
	if c.form == indexed {
		had := len(c.data)
		if k, ok := c.find(v, n, seed); ok {
			c.index = append(c.index, k)
			return 2 + len(c.data) - had
		}
		c.spell()
	}
	c.addBytes(v)
	return len(v) + 4
}

// fewValues is how many values a column may have before they are compared with its rows: more than half as many are not worth an index.
const fewValues = 32

// find returns the number of a value in an indexed column of n rows, adding it if it is new; false when it would have too many.
func (c *column) find(v []byte, n int, seed uint64) (uint16, bool) {
	mask := len(c.table) - 1
	i := int(hashBytes(seed, v)) & mask
	for ; c.table[i] != 0; i = (i + 1) & mask {
		if k := c.table[i] - 1; string(c.one(int(k))) == string(v) {
			return k, true
		}
	}
	k := len(c.ends)
	if k >= pack.MaxIndexed || k >= fewValues && k > n/2 {
		return 0, false
	}
	c.addBytes(v)
	c.table[i] = uint16(k + 1)
	if 2*k >= len(c.table) {
		c.rehash(seed)
	}
	return uint16(k), true
}

// rehash makes the table of an indexed column, with room for as many values again.
func (c *column) rehash(seed uint64) {
	size := 16
	for size < 4*len(c.ends) {
		size *= 2
	}
	if size <= cap(c.table) {
		c.table = c.table[:size]
		clear(c.table)
	} else {
		c.table = make([]uint16, size)
	}
	for k := range c.ends {
		i := int(hashBytes(seed, c.one(k))) & (size - 1)
		for c.table[i] != 0 {
			i = (i + 1) & (size - 1)
		}
		c.table[i] = uint16(k + 1)
	}
}

// spell turns an indexed column into one that has a value for each row.
func (c *column) spell() {
	var all column
	all.ends = make([]uint32, 0, max(len(c.index)+8, c.room))
	for i := range c.index {
		all.addBytes(c.bytes(i))
	}
	c.form, c.data, c.ends, c.index, c.table = each, all.data, all.ends, nil, nil
}

// clear makes the column empty and indexed; it keeps its memory.
func (c *column) clear(seed uint64) {
	*c = column{form: indexed, data: c.data[:0], ends: c.ends[:0], index: c.index[:0], table: c.table, nums: c.nums[:0]}
	c.rehash(seed)
}
