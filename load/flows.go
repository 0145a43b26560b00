package load

import (
	"slices"
	"time"

	"github.com/clewtrace/clew/trace"
)

// A step is an operation in a request, with what it calls.
type step struct {
	op       *operation
	chance   float64 // that it happens at all
	lo, hi   int     // how many times, one after the other
	parallel bool    // what it calls is called at the same time
	retries  int     // how often it is tried again when it fails
	detached bool    // it is a trace of its own with a link to its cause
	steps    []step
}

func do(op *operation, steps ...step) step {
	return step{op: op, chance: 1, lo: 1, hi: 1, steps: steps}
}

func (s step) maybe(p float64) step   { s.chance = p; return s }
func (s step) repeat(lo, hi int) step { s.lo, s.hi = lo, hi; return s }
func (s step) atOnce() step           { s.parallel = true; return s }
func (s step) retry(n int) step       { s.retries = n; return s }
func (s step) apart() step            { s.detached = true; return s }
func (s step) then(steps ...step) step {
	s.steps = append(slices.Clip(s.steps), steps...)
	return s
}

// A flow is a kind of request to the shop, with how many of 1,000 requests are of it.
type flow struct {
	share int
	root  step
}

// flows are what the shop's customers and its own clocks ask of it.
func flows() []flow {
	return []flow{
		{225, home()},
		{270, productPage()},
		{130, addToCart()},
		{120, viewCart()},
		{55, checkout()},
		{95, searchPage()},
		{50, login()},
		{45, currenciesOnly()},
		{5, stockSync()},
	}
}

// from is the caller of a remote call: a service and the scope of its client spans.
type from struct {
	service string
	scope   int
}

// method is a remote procedure.
type method struct {
	service   string
	scope     int
	rpc, name string
	median    time.Duration
	fails     float64
	throws    *exception
	attrs     []attr
}

// rpc is a call of a method: a span of the caller and one of the called.
func rpc(f from, m method, steps ...step) step {
	full := m.rpc + "/" + m.name
	server := &operation{
		service: m.service, scope: m.scope, name: full, kind: trace.KindServer, attrs: with(grpcServer(m.rpc, m.name), m.attrs...),
		median: m.median, spread: usual, fails: m.fails, throws: m.throws,
	}
	client := &operation{
		service: f.service, scope: f.scope, name: full, kind: trace.KindClient, attrs: grpcClient(m.rpc, m.name, m.service+".shop.svc.cluster.local"),
		median: 600 * time.Microsecond, spread: usual,
	}
	return do(client, do(server, steps...))
}

// visit is the same for a call of a URL; m.rpc is the verb and m.name the route, path the path with its marks.
func visit(f from, m method, path string, steps ...step) step {
	server := &operation{
		service: m.service, scope: m.scope, name: m.rpc + " " + m.name, kind: trace.KindServer, attrs: with(httpServer(m.rpc, m.name, path), m.attrs...),
		median: m.median, spread: usual, fails: m.fails, throws: m.throws,
	}
	client := &operation{
		service: f.service, scope: f.scope, name: m.rpc, kind: trace.KindClient, attrs: httpClient(m.rpc, m.service+":8080", path),
		median: 700 * time.Microsecond, spread: usual,
	}
	return do(client, do(server, steps...))
}

func local(f from, name string, median time.Duration, attrs ...attr) *operation {
	return &operation{service: f.service, scope: f.scope, name: name, kind: trace.KindInternal, attrs: attrs, median: median, spread: steady}
}

func database(f from, name string, median time.Duration, attrs []attr) *operation {
	return &operation{service: f.service, scope: f.scope, name: name, kind: trace.KindClient, attrs: attrs, median: median, spread: wild}
}

// edge is a request of a browser: through the gateway to the frontend.
func edge(verb, route, path string, steps ...step) step {
	entry := &operation{
		service: "gateway", scope: 0, name: verb + " " + route, kind: trace.KindServer, median: 400 * time.Microsecond, spread: usual,
		attrs: with(httpServer(verb, route, path), text("server.address", "shop.example.com"), choice("user_agent.original", userAgents...),
			choice("app.country", countries...), text("enduser.id", "u-{user}")),
	}
	front := method{"frontend", 0, verb, route, 2 * time.Millisecond, 0.001, errUpstream, []attr{
		text("session.id", "{session}"), choice("app.currency", currencies...), text("http.flavor", "1.1"),
	}}
	render := local(from{"frontend", 2}, "render", 1500*time.Microsecond,
		text("express.type", "request_handler"), text("express.name", route), text("http.route", route), truth("app.cache.hit", false),
		number("app.render.bytes", 20_000, 180_000), text("app.template", "pages"+route+".tsx"), text("app.user.id", "u-{user}"), text("app.variant", "B"))
	call := visit(from{"gateway", 0}, front, path, steps...)
	call.steps[0] = call.steps[0].then(do(render))
	return do(entry, call)
}

