// Package jaeger is Jaeger's classic query API, which its UI before 2.15, Grafana's data source and people's scripts call.
package jaeger

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/jaeger"
)

// API answers Jaeger's calls.
type API struct{ engine *query.Engine }

// Register adds the API's calls to a mux.
func Register(mux *http.ServeMux, gate *api.Gate, engine *query.Engine) {
	a := &API{engine}
	for pattern, h := range map[string]api.Handler{
		"services": a.services, "services/{service}/operations": a.serviceOperations, "operations": a.operations,
		"traces": a.search, "traces/{id}": a.trace,
	} {
		mux.Handle("GET /api/"+pattern, gate.Wrap("jaeger", strings.NewReplacer("/{id}", "_by_id", "/{service}/", "_").Replace(pattern), refuse, h))
	}
}

// body is the frame of all answers.
type body struct {
	Data   any         `json:"data"`
	Total  int         `json:"total"`
	Limit  int         `json:"limit"`
	Offset int         `json:"offset"`
	Errors []errorBody `json:"errors"`
}

type errorBody struct {
	Code    int    `json:"code,omitempty"`
	Msg     string `json:"msg"`
	TraceID string `json:"traceID,omitempty"`
}

func refuse(status int, e *trace.Error) api.Answer {
	msg := e.Msg
	if e.Kind == trace.NotFound {
		msg = "trace not found"
	}
	return api.Answer{Value: body{Errors: []errorBody{{Code: status, Msg: msg}}}}
}

func (a *API) services(r *http.Request) (api.Answer, error) {
	names, err := a.engine.Services(r.Context())
	return api.Answer{Value: body{Data: names, Total: len(names)}}, err
}

func (a *API) serviceOperations(r *http.Request) (api.Answer, error) {
	ops, err := a.engine.Operations(r.Context(), r.PathValue("service"))
	names := []string{}
	for _, op := range ops {
		if len(names) == 0 || names[len(names)-1] != op.Name {
			names = append(names, op.Name)
		}
	}
	return api.Answer{Value: body{Data: names, Total: len(names)}}, err
}

func (a *API) operations(r *http.Request) (api.Answer, error) {
	service := r.FormValue("service")
	if service == "" {
		return api.Answer{}, trace.Errorf(trace.Invalid, "parameter 'service' is required")
	}
	kind := r.FormValue("spanKind")
	if _, ok := trace.ParseKind(kind); kind != "" && !ok {
		return api.Answer{}, trace.Errorf(trace.Invalid, "parameter 'spanKind' is %.40q; want server, client, producer, consumer or internal", kind)
	}
	ops, err := a.engine.Operations(r.Context(), service)
	type op struct {
		Name string `json:"name"`
		Kind string `json:"spanKind"`
	}
	out := []op{}
	for _, o := range ops {
		k := o.Kind.String()
		if o.Kind == trace.KindUnspecified {
			k = ""
		}
		if kind == "" || kind == o.Kind.String() {
			out = append(out, op{o.Name, k})
		}
	}
	return api.Answer{Value: body{Data: out, Total: len(out)}}, err
}

func (a *API) trace(r *http.Request) (api.Answer, error) {
	id, err := trace.ParseID(r.PathValue("id"))
	if err != nil {
		return api.Answer{}, err
	}
	t, err := a.engine.Trace(r.Context(), id, trace.Range{})
	if err != nil {
		return api.Answer{}, err
	}
	return answer([]*trace.Trace{t}, nil, r), nil
}

func answer(traces []*trace.Trace, errs []errorBody, r *http.Request) api.Answer {
	out := make([]wire.Trace, len(traces))
	for i, t := range traces {
		out[i] = wire.Encode(t)
	}
	b := body{Data: out, Errors: errs}
	if pretty := r.FormValue("prettyPrint"); pretty != "" && pretty != "false" {
		if raw, err := json.MarshalIndent(b, "", "    "); err == nil {
			return api.Answer{Raw: raw}
		}
	}
	return api.Answer{Value: b}
}

func (a *API) search(r *http.Request) (api.Answer, error) {
	if err := r.ParseForm(); err != nil {
		return api.Answer{}, trace.Errorf(trace.Invalid, "the query string is broken: %v", err)
	}
	if ids := r.Form["traceID"]; len(ids) > 0 {
		return a.byIDs(r, ids)
	}
	req, err := parse(r.Form, time.Now())
	if err != nil {
		return api.Answer{}, err
	}
	found, err := a.engine.Find(r.Context(), req)
	if err != nil {
		return api.Answer{}, err
	}
	return answer(found.Traces, nil, r), nil
}

func (a *API) byIDs(r *http.Request, ids []string) (api.Answer, error) {
	var traces []*trace.Trace
	var errs []errorBody
	for _, s := range ids {
		id, err := trace.ParseID(s)
		if err != nil {
			return api.Answer{}, err
		}
		t, err := a.engine.Trace(r.Context(), id, trace.Range{})
		switch {
		case trace.KindOf(err) == trace.NotFound:
			errs = append(errs, errorBody{Msg: "trace not found", TraceID: s})
		case err != nil:
			return api.Answer{}, err
		default:
			traces = append(traces, t)
		}
	}
	return answer(traces, errs, r), nil
}

