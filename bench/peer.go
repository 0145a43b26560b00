package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

// peer is another server that takes OTLP/HTTP and answers Jaeger's query API.
type peer struct {
	command string // with its arguments; DATA stands for the folder it is to keep its data in
	otlp    string // host:port of OTLP/HTTP
	path    string // of OTLP/HTTP's traces
	query   string // base URL of Jaeger's query API

	spans float64 // that it took
}

func (p *peer) flags() {
	flag.StringVar(&p.command, "peer", "", "measure another server: the `command` that starts it, DATA in which stands for its data folder, in the arguments and the environment")
	flag.StringVar(&p.otlp, "peer.otlp", "127.0.0.1:14318", "its OTLP/HTTP `address`")
	flag.StringVar(&p.path, "peer.path", "/v1/traces", "its OTLP/HTTP `path`")
	flag.StringVar(&p.query, "peer.query", "http://127.0.0.1:16786", "base `URL` of its Jaeger query API")
}

// measurePeer sends another server the load of the first ingest run, waits until it is idle, and asks it the same questions.
func measurePeer(ctx context.Context, o *options, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	words := strings.Fields(strings.ReplaceAll(o.peer.command, "DATA", dir))
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "DATA="+dir, "OTEL_TRACES_SAMPLER=always_off") // it shall not trace itself
	cmd.SysProcAttr = testkit.Child()
	log, err := os.CreateTemp("", "clew-bench-peer-*.log")
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		cancel(fmt.Errorf("it has ended: %w", cmd.Wait())) // how it ends when it is told to is its own affair
		close(ended)
	}()
	err = o.peer.run(ctx, o, cmd.Process.Pid)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	stopped := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	<-ended
	stopped.Stop()
	if err != nil {
		return fmt.Errorf("%w; its log is in %s", err, log.Name())
	}
	total := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	fmt.Printf("\nCPU of the whole run, questions and the stop included: %v. On disk after the stop: %.1f bytes a span.\n", total.Round(time.Millisecond), float64(diskBytes(dir))/o.peer.spans)
	return os.Remove(log.Name())
}

func (p *peer) run(ctx context.Context, o *options, pid int) error {
	if err := waitForPort(ctx, p.otlp); err != nil {
		return err
	}
	if err := settle(ctx, pid); err != nil {
		return err
	}
	idle := memory(pid, "VmRSS")
	cfg := load.Default()
	cfg.Endpoint, cfg.Protocol = "http://"+p.otlp+p.path, "otlp/http"
	cfg.Rate, cfg.Spans, cfg.Connections = 0, o.spans, 4
	r, err := sendAll(ctx, cfg)
	if err != nil {
		return err
	}
	if err := settle(ctx, pid); err != nil {
		return err
	}
	cpu, err := cpuTime(pid)
	if err != nil {
		return err
	}
	n := float64(r.Accepted)
	p.spans = n
	fmt.Printf("%s%s spans, idle %d MB\n\n", machine(), thousands(n), idle>>20)
	fmt.Printf("| spans per CPU-s | CPU-µs a span | peak memory | spans/s (wall) | p99 |\n|--:|--:|--:|--:|--:|\n")
	fmt.Printf("| **%s** | %.2f | %d MB | %s | %s |\n\n", thousands(n/cpu.Seconds()), float64(cpu.Microseconds())/n, memory(pid, "VmHWM")>>20,
		thousands(r.Rate()), r.Latency.Quantile(0.99).Round(100*time.Microsecond))
	return p.ask(ctx, pid)
}

// ask asks the questions that all such servers can be asked.
func (p *peer) ask(ctx context.Context, pid int) error {
	ids, order, err := p.sample(ctx)
	if err != nil {
		return err
	}
	search := func(name string, set ...string) query {
		q := url.Values{"lookback": {"1h"}, "limit": {"20"}, "start": {fmt.Sprint(time.Now().Add(-time.Hour).UnixMicro())}, "end": {fmt.Sprint(time.Now().UnixMicro())}}
		for i := 0; i+1 < len(set); i += 2 {
			q.Set(set[i], set[i+1])
		}
		return query{name, []string{"/api/traces?" + q.Encode()}}
	}
	traces := query{name: "trace by ID"}
	for _, id := range ids {
		traces.paths = append(traces.paths, "/api/traces/"+id)
	}
	fmt.Print("| question, as Jaeger's JSON | CPU-ms | p50 | p99 | bytes of answer |\n|---|--:|--:|--:|--:|\n")
	for _, q := range []query{
		{"services", []string{"/api/services"}},
		traces,
		search("newest 20 of a service", "service", "cart"),
		search("newest 20 of service + operation + attribute", "service", "cart", "operation", "shop.cart.v1.Cart/GetCart", "tags", `{"rpc.system":"grpc"}`),
		search("newest 20 of service + minimum duration", "service", "frontend", "minDuration", "200ms"),
		search("needle: an order's number", "service", "checkout", "tags", fmt.Sprintf(`{"app.order.id":%q}`, order)),
	} {
		got, err := measureAt(ctx, p.query, pid, q)
		if err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		fmt.Print(got.row(q.name))
	}
	return nil
}

// sample returns the IDs of some traces, and the number of an order in one of them.
func (p *peer) sample(ctx context.Context) (ids []string, order string, err error) {
	body, err := get(ctx, fmt.Sprintf("%s/api/traces?service=checkout&limit=100&lookback=1h&start=%d&end=%d", p.query, time.Now().Add(-time.Hour).UnixMicro(), time.Now().UnixMicro()))
	if err != nil {
		return nil, "", err
	}
	var found struct {
		Data []struct {
			TraceID string
			Spans   []struct {
				Tags []struct {
					Key   string
					Value any
				}
			}
		}
	}
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, "", err
	}
	for _, t := range found.Data {
		ids = append(ids, t.TraceID)
		for _, s := range t.Spans {
			for _, tag := range s.Tags {
				if text, ok := tag.Value.(string); ok && tag.Key == "app.order.id" {
					order = text
				}
			}
		}
	}
	if len(ids) == 0 || order == "" {
		return nil, "", errors.New("there is no trace of checkout with an order's number")
	}
	return ids, order, nil
}

// waitForPort waits until something listens.
func waitForPort(ctx context.Context, address string) error {
	for range 300 {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return fmt.Errorf("nothing listens at %s", address)
}
