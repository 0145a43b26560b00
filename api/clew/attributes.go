package clew

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
)

// defaultNames is how many keys or values one answer has unless it is asked for more.
const defaultNames = 100

type keyStat struct {
	Key      string      `json:"key"`
	Scope    string      `json:"scope"`
	Types    []string    `json:"types"`
	Spans    uint64      `json:"spans"`
	Distinct uint64      `json:"distinct"`
	All      bool        `json:"all"`
	Many     bool        `json:"many"`
	Values   []valueStat `json:"values,omitempty"`
}

type valueStat struct {
	Value string `json:"value"`
	Type  string `json:"type"`
	Spans uint64 `json:"spans"`
	Cut   bool   `json:"cut"`
}

type attributeStats struct {
	Attributes []keyStat `json:"attributes"`
	More       bool      `json:"more"`
	Others     uint64    `json:"others"`
	Reason     string    `json:"reason"`
}

// attributes answers with the keys in use, those that most spans have first; with the values of one, if the path names it.
func (a *API) attributes(r *http.Request) (api.Answer, error) {
	q, limit, err := parseAttributes(r)
	if err != nil {
		return api.Answer{}, err
	}
	stats, err := a.engine.Attributes(r.Context(), q)
	if err != nil {
		return api.Answer{}, err
	}
	prefix := strings.ToLower(r.Form.Get("prefix"))
	starts := func(s string) bool { return strings.HasPrefix(strings.ToLower(s), prefix) }
	out := attributeStats{Attributes: []keyStat{}, Others: stats.Others, Reason: stats.Incomplete}
	slices.SortStableFunc(stats.Keys, func(a, b trace.KeyStat) int { return cmp.Compare(b.Spans, a.Spans) })
	for i := range stats.Keys {
		k := &stats.Keys[i]
		searched := k.Scope == trace.ScopeSpan || k.Scope == trace.ScopeResource
		if q.Scope == trace.ScopeAny && !searched || q.Key == "" && !starts(k.Key) {
			continue
		}
		if len(out.Attributes) == limit {
			out.More = true
			break
		}
		s := keyStat{Key: k.Key, Scope: k.Scope.String(), Types: []string{}, Spans: k.Spans, Distinct: k.Distinct, All: k.All, Many: k.Many}
		for _, t := range k.Types {
			s.Types = append(s.Types, t.String())
		}
		for j := range k.Values {
			v := valueStat{k.Values[j].Value.Text(), k.Values[j].Value.Type().String(), k.Values[j].Spans, k.Values[j].Cut}
			if !starts(v.Value) {
				continue
			}
			if len(s.Values) == limit {
				out.More = true
				break
			}
			s.Values = append(s.Values, v)
		}
		out.Attributes = append(out.Attributes, s)
	}
	return api.Answer{Value: out}, nil
}

func parseAttributes(r *http.Request) (q trace.AttrQuery, limit int, err error) {
	if err := r.ParseForm(); err != nil {
		return q, 0, trace.Errorf(trace.Invalid, "the query string is broken: %v", err)
	}
	for k, v := range r.Form {
		switch {
		case !slices.Contains([]string{"service", "scope", "prefix", "from", "to", "limit"}, k):
			return q, 0, trace.Errorf(trace.Invalid, "there is no parameter %.40q", k)
		case len(v) > 1:
			return q, 0, trace.Errorf(trace.Invalid, "%s is given %d times; want one", k, len(v))
		}
	}
	q.Service, q.Key = r.Form.Get("service"), r.PathValue("key")
	if v := r.Form.Get("scope"); v != "" {
		for s := trace.ScopeSpan; s <= trace.ScopeIntrinsic; s++ {
			if s.String() == v {
				q.Scope = s
			}
		}
		if q.Scope == trace.ScopeAny {
			return q, 0, trace.Errorf(trace.Invalid, "scope is %.40q; want span, resource, instrumentation or intrinsic", v)
		}
	}
	if q.Range, err = parseRange(r.Form); err != nil {
		return q, 0, err
	}
	limit = defaultNames
	if v := r.Form.Get("limit"); v != "" {
		if limit, err = strconv.Atoi(v); err != nil || limit < 1 || limit > maxLimit {
			return q, 0, trace.Errorf(trace.Invalid, "limit is %.40q; want 1 to %d", v, maxLimit)
		}
	}
	return q, limit, nil
}
