package tempo

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/tempo"
)

const (
	defaultSince     = time.Hour
	defaultExemplars = 100 // also the most
)

// metricsRequest reads a question for series over HTTP.
func metricsRequest(r *http.Request) (q wire.MetricsRequest, err error) {
	p := paramsOf(r)
	q = wire.MetricsRequest{
		Query: p.form.Get("q"), Exemplars: p.count("exemplars"), MaxSeries: p.count("maxSeries"), Step: p.step(), End: p.time("end"),
	}
	if q.Query == "" {
		q.Query = p.form.Get("query")
	}
	if q.End == 0 {
		q.End = uint64(time.Now().UnixNano())
	}
	if q.Start = p.time("start"); q.Start == 0 {
		since := defaultSince
		if p.form.Get("since") != "" {
			since = p.duration("since")
		}
		q.Start = q.End - min(q.End, uint64(since))
	}
	return q, p.err
}

// time reads a time in Unix seconds, whole or not, in Unix nanoseconds (more than 10 digits), or as in RFC 3339; 0 if it is not given.
func (p *params) time(name string) uint64 {
	v := p.form.Get(name)
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseUint(v, 10, 64); err == nil {
		if len(v) <= 10 {
			n *= 1e9
		}
		return n
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil && s >= 0 && s < 1e10 {
		whole, part := math.Modf(s)
		return uint64(whole)*1e9 + uint64(math.Round(part*1e3))*1e6 // more than ms a float of this size does not have
	}
	if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
		if y := t.UTC().Year(); y < 1970 || y > 2261 { // in ns
			p.fail("invalid %s: %.40q is not between 1970 and 2261", name, v)
			return 0
		}
		return uint64(t.UnixNano())
	}
	p.fail("invalid %s: %.40q is neither Unix seconds or nanoseconds nor a time such as 2006-01-02T15:04:05Z", name, v)
	return 0
}

// step reads the step: seconds, or a duration with its unit; 0 if it is not given.
func (p *params) step() uint64 {
	v := p.form.Get("step")
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil && s > 0 && s < 1e9 {
		return uint64(s * 1e9)
	}
	if d, err := time.ParseDuration(v); err == nil && d > 0 {
		return uint64(d)
	}
	p.fail("invalid step: %.40q is neither a number of seconds nor a duration such as 30s", v)
	return 0
}

// seriesRequest returns the question that a request is; instant ones have one sample of the whole time.
func seriesRequest(q wire.MetricsRequest, instant bool) (s query.SeriesRequest, err error) {
	if q.Query == "" {
		return s, trace.Errorf(trace.Invalid, "missing q: a TraceQL query of metrics")
	}
	if q.End > math.MaxInt64 {
		return s, trace.Errorf(trace.Invalid, "invalid end: %d, in Unix nanoseconds, is after the year 2262", q.End)
	}
	if q.Start > math.MaxInt64 {
		return s, trace.Errorf(trace.Invalid, "invalid start: %d, in Unix nanoseconds, is after the year 2262", q.Start)
	}
	if q.End <= q.Start {
		return s, trace.Errorf(trace.Invalid, "http parameter start must be before end. received start=%d end=%d", q.Start, q.End)
	}
	s = query.SeriesRequest{Range: trace.Range{From: q.Start, To: q.End}}
	if !instant {
		s.Step = time.Duration(min(q.Step, math.MaxInt64))
		if s.Step == 0 {
			s.Step = query.DefaultStep(s.Range)
		}
		s.Exemplars = defaultExemplars
		if q.Exemplars > 0 {
			s.Exemplars = int(min(q.Exemplars, defaultExemplars))
		}
	}
	if s.Query, err = parseQuery(q.Query); err == nil && s.Query.Metrics == nil {
		err = trace.Errorf(trace.Invalid, "invalid q: it asks for traces, which are those of /api/search; end it with a function of metrics, as in { } | rate()")
	}
	return s, err
}

// asking is one question for series.
type asking struct {
	query.SeriesRequest
	most    int  // series; 0: all
	instant bool // a number of each, and not a number for each step
}

func ask(q wire.MetricsRequest, instant bool) (*asking, error) {
	s, err := seriesRequest(q, instant)
	return &asking{s, int(q.MaxSeries), instant}, err
}

// series answers with series over time or, instant, with a number of each.
func (a *API) series(instant bool) func(ctx context.Context, q wire.MetricsRequest) (message, error) {
	return func(ctx context.Context, q wire.MetricsRequest) (message, error) {
		s, err := ask(q, instant)
		if err != nil {
			return nil, err
		}
		answer, err := a.engine.Series(ctx, s.SeriesRequest)
		if err != nil {
			return nil, err
		}
		return s.message(answer, 1), nil
	}
}

// seriesStream sends what there is of an answer while it is counted, and at last all of it.
func (a *API) seriesStream(instant bool) api.Call {
	return func(ctx context.Context, b []byte, send func([]byte) error) error {
		var q wire.MetricsRequest
		if err := q.Decode(b); err != nil {
			return err
		}
		s, err := ask(q, instant)
		if err != nil {
			return err
		}
		tell := func(answer *query.SeriesAnswer, done int) error {
			return send(s.message(answer, done).AppendProto(nil))
		}
		s.Partial = func(part *query.SeriesAnswer) error { return tell(part, 0) }
		answer, err := a.engine.Series(ctx, s.SeriesRequest)
		if err != nil {
			return err
		}
		return tell(answer, 1)
	}
}

func (s *asking) message(from *query.SeriesAnswer, done int) message {
	m := metricsOf(from.Report, done)
	list := s.list(from, &m.Incomplete)
	if s.instant {
		return &wire.Instant{Series: list, Metrics: m}
	}
	return &wire.Range{Series: list, Metrics: m}
}

// list returns an answer's series that have samples. It says why if they are not all.
func (s *asking) list(from *query.SeriesAnswer, why *string) (out []wire.Series) {
	name := nameOf(s.Query.Metrics)
	for i := range from.Series {
		x := &from.Series[i]
		if len(x.Samples) == 0 {
			continue
		}
		if s.most > 0 && len(out) == s.most {
			*why = "there are more than " + strconv.Itoa(s.most) + " series"
			return out
		}
		w := wire.Series{Labels: labelsOf(x.Labels)}
		for _, sample := range x.Samples {
			w.Samples = append(w.Samples, wire.Sample(sample))
		}
		for _, e := range x.Exemplars {
			of := append(labelsOf(x.Labels), trace.Attr{Key: "trace:id", Value: trace.String(e.TraceID.String())}, trace.Attr{Key: "span:id", Value: trace.String(e.SpanID.String())})
			w.Exemplars = append(w.Exemplars, wire.Exemplar{Labels: of, Sample: wire.Sample{Time: int64(e.Time / 1e6), Value: e.Value}})
		}
		if len(w.Labels) == 0 && name != "" {
			w.Labels = append(w.Labels, trace.Attr{Key: "__name__", Value: trace.String(name)})
		}
		out = append(out, w)
	}
	return out
}

func labelsOf(from []eval.Label) []trace.Attr {
	out := make([]trace.Attr, 0, len(from)+2)
	for _, l := range from {
		out = append(out, trace.Attr{Key: l.Name, Value: valueOf(l.Value)})
	}
	return out
}

// nameOf returns what a series without labels is called: as the function, where there is but one. Grafana shows it beside the line.
func nameOf(s traceql.Series) string {
	switch s := s.(type) {
	case *traceql.Metrics:
		return s.Func.String()
	case *traceql.Top:
		return nameOf(s.X)
	case *traceql.Threshold:
		return nameOf(s.X)
	}
	return ""
}
