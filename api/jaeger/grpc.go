package jaeger

import (
	"context"
	_ "embed"
	"net/http"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/jaeger"
)

const (
	serviceV2 = "jaeger.api_v2.QueryService"
	serviceV3 = "jaeger.api_v3.QueryService"
	// chunkBytes is when a message of a stream is large enough: clients of gRPC take 4 MiB as they come.
	chunkBytes = 1 << 20
)

// descriptors is a FileDescriptorSet of both services: names, numbers and types.
//
// Source: jaeger-idl 0.14.0; test/jaegerquery makes it, and holds it against that.
//
//go:embed descriptors.binpb
var descriptors []byte

// GRPC returns the handler of Jaeger's gRPC port, for a server that speaks HTTP/2.
func (a *API) GRPC() http.Handler {
	mux := http.NewServeMux()
	for _, c := range []struct {
		service, method, call string
		answer                api.Call
	}{
		{serviceV2, "GetTrace", "grpc_v2_trace", a.grpcTrace},
		{serviceV2, "ArchiveTrace", "grpc_v2_archive", a.grpcArchive},
		{serviceV2, "FindTraces", "grpc_v2_search", a.grpcSearch},
		{serviceV2, "GetServices", "grpc_v2_services", a.grpcServices},
		{serviceV2, "GetOperations", "grpc_v2_operations", a.grpcOperations},
		{serviceV2, "GetDependencies", "grpc_v2_dependencies", a.grpcDependencies},
		{serviceV3, "GetTrace", "grpc_v3_trace", a.grpcTraceV3},
		{serviceV3, "FindTraces", "grpc_v3_search", a.grpcSearchV3},
		{serviceV3, "FindTraceSummaries", "grpc_v3_summaries", a.grpcSummaries},
		{serviceV3, "GetServices", "grpc_v3_services", a.grpcServices},
		{serviceV3, "GetOperations", "grpc_v3_operations", a.grpcOperationsV3},
		{serviceV3, "GetDependencies", "grpc_v3_dependencies", a.grpcDependencies},
	} {
		mux.Handle("/"+c.service+"/"+c.method, a.gate.GRPC("jaeger", c.call, c.answer))
	}
	mux.Handle(api.HealthMethod, api.Health(serviceV2, serviceV3))
	reflection, err := api.Reflection(descriptors, serviceV2, serviceV3)
	if err != nil { // they are part of the binary
		panic(err)
	}
	for _, method := range api.ReflectionMethods {
		mux.Handle(method, reflection)
	}
	mux.Handle("/", api.NoCall(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this port answers Jaeger's query API over gRPC, which is POST over HTTP/2 with content-type application/grpc; HTTP is on the query port, 16686", http.StatusUnsupportedMediaType)
	})))
	return mux
}

// grpcServices answers with names, as the field 1 of both versions.
func (a *API) grpcServices(ctx context.Context, _ []byte, send func([]byte) error) error {
	names, err := a.engine.Services(ctx)
	if err != nil {
		return err
	}
	var b []byte
	for _, n := range names {
		b = appendName(b, 1, n)
	}
	return send(b)
}

