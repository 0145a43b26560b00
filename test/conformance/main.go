// Command conformance sends spans to a tracing server, asks it for them in each dialect that it speaks (Jaeger's, Zipkin's and Tempo's, over HTTP and gRPC), and
// reports which answers are not what clients of these dialects expect. docs/conformance.md says how to run it and how to add questions.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/clewtrace/clew/internal/tempopb"
)

// dialects are all that there are questions in, in the order in which they are asked.
var dialects = []string{"jaeger", "jaeger-v3", "jaeger-grpc", "zipkin", "tempo", "tempo-grpc"}

// errDiffers is returned when all was asked and not all answers are as expected.
var errDiffers = errors.New("not all answers are as expected")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := command(ctx, os.Args[1:]); {
	case errors.Is(err, errDiffers):
		os.Exit(1)
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// settings are what the flags say.
type settings struct {
	backend backend
	wait    time.Duration
	only    *regexp.Regexp
	passed  bool
}

func parseFlags(args []string) (*settings, error) {
	f := flag.NewFlagSet("conformance", flag.ContinueOnError)
	f.Usage = func() {
		_, _ = fmt.Fprint(f.Output(), `usage: go run ./test/conformance -otlp URL [-jaeger URL] [-jaeger-grpc HOST:PORT] [-zipkin URL] [-tempo URL] [-tempo-grpc HOST:PORT]

Sends a few spans to a tracing server, asks it in the dialects whose addresses are given, and reports what differs from what their clients expect.
Exit status: 0 if nothing does, 1 if something does, 2 if the server could not be asked. All names are new in each run, so that it may have other spans, too.

`) // to the terminal, where flags are listed
		f.PrintDefaults()
	}
	s := &settings{}
	url := map[string]*string{"": f.String("otlp", "", "`URL` of the server's OTLP/HTTP, without /v1/traces (http://localhost:4318); needed for Jaeger's and Tempo's dialects")}
	for dialect, what := range map[string]string{
		"jaeger": "`URL` of Jaeger's query service (http://localhost:16686), asked in /api and /api/v3", "jaeger-grpc": "`HOST:PORT` of Jaeger's query service over gRPC (localhost:16685)",
		"zipkin": "`URL` of Zipkin's API without /api/v2 (http://localhost:9411); spans are sent there, too", "tempo": "`URL` of Tempo's API (http://localhost:3200)",
		"tempo-grpc": "`HOST:PORT` of Tempo's streaming API; where Grafana streams, that of -tempo (localhost:3200)",
	} {
		url[dialect] = f.String(dialect, "", what)
	}
	f.DurationVar(&s.wait, "wait", 10*time.Second, "how long after sending answers may still become right; Tempo takes about a minute")
	only := f.String("only", "", "ask only what matches this `REGEXP`, in dialect/question")
	f.BoolVar(&s.passed, "v", false, "list the questions that pass, too")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	s.backend = backend{otlp: strings.TrimSuffix(*url[""], "/"), at: map[string]string{"jaeger-v3": strings.TrimSuffix(*url["jaeger"], "/")}}
	asked := 0
	for dialect, value := range url {
		if dialect != "" && *value != "" {
			s.backend.at[dialect] = strings.TrimSuffix(*value, "/")
			asked++
			if dialect != "zipkin" && s.backend.otlp == "" {
				return nil, fmt.Errorf("-%s needs -otlp, where the spans are sent that are asked for", dialect)
			}
		}
	}
	if f.NArg() > 0 || asked == 0 {
		return nil, errors.New("name what to ask: -jaeger, -jaeger-grpc, -zipkin, -tempo or -tempo-grpc with an address; -help says more")
	}
	var err error
	s.only, err = regexp.Compile(*only)
	return s, err
}

func command(ctx context.Context, args []string) error {
	s, err := parseFlags(args)
	if err != nil {
		return err
	}
	a, err := newAsker(&s.backend)
	if err != nil {
		return err
	}
	if address := s.backend.at["jaeger-grpc"]; address != "" {
		dir, err := os.MkdirTemp("", "conformance-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		program := filepath.Join(dir, "idl")
		build := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
		build.Dir = jaegerDir
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s, in the root of Clew's repository: %w\n%s", jaegerDir, err, out)
		}
		if a.jaeger, err = connect(program, jaegerDir, address); err != nil {
			return err
		}
		defer func() { _ = a.jaeger.Close() }() // it has nothing to lose
	}
	list, err := questions(&s.backend, s.only)
	if err != nil {
		return err
	}
	if err := s.backend.load(ctx, a.occasion); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d questions, asked until they pass or %v are over\n", len(list), s.wait)
	results, err := a.run(ctx, list, s.wait, nil)
	if err != nil {
		return err
	}
	text, err := report(results, s.passed)
	fmt.Print(text)
	return err
}

// newAsker returns what asks a backend, with names and times of its own.
func newAsker(b *backend) (*asker, error) {
	var run [6]byte
	_, _ = rand.Read(run[:]) // it never fails
	tempo, err := tempopb.Messages()
	// Whole seconds, a minute ago, so that there are spans in every window whose end is now.
	return &asker{backend: b, occasion: occasion{run: hex.EncodeToString(run[:]), base: time.Now().Add(-time.Minute).Truncate(time.Second)}, tempo: tempo}, err
}

// questions returns those in all dialects that a backend has, and whose names match.
func questions(b *backend, only *regexp.Regexp) (out []question, err error) {
	for _, d := range dialects {
		if b.at[d] == "" {
			continue
		}
		list, err := read(d)
		if err != nil {
			return nil, err
		}
		for _, q := range list {
			if only == nil || only.MatchString(d+"/"+q.name) {
				out = append(out, q)
			}
		}
	}
	return out, nil
}

// report returns what differs, with errDiffers if anything does, and how many questions of each dialect do not.
func report(results []result, passed bool) (string, error) {
	var w strings.Builder
	type count struct{ passed, asked int }
	counts := map[string]*count{}
	differ := false
	for _, r := range results {
		c := counts[r.dialect]
		if c == nil {
			c = &count{}
			counts[r.dialect] = c
		}
		c.asked++
		switch {
		case r.diff != "":
			differ = true
			fmt.Fprintf(&w, "differs  %s/%s\n         %s\n         %s\n", r.dialect, r.name, r.request(), r.diff)
		default:
			c.passed++
			if passed {
				fmt.Fprintf(&w, "pass     %s/%s\n", r.dialect, r.name)
			}
		}
	}
	for _, d := range dialects {
		if c := counts[d]; c != nil {
			fmt.Fprintf(&w, "%-12s %d of %d answers are as expected\n", d, c.passed, c.asked)
		}
	}
	if differ {
		return w.String(), errDiffers
	}
	return w.String(), nil
}
