package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/load"
)

const loadExample = `Usage: clew load [FLAGS]

Makes the traces of a shop of 17 services in 57 pods and sends them over a protocol, at a given rate, until it is stopped (Ctrl-C),
the time is over or enough is sent. Ends with status 1 if a span was not accepted.

  clew load                                        # 1,000 spans a second to 127.0.0.1:4317
  clew load --protocol otlp/http --rate 20k --duration 1m
  clew load --protocol zipkin/json                 # to 127.0.0.1:9411, as each protocol's clients do
  clew load --tenant team-a                        # of a server with tenants
  clew load --endpoint https://clew:4317 --ca-file ca.pem --token-file token
  clew load --rate 0 --spans 5M --connections 4    # as fast as the server takes them
  clew load --rate 0 --spans 5M --history 72h      # the same, of three days

`

func runLoad(ctx context.Context, args []string) error {
	cfg := load.Default()
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&cfg.Endpoint, "endpoint", "", "`host:port` or URL (default the protocol's port on 127.0.0.1)")
	fs.StringVar(&cfg.Protocol, "protocol", cfg.Protocol, "`name` of the protocol: "+strings.Join(load.Protocols(), ", "))
	fs.StringVar(&cfg.Compression, "compression", cfg.Compression, "`none`, gzip or zstd")
	fs.Var((*spanRate)(&cfg.Rate), "rate", "spans a second, such as `20k`; 0 for as fast as possible")
	fs.Var((*spanCount)(&cfg.Spans), "spans", "stop after about so many, such as `2M`; 0 for never")
	fs.DurationVar(&cfg.Duration, "duration", 0, "stop after this `time`; 0 for never")
	history := fs.Duration("history", 0, "spread --spans over this `time` up to now, as if they had been sent then; 0: they are of now")
	fs.IntVar(&cfg.Connections, "connections", cfg.Connections, "`number` of requests under way at the same time")
	fs.IntVar(&cfg.Batch, "batch", cfg.Batch, "`spans` in a request, about")
	fs.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "`number` from which the traces are made: other numbers, other shops")
	fs.DurationVar(&cfg.Timeout, "timeout", cfg.Timeout, "`time` to wait for an answer")
	fs.DurationVar(&cfg.Patience, "patience", cfg.Patience, "`time` for which a request that the server cannot take now is sent again")
	whose, connection := addressFlags(fs), clientFlags(fs)
	if err := parseFlags(fs, loadExample, args); err != nil {
		return err
	}
	if *history > 0 {
		cfg.Until = time.Now()
		cfg.From = cfg.Until.Add(-*history)
	}
	cfg.Headers = whose.headers()
	if err := connection.load(&cfg); err != nil {
		return err
	}
	s, err := load.NewSender(cfg)
	if err != nil {
		return usageError{err}
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	err = watch(s, done)
	r := s.Report()
	fmt.Print(loadSummary(&r))
	if lost := r.Spans - r.Accepted; err == nil && lost > 0 {
		err = fmt.Errorf("%d of %d spans were not accepted", lost, r.Spans)
	}
	return err
}

// parseFlags parses the flags of a command that has no configuration file and takes no other arguments.
func parseFlags(fs *flag.FlagSet, example string, args []string) error {
	others, err := parseArguments(fs, example, args)
	if err == nil && len(others) > 0 {
		err = usageError{fmt.Errorf("unexpected argument %q; clew help %s lists the flags", others[0], fs.Name())}
	}
	return err
}

// parseArguments parses flags and returns the other arguments, which may stand before, between and behind them.
func parseArguments(fs *flag.FlagSet, example string, args []string) (others []string, err error) {
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(example)
			fs.SetOutput(os.Stdout)
			fs.PrintDefaults()
			return nil, err
		}
		if err != nil {
			return nil, usageError{fmt.Errorf("%w; clew help %s lists the flags", err, fs.Name())}
		}
		rest := fs.Args()
		if len(rest) == 0 {
			return others, nil
		}
		if len(args) > len(rest) && args[len(args)-len(rest)-1] == "--" { // all that follows is no flag
			return append(others, rest...), nil
		}
		others, args = append(others, rest[0]), rest[1:]
	}
}

// watch shows how far a sender is until it is done: one line drawn anew on a terminal, a line every five seconds elsewhere.
func watch(s *load.Sender, done <-chan error) error {
	every, head, tail := 5*time.Second, "", "\n"
	if st, err := os.Stderr.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		every, head, tail = 500*time.Millisecond, "\r\x1b[K", ""
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := load.Report{}
	for {
		select {
		case err := <-done:
			fmt.Fprint(os.Stderr, head)
			return err
		case <-tick.C:
			r := s.Report()
			rate := float64(r.Accepted-last.Accepted) / (r.Elapsed - last.Elapsed).Seconds()
			fmt.Fprintf(os.Stderr, "%s%s  %s spans/s  accepted %s  refused %s  failed %s  retries %d  p99 %s%s", head, r.Elapsed.Round(time.Second),
				si(rate), si(float64(r.Accepted)), si(float64(r.Refused)), si(float64(r.Failed)), r.Retries, brief(r.Latency.Quantile(0.99)), tail)
			last = r
		}
	}
}

func loadSummary(r *load.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "sent      %s of %s in %s, %s of OTLP, in %s\n", several(r.Spans, "span"), several(r.Traces, "trace"), several(r.Requests, "request"), bytesText(r.Bytes), r.Elapsed.Round(time.Millisecond))
	fmt.Fprintf(&b, "accepted  %d, %s spans/s\n", r.Accepted, si(r.Rate()))
	fmt.Fprintf(&b, "refused   %d\nfailed    %d\nretries   %d\n", r.Refused, r.Failed, r.Retries)
	var reasons []string
	for reason := range r.Reasons {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	for _, reason := range reasons {
		fmt.Fprintf(&b, "          %s: %s; the first: %.300s\n", reason, several(r.Reasons[reason].Spans, "span"), r.Reasons[reason].Example)
	}
	if r.WireBytes > 0 && r.WireBytes != r.Bytes {
		fmt.Fprintf(&b, "on wire   %s\n", bytesText(r.WireBytes))
	}
	l := &r.Latency
	fmt.Fprintf(&b, "latency   p50 %s  p90 %s  p99 %s  max %s\n", brief(l.Quantile(0.5)), brief(l.Quantile(0.9)), brief(l.Quantile(0.99)), brief(l.Max()))
	return b.String()
}

// si writes a number with three digits or so: 19.9k.
func si(v float64) string {
	for _, u := range []struct {
		by   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.by {
			return strconv.FormatFloat(v/u.by, 'f', 1, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func bytesText(n int64) string { return si(float64(n)) + "B" }

// brief rounds a duration to what one reads.
func brief(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// spanRate and spanCount are numbers with k, M or G behind them.
type (
	spanRate  float64
	spanCount int64
)

func (v *spanRate) String() string { return si(float64(*v)) }

func (v *spanRate) Set(s string) error {
	n, err := parseSI(s)
	*v = spanRate(n)
	return err
}

func (v *spanCount) String() string { return si(float64(*v)) }

func (v *spanCount) Set(s string) error {
	n, err := parseSI(s)
	*v = spanCount(n)
	return err
}

func parseSI(s string) (float64, error) {
	by := 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if cut, ok := strings.CutSuffix(s, suffix); ok {
			s, by = cut, f
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n < 0 {
		return 0, errors.New("want a number such as 500, 20k or 1.5M")
	}
	return n * by, nil
}
