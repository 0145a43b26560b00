// Package jaeger is Jaeger's query API in its three forms: the classic one over HTTP, which Grafana's data source and people's scripts call, api/v3,
// which its UI calls since 2.15, and gRPC.
package jaeger

import (
	"bytes"
	"context"
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

// Archive keeps chosen traces when the store's retention deletes them. The engine finds them there.
type Archive interface {
	// Archive keeps a trace: when it returns nil, that is on disk. The error is of kind NotFound when there is no such trace.
	Archive(ctx context.Context, id trace.ID) error
}

// API answers Jaeger's calls.
type API struct {
	engine       *query.Engine
	gate         *api.Gate
	keeper       Archive
	transforming chan struct{}
}

// New returns an API that asks an engine, as a gate lets it.
func New(gate *api.Gate, engine *query.Engine, keeper Archive) *API {
	return &API{engine: engine, gate: gate, keeper: keeper, transforming: make(chan struct{}, 1)}
}

// Register adds the calls over HTTP to a mux. What else is asked for below /api/ is answered in Jaeger's frame, too.
func (a *API) Register(mux *http.ServeMux) {
	a.registerV3(mux)
	for _, c := range []struct {
		pattern, call string
		handler       api.Handler
	}{
		{"GET /api/services", "services", a.services},
		{"GET /api/services/{path...}", "services_operations", a.serviceOperations},
		{"GET /api/operations", "operations", a.operations},
		{"GET /api/traces", "traces", a.search},
		{"GET /api/traces/{id}", "traces_by_id", a.trace},
		{"GET /api/dependencies", "dependencies", a.dependencies},
		{"GET /api/deep-dependencies", "deep_dependencies", a.deepDependencies},
		{"GET /analytics/v1/dependencies", "deep_dependencies", a.deepDependencies},
		{"GET /api/metrics/latencies", "metrics_latencies", a.latencies},
		{"GET /api/metrics/calls", "metrics_calls", a.calls},
		{"GET /api/metrics/errors", "metrics_errors", a.errors},
		{"GET /api/metrics/minstep", "metrics_minstep", minimalStep},
		{"GET /api/quality-metrics", "quality_metrics", a.quality},
		{"POST /api/archive/{id}", "archive", a.archive},
		{"POST /api/transform", "transform", a.transform},
		{"/api/", "unknown", unknown},
	} {
		mux.Handle(c.pattern, a.gate.Wrap("jaeger", c.call, refuse, indented(c.handler)))
	}
}

func unknown(r *http.Request) (api.Answer, error) {
	return api.Answer{}, trace.Errorf(trace.NotFound, "there is no call %s %.100s", r.Method, r.URL.Path)
}

// indent returns JSON indented, within the budget of a query.
func indent(ctx context.Context, raw []byte) ([]byte, error) {
	n := indentedLength(raw)
	if n > api.MaxBytes {
		return nil, trace.Errorf(trace.TooLarge, "the answer is larger than %d MiB when it is indented; ask for less at once, or without prettyPrint", api.MaxBytes>>20)
	}
	if err := trace.BudgetOf(ctx).Take(int64(n)); err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(make([]byte, 0, n))
	err := json.Indent(out, raw, "", indentation)
	return out.Bytes(), err
}

const indentation = "    "

// indentedLength returns how long JSON is at most when it is indented.
func indentedLength(raw []byte) int {
	n, depth, text := len(raw), 0, false
	line := func() { n += 1 + depth*len(indentation) }
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			depth++
			line()
		case c == '}' || c == ']':
			depth--
			line()
		case c == ',':
			line()
		case c == ':':
			n++
		}
	}
	return n
}

