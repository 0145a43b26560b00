package zipkin

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
)

const (
	defaultLimit    = 10
	maxLimit        = 20_000
	defaultLookback = 24 * time.Hour
)

// parse reads the parameters of a search. As in Zipkin each condition may hold on another span, but all of the named service.
func parse(form url.Values, now time.Time) (query.Request, error) {
	req := query.Request{Limit: defaultLimit, NoCursor: true}
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
	durations, err := parseDurations(form)
	if err != nil {
		return req, err
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
		if n > maxLimit {
			return req, trace.Errorf(trace.Invalid, "limit must be 1 to %d", maxLimit)
		}
		req.Limit = int(n)
	}
	req.Scan.Range, err = parseRange(form, now)
	return req, err
}

// parseDurations reads minDuration and maxDuration, in µs. As in Zipkin, both must hold on one span.
func parseDurations(form url.Values) ([]trace.Cond, error) {
	var conds []trace.Cond
	lo, hasLo, err := number(form, "minDuration")
	if err != nil {
		return nil, err
	}
	hi, hasHi, err := number(form, "maxDuration")
	if err != nil {
		return nil, err
	}
	if hasLo && hasHi && hi < lo {
		return nil, trace.Errorf(trace.Invalid, "maxDuration < minDuration")
	}
	if hasLo {
		conds = append(conds, trace.Cond{Field: trace.FieldDuration, Op: trace.OpGreaterEqual, Value: trace.Int(lo * 1000)})
	}
	if hasHi {
		conds = append(conds, trace.Cond{Field: trace.FieldDuration, Op: trace.OpLessEqual, Value: trace.Int(hi * 1000)})
	}
	return conds, nil
}

// maxMillis is the latest time, in ms, that is one in ns, too.
const maxMillis = 1 << 44

// parseRange reads endTs and lookback, in ms.
func parseRange(form url.Values, now time.Time) (trace.Range, error) {
	end, lookback := now.UnixMilli(), defaultLookback.Milliseconds()
	for _, p := range []struct {
		name string
		dst  *int64
	}{{"endTs", &end}, {"lookback", &lookback}} {
		ms, ok, err := number(form, p.name)
		if err != nil {
			return trace.Range{}, err
		}
		if ok {
			*p.dst = min(ms, maxMillis)
		}
	}
	return trace.Range{From: uint64(max(0, end-lookback)) * 1e6, To: uint64(end)*1e6 + 999_999}, nil
}

// number reads a parameter that is a whole number above 0.
func number(form url.Values, name string) (int64, bool, error) {
	v := form.Get(name)
	if v == "" {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(v, 10, 53)
	if err != nil {
		return 0, false, trace.Errorf(trace.Invalid, "For input string: %.40q", v)
	}
	if n < 1 {
		return 0, false, trace.Errorf(trace.Invalid, "%s <= 0", name)
	}
	return n, true, nil
}

// parseAnnotations reads "error and http.path=/x": an annotation's value or a tag's key, or a tag's key and value.
func parseAnnotations(q string) []trace.Cond {
	var keys []string
	values := map[string]string{}
	for part := range strings.SplitSeq(q, " and ") {
		key, value, ok := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		if _, seen := values[key]; !seen && key != "" {
			keys = append(keys, key)
		} else if seen && !ok {
			continue
		}
		values[key] = strings.TrimSpace(value) // of several the last counts
	}
	var conds []trace.Cond
	for _, key := range keys {
		switch value := values[key]; {
		case value != "":
			conds = append(conds, tagCond(key, value))
		case key == "error":
			conds = append(conds, trace.Cond{Field: trace.FieldError, Op: trace.OpEqual, Value: trace.Bool(true)})
		default:
			conds = append(conds, trace.Cond{Field: trace.FieldMark, Key: key, Op: trace.OpExists})
		}
	}
	return conds
}

// tagCond returns the condition for a tag; some stand for what is no attribute in OpenTelemetry's model, as the encoder writes them.
func tagCond(key, value string) trace.Cond {
	switch key {
	case "error":
		if value == "true" {
			return trace.Cond{Field: trace.FieldError, Op: trace.OpEqual, Value: trace.Bool(true)}
		}
	case "otel.status_code":
		for _, code := range []trace.StatusCode{trace.StatusOK, trace.StatusError} {
			if strings.EqualFold(value, code.String()) {
				return trace.Cond{Field: trace.FieldStatus, Op: trace.OpEqual, Value: trace.Int(int64(code))}
			}
		}
	case "otel.scope.name":
		return trace.Cond{Field: trace.FieldScopeName, Op: trace.OpEqual, Value: trace.String(value)}
	case "otel.scope.version":
		return trace.Cond{Field: trace.FieldScopeVersion, Op: trace.OpEqual, Value: trace.String(value)}
	}
	return trace.Cond{Field: trace.FieldAttr, Key: key, Op: trace.OpText, Value: trace.String(value)}
}
