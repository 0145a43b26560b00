package demo

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// queueLen is how many messages wait at most; whoever publishes more waits, too.
const queueLen = 64

// message is what lies in the queue between checkout and email, with headers as a broker would carry them.
type message struct {
	headers     propagation.MapCarrier
	order, user string
}

var errMailbox = errors.New("450 4.2.1 mailbox temporarily unavailable")

// publish puts a message about an order on the queue.
func (s *Shop) publish(ctx context.Context, order, user string) {
	ctx, span := s.checkout.tracer.Start(ctx, "publish orders", oteltrace.WithSpanKind(oteltrace.SpanKindProducer), oteltrace.WithAttributes(
		attribute.String("messaging.system", "demo-queue"), attribute.String("messaging.destination.name", "orders"),
		attribute.String("messaging.operation.type", "send"), attribute.String("app.order.id", order),
	))
	defer span.End()
	m := message{headers: propagation.MapCarrier{}, order: order, user: user}
	s.checkout.propagator.Inject(ctx, m.headers)
	work(ctx, 2*time.Millisecond)
	select {
	case s.queue <- m:
	case <-ctx.Done():
		_ = fail(span, ctx.Err())
	}
}

// deliver sends a mail for every message until the queue is closed.
func (s *Shop) deliver() {
	for m := range s.queue {
		work(context.Background(), 60*time.Millisecond) // in the queue
		s.mail(m)
	}
}

// mail begins a trace of its own, for a mail is no part of the customer's request, and links it to the one that published the message.
func (s *Shop) mail(m message) {
	me := s.email
	cause := oteltrace.SpanContextFromContext(me.propagator.Extract(context.Background(), m.headers))
	ctx, span := me.tracer.Start(context.Background(), "process orders", oteltrace.WithSpanKind(oteltrace.SpanKindConsumer),
		oteltrace.WithLinks(oteltrace.Link{SpanContext: cause, Attributes: []attribute.KeyValue{attribute.String("messaging.operation.name", "receive")}}),
		oteltrace.WithAttributes(attribute.String("messaging.system", "demo-queue"), attribute.String("messaging.destination.name", "orders"),
			attribute.String("messaging.operation.type", "process"), attribute.String("app.order.id", m.order), attribute.String("enduser.id", m.user)))
	defer span.End()
	_, render := me.tracer.Start(ctx, "render mail", oteltrace.WithAttributes(attribute.String("app.mail.template", "order_confirmation")))
	work(ctx, 5*time.Millisecond)
	render.End()
	for range 2 {
		if me.smtp(ctx) == nil {
			return
		}
	}
	span.AddEvent("put aside", oteltrace.WithAttributes(attribute.String("app.order.id", m.order)))
}

func (s *service) smtp(ctx context.Context) error {
	ctx, span := s.tracer.Start(ctx, "smtp send", oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(
		attribute.String("server.address", "smtp.example.com"), attribute.Int("server.port", 25)))
	defer span.End()
	work(ctx, 40*time.Millisecond)
	if rand.IntN(50) == 0 {
		return fail(span, errMailbox)
	}
	return nil
}
