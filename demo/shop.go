package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how the shop runs.
type Config struct {
	Endpoint  string  // host:port that takes OTLP/gRPC
	Rate      float64 // page views a second; 0: nobody comes
	SlowEvery int     // every so many looks into the stock one is slow; 0: none
	FailEvery int     // every so many charges at one of the processors one breaks; 0: none

	TLS     *tls.Config       // of connections to the endpoint; nil: plain text
	Headers map[string]string // of each request there

	// Propagation is a list of the formats in which requests say of which trace they are, as tracecontext.Parse takes it, or Mixed.
	Propagation string
}

// Default returns the configuration of a small shop on an ordinary day.
func Default() Config {
	return Config{Endpoint: "127.0.0.1:4317", Rate: 2, SlowEvery: 10, FailEvery: 3, Propagation: "tracecontext,baggage"}
}

// Validate says what is wrong with a setting.
func (c *Config) Validate() error {
	switch {
	case c.Rate < 0 || c.Rate > 1000:
		return fmt.Errorf("demo.rate: is %g; want 0 to 1000 page views a second", c.Rate)
	case c.SlowEvery < 0 || c.FailEvery < 0:
		return fmt.Errorf("slow every %d, fail every %d; want 0 or more", c.SlowEvery, c.FailEvery)
	}
	if _, err := propagatorOf(c.Propagation, 0); err != nil {
		return fmt.Errorf("demo.propagation: %w", err)
	}
	return nil
}

// Shop is the running services.
type Shop struct {
	cfg                                          Config
	frontend, cart, catalog, checkout, inventory *service
	payment, shipping, recommendation, email     *service
	all                                          []*service
	queue                                        chan message
	servers, worker                              sync.WaitGroup
	stockCalls, charges                          atomic.Uint64

	mu    sync.Mutex
	carts map[string][]string // product IDs by user
}

// Start starts the services. They run until Close.
func Start(ctx context.Context, cfg Config) (*Shop, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Shop{cfg: cfg, queue: make(chan message, queueLen), carts: map[string][]string{}}
	for n, m := range []struct {
		name, version string
		at            **service
	}{
		{"frontend", "5.31.0", &s.frontend},
		{"cart", "1.18.2", &s.cart},
		{"catalog", "3.2.7", &s.catalog},
		{"checkout", "4.0.12", &s.checkout},
		{"inventory", "6.1.3", &s.inventory},
		{"payment", "2.6.1", &s.payment},
		{"shipping", "1.9.4", &s.shipping},
		{"recommendation", "2.3.5", &s.recommendation},
		{"email", "1.2.2", &s.email},
	} {
		p, err := propagatorOf(cfg.Propagation, n)
		if err != nil {
			return nil, errors.Join(err, s.end(ctx))
		}
		svc, err := open(ctx, identity{m.name, m.version, p}, cfg)
		if err != nil {
			return nil, errors.Join(err, s.end(ctx))
		}
		*m.at = svc
		s.all = append(s.all, svc)
	}
	if err := s.serve(); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

func (s *Shop) serve() error {
	s.worker.Go(s.deliver)
	cart, err1 := s.frontend.dial(s.cart)
	checkout, err2 := s.frontend.dial(s.checkout)
	stock, err3 := s.frontend.dial(s.inventory)
	var to peers
	var err4, err5, err6 error
	to.cart, err4 = s.checkout.dial(s.cart)
	to.inventory, err5 = s.checkout.dial(s.inventory)
	to.payment, err6 = s.checkout.dial(s.payment)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return err
	}
	s.catalog.serveHTTP(&s.servers, s.catalogHandler())
	s.recommendation.serveHTTP(&s.servers, s.recommendationHandler())
	s.shipping.serveHTTP(&s.servers, s.shippingHandler())
	s.cart.serveGRPC(&s.servers, "shop.v1.Cart", s.cartMethods())
	s.inventory.serveGRPC(&s.servers, "shop.v1.Inventory", s.inventoryMethods())
	s.payment.serveGRPC(&s.servers, "shop.v1.Payment", s.paymentMethods())
	s.checkout.serveGRPC(&s.servers, "shop.v1.Checkout", s.checkoutMethods(to))
	s.frontend.serveHTTP(&s.servers, s.frontendHandler(cart, checkout, stock))
	return nil
}

// URL returns the address of the shop's site.
func (s *Shop) URL() string { return "http://" + s.frontend.address() }

// Close stops the services from the front to the back, lets the mails be sent, and the spans; what is not done when ctx is, is left.
func (s *Shop) Close(ctx context.Context) error {
	var err error
	for _, name := range []*service{s.frontend, s.checkout, s.recommendation, s.cart, s.catalog, s.inventory, s.payment, s.shipping} {
		if name != nil && name.stop != nil {
			err = errors.Join(err, name.stop(ctx))
		}
	}
	s.servers.Wait()
	close(s.queue)
	s.worker.Wait()
	return errors.Join(err, s.end(ctx))
}

// end ends the SDKs at the same time, for each waits for its last spans.
func (s *Shop) end(ctx context.Context) error {
	errs := make([]error, len(s.all))
	var wg sync.WaitGroup
	for i, svc := range s.all {
		wg.Go(func() { errs[i] = svc.close(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Page is a page of the shop, for a customer.
type Page struct {
	Verb, Path string
	Form       url.Values // user, and product for POST /cart
}

// Visit asks for a page. The shop's own failures are no error.
func (s *Shop) Visit(ctx context.Context, client *http.Client, p Page) error {
	req, err := http.NewRequestWithContext(ctx, p.Verb, s.URL()+p.Path+"?"+p.Form.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("visit %s: %w", p.Path, err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// customers is how many people know the shop.
const customers = 40

// stroll returns what one customer looks at, one page after the other.
func stroll() []Page {
	user := fmt.Sprintf("u-%04d", rand.IntN(customers))
	some := func() string { return products[rand.IntN(len(products))].ID }
	on := func(verb, path, product string) Page {
		form := url.Values{"user": {user}}
		if product != "" {
			form.Set("product", product)
		}
		return Page{verb, path, form}
	}
	switch n := rand.IntN(100); {
	case n < 30:
		return []Page{on("GET", "/", "")}
	case n < 65:
		return []Page{on("GET", "/product/"+some(), "")}
	case n < 80:
		id := some()
		return []Page{on("GET", "/product/"+id, ""), on("POST", "/cart", id)}
	case n < 87:
		return []Page{on("GET", "/cart", "")}
	}
	return []Page{on("POST", "/cart", some()), on("POST", "/cart", some()), on("GET", "/cart", ""), on("POST", "/checkout", "")}
}

// crowd is how many customers look at a page at the same time; more wait outside.
const crowd = 32

// Run lets customers come at the configured rate until ctx is done, and returns when the last one has left.
func (s *Shop) Run(ctx context.Context) {
	if s.cfg.Rate == 0 {
		<-ctx.Done()
		return
	}
	client := &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: crowd}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	defer wg.Wait()
	inside := make(chan struct{}, crowd)
	for {
		pages := stroll()
		// Customers come as they like: the time between two of them is exponential.
		t := time.NewTimer(time.Duration(rand.ExpFloat64() * float64(len(pages)) / s.cfg.Rate * float64(time.Second)))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		select {
		case inside <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-inside }()
			for _, p := range pages {
				if ctx.Err() == nil {
					// What has begun goes on to its end, so that its trace is whole. Its failure is in the trace.
					_ = s.Visit(context.WithoutCancel(ctx), client, p)
				}
			}
		})
	}
}
