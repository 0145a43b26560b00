// Package zipkin is Zipkin's read API v2, which its UI, Grafana's data source and people's scripts call.
package zipkin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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
	for pattern, h := range map[string]api.Handler{
		"services": a.services, "spans": a.spans, "remoteServices": a.remoteServices, "traces": a.traces,
		"trace/{id}": a.trace, "traceMany": a.traceMany, "autocompleteKeys": none, "autocompleteValues": none,
	} {
		h := gate.Wrap("zipkin", strings.TrimSuffix(pattern, "/{id}"), refuse, h)
		mux.HandleFunc("GET /api/v2/"+pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Origin") != "" { // open for reading, as Zipkin's
				w.Header().Set("Access-Control-Allow-Origin", "*")
			}
			h.ServeHTTP(w, r)
		})
	}
}

func refuse(_ int, e *trace.Error) api.Answer {
	return api.Answer{Raw: []byte(e.Msg + "\n"), ContentType: "text/plain; charset=utf-8"}
}

func none(*http.Request) (api.Answer, error) { return api.Answer{Value: []string{}}, nil }

// names answers with a sorted list, which may be cached once it is long, as Zipkin's server has it.
func names(list []string, err error) (api.Answer, error) {
	slices.Sort(list)
	list = slices.Compact(list)
	if list == nil {
		list = []string{}
	}
	a := api.Answer{Value: list}
	if len(list) > 3 {
		a.Header = map[string]string{"Cache-Control": "max-age=300, must-revalidate"}
	}
	return a, err
}

func (a *API) services(r *http.Request) (api.Answer, error) {
	return names(a.engine.Services(r.Context()))
}

func (a *API) spans(r *http.Request) (api.Answer, error) {
	service := r.FormValue("serviceName")
	if service == "" {
		return none(r)
	}
	ops, err := a.engine.Operations(r.Context(), service)
	var list []string
	for _, op := range ops {
		if op.Name != "" {
			list = append(list, op.Name)
		}
	}
	return names(list, err)
}

// recent bounds the traces that are looked at for the remote services of a service.
const recent = 200

