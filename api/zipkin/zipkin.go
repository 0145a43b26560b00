// Package zipkin is Zipkin's read API v2, which its UI, Grafana's data source and people's scripts call.
package zipkin

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
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
		mux.Handle(c.pattern, readable(gate.Wrap("zipkin", c.call, refuse, checked(c.handler))))
	}
	mux.Handle("OPTIONS /api/v2/{path...}", readable(http.HandlerFunc(preflight)))
}

// checked refuses a broken query, also where it says nothing that matters.
func checked(h api.Handler) api.Handler {
	return func(r *http.Request) (api.Answer, error) {
		if _, err := params(r); err != nil {
			return api.Answer{}, err
		}
		return h(r)
	}
}

// readable lets pages of all origins read an answer, as Zipkin's server does.
func readable(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" {
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
		h.ServeHTTP(w, r)
	})
}

// preflight answers a browser that asks whether a page may ask. Zipkin's server allows POST as well, which here is about sending spans: see receive.CORS.
func preflight(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, notFound)
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET")
	h.Set("Access-Control-Allow-Headers", "content-type,x-grpc-web")
	h.Set("Access-Control-Max-Age", "0")
}

// notFound is what Zipkin's server says of what it does not have.
const notFound = "404 Not Found"

func unknown(*http.Request) (api.Answer, error) {
	return api.Answer{}, trace.Errorf(trace.NotFound, notFound)
}

func refuse(_ int, e *trace.Error) api.Answer {
	return api.Answer{Raw: []byte(e.Msg), ContentType: "text/plain; charset=utf-8"}
}

// params reads the query as Zipkin's server does: a semicolon is part of a value, and what cannot be decoded is no request.
func params(r *http.Request) (url.Values, error) {
	form := url.Values{}
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, badName := url.QueryUnescape(name)
		value, badValue := url.QueryUnescape(value)
		if badName != nil || badValue != nil || strings.ContainsFunc(name+value, prohibited) {
			return nil, trace.Errorf(trace.Invalid, "Status: 400\nDescription: Invalid request path\n")
		}
		form[name] = append(form[name], strings.ToValidUTF8(value, "\uFFFD"))
	}
	return form, nil
}

// prohibited reports whether a character may not be in a query: controls, but for those that are space in Java.
func prohibited(r rune) bool {
	return r < ' ' && !strings.ContainsRune("\t\n\r\x1c\x1d\x1e\x1f", r) || r == 0x7f
}

// given returns the parameters, or an error, in the words of Zipkin's server, if one is missing; it may be empty.
func given(r *http.Request, name string) (url.Values, error) {
	form, err := params(r)
	if err == nil && !form.Has(name) {
		err = trace.Errorf(trace.Invalid, "Mandatory parameter/header/attribute is missing: %s", name)
	}
	return form, err
}

// cacheable is how many names there must be before a browser may keep them: who begins shall see at once what arrived.
const cacheable = 4

// list answers with names in their order. As with Zipkin's server, they may be kept a while if there are enough of count.
func list(names []string, count int) api.Answer {
	slices.Sort(names)
	out := api.Answer{Raw: wire.EncodeNames(slices.Compact(names))}
	if count >= cacheable {
		out.Header = map[string]string{"Cache-Control": "max-age=300, must-revalidate"}
	}
	return out
}

// names answers with names of a service, which may be kept if there are enough services.
func (a *API) names(r *http.Request, names []string) (api.Answer, error) {
	services, err := a.engine.Services(r.Context())
	if err != nil {
		return api.Answer{}, err
	}
	return list(names, len(services)), nil
}

func (a *API) services(r *http.Request) (api.Answer, error) {
	services, err := a.engine.Services(r.Context())
	if err != nil {
		return api.Answer{}, err
	}
	return list(services, len(services)), nil
}

func (a *API) spans(r *http.Request) (api.Answer, error) {
	form, err := given(r, "serviceName")
	if err != nil {
		return api.Answer{}, err
	}
	var names []string
	if service := form.Get("serviceName"); service != "" {
		ops, err := a.engine.Operations(r.Context(), service)
		if err != nil {
			return api.Answer{}, err
		}
		for _, op := range ops {
			if op.Name != "" {
				names = append(names, op.Name)
			}
		}
	}
	return a.names(r, names)
}

