package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

// growTime is the time over which the spans of the largest size are spread.
const growTime = 30 * 24 * time.Hour

// grown is what is measured at one size. Times are in milliseconds, sizes in bytes.
type grown struct {
	Spans        int64   `json:"spans"`
	IngestMicros float64 `json:"ingest_cpu_us_per_span"` // of those that came since the size before
	SpanBytes    float64 `json:"bytes_per_span"`
	Blocks       float64 `json:"blocks"`
	Start        float64 `json:"start_ms"` // until the process is ready
	RSSIdle      int64   `json:"rss_after_start"`
	RSSAsked     int64   `json:"rss_after_questions"`
	RSSIngest    int64   `json:"rss_peak_of_ingest"`

	Trace        float64 `json:"trace_cpu_ms"`
	TraceP50     float64 `json:"trace_p50_ms"`
	TraceP99     float64 `json:"trace_p99_ms"`
	Search       float64 `json:"search_cpu_ms"`
	SearchBlocks float64 `json:"search_blocks"`
	SearchBytes  float64 `json:"search_bytes"`
	Needle       float64 `json:"needle_cpu_ms"`
}

// grow stores more and more spans, spread over a month that has passed, and measures at each size what ingest and questions cost.
func grow(ctx context.Context, o *options, dir string) error {
	sizes, err := parseSizes(o.grow)
	if err != nil {
		return err
	}
	until := time.Now()
	from := until.Add(-growTime)
	var all []grown
	var before int64
	begin := time.Now()
	for _, size := range sizes {
		part := func(n int64) time.Time {
			return from.Add(time.Duration(float64(growTime) * float64(n) / float64(sizes[len(sizes)-1])))
		}
		cfg := load.Default()
		cfg.Spans, cfg.From, cfg.Until, cfg.Seed = size-before, part(before), part(size), uint64(size)
		fmt.Fprintf(os.Stderr, "grow: to %s spans; %v so far\n", thousands(float64(size)), time.Since(begin).Round(time.Second))
		g, err := growTo(ctx, o, dir, cfg)
		if err != nil {
			return err
		}
		all, before = append(all, *g), size
		line, err := json.Marshal(g)
		if err != nil {
			return err
		}
		fmt.Println(string(line))
		if took := time.Since(begin); size < sizes[len(sizes)-1] {
			fmt.Fprintf(os.Stderr, "grow: %v for this; about %v for the rest\n", took.Round(time.Second), (took * time.Duration(sizes[len(sizes)-1]-size) / time.Duration(size)).Round(time.Minute))
		}
	}
	if o.pictures == "" {
		return nil
	}
	return errors.Join(writeLines(filepath.Join(o.pictures, "grow.jsonl"), all), writeChart(filepath.Join(o.pictures, "grow.svg"), growPanels(all)))
}

func parseSizes(text string) ([]int64, error) {
	var sizes []int64
	for word := range strings.SplitSeq(text, ",") {
		digits, million := strings.CutSuffix(word, "M")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("size %q: want a number of spans such as 500000 or 10M", word)
		}
		if million {
			n *= 1_000_000
		}
		sizes = append(sizes, n)
	}
	if !slices.IsSorted(sizes) {
		return nil, fmt.Errorf("sizes %q: want smaller ones first", text)
	}
	return sizes, nil
}

func writeLines(path string, all []grown) error {
	var b []byte
	for i := range all {
		line, err := json.Marshal(all[i])
		if err != nil {
			return err
		}
		b = append(append(b, line...), '\n')
	}
	return os.WriteFile(path, b, 0o644)
}

