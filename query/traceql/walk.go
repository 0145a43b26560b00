package traceql

// Walk calls visit with an expression and, if it returns true, with those inside it, from left to right.
func Walk(e Expr, visit func(Expr) bool) {
	if e == nil || !visit(e) {
		return
	}
	switch e := e.(type) {
	case *Unary:
		Walk(e.X, visit)
	case *Binary:
		Walk(e.X, visit)
		Walk(e.Y, visit)
	case *In:
		Walk(e.X, visit)
	case *Match:
		Walk(e.X, visit)
	case *IsNil:
		Walk(e.X, visit)
	}
}

// Fields returns what the query reads of spans, each field once, in the order of the text. Structure (relations, childCount and the like)
// is not in it unless it is named.
func (q *Query) Fields() []Field {
	c := &fieldCollector{seen: map[Field]bool{}}
	if q.Metrics != nil {
		c.series(q.Metrics)
	} else {
		c.pipeline(q.Search)
	}
	return c.fields
}

type fieldCollector struct {
	seen   map[Field]bool
	fields []Field
}

func (c *fieldCollector) expr(e Expr) {
	Walk(e, func(e Expr) bool {
		if f, ok := e.(*FieldRef); ok && !c.seen[f.Field] {
			c.seen[f.Field] = true
			c.fields = append(c.fields, f.Field)
		}
		return true
	})
}

func (c *fieldCollector) refs(refs []*FieldRef) {
	for _, f := range refs {
		c.expr(f)
	}
}

func (c *fieldCollector) pipeline(p *Pipeline) {
	for _, s := range p.Stages {
		switch s := s.(type) {
		case Spanset:
			c.spanset(s)
		case *ScalarFilter:
			c.scalar(s.X)
			c.scalar(s.Y)
		case *GroupBy:
			c.expr(s.By)
		case *Select:
			c.refs(s.Fields)
		}
	}
}

func (c *fieldCollector) spanset(s Spanset) {
	switch s := s.(type) {
	case *Filter:
		c.expr(s.Cond)
	case *Combine:
		c.spanset(s.X)
		c.spanset(s.Y)
	case *Absent:
		c.spanset(s.X)
	case *Nested:
		c.pipeline(s.Pipeline)
	}
}

func (c *fieldCollector) scalar(s Scalar) {
	switch s := s.(type) {
	case *Aggregate:
		c.expr(s.Of)
	case *ScalarOp:
		c.scalar(s.X)
		c.scalar(s.Y)
	case *ScalarPipeline:
		c.pipeline(s.Pipeline)
		c.scalar(s.Value)
	}
}

func (c *fieldCollector) series(s Series) {
	switch s := s.(type) {
	case *Metrics:
		c.pipeline(s.Pipeline)
		if s.Of != nil {
			c.expr(s.Of)
		}
		c.refs(s.By)
		if s.Compare != nil {
			c.spanset(s.Compare.Selection)
		}
	case *SeriesOp:
		c.series(s.X)
		c.series(s.Y)
	case *Top:
		c.series(s.X)
	case *Threshold:
		c.series(s.X)
	}
}
