package clew

import (
	"net/http"
	"strings"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/api/openapi"
	"github.com/clewtrace/clew/trace"
)

type keyStat struct {
	Key      string      `json:"key"`
	Scope    string      `json:"scope" enum:"span,resource,instrumentation,intrinsic"`
	Types    []string    `json:"types" enum:"string,int,double,bool,bytes,array,map,empty"`
	Spans    uint64      `json:"spans" doc:"that have it"`
	Distinct uint64      `json:"distinct" doc:"how many different values it has, exactly if all is true, else to within some 10 %"`
	All      bool        `json:"all"`
	Many     bool        `json:"many" doc:"hardly a value repeats, as of IDs"`
	Values   []valueStat `json:"values,omitempty"`
}

type valueStat struct {
	Value string `json:"value" doc:"as a person reads it and tag compares it"`
	Type  string `json:"type" enum:"string,int,double,bool,bytes,array,map,empty"`
	Spans uint64 `json:"spans" doc:"that have it"`
	Cut   bool   `json:"cut" doc:"it is only the beginning, of 128 bytes, of a longer one"`
}

type attributesAnswer struct {
	Attributes []keyStat `json:"attributes"`
	More       bool      `json:"more" doc:"limit left some out"`
	Others     uint64    `json:"others" doc:"attributes whose keys found no room in the statistics"`
	Reason     string    `json:"reason" doc:"why the answer is not complete"`
}

// attributes answers with the keys in use, those that most spans have first; with the values of one, if the path names it.
func (a *API) attributes(r *http.Request, v *openapi.Values) (api.Answer, error) {
	q := trace.AttrQuery{Service: v.Text("service"), Scope: scopeOf(v.Text("scope")), Key: r.PathValue("key")}
	limit := v.Number("limit")
	var err error
	if q.Range, err = v.Range(); err != nil {
		return api.Answer{}, err
	}
	stats, err := a.engine.Attributes(r.Context(), q)
	if err != nil {
		return api.Answer{}, err
	}
	prefix := strings.ToLower(v.Text("prefix"))
	starts := func(s string) bool { return strings.HasPrefix(strings.ToLower(s), prefix) }
	out := attributesAnswer{Attributes: []keyStat{}, Others: stats.Others, Reason: stats.Incomplete}
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

// scopeOf returns the scope of a name, or any for none.
func scopeOf(name string) trace.AttrScope {
	for s := trace.ScopeSpan; s <= trace.ScopeIntrinsic; s++ {
		if s.String() == name {
			return s
		}
	}
	return trace.ScopeAny
}
