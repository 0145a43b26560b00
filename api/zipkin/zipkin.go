// Package zipkin is Zipkin's read API v2, which its UI, Grafana's data source and people's scripts call.
package zipkin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/zipkin"
)

// API answers Zipkin's calls.
type API struct{ engine *query.Engine }

// Register adds the API's calls to a mux.
func Register(mux *http.ServeMux, gate *api.Gate, engine *query.Engine) {
	a := &API{engine}
	for _, c := range []struct {
		pattern, call string
		handler       api.Handler
	}{
		{"GET /api/v2/services", "services", a.services},
		{"GET /api/v2/spans", "spans", a.spans},
		{"GET /api/v2/remoteServices", "remoteServices", a.remoteServices},
		{"GET /api/v2/traces", "traces", a.traces},
		{"GET /api/v2/trace/{id}", "trace", a.trace},
		{"GET /api/v2/traceMany", "traceMany", a.traceMany},
		{"GET /api/v2/dependencies", "dependencies", a.dependencies},
		{"GET /api/v2/autocompleteKeys", "autocompleteKeys", a.autocompleteKeys},
		{"GET /api/v2/autocompleteValues", "autocompleteValues", a.autocompleteValues},
		{"/api/v2/", "unknown", unknown},
	} {
		h := gate.Wrap("zipkin", c.call, refuse, c.handler)
		mux.HandleFunc(c.pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Origin") != "" { // open for reading, as Zipkin's
				w.Header().Set("Access-Control-Allow-Origin", "*")
			}
			h.ServeHTTP(w, r)
		})
	}
}

func unknown(r *http.Request) (api.Answer, error) {
	return api.Answer{}, trace.Errorf(trace.NotFound, "there is no call %s %.100s", r.Method, r.URL.Path)
}

func refuse(_ int, e *trace.Error) api.Answer {
	return api.Answer{Raw: []byte(e.Msg), ContentType: "text/plain; charset=utf-8"}
}

// given returns an error, in the words of Zipkin's server, if a parameter is missing; it may be empty.
func given(r *http.Request, name string) error {
	if err := r.ParseForm(); err != nil {
		return trace.Errorf(trace.Invalid, "the query string is broken: %v", err)
	}
	if !r.Form.Has(name) {
		return trace.Errorf(trace.Invalid, "Mandatory parameter/header/attribute is missing: %s", name)
	}
	return nil
}

// names answers with a sorted list. It may be cached once there are more than three services, as Zipkin's server has it: who
// begins shall see at once what arrived.
func (a *API) names(r *http.Request, list []string) (api.Answer, error) {
	services, err := a.engine.Services(r.Context())
	if err != nil {
		return api.Answer{}, err
	}
	slices.Sort(list)
	out := api.Answer{Value: append([]string{}, slices.Compact(list)...)}
	if len(services) > 3 {
		out.Header = map[string]string{"Cache-Control": "max-age=300, must-revalidate"}
	}
	return out, nil
}

func (a *API) services(r *http.Request) (api.Answer, error) {
	services, err := a.engine.Services(r.Context())
	if err != nil {
		return api.Answer{}, err
	}
	return a.names(r, services)
}

func (a *API) spans(r *http.Request) (api.Answer, error) {
	service := r.FormValue("serviceName")
	if err := given(r, "serviceName"); err != nil || service == "" {
		return api.Answer{Value: []string{}}, err
	}
	ops, err := a.engine.Operations(r.Context(), service)
	if err != nil {
		return api.Answer{}, err
	}
	var list []string
	for _, op := range ops {
		if op.Name != "" {
			list = append(list, op.Name)
		}
	}
	return a.names(r, list)
}

// recent bounds the traces that are looked at for the remote services of a service.
const recent = 200

func (a *API) remoteServices(r *http.Request) (api.Answer, error) {
	service := r.FormValue("serviceName")
	if err := given(r, "serviceName"); err != nil || service == "" {
		return api.Answer{Value: []string{}}, err
	}
	conds := []trace.Cond{serviceIs(service), {Field: trace.FieldAttr, Key: "peer.service", Op: trace.OpExists}}
	var list []string
	req := query.Request{Scan: trace.Scan{Spans: [][]trace.Cond{conds}, Outline: true}, Limit: recent, NoCursor: true}
	_, _, err := a.engine.Each(r.Context(), req, func(t *trace.Trace) error {
		for i := range t.Spans {
			if v, ok := trace.Get(t.Spans[i].Attrs, "peer.service"); ok && t.Spans[i].Service() == service {
				list = append(list, v.Text())
			}
		}
		return nil
	})
	if err != nil {
		return api.Answer{}, err
	}
	return a.names(r, list)
}

// maxKeys is how many keys are offered, those that most spans have. Zipkin's server offers those that it was configured with.
const maxKeys = 200

func (a *API) autocompleteKeys(r *http.Request) (api.Answer, error) {
	stats, err := a.engine.Attributes(r.Context(), trace.AttrQuery{})
	if err != nil {
		return api.Answer{}, err
	}
	slices.SortStableFunc(stats.Keys, func(a, b trace.KeyStat) int { return cmp.Compare(b.Spans, a.Spans) })
	var list []string
	for i := range stats.Keys {
		k := &stats.Keys[i]
		if !k.Many && isTag(k.Scope) && len(list) < maxKeys {
			list = append(list, k.Key)
		}
	}
	return a.names(r, list)
}

