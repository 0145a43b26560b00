package clew

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/series"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

const (
	defaultSpans   = 3
	maxSpans       = 1000
	maxExemplars   = 1000
	defaultTimeout = 30 * time.Second
	maxTimeout     = 10 * time.Minute
	defaultWindow  = time.Hour // of metrics without a range
)

// named is a field or label with its value, as attributes are written.
type named struct {
	Name  string `json:"name"`
	Type  string `json:"type"` // as of attributes, or duration, status, kind, nil
	Value string `json:"value"`
}

type foundTrace struct {
	TraceID     string         `json:"traceId"`
	RootService string         `json:"rootService"`
	RootName    string         `json:"rootName"`
	Start       string         `json:"start"`
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
	Matched int         `json:"matched"`
	Spans   []foundSpan `json:"spans"`
}

type foundSpan struct {
	SpanID     string  `json:"spanId"`
	Parent     string  `json:"parentSpanId"`
	Service    string  `json:"service"`
	Name       string  `json:"name"`
	Kind       string  `json:"kind"`
	Status     string  `json:"status"`
	Start      string  `json:"start"`
	DurationNs uint64  `json:"durationNs"`
	Fields     []named `json:"fields"`
}

type madeSeries struct {
	Labels    []named    `json:"labels"`
	Samples   []sample   `json:"samples"`
	Exemplars []exemplar `json:"exemplars"`
}

type sample struct {
	Time  string  `json:"time"`
	Value float64 `json:"value"`
}

type exemplar struct {
	Time    string  `json:"time"`
	Value   float64 `json:"value"`
	TraceID string  `json:"traceId"`
	SpanID  string  `json:"spanId"`
}

type queryScanned struct {
	Complete bool   `json:"complete"`
	Blocks   int    `json:"blocks"`
	Skipped  int    `json:"blocksSkipped"`
	Bytes    int64  `json:"bytes"`
	Traces   int    `json:"traces"`
	Spans    int64  `json:"spans"`
	Reason   string `json:"reason"`
}

// queryAnswer has traces or series, or, of a query that begins with explain, neither.
type queryAnswer struct {
	Traces  []foundTrace `json:"traces,omitzero"`
	Series  []madeSeries `json:"series,omitzero"`
	Plan    []string     `json:"plan,omitzero"`
	Cursor  string       `json:"cursor"`
	Scanned queryScanned `json:"scanned"`
}

// query answers a query in TraceQL.
func (a *API) query(r *http.Request) (api.Answer, error) {
	if err := r.ParseForm(); err != nil {
		return api.Answer{}, trace.Errorf(trace.Invalid, "the query string is broken: %v", err)
	}
	p := params{form: r.Form}
	p.known("q", "from", "to", "limit", "spans", "cursor", "step", "exemplars", "timeout", "partial")
	q, err := traceql.Parse(r.Form.Get("q"))
	if err != nil {
		return api.Answer{}, err
	}
	timeout := p.duration("timeout", defaultTimeout, maxTimeout)
	partial := p.is("partial")
	rng, err := parseRange(r.Form)
	if err != nil {
		return api.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if q.Metrics != nil {
		req := query.SeriesRequest{Query: q, Range: window(rng), AllowPartial: partial, Exemplars: p.number("exemplars", 0, maxExemplars)}
		req.Step = p.duration("step", query.DefaultStep(req.Range), 365*24*time.Hour)
		if p.err != nil {
			return api.Answer{}, p.err
		}
		return a.series(ctx, req)
	}
	req := query.SearchRequest{Query: q, Range: rng, AllowPartial: partial, Cursor: r.Form.Get("cursor")}
	req.Limit, req.Spans = p.number("limit", defaultLimit, maxLimit), p.number("spans", defaultSpans, maxSpans)
	if p.err != nil {
		return api.Answer{}, p.err
	}
	return a.find(ctx, req)
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

// params reads parameters, and keeps the first error, which names one and what would be right.
type params struct {
	form url.Values
	err  error
}

func (p *params) fail(format string, args ...any) {
	if p.err == nil {
		p.err = trace.Errorf(trace.Invalid, format, args...)
	}
}

func (p *params) known(names ...string) {
	for k, v := range p.form {
		switch {
		case !slices.Contains(names, k):
			p.fail("there is no parameter %.40q", k)
		case len(v) > 1:
			p.fail("%s is given %d times; want one", k, len(v))
		}
	}
}

func (p *params) number(name string, missing, most int) int {
	v := p.form.Get(name)
	if v == "" {
		return missing
	}
	least := min(1, missing) // 0 where that is usual
	if name == "spans" {
		least = 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		p.fail("%s is %.40q; want %d to %d", name, v, least, most)
	}
	return n
}

func (p *params) duration(name string, missing, most time.Duration) time.Duration {
	v := p.form.Get(name)
	if v == "" {
		return missing
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > most || d == 0 && name == "timeout" {
		p.fail("%s is %.40q; want a duration such as 15s, at most %v", name, v, most)
	}
	return d
}

func (p *params) is(name string) bool {
	v := p.form.Get(name)
	if v != "" && v != "true" && v != "false" {
		p.fail("%s is %.40q; want true or false", name, v)
	}
	return v == "true"
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
