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
	intrinsic("name", traceql.SpanName),
	intrinsic("kind", traceql.SpanKind),
	intrinsic("status", traceql.SpanStatus),
	intrinsic("statusMessage", traceql.SpanStatusMessage),
	intrinsic("rootName", traceql.TraceRootName),
	intrinsic("rootServiceName", traceql.TraceRootService),
	intrinsic("instrumentation:name", traceql.InstrumentationName),
	intrinsic("instrumentation:version", traceql.InstrumentationVersion),
}

type comparedField struct {
	name  string
	field traceql.Field
	read  func(eval.At) eval.Value
}

func intrinsic(name string, i traceql.Intrinsic) comparedField {
	f := traceql.Field{Scope: traceql.ScopeIntrinsic, Intrinsic: i}
	return comparedField{name, f, eval.Fielder(f)}
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
	for i := range compared {
		if v := compared[i].read(a); !blank(v) {
			c.labels = append(c.labels, eval.Label{Name: compared[i].name, Value: v})
		}
	}
	c.attrs(traceql.ScopeSpan, a.Span.Attrs)
	c.attrs(traceql.ScopeResource, a.Span.Resource.Attrs)
	c.attrs(traceql.ScopeInstrumentation, a.Span.Scope.Attrs)
	return c.counts.Add(a.Span.Start, c.selected.Contains(a.Span.Start) && c.selection.Match(a), c.labels)
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
