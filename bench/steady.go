package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

const (
	steadyRate = 20_000 // spans a second
	steadyTime = 90 * time.Second
)

// steadyTable measures memory: idle after the start, and at a steady rate.
func steadyTable(ctx context.Context, o *options, dir string) (string, error) {
	fmt.Fprintln(os.Stderr, "memory: idle, then", steadyRate, "spans/s for", steadyTime)
	s, err := testkit.Launch(o.clew, dir, "--log.level", "info")
	if err != nil {
		return "", err
	}
	defer s.Kill()
	if err := settle(ctx, s.PID()); err != nil {
		return "", err
	}
	idle := memory(s.PID(), "VmRSS")
	before, err := cpuTime(s.PID())
	if err != nil {
		return "", err
	}
	cfg := load.Default()
	cfg.Endpoint, cfg.Protocol, cfg.Rate, cfg.Duration = s.Address("otlp_http"), "otlp/http", steadyRate, steadyTime
	sender, err := load.NewSender(cfg)
	if err != nil {
		return "", err
	}
	if err := sender.Run(ctx); err != nil {
		return "", err
	}
	after, err := cpuTime(s.PID())
	if err != nil {
		return "", err
	}
	r := sender.Report()
	var b strings.Builder
	b.WriteString("| memory (RSS) | MB |\n|---|--:|\n")
	fmt.Fprintf(&b, "| idle, empty store | %d |\n| peak at a steady %s spans/s (%.0f %% of one core, p99 of a request %s) | %d |\n\n", idle>>20, thousands(r.Rate()),
		100*(after-before).Seconds()/r.Elapsed.Seconds(), r.Latency.Quantile(0.99).Round(100*time.Microsecond), memory(s.PID(), "VmHWM")>>20)
	return b.String(), s.Stop()
}
