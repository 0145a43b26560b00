package jaeger

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
)

// What the Monitor tab asks for. Jaeger has spans counted beforehand and asks a Prometheus; here they are counted when they are asked for.

const (
	defaultMetricsLookback = time.Hour
	defaultMetricsStep     = 5 * time.Second
	defaultRatePer         = 10 * time.Minute
	minStep                = time.Millisecond
	maxMetricsServices     = 100
	maxPoints              = 11_000  // of a series, as Prometheus has it
	maxSeriesPoints        = 1 << 20 // of all series together
)

// metricsQuery is what is asked for. Times and durations are ns.
type metricsQuery struct {
	services      []string
	byOperation   bool
	kinds         []trace.Kind
	start, end    int64 // of the points
	step, ratePer int64
}

// points returns how many points each series has: one at the start, then one each step.
func (q *metricsQuery) points() int { return int((q.end-q.start)/q.step) + 1 }

// window returns the points that count a moment: those from lo to before hi of which the time ratePer before them has it.
func (q *metricsQuery) window(at uint64) (lo, hi int) {
	after := func(t int64) int { // the first point that is not before t
		if t <= q.start {
			return 0
		}
		return int((t - q.start + q.step - 1) / q.step)
	}
	n := q.points()
	return min(after(int64(at)), n), min(after(int64(at)+q.ratePer), n)
}

// scan returns the scan for the spans of a service that are counted.
func (q *metricsQuery) scan(service string) trace.Scan {
	conds := []trace.Cond{{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String(service)}}
	if len(q.kinds) == 1 {
		conds = append(conds, trace.Cond{Field: trace.FieldKind, Op: trace.OpEqual, Value: trace.Int(int64(q.kinds[0]))})
	}
	r := trace.Range{From: uint64(max(0, q.start-q.ratePer)), To: uint64(q.end)}
	return trace.Scan{Range: r, Spans: [][]trace.Cond{conds}, Outline: true}
}

// parseMetrics reads the parameters of all three calls.
func parseMetrics(form url.Values, now time.Time) (q metricsQuery, err error) {
	for _, s := range form["service"] {
		if s != "" && !slices.Contains(q.services, s) {
			q.services = append(q.services, s)
		}
	}
	if n := len(q.services); n == 0 || n > maxMetricsServices {
		return q, trace.Errorf(trace.Invalid, "unable to parse param 'service': please provide at least one service name, and at most %d", maxMetricsServices)
	}
	if q.byOperation, err = boolean(form, "groupByOperation"); err != nil {
		return q, err
	}
	for _, name := range form["spanKind"] {
		k, ok := trace.ParseKind(name)
		if !ok {
			return q, trace.Errorf(trace.Invalid, "unable to parse param 'spanKind': unsupported span kind: '%.40s'", name)
		}
		q.kinds = append(q.kinds, k)
	}
	if len(q.kinds) == 0 {
		q.kinds = []trace.Kind{trace.KindServer}
	}
	end, lookback := now.UnixMilli(), int64(0)
	for _, p := range []struct {
		name       string
		dst        *int64
		otherwise  time.Duration
		least, max int64 // ms
	}{
		{"endTs", &end, time.Duration(end) * time.Millisecond, 0, 1 << 42}, // the sum of any two has to fit, in ns
		{"lookback", &lookback, defaultMetricsLookback, 0, 1 << 39},
		{"step", &q.step, defaultMetricsStep, 1, 1 << 39},
		{"ratePer", &q.ratePer, defaultRatePer, 1, 1 << 39},
	} {
		n, ok, err := number(form, p.name, "milliseconds")
		if err == nil && ok && (int64(n) < p.least || int64(n) > p.max) {
			err = trace.Errorf(trace.Invalid, "unable to parse param '%s': %d is not from %d to %d", p.name, n, p.least, p.max)
		}
		if err != nil {
			return q, err
		}
		*p.dst = int64(p.otherwise)
		if ok {
			*p.dst = int64(n) * int64(time.Millisecond)
		}
	}
	q.start, q.end = max(0, end-lookback), end
	if (q.end-q.start)/q.step >= maxPoints {
		return q, trace.Errorf(trace.Invalid, "unable to parse param 'step': there would be more than %d points; want a larger step, or a shorter lookback", maxPoints)
	}
	return q, nil
}

// measure is one of the three things that are measured: how it is named, what of a span it takes, and what becomes of that.
type measure struct {
	name, help string
	take       func(s *series, c call, lo, hi int)
	values     func(s *series, q *metricsQuery) []float64 // one a point; NaN: there is none
}

func (a *API) latencies(r *http.Request) (api.Answer, error) {
	v := r.URL.Query().Get("quantile")
	quantile, err := strconv.ParseFloat(v, 64)
	if err != nil || !(quantile >= 0 && quantile <= 1) {
		return api.Answer{}, trace.Errorf(trace.Invalid, "unable to parse param 'quantile': %.40q is not a number from 0 to 1", v)
	}
	return a.metrics(r, measure{
		"service_latencies", strconv.FormatFloat(quantile, 'f', 2, 64) + "th quantile latency, grouped by service",
		(*series).takeDuration, func(s *series, q *metricsQuery) []float64 { return s.quantiles(q.points(), quantile) },
	})
}

func (a *API) calls(r *http.Request) (api.Answer, error) {
	return a.metrics(r, measure{"service_call_rate", "calls/sec, grouped by service", (*series).takeCall, (*series).callRates})
}

func (a *API) errors(r *http.Request) (api.Answer, error) {
	return a.metrics(r, measure{
		"service_error_rate", "error rate, computed as a fraction of errors/sec over calls/sec, grouped by service", (*series).takeCall, (*series).errorRates,
	})
}

func minimalStep(*http.Request) (api.Answer, error) {
	return api.Answer{Value: body{Data: minStep.Milliseconds()}}, nil
}

func (a *API) metrics(r *http.Request, m measure) (api.Answer, error) {
	q, err := parseMetrics(r.URL.Query(), time.Now())
	if err != nil {
		return api.Answer{}, err
	}
	if q.byOperation {
		m.name = strings.Replace(m.name, "service", "service_operation", 1)
		m.help += " & operation"
	}
	all, rep, err := a.gather(r.Context(), &q, m)
	if err != nil {
		return api.Answer{}, err
	}
	raw, err := family(r.Context(), &q, m, all)
	if err != nil {
		return api.Answer{}, err
	}
	return api.Answer{Raw: raw}.Incomplete(rep.Incomplete), nil
}
