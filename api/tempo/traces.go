package tempo

import (
	"net/http"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/otlp"
	wire "github.com/clewtrace/clew/wire/tempo"
)

// A span and an attribute take so many bytes in JSON at least; in protobuf it is less.
const (
	spanBytes = 200
	attrBytes = 30
)

// trace returns the trace that a request is about. The times in it are where Tempo looks; here a trace is always whole.
func (a *API) trace(r *http.Request) (*trace.Trace, error) {
	id, err := trace.ParseID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	p := paramsOf(r)
	start, end := p.seconds("start"), p.seconds("end")
	if p.err != nil {
		return nil, p.err
	}
	near, err := rangeOf(start, end)
	if err != nil {
		return nil, err
	}
	t, err := a.engine.Trace(r.Context(), id, near)
	if trace.KindOf(err) == trace.NotFound {
		return nil, trace.Errorf(trace.NotFound, "trace not found")
	}
	if err != nil {
		return nil, err
	}
	if err := trace.BudgetOf(r.Context()).Take(api.JSONMemory(t)); err != nil { // protobuf is smaller
		return nil, err
	}
	trace.GroupSpans(t.Spans)
	if wantsProto(r) {
		t.Spans = trace.ValidTexts(t.Spans)
		return t, nil
	}
	return t, api.Fits(t, spanBytes, attrBytes)
}

// traceV1 answers with a bare trace. In JSON its field is called as it was in Tempo 1, and still is in this call.
func (a *API) traceV1(r *http.Request) (api.Answer, error) {
	t, err := a.trace(r)
	if err != nil {
		return api.Answer{}, err
	}
	if wantsProto(r) {
		return api.Answer{Raw: trace.AppendTraces(nil, t.Spans), ContentType: protobuf}, nil
	}
	return api.Answer{Raw: append(otlp.AppendMappedJSON([]byte(`{"batches":`), t.Spans), '}')}, nil
}

func (a *API) traceV2(r *http.Request) (api.Answer, error) {
	t, err := a.trace(r)
	if err != nil {
		return api.Answer{}, err
	}
	if wantsProto(r) {
		return api.Answer{Raw: wire.AppendTrace(nil, t.Spans, 0, ""), ContentType: protobuf}, nil
	}
	return api.Answer{Raw: wire.AppendTraceJSON(nil, t.Spans, 0, "")}, nil
}
