package jaeger

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
)

const (
	defaultLimit    = 100
	maxLimit        = 20_000
	defaultLookback = 48 * time.Hour
)

// parse reads the parameters of a search; its messages are Jaeger's where people know them.
func parse(form url.Values, now time.Time) (query.Request, error) {
	req := query.Request{Limit: defaultLimit, NoCursor: true}
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
	durations, err := parseDurations(form)
	if err != nil {
		return req, err
	}
	req.Scan.Spans = [][]trace.Cond{append(conds, durations...)}
	if v := form.Get("limit"); v != "" {
		if req.Limit, err = strconv.Atoi(v); err != nil || req.Limit < 1 || req.Limit > maxLimit {
			return invalid("unable to parse param 'limit': %.40q is not a number from 1 to %d", v, maxLimit)
		}
	}
	req.Scan.Range, err = parseRange(form, now)
	return req, err
}

// parseDurations reads minDuration and maxDuration. 0 means none, as in Jaeger.
func parseDurations(form url.Values) (conds []trace.Cond, err error) {
	var lo, hi time.Duration
	for _, p := range []struct {
		name string
		dst  *time.Duration
		op   trace.Op
	}{{"minDuration", &lo, trace.OpGreaterEqual}, {"maxDuration", &hi, trace.OpLessEqual}} {
		v := form.Get(p.name)
		if v == "" {
			continue
		}
		if *p.dst, err = time.ParseDuration(v); err != nil || *p.dst < 0 {
			return nil, trace.Errorf(trace.Invalid, "unable to parse param '%s': %.60q is not a duration such as 1.2s or 100ms", p.name, v)
		}
		if *p.dst > 0 {
			conds = append(conds, trace.Cond{Field: trace.FieldDuration, Op: p.op, Value: trace.Int(int64(*p.dst))})
		}
	}
	if hi != 0 && hi < lo {
		return nil, trace.Errorf(trace.Invalid, "'maxDuration' should be greater than 'minDuration'")
	}
	return conds, nil
}

// parseRange reads start and end (µs). Without a start it is the lookback (such as 1h) before the end; Jaeger's UI sends all three.
func parseRange(form url.Values, now time.Time) (trace.Range, error) {
	us, ok, err := number(form, "end", "microseconds")
	if err != nil {
		return trace.Range{}, err
	}
	if !ok {
		us = uint64(now.UnixMicro())
	}
	r := trace.Range{To: us*1000 + 999} // the whole microsecond
	if us, ok, err := number(form, "start", "microseconds"); err != nil || ok {
		r.From = us * 1000
		return r, err
	}
	lookback := defaultLookback
	if v := form.Get("lookback"); v != "" && v != "custom" {
		d, err := parseLookback(v)
		if err != nil {
			return r, err
		}
		lookback = d
	}
	r.From = us*1000 - min(us*1000, uint64(lookback))
	return r, nil
}

// number reads a parameter that is a whole number of a unit.
func number(form url.Values, name, unit string) (n uint64, ok bool, err error) {
	v := form.Get(name)
	if v == "" {
		return 0, false, nil
	}
	if n, err = strconv.ParseUint(v, 10, 53); err != nil {
		return 0, false, trace.Errorf(trace.Invalid, "unable to parse param '%s': %.40q is not a number of %s", name, v, unit)
	}
	return n, true, nil
}

// parseLookback reads a duration, with d for days and w for weeks, too, as the UI's list of choices has them.
func parseLookback(v string) (time.Duration, error) {
	for unit, days := range map[string]int{"d": 1, "w": 7} {
		if number, ok := strings.CutSuffix(v, unit); ok {
			if n, err := strconv.Atoi(number); err == nil && n > 0 && n < 5000 {
				return time.Duration(n*days) * 24 * time.Hour, nil
			}
		}
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, trace.Errorf(trace.Invalid, "unable to parse param 'lookback': %.40q is not a duration such as 1h or 2d", v)
	}
	return d, nil
}

// parseTags reads tag=key:value, repeated, and tags={"key":"value"}. Empty ones, as forms send them, are none.
func parseTags(form url.Values) ([]trace.Cond, error) {
	var conds []trace.Cond
	for _, t := range form["tag"] {
		if t == "" {
			continue
		}
		key, value, ok := strings.Cut(t, ":")
		if !ok {
			return nil, trace.Errorf(trace.Invalid, "malformed 'tag' parameter, expecting key:value, received: %.100s", t)
		}
		conds = append(conds, tagCond(key, value))
	}
	for _, t := range form["tags"] {
		if t == "" {
			continue
		}
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

// tagCond returns the condition for a tag; some stand for what is no attribute in OpenTelemetry's model, as Encode writes them.
func tagCond(key, value string) trace.Cond {
	is := func(f trace.Field, v trace.Value) trace.Cond {
		return trace.Cond{Field: f, Op: trace.OpEqual, Value: v}
	}
	switch key {
	case "error":
		if failed, err := strconv.ParseBool(value); err == nil {
			return is(trace.FieldError, trace.Bool(failed))
		}
	case "span.kind":
		if k, ok := trace.ParseKind(value); ok {
			return is(trace.FieldKind, trace.Int(int64(k)))
		}
	case "span.status", "otel.status_code":
		for _, code := range []trace.StatusCode{trace.StatusUnset, trace.StatusOK, trace.StatusError} {
			if strings.EqualFold(value, code.String()) {
				return is(trace.FieldStatus, trace.Int(int64(code)))
			}
		}
	case "otel.scope.name", "scope.name":
		return is(trace.FieldScopeName, trace.String(value))
	case "otel.scope.version", "scope.version":
		return is(trace.FieldScopeVersion, trace.String(value))
	}
	return trace.Cond{Field: trace.FieldTag, Key: key, Op: trace.OpText, Value: trace.String(value)}
}