// recent bounds the traces that are looked at for the remote services of a service.
const recent = 200

func (a *API) remoteServices(r *http.Request) (api.Answer, error) {
	form, err := given(r, "serviceName")
	if err != nil {
		return api.Answer{}, err
	}
	service := form.Get("serviceName")
	if service == "" {
		return a.names(r, nil)
	}
	conds := []trace.Cond{serviceIs(service), {Field: trace.FieldAttr, Key: "peer.service", Op: trace.OpExists}}
	names := map[string]struct{}{}
	req := query.Request{Scan: trace.Scan{Spans: [][]trace.Cond{conds}, Outline: true}, Limit: recent, NoCursor: true}
	_, _, err = a.engine.Each(r.Context(), req, func(t *trace.Trace) error {
		for i := range t.Spans {
			if v, ok := trace.Get(t.Spans[i].Attrs, "peer.service"); ok && t.Spans[i].Service() == service {
				names[v.Text()] = struct{}{}
			}
		}
		return nil
	})
	if err != nil {
		return api.Answer{}, err
	}
	return a.names(r, slices.Collect(maps.Keys(names)))
}

// maxKeys is how many keys are offered, those that most spans have. Zipkin's server offers those that it was configured with.
const maxKeys = 200

func (a *API) autocompleteKeys(r *http.Request) (api.Answer, error) {
	stats, err := a.engine.Attributes(r.Context(), trace.AttrQuery{})
	if err != nil {
		return api.Answer{}, err
	}
	var keys []string
	for i := range stats.Keys {
		k := &stats.Keys[i]
		if !k.Many && isTag(k.Scope) && len(keys) < maxKeys {
			keys = append(keys, k.Key)
		}
	}
	return list(keys, len(keys)), nil
}

// isTag reports whether Zipkin's annotationQuery looks at what has the scope.
func isTag(s trace.AttrScope) bool { return s == trace.ScopeSpan || s == trace.ScopeResource }

func (a *API) autocompleteValues(r *http.Request) (api.Answer, error) {
	form, err := given(r, "key")
	if err != nil {
		return api.Answer{}, err
	}
	key := form.Get("key")
	if key == "" {
		return api.Answer{}, trace.Errorf(trace.Invalid, "key was empty")
	}
	stats, err := a.engine.Attributes(r.Context(), trace.AttrQuery{Key: key})
	if err != nil {
		return api.Answer{}, err
	}
	var values []string
	for i := range stats.Keys {
		for _, v := range stats.Keys[i].Values {
			if isTag(stats.Keys[i].Scope) && !v.Cut {
				values = append(values, v.Value.Text())
			}
		}
	}
	return list(values, len(values)), nil
}

func (a *API) trace(r *http.Request) (api.Answer, error) {
	id, err := parseID(strings.ToValidUTF8(strings.TrimSpace(r.PathValue("id")), "\uFFFD"))
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
	if err := trace.BudgetOf(r.Context()).Take(memory(t)); err != nil {
		return api.Answer{}, err
	}
	return api.Answer{Raw: wire.EncodeTrace(t)}, nil
}

// add adds a trace to an answer, and takes memory for it before.
func add(out *api.List, t *trace.Trace) error {
	n := memory(t)
	if err := out.Held.Take(n); err != nil {
		return err
	}
	defer out.Held.Give(n)
	return out.Add(wire.EncodeTrace(t))
}

