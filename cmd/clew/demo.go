package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/demo"
	"github.com/clewtrace/clew/wire/tracecontext"
)

const demoExample = `Starts the backend and a small shop of nine services that talk HTTP and gRPC over loopback, and says what to look at.
The shop has a slow dependency, payments that fail now and then, and a queue. Data goes to a temporary folder
that is deleted at the end, unless --data names one. Takes all settings of clew serve.

  clew demo
  clew demo --rate 20 --data ./demo-data
  clew demo --propagation mixed                # every hop in another format: W3C, B3, Jaeger's, Linkerd's
`

// shopCloseTimeout is how long the shop may take to finish its requests and send its last spans.
const shopCloseTimeout = 10 * time.Second

func runDemo(ctx context.Context, args []string) error {
	c := defaultConfig()
	c.store.Dir, c.logLevel = "", "warn"
	shop := demo.Default()
	sender := &client{}
	ss := append(c.settings(), &setting{key: "demo.rate", help: "page views a second in the shop", value: &rate{&shop.Rate}},
		&setting{key: "demo.propagation", help: "formats in which the shop's requests say of which trace they are, of " + tracecontext.Names() + "; mixed: each service writes another", value: &text{&shop.Propagation}})
	ss = append(append(ss, clientTLSSettings("demo.", &sender.tls)...), loginSettings("demo.", &sender.login)...)
	printOnly, err := ss.load(invocation{"demo", demoExample, map[string]string{"data": "store.dir", "rate": "demo.rate", "propagation": "demo.propagation"}, args, os.Environ()})
	if err != nil {
		return err
	}
	if printOnly {
		fmt.Print(ss.print())
		return nil
	}
	if c.otlpGRPC == "" {
		return usageError{errors.New("listen.otlp_grpc: is empty; the shop sends its spans there")}
	}
	if c.store.Dir == "" {
		if c.store.Dir, err = os.MkdirTemp("", "clew-demo-"); err != nil {
			return fmt.Errorf("make a temporary data folder: %w", err)
		}
		defer func() { _ = os.RemoveAll(c.store.Dir) }()
	}
	if err := cmp.Or(c.validate(), shop.Validate()); err != nil {
		return usageError{ss.locate(err)}
	}
	if err := sender.demo(c, &shop); err != nil {
		return usageError{ss.locate(err)}
	}
	return ss.explain(runWithShop(ctx, c, shop))
}

// runWithShop runs the backend and, while it is up, the shop. The shop goes first, so that its last spans are kept.
func runWithShop(ctx context.Context, c *config, cfg demo.Config) error {
	ctx, stopShop := context.WithCancel(ctx)
	defer stopShop()
	backend, stopBackend := context.WithCancel(context.WithoutCancel(ctx))
	up, done := make(chan listening, 1), make(chan error, 1)
	go func() {
		done <- serve(backend, c, c.logger(), func(l listening) { up <- l })
		stopShop()
	}()
	var err error
	select {
	case err := <-done:
		stopBackend()
		return err
	case l := <-up:
		cfg.Endpoint = l["listen.otlp_grpc"]
		err = runShop(ctx, cfg, l.page(c))
	}
	stopBackend()
	return errors.Join(err, <-done)
}

func runShop(ctx context.Context, cfg demo.Config, page string) error {
	shop, err := demo.Start(ctx, cfg)
	if err != nil {
		return usageError{fmt.Errorf("start the shop: %w", err)}
	}
	fmt.Print(shop.Guide(page))
	shop.Run(ctx)
	closing, cancel := context.WithTimeout(context.Background(), shopCloseTimeout)
	defer cancel()
	return shop.Close(closing)
}

// page returns the URL of the page, with a slash at its end, or "" when it is switched off.
func (l listening) page(c *config) string {
	addr, ok := l["listen.query"]
	if !ok {
		return ""
	}
	scheme := "http://"
	if t := c.access.of("listen.query"); t.Given() {
		scheme = "https://"
	}
	return scheme + addr + strings.TrimSuffix(c.prefix, "/") + "/"
}

// rate is how often a second something happens.
type rate struct{ p *float64 }

func (v *rate) String() string { return strconv.FormatFloat(*v.p, 'g', -1, 64) }

func (v *rate) Set(s string) error {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0 && n <= 1000) {
		return fmt.Errorf("%q is not a number from 0 to 1000", s)
	}
	*v.p = n
	return nil
}
