package traceql

import (
	"regexp"

	"github.com/clewtrace/clew/trace"
)

// Query is a checked query: a search, which finds traces (or spans), or metrics, which are series of numbers.
//
// Whoever builds one without text leaves the positions zero and calls Check.
type Query struct {
	Explain bool      // say how it would be answered instead
	Search  *Pipeline // nil: Metrics is set
	Spans   bool      // of a search: what is found are the spans that are left at its end, not their traces
	Order   *Order    // of a search; nil: newest first
	Metrics Series    // nil: Search is set
	Hints   []Hint    // each name once
}

// A Pipeline is what a set of spans of one trace goes through, from all its spans on. It has at least one stage. A trace is found
// if spans are left at its end.
type Pipeline struct {
	At     int
	Stages []Stage
}

// Stage is a step of a pipeline: a Spanset (which selects again from the spans that come in), *ScalarFilter, *GroupBy, *Coalesce or *Select.
type Stage interface {
	Pos() int // offset in bytes of the place in the query
	stage()
}

// Spanset selects spans of a trace: *Filter, *Combine, *Absent or *Nested.
type Spanset interface {
	Stage
	spanset()
}

// Filter is { cond }: the spans on which a condition holds.
type Filter struct {
	At   int
	Cond Expr // of TypeBool; nil: every span
}

// Relation is how the operands of a Combine belong together.
type Relation uint8

// The relations. Structural ones, from Child on, select from the right operand's spans.
const (
	And        Relation = iota // both have spans: the spans of both
	Or                         // one has spans: the spans of both
	Child                      // X > Y: spans of Y whose parent is in X
	Parent                     // X < Y: spans of Y with a child in X
	Descendant                 // X >> Y: spans of Y below one of X
	Ancestor                   // X << Y: spans of Y above one of X
	Sibling                    // X ~ Y: spans of Y whose parent is also that of another span, one in X
)

// String returns the relation's operator.
func (r Relation) String() string { return [...]string{"&&", "||", ">", "<", ">>", "<<", "~"}[r] }

// Combine is X op Y between sets of spans.
type Combine struct {
	At       int // of the operator
	Relation Relation
	Not      bool // !>: the spans of Y that the relation does not select. Not with And, Or and Both
	Both     bool // &>: also the spans of X by which those of Y were selected. Not with And and Or
	X, Y     Spanset
}

// Absent is not exists X: all spans if X selects none in the trace, else no span. As an operand of And it adds no spans to those of
// the other, unless that is Absent, too. It is no operand of a structural relation.
type Absent struct {
	At int
	X  Spanset
}

// Nested is (pipeline) as an operand: the spans that are left at its end.
type Nested struct {
	At       int
	Pipeline *Pipeline
}

// ScalarFilter is X op Y: the spans pass, if the comparison holds, all together (after GroupBy, group by group). As the first
// stage, with scalars that are pipelines, it passes on what was left at the ends of those. A constant is Y.
type ScalarFilter struct {
	At   int // of the operator
	Op   Op  // a comparison
	X, Y Scalar
}

// GroupBy is by(expr): from here on, the spans with each value of an expression are a set of their own.
type GroupBy struct {
	At int
	By Expr
}

// Coalesce is coalesce(): groups become one set again.
type Coalesce struct{ At int }

// Select is select(field, …): fields to return with each span. It changes no set.
type Select struct {
	At     int
	Fields []*FieldRef
}

// Expr is an expression on one span: *Const, *FieldRef, *Unary, *Binary, *In, *Match or *IsNil.
type Expr interface {
	Pos() int
	Type() Type // of what it yields
	String() string
	expr()
}

// Const is a value that stands in the query. Arithmetic on constants is done when a query is checked.
type Const struct {
	At   int
	Kind Type // TypeNil, TypeBool, TypeString, TypeInt, TypeFloat, TypeDuration, TypeStatus or TypeKind
	// Value is a trace.Bool, String, Int or Double. A duration is an Int of ns, a status an Int with a trace.StatusCode, a kind
	// an Int with a trace.Kind, as in trace.Cond. Of TypeNil it is the empty value.
	Value trace.Value
}

// FieldRef is a field in an expression.
type FieldRef struct {
	At    int
	Field Field
	Short bool // it is an intrinsic in the older spelling: duration, not span:duration
}

// Op is an operator of expressions.
type Op uint8

// The operators.
const (
	OpOr Op = iota
	OpAnd
	OpEqual
	OpNotEqual
	OpLess
	OpLessEqual
	OpGreater
	OpGreaterEqual
	OpAdd
	OpSub
	OpNot // of Unary, as is OpNeg
	OpMul
	OpDiv // of two integers an integer
	OpMod
	OpPow // TypeFloat
	OpNeg
)

// String returns the operator as it is written.
func (o Op) String() string {
	return [...]string{"||", "&&", "=", "!=", "<", "<=", ">", ">=", "+", "-", "!", "*", "/", "%", "^", "-"}[o]
}

// Comparison reports whether the operator compares two values.
func (o Op) Comparison() bool { return o >= OpEqual && o <= OpGreaterEqual }

// Arithmetic reports whether the operator makes a number of two.
func (o Op) Arithmetic() bool { return o >= OpAdd && o <= OpPow && o != OpNot }

// Unary is !X, of a TypeBool, or -X, of a number.
type Unary struct {
	At int
	Op Op // OpNot or OpNeg
	X  Expr
}

