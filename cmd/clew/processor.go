package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/process/wasm"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/otlp"
)

const processorExample = `Usage: clew processor test [FLAGS] MODULE SPANS.json

Has a WebAssembly module process spans as a step of kind wasm would, and prints what comes out, as OTLP/JSON. SPANS.json is OTLP/JSON, too,
as an exporter sends it to /v1/traces; - is the standard input. What the module logs, and what it took, goes to the standard error. No
server is needed, and nothing is stored. Ends with status 1 if the module cannot be loaded or fails.

  clew processor test scrub.wasm spans.json
  clew processor test --config "checkout, payment" scrub.wasm - < spans.json | jq .

`

func runProcessor(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("processor", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := wasm.Default()
	fs.StringVar(&c.Config, "config", c.Config, "configuration for the module, a `text`")
	fs.DurationVar(&c.Timeout, "timeout", c.Timeout, "time for a piece of a batch of up to 1 MiB")
	fs.Var(option{&size{&c.Memory}}, "memory_bytes", "memory of an instance")
	repeat := fs.Int("repeat", 1, "process the spans so many `times`, to see how long it takes")
	rest, err := parseArguments(fs, processorExample, args)
	if err != nil {
		return err
	}
	if len(rest) != 3 || rest[0] != "test" {
		return usageError{errors.New("want: clew processor test MODULE SPANS.json; clew help processor says more")}
	}
	c.File = rest[1]
	raw, err := readSpans(rest[2])
	if err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return usageError{err}
	}
	return testProcessor(ctx, c, raw, max(*repeat, 1))
}

// readSpans returns the OTLP bytes of a file of OTLP/JSON.
func readSpans(path string) ([]byte, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(os.Stdin)
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read spans: %w", err)
	}
	raw, err := otlp.AppendBinary(nil, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return raw, nil
}

func testProcessor(ctx context.Context, c wasm.Config, raw []byte, times int) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	begin := time.Now()
	p, err := wasm.Open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	p.Attach("test", log, wasm.NewMeter(prometheus.NewRegistry()))
	loaded := time.Since(begin)

	var b trace.Batch
	var took time.Duration
	spans := 0
	for range times {
		if err := b.Index(raw, trace.DefaultLimits()); err != nil {
			return err
		}
		if n := b.Refused.Total(); n > 0 {
			return fmt.Errorf("%d of the spans would be refused before the module sees them: %s", n, b.Refused.First)
		}
		spans = len(b.Spans)
		begin = time.Now()
		if err := p.Process(ctx, &b); err != nil {
			return fmt.Errorf("%s failed; what is logged above says how", c.File)
		}
		took += time.Since(begin)
	}
	return printProcessed(&b, func(left int) {
		fmt.Fprintf(os.Stderr, "%s, %d dropped; loaded in %v, processed in %v", several(spans, "span"), spans-left, loaded.Round(time.Millisecond), took.Round(time.Microsecond))
		if times > 1 {
			fmt.Fprintf(os.Stderr, " for %d times, %v a span", times, took/time.Duration(max(times*spans, 1)))
		}
		fmt.Fprintln(os.Stderr)
	})
}

// printProcessed prints a batch as indented OTLP/JSON, and has what is said of it printed.
func printProcessed(b *trace.Batch, say func(left int)) error {
	spans, err := b.Decode()
	if err != nil {
		return err
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err = enc.Encode(json.RawMessage(otlp.AppendJSON(nil, spans)))
	say(len(spans))
	return err
}
