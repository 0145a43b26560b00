package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The gRPC services, in front of a method's name.
const (
	cartRPC      = "/shop.v1.Cart/"
	checkoutRPC  = "/shop.v1.Checkout/"
	inventoryRPC = "/shop.v1.Inventory/"
	paymentRPC   = "/shop.v1.Payment/"
)

// maxItems is how many products a cart holds, and maxCarts how many carts there are: the demo runs for days.
const (
	maxItems = 8
	maxCarts = 200
)

// processors charge cards; the second one has bad days.
var processors = []string{"olympus-pay", "knossos-bank", "olympus-pay"}

var (
	errReset    = errors.New("read tcp 127.0.0.1->knossos-bank:443: connection reset by peer")
	errDeclined = errors.New("card declined: limit exceeded")
)

func (s *Shop) cartMethods() map[string]method {
	me := s.cart
	redis := func(ctx context.Context, verb, text string) {
		me.query(ctx, query{system: "redis", verb: verb, text: text, took: time.Millisecond})
	}
	return map[string]method{
		"GetCart": func(ctx context.Context, in map[string]any) (map[string]any, error) {
			user, _ := in["user"].(string)
			redis(ctx, "LRANGE", "LRANGE cart:"+user+" 0 -1")
			s.mu.Lock()
			defer s.mu.Unlock()
			items := []any{}
			for _, id := range s.carts[user] {
				items = append(items, id)
			}
			oteltrace.SpanFromContext(ctx).SetAttributes(attribute.String("enduser.id", user), attribute.Int("app.cart.items", len(items)))
			return map[string]any{"items": items}, nil
		},
		"AddItem": func(ctx context.Context, in map[string]any) (map[string]any, error) {
			user, _ := in["user"].(string)
			id, _ := in["product"].(string)
			oteltrace.SpanFromContext(ctx).SetAttributes(attribute.String("enduser.id", user), attribute.String("app.product.id", id))
			if _, ok := productByID(id); !ok {
				return nil, status.Errorf(codes.InvalidArgument, "there is no product %.40q", id)
			}
			redis(ctx, "RPUSH", "RPUSH cart:"+user+" ?")
			redis(ctx, "EXPIRE", "EXPIRE cart:"+user+" 3600")
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.carts[user]) < maxItems && (s.carts[user] != nil || len(s.carts) < maxCarts) {
				s.carts[user] = append(s.carts[user], id)
			}
			return nil, nil
		},
		"EmptyCart": func(ctx context.Context, in map[string]any) (map[string]any, error) {
			user, _ := in["user"].(string)
			redis(ctx, "DEL", "DEL cart:"+user)
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.carts, user)
			return nil, nil
		},
	}
}

// inventoryMethods look into the stock, with a query for each product. Every so often a lock holds a query up.
func (s *Shop) inventoryMethods() map[string]method {
	me := s.inventory
	available := func(ctx context.Context, in map[string]any) (map[string]any, error) {
		list, _ := in["products"].([]any)
		slow := s.cfg.SlowEvery > 0 && s.stockCalls.Add(1)%uint64(s.cfg.SlowEvery) == 0
		for i, id := range list {
			id, _ := id.(string)
			q := query{"postgresql", "stock", "SELECT", "SELECT quantity FROM stock WHERE product_id = $1 FOR UPDATE", 4 * time.Millisecond}
			attrs := []attribute.KeyValue{attribute.String("app.product.id", id)}
			if slow && i == 0 {
				q.took = 800 * time.Millisecond
				attrs = append(attrs, attribute.String("db.wait.event", "Lock:transactionid"))
			}
			me.query(ctx, q, attrs...)
		}
		return map[string]any{"available": true}, nil
	}
	return map[string]method{"Available": available, "Reserve": available}
}

