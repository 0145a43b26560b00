package demo

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// product is what the shop sells.
type product struct {
	ID    string  `json:"id"`
	Name  string  `json:"name"`
	Price float64 `json:"price"`
}

// products are all there are.
var products = []product{
	{"spool-01", "Linen thread, 50 m", 4.9},
	{"spool-02", "Silk thread, 20 m", 12.5},
	{"spool-03", "Hemp twine, 100 m", 7.2},
	{"spool-04", "Wool yarn, grey", 9.9},
	{"spool-05", "Wool yarn, red", 9.9},
	{"spool-06", "Cotton cord, 10 m", 5.4},
	{"needle-01", "Needles, set of ten", 3.1},
	{"needle-02", "Knitting needles, 4 mm", 6.8},
	{"loom-01", "Table loom", 189},
	{"loom-02", "Heddle", 24},
	{"map-01", "Map of a labyrinth", 35},
	{"lamp-01", "Lantern", 49.5},
}

func productByID(id string) (product, bool) {
	for _, p := range products {
		if p.ID == id {
			return p, true
		}
	}
	return product{}, false
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}

// catalog answers what there is to buy, over HTTP.
func (s *Shop) catalogHandler() http.Handler {
	me := s.catalog
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products", func(w http.ResponseWriter, r *http.Request) {
		me.query(r.Context(), query{"postgresql", "products", "SELECT", "SELECT id, name, price FROM products ORDER BY rank", 6 * time.Millisecond},
			attribute.Int("db.response.returned_rows", len(products)))
		answer(w, products)
	})
	mux.HandleFunc("GET /products/{id}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		oteltrace.SpanFromContext(r.Context()).SetAttributes(attribute.String("app.product.id", id))
		me.query(r.Context(), query{"postgresql", "products", "SELECT", "SELECT id, name, price FROM products WHERE id = $1", 2 * time.Millisecond})
		p, ok := productByID(id)
		if !ok {
			http.Error(w, "no such product", http.StatusNotFound)
			return
		}
		answer(w, p)
	})
	return mux
}

// recommendations answers what else one may like, over HTTP: it ranks the catalog.
func (s *Shop) recommendationHandler() http.Handler {
	me := s.recommendation
	mux := http.NewServeMux()
	mux.HandleFunc("GET /recommendations", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		var all []product
		if err := me.fetch(ctx, http.MethodGet, me.to(s.catalog, "/products", nil), &all); err != nil {
			_ = fail(oteltrace.SpanFromContext(ctx), err)
			http.Error(w, "no recommendations", http.StatusBadGateway)
			return
		}
		answer(w, me.rank(ctx, all))
	})
	return mux
}

func (s *service) rank(ctx context.Context, all []product) []product {
	ctx, span := s.tracer.Start(ctx, "rank", oteltrace.WithAttributes(attribute.Int("app.candidates", len(all)), attribute.String("app.model.name", "ranker-v7")))
	defer span.End()
	work(ctx, 9*time.Millisecond)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(3, len(all))]
}

// quote answers what delivery costs, and ship sends the parcel, over HTTP.
func (s *Shop) shippingHandler() http.Handler {
	me := s.shipping
	mux := http.NewServeMux()
	mux.HandleFunc("POST /quote", func(w http.ResponseWriter, r *http.Request) {
		work(r.Context(), 7*time.Millisecond)
		answer(w, map[string]any{"price": 4.9})
	})
	mux.HandleFunc("POST /ship", func(w http.ResponseWriter, r *http.Request) {
		ctx, span := me.tracer.Start(r.Context(), "print label", oteltrace.WithAttributes(attribute.String("app.order.id", r.FormValue("order"))))
		work(ctx, 14*time.Millisecond)
		span.AddEvent("label printed", oteltrace.WithAttributes(attribute.String("app.carrier", "ariadne-express")))
		span.End()
		answer(w, map[string]any{"tracking": "AX" + r.FormValue("order")})
	})
	return mux
}

// order is the query of a call that is about an order.
func order(id string) url.Values { return url.Values{"order": {id}} }
