package tempo

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/tempo"
)

// valuesV2 answers with the values of an attribute that TraceQL names, with their types: those that most spans have first.
func (a *API) valuesV2(ctx context.Context, q wire.ValuesRequest) (message, error) {
	f, err := parseName(q.Name)
	if err != nil {
		return nil, err
	}
	values, err := a.values(ctx, f, q)
	if err != nil {
		return nil, err
	}
	return &wire.Values{Values: values}, nil
}

// valuesV1 answers with values as texts, sorted, of an attribute that has no scope in its name; the names of some intrinsics are older than TraceQL.
func (a *API) valuesV1(ctx context.Context, q wire.ValuesRequest) (message, error) {
	f := attribute{key: q.Name}
	switch q.Name {
	case "name", "kind", "status":
		f.intrinsic = q.Name
	case "root.name":
		f.intrinsic = "rootName"
	case "root.service.name":
		f.intrinsic = "rootServiceName"
	case "status.code":
		f.intrinsic = "status"
	default:
		if named, err := parseName(q.Name); err == nil {
			f = named
		}
	}
	values, err := a.values(ctx, f, q)
	if err != nil {
		return nil, err
	}
	out := &wire.Names{Values: true}
	for _, v := range values {
		out.Names = append(out.Names, v.Text)
	}
	slices.Sort(out.Names)
	out.Names = slices.Compact(out.Names)
	return out, nil
}

// attribute is what a name means: an intrinsic, or an attribute of a scope.
type attribute struct {
	intrinsic string
	scope     trace.AttrScope // ScopeAny: of the span or its resource
	key       string
}

// parseName reads a name as TraceQL has them: an intrinsic, .key, or scope.key, in which the key or parts of it may be quoted.
func parseName(s string) (attribute, error) {
	if slices.Contains(intrinsics, s) {
		return attribute{intrinsic: s}, nil
	}
	scope, key, ok := strings.Cut(s, ".")
	if !ok || key == "" {
		return attribute{}, trace.Errorf(trace.Invalid, "invalid tag name: %.80q is neither an intrinsic nor an attribute such as .http.route or resource.service.name", s)
	}
	f := attribute{key: unquote(key)}
	switch scope {
	case "":
	case "event", "link":
		f.scope = noScope
	default:
		i := slices.IndexFunc([]trace.AttrScope{trace.ScopeSpan, trace.ScopeResource, trace.ScopeInstrumentation}, func(at trace.AttrScope) bool { return at.String() == scope })
		if i < 0 {
			return attribute{}, trace.Errorf(trace.Invalid, "invalid tag name: %.80q has the scope %.40q; want span, resource, event, link, instrumentation, or nothing before the first dot", s, scope)
		}
		f.scope = trace.ScopeSpan + trace.AttrScope(i)
	}
	return f, nil
}

// unquote takes the quotes away that TraceQL allows around parts of a key, and the backslashes in them.
func unquote(key string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && i+1 < len(key):
			i++
			b.WriteByte(key[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// values returns the values of an attribute.
func (a *API) values(ctx context.Context, f attribute, q wire.ValuesRequest) ([]wire.Value, error) {
	r, err := rangeOf(q.Start, q.End)
	if err != nil {
		return nil, err
	}
	var out []wire.Value
	switch {
	case f.intrinsic == "rootServiceName" || f.intrinsic == "trace:rootService" || f.intrinsic == "" && f.key == "service.name" && f.scope != trace.ScopeSpan:
		services, err := a.engine.Services(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range services {
			out = append(out, wire.Value{Type: "string", Text: name})
		}
	case f.intrinsic != "":
		if out, err = a.ofIntrinsic(ctx, f.intrinsic); err != nil {
			return nil, err
		}
	case f.scope == noScope: // there are no statistics of them
	default:
		stats, err := a.engine.Attributes(ctx, trace.AttrQuery{Scope: f.scope, Key: f.key, Range: r})
		if err != nil {
			return nil, err
		}
		out = counted(stats, f.scope)
	}
	if q.Limit > 0 && len(out) > int(q.Limit) {
		out = out[:q.Limit]
	}
	return out, nil
}

// ofIntrinsic returns the values of an intrinsic that has a list of them. Durations, IDs and the like have none.
func (a *API) ofIntrinsic(ctx context.Context, name string) (out []wire.Value, err error) {
	switch strings.TrimPrefix(strings.TrimPrefix(name, "span:"), "trace:") {
	case "status":
		for _, s := range []trace.StatusCode{trace.StatusError, trace.StatusOK, trace.StatusUnset} {
			out = append(out, wire.Value{Type: "keyword", Text: s.String()})
		}
	case "kind":
		for k := trace.KindUnspecified; k <= trace.KindConsumer; k++ {
			out = append(out, wire.Value{Type: "keyword", Text: k.String()})
		}
	case "name", "rootName":
		ops, err := a.engine.Operations(ctx, "")
		if err != nil {
			return nil, err
		}
		for _, op := range ops {
			if len(out) == 0 || out[len(out)-1].Text != op.Name {
				out = append(out, wire.Value{Type: "string", Text: op.Name})
			}
		}
	}
	return out, nil
}

// counted returns the values that statistics have, most frequent first. Texts of which only the beginning is kept are left out: nothing has them.
func counted(stats *trace.AttrStats, scope trace.AttrScope) (out []wire.Value) {
	type count struct {
		wire.Value
		spans uint64
	}
	var all []count
	add := func(v trace.Value, spans uint64) {
		if t := typeOf(v); t != "" {
			all = append(all, count{wire.Value{Type: t, Text: v.Text()}, spans})
		}
	}
	for i := range stats.Keys {
		k := &stats.Keys[i]
		if k.Scope != scope && (scope != trace.ScopeAny || k.Scope != trace.ScopeSpan && k.Scope != trace.ScopeResource) {
			continue
		}
		for j := range k.Values {
			v := &k.Values[j]
			if v.Value.Type() == trace.TypeArray { // of which TraceQL compares the elements
				for _, e := range v.Value.List() {
					add(e.Value, v.Spans)
				}
			} else if !v.Cut {
				add(v.Value, v.Spans)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b count) int { return cmp.Compare(b.spans, a.spans) })
	seen := map[wire.Value]bool{}
	for _, v := range all {
		if !seen[v.Value] {
			seen[v.Value] = true
			out = append(out, v.Value)
		}
	}
	return out
}

// typeOf returns the type of a value in Tempo's words, and nothing for what TraceQL cannot write.
func typeOf(v trace.Value) string {
	switch v.Type() {
	case trace.TypeString:
		return "string"
	case trace.TypeInt:
		return "int"
	case trace.TypeDouble:
		return "float"
	case trace.TypeBool:
		return "bool"
	}
	return ""
}