func (a *API) remoteServices(r *http.Request) (api.Answer, error) {
	service := r.FormValue("serviceName")
	if service == "" {
		return none(r)
	}
	conds := []trace.Cond{serviceIs(service), {Field: trace.FieldAttr, Key: "peer.service", Op: trace.OpExists}}
	found, err := a.engine.Find(r.Context(), query.Request{Scan: trace.Scan{Spans: [][]trace.Cond{conds}}, Limit: recent})
	if err != nil {
		return api.Answer{}, err
	}
	var list []string
	for _, t := range found.Traces {
		for i := range t.Spans {
			if v, ok := trace.Get(t.Spans[i].Attrs, "peer.service"); ok && t.Spans[i].Service() == service {
				list = append(list, v.Text())
			}
		}
	}
	return names(list, nil)
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

func parseID(s string) (trace.ID, error) {
	id, err := trace.ParseID(s)
	if err != nil {
		return id, trace.Errorf(trace.Invalid, "%.60s should be a 1 to 32 character lower-hex string with no prefix", s)
	}
	return id, nil
}

func (a *API) traceMany(r *http.Request) (api.Answer, error) {
	ids := strings.Split(r.FormValue("traceIds"), ",")
	switch {
	case r.FormValue("traceIds") == "":
		return api.Answer{}, trace.Errorf(trace.Invalid, "traceIds parameter is empty")
	case len(ids) == 1:
		return api.Answer{}, trace.Errorf(trace.Invalid, "Use /api/v2/trace/{traceId} endpoint to retrieve a single trace")
	}
	out := []json.RawMessage{}
	seen := map[trace.ID]bool{}
	for _, s := range ids {
		id, err := parseID(s)
		if err != nil {
			return api.Answer{}, err
		}
		if seen[id] {
			return api.Answer{}, trace.Errorf(trace.Invalid, "redundant trace ID: %s", s)
		}
		seen[id] = true
		t, err := a.engine.Trace(r.Context(), id, trace.Range{})
		if trace.KindOf(err) == trace.NotFound {
			continue
		}
		if err != nil {
			return api.Answer{}, err
		}
		out = append(out, wire.EncodeTrace(t))
	}
	return api.Answer{Value: out}, nil
}

func (a *API) traces(r *http.Request) (api.Answer, error) {
	if err := r.ParseForm(); err != nil {
		return api.Answer{}, trace.Errorf(trace.Invalid, "the query string is broken: %v", err)
	}
	req, err := parse(r.Form, time.Now())
	if err != nil {
		return api.Answer{}, err
	}
	found, err := a.engine.Find(r.Context(), req)
	if err != nil {
		return api.Answer{}, err
	}
	out := make([]json.RawMessage, len(found.Traces))
	for i, t := range found.Traces {
		out[i] = wire.EncodeTrace(t)
	}
	return api.Answer{Value: out}, nil
}

func serviceIs(name string) trace.Cond {
	return trace.Cond{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String(name)}
}

const (
	defaultLimit    = 10
	maxLimit        = 20_000
	defaultLookback = 24 * time.Hour
)

// parse reads the parameters of a search. As in Zipkin each condition may hold on another span, but all of the named service.
func parse(form url.Values, now time.Time) (query.Request, error) {
	req := query.Request{Limit: defaultLimit}
	var base []trace.Cond
	if v := form.Get("serviceName"); v != "" {
		base = append(base, serviceIs(v))
	}
	with := func(c ...trace.Cond) { req.Scan.Spans = append(req.Scan.Spans, append(slices.Clone(base), c...)) }
	if v := form.Get("remoteServiceName"); v != "" {
		with(trace.Cond{Field: trace.FieldAttr, Key: "peer.service", Op: trace.OpText, Value: trace.String(v)})
	}
	if v := form.Get("spanName"); v != "" && v != "all" {
		with(trace.Cond{Field: trace.FieldName, Op: trace.OpEqual, Value: trace.String(v)})
	}
	for _, c := range parseAnnotations(form.Get("annotationQuery")) {
		with(c)
	}
	var durations []trace.Cond
	for name, op := range map[string]trace.Op{"minDuration": trace.OpGreaterEqual, "maxDuration": trace.OpLessEqual} {
		if us, ok, err := number(form, name); err != nil {
			return req, err
		} else if ok {
			durations = append(durations, trace.Cond{Field: trace.FieldDuration, Op: op, Value: trace.Int(us * 1000)})
		}
	}
	if len(durations) > 0 {
		with(durations...)
	}
	if len(req.Scan.Spans) == 0 && len(base) > 0 {
		with()
	}
	if n, ok, err := number(form, "limit"); err != nil {
		return req, err
	} else if ok {
		if n < 1 || n > maxLimit {
			return req, trace.Errorf(trace.Invalid, "limit must be 1 to %d", maxLimit)
		}
		req.Limit = int(n)
	}
	end, lookback := now.UnixMilli(), defaultLookback.Milliseconds()
	for name, dst := range map[string]*int64{"endTs": &end, "lookback": &lookback} {
		if ms, ok, err := number(form, name); err != nil {
			return req, err
		} else if ok {
			if ms < 1 {
				return req, trace.Errorf(trace.Invalid, "%s <= 0", name)
			}
			*dst = ms
		}
	}
	req.Scan.Range = trace.Range{From: uint64(max(0, end-lookback)) * 1e6, To: uint64(end)*1e6 + 999_999}
	return req, nil
}

func number(form url.Values, name string) (int64, bool, error) {
	v := form.Get(name)
	if v == "" {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(v, 10, 53)
	if err != nil {
		return 0, false, trace.Errorf(trace.Invalid, "Can't convert %.40q to a number for %s", v, name)
	}
	return n, true, nil
}

// parseAnnotations reads "error and http.path=/x": an annotation's value or a tag's key, or a tag's key and value.
func parseAnnotations(q string) []trace.Cond {
	var conds []trace.Cond
	for part := range strings.SplitSeq(q, " and ") {
		part = strings.TrimSpace(part)
		key, value, ok := strings.Cut(part, "=")
		switch {
		case part == "":
		case ok:
			conds = append(conds, trace.Cond{Field: trace.FieldAttr, Key: key, Op: trace.OpText, Value: trace.String(value)})
		case part == "error":
			conds = append(conds, trace.Cond{Field: trace.FieldStatus, Op: trace.OpEqual, Value: trace.Int(int64(trace.StatusError))})
		default:
			conds = append(conds, trace.Cond{Field: trace.FieldMark, Key: part, Op: trace.OpExists})
		}
	}
	return conds
}
