package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

// protocolSpans is how many spans are sent over each protocol in make bench.
const protocolSpans = 500_000

// packetRate is how many spans a second are sent in packets: nobody is told when they are too many.
const packetRate = 20_000

// protocolTable measures what a span costs over each protocol, the first of which is what others are compared with.
func protocolTable(ctx context.Context, o *options, dir string) error {
	var b strings.Builder
	b.WriteString(machine())
	b.WriteString("| protocol | spans stored | spans per CPU-s | CPU-µs a span | of OTLP/HTTP's speed | bytes a span on the wire | peak memory |\n|---|--:|--:|--:|--:|--:|--:|\n")
	sized := *o
	sized.spans = o.each
	first := 0.0
	for _, name := range protocolNames() {
		if !strings.Contains(name, o.only) {
			continue
		}
		fmt.Fprintln(os.Stderr, "protocol:", name)
		r := ingestRun{name: name, protocol: name, compression: "none"}
		if name == "jaeger/udp" {
			r.rate = packetRate
		}
		got, err := r.measure(ctx, &sized, filepath.Join(dir, strings.ReplaceAll(name, "/", "-")))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		n := float64(got.stored)
		speed := n / got.cpu.Seconds()
		if first == 0 {
			first = speed
		}
		wire := "–"
		if got.WireBytes > 0 {
			wire = thousands(float64(got.WireBytes) / float64(got.Accepted))
		}
		fmt.Fprintf(&b, "| %s | %s | **%s** | %.2f | %.0f %% | %s | %d MB |\n", name, thousands(n), thousands(speed), float64(got.cpu.Microseconds())/n, 100*speed/first, wire, got.peak>>20)
	}
	fmt.Print("\n", b.String())
	if o.write == "" || o.only != "" {
		return ctx.Err()
	}
	return replaceBetween(protocolMarks, o.write, b.String())
}

// protocolNames returns the protocols, OTLP/HTTP first.
func protocolNames() []string {
	names := []string{"otlp/http"}
	for _, name := range load.Protocols() {
		if name != names[0] {
			names = append(names, name)
		}
	}
	return names
}

// storedSpans returns how many spans a server says it has stored since it started.
func storedSpans(s *testkit.Server) (n int64, err error) {
	a, err := http.Get(s.URL("admin") + "/metrics")
	if err != nil {
		return 0, err
	}
	defer func() { _ = a.Body.Close() }()
	raw, err := io.ReadAll(a.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if series, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(series, "clew_stored_spans_total") {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, err
			}
			n += int64(v)
		}
	}
	return n, nil
}
