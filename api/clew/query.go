package clew

import (
	"context"
	"net/http"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/api/openapi"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/series"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// defaultWindow is how much of time metrics are of that have no range.
const defaultWindow = time.Hour

// named is a field or label with its value, as attributes are written.
type named struct {
	Name  string `json:"name"`
	Type  string `json:"type" enum:"string,int,double,bool,bytes,array,map,empty,duration,status,kind,nil"`
	Value string `json:"value"`
}

type foundTrace struct {
	TraceID     string         `json:"traceId" form:"trace"`
	RootService string         `json:"rootService" doc:"empty when no root span has arrived"`
	RootName    string         `json:"rootName" doc:"as rootService"`
	Start       string         `json:"start" form:"time"`
	DurationNs  uint64         `json:"durationNs"`
	Spans       int            `json:"spans"`
	Errors      int            `json:"errors"`
	Services    []serviceCount `json:"services"`
	Sets        []foundSet     `json:"sets"`
}

type serviceCount struct {
	Name   string `json:"name"`
	Spans  int    `json:"spans"`
	Errors int    `json:"errors"`
}

type foundSet struct {
	By      []named     `json:"by"`
	Matched int         `json:"matched" doc:"how many spans were found, of which some are in spans"`
	Spans   []foundSpan `json:"spans"`
}

type foundSpan struct {
	SpanID     string  `json:"spanId" form:"span"`
	Parent     string  `json:"parentSpanId" form:"spanOrEmpty"`
	Service    string  `json:"service"`
	Name       string  `json:"name"`
	Kind       string  `json:"kind" enum:"unspecified,internal,server,client,producer,consumer"`
	Status     string  `json:"status" enum:"unset,ok,error"`
	Start      string  `json:"start" form:"time"`
	DurationNs uint64  `json:"durationNs"`
	Fields     []named `json:"fields" doc:"those that the query looks at or selects, without those that the span lacks"`
}

type madeSeries struct {
	Labels    []named    `json:"labels"`
	Samples   []sample   `json:"samples"`
	Exemplars []exemplar `json:"exemplars"`
}

type sample struct {
	Time  string  `json:"time" form:"time" doc:"end of the step, in Unix nanoseconds"`
	Value float64 `json:"value"`
}

type exemplar struct {
	Time    string  `json:"time" form:"time"`
	Value   float64 `json:"value"`
	TraceID string  `json:"traceId" form:"trace"`
	SpanID  string  `json:"spanId" form:"span"`
}

type queryScanned struct {
	Complete bool   `json:"complete" doc:"false: the answer left something out"`
	Blocks   int    `json:"blocks"`
	Skipped  int    `json:"blocksSkipped" doc:"blocks that were not read, because nothing in them can match"`
	Bytes    int64  `json:"bytes"`
	Traces   int    `json:"traces" doc:"looked at"`
	Spans    int64  `json:"spans" doc:"looked at"`
	Reason   string `json:"reason" doc:"why it is not complete"`
}

// queryAnswer has traces, spans or series, or, of a query that begins with explain, none of them.
type queryAnswer struct {
	Traces  []foundTrace `json:"traces,omitzero"`
	Columns []string     `json:"columns,omitzero" doc:"of spans: the fields that the query selects, or else looks at"`
	Spans   []foundRow   `json:"spans,omitzero" doc:"of a query with spans()"`
	Series  []madeSeries `json:"series,omitzero"`
	Plan    []string     `json:"plan,omitzero" doc:"text line by line: what the store was asked for, and what was read"`
	Cursor  string       `json:"cursor" doc:"of the next page; empty when there is no more"`
	Scanned queryScanned `json:"scanned"`
}

// query answers a query in TraceQL.
func (a *API) query(r *http.Request, v *openapi.Values) (api.Answer, error) {
	q, err := traceql.Parse(v.Text("q"))
	if err != nil {
		return api.Answer{}, err
	}
	rng, err := v.Range()
	if err != nil {
		return api.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), v.Duration("timeout"))
	defer cancel()
	if q.Metrics != nil {
		req := query.SeriesRequest{Query: q, Range: window(rng), AllowPartial: v.Is("partial"), Exemplars: v.Number("exemplars"), Step: v.Duration("step")}
		if !v.Given("step") {
			req.Step = query.DefaultStep(req.Range)
		}
		return a.series(ctx, req)
	}
	if q.Spans {
		if v.Given("spans") {
			return api.Answer{}, trace.Errorf(trace.Invalid, "spans is how many to return of each trace; of a query with spans(), limit is how many to return")
		}
		return a.spans(ctx, query.SpansRequest{Query: q, Range: rng, AllowPartial: v.Is("partial"), Cursor: v.Text("cursor"), Limit: v.Number("limit")})
	}
	return a.find(ctx, query.SearchRequest{
		Query: q, Range: rng, AllowPartial: v.Is("partial"), Cursor: v.Text("cursor"), Limit: v.Number("limit"), Spans: v.Number("spans"),
	})
}

