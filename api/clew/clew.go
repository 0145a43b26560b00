// Package clew is Clew's own HTTP API, which the page uses: see docs/http-api.md.
package clew

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/api/openapi"
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
	Others    []openapi.Call                                               // of other ports, for the document
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
	handlers := map[string]openapi.Handler{
		"status": a.status, "openapi": a.document, "services": a.services, "operations": a.operations, "attributes": a.attributes, "values": a.attributes,
		"search": a.search, "query": a.query, "trace": a.trace, "columns": a.columns, "rows": a.rows,
	}
	for _, c := range Calls() {
		mux.Handle(c.Pattern(), gate.Wrap("clew", c.Name, Refuse, c.Handler(handlers[c.Name])))
	}
	mux.Handle("/api/v1/", gate.Wrap("clew", "unknown", Refuse, func(r *http.Request) (api.Answer, error) {
		return api.Answer{}, trace.Errorf(trace.NotFound, "there is no call %s %.100s; see docs/http-api.md, or GET /api/v1/openapi.json", r.Method, r.URL.Path)
	}))
}

// Refuse writes an error as all of Clew's own calls do.
func Refuse(_ int, e *trace.Error) api.Answer {
	var out openapi.Error
	out.Error.Kind, out.Error.Message = e.Kind.String(), e.Msg
	return api.Answer{Value: out}
}

// decimal writes a time, in ns: a browser's numbers do not hold it.
func decimal(ns uint64) string { return strconv.FormatUint(ns, 10) }

type statusAnswer struct {
	Version   string        `json:"version"`
	StartedAt string        `json:"startedAt" form:"time"`
	Now       string        `json:"now" form:"time"`
	Listen    []Listener    `json:"listen"`
	Received  uint64        `json:"received" doc:"spans since the start of the process, of all tenants"`
	Refused   uint64        `json:"refused" doc:"spans, as received"`
	Stored    uint64        `json:"stored" doc:"spans, as received"`
	Store     storeStatus   `json:"store"`
	Retention keptRetention `json:"retention"`
}

type storeStatus struct {
	Spans  int64  `json:"spans" doc:"that a query can see now"`
	Blocks int64  `json:"blocks"`
	Bytes  int64  `json:"bytes" doc:"on disk"`
	Oldest string `json:"oldest" form:"time" doc:"start of the oldest span, in Unix nanoseconds; 0 if there is none"`
	Newest string `json:"newest" form:"time" doc:"start of the newest span, in Unix nanoseconds; 0 if there is none"`
}

type keptRetention struct {
	AgeNs int64 `json:"ageNs" doc:"how long spans are kept; 0: for ever"`
	Bytes int64 `json:"bytes" doc:"how much of the disk they may take; 0: all"`
}

func (a *API) status(r *http.Request, _ *openapi.Values) (api.Answer, error) {
	st, err := a.engine.Stats(r.Context())
	if err != nil {
		return api.Answer{}, err
	}
	age, bytes := a.process.Retention(r.Context())
	received, refused, stored := a.process.Totals(r.Context())
	return api.Answer{Value: statusAnswer{
		a.process.Version, decimal(uint64(a.process.Started.UnixNano())), decimal(uint64(time.Now().UnixNano())), a.process.Listen, received, refused, stored,
		storeStatus{st.Spans, st.Blocks, st.Bytes, decimal(st.Oldest), decimal(st.Newest)},
		keptRetention{int64(age), bytes},
	}}, nil
}

// document answers with what describes all of the own calls, those of the admin port as well.
func (a *API) document(r *http.Request, _ *openapi.Values) (api.Answer, error) {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	base := strings.TrimSuffix(path, "/api/v1/openapi.json")
	b, err := Document(openapi.About{Version: a.process.Version, Base: base}, a.process.Others)
	return api.Answer{Raw: b}, err
}

// Document returns the OpenAPI document of the calls of the query port and others.
func Document(about openapi.About, others []openapi.Call) ([]byte, error) {
	about.Also = append(about.Also, columnsHeader{})
	return openapi.Document(about, append(Calls(), others...))
}

type servicesAnswer struct {
	Services []string `json:"services"`
}

func (a *API) services(r *http.Request, _ *openapi.Values) (api.Answer, error) {
	names, err := a.engine.Services(r.Context())
	return api.Answer{Value: servicesAnswer{append([]string{}, names...)}}, err
}