// memory returns how much a trace takes in Zipkin's form and as its JSON, about, in which each span has the tags of its resource.
func memory(t *trace.Trace) int64 {
	const tagBytes, spanBytes = 100, 700
	tags := func(attrs []trace.Attr) (n int64) {
		for i := range attrs {
			n += tagBytes + int64(len(attrs[i].Key))
		}
		return n
	}
	n, of := api.JSONMemory(t), int64(0)
	var last *trace.Resource
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Resource != last {
			last, of = s.Resource, 0
			if s.Resource != nil {
				of = tags(s.Resource.Attrs) + api.JSONMemory(&trace.Trace{Spans: []trace.Span{{Resource: s.Resource}}})
			}
		}
		n += spanBytes + of + tags(s.Attrs)
	}
	return n
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
	form, err := given(r, "traceIds")
	if err != nil {
		return api.Answer{}, err
	}
	ids := strings.Split(form.Get("traceIds"), ",")
	if form.Get("traceIds") == "" {
		return api.Answer{}, trace.Errorf(trace.Invalid, "traceIds parameter is empty")
	}
	parsed, err := parseIDs(ids)
	if err != nil {
		return api.Answer{}, err
	}
	out := &api.List{Held: trace.BudgetOf(r.Context())}
	for _, id := range parsed {
		t, err := a.engine.Trace(r.Context(), id, trace.Range{})
		if trace.KindOf(err) == trace.NotFound {
			continue
		}
		if err != nil {
			return api.Answer{}, err
		}
		if err := add(out, t); err != nil {
			return api.Answer{}, err
		}
	}
	return api.Answer{Raw: out.JSON("", "")}, nil
}

// parseIDs reads two or more trace IDs. As in Zipkin's server, that there is but one is found last.
func parseIDs(list []string) ([]trace.ID, error) {
	ids := make([]trace.ID, 0, len(list))
	seen := map[trace.ID]bool{}
	for _, s := range list {
		id, err := parseID(s)
		if err != nil {
			return nil, err
		}
		if seen[id] {
			return nil, trace.Errorf(trace.Invalid, "redundant traceId: %s", s)
		}
		seen[id] = true
		ids = append(ids, id)
	}
	if len(ids) == 1 {
		return nil, trace.Errorf(trace.Invalid, "Use /api/v2/trace/{traceId} endpoint to retrieve a single trace")
	}
	return ids, nil
}

func (a *API) traces(r *http.Request) (api.Answer, error) {
	form, err := params(r)
	if err != nil {
		return api.Answer{}, err
	}
	req, err := parse(form, time.Now())
	if err != nil {
		return api.Answer{}, err
	}
	out, n := &api.List{Held: trace.BudgetOf(r.Context())}, 0
	_, rep, err := a.engine.Each(r.Context(), req, func(t *trace.Trace) error {
		n++
		return add(out, t)
	})
	if err != nil {
		return api.Answer{}, err
	}
	why := rep.Incomplete
	if why == "" && n == maxLimit {
		why = fmt.Sprintf("these are the newest %d traces", n)
	}
	return api.Answer{Raw: out.JSON("", "")}.Incomplete(why), nil
}

func serviceIs(name string) trace.Cond {
	return trace.Cond{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String(name)}
}

// linkMemory is what a link takes until it is sent, about.
const linkMemory = 512

// dependencies counts the calls between services. Zipkin has them counted beforehand; here all traces of the time are read, and a
// header says so when that took too long.
func (a *API) dependencies(r *http.Request) (api.Answer, error) {
	form, err := given(r, "endTs")
	if err != nil {
		return api.Answer{}, err
	}
	endTS, lookback := number{name: "endTs", bits: 64, plain: true}, number{name: "lookback", bits: 64, value: defaultLookback.Milliseconds()}
	if err := cmp.Or(read(form, &endTS, &lookback), positive(&endTS, &lookback)); err != nil {
		return api.Answer{}, err
	}
	counted := make([]links, query.Workers())
	for i := range counted {
		counted[i] = links{}
	}
	sc := trace.Scan{Range: rangeOf(endTS.value, lookback.value), Outline: true, Keys: sideKeys}
	held := trace.BudgetOf(r.Context())
	why, err := a.engine.All(r.Context(), sc, len(counted), func(worker int, t *trace.Trace) {
		n := len(counted[worker])
		counted[worker].addTrace(t)
		held.Owe(int64(len(counted[worker])-n) * linkMemory)
	})
	if err != nil {
		return api.Answer{}, err
	}
	calls := counted[0]
	for _, theirs := range counted[1:] {
		calls.merge(theirs)
	}
	return api.Answer{Value: calls.list()}.Incomplete(why), nil
}