var web = from{"frontend", 1}

func validate() step {
	get := database(from{"auth", 1}, "get", 350*time.Microsecond, with(redis("redis-sessions", "GET", "get session:{session}"), truth("app.session.hit", true)))
	token := local(from{"auth", 2}, "verifyToken", 120*time.Microsecond, with(code("auth.(*Verifier).Verify", "verify.go", 88),
		text("app.token.alg", "EdDSA"), text("app.key.id", "2026-09"), text("app.user.id", "u-{user}"), text("session.id", "{session}"), integer("app.token.version", 3))...)
	return rpc(web, method{"auth", 0, "shop.auth.v1.Auth", "Validate", 500 * time.Microsecond, 0.003, errToken, []attr{
		text("app.user.id", "u-{user}"),
	}}, do(get), do(token).maybe(0.7))
}

func product(f from) step {
	query := database(from{"catalog", 1}, "SELECT products", 900*time.Microsecond, with(sql("catalog", "SELECT", "products",
		"SELECT id, name, description, picture, price_units, price_nanos, categories FROM products WHERE id = $1"), text("db.query.parameter.0", "{product}")))
	return rpc(f, method{"catalog", 0, "shop.catalog.v1.Catalog", "GetProduct", 700 * time.Microsecond, 0.002, errDatabase, []attr{
		text("app.product.id", "{product}"), truth("app.cache.hit", false),
	}}, do(query))
}

func products() step {
	query := database(from{"catalog", 1}, "SELECT products", 2200*time.Microsecond, sql("catalog", "SELECT", "products",
		"SELECT id, name, picture, price_units, price_nanos FROM products WHERE category = $1 ORDER BY rank LIMIT 24"))
	return rpc(web, method{"catalog", 0, "shop.catalog.v1.Catalog", "ListProducts", 900 * time.Microsecond, 0.002, errDatabase, []attr{
		choice("app.category", "telescopes", "accessories", "binoculars", "books", "travel", "assembly"), number("app.products", 3, 24),
	}}, do(query))
}

func getCart(f from) step {
	get := database(from{"cart", 1}, "HGET", 400*time.Microsecond, with(redis("redis-cart", "HGET", "HGET cart:u-{user} cart"), integer("db.redis.database_index", 0)))
	return rpc(f, method{"cart", 0, "shop.cart.v1.Cart", "GetCart", 600 * time.Microsecond, 0.002, errCart, []attr{
		text("app.user.id", "u-{user}"), number("app.cart.items", 0x1, 12),
	}}, do(get))
}

func convert(f from) step {
	return rpc(f, method{"currency", 0, "shop.currency.v1.Currency", "Convert", 90 * time.Microsecond, 0, nil, []attr{
		choice("app.currency.from", currencies...), choice("app.currency.to", currencies...),
	}})
}

func recommend() step {
	model := local(from{"recommendation", 1}, "rank", 4*time.Millisecond, with(code("recommendation.rank", "/srv/app/rank.py", 141),
		text("app.model.name", "ranker-v7"), number("app.candidates", 200, 900), truth("app.cache.hit", true), text("app.user.id", "u-{user}"), text("thread.name", "ThreadPoolExecutor-0_{d1}"))...)
	return rpc(web, method{"recommendation", 0, "shop.recommendation.v1.Recommendation", "List", 2 * time.Millisecond, 0.002, errTimeout, []attr{
		text("app.user.id", "u-{user}"), number("app.products", 3, 8),
	}}, do(model), product(from{"recommendation", 0}).repeat(1, 3))
}

func ads() step {
	pick := local(from{"ad", 1}, "pickAds", 300*time.Microsecond, with(thread("grpc-default-executor-"), with(code("oteldemo.AdService.pick", "AdService.java", 203),
		choice("app.ads.category", "telescopes", "books", "travel", "none"), number("app.ads.count", 1, 4), text("app.ads.strategy", "targeted"))...)...)
	return rpc(web, method{"ad", 0, "shop.ad.v1.Ad", "GetAds", 800 * time.Microsecond, 0.003, errAds, thread("grpc-default-executor-")}, do(pick))
}

func home() step {
	return edge("GET", "/", "/", validate(), products(), getCart(web), ads().maybe(0.8), convert(web).maybe(0.5), recommend().maybe(0.5)).spread()
}

func productPage() step {
	return edge("GET", "/product/:id", "/product/{product}", validate(), product(web), convert(web), recommend().maybe(0.6), ads().maybe(0.9), stock(web).maybe(0.7)).spread()
}

// spread makes the frontend call its upstreams at the same time.
func (s step) spread() step {
	s.steps[0].steps[0] = s.steps[0].steps[0].atOnce()
	return s
}

