package jaeger

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/otlp"
)

// registerV3 adds the calls of api/v3, which Jaeger's page has asked since 2.15, and Grafana's data source when it is told to.
func (a *API) registerV3(mux *http.ServeMux) {
	for _, c := range []struct {
		pattern, call string
		handler       api.Handler
	}{
		{"GET /api/v3/services", "v3_services", a.servicesV3},
		{"GET /api/v3/operations", "v3_operations", a.operationsV3},
		{"GET /api/v3/traces", "v3_traces", a.searchV3},
		{"POST /api/v3/traces", "v3_traces", a.searchV3},
		{"GET /api/v3/traces/{id...}", "v3_traces_by_id", a.traceV3},
		{"GET /api/v3/trace-summaries", "v3_summaries", a.summariesV3},
		{"POST /api/v3/trace-summaries", "v3_summaries", a.summariesV3},
		{"GET /api/v3/dependencies", "v3_dependencies", a.dependenciesV3},
		{"/api/v3/", "v3_unknown", unknown},
	} {
		mux.Handle(c.pattern, a.gate.Wrap("jaeger", c.call, refuseV3, c.handler))
	}
}

// refuseV3 writes an error as Jaeger's gateway from gRPC does.
func refuseV3(status int, e *trace.Error) api.Answer {
	type details struct {
		Code    int    `json:"httpCode"`
		Message string `json:"message"`
	}
	return api.Answer{Value: struct {
		Error details `json:"error"`
	}{details{status, e.Msg}}}
}

var errNoTraces = trace.Errorf(trace.NotFound, "No traces found")

func (a *API) servicesV3(r *http.Request) (api.Answer, error) {
	names, err := a.engine.Services(r.Context())
	return api.Answer{Value: struct {
		Services []string `json:"services"`
	}{append([]string{}, names...)}}, err
}

func (a *API) operationsV3(r *http.Request) (api.Answer, error) {
	p, err := parametersOf(r)
	if err != nil {
		return api.Answer{}, err
	}
	service := p.text("service")
	if service == "" {
		return api.Answer{}, trace.Errorf(trace.Invalid, "service is required")
	}
	list, err := a.listOperations(r.Context(), service, p.text("span_kind"), "span_kind")
	return api.Answer{Value: struct {
		Operations []operation `json:"operations"`
	}{list}}, err
}

func (a *API) dependenciesV3(r *http.Request) (api.Answer, error) {
	p, err := parametersOf(r)
	if err != nil {
		return api.Answer{}, err
	}
	start, hasStart, err := p.time("start_time")
	if err != nil {
		return api.Answer{}, err
	}
	end, hasEnd, err := p.time("end_time")
	if err == nil && (!hasStart || !hasEnd) {
		err = trace.Errorf(trace.Invalid, "start_time and end_time are required")
	}
	if err != nil {
		return api.Answer{}, err
	}
	calls, why, err := a.engine.Calls(r.Context(), trace.Range{From: start, To: end})
	type link struct {
		Parent string `json:"parent"`
		Child  string `json:"child"`
		Calls  uint64 `json:"callCount,string"` // as protobuf writes 64 bits
	}
	out := struct {
		Dependencies []link `json:"dependencies"`
	}{[]link{}}
	for _, c := range calls {
		out.Dependencies = append(out.Dependencies, link{c.Parent, c.Child, c.Count})
	}
	return api.Answer{Value: out}.Incomplete(why), err
}

func (a *API) traceV3(r *http.Request) (api.Answer, error) {
	id, err := parseIDV3(r.PathValue("id"))
	if err != nil {
		return api.Answer{}, err
	}
	p, err := parametersOf(r)
	if err != nil {
		return api.Answer{}, err
	}
	for _, name := range []string{"start_time", "end_time"} { // hints
		if _, _, err := p.time(name); err != nil {
			return api.Answer{}, err
		}
	}
	out := &tracesData{List: api.List{Held: trace.BudgetOf(r.Context())}}
	if out.raw, err = p.boolean("raw_traces"); err != nil {
		return api.Answer{}, err
	}
	t, err := a.engine.Trace(r.Context(), id, trace.Range{})
	if trace.KindOf(err) == trace.NotFound {
		err = errNoTraces
	}
	if err == nil {
		err = out.add(t)
	}
	if err != nil {
		return api.Answer{}, err
	}
	return out.answer(), nil
}

func (a *API) searchV3(r *http.Request) (api.Answer, error) {
	q, err := questionOf(r)
	if err != nil {
		return api.Answer{}, err
	}
	req, err := q.request(time.Now())
	if err != nil {
		return api.Answer{}, err
	}
	out := &tracesData{List: api.List{Held: trace.BudgetOf(r.Context())}, raw: q.raw}
	_, rep, err := a.engine.Each(r.Context(), req, out.add)
	if err != nil {
		return api.Answer{}, err
	}
	if out.traces == 0 {
		return api.Answer{}, errNoTraces
	}
	return out.answer().Incomplete(rep.Incomplete), nil
}

// tracesData collects traces for an answer, {"result": {"resourceSpans": […]}}.
type tracesData struct {
	api.List
	raw    bool
	traces int
}

// A span and an attribute take so many bytes in OTLP/JSON at least.
const (
	otlpSpanBytes = 150
	otlpAttrBytes = 30
)

func (l *tracesData) add(t *trace.Trace) error {
	if err := api.Fits(t, otlpSpanBytes, otlpAttrBytes); err != nil {
		return err
	}
	const before, after = `{"resourceSpans":[`, `]}`
	l.traces++
	return l.AddTrace(t, func(b []byte) []byte { return otlp.AppendJSON(b, checkable(forOTLP(t, l.raw))) }, len(before), len(after))
}

func (l *tracesData) answer() api.Answer {
	return api.Answer{Raw: l.JSON(`{"result":{"resourceSpans":`, `}}`)}
}

// checkable returns spans that pass the checks of Jaeger's page, for which one that fails means that nothing is shown: an attribute without a value has
// an empty text, a number that JSON does not have is a text, and links to nowhere are left out. The slice is changed, but not what it leads to.
func checkable(spans []trace.Span) []trace.Span {
	lost := func(l trace.Link) bool { return l.TraceID.IsZero() || l.SpanID.IsZero() }
	for i := range spans {
		if slices.ContainsFunc(spans[i].Links, lost) {
			spans[i].Links = slices.DeleteFunc(slices.Clone(spans[i].Links), lost)
		}
	}
	return trace.ReplaceValues(spans, func(v trace.Value) (trace.Value, bool) {
		switch v.Type() {
		case trace.TypeEmpty:
			return trace.String(""), true
		case trace.TypeDouble:
			if f := v.Double(); math.IsNaN(f) || math.IsInf(f, 0) {
				return trace.String(strconv.FormatFloat(f, 'g', -1, 64)), true
			}
		}
		return v, false
	})
}

func (a *API) summariesV3(r *http.Request) (api.Answer, error) {
	q, err := questionOf(r)
	if err != nil {
		return api.Answer{}, err
	}
	req, err := q.request(time.Now())
	if err != nil {
		return api.Answer{}, err
	}
	req.Scan.Outline = true
	out := api.List{Held: trace.BudgetOf(r.Context())}
	_, rep, err := a.engine.Each(r.Context(), req, func(t *trace.Trace) error {
		b, err := json.Marshal(summarize(t))
		if err != nil {
			return err
		}
		return out.Add(b)
	})
	if err != nil {
		return api.Answer{}, err
	}
	return api.Answer{Raw: out.JSON(`{"summaries":`, "}")}.Incomplete(rep.Incomplete), nil
}
