package tempo

import (
	"context"
	"net/http"
	"time"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/tempo"
)

const (
	defaultTraces = 20
	maxTraces     = 20_000
	defaultSpans  = 3      // of a set, over HTTP
	maxSpans      = 10_000 // of a set, also where all are asked for: matched says how many there are
)

// searchRequest reads a search over HTTP.
func searchRequest(r *http.Request) (q wire.SearchRequest, err error) {
	p := paramsOf(r)
	q = wire.SearchRequest{
		Query: p.form.Get("q"), Limit: p.count("limit"), Spans: defaultSpans, Start: p.seconds("start"), End: p.seconds("end"),
		MinDuration: p.duration("minDuration"), MaxDuration: p.duration("maxDuration"),
	}
	if p.form.Get("spss") != "" {
		q.Spans = p.count("spss")
	}
	if p.form.Get("limit") != "" && q.Limit == 0 {
		p.fail("invalid limit: must be a positive number")
	}
	tags := p.form.Get("tags")
	if tags != "" && q.Query != "" {
		p.fail("can't specify tags and q in the same query")
	}
	if q.Tags, err = parseTags(tags); err != nil {
		p.fail("invalid tags: %v", err)
	}
	if q.Query == "" && tags == "" && q.Start == 0 && q.End == 0 {
		q.Tags = p.oldestForm()
	}
	return q, p.err
}

// asked returns the search that a request asks for.
func asked(q wire.SearchRequest) (s query.SearchRequest, err error) {
	s = query.SearchRequest{Limit: defaultTraces, Spans: maxSpans, NoCursor: true}
	if q.Limit > maxTraces {
		return s, trace.Errorf(trace.Invalid, "invalid limit: %d is more than %d traces", q.Limit, maxTraces)
	}
	if q.Limit > 0 {
		s.Limit = int(q.Limit)
	}
	if q.Spans > 0 {
		s.Spans = int(min(q.Spans, maxSpans))
	}
	if s.Range, err = rangeOf(q.Start, q.End); err != nil {
		return s, err
	}
	if q.MaxDuration > 0 && q.MaxDuration < q.MinDuration {
		return s, trace.Errorf(trace.Invalid, "invalid maxDuration: %v is less than minDuration, %v", q.MaxDuration, q.MinDuration)
	}
	if q.Query == "" {
		s.Query, err = byTags(q)
		return s, err
	}
	if s.Query, err = parseQuery(q.Query); err != nil {
		return s, err
	}
	if s.Query.Search == nil {
		return s, trace.Errorf(trace.Invalid, "invalid q: it asks for metrics, which are those of /api/metrics/query_range")
	}
	if cond := durationCond(q); cond != nil { // Kiali sends it beside a query
		s.Query.Search.Stages = append(s.Query.Search.Stages, &traceql.Filter{Cond: cond})
	}
	return s, err
}

// parseQuery reads TraceQL. The error says where it is wrong.
func parseQuery(text string) (*traceql.Query, error) {
	q, err := traceql.Parse(text)
	if err != nil {
		return nil, &trace.Error{Kind: trace.KindOf(err), Msg: "invalid TraceQL query: " + err.Error()}
	}
	if q.Explain {
		return nil, trace.Errorf(trace.Invalid, "invalid TraceQL query: explain has no place in Tempo's answers")
	}
	return q, nil
}

// search answers with the traces that are found, newest first unless the query says otherwise.
func (a *API) search(ctx context.Context, q wire.SearchRequest) (message, error) {
	return a.find(ctx, q, nil)
}

// find answers a search; tell, if there is one, is called with each trace as soon as it is found.
func (a *API) find(ctx context.Context, q wire.SearchRequest, tell func(wire.Trace, int) error) (*wire.Search, error) {
	s, err := asked(q)
	if err != nil {
		return nil, err
	}
	out := &wire.Search{}
	s.Partial = func(f *query.FoundTrace) error {
		t := found(f)
		out.Traces = append(out.Traces, t)
		if tell != nil {
			if err := tell(t, len(out.Traces)); err != nil {
				return err
			}
		}
		return nil
	}
	answer, err := a.engine.Search(ctx, s)
	if err != nil {
		return nil, err
	}
	out.Metrics = metricsOf(answer.Report, 1)
	return out, nil
}

