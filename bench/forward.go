package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

// forwardRuns are the destinations of which the cost is measured, apart from name and endpoint; none is the first.
var forwardRuns = []string{
	"",
	"protocol: otlp_grpc",
	"protocol: otlp_grpc, compression: zstd",
	"protocol: otlp_grpc, compression: gzip",
	"protocol: otlp_http",
	"protocol: otlp_grpc, filter.ratio: 0.1",
	"protocol: otlp_grpc, filter.errors: true",
	"protocol: jaeger_grpc",
	"protocol: jaeger_http",
	"protocol: zipkin",
}

// measureForward prints what forwarding costs: the CPU of a server with each destination, and of one without.
func measureForward(ctx context.Context, o *options, dir string) error {
	sink, err := startSelf("sink")
	if err != nil {
		return err
	}
	defer sink.stop()
	best := make([]forwarded, len(forwardRuns))
	for round := range forwardRounds {
		for i, settings := range forwardRuns {
			to := ""
			if settings != "" {
				to = fmt.Sprintf(`[{name: sink, endpoint: "http://%s", %s}]`, sink.address, settings)
			}
			fmt.Fprintf(os.Stderr, "forward: round %d, %s\n", round+1, settings)
			got, err := forwardOnce(ctx, o, filepath.Join(dir, fmt.Sprint(i)), to)
			if err != nil {
				return fmt.Errorf("%s: %w", settings, err)
			}
			if round == 0 || got.cpu < best[i].cpu {
				best[i] = got
			}
		}
	}
	fmt.Printf("%s| destination | spans per CPU-s | CPU-µs a span | more than without | spans/s (wall) | p50 | p99 |\n|---|--:|--:|--:|--:|--:|--:|\n", machine())
	forwardRuns[0] = "none"
	for i, r := range best {
		n := float64(r.Accepted)
		fmt.Printf("| %s | **%s** | %.2f | %.2f | %s | %s | %s |\n", forwardRuns[i], thousands(n/r.cpu.Seconds()), r.each(), r.each()-best[0].each(), thousands(r.Rate()),
			r.Latency.Quantile(0.5).Round(100*time.Microsecond), r.Latency.Quantile(0.99).Round(100*time.Microsecond))
	}
	return nil
}

// forwardRounds is how often each run is measured, in turns: the least of its CPU times counts, for others use the machine as well.
const forwardRounds = 4

// forwarded is what a run cost the server.
type forwarded struct {
	load.Report
	cpu time.Duration
}

// each returns the CPU time of a span, in µs.
func (f *forwarded) each() float64 { return float64(f.cpu.Microseconds()) / float64(f.Accepted) }

func forwardOnce(ctx context.Context, o *options, dir, to string) (got forwarded, err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return got, err
	}
	s, err := testkit.Launch(o.clew, dir, "--log.level", "info", "--forward.to", to)
	if err != nil {
		return got, err
	}
	defer s.Kill()
	cfg := load.Default()
	cfg.Endpoint, cfg.Protocol, cfg.Compression = s.Address("otlp_http"), "otlp/http", "none"
	cfg.Rate, cfg.Spans, cfg.Connections = 0, o.spans, 4
	if got.Report, err = sendAll(ctx, cfg); err != nil {
		return got, err
	}
	if err := settle(ctx, s.PID()); err != nil {
		return got, err
	}
	if err := s.Stop(); err != nil {
		return got, err
	}
	if len(s.Logged("stay in the queue")) > 0 {
		return got, fmt.Errorf("not all was sent: %s", strings.Join(s.Logged("stay in the queue"), "\n"))
	}
	got.cpu = s.CPU()
	return got, os.RemoveAll(dir)
}

// sinkServer takes whatever is posted, over HTTP/1 or as calls of gRPC, and forgets it. It prints its address.
func sinkServer() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	s := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write(make([]byte, 5)) // an empty message
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s.Serve(l)
}

// startSelf starts this program as one of the servers that it can be.
func startSelf(as string) (*walker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &walker{cmd: exec.Command(self, as)}
	w.cmd.SysProcAttr = testkit.Child()
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fscanln(out, &w.address); err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}