type operationsAnswer struct {
	Operations []operation `json:"operations"`
}

type operation struct {
	Name string `json:"name"`
	Kind string `json:"kind" enum:"unspecified,internal,server,client,producer,consumer"`
}

func (a *API) operations(r *http.Request, v *openapi.Values) (api.Answer, error) {
	ops, err := a.engine.Operations(r.Context(), v.Text("service"))
	out := make([]operation, len(ops))
	for i, o := range ops {
		out[i] = operation{o.Name, o.Kind.String()}
	}
	return api.Answer{Value: operationsAnswer{out}}, err
}

type searchAnswer struct {
	Traces  []summary `json:"traces"`
	Cursor  string    `json:"cursor" doc:"of the next page; empty when there is no more"`
	Scanned scanned   `json:"scanned"`
}

type scanned struct {
	Complete bool   `json:"complete" doc:"false: the answer left something out"`
	Blocks   int    `json:"blocks"`
	Skipped  int    `json:"blocksSkipped" doc:"blocks that were not read, because nothing in them can match"`
	Bytes    int64  `json:"bytes" doc:"read"`
	Reason   string `json:"reason" doc:"why it is not complete"`
}

func (a *API) search(r *http.Request, v *openapi.Values) (api.Answer, error) {
	scan, err := ScanOf(v)
	if err != nil {
		return api.Answer{}, err
	}
	req := query.Request{Scan: scan, Limit: v.Number("limit"), Cursor: v.Text("cursor")}
	traces := []summary{}
	cursor, rep, err := a.engine.Each(r.Context(), req, func(t *trace.Trace) error {
		traces = append(traces, summarize(t))
		return nil
	})
	if err != nil {
		return api.Answer{}, err
	}
	return api.Answer{Value: searchAnswer{traces, cursor, scanned{rep.Incomplete == "", rep.Blocks, rep.BlocksSkipped, rep.Bytes, rep.Incomplete}}}, nil
}

type summary struct {
	TraceID     string  `json:"traceId" form:"trace"`
	RootService string  `json:"rootService" doc:"of the earliest span if there is no root"`
	RootName    string  `json:"rootName" doc:"as rootService"`
	Start       string  `json:"start" form:"time"`
	DurationNs  uint64  `json:"durationNs"`
	Spans       int     `json:"spans"`
	Errors      int     `json:"errors"`
	Gaps        int     `json:"gaps" doc:"distinct parents that spans name and that never arrived"`
	Services    []share `json:"services" doc:"the largest selfNs first"`
}

type share struct {
	Name   string `json:"name"`
	Spans  int    `json:"spans"`
	Errors int    `json:"errors"`
	SelfNs uint64 `json:"selfNs" doc:"time spent in the service itself, and not in its children"`
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

// ScanOf returns the conditions of a search from a request's parameters, which are ScanParams, and others. What it asks for is outlines.
// Errors name the parameter and what would be right.
func ScanOf(v *openapi.Values) (sc trace.Scan, err error) {
	sc.Outline = true
	var conds []trace.Cond
	if s := v.Text("service"); s != "" {
		conds = append(conds, trace.Cond{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String(s)})
	}
	if s := v.Text("operation"); s != "" {
		conds = append(conds, trace.Cond{Field: trace.FieldName, Op: trace.OpEqual, Value: trace.String(s)})
	}
	for _, tag := range v.All("tag") {
		conds = append(conds, parseTag(tag))
	}
	least, most := v.Duration("minDuration"), v.Duration("maxDuration")
	if v.Given("minDuration") {
		conds = append(conds, trace.Cond{Field: trace.FieldDuration, Op: trace.OpGreaterEqual, Value: trace.Int(int64(least))})
	}
	if v.Given("maxDuration") {
		if least > most {
			return sc, trace.Errorf(trace.Invalid, "minDuration is larger than maxDuration")
		}
		conds = append(conds, trace.Cond{Field: trace.FieldDuration, Op: trace.OpLessEqual, Value: trace.Int(int64(most))})
	}
	if len(conds) > 0 {
		sc.Spans = [][]trace.Cond{conds}
	}
	sc.Range, err = v.Range()
	return sc, err
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

func (a *API) trace(r *http.Request, v *openapi.Values) (api.Answer, error) {
	t, err := a.engine.Trace(r.Context(), v.ID("id"), trace.Range{})
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
