package trace

// AttrScope is where an attribute is.
type AttrScope uint8

// The scopes of attributes.
const (
	ScopeAny AttrScope = iota // in questions: all of them
	ScopeSpan
	ScopeResource
	ScopeInstrumentation // the instrumentation scope
	ScopeIntrinsic       // no attributes, but what every span has: name, kind, status
)

func (s AttrScope) String() string {
	return [...]string{"any", "span", "resource", "instrumentation", "intrinsic"}[s]
}

// The keys of ScopeIntrinsic.
const (
	IntrinsicName   = "name"
	IntrinsicKind   = "kind"
	IntrinsicStatus = "status"
)

// AttrQuery asks which attributes are in use.
type AttrQuery struct {
	Scope   AttrScope
	Service string // only of spans of this service; empty: of all
	Key     string // with its values; empty: all keys, without values
	Names   bool   // without what is known of values: of KeyStat, no more than the first four fields are needed
	Range   Range  // a store may count beyond it, to the end of what it counts as one
}

// AttrStats is what a store knows of attributes. Counts are of spans as they arrived: those sent twice may count twice.
type AttrStats struct {
	Keys       []KeyStat // those that most spans have first, then by key and scope
	Others     uint64    // how often there was an attribute whose key found no room in the statistics
	Incomplete string    // why something was left out; empty: nothing was
}

// KeyStat says what is known of an attribute key in a scope.
type KeyStat struct {
	Scope    AttrScope
	Key      string
	Types    []ValueType // of its values, in the order of the constants
	Spans    uint64      // that have it
	Distinct uint64      // different values, about; exactly if All
	All      bool        // no value is missing among those that are counted
	Many     bool        // hardly a value repeats, as of IDs: Values are some of them
	Values   []ValueStat // most frequent first
}

// ValueStat is a value of a key, and how often it was seen at least.
type ValueStat struct {
	Value Value
	Cut   bool // Value is the beginning of a text, or of bytes, that is too long to be kept
	Spans uint64
}
