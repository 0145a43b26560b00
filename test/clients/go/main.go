// Command go sends the known trace with OpenTelemetry's Go SDK, or without it as OTLP's own messages through the SDK's clients.
//
//	go PROTOCOL ENDPOINT TRACE.json COMPRESSION [sdk|otlp]
//
// PROTOCOL is grpc or http/protobuf, ENDPOINT host:port, COMPRESSION gzip or none.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/clewtrace/clew/test/clients/known"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 5 {
		return errors.New("usage: go grpc|http/protobuf ENDPOINT TRACE.json gzip|none sdk|otlp")
	}
	t, err := known.Read(args[2])
	if err != nil {
		return err
	}
	client := newClient(args[0], args[1], args[3] == "gzip")
	if args[4] == "sdk" {
		return sendSpans(ctx, client, t)
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	return errors.Join(client.UploadTraces(ctx, messages(t)), client.Stop(ctx))
}

func newClient(protocol, endpoint string, compressed bool) otlptrace.Client {
	if protocol == "grpc" {
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(endpoint), otlptracegrpc.WithInsecure()}
		if compressed {
			options = append(options, otlptracegrpc.WithCompressor("gzip"))
		}
		return otlptracegrpc.NewClient(options...)
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpoint(endpoint), otlptracehttp.WithInsecure()}
	if compressed {
		options = append(options, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	}
	return otlptracehttp.NewClient(options...)
}

func messages(t *known.Trace) []*tracepb.ResourceSpans {
	var out []*tracepb.ResourceSpans
	for _, r := range t.ResourceSpans {
		rs := &tracepb.ResourceSpans{
			Resource:  &resourcepb.Resource{Attributes: keyValues(r.Resource.Attributes), DroppedAttributesCount: r.Resource.Dropped},
			SchemaUrl: r.SchemaURL,
		}
		for _, s := range r.ScopeSpans {
			ss := &tracepb.ScopeSpans{
				Scope: &commonpb.InstrumentationScope{
					Name: s.Scope.Name, Version: s.Scope.Version, Attributes: keyValues(s.Scope.Attributes), DroppedAttributesCount: s.Scope.Dropped,
				},
				SchemaUrl: s.SchemaURL,
			}
			for i := range s.Spans {
				ss.Spans = append(ss.Spans, message(&s.Spans[i]))
			}
			rs.ScopeSpans = append(rs.ScopeSpans, ss)
		}
		out = append(out, rs)
	}
	return out
}

func message(s *known.Span) *tracepb.Span {
	m := &tracepb.Span{
		TraceId: id(s.TraceID), SpanId: id(s.SpanID), ParentSpanId: id(s.ParentID), TraceState: s.TraceState, Flags: s.Flags,
		Name: s.Name, Kind: tracepb.Span_SpanKind(s.Kind), StartTimeUnixNano: s.Start, EndTimeUnixNano: s.End,
		Attributes: keyValues(s.Attributes), DroppedAttributesCount: s.Dropped,
		DroppedEventsCount: s.DroppedEvents, DroppedLinksCount: s.DroppedLinks,
		Status: &tracepb.Status{Code: tracepb.Status_StatusCode(s.Status.Code), Message: s.Status.Message},
	}
	for _, e := range s.Events {
		m.Events = append(m.Events, &tracepb.Span_Event{
			TimeUnixNano: e.Time, Name: e.Name, Attributes: keyValues(e.Attributes), DroppedAttributesCount: e.Dropped,
		})
	}
	for _, l := range s.Links {
		m.Links = append(m.Links, &tracepb.Span_Link{
			TraceId: id(l.TraceID), SpanId: id(l.SpanID), TraceState: l.TraceState, Flags: l.Flags,
			Attributes: keyValues(l.Attributes), DroppedAttributesCount: l.Dropped,
		})
	}
	return m
}

func keyValues(attributes []known.Attribute) []*commonpb.KeyValue {
	var out []*commonpb.KeyValue
	for _, a := range attributes {
		out = append(out, &commonpb.KeyValue{Key: a.Key, Value: anyValue(a.Value)})
	}
	return out
}

func anyValue(v known.Value) *commonpb.AnyValue {
	switch {
	case v.String != nil:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: *v.String}}
	case v.Bool != nil:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: *v.Bool}}
	case v.Int != nil:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: *v.Int}}
	case v.Double != nil:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: float64(*v.Double)}}
	case v.Bytes != nil:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: *v.Bytes}}
	case v.Map != nil:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: keyValues(v.Map.Values)}}}
	case v.Array != nil:
		list := &commonpb.ArrayValue{}
		for _, e := range v.Array.Values {
			list.Values = append(list.Values, anyValue(e))
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: list}}
	}
	return &commonpb.AnyValue{}
}

// id reads hexadecimal digits; the test wrote them, so that they are some.
func id(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
