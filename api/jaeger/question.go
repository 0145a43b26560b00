package jaeger

import (
	"time"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
)

// question is a search as gRPC and api/v3 ask it: TraceQueryParameters, whose field numbers are the same in both versions.
//
// Source: jaeger-idl, proto/api_v2/query.proto and proto/api_v3/query_service.proto.
type question struct {
	service, operation string
	tags               map[string]string
	min, max           uint64 // Unix ns, 0: none
	shortest, longest  time.Duration
	depth              int64 // 0: as many as usual
	raw                bool
	v3                 bool // times are required, and the latest one is exclusive
}

// parseQuestion reads TraceQueryParameters.
func parseQuestion(message []byte, v3 bool) (*question, error) {
	q := &question{v3: v3, tags: map[string]string{}}
	err := each(message, func(f field) (err error) {
		switch f.number {
		case 1:
			q.service = f.text()
		case 2:
			q.operation = f.text()
		case 3:
			return q.tag(f.body)
		case 4:
			q.min, err = timeOf(f.body, "start_time_min")
		case 5:
			q.max, err = timeOf(f.body, "start_time_max")
		case 6:
			q.shortest, err = durationOf(f.body, "duration_min")
		case 7:
			q.longest, err = durationOf(f.body, "duration_max")
		case 8:
			q.depth = int64(int32(f.num))
		case 9:
			q.raw = f.num != 0
		case 10:
			if v3 {
				return errFilter
			}
		}
		return err
	})
	return q, err
}

// errFilter refuses what Jaeger refuses as well, unless told otherwise: to leave it out would answer more than was asked for.
var errFilter = trace.Errorf(trace.Invalid, "query.filter is experimental in Jaeger and not supported here; use the other parameters of query")

// tag reads an entry of a map.
func (q *question) tag(entry []byte) error {
	var k, v string
	err := each(entry, func(f field) error {
		switch f.number {
		case 1:
			k = f.text()
		case 2:
			v = f.text()
		}
		return nil
	})
	q.tags[k] = v
	return err
}

// request translates the question.
func (q *question) request(now time.Time) (query.Request, error) {
	req := query.Request{Limit: defaultLimit, NoCursor: true}
	invalid := func(format string, args ...any) (query.Request, error) {
		return req, trace.Errorf(trace.Invalid, format, args...)
	}
	switch {
	case q.v3 && (q.min == 0 || q.max == 0):
		return invalid("query.start_time_min and query.start_time_max are required")
	case q.depth < 0 || q.depth > maxLimit:
		return invalid("search_depth is %d; want 1 to %d, or 0 for %d", q.depth, maxLimit, defaultLimit)
	case q.longest > 0 && q.longest < q.shortest:
		return invalid("duration_max should be greater than duration_min")
	case q.depth > 0:
		req.Limit = int(q.depth)
	}
	var conds []trace.Cond
	add := func(f trace.Field, op trace.Op, v trace.Value) {
		conds = append(conds, trace.Cond{Field: f, Op: op, Value: v})
	}
	if q.service != "" {
		add(trace.FieldService, trace.OpEqual, trace.String(q.service))
	}
	if q.operation != "" {
		add(trace.FieldName, trace.OpEqual, trace.String(q.operation))
	}
	if q.shortest > 0 {
		add(trace.FieldDuration, trace.OpGreaterEqual, trace.Int(int64(q.shortest)))
	}
	if q.longest > 0 {
		add(trace.FieldDuration, trace.OpLessEqual, trace.Int(int64(q.longest)))
	}
	for k, v := range q.tags {
		conds = append(conds, tagCond(k, v))
	}
	if len(conds) > 0 {
		req.Scan.Spans = [][]trace.Cond{conds}
	}
	req.Scan.Range = trace.Range{From: q.min, To: q.max}
	switch {
	case q.max == 0:
		req.Scan.Range.To = uint64(now.UnixNano())
	case q.v3:
		req.Scan.Range.To-- // which is not 0 after that
	}
	if q.min == 0 {
		req.Scan.Range.From = req.Scan.Range.To - min(req.Scan.Range.To, uint64(defaultLookback))
	}
	return req, nil
}
