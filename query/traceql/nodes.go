package traceql

// This file says which node is what, and where.

// Pos returns the offset of the brace.
func (n *Filter) Pos() int { return n.At }

// Pos returns the offset of the operator.
func (n *Combine) Pos() int { return n.At }

// Pos returns the offset of "not".
func (n *Absent) Pos() int { return n.At }

// Pos returns the offset of the parenthesis.
func (n *Nested) Pos() int { return n.At }

// Pos returns the offset of the operator.
func (n *ScalarFilter) Pos() int { return n.At }

// Pos returns the offset of "by".
func (n *GroupBy) Pos() int { return n.At }

// Pos returns the offset of "coalesce".
func (n *Coalesce) Pos() int { return n.At }

// Pos returns the offset of "select".
func (n *Select) Pos() int { return n.At }

// Pos returns the offset of the value.
func (n *Const) Pos() int { return n.At }

// Pos returns the offset of the field.
func (n *FieldRef) Pos() int { return n.At }

// Pos returns the offset of the operator.
func (n *Unary) Pos() int { return n.At }

// Pos returns the offset of the operator.
func (n *Binary) Pos() int { return n.At }

// Pos returns the offset of the operator.
func (n *In) Pos() int { return n.At }

// Pos returns the offset of the operator.
func (n *Match) Pos() int { return n.At }

// Pos returns the offset of the operator.
func (n *IsNil) Pos() int { return n.At }

// Pos returns the offset of the function.
func (n *Aggregate) Pos() int { return n.At }

// Pos returns the offset of the operator.
func (n *ScalarOp) Pos() int { return n.At }

// Pos returns the offset of the parenthesis.
func (n *ScalarPipeline) Pos() int { return n.At }

// Pos returns the offset of the function.
func (n *Metrics) Pos() int { return n.At }

// Pos returns the offset of the operator.
func (n *SeriesOp) Pos() int { return n.At }

// Pos returns the offset of the function.
func (n *Top) Pos() int { return n.At }

// Pos returns the offset of the operator.
func (n *Threshold) Pos() int { return n.At }

func (*Filter) stage()       {}
func (*Combine) stage()      {}
func (*Absent) stage()       {}
func (*Nested) stage()       {}
func (*ScalarFilter) stage() {}
func (*GroupBy) stage()      {}
func (*Coalesce) stage()     {}
func (*Select) stage()       {}

func (*Filter) spanset()  {}
func (*Combine) spanset() {}
func (*Absent) spanset()  {}
func (*Nested) spanset()  {}

func (*Const) expr()    {}
func (*FieldRef) expr() {}
func (*Unary) expr()    {}
func (*Binary) expr()   {}
func (*In) expr()       {}
func (*Match) expr()    {}
func (*IsNil) expr()    {}

func (*Const) scalar()          {}
func (*Aggregate) scalar()      {}
func (*ScalarOp) scalar()       {}
func (*ScalarPipeline) scalar() {}

func (*Const) series()     {}
func (*Metrics) series()   {}
func (*SeriesOp) series()  {}
func (*Top) series()       {}
func (*Threshold) series() {}