// operationsOf reads a GetOperationsRequest, {service=1, span_kind=2}, and returns the operations that it asks for.
func (a *API) operationsOf(ctx context.Context, message []byte) ([]operation, error) {
	var service, kind string
	err := each(message, func(f field) error {
		switch f.number {
		case 1:
			service = f.text()
		case 2:
			kind = f.text()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if service == "" {
		return nil, trace.Errorf(trace.Invalid, "service is required")
	}
	return a.listOperations(ctx, service, kind, "span_kind")
}

// grpcOperations answers with {operationNames=1, operations=2}.
func (a *API) grpcOperations(ctx context.Context, message []byte, send func([]byte) error) error {
	list, err := a.operationsOf(ctx, message)
	if err != nil {
		return err
	}
	var b []byte
	for i, o := range list {
		if i == 0 || list[i-1].Name != o.Name {
			b = appendName(b, 1, o.Name)
		}
	}
	for _, o := range list {
		b = appendMessage(b, 2, o.append(nil))
	}
	return send(b)
}

// grpcOperationsV3 answers with {operations=1}.
func (a *API) grpcOperationsV3(ctx context.Context, message []byte, send func([]byte) error) error {
	list, err := a.operationsOf(ctx, message)
	if err != nil {
		return err
	}
	var b []byte
	for _, o := range list {
		b = appendMessage(b, 1, o.append(nil))
	}
	return send(b)
}

// append appends an Operation, which is the same in both versions.
func (o *operation) append(b []byte) []byte { return appendText(appendText(b, 1, o.Name), 2, o.Kind) }

// grpcDependencies reads a GetDependenciesRequest, {start_time=1, end_time=2}, and answers with {dependencies=1}, each {parent=1, child=2,
// call_count=3}, which is the same in both versions.
func (a *API) grpcDependencies(ctx context.Context, message []byte, send func([]byte) error) error {
	var r trace.Range
	err := each(message, func(f field) (err error) {
		switch f.number {
		case 1:
			r.From, err = timeOf(f.body, "start_time")
		case 2:
			r.To, err = timeOf(f.body, "end_time")
		}
		return err
	})
	if err != nil {
		return err
	}
	if r.To == 0 { // the beginning of time is a start
		return trace.Errorf(trace.Invalid, "start_time and end_time are required")
	}
	calls, _, err := a.engine.Calls(ctx, r)
	if err != nil {
		return err
	}
	var b []byte
	for _, c := range calls {
		b = appendMessage(b, 1, appendNumber(appendText(appendText(nil, 1, c.Parent), 2, c.Child), 3, c.Count))
	}
	return send(b)
}

// traceRequest is which trace is wanted.
type traceRequest struct {
	id  trace.ID
	raw bool
}

// parseTraceRequest reads a GetTraceRequest or an ArchiveTraceRequest: {trace_id=1, start_time=2, end_time=3, raw_traces=4}. The ID is bytes in
// version 2 and hexadecimal digits in version 3.
func parseTraceRequest(message []byte, v3 bool) (r traceRequest, err error) {
	var id []byte
	err = each(message, func(f field) (err error) {
		switch f.number {
		case 1:
			id = f.body
		case 2:
			_, err = timeOf(f.body, "start_time")
		case 3:
			_, err = timeOf(f.body, "end_time")
		case 4:
			r.raw = f.num != 0
		}
		return err
	})
	switch {
	case err != nil:
	case v3:
		r.id, err = trace.ParseID(string(id))
	case len(id) > len(r.id):
		err = trace.Errorf(trace.Invalid, "trace_id has %d bytes; want 16", len(id))
	default:
		copy(r.id[len(r.id)-len(id):], id)
		if r.id.IsZero() {
			err = trace.Errorf(trace.Invalid, "trace_id is missing, or zero")
		}
	}
	return r, err
}

func (a *API) grpcArchive(ctx context.Context, message []byte, send func([]byte) error) error {
	r, err := parseTraceRequest(message, false)
	if err != nil {
		return err
	}
	if err := a.keeper.Archive(ctx, r.id); err != nil {
		return notFound(err)
	}
	return send(nil)
}

// grpcTrace answers with SpansResponseChunk messages, {spans=1}.
func (a *API) grpcTrace(ctx context.Context, message []byte, send func([]byte) error) error {
	r, err := parseTraceRequest(message, false)
	if err != nil {
		return err
	}
	t, err := a.engine.Trace(ctx, r.id, trace.Range{})
	if err != nil {
		return notFound(err)
	}
	return (&chunks{raw: r.raw, send: send, held: trace.BudgetOf(ctx)}).trace(t)
}

// grpcSearch answers with the chunks of each trace as it is found.
func (a *API) grpcSearch(ctx context.Context, message []byte, send func([]byte) error) error {
	q, err := parseFind(message, false)
	if err != nil {
		return err
	}
	req, err := q.request(time.Now())
	if err != nil {
		return err
	}
	out := &chunks{raw: q.raw, send: send, held: trace.BudgetOf(ctx)}
	_, _, err = a.engine.Each(ctx, req, out.trace)
	return err
}

// parseFind reads a request whose field 1 is the query.
func parseFind(message []byte, v3 bool) (q *question, err error) {
	err = each(message, func(f field) (err error) {
		if f.number == 1 {
			q, err = parseQuestion(f.body, v3)
		}
		return err
	})
	if err == nil && q == nil {
		err = trace.Errorf(trace.Invalid, "missing query")
	}
	return q, err
}

// chunks sends spans of model.proto. The spans of a trace follow each other, but several traces may be in a chunk and a trace in several.
type chunks struct {
	raw     bool
	send    func([]byte) error
	held    *trace.Budget
	encoder wire.SpanEncoder
	buffer  []byte
}

func (c *chunks) trace(t *trace.Trace) error {
	c.encoder = wire.SpanEncoder{} // what it keeps is of one trace, mostly
	if n := api.Copies(t); !c.raw {
		if err := c.held.Take(n); err != nil {
			return err
		}
		defer c.held.Give(n)
		t = wire.Mend(t)
	}
	for i := range t.Spans {
		at := len(c.buffer)
		c.buffer = c.encoder.Append(c.buffer, 1, &t.Spans[i])
		if len(c.buffer) <= chunkBytes {
			continue
		}
		if at > 0 { // the span begins the next one
			if err := c.send(c.buffer[:at]); err != nil {
				return err
			}
			c.buffer = append(c.buffer[:0], c.buffer[at:]...)
		}
		if len(c.buffer) > chunkBytes { // a span of that size is alone
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return c.flush()
}

func (c *chunks) flush() error {
	if len(c.buffer) == 0 {
		return nil
	}
	err := c.send(c.buffer)
	c.buffer = c.buffer[:0]
	if cap(c.buffer) > 4*chunkBytes {
		c.buffer = nil
	}
	return err
}
