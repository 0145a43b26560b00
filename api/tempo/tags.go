package tempo

import (
	"context"
	"slices"

	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/tempo"
)

// intrinsics are the fields that every span has, or its trace, as TraceQL names them.
var intrinsics = []string{
	"duration", "event:name", "event:timeSinceStart", "instrumentation:name", "instrumentation:version", "kind", "link:spanID", "link:traceID", "name",
	"nestedSetLeft", "nestedSetParent", "nestedSetRight", "rootName", "rootServiceName", "span:childCount", "span:duration", "span:id", "span:kind", "span:name", "span:parentID",
	"span:status", "span:statusMessage", "status", "statusMessage", "trace:duration", "trace:id", "trace:rootName", "trace:rootService", "traceDuration",
}

// The scopes of names, in the order of an answer, and where statistics count them.
var scopes = []struct {
	name string
	at   trace.AttrScope
}{
	{"resource", trace.ScopeResource}, {"span", trace.ScopeSpan}, {scopeEvent, noScope}, {scopeLink, noScope}, {"instrumentation", trace.ScopeInstrumentation}, {scopeIntrinsic, noScope},
}

const (
	scopeEvent, scopeLink = "event", "link"
	scopeIntrinsic        = "intrinsic"

	noScope = trace.AttrScope(255) // of what is not counted
)

// tagsV2 answers with names by scope, sorted. Where there is a limit, those that most spans have are kept.
func (a *API) tagsV2(ctx context.Context, q wire.TagsRequest) (message, error) {
	found, why, err := a.names(ctx, q)
	if err != nil {
		return nil, err
	}
	return &wire.Tags{Scopes: found, Metrics: wire.Metrics{Incomplete: why}}, nil
}

// tagsV1 answers with the names of all scopes in one list. Intrinsics are in it if they are asked for.
func (a *API) tagsV1(ctx context.Context, q wire.TagsRequest) (message, error) {
	found, why, err := a.names(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &wire.Names{Metrics: wire.Metrics{Incomplete: why}}
	for _, s := range found {
		if s.Name != scopeIntrinsic || q.Scope == scopeIntrinsic {
			out.Names = append(out.Names, s.Tags...)
		}
	}
	slices.Sort(out.Names)
	out.Names = slices.Compact(out.Names)
	return out, nil
}

// names returns the names of the scopes that are asked for, and why they are not all.
func (a *API) names(ctx context.Context, q wire.TagsRequest) (out []wire.Scope, why string, err error) {
	wanted := func(name string) bool { return q.Scope == "" || q.Scope == "none" || q.Scope == name }
	if !slices.ContainsFunc(append([]string{"trace"}, scopeNames()...), wanted) {
		return nil, "", trace.Errorf(trace.Invalid, "invalid scope: %.40q is none of resource, span, event, link, instrumentation, intrinsic and none", q.Scope)
	}
	r, err := rangeOf(q.Start, q.End)
	if err != nil {
		return nil, "", err
	}
	service, _ := serviceOf(filterOf(q.Query))
	stats, err := a.engine.Attributes(ctx, trace.AttrQuery{Range: r, Service: service, Names: true})
	if err != nil {
		return nil, "", err
	}
	var inner innerNames
	if wanted(scopeEvent) || wanted(scopeLink) {
		if inner, err = a.inner.of(ctx, a.engine); err != nil {
			return nil, "", err
		}
	}
	for _, s := range scopes {
		if !wanted(s.name) {
			continue
		}
		var tags []string
		switch s.name {
		case scopeEvent:
			tags = slices.Clone(inner.events)
		case scopeLink:
			tags = slices.Clone(inner.links)
		case scopeIntrinsic:
			tags = slices.Clone(intrinsics)
		default:
			tags = keysOf(stats.Keys, s.at)
		}
		if q.Limit > 0 && len(tags) > int(q.Limit) {
			tags = tags[:q.Limit]
		}
		if len(tags) > 0 {
			slices.Sort(tags)
			out = append(out, wire.Scope{Name: s.name, Tags: tags})
		}
	}
	return out, stats.Incomplete, nil
}

func scopeNames() (names []string) {
	for _, s := range scopes {
		names = append(names, s.name)
	}
	return names
}

func keysOf(keys []trace.KeyStat, at trace.AttrScope) (names []string) {
	for i := range keys {
		if keys[i].Scope == at {
			names = append(names, keys[i].Key)
		}
	}
	return names
}
