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
var compared = []struct {
	name string
	read func(eval.At) eval.Value
}{
	{"name", intrinsic(traceql.SpanName)},
	{"kind", intrinsic(traceql.SpanKind)},
	{"status", intrinsic(traceql.SpanStatus)},
	{"statusMessage", intrinsic(traceql.SpanStatusMessage)},
	{"rootName", intrinsic(traceql.TraceRootName)},
	{"rootServiceName", intrinsic(traceql.TraceRootService)},
	{"instrumentation:name", intrinsic(traceql.InstrumentationName)},
	{"instrumentation:version", intrinsic(traceql.InstrumentationVersion)},
}

func intrinsic(i traceql.Intrinsic) func(eval.At) eval.Value {
	return eval.Fielder(traceql.Field{Scope: traceql.ScopeIntrinsic, Intrinsic: i})
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
		if v := compared[i].read(a); !v.IsNil() && (v.Type != traceql.TypeString || v.Value.Str() != "") {
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
		f := traceql.Field{Scope: scope, Key: attrs[i].Key}
		name, ok := c.names[f]
		if !ok {
			name = f.String()
			c.names[f] = name
		}
		if v := eval.Of(attrs[i].Value); !v.IsNil() {
			c.labels = append(c.labels, eval.Label{Name: name, Value: v})
		}
	}
}

func repeatedKey(attrs []trace.Attr, key string) bool {
	for i := range attrs {
		if attrs[i].Key == key {
			return true
		}
	}
	return false
}
