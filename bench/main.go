// Command bench measures clew serve from outside, as a shop's traces reach it: CPU per span, memory, bytes on disk, CPU per query.
//
// CPU is the server process's user and system time, with background work until it is idle and the final stop included,
// read from /proc: it says more than wall time on a machine that others use as well. The load is that of clew load, made
// in another process than the server's. Run it with make bench; docs/performance.md says what the columns mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options is what a run is told.
type options struct {
	clew   string // the binary
	spans  int64  // of each ingest run
	write  string // the file whose table is replaced; empty: none
	only   string // names of ingest runs contain this
	memory bool   // also the steady run
	each   int64  // spans to send over each protocol, instead of all else
	ask    asking // a data folder that is asked, instead of all else

	grow     string        // sizes at which the store is measured as it grows, instead of all else
	soak     time.Duration // how long the store is watched at a steady rate, instead of all else
	forward  bool          // what forwarding costs, instead of all else
	flames   bool          // draw where the CPU's time goes, instead of all else
	pictures string        // folder for pictures
	peer     peer          // another server, measured instead of all else
}

func main() {
	if len(os.Args) > 1 && (os.Args[1] == "walk" || os.Args[1] == "sink") { // this program as a server; see walk.go and forward.go
		if err := map[string]func() error{"walk": walkServer, "sink": sinkServer}[os.Args[1]](); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.clew, "clew", "bin/clew", "the `binary` to measure")
	flag.Int64Var(&o.spans, "spans", 3_000_000, "`spans` to send in each ingest run")
	flag.StringVar(&o.write, "write", "docs/performance.md", "`file` whose tables between the marks are replaced; empty: print alone")
	flag.StringVar(&o.only, "only", "", "ingest runs whose name contains this `text` alone; implies -write=")
	flag.BoolVar(&o.memory, "steady", true, "measure memory at a steady 20,000 spans/s, too")
	flag.Int64Var(&o.each, "protocols", 0, "measure what a span costs over each protocol alone, with so many `spans` of each; 0: all else, too")
	o.ask.flags()
	flag.StringVar(&o.grow, "grow", "", "store more and more spans of a month, and measure at these `sizes`, such as 1M,10M,100M")
	flag.DurationVar(&o.soak, "soak", 0, "watch memory, goroutines and open files for this `time` at 20,000 spans/s")
	flag.BoolVar(&o.forward, "forward", false, "measure what forwarding costs, by destination")
	flag.BoolVar(&o.flames, "flames", false, "draw where the CPU's time goes while spans arrive, as flame graphs")
	flag.StringVar(&o.pictures, "pictures", "docs/images", "`folder` that gets the pictures of -grow, -soak and -flames; empty: none")
	o.peer.flags()
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, &o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp("", "clew-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.ask.dir != "" {
		return askTable(ctx, o)
	}
	for _, other := range []struct {
		wanted bool
		run    func(context.Context, *options, string) error
	}{{o.grow != "", grow}, {o.soak > 0, soak}, {o.flames, flames}, {o.forward, measureForward}, {o.peer.command != "", measurePeer}} {
		if other.wanted {
			return other.run(ctx, o, filepath.Join(dir, "data"))
		}
	}
	if o.each > 0 {
		return protocolTable(ctx, o, dir)
	}
	var report strings.Builder
	report.WriteString(machine())
	ingest, err := ingestTable(ctx, o, dir)
	if err != nil {
		return err
	}
	report.WriteString(ingest)
	if o.only == "" {
		queries, err := queryTable(ctx, o, filepath.Join(dir, ingestRuns[0].name))
		if err != nil {
			return err
		}
		report.WriteString(queries)
	}
	if o.memory && o.only == "" {
		steady, err := steadyTable(ctx, o, filepath.Join(dir, "steady"))
		if err != nil {
			return err
		}
		report.WriteString(steady)
	}
	fmt.Print("\n", report.String())
	if o.write == "" || o.only != "" {
		return ctx.Err()
	}
	if err := errors.Join(ctx.Err(), replaceBetween(marks, o.write, report.String())); err != nil {
		return err
	}
	o.each = protocolSpans
	return protocolTable(ctx, o, dir)
}

// between is the lines between which tables stand in the document.
type between struct{ begin, end string }

var (
	marks         = between{"<!-- make bench writes from here -->", "<!-- to here -->"}
	askMarks      = between{"<!-- make bench writes questions from here -->", "<!-- questions to here -->"}
	protocolMarks = between{"<!-- make bench writes protocols from here -->", "<!-- protocols to here -->"}
)

func replaceBetween(m between, path, text string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(raw), m.begin)
	_, after, ok2 := strings.Cut(rest, m.end)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s: the marks %q and %q are missing", path, m.begin, m.end)
	}
	return os.WriteFile(path, []byte(before+m.begin+"\n\n"+text+"\n"+m.end+after), 0o644)
}