// isTag reports whether Zipkin's annotationQuery looks at what has the scope.
func isTag(s trace.AttrScope) bool { return s == trace.ScopeSpan || s == trace.ScopeResource }

func (a *API) autocompleteValues(r *http.Request) (api.Answer, error) {
	key := r.FormValue("key")
	if err := given(r, "key"); err != nil {
		return api.Answer{}, err
	}
	if key == "" {
		return api.Answer{}, trace.Errorf(trace.Invalid, "key was empty")
	}
	stats, err := a.engine.Attributes(r.Context(), trace.AttrQuery{Key: key})
	if err != nil {
		return api.Answer{}, err
	}
	var list []string
	for i := range stats.Keys {
		for _, v := range stats.Keys[i].Values {
			if isTag(stats.Keys[i].Scope) && !v.Cut {
				list = append(list, v.Value.Text())
			}
		}
	}
	return a.names(r, list)
}

func (a *API) trace(r *http.Request) (api.Answer, error) {
	id, err := parseID(r.PathValue("id"))
	if err != nil {
		return api.Answer{}, err
	}
	t, err := a.engine.Trace(r.Context(), id, trace.Range{})
	if trace.KindOf(err) == trace.NotFound {
		return api.Answer{}, trace.Errorf(trace.NotFound, "%s not found", wire.FormatID(id))
	}
	if err != nil {
		return api.Answer{}, err
	}
	return api.Answer{Raw: wire.EncodeTrace(t)}, nil
}

// parseID reads a trace ID. Errors are in the words of Zipkin's server, but upper case, too, is taken.
func parseID(s string) (trace.ID, error) {
	var id trace.ID
	switch {
	case s == "":
		return id, trace.Errorf(trace.Invalid, "traceId is empty")
	case len(s) > 2*len(id):
		return id, trace.Errorf(trace.Invalid, "traceId.length > 32")
	case trace.ParseHex(id[:], s) != nil:
		return id, trace.Errorf(trace.Invalid, "%s should be lower-hex encoded with no prefix", s)
	case id.IsZero():
		return id, trace.Errorf(trace.Invalid, "traceId is all zeros")
	}
	return id, nil
}

func (a *API) traceMany(r *http.Request) (api.Answer, error) {
	if err := given(r, "traceIds"); err != nil {
		return api.Answer{}, err
	}
	ids := strings.Split(r.FormValue("traceIds"), ",")
	switch {
	case r.FormValue("traceIds") == "":
		return api.Answer{}, trace.Errorf(trace.Invalid, "traceIds parameter is empty")
	case len(ids) == 1:
		return api.Answer{}, trace.Errorf(trace.Invalid, "Use /api/v2/trace/{traceId} endpoint to retrieve a single trace")
	}
	out := &api.List{}
	seen := map[trace.ID]bool{}
	for _, s := range ids {
		id, err := parseID(s)
		if err != nil {
			return api.Answer{}, err
		}
		if seen[id] {
			return api.Answer{}, trace.Errorf(trace.Invalid, "redundant traceId: %s", s)
		}
		seen[id] = true
		t, err := a.engine.Trace(r.Context(), id, trace.Range{})
		if trace.KindOf(err) == trace.NotFound {
			continue
		}
		if err != nil {
			return api.Answer{}, err
		}
		if err := out.Add(wire.EncodeTrace(t)); err != nil {
			return api.Answer{}, err
		}
	}
	return api.Answer{Raw: out.JSON("", "")}, nil
}

func (a *API) traces(r *http.Request) (api.Answer, error) {
	if err := r.ParseForm(); err != nil {
		return api.Answer{}, trace.Errorf(trace.Invalid, "the query string is broken: %v", err)
	}
	req, err := parse(r.Form, time.Now())
	if err != nil {
		return api.Answer{}, err
	}
	out := &api.List{}
	if _, _, err := a.engine.Each(r.Context(), req, func(t *trace.Trace) error { return out.Add(wire.EncodeTrace(t)) }); err != nil {
		return api.Answer{}, err
	}
	return api.Answer{Raw: out.JSON("", "")}, nil
}

func serviceIs(name string) trace.Cond {
	return trace.Cond{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String(name)}
}

// dependencies counts the calls between services. Zipkin has them counted beforehand; here the newest traces are read, and a
// header says so when there were more than are read for one answer.
func (a *API) dependencies(r *http.Request) (api.Answer, error) {
	if err := given(r, "endTs"); err != nil {
		return api.Answer{}, err
	}
	rng, err := parseRange(r.Form, time.Now())
	if err != nil {
		return api.Answer{}, err
	}
	calls := links{}
	complete, err := a.engine.Newest(r.Context(), trace.Scan{Range: rng}, calls.addTrace)
	if err != nil {
		return api.Answer{}, err
	}
	answer := api.Answer{Value: calls.list()}
	if !complete {
		answer.Header = map[string]string{"X-Clew-Incomplete": "counted in the newest traces only"}
	}
	return answer, nil
}
