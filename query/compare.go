package query

import (
	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/series"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// comparing is a compare() under way.
type comparing struct {
	selection *eval.Predicate
	selected  trace.Range // when the selection's spans start
	counts    *series.Comparison
	names     map[traceql.Field]string
	labels    []eval.Label // of one span
}

// compared are the intrinsics that are compared, under their short names, which are those that people and Grafana know.
var compared = []comparedField{
	intrinsic("name", traceql.SpanName, ofTable),
	intrinsic("kind", traceql.SpanKind, ofTable),
	intrinsic("status", traceql.SpanStatus, ofTable),
	intrinsic(statusMessage, traceql.SpanStatusMessage, ofSpan),
	intrinsic("rootName", traceql.TraceRootName, ofRoot),
	intrinsic("rootServiceName", traceql.TraceRootService, ofRoot),
	intrinsic("instrumentation:name", traceql.InstrumentationName, ofTable),
	intrinsic("instrumentation:version", traceql.InstrumentationVersion, ofTable),
}

const statusMessage = "statusMessage"

type comparedField struct {
	name string
	of   comparedOf
	read func(eval.At) eval.Value
}

// comparedOf is whose an intrinsic is.
type comparedOf uint8

const (
	ofSpan  comparedOf = 1 << iota
	ofTable            // all spans of a table have it alike
	ofRoot             // of the trace's root
)

func intrinsic(name string, i traceql.Intrinsic, of comparedOf) comparedField {
	return comparedField{name, of, eval.Fielder(traceql.Field{Scope: traceql.ScopeIntrinsic, Intrinsic: i})}
}

// blank reports whether an intrinsic says nothing.
func blank(v eval.Value) bool {
	return v.IsNil() || v.Value.Type() == trace.TypeString && v.Value.Str() == ""
}

func newComparing(n *traceql.Comparison, g series.Grid) *comparing {
	return &comparing{
		selection: eval.Compile(n.Selection.Cond), selected: trace.Range{From: uint64(n.Start), To: uint64(n.End)},
		counts: series.NewComparison(g, n.TopN), names: map[traceql.Field]string{},
	}
}

// add counts a span's attributes on the side on which it is.
func (c *comparing) add(a eval.At) error {
	c.labels = c.labels[:0]
	c.intrinsics(a, ofSpan|ofTable|ofRoot)
	c.attrs(traceql.ScopeSpan, a.Span.Attrs)
	c.attrs(traceql.ScopeResource, a.Span.Resource.Attrs)
	c.attrs(traceql.ScopeInstrumentation, a.Span.Scope.Attrs)
	return c.counts.Add(a.Span.Start, c.selected.Contains(a.Span.Start) && c.selection.Match(a), c.labels)
}

// intrinsics adds those that are of one of some.
func (c *comparing) intrinsics(a eval.At, of comparedOf) {
	for i := range compared {
		if f := &compared[i]; f.of&of != 0 {
			if v := f.read(a); !blank(v) {
				c.labels = append(c.labels, eval.Label{Name: f.name, Value: v})
			}
		}
	}
}

// attrs adds the attributes of a scope, each key once.
func (c *comparing) attrs(scope traceql.Scope, attrs []trace.Attr) {
	for i := range attrs {
		if repeatedKey(attrs[:i], attrs[i].Key) {
			continue
		}
		name := c.name(traceql.Field{Scope: scope, Key: attrs[i].Key})
		v := eval.Of(attrs[i].Value)
		if scope == traceql.ScopeResource {
			v = eval.OfResource(&attrs[i])
		}
		if !v.IsNil() {
			c.labels = append(c.labels, eval.Label{Name: name, Value: v})
		}
	}
}

func (c *comparing) name(f traceql.Field) string {
	name, ok := c.names[f]
	if !ok {
		name = f.String()
		c.names[f] = name
	}
	return name
}

func repeatedKey(attrs []trace.Attr, key string) bool {
	for i := range attrs {
		if attrs[i].Key == key {
			return true
		}
	}
	return false
}
