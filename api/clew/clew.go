// Package clew is Clew's own HTTP API, which the page uses: see docs/http-api.md.
package clew

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/insight"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/otlp"
)

// Process is what the API asks the process.
type Process struct {
	Version   string
	Started   time.Time
	Listen    []Listener
	Totals    func(ctx context.Context) (received, refused, stored uint64) // of the tenant in ctx
	Deletions func() uint64                                                // grows when traces are deleted
	Retention func(ctx context.Context) (age time.Duration, bytes int64)   // of the tenant that asks
	KeepBytes int64                                                        // of memory for traces that the page shows
}

// Listener is a protocol and the address where it is spoken.
type Listener struct {
	Protocol string `json:"protocol"`
	Address  string `json:"address"`
}

// API answers Clew's own calls.
type API struct {
	engine  *query.Engine
	process Process
	traces  *cache
}

// Register adds the API's calls to a mux.
func Register(mux *http.ServeMux, gate *api.Gate, engine *query.Engine, process Process) {
	a := &API{engine: engine, process: process, traces: newCache(process.KeepBytes)}
	for pattern, h := range map[string]api.Handler{
		"status": a.status, "services": a.services, "query": a.query, "operations": a.operations, "search": a.search,
		"attributes": a.attributes, "attributes/{key}/values": a.attributes,
		"traces/{id}": a.trace, "traces/{id}/columns": a.columns, "traces/{id}/rows": a.rows,
	} {
		call := strings.NewReplacer("/{id}", "", "traces/", "", "attributes/{key}/", "").Replace(pattern)
		mux.Handle("GET /api/v1/"+pattern, gate.Wrap("clew", call, Refuse, h))
	}
	mux.Handle("/api/v1/", gate.Wrap("clew", "unknown", Refuse, func(r *http.Request) (api.Answer, error) {
		return api.Answer{}, trace.Errorf(trace.NotFound, "there is no call %s %.100s; see docs/http-api.md", r.Method, r.URL.Path)
	}))
}

// Refuse writes an error as all of Clew's own calls do.
func Refuse(_ int, e *trace.Error) api.Answer {
	type body struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
	}
	return api.Answer{Value: map[string]body{"error": {e.Kind.String(), e.Msg}}}
}

// decimal writes a time, in ns: a browser's numbers do not hold it.
func decimal(ns uint64) string { return strconv.FormatUint(ns, 10) }

func (a *API) status(r *http.Request) (api.Answer, error) {
	st, err := a.engine.Stats(r.Context())
	if err != nil {
		return api.Answer{}, err
	}
	age, bytes := a.process.Retention(r.Context())
	received, refused, stored := a.process.Totals(r.Context())
	type store struct {
		Spans  int64  `json:"spans"`
		Blocks int64  `json:"blocks"`
		Bytes  int64  `json:"bytes"`
		Oldest string `json:"oldest"`
		Newest string `json:"newest"`
	}
	type retention struct {
		AgeNs int64 `json:"ageNs"`
		Bytes int64 `json:"bytes"`
	}
	return api.Answer{Value: struct {
		Version   string     `json:"version"`
		StartedAt string     `json:"startedAt"`
		Now       string     `json:"now"`
		Listen    []Listener `json:"listen"`
		Received  uint64     `json:"received"`
		Refused   uint64     `json:"refused"`
		Stored    uint64     `json:"stored"`
		Store     store      `json:"store"`
		Retention retention  `json:"retention"`
	}{
		a.process.Version, decimal(uint64(a.process.Started.UnixNano())), decimal(uint64(time.Now().UnixNano())), a.process.Listen, received, refused, stored,
		store{st.Spans, st.Blocks, st.Bytes, decimal(st.Oldest), decimal(st.Newest)},
		retention{int64(age), bytes},
	}}, nil
}

func (a *API) services(r *http.Request) (api.Answer, error) {
	names, err := a.engine.Services(r.Context())
	return api.Answer{Value: map[string][]string{"services": names}}, err
}

func (a *API) operations(r *http.Request) (api.Answer, error) {
	ops, err := a.engine.Operations(r.Context(), r.FormValue("service"))
	type op struct {
		Name string `json:"name"`
		Kind string `json:"kind"`
	}
	out := make([]op, len(ops))
	for i, o := range ops {
		out[i] = op{o.Name, o.Kind.String()}
	}
	return api.Answer{Value: map[string][]op{"operations": out}}, err
}

const (
	defaultLimit = 20
	maxLimit     = 2000
)

func (a *API) search(r *http.Request) (api.Answer, error) {
	req, err := parseSearch(r)
	if err != nil {
		return api.Answer{}, err
	}
	traces := []summary{}
	cursor, rep, err := a.engine.Each(r.Context(), req, func(t *trace.Trace) error {
		traces = append(traces, summarize(t))
		return nil
	})
	if err != nil {
		return api.Answer{}, err
	}
	type scanned struct {
		Complete bool   `json:"complete"`
		Blocks   int    `json:"blocks"`
		Skipped  int    `json:"blocksSkipped"`
		Bytes    int64  `json:"bytes"`
		Reason   string `json:"reason"`
	}
	return api.Answer{Value: struct {
		Traces  []summary `json:"traces"`
		Cursor  string    `json:"cursor"`
		Scanned scanned   `json:"scanned"`
	}{traces, cursor, scanned{rep.Incomplete == "", rep.Blocks, rep.BlocksSkipped, rep.Bytes, rep.Incomplete}}}, nil
}

type summary struct {
	TraceID     string  `json:"traceId"`
	RootService string  `json:"rootService"`
	RootName    string  `json:"rootName"`
	Start       string  `json:"start"`
	DurationNs  uint64  `json:"durationNs"`
	Spans       int     `json:"spans"`
	Errors      int     `json:"errors"`
	Gaps        int     `json:"gaps"`
	Services    []share `json:"services"`
}

