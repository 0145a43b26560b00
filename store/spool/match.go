package spool

import (
	"slices"

	"github.com/clewtrace/clew/trace"
)

// matcher finds the rows that meet one of several conjunctions of conditions.
type matcher []*conjunction

// conjunction finds the rows that meet all of its conditions: first it asks what all spans of a shape have in
// common, and only of the shapes that are left does it look at columns.
type conjunction struct {
	rows  *rows
	conds []trace.Cond
	res   [][]bool // by condition: which resources meet it; nil: not asked yet
}

func newMatcher(r *rows, alternatives [][]trace.Cond) matcher {
	m := make(matcher, len(alternatives))
	for i, conds := range alternatives {
		m[i] = &conjunction{rows: r, conds: conds, res: make([][]bool, len(conds))}
	}
	return m
}

// mayBe reports whether a shape is of a service and operation that are asked for, which tells most shapes.
func (m matcher) mayBe(s *shape) bool {
	return slices.ContainsFunc(m, func(c *conjunction) bool { return c.mayBe(s) })
}

// tests returns what is left to ask of each row of a shape; ok is false when no row can match.
func (m matcher) tests(s *shapeRows) (left []test, ok bool) {
	if len(m) == 1 {
		return m[0].tests(s)
	}
	var open [][]test
	for _, c := range m {
		left, ok := c.tests(s)
		if ok && len(left) == 0 {
			return nil, true
		}
		if ok {
			open = append(open, left)
		}
	}
	if len(open) < 2 {
		return slices.Concat(open...), len(open) == 1
	}
	return []test{func(i int) (bool, error) {
		for _, tests := range open {
			if ok, err := all(tests, i); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}}, true
}

// test reports whether row i meets a condition.
type test func(i int) (bool, error)

// tests returns what is left to ask of each row of a shape; ok is false when no row can match.
func (m *conjunction) tests(s *shapeRows) (left []test, ok bool) {
	for k := range m.conds {
		c := &m.conds[k]
		verdict, t := m.ask(k, c, s)
		if !verdict && t == nil {
			return nil, false
		}
		if t != nil {
			left = append(left, t)
		}
	}
	return left, true
}

// mayBe reports whether a shape is of the service and operation that are asked for, which tells most shapes.
func (m *conjunction) mayBe(s *shape) bool {
	for k := range m.conds {
		c := &m.conds[k]
		if c.Field == trace.FieldService && !c.Compare(trace.String(s.service)) || c.Field == trace.FieldName && !s.wide && !c.Compare(trace.String(s.name)) {
			return false
		}
	}
	return true
}

// ask decides a condition for a whole shape, or returns the test that decides it for a row.
func (m *conjunction) ask(k int, c *trace.Cond, s *shapeRows) (verdict bool, _ test) {
	switch c.Field {
	case trace.FieldService:
		return c.Compare(trace.String(s.service)), nil
	case trace.FieldKind:
		return c.Compare(trace.Int(int64(s.kind))), nil
	case trace.FieldStatus:
		return c.Compare(trace.Int(int64(s.status))), nil
	case trace.FieldScopeName:
		return c.Compare(trace.String(m.rows.scopes[s.scope].decoded.Name)), nil
	case trace.FieldScopeVersion:
		return c.Compare(trace.String(m.rows.scopes[s.scope].decoded.Version)), nil
	case trace.FieldError:
		if s.status == trace.StatusError {
			return c.Compare(trace.Bool(true)), nil
		}
		if !s.wide && !slices.ContainsFunc(s.keys, func(k attrKey) bool { return k.key == "error" }) {
			return c.Compare(trace.Bool(false)), nil
		}
	case trace.FieldName:
		if !s.wide {
			return c.Compare(trace.String(s.name)), nil
		}
		return false, func(i int) (bool, error) {
			if err := m.rows.z.Load(&s.names, s.n); err != nil {
				return false, err
			}
			return c.Compare(trace.String(string(s.names.Bytes(i)))), nil
		}
	case trace.FieldDuration:
		return false, func(i int) (bool, error) {
			if err := m.rows.z.Load(&s.duration, s.n); err != nil {
				return false, err
			}
			return c.Compare(trace.Int(max(0, int64(s.duration.Nums[i])))), nil
		}
	case trace.FieldAttr:
		if !s.wide {
			return m.attr(k, c, s)
		}
	case trace.FieldEvent, trace.FieldTag, trace.FieldMark:
		if !s.wide {
			return m.event(k, c, s)
		}
	}
	return false, func(i int) (bool, error) { return m.whole(c, s, i) }
}

// whole asks the whole span.
func (m *conjunction) whole(c *trace.Cond, s *shapeRows, i int) (bool, error) {
	var span trace.Span
	a := at{src: m.rows, row: uint32(i)}
	if err := a.spanOf(s, nil, &span); err != nil {
		return false, err
	}
	return c.Match(&span), nil
}

// event asks for an event, or for a tag, which may be an attribute, too. Most spans have no events, which the rest column tells.
func (m *conjunction) event(k int, c *trace.Cond, s *shapeRows) (verdict bool, _ test) {
	var attr test
	if c.Field != trace.FieldEvent {
		if verdict, attr = m.attr(k, c, s); verdict {
			return true, nil
		}
	}
	return false, func(i int) (bool, error) {
		if attr != nil {
			if ok, err := attr(i); ok || err != nil {
				return ok, err
			}
		}
		if err := m.rows.z.Load(&s.rest, s.n); err != nil {
			return false, err
		}
		if len(s.rest.Bytes(i)) == 0 {
			return false, nil
		}
		return m.whole(c, s, i)
	}
}

// attr asks for an attribute of a span or its resource.
func (m *conjunction) attr(k int, c *trace.Cond, s *shapeRows) (verdict bool, _ test) {
	var columns []int
	for j := range s.keys {
		if s.keys[j].key == c.Key && c.Scope != trace.ScopeResource {
			if c.Op == trace.OpExists {
				return true, nil
			}
			columns = append(columns, j)
		}
	}
	res := m.resources(k, c)
	anyRes := res != nil
	if len(columns) == 0 && !anyRes {
		return false, nil
	}
	text, plain := plainText(c)
	return false, func(i int) (bool, error) {
		if anyRes {
			if err := m.rows.loadResource(s); err != nil {
				return false, err
			}
			if res[s.resource.Nums[i]] {
				return true, nil
			}
		}
		for _, j := range columns {
			if err := m.rows.z.Load(&s.attrs[j], s.n); err != nil {
				return false, err
			}
			if plain && s.keys[j].typ == trace.TypeString {
				if string(s.attrs[j].Bytes(i)) == text {
					return true, nil
				}
				continue
			}
			v, err := s.attr(m.rows.z, j, i)
			if err != nil || c.Compare(v) {
				return err == nil, err
			}
		}
		return false, nil
	}
}

// plainText returns the text of a condition that a text meets if it is equal, and no other.
func plainText(c *trace.Cond) (text string, ok bool) {
	v := c.Value
	if c.Op == trace.OpAny && len(c.Values) == 1 {
		v = c.Values[0]
	} else if c.Op != trace.OpText && c.Op != trace.OpEqual {
		return "", false
	}
	return v.Str(), v.Type() == trace.TypeString
}

// resources returns which resources meet a condition on an attribute, or nil if none does.
func (m *conjunction) resources(k int, c *trace.Cond) []bool {
	if c.Scope == trace.ScopeSpan {
		return nil
	}
	if m.res[k] == nil {
		m.res[k] = make([]bool, len(m.rows.resources))
		for i := range m.rows.resources {
			for _, a := range m.rows.resources[i].decoded.Attrs {
				m.res[k][i] = m.res[k][i] || a.Key == c.Key && c.Compare(a.Value)
			}
		}
	}
	for _, yes := range m.res[k] {
		if yes {
			return m.res[k]
		}
	}
	return nil
}

// all reports whether row i meets all tests.
func all(tests []test, i int) (bool, error) {
	for _, t := range tests {
		if ok, err := t(i); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}