// growTo adds spans to what a folder has, and asks.
func growTo(ctx context.Context, o *options, dir string, cfg load.Config) (*grown, error) {
	g := &grown{}
	flags := []string{"--log.level", "info", "--store.retention", "0"}
	s, err := testkit.Launch(o.clew, dir, flags...)
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	cfg.Endpoint, cfg.Protocol, cfg.Connections, cfg.Rate = s.Address("otlp_http"), "otlp/http", 4, 0
	sent, err := sendAll(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := settle(ctx, s.PID()); err != nil {
		return nil, err
	}
	g.RSSIngest = memory(s.PID(), "VmHWM")
	if err := s.Stop(); err != nil {
		return nil, err
	}
	cpu := s.CPU()
	if s, err = testkit.Launch(o.clew, dir, flags...); err != nil { // merges what the stop wrote
		return nil, err
	}
	defer s.Kill()
	if err := settle(ctx, s.PID()); err != nil {
		return nil, err
	}
	if err := s.Stop(); err != nil {
		return nil, err
	}
	cpu += s.CPU()
	g.IngestMicros = float64(cpu.Microseconds()) / float64(sent.Accepted)
	begin := time.Now()
	if s, err = testkit.Launch(o.clew, dir, flags...); err != nil {
		return nil, err
	}
	defer s.Kill()
	g.Start = ms(time.Since(begin))
	if err := settle(ctx, s.PID()); err != nil {
		return nil, err
	}
	g.RSSIdle = memory(s.PID(), "VmRSS")
	if err := g.ask(ctx, s); err != nil {
		return nil, err
	}
	g.RSSAsked = memory(s.PID(), "VmRSS")
	g.SpanBytes = float64(diskBytes(dir)) / float64(g.Spans)
	return g, s.Stop()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ask asks for traces of all ages, twice before it counts; for the newest of a service; and for orders.
func (g *grown) ask(ctx context.Context, s *testkit.Server) error {
	base := s.URL("query")
	var status struct {
		Store struct {
			Spans  int64
			Blocks float64
		}
	}
	if err := getJSON(ctx, base+"/api/v1/status", &status); err != nil {
		return err
	}
	g.Spans, g.Blocks = status.Store.Spans, status.Store.Blocks
	ids, orders, err := sample(ctx, base)
	if err != nil {
		return err
	}
	traces, needles := query{name: "trace"}, query{name: "needle"}
	for _, id := range ids {
		traces.paths = append(traces.paths, "/api/v1/traces/"+id+"/columns")
	}
	for _, order := range orders {
		needles.paths = append(needles.paths, "/api/v1/search?tag=app.order.id%3D"+order)
	}
	for range 2 {
		for _, path := range traces.paths {
			if _, err := get(ctx, base+path); err != nil {
				return err
			}
		}
	}
	found, err := measure(ctx, s, traces)
	if err != nil {
		return err
	}
	g.Trace, g.TraceP50, g.TraceP99 = found.cpu, ms(found.quantile(0.5)), ms(found.quantile(0.99))
	const newest = "/api/v1/search?service=cart&tag=rpc.system%3Dgrpc"
	if found, err = measure(ctx, s, query{"search", []string{newest}}); err != nil {
		return err
	}
	g.Search = found.cpu
	var scanned struct {
		Scanned struct{ Blocks, Bytes float64 }
	}
	if err := getJSON(ctx, base+newest, &scanned); err != nil {
		return err
	}
	g.SearchBlocks, g.SearchBytes = scanned.Scanned.Blocks, scanned.Scanned.Bytes
	if found, err = measure(ctx, s, needles); err != nil {
		return err
	}
	g.Needle = found.cpu
	return nil
}

func getJSON(ctx context.Context, u string, v any) error {
	body, err := get(ctx, u)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// growPanels draws what was measured over the number of spans.
func growPanels(all []grown) []panel {
	line := func(name string, of func(*grown) float64) series {
		s := series{name: name}
		for i := range all {
			s.points = append(s.points, point{float64(all[i].Spans), of(&all[i])})
		}
		return s
	}
	draw := func(title, unit string, lines ...series) panel {
		return panel{title: title, unit: unit, axis: "spans stored", log: true, series: lines}
	}
	const mib = 1 << 20
	return []panel{
		draw("Ingest, CPU a span", "µs", line("", func(g *grown) float64 { return g.IngestMicros })),
		draw("Disk, a span", "bytes", line("", func(g *grown) float64 { return g.SpanBytes })),
		draw("Trace by ID, of all ages", "ms",
			line("p99", func(g *grown) float64 { return g.TraceP99 }), line("p50", func(g *grown) float64 { return g.TraceP50 }), line("CPU", func(g *grown) float64 { return g.Trace })),
		draw("Search and needle, CPU", "ms", line("newest 20", func(g *grown) float64 { return g.Search }), line("needle", func(g *grown) float64 { return g.Needle })),
		draw("Blocks", "", line("there are", func(g *grown) float64 { return g.Blocks }), line("newest 20 looks at", func(g *grown) float64 { return g.SearchBlocks })),
		draw("Read for the newest 20", "bytes", line("", func(g *grown) float64 { return g.SearchBytes })),
		draw("Start-up", "ms", line("", func(g *grown) float64 { return g.Start })),
		draw("Memory (RSS)", "MiB", line("after start", func(g *grown) float64 { return float64(g.RSSIdle) / mib }),
			line("questions", func(g *grown) float64 { return float64(g.RSSAsked) / mib }), line("ingest peak", func(g *grown) float64 { return float64(g.RSSIngest) / mib })),
	}
}
