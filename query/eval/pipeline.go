package eval

import (
	"slices"
	"strings"

	"github.com/clewtrace/clew/query/traceql"
)

// Set is a set of spans of one trace.
type Set struct {
	Spans []int32 // indices into the trace's spans, ascending, at least one
	By    []Label // what by() grouped by, and the value that the spans of this set share, in the order of the query
}

// Label is an expression of a query and its value.
type Label struct {
	Name  string // as it is written in the canonical text of a query
	Value Value
}

// CompareLabels is an order of labels: by name, then value; numbers by their size.
func CompareLabels(a, b []Label) int {
	return slices.CompareFunc(a, b, func(x, y Label) int {
		if x.Name != y.Name {
			return strings.Compare(x.Name, y.Name)
		}
		if c, _ := order(x.Value, y.Value); c != 0 {
			return c
		}
		return strings.Compare(x.Value.Key(), y.Value.Key()) // arrays, and values of different types, have no other order
	})
}

// Pipeline is what a query does with a trace, ready to be evaluated often. It is safe for concurrent use.
type Pipeline struct {
	stages []stage
	fields []traceql.Field
	needs  Needs
}

// stage makes sets of sets. Sets with no spans are left out.
type stage func(c *Context, in []Set) []Set

// Build makes a pipeline of a checked one.
func Build(p *traceql.Pipeline) *Pipeline {
	b := &builder{}
	return &Pipeline{stages: b.pipeline(p), fields: b.fields, needs: b.needs}
}

// Fields returns the fields that the query looks at or selects, each once, in the order of the text: what is worth showing of a span.
func (p *Pipeline) Fields() []traceql.Field { return p.fields }

// Needs returns what must be known of a span's trace to evaluate the pipeline: with Tree also for structural operators. The pipeline
// wants whole traces nevertheless: its spansets, counts and absences are of all spans.
func (p *Pipeline) Needs() Needs { return p.needs }

// Eval returns the sets of spans that are left of a trace at the end of the pipeline; none if the trace is not found.
func (p *Pipeline) Eval(c *Context) []Set {
	return run(p.stages, c)
}

func run(stages []stage, c *Context) []Set {
	if len(c.Trace.Spans) == 0 {
		return nil
	}
	sets := []Set{{Spans: c.all()}}
	for _, s := range stages {
		if sets = s(c, sets); len(sets) == 0 {
			return nil
		}
	}
	return sets
}