// between is how often what was found until then is sent in a stream.
const between = 200 * time.Millisecond

// searchStream sends traces while they are found, those that are new, and at last all of them.
func (a *API) searchStream(ctx context.Context, b []byte, send func([]byte) error) error {
	var q wire.SearchRequest
	if err := q.Decode(b); err != nil {
		return err
	}
	sent, part := time.Now(), &wire.Search{}
	out, err := a.find(ctx, q, func(t wire.Trace, n int) error {
		part.Traces = append(part.Traces, t)
		if now := time.Now(); now.Sub(sent) >= between || n == 1 {
			part.Metrics = wire.Metrics{Traces: n, JobsOfWhat: 1}
			err := send(part.AppendProto(nil))
			sent, part.Traces = now, nil
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return send(out.AppendProto(nil))
}

// metricsOf says what was read for an answer, of which a part of one job is done: 1 at its end.
func metricsOf(r query.Report, done int) wire.Metrics {
	return wire.Metrics{Incomplete: r.Incomplete, Traces: r.Traces, Bytes: r.Bytes, Blocks: r.Blocks + r.BlocksSkipped, Jobs: done, JobsOfWhat: 1}
}

// noRoot is what Tempo says of a trace without a root, and people know.
const noRoot = "<root span not yet received>"

func found(f *query.FoundTrace) wire.Trace {
	t := wire.Trace{ID: f.ID, RootService: f.RootService, RootName: f.RootName, Start: f.Start, Duration: uint64(f.Duration())}
	if f.Rootless {
		t.RootService = noRoot
	}
	for _, s := range f.Services {
		t.Services = append(t.Services, wire.Service(s))
	}
	for i := range f.Sets {
		from := &f.Sets[i]
		set := wire.SpanSet{Matched: from.Matched}
		for _, l := range from.By {
			set.Attrs = append(set.Attrs, trace.Attr{Key: "by(" + l.Name + ")", Value: valueOf(l.Value)})
		}
		for j := range from.Spans {
			set.Spans = append(set.Spans, foundSpan(&from.Spans[j]))
		}
		t.Sets = append(t.Sets, set)
	}
	return t
}

func foundSpan(f *query.FoundSpan) wire.Span {
	s := wire.Span{ID: f.ID, Name: f.Name, Start: f.Start, Duration: f.End - f.Start}
	seen := map[string]bool{}
	for _, v := range f.Attrs {
		key := keyOf(v.Field)
		if v.Field.Intrinsic == traceql.SpanName && !v.Field.Parent || v.Field.Intrinsic == traceql.SpanDuration && !v.Field.Parent || seen[key] { // which every span has
			continue
		}
		seen[key] = true
		s.Attrs = append(s.Attrs, trace.Attr{Key: key, Value: valueOf(v.Value)})
	}
	return s
}

// keyOf returns a field's name in an answer: an attribute's without its scope, and an intrinsic's in the older spelling, by which Grafana finds them.
func keyOf(f traceql.Field) string {
	if f.Scope == traceql.ScopeIntrinsic {
		if name, ok := map[traceql.Intrinsic]string{
			traceql.TraceDuration: "traceDuration", traceql.TraceRootName: "rootName", traceql.TraceRootService: "rootServiceName", traceql.SpanStatus: "status", traceql.SpanKind: "kind",
			traceql.SpanStatusMessage: "statusMessage", traceql.SpanChildCount: "childCount",
		}[f.Intrinsic]; ok && !f.Parent {
			return name
		}
		return f.String()
	}
	if f.Parent {
		return "parent." + f.Key
	}
	return f.Key
}

// valueOf returns a value as an attribute: statuses and kinds as words, durations with their units, and nil for what is not there. Arrays, maps and
// bytes are texts, too: Grafana shows no others.
func valueOf(v eval.Value) trace.Value {
	if v.Type == traceql.TypeDuration || v.Type == traceql.TypeAny || v.IsNil() {
		return trace.String(v.Text())
	}
	return v.Attr()
}