// paymentMethods charge cards. One processor breaks the connection every so often.
func (s *Shop) paymentMethods() map[string]method {
	me := s.payment
	return map[string]method{"Charge": func(ctx context.Context, in map[string]any) (map[string]any, error) {
		amount, _ := in["amount"].(float64)
		order, _ := in["order"].(string)
		processor, _ := in["processor"].(string)
		span := oteltrace.SpanFromContext(ctx)
		span.SetAttributes(attribute.String("app.payment.processor", processor), attribute.Float64("app.payment.amount", amount), attribute.String("app.order.id", order))
		if err := me.authorize(ctx, processor, s.breaks(processor)); err != nil {
			return nil, status.Error(codes.Unavailable, fail(span, err).Error())
		}
		if amount > 400 {
			return nil, status.Error(codes.FailedPrecondition, fail(span, errDeclined).Error())
		}
		return map[string]any{"transaction": fmt.Sprintf("tx-%08x", rand.Uint32())}, nil
	}}
}

func (s *Shop) breaks(processor string) bool {
	return processor == processors[1] && s.cfg.FailEvery > 0 && s.charges.Add(1)%uint64(s.cfg.FailEvery) == 0
}

func (s *service) authorize(ctx context.Context, processor string, broken bool) error {
	ctx, span := s.tracer.Start(ctx, "POST", oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(
		attribute.String("server.address", processor), attribute.Int("server.port", 443), attribute.String("http.request.method", "POST"),
		attribute.String("url.full", "https://"+processor+"/v2/authorizations"),
	))
	defer span.End()
	work(ctx, 35*time.Millisecond)
	if broken {
		return fail(span, errReset)
	}
	span.SetAttributes(attribute.Int("http.response.status_code", 200))
	return nil
}

// peers are the connections of checkout.
type peers struct{ cart, inventory, payment *grpc.ClientConn }

func (s *Shop) checkoutMethods(to peers) map[string]method {
	return map[string]method{"PlaceOrder": func(ctx context.Context, in map[string]any) (map[string]any, error) {
		user, _ := in["user"].(string)
		id := fmt.Sprintf("%08x", rand.Uint32())
		span := oteltrace.SpanFromContext(ctx)
		span.SetAttributes(attribute.String("enduser.id", user), attribute.String("app.order.id", id))
		got, err := call(ctx, to.cart, cartRPC+"GetCart", map[string]any{"user": user})
		if err != nil {
			return nil, fail(span, err)
		}
		items, _ := got["items"].([]any)
		amount := 0.0
		for _, item := range items {
			p, _ := productByID(fmt.Sprint(item))
			amount += p.Price
		}
		span.SetAttributes(attribute.Int("app.cart.items", len(items)), attribute.Float64("app.order.amount", amount))
		if _, err := call(ctx, to.inventory, inventoryRPC+"Reserve", map[string]any{"products": items}); err != nil {
			return nil, fail(span, err)
		}
		me := s.checkout
		if err := me.fetch(ctx, http.MethodPost, me.to(s.shipping, "/quote", nil), nil); err != nil {
			return nil, fail(span, err)
		}
		if err := s.charge(ctx, to.payment, map[string]any{"order": id, "amount": amount, "processor": processors[rand.IntN(len(processors))]}); err != nil {
			return nil, status.Errorf(codes.Aborted, "order %s is not paid: %s", id, fail(span, err))
		}
		if err := me.fetch(ctx, http.MethodPost, me.to(s.shipping, "/ship", order(id)), nil); err != nil {
			return nil, fail(span, err)
		}
		s.publish(ctx, id, user)
		_, err = call(ctx, to.cart, cartRPC+"EmptyCart", map[string]any{"user": user})
		return map[string]any{"order": id}, err
	}}
}

// charge asks for the money, three times at most if the way there breaks.
func (s *Shop) charge(ctx context.Context, payment *grpc.ClientConn, in map[string]any) error {
	pause := 30 * time.Millisecond
	for attempt := 1; ; attempt++ {
		_, err := call(ctx, payment, paymentRPC+"Charge", in)
		if err == nil || attempt == 3 || status.Code(err) != codes.Unavailable {
			return err
		}
		oteltrace.SpanFromContext(ctx).AddEvent("retry", oteltrace.WithAttributes(attribute.Int("app.attempt", attempt), attribute.String("app.reason", err.Error())))
		work(ctx, pause)
		pause *= 2
	}
}
