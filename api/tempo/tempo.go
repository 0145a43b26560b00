// Package tempo is Tempo's query API, over HTTP and as streams of gRPC, which Grafana's data source and its Traces Drilldown call.
package tempo

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"strings"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/tempo"
)

// version is the Tempo whose API this is. Clients switch calls on by it, such as Grafana its streams: of searches from 2.2, of metrics from 2.7 on.
const version = "3.0.0"

// API answers Tempo's calls.
type API struct {
	engine *query.Engine
	build  string // Clew's own version
	inner  inner
}

// Process is what the API tells of the process.
type Process struct {
	Version string // Clew's own
}

// Register adds the API's calls to a mux that answers nothing else.
func Register(mux *http.ServeMux, gate *api.Gate, engine *query.Engine, p Process) {
	a := &API{engine: engine, build: p.Version, inner: inner{byTenant: map[string]innerNames{}}}
	for pattern, text := range map[string]string{"GET /ready": "ready\n", "GET /api/echo": "echo", "GET /status/services": "clew Running\n"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", plain)
			_, _ = io.WriteString(w, text) // the client may be gone
		})
	}
	for _, c := range []struct {
		pattern, call string
		handler       api.Handler
	}{
		{"GET /api/status/buildinfo", "buildinfo", a.buildInfo},
		{"GET /api/traces/{id}", "trace", a.traceV1},
		{"GET /api/v2/traces/{id}", "trace", a.traceV2},
		{"GET /api/search", "search", handler(searchRequest, a.search)},
		{"GET /api/metrics/query_range", "metrics_range", handler(metricsRequest, a.series(false))},
		{"GET /api/metrics/query", "metrics_instant", handler(metricsRequest, a.series(true))},
		{"GET /api/search/tags", "tags", handler(tagsRequest, a.tagsV1)},
		{"GET /api/v2/search/tags", "tags", handler(tagsRequest, a.tagsV2)},
		{"GET /api/search/tag/{path...}", "tag_values", handler(valuesRequest, a.valuesV1)},
		{"GET /api/v2/search/tag/{path...}", "tag_values", handler(valuesRequest, a.valuesV2)},
		{"/", "unknown", unknown},
	} {
		h := gate.Wrap("tempo", c.call, refuse, c.handler)
		if c.pattern == "/" {
			h = api.NoCall(h)
		}
		mux.Handle(c.pattern, h)
	}
	for _, c := range []struct {
		method, call string
		answer       api.Call
	}{
		{"Search", "grpc_search", a.searchStream},
		{"MetricsQueryRange", "grpc_metrics_range", a.seriesStream(false)},
		{"MetricsQueryInstant", "grpc_metrics_instant", a.seriesStream(true)},
		{"SearchTags", "grpc_tags", called[wire.TagsRequest](a.tagsV1)},
		{"SearchTagsV2", "grpc_tags", called[wire.TagsRequest](a.tagsV2)},
		{"SearchTagValues", "grpc_tag_values", called[wire.ValuesRequest](a.valuesV1)},
		{"SearchTagValuesV2", "grpc_tag_values", called[wire.ValuesRequest](a.valuesV2)},
	} {
		mux.Handle("POST /"+streams+"/"+c.method, gate.GRPC("tempo", c.call, c.answer))
	}
	mux.Handle(api.HealthMethod, api.Health(streams))
}

// streams is the service of gRPC.
const streams = "tempopb.StreamingQuerier"

const plain = "text/plain; charset=utf-8"

func unknown(r *http.Request) (api.Answer, error) {
	return api.Answer{}, trace.Errorf(trace.NotFound, "there is no call %s %.100s", r.Method, r.URL.Path)
}

// refuse answers in plain text, which Grafana shows as it is.
func refuse(_ int, e *trace.Error) api.Answer {
	return api.Answer{Raw: []byte(e.Msg), ContentType: plain}
}

// message is an answer in both of its forms.
type message interface {
	AppendProto(b []byte) []byte
	AppendJSON(b []byte) []byte
	Why() string // something was left out; empty: nothing was
}

// handler answers over HTTP: a question of type Q, read by parse.
func handler[Q any](parse func(r *http.Request) (Q, error), ask func(ctx context.Context, q Q) (message, error)) api.Handler {
	return func(r *http.Request) (api.Answer, error) {
		q, err := parse(r)
		if err != nil {
			return api.Answer{}, err
		}
		m, err := ask(r.Context(), q)
		if err != nil {
			return api.Answer{}, err
		}
		out := api.Answer{}.Incomplete(m.Why())
		if wantsProto(r) {
			out.Raw, out.ContentType = m.AppendProto(nil), protobuf
		} else {
			out.Raw = m.AppendJSON(nil)
		}
		return out, nil
	}
}

// called answers over gRPC, with one message.
func called[Q any, P interface {
	*Q
	Decode(b []byte) error
}](ask func(ctx context.Context, q Q) (message, error)) api.Call {
	return func(ctx context.Context, b []byte, send func([]byte) error) error {
		var q Q
		if err := P(&q).Decode(b); err != nil {
			return err
		}
		m, err := ask(ctx, q)
		if err != nil {
			return err
		}
		return send(m.AppendProto(nil))
	}
}

const protobuf = "application/protobuf"

// wantsProto reports whether a request wants protobuf: JSON is for all who do not say so.
func wantsProto(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), protobuf) }

func (a *API) buildInfo(*http.Request) (api.Answer, error) {
	return api.Answer{Value: struct {
		Version   string `json:"version"`
		Revision  string `json:"revision"`
		Branch    string `json:"branch"`
		BuildDate string `json:"buildDate"`
		BuildUser string `json:"buildUser"`
		GoVersion string `json:"goVersion"`
	}{Version: version, Revision: "clew " + a.build, Branch: "clew", GoVersion: runtime.Version()}}, nil
}