// all returns the set of all spans.
func (c *Context) all() []int32 {
	all := make([]int32, len(c.Trace.Spans))
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// A builder makes stages, and notes what they look at.
type builder struct {
	fields []traceql.Field
	needs  Needs
}

func (b *builder) note(e traceql.Expr) {
	EachField(e, b.field)
}

func (b *builder) field(f traceql.Field) {
	b.needs = b.needs.and(NeedsOf(f))
	if !slices.Contains(b.fields, f) {
		b.fields = append(b.fields, f)
	}
}

func (b *builder) pipeline(p *traceql.Pipeline) (stages []stage) {
	for i, s := range p.Stages {
		if f, ok := s.(*traceql.ScalarFilter); ok && i == 0 {
			stages = append(stages, b.firstFilter(f)...)
			continue
		}
		stages = append(stages, b.stage(s))
	}
	return stages
}

func (b *builder) stage(s traceql.Stage) stage {
	switch s := s.(type) {
	case *traceql.ScalarFilter:
		return b.scalarFilter(s)
	case *traceql.GroupBy:
		b.note(s.By)
		return groupBy(s)
	case *traceql.Coalesce:
		return coalesce
	case *traceql.Select:
		for _, f := range s.Fields {
			b.field(f.Field)
		}
		return func(_ *Context, in []Set) []Set { return in }
	}
	choose := b.spanset(s.(traceql.Spanset))
	return func(c *Context, in []Set) (out []Set) {
		for _, set := range in {
			if c.stopped() {
				return nil
			}
			if spans := choose(c, set.Spans); len(spans) > 0 {
				out = append(out, Set{spans, set.By})
			}
		}
		return out
	}
}

// chooser selects spans of a set.
type chooser func(c *Context, from []int32) []int32

func (b *builder) spanset(s traceql.Spanset) chooser {
	switch s := s.(type) {
	case *traceql.Combine:
		return b.combine(s)
	case *traceql.Absent:
		x := b.spanset(s.X)
		return func(c *Context, from []int32) []int32 {
			if len(x(c, from)) > 0 {
				return nil
			}
			return from
		}
	case *traceql.Nested:
		stages := b.pipeline(s.Pipeline)
		return func(c *Context, from []int32) []int32 {
			sets := []Set{{Spans: from}}
			for _, s := range stages {
				sets = s(c, sets)
			}
			return together(sets)
		}
	}
	return b.filter(s.(*traceql.Filter))
}

func (b *builder) filter(f *traceql.Filter) chooser {
	if f.Cond == nil {
		return func(_ *Context, from []int32) []int32 { return from }
	}
	b.note(f.Cond)
	cond := Compile(f.Cond)
	return func(c *Context, from []int32) (out []int32) {
		for _, i := range from {
			if cond.Match(c.At(int(i))) {
				out = append(out, i)
			}
		}
		return out
	}
}

func (b *builder) combine(n *traceql.Combine) chooser {
	x, y := b.spanset(n.X), b.spanset(n.Y)
	switch n.Relation {
	case traceql.And:
		xSilent, ySilent := Silent(n.X) && !Silent(n.Y), Silent(n.Y) && !Silent(n.X)
		return func(c *Context, from []int32) []int32 {
			xs := x(c, from)
			if len(xs) == 0 {
				return nil
			}
			ys := y(c, from)
			switch {
			case len(ys) == 0:
				return nil
			case xSilent:
				return ys
			case ySilent:
				return xs
			}
			return union(xs, ys)
		}
	case traceql.Or:
		return func(c *Context, from []int32) []int32 { return union(x(c, from), y(c, from)) }
	}
	b.needs.Tree = true
	return func(c *Context, from []int32) []int32 {
		ys := y(c, from)
		if len(ys) == 0 {
			return nil
		}
		return c.relate(n, x(c, from), ys)
	}
}

// Silent reports whether a set says something about the trace alone, so that && adds none of its spans: an absence, or several.
func Silent(s traceql.Spanset) bool {
	switch s := s.(type) {
	case *traceql.Absent:
		return true
	case *traceql.Combine:
		return s.Relation <= traceql.Or && Silent(s.X) && Silent(s.Y)
	}
	return false
}

// together returns the spans of all sets.
func together(sets []Set) []int32 {
	if len(sets) == 1 {
		return sets[0].Spans
	}
	var all []int32
	for _, s := range sets {
		all = append(all, s.Spans...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func coalesce(_ *Context, in []Set) []Set { return []Set{{Spans: together(in)}} }

// groupBy splits sets; the parts of each are in order of their values. A span with several values is in several parts.
func groupBy(n *traceql.GroupBy) stage {
	value, name := Valuer(n.By), n.By.String()
	return func(c *Context, in []Set) (out []Set) {
		for _, set := range in {
			if c.stopped() {
				return nil
			}
			begin, groups := len(out), map[string]int{}
			put := func(i int32, v Value) {
				key := v.Key()
				k, ok := groups[key]
				if !ok {
					k = len(out)
					groups[key] = k
					out = append(out, Set{By: append(slices.Clip(set.By), Label{name, v})})
				}
				out[k].Spans = append(out[k].Spans, i)
			}
			for _, i := range set.Spans {
				v := value(c.At(int(i)))
				if !v.IsList() {
					put(i, v)
					continue
				}
				for _, v := range v.Elements(n.By.Type()) {
					put(i, v)
				}
			}
			slices.SortFunc(out[begin:], func(a, b Set) int { return CompareLabels(a.By, b.By) })
		}
		return out
	}
}
