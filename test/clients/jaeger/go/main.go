// Command go sends a trace, or asks how to sample, with jaeger-client-go. Arguments: udp|http|sampling HOST:PORT FILE.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"reflect"
	"time"

	"github.com/opentracing/opentracing-go"
	otlog "github.com/opentracing/opentracing-go/log"
	"github.com/uber/jaeger-client-go"
	"github.com/uber/jaeger-client-go/transport"
)

type tags [][3]any

type trace struct {
	Service string
	Process tags
	Spans   []span
}

type span struct {
	Name, Parent, Kind string
	Follows            []string
	Start, Duration    int64 // ms
	Error              bool
	Tags               tags
	Logs               []struct {
		At     int64
		Fields tags
	}
}

type decision struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Sampled   bool   `json:"sampled"`
}

func main() {
	mode, address := os.Args[1], os.Args[2]
	b, err := os.ReadFile(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	if mode == "sampling" {
		var told []decision
		if err := json.Unmarshal(b, &told); err != nil {
			log.Fatal(err)
		}
		print(decisions(address, told))
		return
	}
	var told trace
	if err := json.Unmarshal(b, &told); err != nil {
		log.Fatal(err)
	}
	var sender jaeger.Transport = transport.NewHTTPTransport("http://" + address + "/api/traces?format=jaeger.thrift")
	if mode == "udp" {
		if sender, err = jaeger.NewUDPTransport(address, 0); err != nil {
			log.Fatal(err)
		}
	}
	print(send(sender, &told))
}

func print(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(b))
}

// each calls fn with each tag, in the type that the file says.
func (t tags) each(fn func(key string, value any)) {
	for _, tag := range t {
		value := tag[2]
		switch tag[1] {
		case "int":
			value = int64(value.(float64))
		case "binary":
			value, _ = base64.StdEncoding.DecodeString(value.(string))
		}
		fn(tag[0].(string), value)
	}
}

func ms(n int64) time.Time { return time.UnixMilli(n) }

func send(sender jaeger.Transport, told *trace) any {
	options := []jaeger.TracerOption{jaeger.TracerOptions.Gen128Bit(true)}
	told.Process.each(func(key string, value any) { options = append(options, jaeger.TracerOptions.Tag(key, value)) })
	tracer, closer := jaeger.NewTracer(told.Service, jaeger.NewConstSampler(true), jaeger.NewRemoteReporter(sender), options...)
	spans := map[string]opentracing.Span{}
	ids := map[string]string{}
	for _, s := range told.Spans {
		start := []opentracing.StartSpanOption{opentracing.StartTime(ms(s.Start))}
		if s.Parent != "" {
			start = append(start, opentracing.ChildOf(spans[s.Parent].Context()))
		}
		for _, name := range s.Follows {
			start = append(start, opentracing.FollowsFrom(spans[name].Context()))
		}
		one := tracer.StartSpan(s.Name, start...)
		s.Tags.each(func(key string, value any) { one.SetTag(key, value) })
		if s.Kind != "" {
			one.SetTag("span.kind", s.Kind)
		}
		if s.Error {
			one.SetTag("error", true)
		}
		var logs []opentracing.LogRecord
		for _, l := range s.Logs {
			record := opentracing.LogRecord{Timestamp: ms(l.At)}
			l.Fields.each(func(key string, value any) { record.Fields = append(record.Fields, field(key, value)) })
			logs = append(logs, record)
		}
		one.FinishWithOptions(opentracing.FinishOptions{FinishTime: ms(s.Start + s.Duration), LogRecords: logs})
		spans[s.Name] = one
		ids[s.Name] = one.Context().(jaeger.SpanContext).SpanID().String()
	}
	if err := closer.Close(); err != nil {
		log.Fatal(err)
	}
	return map[string]any{"traceID": spans[told.Spans[0].Name].Context().(jaeger.SpanContext).TraceID().String(), "spans": ids}
}

func field(key string, value any) otlog.Field {
	switch v := value.(type) {
	case string:
		return otlog.String(key, v)
	case bool:
		return otlog.Bool(key, v)
	case int64:
		return otlog.Int64(key, v)
	}
	return otlog.Object(key, value)
}

func decisions(address string, told []decision) []decision {
	tracers := map[string]opentracing.Tracer{}
	for _, d := range told {
		if tracers[d.Service] == nil {
			initial := 1.0
			if d.Sampled {
				initial = 0
			}
			first, err := jaeger.NewProbabilisticSampler(initial)
			if err != nil {
				log.Fatal(err)
			}
			sampler := jaeger.NewRemotelyControlledSampler(d.Service, jaeger.SamplerOptions.InitialSampler(first),
				jaeger.SamplerOptions.SamplingServerURL("http://"+address+"/sampling"), jaeger.SamplerOptions.SamplingRefreshInterval(50*time.Millisecond))
			tracers[d.Service], _ = jaeger.NewTracer(d.Service, sampler, jaeger.NewNullReporter())
		}
	}
	var got []decision
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		got = nil
		for _, d := range told {
			d.Sampled = tracers[d.Service].StartSpan(d.Operation).Context().(jaeger.SpanContext).IsSampled()
			got = append(got, d)
		}
		if reflect.DeepEqual(got, told) {
			break
		}
	}
	return got
}
