package column

import (
	"slices"
	"unsafe"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// ofRoot reports whether a field is of the root of the span's trace, which tables have.
func ofRoot(f traceql.Field) bool {
	return !f.Parent && (f.Intrinsic == traceql.TraceRootName || f.Intrinsic == traceql.TraceRootService)
}

// question is something that is asked of single spans: a condition, or the value of a field.
type question struct {
	fields []traceql.Field
	rest   bool // a field is in no column: of events, links, or the status message
	whole  bool // one is of the parent's ID, which the span alone has
	root   bool // one is of the trace's root
}

// ask returns the question that looks at some fields; false if the answer needs more than the span.
func ask(fields []traceql.Field) (q question, ok bool) {
	q.fields = fields
	for _, f := range fields {
		if ofRoot(f) {
			q.root = true
			continue
		}
		if eval.NeedsOf(f).Whole() {
			return q, false
		}
		q.rest = q.rest || f.Many() || f.Intrinsic == traceql.SpanStatusMessage
		q.whole = q.whole || f.Intrinsic == traceql.SpanParentID
	}
	return q, true
}

// probe is a span that has of a table's row what a question needs. What all rows share is set once.
type probe struct {
	table   *trace.Table
	span    trace.Span
	shared  trace.Span // what is in span of all rows
	whole   bool       // all of the row is needed
	rest    bool       // all of rows is needed that are not plain
	plain   []uint64   // trace.PlainColumn, if rest is set
	sources []source
	trace   *eval.Context // of the root alone; nil if no field is of it
	roots   []uint64      // trace.TraceRootColumn
}

// at returns the probe as it is looked at.
func (p *probe) at() eval.At { return eval.At{Span: &p.span, Trace: p.trace} }

// source is something that differs between rows.
type source struct {
	few   int               // how many values there are, of which each row says which it has; 0: a value for each row
	texts []uint16          // by row: which of few it has; nil: see nums
	nums  []uint64          // as texts; or with few 0, if the value is no more than that, the value
	set   func(i int) error // sets a value of few, or that of a row
}

// at returns which of few values a row has.
func (s *source) at(row int) int {
	if s.texts != nil {
		return int(s.texts[row])
	}
	return int(s.nums[row])
}

// begin makes the probe one of a table for a question.
func (p *probe) begin(t *trace.Table, q *question) error {
	p.table, p.whole, p.rest, p.sources = t, q.whole || t.Wide && readsColumns(q), q.rest, p.sources[:0]
	p.span = trace.Span{Name: t.Name, Kind: t.Kind, Status: t.Status, Scope: t.Scope, Resource: noResource, Attrs: p.span.Attrs[:0]}
	p.trace = nil
	if q.root {
		if err := p.root(); err != nil {
			return err
		}
	}
	if p.whole {
		return nil
	}
	if p.rest {
		plain, err := t.Columns.Numbers(trace.PlainColumn)
		if err != nil {
			return err
		}
		p.plain = plain
	}
	resource := false
	for _, f := range q.fields {
		var found bool
		var err error
		switch f.Scope {
		case traceql.ScopeAny, traceql.ScopeSpan:
			found, err = p.attr(f.Key)
			resource = resource || !found && f.Scope == traceql.ScopeAny
		case traceql.ScopeResource:
			resource = true
		case traceql.ScopeIntrinsic:
			err = p.intrinsic(f.Intrinsic)
		}
		if err != nil {
			return err
		}
	}
	if resource {
		if err := p.resource(); err != nil {
			return err
		}
	}
	p.shared = p.span
	return nil
}

var noResource = &trace.Resource{}

// readsColumns reports whether a question looks at what a table that is wide has in no column.
func readsColumns(q *question) bool {
	return slices.ContainsFunc(q.fields, func(f traceql.Field) bool {
		return f.Scope == traceql.ScopeAny || f.Scope == traceql.ScopeSpan || f.Intrinsic == traceql.SpanName
	})
}

// row makes the probe one of a row.
func (p *probe) row(row int) error {
	if p.whole || p.rest && p.plain[row] == 0 {
		if p.trace != nil {
			p.setRoot(int(p.roots[row]))
		}
		return p.table.Columns.Span(row, &p.span)
	}
	if p.rest {
		p.span = p.shared
	}
	for i := range p.sources {
		s, k := &p.sources[i], row
		if s.few > 0 {
			k = s.at(row)
		}
		if err := s.set(k); err != nil {
			return err
		}
	}
	return nil
}

// fixed reports whether all rows have the same answer.
func (p *probe) fixed() bool { return !p.whole && !p.rest && len(p.sources) == 0 }

// few returns the source that alone tells the answer, if it has few values.
func (p *probe) few() *source {
	if s := p.only(); s != nil && s.few > 0 {
		return s
	}
	return nil
}

// only returns the source that alone tells the answer, or nil.
func (p *probe) only() *source {
	if p.whole || p.rest || len(p.sources) != 1 {
		return nil
	}
	return &p.sources[0]
}

// attr adds the span's first attribute with a key, and reports whether there is one that is not empty.
func (p *probe) attr(key string) (found bool, err error) {
	k := slices.IndexFunc(p.table.Attrs, func(a trace.TableAttr) bool { return a.Key == key })
	if k < 0 {
		return false, nil
	}
	typ, slot := p.table.Attrs[k].Type, len(p.span.Attrs)
	if slices.ContainsFunc(p.span.Attrs, func(a trace.Attr) bool { return a.Key == key }) {
		return typ != trace.TypeEmpty, nil
	}
	p.span.Attrs = append(p.span.Attrs, trace.Attr{Key: key})
	set := func(v trace.Value) { p.span.Attrs[slot].Value = v }
	col, err := p.table.Columns.Attr(k)
	if err != nil {
		return false, err
	}
	switch typ {
	case trace.TypeEmpty:
		return false, nil
	case trace.TypeBool, trace.TypeInt, trace.TypeDouble:
		p.add(source{nums: col.Nums, set: func(row int) error {
			v, err := trace.DecodeAttr(typ, col.Nums[row], nil)
			set(v)
			return err
		}})
	case trace.TypeString:
		p.texts(col.Texts, set)
	default:
		p.add(source{set: func(row int) error {
			v, err := p.table.Columns.Value(k, row)
			set(v)
			return err
		}})
	}
	return true, nil
}

func (p *probe) add(s source) { p.sources = append(p.sources, s) }

// texts adds a column of texts. They are not copied: who keeps one does that.
func (p *probe) texts(t trace.Texts, set func(trace.Value)) {
	value := func(i int) error {
		b := t.Value(i)
		set(trace.String(unsafe.String(unsafe.SliceData(b), len(b))))
		return nil
	}
	switch {
	case t.Ends == nil:
		_ = value(0)
	case t.Index != nil:
		p.add(source{few: t.Len(), texts: t.Index, set: value})
	default:
		p.add(source{set: value})
	}
}

func (p *probe) resource() error {
	index, err := p.table.Columns.Numbers(trace.ResourceColumn)
	if err != nil {
		return err
	}
	set := func(i int) error {
		p.span.Resource = p.table.Resources[i]
		return nil
	}
	if !slices.ContainsFunc(index, func(i uint64) bool { return i != index[0] }) {
		return set(int(index[0]))
	}
	p.add(source{few: len(p.table.Resources), nums: index, set: set})
	return nil
}

// root adds the root of the row's trace.
func (p *probe) root() error {
	roots, err := p.table.Columns.Numbers(trace.TraceRootColumn)
	if err != nil {
		return err
	}
	p.trace, p.roots = &eval.Context{}, roots
	p.add(source{few: len(p.table.Roots), nums: roots, set: func(i int) error {
		p.setRoot(i)
		return nil
	}})
	return nil
}

// setRoot makes the trace one that has a root alone.
func (p *probe) setRoot(i int) {
	t := &trace.Trace{}
	if root := p.table.Roots[i]; root != nil {
		t.Spans = []trace.Span{*root}
	}
	p.trace.Reset(t)
}

func (p *probe) intrinsic(i traceql.Intrinsic) error {
	switch i {
	case traceql.SpanDuration:
		durations, err := p.table.Columns.Numbers(trace.DurationColumn)
		if err != nil {
			return err
		}
		p.add(source{set: func(row int) error {
			p.span.End = durations[row] // it starts at 0
			return nil
		}})
	case traceql.SpanID, traceql.TraceID:
		p.add(source{set: func(row int) error {
			p.span.TraceID, p.span.ID = p.table.Columns.IDs(row)
			return nil
		}})
	}
	return nil
}
