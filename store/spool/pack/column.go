package pack

// A Column is a value a row: numbers or bytes. Many columns have one value and most have few, which costs a row nothing, or two bytes.
// How many rows it has, those know who have it. Only reading one that is not encoded leaves it as it is.
type Column struct {
	Form  Form
	Nums  []uint64 // numbers
	Data  []byte   // bytes: the values, one after the other
	Ends  []uint32 // where each ends
	Index []uint16 // of an indexed column: which of the values each row has
	Enc   []byte   // the column as a Codec encoded it, if it was not decoded yet: what is above is empty

	table []uint16 // of an indexed column that grows: the values' numbers + 1, by hash
	room  int      // rows that are expected
	dict  *Column  // of an encoded column, when a value was asked for: the values it indexes, or the frame that was read last
	frame int      // which frame
	per   int      // values in a frame
}

// Form is how a column has its values.
type Form uint8

// The forms. A column of numbers is not Indexed.
const (
	Each    Form = iota // a value for each row
	Same                // one value for all rows
	Indexed             // few values, and for each row the number of one
)

// Expect makes room in a column that is empty for so many rows, with so many bytes in all. 0 bytes: it is expected that all rows have one value.
func (c *Column) Expect(rows, bytes int) {
	c.room = rows
	if bytes == 0 {
		c.Form = Same
		return
	}
	c.Ends, c.Data = make([]uint32, 0, rows), make([]byte, 0, bytes)
}

// Add adds a value, which in an indexed column is one that rows may have.
func (c *Column) Add(b []byte) {
	c.Data = append(c.Data, b...)
	c.Ends = append(c.Ends, uint32(len(c.Data)))
}

// Bytes returns the value of row i.
func (c *Column) Bytes(i int) []byte {
	switch c.Form {
	case Same:
		return c.Data
	case Indexed:
		i = int(c.Index[i])
	}
	return c.One(i)
}

// One returns value i, which in an indexed column may be that of many rows.
func (c *Column) One(i int) []byte {
	lo := uint32(0)
	if i > 0 {
		lo = c.Ends[i-1]
	}
	return c.Data[lo:c.Ends[i]]
}

// Distinct calls fn with the values of a bytes column that is not empty: each once if it has one or few.
func (c *Column) Distinct(fn func(v []byte)) {
	if c.Form == Same {
		fn(c.Data)
		return
	}
	for i := range c.Ends {
		fn(c.One(i))
	}
}

// PushNum appends a number to a column of n rows and returns how many bytes of memory that takes, about.
func (c *Column) PushNum(v uint64, n int) int {
	if c.Form == Same {
		switch {
		case n == 0:
			c.Nums = append(c.Nums, v)
			return 0
		case c.Nums[0] == v:
			return 0
		}
		all := make([]uint64, n, max(n+8, c.room))
		for i := range all {
			all[i] = c.Nums[0]
		}
		c.Form, c.Nums = Each, all
	}
	c.Nums = append(c.Nums, v)
	return 8
}

// Push appends a value to a bytes column of n rows and returns how many bytes of memory that takes, about. The seed is of hashes, and the same for all rows.
func (c *Column) Push(v []byte, n int, seed uint64) int {
	if c.Form == Same {
		if n == 0 {
			c.Data = append(c.Data, v...)
			return len(v)
		}
		if string(c.Data) == string(v) {
			return 0
		}
		c.Form, c.Ends = Indexed, append(c.Ends, uint32(len(c.Data)))
		c.Index = make([]uint16, n, max(n+8, c.room))
		c.rehash(seed)
	}
	if c.Form == Indexed {
		had := len(c.Data)
		if k, ok := c.find(v, n, seed); ok {
			c.Index = append(c.Index, k)
			return 2 + len(c.Data) - had
		}
		c.spell()
	}
	c.Add(v)
	return len(v) + 4
}

// fewValues is how many values a column may have before they are compared with its rows: more than half as many are not worth an index.
const fewValues = 32

// find returns the number of a value in an indexed column of n rows, adding it if it is new; false when it would have too many.
func (c *Column) find(v []byte, n int, seed uint64) (uint16, bool) {
	mask := len(c.table) - 1
	i := int(HashBytes(seed, v)) & mask
	for ; c.table[i] != 0; i = (i + 1) & mask {
		if k := c.table[i] - 1; string(c.One(int(k))) == string(v) {
			return k, true
		}
	}
	k := len(c.Ends)
	if k >= maxIndexed || k >= fewValues && k > n/2 {
		return 0, false
	}
	c.Add(v)
	c.table[i] = uint16(k + 1)
	if 2*k >= len(c.table) {
		c.rehash(seed)
	}
	return uint16(k), true
}

// rehash makes the table of an indexed column, with room for as many values again.
func (c *Column) rehash(seed uint64) {
	size := 16
	for size < 4*len(c.Ends) {
		size *= 2
	}
	if size <= cap(c.table) {
		c.table = c.table[:size]
		clear(c.table)
	} else {
		c.table = make([]uint16, size)
	}
	for k := range c.Ends {
		i := int(HashBytes(seed, c.One(k))) & (size - 1)
		for c.table[i] != 0 {
			i = (i + 1) & (size - 1)
		}
		c.table[i] = uint16(k + 1)
	}
}

// spell turns an indexed column into one that has a value for each row.
func (c *Column) spell() {
	var all Column
	all.Ends = make([]uint32, 0, max(len(c.Index)+8, c.room))
	for i := range c.Index {
		all.Add(c.Bytes(i))
	}
	c.Form, c.Data, c.Ends, c.Index, c.table = Each, all.Data, all.Ends, nil, nil
}

// clear makes the column empty and indexed; it keeps its memory.
func (c *Column) clear(seed uint64) {
	*c = Column{Form: Indexed, Data: c.Data[:0], Ends: c.Ends[:0], Index: c.Index[:0], table: c.table, Nums: c.Nums[:0]}
	c.rehash(seed)
}
