// Command ottl writes what the Collector's own transform and filter processors make of the cases in testdata, for Clew's tests to compare
// with:
//
//	cd test/ottl && go run .
//
// It is a module of its own: Clew needs none of what the Collector needs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/filterprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.yaml.in/yaml/v3"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type testCase struct {
	Name, Kind, Config string
}

func run() error {
	raw, err := os.ReadFile("testdata/cases.yaml")
	if err != nil {
		return err
	}
	var cases []testCase
	if err := yaml.Unmarshal(raw, &cases); err != nil {
		return err
	}
	input, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces())
	if err != nil {
		return err
	}
	out := struct {
		Input    json.RawMessage
		Expected map[string]json.RawMessage
	}{input, map[string]json.RawMessage{}}
	for _, c := range cases {
		got, err := process(c)
		if err != nil {
			got, _ = json.Marshal(map[string]string{"error": err.Error()})
		}
		out.Expected[c.Name] = got
	}
	file, err := os.Create("testdata/expected.json")
	if err != nil {
		return err
	}
	e := json.NewEncoder(file)
	e.SetEscapeHTML(false)
	return errors.Join(e.Encode(out), file.Close())
}

// process returns what a processor makes of the traces.
func process(c testCase) ([]byte, error) {
	factory := transformprocessor.NewFactory()
	if c.Kind == "filter" {
		factory = filterprocessor.NewFactory()
	}
	var section map[string]any
	if err := yaml.Unmarshal([]byte(c.Config), &section); err != nil {
		return nil, err
	}
	cfg := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(section).Unmarshal(cfg); err != nil {
		return nil, err
	}
	if v, ok := cfg.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return nil, err
		}
	}
	sink := new(consumertest.TracesSink)
	ctx := context.Background()
	p, err := factory.CreateTraces(ctx, settings(factory), cfg, sink)
	if err != nil {
		return nil, err
	}
	if err := p.Start(ctx, nil); err != nil {
		return nil, err
	}
	if err := p.ConsumeTraces(ctx, traces()); err != nil {
		return nil, err
	}
	out := ptrace.NewTraces()
	for _, td := range sink.AllTraces() {
		td.ResourceSpans().MoveAndAppendTo(out.ResourceSpans())
	}
	return (&ptrace.JSONMarshaler{}).MarshalTraces(out)
}

func settings(f processor.Factory) processor.Settings {
	s := processortest.NewNopSettings(f.Type())
	s.ID = component.NewID(f.Type())
	return s
}

// traces are like those of the processors' own tests: two resources, and spans with everything.
func traces() ptrace.Traces {
	start := time.Date(2020, 2, 11, 20, 26, 12, 321, time.UTC)
	td := ptrace.NewTraces()
	for r, host := range []string{"localhost", "node-2"} {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl("https://opentelemetry.io/schemas/1.30.0")
		rs.Resource().Attributes().PutStr("host.name", host)
		rs.Resource().Attributes().PutStr("service.name", []string{"shop", "db"}[r])
		rs.Resource().Attributes().PutInt("process.pid", int64(100+r))
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName([]string{"scope", "my.scope"}[r])
		ss.Scope().SetVersion("1.2")
		for i, name := range []string{"operationA", "operationB", "app_3"} {
			s := ss.Spans().AppendEmpty()
			s.SetTraceID(pcommon.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
			s.SetSpanID(pcommon.SpanID{byte(r), 2, 3, 4, 5, 6, 7, byte(i + 1)})
			if i > 0 {
				s.SetParentSpanID(pcommon.SpanID{8, 7, 6, 5, 4, 3, 2, 1})
			}
			s.SetName(name)
			s.SetKind(ptrace.SpanKind(i + 1))
			s.TraceState().FromRaw("new=1")
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(i+1) * time.Second)))
			s.SetDroppedAttributesCount(uint32(i))
			s.Status().SetCode(ptrace.StatusCode(i))
			s.Status().SetMessage([]string{"", "", "request failed: password=secret1 tail"}[i])
			attributes(s.Attributes(), i)
			for e, name := range []string{"eventA", "eventB", "grpc.timeout"}[:i+1] {
				event := s.Events().AppendEmpty()
				event.SetName(name)
				event.SetTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(e))))
				event.Attributes().PutBool("grpc", e == 2)
				event.Attributes().PutStr("message", "hello")
			}
			l := s.Links().AppendEmpty()
			l.SetTraceID(pcommon.TraceID{9})
			l.SetSpanID(pcommon.SpanID{9})
			l.Attributes().PutStr("why", "batch")
		}
	}
	return td
}

func attributes(a pcommon.Map, i int) {
	a.PutStr("http.method", []string{"get", "post", "get"}[i])
	a.PutStr("http.path", "/health")
	a.PutStr("http.url", "http://localhost/user/1/list/23?token=abc")
	a.PutStr("flags", "A|B|C")
	a.PutStr("total.string", "123456789")
	a.PutStr("container.name", []string{"container_1", "app_container_1", "x"}[i])
	a.PutInt("http.status_code", int64(200+100*i))
	a.PutDouble("ratio", 0.25)
	a.PutBool("ok", i == 0)
	a.PutStr("card", "5500 0000 0000 0004")
	m := a.PutEmptyMap("nested")
	m.PutStr("inner", "value")
	list := a.PutEmptySlice("list")
	list.AppendEmpty().SetStr("one")
	list.AppendEmpty().SetInt(2)
	a.PutEmptyBytes("bytes").FromRaw([]byte{1, 2, 3})
}
