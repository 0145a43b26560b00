package tempo

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/tempo"
)

// valuesV2 answers with the values of a field that TraceQL names, with their types: those that most spans have first.
func (a *API) valuesV2(ctx context.Context, q wire.ValuesRequest) (message, error) {
	f, err := parseField(q.Name)
	if err != nil {
		return nil, err
	}
	return a.values(ctx, f, q)
}

// valuesV1 answers with values as texts, sorted, of an attribute that has no scope in its name; the names of some intrinsics are older than TraceQL.
func (a *API) valuesV1(ctx context.Context, q wire.ValuesRequest) (message, error) {
	f, ok := olderNames[q.Name]
	if !ok {
		var err error
		if f, err = parseField(q.Name); err != nil {
			f = traceql.Field{Key: q.Name}
		}
	}
	values, err := a.values(ctx, f, q)
	if err != nil {
		return nil, err
	}
	out := &wire.Names{Values: true, Metrics: values.Metrics}
	for _, v := range values.Values {
		out.Names = append(out.Names, v.Text)
	}
	slices.Sort(out.Names)
	out.Names = slices.Compact(out.Names)
	return out, nil
}

// olderNames are what tags are called that are no attributes.
var olderNames = map[string]traceql.Field{
	"name": ofIntrinsic(traceql.SpanName), "root.name": ofIntrinsic(traceql.TraceRootName), "root.service.name": ofIntrinsic(traceql.TraceRootService), "status.code": ofIntrinsic(traceql.SpanStatus),
}

func ofIntrinsic(i traceql.Intrinsic) traceql.Field {
	return traceql.Field{Scope: traceql.ScopeIntrinsic, Intrinsic: i}
}

// parseField reads the name of a field as it is in a query, or with a key that would be in quotes there.
func parseField(name string) (traceql.Field, error) {
	scope, key, dot := strings.Cut(name, ".")
	quoted := scope + `."` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
	for _, name := range []string{name, quoted} {
		q, err := traceql.Parse("{ } | select(" + name + ")")
		if err != nil || key == "" && dot {
			continue
		}
		if s, ok := q.Search.Stages[len(q.Search.Stages)-1].(*traceql.Select); ok && len(q.Search.Stages) == 2 && len(s.Fields) == 1 {
			return s.Fields[0].Field, nil
		}
	}
	return traceql.Field{}, trace.Errorf(trace.Invalid, "invalid tag name: %.80q is neither an intrinsic nor an attribute such as .http.route, resource.service.name or event.exception.type", name)
}

// filterOf returns the condition that values are to be of. Who is still typing has not written all of it: what can be read counts.
func filterOf(text string) traceql.Expr {
	if cond, err := traceql.ParseFilter(text); err == nil {
		return cond
	}
	if q, err := traceql.Parse(text); err == nil && q.Search != nil {
		if f, ok := q.Search.Stages[0].(*traceql.Filter); ok {
			return f.Cond
		}
		return nil
	}
	var whole []string
	text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "{"), "}")
	for part := range strings.SplitSeq(text, "&&") {
		if cond, err := traceql.ParseFilter(part); err == nil && cond != nil {
			whole = append(whole, "("+part+")")
		}
	}
	cond, err := traceql.ParseFilter(strings.Join(whole, " && "))
	if err != nil {
		return nil
	}
	return cond
}

// serviceOf returns the service that a condition is about, if it is about nothing else: statistics are kept for each.
func serviceOf(cond traceql.Expr) (name string, ok bool) {
	b, ok := cond.(*traceql.Binary)
	if !ok || b.Op != traceql.OpEqual {
		return "", false
	}
	f, isField := b.X.(*traceql.FieldRef)
	c, isConst := b.Y.(*traceql.Const)
	if !isField || !isConst || f.Field != (traceql.Field{Scope: traceql.ScopeResource, Key: "service.name"}) {
		return "", false
	}
	if c.Value.Type() != trace.TypeString {
		return "", false
	}
	return c.Value.Str(), c.Value.Str() != ""
}

// counts is where statistics count a scope's attributes.
var counts = map[traceql.Scope]trace.AttrScope{
	traceql.ScopeAny: trace.ScopeAny, traceql.ScopeSpan: trace.ScopeSpan, traceql.ScopeResource: trace.ScopeResource, traceql.ScopeInstrumentation: trace.ScopeInstrumentation,
}

// values returns the values of a field: from statistics if those have them, else from the newest spans.
func (a *API) values(ctx context.Context, f traceql.Field, q wire.ValuesRequest) (*wire.Values, error) {
	r, err := rangeOf(q.Start, q.End)
	if err != nil {
		return nil, err
	}
	cond := filterOf(q.Query)
	service, ofService := serviceOf(cond)
	scope, counted := counts[f.Scope]
	out := &wire.Values{}
	switch {
	case f.Type() == traceql.TypeStatus || f.Type() == traceql.TypeKind:
		out.Values = keywords(f.Type())
	case f.Type() == traceql.TypeDuration || f.Type() == traceql.TypeInt || isID(f.Intrinsic): // of which no list is of use
	case cond == nil && !f.Parent && (f.Intrinsic == traceql.SpanName || f.Key == "service.name" && scope != trace.ScopeSpan && counted):
		out.Values, err = a.all(ctx, f)
	case counted && !f.Parent && (cond == nil || ofService):
		var stats *trace.AttrStats
		if stats, err = a.engine.Attributes(ctx, trace.AttrQuery{Scope: scope, Key: f.Key, Service: service, Range: r}); err == nil {
			out.Values, out.Metrics.Incomplete = inStatistics(stats, scope), stats.Incomplete
		}
	default:
		out, err = a.newest(ctx, f, cond, r)
	}
	if err != nil {
		return nil, err
	}
	if q.Limit > 0 && len(out.Values) > int(q.Limit) {
		out.Values = out.Values[:q.Limit]
	}
	return out, nil
}