type share struct {
	Name   string `json:"name"`
	Spans  int    `json:"spans"`
	Errors int    `json:"errors"`
	SelfNs uint64 `json:"selfNs"`
}

func summarize(t *trace.Trace) summary {
	tree := trace.Arrange(t.Spans)
	s := insight.Summarize(t.Spans, tree, insight.Measure(t.Spans, tree))
	out := summary{t.ID.String(), s.RootService, s.RootName, decimal(s.Start), s.Duration, s.Spans, s.Errors, s.Gaps, make([]share, len(s.Services))}
	for i, v := range s.Services {
		out.Services[i] = share{v.Name, v.Spans, v.Errors, v.Self}
	}
	return out
}

// parseSearch reads the parameters of a search. Errors name the parameter and what would be right.
func parseSearch(r *http.Request) (query.Request, error) {
	req := query.Request{Limit: defaultLimit}
	var err error
	if req.Scan, err = ParseScan(r, "limit", "cursor"); err != nil {
		return req, err
	}
	req.Cursor = r.Form.Get("cursor")
	if v := r.Form.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxLimit {
			return req, trace.Errorf(trace.Invalid, "limit is %.40q; want 1 to %d", v, maxLimit)
		}
		req.Limit = n
	}
	return req, nil
}

// ParseScan reads the conditions of a search from a request's parameters, of which there may be others. What it asks for is outlines.
// Errors name the parameter and what would be right.
func ParseScan(r *http.Request, others ...string) (sc trace.Scan, err error) {
	sc.Outline = true
	if err := r.ParseForm(); err != nil {
		return sc, trace.Errorf(trace.Invalid, "the query string is broken: %v", err)
	}
	once := append(others, "service", "operation", "minDuration", "maxDuration", "from", "to")
	for k, v := range r.Form {
		switch {
		case k == "tag":
		case !slices.Contains(once, k):
			return sc, trace.Errorf(trace.Invalid, "there is no parameter %.40q", k)
		case len(v) > 1:
			return sc, trace.Errorf(trace.Invalid, "%s is given %d times; want one", k, len(v))
		}
	}
	var conds []trace.Cond
	if v := r.Form.Get("service"); v != "" {
		conds = append(conds, trace.Cond{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String(v)})
	}
	if v := r.Form.Get("operation"); v != "" {
		conds = append(conds, trace.Cond{Field: trace.FieldName, Op: trace.OpEqual, Value: trace.String(v)})
	}
	for _, tag := range r.Form["tag"] {
		conds = append(conds, parseTag(tag))
	}
	durations, err := parseDurations(r.Form)
	if err != nil {
		return sc, err
	}
	if conds = append(conds, durations...); len(conds) > 0 {
		sc.Spans = [][]trace.Cond{conds}
	}
	sc.Range, err = parseRange(r.Form)
	return sc, err
}

func parseDurations(form url.Values) ([]trace.Cond, error) {
	var conds []trace.Cond
	for _, d := range []struct {
		name string
		op   trace.Op
	}{{"minDuration", trace.OpGreaterEqual}, {"maxDuration", trace.OpLessEqual}} {
		v := form.Get(d.name)
		if v == "" {
			continue
		}
		dur, err := time.ParseDuration(v)
		if err != nil || dur < 0 {
			return nil, trace.Errorf(trace.Invalid, "%s is %.40q; want a duration such as 200ms or 1.5s", d.name, v)
		}
		conds = append(conds, trace.Cond{Field: trace.FieldDuration, Op: d.op, Value: trace.Int(int64(dur))})
	}
	if len(conds) == 2 && conds[0].Value.Int() > conds[1].Value.Int() {
		return nil, trace.Errorf(trace.Invalid, "minDuration is larger than maxDuration")
	}
	return conds, nil
}

func parseRange(form url.Values) (r trace.Range, err error) {
	for _, p := range []struct {
		name string
		dst  *uint64
	}{{"from", &r.From}, {"to", &r.To}} {
		if v := form.Get(p.name); v != "" {
			if *p.dst, err = strconv.ParseUint(v, 10, 63); err != nil {
				return r, trace.Errorf(trace.Invalid, "%s is %.40q; want nanoseconds since 1970", p.name, v)
			}
		}
	}
	if r.To != 0 && r.From > r.To {
		return r, trace.Errorf(trace.Invalid, "from is later than to")
	}
	return r, nil
}

func parseTag(tag string) trace.Cond {
	key, value, ok := strings.Cut(tag, "=")
	switch {
	case !ok:
		return trace.Cond{Field: trace.FieldAttr, Key: key, Op: trace.OpExists}
	case key == "error" && value == "true":
		return trace.Cond{Field: trace.FieldStatus, Op: trace.OpEqual, Value: trace.Int(int64(trace.StatusError))}
	}
	return trace.Cond{Field: trace.FieldAttr, Key: key, Op: trace.OpText, Value: trace.String(value)}
}

func (a *API) load(r *http.Request) (*trace.Trace, error) {
	id, err := trace.ParseID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return a.engine.Trace(r.Context(), id, trace.Range{})
}

func (a *API) trace(r *http.Request) (api.Answer, error) {
	t, err := a.load(r)
	if err != nil {
		return api.Answer{}, err
	}
	// A span and an attribute take so many bytes as OTLP/JSON at least.
	const spanBytes, attrBytes = 150, 30
	if err := api.Fits(t, spanBytes, attrBytes); err != nil {
		return api.Answer{}, err
	}
	return api.Answer{Raw: otlp.AppendJSON(nil, t.Spans)}, nil
}
