package trace

// A Table is spans that have their shape in common, a row each, as columns: how a store hands out many spans of which only a few
// fields are looked at, without making any. It is valid until the function that got it returns, as is all that its columns returned.
type Table struct {
	Rows      int
	Service   string
	Name      string // empty if Wide
	Kind      Kind
	Status    StatusCode
	Scope     *Scope
	Wide      bool        // names and attributes differ from row to row: Columns.Span has them
	Attrs     []TableAttr // of a table that is not Wide: each row has each of them, in this order
	Resources []*Resource // of the table's rows and others; see ResourceColumn
	Roots     []*Span     // the roots of the rows' traces, their names and resources alone; see TraceRootColumn
	Hidden    []bool      // by row: not to be looked at; nil: no row is hidden
	Columns   Columns
}

// TableAttr is an attribute that all rows of a Table have.
type TableAttr struct {
	Key  string
	Type ValueType
}

// NumberColumn is a column of a Table that has a number for each row.
type NumberColumn uint8

// The number columns.
const (
	StartColumn     NumberColumn = iota // Unix ns
	DurationColumn                      // ns, as Span.Duration
	ResourceColumn                      // index into Table.Resources
	RootColumn                          // 1: no span is above it, nor is one missing there, see Arrange; 0: it is no root
	TraceRootColumn                     // index into Table.Roots: the earliest span of the row's trace that has no parent, or is its own; 0: there is none
	PlainColumn                         // 1: the span has no events, links, trace state nor status message; 0: it may have
)

// Columns reads the columns of a Table, each when it is first asked for. An error is of kind Corrupt: the table cannot be read.
type Columns interface {
	Numbers(c NumberColumn) ([]uint64, error)
	Attr(k int) (Column, error)      // of Table.Attrs[k]
	Value(k, row int) (Value, error) // of Table.Attrs[k]
	Span(row int, out *Span) error   // the whole span
	IDs(row int) (trace ID, span SpanID)
}

// Column is an attribute's values.
type Column struct {
	Nums  []uint64 // of TypeBool, TypeInt and TypeDouble: by row, as Value.Num has them
	Texts Texts    // of other types
}

// Texts is a value for each row: a text, bytes, or an OTLP AnyValue. Rows that have the same value may share it.
type Texts struct {
	Data  []byte   // the values, one after the other
	Ends  []uint32 // where each ends in Data; nil: all of Data is the one value of all rows
	Index []uint16 // by row: which value it has; nil: its own, or the one of all rows
}

// Len returns how many values there are.
func (t *Texts) Len() int {
	if t.Ends == nil {
		return 1
	}
	return len(t.Ends)
}

// At returns which value a row has.
func (t *Texts) At(row int) int {
	switch {
	case t.Ends == nil:
		return 0
	case t.Index == nil:
		return row
	}
	return int(t.Index[row])
}

// Value returns a value by its number.
func (t *Texts) Value(i int) []byte {
	if t.Ends == nil {
		return t.Data
	}
	lo := uint32(0)
	if i > 0 {
		lo = t.Ends[i-1]
	}
	return t.Data[lo:t.Ends[i]]
}

// Visitor takes what a store hands out for a question about single spans. It is called from several goroutines at once, of which each has
// a number below Workers. An error ends it all.
type Visitor interface {
	// Workers returns how many goroutines there may be.
	Workers() int
	// Table takes spans of one shape.
	Table(worker int, t *Table) error
	// Trace takes a whole trace whose spans lie in several places, or are in memory. No Table has any of its spans.
	Trace(worker int, t *Trace) error
}
