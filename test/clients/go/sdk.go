package main

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/clewtrace/clew/test/clients/known"
)

// ids gives each span the ID that it is to have.
type ids struct {
	traceID trace.TraceID
	spanID  trace.SpanID
}

func (g *ids) NewIDs(context.Context) (trace.TraceID, trace.SpanID)  { return g.traceID, g.spanID }
func (g *ids) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return g.spanID }

// sendSpans makes the trace with the SDK's API: a provider for each resource, a tracer for each scope.
func sendSpans(ctx context.Context, client otlptrace.Client, t *known.Trace) error {
	var failed error // of the batch processor; it is joined when all is flushed
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { failed = errors.Join(failed, err) }))
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return err
	}
	limits := sdktrace.NewSpanLimits()
	limits.AttributeCountLimit, limits.EventCountLimit, limits.LinkCountLimit = t.Limits.Attributes, t.Limits.Events, t.Limits.Links
	limits.AttributePerEventCountLimit, limits.AttributePerLinkCountLimit = t.Limits.EventAttributes, t.Limits.LinkAttributes
	for _, r := range t.ResourceSpans {
		generator := &ids{}
		provider := sdktrace.NewTracerProvider(
			sdktrace.WithResource(resource.NewWithAttributes(r.SchemaURL, attributes(r.Resource.Attributes, 0)...)),
			sdktrace.WithIDGenerator(generator), sdktrace.WithRawSpanLimits(limits), sdktrace.WithBatcher(exporter),
		)
		for _, s := range r.ScopeSpans {
			tracer := provider.Tracer(s.Scope.Name, trace.WithInstrumentationVersion(s.Scope.Version), trace.WithSchemaURL(s.SchemaURL),
				trace.WithInstrumentationAttributes(attributes(s.Scope.Attributes, 0)...))
			for i := range s.Spans {
				generator.traceID, generator.spanID = trace.TraceID(id(s.Spans[i].TraceID)), trace.SpanID(id(s.Spans[i].SpanID))
				if err := play(ctx, tracer, &s.Spans[i]); err != nil {
					return err
				}
			}
		}
		if err := provider.ForceFlush(ctx); err != nil {
			return err
		}
	}
	return errors.Join(failed, exporter.Shutdown(ctx))
}

// play makes one span. The SDK drops the oldest events and links but the latest attributes: that is where the surplus goes.
func play(ctx context.Context, tracer trace.Tracer, s *known.Span) error {
	if s.ParentID != "" {
		parent, err := spanContext(&known.Link{TraceID: s.TraceID, SpanID: s.ParentID, TraceState: s.TraceState, Flags: s.Flags})
		if err != nil {
			return err
		}
		ctx = trace.ContextWithSpanContext(ctx, parent)
	}
	_, span := tracer.Start(ctx, s.Name, trace.WithSpanKind(trace.SpanKind(s.Kind)), trace.WithTimestamp(at(s.Start)))
	span.SetAttributes(attributes(s.Attributes, s.Dropped)...)
	for range s.DroppedEvents {
		span.AddEvent("surplus")
	}
	for _, e := range s.Events {
		span.AddEvent(e.Name, trace.WithTimestamp(at(e.Time)), trace.WithAttributes(attributes(e.Attributes, e.Dropped)...))
	}
	for range s.DroppedLinks {
		span.AddLink(trace.Link{SpanContext: span.SpanContext()})
	}
	for i := range s.Links {
		to, err := spanContext(&s.Links[i])
		if err != nil {
			return err
		}
		span.AddLink(trace.Link{SpanContext: to, Attributes: attributes(s.Links[i].Attributes, s.Links[i].Dropped)})
	}
	switch s.Status.Code {
	case 1:
		span.SetStatus(codes.Ok, "")
	case 2:
		span.SetStatus(codes.Error, s.Status.Message)
	}
	span.End(trace.WithTimestamp(at(s.End)))
	return nil
}

func at(ns uint64) time.Time { return time.Unix(0, int64(ns)) }

// isRemote is OTLP's flag for a context that came from another process.
const isRemote = 0x200

func spanContext(l *known.Link) (trace.SpanContext, error) {
	state, err := trace.ParseTraceState(l.TraceState)
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(id(l.TraceID)), SpanID: trace.SpanID(id(l.SpanID)), TraceFlags: trace.TraceFlags(l.Flags & 0xff),
		TraceState: state, Remote: l.Flags&isRemote != 0,
	}), err
}

// attributes returns known attributes as the SDK's, and a surplus behind them.
func attributes(list []known.Attribute, surplus uint32) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(list)+int(surplus))
	for _, a := range list {
		out = append(out, attribute.KeyValue{Key: attribute.Key(a.Key), Value: value(a.Value)})
	}
	for i := range surplus {
		out = append(out, attribute.Int("~surplus."+string(rune('a'+i)), int(i)))
	}
	return out
}

func value(v known.Value) attribute.Value {
	switch {
	case v.String != nil:
		return attribute.StringValue(*v.String)
	case v.Bool != nil:
		return attribute.BoolValue(*v.Bool)
	case v.Int != nil:
		return attribute.Int64Value(*v.Int)
	case v.Double != nil:
		return attribute.Float64Value(float64(*v.Double))
	case v.Bytes != nil:
		return attribute.ByteSliceValue(*v.Bytes)
	case v.Map != nil:
		return attribute.MapValue(attributes(v.Map.Values, 0)...)
	case v.Array != nil:
		return array(v.Array.Values)
	}
	return attribute.Value{}
}

// array makes an array of the SDK's type for its elements, which is another one for each type, or a mixed one.
func array(list []known.Value) attribute.Value {
	values := make([]attribute.Value, len(list))
	types := map[attribute.Type]bool{}
	for i, v := range list {
		values[i] = value(v)
		types[values[i].Type()] = true
	}
	if len(types) != 1 {
		return attribute.SliceValue(values...)
	}
	switch values[0].Type() {
	case attribute.STRING:
		return attribute.StringSliceValue(each(values, attribute.Value.AsString))
	case attribute.BOOL:
		return attribute.BoolSliceValue(each(values, attribute.Value.AsBool))
	case attribute.INT64:
		return attribute.Int64SliceValue(each(values, attribute.Value.AsInt64))
	case attribute.FLOAT64:
		return attribute.Float64SliceValue(each(values, attribute.Value.AsFloat64))
	}
	return attribute.SliceValue(values...)
}

func each[T any](values []attribute.Value, as func(attribute.Value) T) []T {
	out := make([]T, len(values))
	for i, v := range values {
		out[i] = as(v)
	}
	return out
}
