package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

// soakEvery is how often a soaked process is looked at.
const soakEvery = 5 * time.Second

// soak watches a server that takes spans at a steady rate, over a store that has data of the day before, and is asked now and then.
func soak(ctx context.Context, o *options, dir string) error {
	s, err := testkit.Launch(o.clew, dir, "--log.level", "info")
	if err != nil {
		return err
	}
	defer s.Kill()
	cfg := load.Default()
	cfg.Endpoint, cfg.Protocol, cfg.Connections = s.Address("otlp_http"), "otlp/http", 4
	old := cfg
	old.Rate, old.Spans, old.Until, old.Seed = 0, o.spans, time.Now(), 2
	old.From = old.Until.Add(-24 * time.Hour)
	fmt.Fprintln(os.Stderr, "soak: storing", thousands(float64(o.spans)), "spans of the last day")
	if _, err := sendAll(ctx, old); err != nil {
		return err
	}
	if err := settle(ctx, s.PID()); err != nil {
		return err
	}
	before, err := cpuTime(s.PID())
	if err != nil {
		return err
	}
	cfg.Rate, cfg.Duration = steadyRate, o.soak
	sender, err := load.NewSender(cfg)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- sender.Run(ctx) }()
	rss, err := watch(ctx, s, done)
	if err != nil {
		return err
	}
	after, err := cpuTime(s.PID())
	if err != nil {
		return err
	}
	r := sender.Report()
	fmt.Printf("%s spans/s for %v, %.0f %% of one core, p99 of a request %v; refused %d, failed %d\n", thousands(r.Rate()), r.Elapsed.Round(time.Second),
		100*(after-before).Seconds()/r.Elapsed.Seconds(), r.Latency.Quantile(0.99).Round(100*time.Microsecond), r.Refused, r.Failed)
	fmt.Println("at the end:  ", state(ctx, s))
	if err := settle(ctx, s.PID()); err != nil {
		return err
	}
	fmt.Println("when idle:   ", state(ctx, s))
	if o.pictures != "" {
		chart := panel{title: fmt.Sprintf("Memory at %s spans/s", thousands(steadyRate)), unit: "MiB", axis: "minutes", series: []series{{"RSS", rss}}}
		if err := writeChart(filepath.Join(o.pictures, "soak.svg"), []panel{chart}); err != nil {
			return err
		}
	}
	return s.Stop()
}

// watch looks at a server until the load is done, and asks it something each time. It returns its memory over time, in minutes and MiB.
func watch(ctx context.Context, s *testkit.Server, done <-chan error) ([]point, error) {
	var rss []point
	begin := time.Now()
	tick := time.NewTicker(soakEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case err := <-done:
			return rss, err
		case <-tick.C:
		}
		at := time.Since(begin).Minutes()
		rss = append(rss, point{at, float64(memory(s.PID(), "VmRSS")) / (1 << 20)})
		if _, err := get(ctx, s.URL("query")+"/api/v1/search?service=cart"); err != nil {
			fmt.Fprintln(os.Stderr, "soak:", err)
		}
		switch {
		case n == 0:
			fmt.Println("at the start:", state(ctx, s))
		case n%12 == 0:
			fmt.Fprintf(os.Stderr, "soak: %.0f minutes, %s\n", at, state(ctx, s))
		}
	}
}

// state says how much memory, how many goroutines and open files a server has.
func state(ctx context.Context, s *testkit.Server) string {
	goroutines := "?"
	if body, err := get(ctx, s.URL("admin")+"/metrics"); err == nil {
		for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
			if n, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
				goroutines = n
			}
		}
	}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.PID()))
	return fmt.Sprintf("%d MiB (at most %d), %s goroutines, %d open files", memory(s.PID(), "VmRSS")>>20, memory(s.PID(), "VmHWM")>>20, goroutines, len(files))
}
