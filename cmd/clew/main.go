// Command clew is distributed tracing in one binary: it receives, stores, answers and shows spans.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
)

// command is one of the binary's commands. run returns when it is done or ctx is; a usageError ends with status 2.
type command struct {
	name, summary string
	run           func(ctx context.Context, args []string) error
}

var commands = []command{
	{"serve", "receive, store, answer and show spans", runServe},
	{"query", "ask a running server in TraceQL", runQuery},
	{"demo", "a backend and a small shop that sends it traces", runDemo},
	{"load", "send generated traces at a given rate", runLoad},
	{"backup", "copy a running server's data to a folder, what is new of it", runBackup},
	{"restore", "make a data folder of a backup", runRestore},
	{"inspect", "show what takes the room in blocks and log segments", runInspect},
	{"delete", "delete traces of a running server, by ID or by search", runDelete},
	{"processor", "try a WebAssembly module on spans", runProcessor},
	{"credential", "make a token or a password, and what a credential file has of it", runCredential},
	{"version", "print the version", runVersion},
}

// usageError is a mistake in flags or configuration.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:])
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "clew:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "clew:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] == "help" && len(args) == 1 || args[0] == "-h" || args[0] == "--help" {
		fmt.Print(help())
		return nil
	}
	name, rest := args[0], args[1:]
	if name == "help" {
		name, rest = args[1], []string{"--help"}
	}
	for _, c := range commands {
		if c.name == name {
			return c.run(ctx, rest)
		}
	}
	return usageError{fmt.Errorf("there is no command %q; clew help lists them", name)}
}

func help() string {
	var s strings.Builder
	s.WriteString("Clew is distributed tracing in one binary.\n\nUsage: clew COMMAND [FLAGS]\n\n")
	for _, c := range commands {
		fmt.Fprintf(&s, "  %-11s %s\n", c.name, c.summary)
	}
	return s.String() + "\nclew COMMAND --help says more of each. To begin: clew serve, then open http://127.0.0.1:16686\n"
}

// version is what the build sets by -ldflags; see build/.
var version = ""

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func runVersion(context.Context, []string) error {
	fmt.Println("clew", versionText())
	return nil
}
