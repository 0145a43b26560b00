package zipkin

import (
	"math"
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
	n, err := parseNumbers(form, now)
	if err != nil {
		return req, err
	}
	if durations := n.durations(); len(durations) > 0 {
		with(durations...)
	}
	if len(req.Scan.Spans) == 0 && len(base) > 0 {
		with()
	}
	if n.limit.given {
		req.Limit = int(min(n.limit.value, maxLimit))
	}
	req.Scan.Range = rangeOf(n.endTS.value, n.lookback.value)
	return req, nil
}

// number is a parameter that is a whole number above 0.
type number struct {
	name  string
	bits  int  // of the type that Zipkin's server has for it
	plain bool // an empty one is refused, and not taken for one that is missing: in Zipkin's server, too, it is of a type that has no null
	given bool
	value int64
}

// numbers are those of a search.
type numbers struct {
	minDuration, maxDuration number // µs
	endTS, lookback          number // ms
	limit                    number
}

// parseNumbers reads the numbers of a search. Errors are those of Zipkin's server, which reads all before it looks at any, each in an order of its own.
func parseNumbers(form url.Values, now time.Time) (*numbers, error) {
	n := &numbers{
		minDuration: number{name: "minDuration", bits: 64}, maxDuration: number{name: "maxDuration", bits: 64},
		endTS: number{name: "endTs", bits: 64, value: now.UnixMilli()}, lookback: number{name: "lookback", bits: 64, value: defaultLookback.Milliseconds()},
		limit: number{name: "limit", bits: 32, plain: true},
	}
	if err := read(form, &n.minDuration, &n.maxDuration, &n.endTS, &n.lookback, &n.limit); err != nil {
		return nil, err
	}
	if err := positive(&n.endTS, &n.limit, &n.lookback, &n.minDuration); err != nil {
		return nil, err
	}
	switch {
	case n.maxDuration.given && !n.minDuration.given:
		return nil, trace.Errorf(trace.Invalid, "maxDuration is only valid with minDuration")
	case n.maxDuration.given && n.maxDuration.value < n.minDuration.value:
		return nil, trace.Errorf(trace.Invalid, "maxDuration < minDuration")
	}
	return n, nil
}

// durations returns the conditions on durations. As in Zipkin, both must hold on one span.
func (n *numbers) durations() []trace.Cond {
	var conds []trace.Cond
	ns := func(us int64) trace.Value { return trace.Int(min(us, math.MaxInt64/1000) * 1000) }
	if n.minDuration.given {
		conds = append(conds, trace.Cond{Field: trace.FieldDuration, Op: trace.OpGreaterEqual, Value: ns(n.minDuration.value)})
	}
	if n.maxDuration.given {
		conds = append(conds, trace.Cond{Field: trace.FieldDuration, Op: trace.OpLessEqual, Value: ns(n.maxDuration.value)})
	}
	return conds
}

// read reads numbers. One that is missing keeps its value.
func read(form url.Values, list ...*number) error {
	for _, n := range list {
		if !form.Has(n.name) {
			continue
		}
		v := form.Get(n.name)
		if v == "" {
			if n.plain {
				return trace.Errorf(trace.Invalid, "Cannot set null to primitive type parameter: %s", n.name)
			}
			continue
		}
		i, err := strconv.ParseInt(v, 10, n.bits)
		if err != nil {
			return trace.Errorf(trace.Invalid, `For input string: "%s"`, v)
		}
		n.value, n.given = i, true
	}
	return nil
}

// positive refuses the first number that was given and is not above 0.
func positive(list ...*number) error {
	for _, n := range list {
		if n.given && n.value < 1 {
			return trace.Errorf(trace.Invalid, "%s <= 0", n.name)
		}
	}
	return nil
}

// maxMillis is the latest time, in ms, that is one in ns, too.
const maxMillis = 1 << 44

// rangeOf returns the range that ends at a time, in ms, and begins so many before it.
func rangeOf(end, lookback int64) trace.Range {
	end = min(end, maxMillis)
	return trace.Range{From: uint64(max(0, end-lookback)) * 1e6, To: uint64(end)*1e6 + 999_999}
}

// maxConditions is how many parts an annotationQuery has at most, as in Zipkin's server: the last has all that is left.
const maxConditions = 100

// parseAnnotations reads "error and http.path=/x": an annotation's value or a tag's key, or a tag's key and value.
func parseAnnotations(q string) []trace.Cond {
	var keys []string
	values := map[string]string{}
	if q == "" {
		return nil
	}
	for _, part := range strings.SplitN(q, " and ", maxConditions) {
		key, value, ok := strings.Cut(part, "=")
		key = strings.TrimSpace(key) // what has none is looked for, too, and hardly found
		if _, seen := values[key]; !seen {
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