// indented answers as h does, indented if the request asks for it with prettyPrint.
func indented(h api.Handler) api.Handler {
	return func(r *http.Request) (api.Answer, error) {
		a, err := h(r)
		if v := r.FormValue("prettyPrint"); err == nil && v != "" && v != "false" {
			if a.Raw == nil {
				a.Raw, err = json.Marshal(a.Value)
			}
			if err == nil {
				a.Raw, err = indent(r.Context(), a.Raw)
			}
		}
		return a, err
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
	return api.Answer{Value: body{Errors: []errorBody{{Code: status, Msg: e.Msg}}}}
}

func (a *API) services(r *http.Request) (api.Answer, error) {
	names, err := a.engine.Services(r.Context())
	return api.Answer{Value: body{Data: names, Total: len(names)}}, err
}

// serviceOperations answers services/{service}/operations. The service may have slashes: Grafana does not escape them.
func (a *API) serviceOperations(r *http.Request) (api.Answer, error) {
	service, ok := strings.CutSuffix(r.PathValue("path"), "/operations")
	if !ok {
		return unknown(r)
	}
	ops, err := a.engine.Operations(r.Context(), service)
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
	out, err := a.listOperations(r.Context(), service, r.FormValue("spanKind"), "spanKind")
	return api.Answer{Value: body{Data: out, Total: len(out)}}, err
}

// operation is a name, and the kind of its spans, "" if they have none.
type operation struct {
	Name string `json:"name"`
	Kind string `json:"spanKind"`
}

// listOperations returns a service's operations, of a kind if that is not empty. parameter is where the kind came from.
func (a *API) listOperations(ctx context.Context, service, kind, parameter string) ([]operation, error) {
	if _, ok := trace.ParseKind(kind); kind != "" && !ok {
		return nil, trace.Errorf(trace.Invalid, "parameter '%s' is %.40q; want server, client, producer, consumer or internal", parameter, kind)
	}
	ops, err := a.engine.Operations(ctx, service)
	out := []operation{}
	for _, o := range ops {
		k := o.Kind.String()
		if o.Kind == trace.KindUnspecified {
			k = ""
		}
		if kind == "" || strings.EqualFold(kind, o.Kind.String()) {
			out = append(out, operation{o.Name, k})
		}
	}
	return out, err
}

func (a *API) trace(r *http.Request) (api.Answer, error) {
	id, err := trace.ParseID(r.PathValue("id"))
	if err != nil {
		return api.Answer{}, err
	}
	raw, err := boolean(r.URL.Query(), "raw")
	if err == nil {
		err = hints(r.URL.Query())
	}
	if err != nil {
		return api.Answer{}, err
	}
	t, err := a.engine.Trace(r.Context(), id, trace.Range{})
	if err != nil {
		return api.Answer{}, notFound(err)
	}
	out := newTraces(r.Context(), raw)
	if err := out.add(t); err != nil {
		return api.Answer{}, err
	}
	return framed(out, nil), nil
}

// notFound returns an error as Jaeger's clients know it.
func notFound(err error) error {
	if trace.KindOf(err) == trace.NotFound {
		return trace.Errorf(trace.NotFound, "trace not found")
	}
	return err
}

// hints checks the times between which a trace may be: µs, or the ms of Grafana. They are not needed to find it.
func hints(form url.Values) error {
	for _, name := range []string{"start", "end"} {
		if _, _, err := number(form, name, "microseconds"); err != nil {
			return err
		}
	}
	return nil
}

// boolean reads a parameter that is true or false; false if it is missing.
func boolean(form url.Values, name string) (bool, error) {
	v := form.Get(name)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, trace.Errorf(trace.Invalid, "unable to parse param '%s': %.40q is neither true nor false", name, v)
	}
	return b, nil
}

// A span and a tag take so many bytes in Jaeger's form at least.
const (
	spanBytes = 250
	attrBytes = 30
)

// traces collects traces in Jaeger's form for an answer.
type traces struct {
	api.List
	encoder wire.Encoder
}

func newTraces(ctx context.Context, raw bool) *traces {
	return &traces{List: api.List{Held: trace.BudgetOf(ctx)}, encoder: wire.Encoder{Raw: raw}}
}

func (l *traces) add(t *trace.Trace) error {
	if err := api.Fits(t, spanBytes, attrBytes); err != nil {
		return err
	}
	return l.AddTrace(t, func(b []byte) []byte { return l.encoder.Append(b, t) }, 0, 0)
}

// framed returns traces in the frame of all answers.
func framed(list *traces, errs []errorBody) api.Answer {
	rest, err := json.Marshal(body{Errors: errs})
	if err != nil { // numbers and text alone
		panic(err)
	}
	const before = `{"data":`
	return api.Answer{Raw: list.JSON(before, strings.TrimPrefix(string(rest), before+"null"))}
}

func (a *API) search(r *http.Request) (api.Answer, error) {
	if err := r.ParseForm(); err != nil {
		return api.Answer{}, trace.Errorf(trace.Invalid, "the query string is broken: %v", err)
	}
	raw, err := boolean(r.Form, "raw")
	if err != nil {
		return api.Answer{}, err
	}
	if ids := r.Form["traceID"]; len(ids) > 0 {
		return a.byIDs(r, ids, raw)
	}
	req, err := parse(r.Form, time.Now())
	if err != nil {
		return api.Answer{}, err
	}
	out := newTraces(r.Context(), raw)
	_, rep, err := a.engine.Each(r.Context(), req, out.add)
	if err != nil {
		return api.Answer{}, err
	}
	return framed(out, nil).Incomplete(rep.Incomplete), nil
}

func (a *API) byIDs(r *http.Request, ids []string, raw bool) (api.Answer, error) {
	out := newTraces(r.Context(), raw)
	var errs []errorBody
	asked := map[trace.ID]bool{}
	for _, s := range ids {
		id, err := trace.ParseID(s)
		if err != nil {
			return api.Answer{}, trace.Errorf(trace.Invalid, "cannot parse traceID param: %s", trace.ErrorOf(err).Msg)
		}
		if asked[id] {
			continue
		}
		asked[id] = true
		t, err := a.engine.Trace(r.Context(), id, trace.Range{})
		switch {
		case trace.KindOf(err) == trace.NotFound:
			errs = append(errs, errorBody{Msg: "trace not found", TraceID: wire.FormatID(id)})
		case err != nil:
			return api.Answer{}, err
		default:
			if err := out.add(t); err != nil {
				return api.Answer{}, err
			}
		}
	}
	return framed(out, errs), nil
}
