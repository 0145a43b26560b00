package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

// ingestRun is a way to send the load.
type ingestRun struct {
	name, protocol, compression string
	walk                        bool    // to the server that only reads and walks; see walk.go
	rate                        float64 // spans a second; 0: as fast as the server takes them
}

// ingestRuns come in the order of the table. Queries are asked of what the first one stored.
var ingestRuns = []ingestRun{
	{name: "OTLP/HTTP", protocol: "otlp/http", compression: "none"},
	{name: "OTLP/HTTP, gzip", protocol: "otlp/http", compression: "gzip"},
	{name: "OTLP/HTTP, zstd", protocol: "otlp/http", compression: "zstd"},
	{name: "OTLP/gRPC", protocol: "otlp/grpc", compression: "none"},
	{name: "OTLP/gRPC, gzip", protocol: "otlp/grpc", compression: "gzip"},
	{name: "reading and indexing the bytes alone", protocol: "otlp/http", compression: "none", walk: true},
}

// ingested is what a run cost the server.
type ingested struct {
	load.Report
	stored int64 // as the server counts them: over UDP it alone knows
	cpu    time.Duration
	peak   int64
	disk   int64
}

func ingestTable(ctx context.Context, o *options, dir string) (string, error) {
	var b strings.Builder
	b.WriteString("| way in | spans | spans per CPU-s | CPU-µs a span | peak memory | bytes a span on disk | spans/s (wall) | p99 |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range ingestRuns {
		if !strings.Contains(r.name, o.only) {
			continue
		}
		fmt.Fprintln(os.Stderr, "ingest:", r.name)
		got, err := r.measure(ctx, o, filepath.Join(dir, r.name))
		if err != nil {
			return "", fmt.Errorf("%s: %w", r.name, err)
		}
		n := float64(got.Accepted)
		disk := "–"
		if got.disk > 0 {
			disk = fmt.Sprintf("%.1f", float64(got.disk)/n)
		}
		fmt.Fprintf(&b, "| %s | %s | **%s** | %.2f | %d MB | %s | %s | %s |\n", r.name, thousands(n), thousands(n/got.cpu.Seconds()), float64(got.cpu.Microseconds())/n,
			got.peak>>20, disk, thousands(got.Rate()), got.Latency.Quantile(0.99).Round(100*time.Microsecond))
	}
	fmt.Fprintf(&b, "\n")
	return b.String(), nil
}

// measure sends the load to a fresh server, waits until it is idle, stops it, and starts it once more, so that the cost of
// the last block and of merging are in it.
func (r ingestRun) measure(ctx context.Context, o *options, dir string) (*ingested, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	if r.walk {
		return r.measureWalk(ctx, o)
	}
	s, err := testkit.Launch(o.clew, dir, "--log.level", "info")
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	got := &ingested{}
	if got.Report, err = r.send(ctx, o, s.Address(load.Listener(r.protocol))); err != nil {
		return nil, err
	}
	if err := settle(ctx, s.PID()); err != nil {
		return nil, err
	}
	if got.stored, err = storedSpans(s); err != nil {
		return nil, err
	}
	got.peak = memory(s.PID(), "VmHWM")
	if err := s.Stop(); err != nil {
		return nil, err
	}
	got.cpu = s.CPU()
	again, err := testkit.Launch(o.clew, dir, "--log.level", "info")
	if err != nil {
		return nil, err
	}
	defer again.Kill()
	if err := settle(ctx, again.PID()); err != nil {
		return nil, err
	}
	got.peak = max(got.peak, memory(again.PID(), "VmHWM"))
	if err := again.Stop(); err != nil {
		return nil, err
	}
	got.cpu += again.CPU()
	got.disk = diskBytes(dir)
	return got, nil
}

func (r ingestRun) send(ctx context.Context, o *options, address string) (load.Report, error) {
	cfg := load.Default()
	cfg.Endpoint, cfg.Protocol, cfg.Compression = address, r.protocol, r.compression
	cfg.Rate, cfg.Spans, cfg.Connections = r.rate, o.spans, 4
	return sendAll(ctx, cfg)
}

// sendAll sends a load of which nothing may be lost.
func sendAll(ctx context.Context, cfg load.Config) (load.Report, error) {
	s, err := load.NewSender(cfg)
	if err != nil {
		return load.Report{}, err
	}
	err = s.Run(ctx)
	report := s.Report()
	if lost := report.Spans - report.Accepted; err == nil && lost > 0 {
		err = fmt.Errorf("%d of %d spans were not accepted: %v", lost, report.Spans, report.Reasons)
	}
	return report, errors.Join(err, ctx.Err())
}

// measureWalk runs this program as the server that only reads and indexes.
func (r ingestRun) measureWalk(ctx context.Context, o *options) (*ingested, error) {
	w, err := startWalk()
	if err != nil {
		return nil, err
	}
	got := &ingested{}
	got.Report, err = r.send(ctx, o, w.address)
	got.peak = memory(w.cmd.Process.Pid, "VmHWM")
	w.stop()
	got.cpu = w.cmd.ProcessState.UserTime() + w.cmd.ProcessState.SystemTime()
	return got, err
}

// thousands writes a number with commas.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
