package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// lint checks the code. Known vulnerabilities are reported, not held against it: the database is not within reach everywhere.
func lint(ctx context.Context) error {
	tool := func(name string, args ...string) call {
		return call{name: "go", args: append([]string{"tool", "-modfile=tools/go.mod", name}, args...)}
	}
	err := errors.Join(
		step(ctx, "go mod tidy -diff", func(ctx context.Context) error {
			return quiet(ctx, call{name: "go", args: []string{"mod", "tidy", "-diff"}})
		}),
		step(ctx, "golangci-lint", func(ctx context.Context) error {
			return quiet(ctx, tool("golangci-lint", "run", "./..."))
		}),
	)
	vulnerable := quiet(ctx, tool("govulncheck", "./..."))
	switch {
	case vulnerable == nil:
		fmt.Println("✔ govulncheck: no known vulnerability is reached")
	case strings.Contains(vulnerable.Error(), "Vulnerability #"):
		fmt.Println("▲ govulncheck, a report:", vulnerable)
	default:
		fmt.Println("▲ govulncheck cannot reach its database here")
	}
	return err
}