// window completes the range of metrics: to now, and from an hour before its end.
func window(r trace.Range) trace.Range {
	if r.To == 0 {
		r.To = uint64(time.Now().UnixNano())
	}
	if r.From == 0 {
		r.From = r.To - min(r.To, uint64(defaultWindow))
	}
	return r
}

func (a *API) find(ctx context.Context, req query.SearchRequest) (api.Answer, error) {
	found, err := a.engine.Search(ctx, req)
	if err != nil {
		return api.Answer{}, err
	}
	out := queryAnswer{Traces: make([]foundTrace, len(found.Traces)), Cursor: found.Cursor, Plan: found.Plan, Scanned: scannedOf(&found.Report)}
	for i := range found.Traces {
		out.Traces[i] = foundOf(&found.Traces[i])
	}
	if out.Plan != nil {
		out.Traces = nil
	}
	return api.Answer{Value: out}, nil
}

func scannedOf(r *query.Report) queryScanned {
	return queryScanned{r.Incomplete == "", r.Blocks, r.BlocksSkipped, r.Bytes, r.Traces, r.Spans, r.Incomplete}
}

func foundOf(t *query.FoundTrace) foundTrace {
	out := foundTrace{
		TraceID: t.ID.String(), RootService: t.RootService, RootName: t.RootName, Start: decimal(t.Start), DurationNs: uint64(t.Duration()),
		Spans: t.Spans, Errors: t.Errors, Services: make([]serviceCount, len(t.Services)), Sets: make([]foundSet, len(t.Sets)),
	}
	for i, s := range t.Services {
		out.Services[i] = serviceCount(s)
	}
	for i, set := range t.Sets {
		out.Sets[i] = foundSet{By: labelsOf(set.By), Matched: set.Matched, Spans: make([]foundSpan, len(set.Spans))}
		for k := range set.Spans {
			out.Sets[i].Spans[k] = spanOf(&set.Spans[k])
		}
	}
	return out
}

func spanOf(s *query.FoundSpan) foundSpan {
	out := foundSpan{
		SpanID: s.ID.String(), Service: s.Service, Name: s.Name, Kind: s.Kind.String(), Status: s.Status.String(),
		Start: decimal(s.Start), DurationNs: s.End - s.Start, Fields: make([]named, len(s.Attrs)),
	}
	if !s.Parent.IsZero() {
		out.Parent = s.Parent.String()
	}
	for i, f := range s.Attrs {
		out.Fields[i] = namedOf(f.Field.String(), f.Value)
	}
	return out
}

func labelsOf(ls []eval.Label) []named {
	out := make([]named, len(ls))
	for i, l := range ls {
		out[i] = namedOf(l.Name, l.Value)
	}
	return out
}

// namedOf writes a value: those that are no attributes of a type of their own, as in the language.
func namedOf(name string, v eval.Value) named {
	switch v.Type {
	case traceql.TypeNil, traceql.TypeDuration, traceql.TypeStatus, traceql.TypeKind:
		return named{name, v.Type.String(), v.Text()}
	}
	return named{name, v.Value.Type().String(), v.Text()}
}

func (a *API) series(ctx context.Context, req query.SeriesRequest) (api.Answer, error) {
	made, err := a.engine.Series(ctx, req)
	if err != nil {
		return api.Answer{}, err
	}
	out := queryAnswer{Series: make([]madeSeries, len(made.Series)), Plan: made.Plan, Scanned: scannedOf(&made.Report)}
	for i := range made.Series {
		out.Series[i] = seriesOf(&made.Series[i])
	}
	if out.Plan != nil {
		out.Series = nil
	}
	return api.Answer{Value: out}, nil
}

func seriesOf(s *query.Series) madeSeries {
	out := madeSeries{Labels: labelsOf(s.Labels), Samples: make([]sample, len(s.Samples)), Exemplars: make([]exemplar, len(s.Exemplars))}
	for i, x := range s.Samples {
		out.Samples[i] = sample{decimal(uint64(x.Time) * 1e6), x.Value}
	}
	for i, x := range s.Exemplars {
		out.Exemplars[i] = exemplarOf(x)
	}
	return out
}

func exemplarOf(x series.Exemplar) exemplar {
	return exemplar{decimal(x.Time), x.Value, x.TraceID.String(), x.SpanID.String()}
}
