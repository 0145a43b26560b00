package tempo

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/tempo"
)

// byTags returns the query of the older form: all tags are on one span, as a part of their values in any case, and the trace's duration is in between.
func byTags(q wire.SearchRequest) (*traceql.Query, error) {
	var cond traceql.Expr
	for _, t := range q.Tags {
		cond = both(cond, tagCond(t))
	}
	filter := &traceql.Filter{Cond: both(cond, durationCond(q))}
	out := &traceql.Query{Search: &traceql.Pipeline{Stages: []traceql.Stage{filter}}}
	if err := traceql.Check(out); err != nil {
		return nil, &trace.Error{Kind: trace.KindOf(err), Msg: "invalid tags: " + err.Error()}
	}
	return out, nil
}

// durationCond returns the condition on the trace's duration; nil if there is none.
func durationCond(q wire.SearchRequest) (cond traceql.Expr) {
	bound := func(op traceql.Op, d time.Duration) {
		if d > 0 {
			cond = both(cond, compare(op, intrinsic(traceql.TraceDuration), traceql.TypeDuration, trace.Int(int64(d))))
		}
	}
	bound(traceql.OpGreaterEqual, q.MinDuration)
	bound(traceql.OpLessEqual, q.MaxDuration)
	return cond
}

// both joins two conditions, of which nil is none.
func both(x, y traceql.Expr) traceql.Expr {
	switch {
	case x == nil:
		return y
	case y == nil:
		return x
	}
	return &traceql.Binary{Op: traceql.OpAnd, X: x, Y: y}
}

func intrinsic(i traceql.Intrinsic) *traceql.FieldRef {
	return &traceql.FieldRef{Field: traceql.Field{Scope: traceql.ScopeIntrinsic, Intrinsic: i}}
}

func compare(op traceql.Op, f *traceql.FieldRef, t traceql.Type, v trace.Value) traceql.Expr {
	return &traceql.Binary{Op: op, X: f, Y: &traceql.Const{Kind: t, Value: v}}
}

// tagCond returns the condition for a tag. Some stand for what is no attribute; numbers and booleans are found by the whole of their texts.
func tagCond(t wire.Tag) traceql.Expr {
	f := &traceql.FieldRef{Field: traceql.Field{Key: t.Key}}
	switch t.Key {
	case "name":
		f = intrinsic(traceql.SpanName)
	case "root.name":
		f = intrinsic(traceql.TraceRootName)
	case "root.service.name":
		f = intrinsic(traceql.TraceRootService)
	case "status.code", "error":
		for _, s := range []trace.StatusCode{trace.StatusUnset, trace.StatusOK, trace.StatusError} {
			if t.Value == s.String() || t.Key == "error" && t.Value == "true" && s == trace.StatusError {
				return compare(traceql.OpEqual, intrinsic(traceql.SpanStatus), traceql.TypeStatus, trace.Int(int64(s)))
			}
		}
	}
	var out traceql.Expr = &traceql.Match{X: f, Patterns: []traceql.Pattern{{Text: "(?i).*" + regexp.QuoteMeta(t.Value) + ".*"}}}
	if f.Field.Scope == traceql.ScopeIntrinsic {
		return out
	}
	or := func(kind traceql.Type, v trace.Value) {
		out = &traceql.Binary{Op: traceql.OpOr, X: out, Y: compare(traceql.OpEqual, f, kind, v)}
	}
	if n, err := strconv.ParseInt(t.Value, 10, 64); err == nil {
		or(traceql.TypeInt, trace.Int(n))
	} else if n, err := strconv.ParseFloat(t.Value, 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
		or(traceql.TypeFloat, trace.Double(n))
	} else if t.Value == "true" || t.Value == "false" {
		or(traceql.TypeBool, trace.Bool(t.Value == "true"))
	}
	return out
}

// oldestForm returns the parameters that are no others as tags: what a search has that says nothing else, nor when.
func (p *params) oldestForm() (tags []wire.Tag) {
	for _, key := range slices.Sorted(maps.Keys(p.form)) {
		if slices.Contains([]string{"q", "tags", "start", "end", "limit", "spss", "minDuration", "maxDuration"}, key) {
			continue
		}
		if len(tags) == wire.MaxTags {
			p.fail("there are more than %d parameters", wire.MaxTags)
			return nil
		}
		tags = append(tags, wire.Tag{Key: key, Value: p.form.Get(key)})
	}
	return tags
}

// parseTags reads logfmt: key=value pairs with spaces between them; a value may be in quotes, with backslashes.
func parseTags(s string) (tags []wire.Tag, err error) {
	seen := map[string]bool{}
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		key, rest, ok := strings.Cut(s, "=")
		if !ok || key == "" || strings.ContainsAny(key, " \"") {
			return nil, trace.Errorf(trace.Invalid, "%.60q is not of the form key=value", s)
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, trace.Errorf(trace.Invalid, "the value of %.60s has a quote that does not end", key)
			}
			if value, err = strconv.Unquote(quoted); err != nil {
				return nil, trace.Errorf(trace.Invalid, "the value of %.60s, %.60s, is not as it is quoted", key, quoted)
			}
			s = rest[len(quoted):]
		} else {
			value, s, _ = strings.Cut(rest, " ")
		}
		switch {
		case seen[key]:
			return nil, trace.Errorf(trace.Invalid, "%.60s is there twice", key)
		case len(tags) == wire.MaxTags:
			return nil, trace.Errorf(trace.Invalid, "there are more than %d", wire.MaxTags)
		}
		seen[key] = true
		tags = append(tags, wire.Tag{Key: key, Value: value})
	}
	return tags, nil
}