const (
	defaultLimit    = 100
	maxLimit        = 20_000
	defaultLookback = 48 * time.Hour
)

// parse reads the parameters of a search; its messages are Jaeger's where people know them.
func parse(form url.Values, now time.Time) (query.Request, error) {
	req := query.Request{Limit: defaultLimit}
	invalid := func(format string, args ...any) (query.Request, error) {
		return req, trace.Errorf(trace.Invalid, format, args...)
	}
	service := form.Get("service")
	if service == "" {
		return invalid("parameter 'service' is required")
	}
	conds := []trace.Cond{{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String(service)}}
	if v := form.Get("operation"); v != "" && v != "all" {
		conds = append(conds, trace.Cond{Field: trace.FieldName, Op: trace.OpEqual, Value: trace.String(v)})
	}
	tagConds, err := parseTags(form)
	if err != nil {
		return req, err
	}
	conds = append(conds, tagConds...)
	var lo, hi time.Duration
	for name, dst := range map[string]*time.Duration{"minDuration": &lo, "maxDuration": &hi} {
		if v := form.Get(name); v != "" {
			if *dst, err = time.ParseDuration(v); err != nil || *dst < 0 {
				return invalid("unable to parse param '%s': %.60q is not a duration such as 1.2s or 100ms", name, v)
			}
		}
	}
	if hi != 0 && hi < lo {
		return invalid("'maxDuration' should be greater than 'minDuration'")
	}
	if lo > 0 {
		conds = append(conds, trace.Cond{Field: trace.FieldDuration, Op: trace.OpGreaterEqual, Value: trace.Int(int64(lo))})
	}
	if hi > 0 {
		conds = append(conds, trace.Cond{Field: trace.FieldDuration, Op: trace.OpLessEqual, Value: trace.Int(int64(hi))})
	}
	req.Scan.Spans = [][]trace.Cond{conds}
	if v := form.Get("limit"); v != "" {
		if req.Limit, err = strconv.Atoi(v); err != nil || req.Limit < 1 || req.Limit > maxLimit {
			return invalid("unable to parse param 'limit': %.40q is not a number from 1 to %d", v, maxLimit)
		}
	}
	req.Scan.Range, err = parseRange(form, now)
	return req, err
}

// parseRange reads start and end (µs), or lookback (such as 1h) until now.
func parseRange(form url.Values, now time.Time) (trace.Range, error) {
	lookback := defaultLookback
	if v := form.Get("lookback"); v != "" && v != "custom" {
		d, err := parseLookback(v)
		if err != nil {
			return trace.Range{}, err
		}
		lookback = d
	}
	r := trace.Range{From: uint64(now.Add(-lookback).UnixNano()), To: uint64(now.UnixNano())}
	for name, dst := range map[string]*uint64{"start": &r.From, "end": &r.To} {
		if v := form.Get(name); v != "" {
			us, err := strconv.ParseUint(v, 10, 53)
			if err != nil {
				return r, trace.Errorf(trace.Invalid, "unable to parse param '%s': %.40q is not microseconds since 1970", name, v)
			}
			*dst = us * 1000
			if name == "end" {
				*dst += 999 // the whole microsecond
			}
		}
	}
	return r, nil
}

// parseLookback reads a duration, with d for days, too.
func parseLookback(v string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(v, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, trace.Errorf(trace.Invalid, "unable to parse param 'lookback': %.40q is not a duration such as 1h or 2d", v)
	}
	return d, nil
}

// parseTags reads tag=key:value, repeated, and tags={"key":"value"}.
func parseTags(form url.Values) ([]trace.Cond, error) {
	var conds []trace.Cond
	for _, t := range form["tag"] {
		key, value, ok := strings.Cut(t, ":")
		if !ok {
			return nil, trace.Errorf(trace.Invalid, "malformed 'tag' parameter, expecting key:value, received: %.100s", t)
		}
		conds = append(conds, tagCond(key, value))
	}
	for _, t := range form["tags"] {
		var tags map[string]string
		if err := json.Unmarshal([]byte(t), &tags); err != nil {
			return nil, trace.Errorf(trace.Invalid, "malformed 'tags' parameter, cannot unmarshal JSON: %v", err)
		}
		for k, v := range tags {
			conds = append(conds, tagCond(k, v))
		}
	}
	return conds, nil
}

// tagCond returns the condition for a tag; some stand for what is no attribute in OpenTelemetry's model.
func tagCond(key, value string) trace.Cond {
	switch key {
	case "error":
		if value == "true" {
			return trace.Cond{Field: trace.FieldStatus, Op: trace.OpEqual, Value: trace.Int(int64(trace.StatusError))}
		}
	case "span.kind":
		if k, ok := trace.ParseKind(value); ok {
			return trace.Cond{Field: trace.FieldKind, Op: trace.OpEqual, Value: trace.Int(int64(k))}
		}
	case "otel.status_code":
		for code, name := range map[trace.StatusCode]string{trace.StatusOK: "OK", trace.StatusError: "ERROR"} {
			if value == name {
				return trace.Cond{Field: trace.FieldStatus, Op: trace.OpEqual, Value: trace.Int(int64(code))}
			}
		}
	}
	return trace.Cond{Field: trace.FieldTag, Key: key, Op: trace.OpText, Value: trace.String(value)}
}