// Binary is X op Y. In a comparison with a constant the constant is Y. Operands of OpAnd and OpOr are of TypeBool: an attribute that
// stands alone was made a comparison with true.
type Binary struct {
	At   int // of the operator
	Op   Op
	X, Y Expr
	Kind Type // of what arithmetic yields; set by Check: to look for it each time would cost the square of a long sum's length
}

// In is X = [a, b, …], or != with Not: X equals one of the values, or none. It is also what an alternative of plain texts in a
// regular expression could be (see Pattern.Strings).
type In struct {
	At     int // of the operator
	Not    bool
	X      Expr
	Kind   Type // of all values, as in Const
	Values []trace.Value
}

// Match is X =~ "pattern", or !~ with Not; with [a, b, …], one of the patterns, or none of them.
type Match struct {
	At       int // of the operator
	Not      bool
	X        Expr
	Patterns []Pattern
}

// Pattern is a regular expression (RE2 as in Go's regexp) that must match the whole text; its dot matches line ends.
type Pattern struct {
	At   int
	Text string
	Re   *regexp.Regexp // anchored at both ends; set by Check
}

// IsNil is X = nil, or X != nil with Not: there is no such value on the span.
type IsNil struct {
	At  int // of the operator
	Not bool
	X   Expr
}

// Scalar is a number that is made of a set of spans: *Const, *Aggregate, *ScalarOp or *ScalarPipeline.
type Scalar interface {
	Pos() int
	scalar()
}

// AggregateFunc is how an Aggregate makes one number of many.
type AggregateFunc uint8

// The aggregates.
const (
	Count AggregateFunc = iota
	Min
	Max
	Avg
	Sum
)

// String returns the function's name.
func (f AggregateFunc) String() string { return [...]string{"count", "min", "max", "avg", "sum"}[f] }

// Aggregate is count(), or another function of an expression on each span; spans on which it yields no number do not take part.
type Aggregate struct {
	At   int
	Func AggregateFunc
	Of   Expr // a number or of TypeAny; nil of Count
}

// ScalarOp is X op Y between numbers.
type ScalarOp struct {
	At   int // of the operator
	Op   Op  // arithmetic
	X, Y Scalar
}

// ScalarPipeline is (pipeline | value): a number of the spans that are left at the end of a pipeline, which begins with all spans of the trace.
type ScalarPipeline struct {
	At       int
	Pipeline *Pipeline
	Value    Scalar
}

// Series is what a metrics query yields: *Metrics, *SeriesOp, *Top, *Threshold, or a *Const as an operand of SeriesOp.
type Series interface {
	Pos() int
	series()
}

// MetricsFunc is how spans become series.
type MetricsFunc uint8

// The functions of metrics.
const (
	Rate MetricsFunc = iota // spans per second
	CountOverTime
	MinOverTime
	MaxOverTime
	AvgOverTime
	SumOverTime
	QuantileOverTime
	HistogramOverTime
	Compare
)

var metricsFuncs = [...]string{
	"rate", "count_over_time", "min_over_time", "max_over_time", "avg_over_time", "sum_over_time", "quantile_over_time", "histogram_over_time",
	"compare",
}

// String returns the function's name.
func (f MetricsFunc) String() string { return metricsFuncs[f] }

// Metrics is pipeline | func() by(…): a number for each step of time and each group of spans.
type Metrics struct {
	At        int // of the function
	Pipeline  *Pipeline
	Func      MetricsFunc
	Of        *FieldRef   // a number or of TypeAny; nil of Rate, CountOverTime and Compare
	Quantiles []float64   // of QuantileOverTime: at least one, each in 0 to 1
	By        []*FieldRef // not of Compare
	Compare   *Comparison // of Compare
}

// Comparison is what compare() is given.
type Comparison struct {
	Selection  *Filter // the spans that are compared with all others
	TopN       int     // values of each attribute to return; 10 unless given
	Start, End int64   // Unix ns: the selection's time; both 0: that of the query
}

// SeriesOp is X op Y, between the points of series with equal labels; one without labels, and a number, goes with each. What is divided by 0 is no
// number.
type SeriesOp struct {
	At   int // of the operator
	Op   Op  // OpAdd, OpSub, OpMul or OpDiv
	X, Y Series
}

// Top is X | topk(n), or bottomk(n): at each step, the points of the n series with the largest, or smallest, values.
type Top struct {
	At     int
	Bottom bool
	X      Series
	N      int // at least 1
}

// Threshold is X op value: the points that compare so.
type Threshold struct {
	At    int // of the operator
	Op    Op  // a comparison
	X     Series
	Value *Const
}

// OrderKey is by what traces, or spans, are ordered.
type OrderKey uint8

// The keys of an order.
const (
	ByStartTime     OrderKey = iota // of the trace's earliest span, or the span's
	ByDuration                      // of the longest span that was found in the trace, or of the span
	ByTraceDuration                 // from the trace's earliest start to its latest end
)

var orderKeys = [...]string{"startTime", "duration", "trace:duration"}

// String returns the key as it is written.
func (k OrderKey) String() string { return orderKeys[k] }

// Order is order by key: traces that are equal by it are in the order of trace.Position.
type Order struct {
	At  int
	Key OrderKey
	Asc bool
}

// Hint is one of with (name = value, …).
type Hint struct {
	At    int
	Name  string // one of Hints, or one of Tempo's that means nothing here
	Value *Const // as that hint wants it
}

// Hint returns the value of a hint.
func (q *Query) Hint(name string) (*Const, bool) {
	for i := range q.Hints {
		if q.Hints[i].Name == name {
			return q.Hints[i].Value, true
		}
	}
	return nil, false
}