func isID(i traceql.Intrinsic) bool {
	return slices.Contains([]traceql.Intrinsic{traceql.SpanID, traceql.SpanParentID, traceql.TraceID, traceql.LinkTraceID, traceql.LinkSpanID}, i)
}

// keywords returns all statuses, or all kinds.
func keywords(t traceql.Type) (out []wire.Value) {
	if t == traceql.TypeStatus {
		for _, s := range []trace.StatusCode{trace.StatusError, trace.StatusOK, trace.StatusUnset} {
			out = append(out, wire.Value{Type: "keyword", Text: s.String()})
		}
		return out
	}
	for k := trace.KindUnspecified; k <= trace.KindConsumer; k++ {
		out = append(out, wire.Value{Type: "keyword", Text: k.String()})
	}
	return out
}

// all returns the names of all spans, or of all services.
func (a *API) all(ctx context.Context, f traceql.Field) (out []wire.Value, err error) {
	var names []string
	if f.Intrinsic == traceql.SpanName {
		ops, err := a.engine.Operations(ctx, "")
		if err != nil {
			return nil, err
		}
		for _, op := range ops {
			names = append(names, op.Name)
		}
	} else if names, err = a.engine.Services(ctx); err != nil {
		return nil, err
	}
	for _, name := range slices.Compact(names) {
		out = append(out, wire.Value{Type: "string", Text: name})
	}
	return out, nil
}

// Values that no statistics have are looked for in so many traces, in so many spans of each, and for so long: somebody is typing.
const (
	valueTraces = 1000
	valueSpans  = 100
	valueTime   = 2 * time.Second
)

// newest returns the values that a field has in the newest traces, on spans that a condition holds on.
func (a *API) newest(ctx context.Context, f traceql.Field, cond traceql.Expr, r trace.Range) (*wire.Values, error) {
	filter := f.String() + " != nil"
	if cond != nil {
		filter = "(" + cond.String() + ") && " + filter
	}
	q, err := parseQuery("{ " + filter + " } | select(" + f.String() + ")")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, valueTime)
	defer cancel()
	spans := map[wire.Value]uint64{}
	note := func(t *query.FoundTrace) error {
		for i := range t.Sets {
			for j := range t.Sets[i].Spans {
				for _, v := range t.Sets[i].Spans[j].Attrs {
					if v.Field == f {
						addValue(spans, v.Value, 1)
					}
				}
			}
		}
		return nil
	}
	found, err := a.engine.Search(ctx, query.SearchRequest{Query: q, Range: r, Limit: valueTraces, Spans: valueSpans, NoCursor: true, Partial: note, AllowPartial: true})
	if err != nil {
		return nil, err
	}
	if f.Intrinsic != traceql.SpanName {
		delete(spans, wire.Value{Type: "string"}) // an empty message or version is none
	}
	return &wire.Values{Values: mostFrequent(spans), Metrics: metricsOf(found.Report, 1)}, nil
}

// addValue counts a value; of an array its elements, for those TraceQL compares.
func addValue(to map[wire.Value]uint64, v eval.Value, spans uint64) {
	if v.Value.Type() == trace.TypeArray {
		for _, e := range v.Value.List() {
			if e.Value.Type() != trace.TypeArray {
				addValue(to, eval.Of(e.Value), spans)
			}
		}
		return
	}
	if t, ok := map[traceql.Type]string{
		traceql.TypeString: "string", traceql.TypeInt: "int", traceql.TypeFloat: "float", traceql.TypeBool: "bool", traceql.TypeStatus: "keyword", traceql.TypeKind: "keyword",
	}[v.Type]; ok {
		to[wire.Value{Type: t, Text: v.Text()}] += spans
	}
}

func mostFrequent(spans map[wire.Value]uint64) (out []wire.Value) {
	for v := range spans {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b wire.Value) int {
		return cmp.Or(cmp.Compare(spans[b], spans[a]), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Type, b.Type))
	})
	return out
}

// inStatistics returns the values that statistics have. Texts of which only the beginning is kept are left out: nothing has them.
func inStatistics(stats *trace.AttrStats, scope trace.AttrScope) []wire.Value {
	spans := map[wire.Value]uint64{}
	for i := range stats.Keys {
		k := &stats.Keys[i]
		if k.Scope != scope && (scope != trace.ScopeAny || k.Scope != trace.ScopeSpan && k.Scope != trace.ScopeResource) {
			continue
		}
		for j := range k.Values {
			if v := &k.Values[j]; !v.Cut {
				addValue(spans, eval.Of(v.Value), v.Spans)
			}
		}
	}
	return mostFrequent(spans)
}
