package demo

import (
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
)

// frontendHandler is the shop's site.
func (s *Shop) frontendHandler(cart, checkout, inventory *grpc.ClientConn) http.Handler {
	me := s.frontend
	mux := http.NewServeMux()
	page := func(pattern string, show func(r *http.Request, user string) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			user := r.FormValue("user")
			span := oteltrace.SpanFromContext(r.Context())
			span.SetAttributes(attribute.String("enduser.id", user))
			if err := show(r, user); err != nil {
				_ = fail(span, err)
				http.Error(w, "something went wrong", http.StatusInternalServerError)
				return
			}
			ctx, render := me.tracer.Start(r.Context(), "render", oteltrace.WithAttributes(attribute.String("app.template", pattern)))
			work(ctx, 3*time.Millisecond)
			render.End()
			answer(w, map[string]any{"ok": true})
		})
	}
	page("GET /{$}", func(r *http.Request, user string) error {
		if err := me.fetch(r.Context(), http.MethodGet, me.to(s.catalog, "/products", nil), nil); err != nil {
			return err
		}
		if _, err := call(r.Context(), cart, cartRPC+"GetCart", map[string]any{"user": user}); err != nil {
			return err
		}
		return me.fetch(r.Context(), http.MethodGet, me.to(s.recommendation, "/recommendations", nil), nil)
	})
	page("GET /product/{id}", func(r *http.Request, user string) error {
		id := r.PathValue("id")
		if err := me.fetch(r.Context(), http.MethodGet, me.to(s.catalog, "/products/"+id, nil), nil); err != nil {
			return err
		}
		if _, err := call(r.Context(), inventory, inventoryRPC+"Available", map[string]any{"products": []any{id}}); err != nil {
			return err
		}
		return me.fetch(r.Context(), http.MethodGet, me.to(s.recommendation, "/recommendations", url.Values{"for": {id}}), nil)
	})
	page("POST /cart", func(r *http.Request, user string) error {
		_, err := call(r.Context(), cart, cartRPC+"AddItem", map[string]any{"user": user, "product": r.FormValue("product")})
		return err
	})
	page("GET /cart", func(r *http.Request, user string) error {
		got, err := call(r.Context(), cart, cartRPC+"GetCart", map[string]any{"user": user})
		if err != nil {
			return err
		}
		items, _ := got["items"].([]any)
		for _, id := range items { // one call for each item, where one for all would do
			id, _ := id.(string)
			if err := me.fetch(r.Context(), http.MethodGet, me.to(s.catalog, "/products/"+id, nil), nil); err != nil {
				return err
			}
		}
		return nil
	})
	page("POST /checkout", func(r *http.Request, user string) error {
		_, err := call(r.Context(), checkout, checkoutRPC+"PlaceOrder", map[string]any{"user": user})
		return err
	})
	return mux
}