func stock(f from) step {
	query := database(from{"inventory", 1}, "SELECT inventory.stock", 1300*time.Microsecond, with(sql("inventory", "SELECT", "stock",
		"SELECT warehouse, quantity, reserved FROM stock WHERE product_id = ? AND quantity > reserved"), thread("grpc-default-executor-")...))
	return rpc(f, method{
		"inventory", 0, "shop.inventory.v1.Inventory", "Available", 700 * time.Microsecond, 0.003, errPool,
		with(thread("grpc-default-executor-"), text("app.product.id", "{product}")),
	}, do(query))
}

func addToCart() step {
	set := database(from{"cart", 1}, "HSET", 500*time.Microsecond, with(redis("redis-cart", "HSET", "HSET cart:u-{user} cart ?"), integer("db.redis.database_index", 0)))
	expire := database(from{"cart", 1}, "EXPIRE", 300*time.Microsecond, with(redis("redis-cart", "EXPIRE", "EXPIRE cart:u-{user} 3600"), integer("db.redis.database_index", 0)))
	get := database(from{"cart", 1}, "HGET", 400*time.Microsecond, with(redis("redis-cart", "HGET", "HGET cart:u-{user} cart"), integer("db.redis.database_index", 0)))
	add := rpc(web, method{"cart", 0, "shop.cart.v1.Cart", "AddItem", 700 * time.Microsecond, 0.004, errCart, []attr{
		text("app.user.id", "u-{user}"), text("app.product.id", "{product}"), number("app.quantity", 1, 10),
	}}, do(get), do(set), do(expire))
	return edge("POST", "/cart", "/cart", validate(), product(web), stock(web), add.retry(2), getCart(web), convert(web).repeat(1, 2))
}

func viewCart() step {
	return edge("GET", "/cart", "/cart", validate(), getCart(web), product(web).repeat(1, 6), convert(web), shippingQuote(web), recommend().maybe(0.5))
}

func shippingQuote(f from) step {
	q := visit(from{"shipping", 0}, method{"quote", 0, "POST", "/getquote", 1500 * time.Microsecond, 0.002, errQuote, []attr{
		text("code.function.name", "handle"), text("user_agent.original", "reqwest/0.12"), number("app.quote.items", 1, 12),
	}}, "/getquote")
	return visit(f, method{"shipping", 0, "POST", "/get-quote", 600 * time.Microsecond, 0, nil, []attr{choice("app.country", countries...)}}, "/get-quote", q)
}

func searchPage() step {
	query := database(from{"search", 1}, "POST /{index}/_search", 9*time.Millisecond, with([]attr{
		text("db.system.name", "elasticsearch"), text("db.operation.name", "search"), text("http.request.method", "POST"),
		text("url.full", "http://elasticsearch.shop.svc.cluster.local:9200/products/_search?typed_keys=true"), text("server.address", "elasticsearch.shop.svc.cluster.local"),
		integer("server.port", 9200), outcome("http.response.status_code", 200, 503),
	}, thread("http-nio-8080-exec-")...))
	query.fails, query.throws, query.name = 0.012, errSearch, "search products"
	m := method{"search", 0, "GET", "/v1/search", 1800 * time.Microsecond, 0, nil, with(thread("http-nio-8080-exec-"), number("app.hits", 1, 120))}
	return edge("GET", "/search", "/search", validate(),
		visit(from{"frontend", 0}, m, "/v1/search", do(query).retry(1)), product(web).repeat(2, 5), convert(web).maybe(0.6))
}

func login() step {
	user := database(from{"auth", 1}, "SELECT users", 1100*time.Microsecond, with(sql("auth", "SELECT", "users", "SELECT id, hash, locked_until FROM users WHERE login = $1"),
		text("app.user.id", "u-{user}")))
	hash := local(from{"auth", 2}, "hashPassword", 48*time.Millisecond, with(code("auth.hash", "password.go", 31), text("app.hash.kind", "argon2id"), integer("app.hash.memory_kib", 65536), integer("app.hash.lanes", 2))...)
	set := database(from{"auth", 1}, "set", 400*time.Microsecond, redis("redis-sessions", "SET", "set session:{session} ? ex 86400"))
	do1 := rpc(web, method{"auth", 0, "shop.auth.v1.Auth", "Login", 900 * time.Microsecond, 0.03, errPassword, []attr{
		text("app.user.id", "u-{user}"), text("app.login.method", "password"),
	}}, do(user), do(hash), do(set))
	return edge("POST", "/login", "/login", do1, getCart(web))
}

func currenciesOnly() step {
	return edge("GET", "/api/currency", "/api/currency", rpc(web, method{"currency", 0, "shop.currency.v1.Currency", "List", 80 * time.Microsecond, 0, nil, []attr{
		number("app.currencies", 33, 34),
	}}))
}
