package demo

import (
	"context"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/tracecontext"
)

// Mixed is the propagation of a shop whose services were written by different people: each writes another format, and all read all.
const Mixed = "mixed"

// mixedFormats are what the services of a mixed shop write, in turn.
var mixedFormats = []tracecontext.Format{tracecontext.TraceContext, tracecontext.B3, tracecontext.B3Multi, tracecontext.Jaeger, tracecontext.Linkerd}

// propagator has the services' SDKs read and write trace context as Clew does.
type propagator struct{ read, write tracecontext.Propagator }

// propagatorOf returns the propagator of the nth service: one that reads and writes a list of formats, or, of a mixed shop, one of them.
func propagatorOf(list string, n int) (propagator, error) {
	if list != Mixed {
		p, err := tracecontext.Parse(list)
		return propagator{p, p}, err
	}
	all, err := tracecontext.Parse(tracecontext.Names())
	return propagator{all, tracecontext.Propagator{mixedFormats[n%len(mixedFormats)], tracecontext.Baggage}}, err
}

type contextKey struct{}

// Inject writes the context of ctx's span. What OpenTelemetry's has no place for is that of the request that ctx belongs to.
func (p propagator) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	sc := oteltrace.SpanContextFromContext(ctx)
	c := tracecontext.Context{
		TraceID: trace.ID(sc.TraceID()), SpanID: trace.SpanID(sc.SpanID()), Random: sc.TraceFlags().IsRandom(), State: sc.TraceState().String(),
		Baggage: baggage.FromContext(ctx).String(),
	}
	if sc.IsValid() {
		c.Sampling = tracecontext.NotSampled
	}
	if sc.IsSampled() {
		c.Sampling = tracecontext.Sampled
	}
	if from, ok := ctx.Value(contextKey{}).(tracecontext.Context); ok && from.TraceID == c.TraceID {
		c.LinkerdFlags = from.LinkerdFlags
		if from.Sampling == tracecontext.Debug {
			c.Sampling = tracecontext.Debug
		}
	}
	p.write.Inject(&c, carried{carrier})
}

// Extract returns ctx with what the carrier's headers say.
func (p propagator) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	c := p.read.Extract(carried{carrier})
	if bag, err := baggage.Parse(c.Baggage); err == nil && bag.Len() > 0 {
		ctx = baggage.ContextWithBaggage(ctx, bag)
	}
	if !c.Valid() {
		return ctx
	}
	cfg := oteltrace.SpanContextConfig{TraceID: oteltrace.TraceID(c.TraceID), SpanID: oteltrace.SpanID(c.SpanID), Remote: true}
	if c.Sampling != tracecontext.NotSampled { // the shop records what nobody has decided about
		cfg.TraceFlags |= oteltrace.FlagsSampled
	}
	if c.Random {
		cfg.TraceFlags |= oteltrace.FlagsRandom
	}
	if state, err := oteltrace.ParseTraceState(c.State); err == nil {
		cfg.TraceState = state
	}
	ctx = oteltrace.ContextWithRemoteSpanContext(ctx, oteltrace.NewSpanContext(cfg))
	return context.WithValue(ctx, contextKey{}, c)
}

// Fields is for carriers that are used again, which the shop has not.
func (propagator) Fields() []string { return nil }

// carried makes Headers of an SDK's carrier.
type carried struct{ c propagation.TextMapCarrier }

func (h carried) Values(name string) []string {
	if v, ok := h.c.(propagation.ValuesGetter); ok {
		return v.Values(name)
	}
	if v := h.c.Get(name); v != "" {
		return []string{v}
	}
	return nil
}

func (h carried) Set(name, value string) { h.c.Set(name, value) }

// Del does nothing: a carrier cannot remove a header, and the shop's requests have none of somebody else's.
func (h carried) Del(string) {}

func (h carried) Names(yield func(name string) bool) {
	for _, name := range h.c.Keys() {
		if !yield(name) {
			return
		}
	}
}
