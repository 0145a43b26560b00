package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
)

// TestSteps reads a chain, prints it, and reads what it printed.
func TestSteps(t *testing.T) {
	file := `process:
  memory: 1GiB
  steps:
    - kind: sample
      name: most
      percent: 25
      when: {services: [cart, "web*"], tenants: [team-a]}
      rules:
        - {services: ["a,b"], operations: ['GET /"x"'], percent: 1.5}
    - kind: sample
      error_mode: silent
    - kind: sample
`
	c, ss, err := loaded(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	type brief struct {
		Name, Reason string
		When         process.When
		Errors       process.ErrorMode
	}
	briefs := func(c *config) (out []brief) {
		for _, s := range c.chain {
			out = append(out, brief{s.Name, s.Reason, s.When, s.Errors})
		}
		return out
	}
	want := []brief{
		{"most", "sampled_out", process.When{Tenants: []trace.Glob{"team-a"}, Services: []trace.Glob{"cart", "web*"}}, process.Ignore},
		{Name: "sample", Reason: "sampled_out", Errors: process.Silent},
		{Name: "sample2", Reason: "sampled_out"},
	}
	if diff := cmp.Diff(want, briefs(c)); diff != "" {
		t.Error(diff)
	}
	printed := ss.print()
	again, ss2, err := loaded(t, printed, nil)
	if err != nil {
		t.Fatalf("%s\n%v", printed, err)
	}
	text := ss.find("process.steps").value.String()
	if got := ss2.find("process.steps").value.String(); got != text || !strings.Contains(text, `{services: ["a,b"], operations: ["GET /\"x\""], percent: "1.5"}`) {
		t.Errorf("printed %s\nread again it prints %s", text, got)
	}
	if err := again.validate(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, briefs(again)); diff != "" {
		t.Error(diff)
	}
	if c, _, err = loaded(t, "", []string{"CLEW_PROCESS_STEPS=[{kind: sample, percent: 1, when.services: a}]"}); err != nil || len(c.steps) != 1 || c.steps[0].services[0] != "a" {
		t.Errorf("from the environment: %v, %+v", err, c.steps)
	}
}

// TestStepErrors: each mistake is told with file, line and key.
func TestStepErrors(t *testing.T) {
	for yaml, want := range map[string]string{
		"- percent: 1":                                         "clew.yaml:3: process.steps[0]: has no kind; want one of ",
		"- sample":                                             "clew.yaml:3: process.steps[0]: has no kind; want one of ",
		"- kind: sampel":                                       `clew.yaml:3: process.steps[0].kind: "sampel" is no kind of step; want one of `,
		"- kind: sample\n  percnt: 1":                          "clew.yaml:4: there is no key process.steps[0].percnt; is it process.steps[0].percent?",
		"- kind: sample\n  percent: 101":                       `clew.yaml:4: process.steps[0].percent: "101" is not a number from 0 to 100`,
		"- kind: sample\n  percent: NaN":                       `clew.yaml:4: process.steps[0].percent: "NaN" is not a number from 0 to 100`,
		"- kind: sample\n  mode: odd":                          `clew.yaml:4: process.steps[0].mode: "odd" is not one of equalizing, proportional`,
		"- kind: sample\n  error_mode: odd":                    `clew.yaml:4: process.steps[0].error_mode: "odd" is not one of ignore, silent, propagate`,
		"- kind: sample\n  when: {services: {a: b}}":           "clew.yaml:4: process.steps[0].when.services: is a section; want a value",
		"- kind: sample\n  rules:\n  - {percent: x}":           `clew.yaml:5: process.steps[0].rules[0].percent: "x" is not a number`,
		"- kind: sample\n  rules:\n  - services: a":            "",
		"- kind: sample\n  rules: [{services: {}}]":            "clew.yaml:4: process.steps[0].rules[0].services: want a list of texts",
		"- kind: sample\n  name: x\n- {kind: sample, name: x}": "clew.yaml:5: process.steps[1].name: there is a step x already; want names that differ",
		"{kind: sample}":                                       "clew.yaml:3: process.steps: want a list of steps, each of which begins with - kind:",
	} {
		c, _, err := loaded(t, "process:\n  steps:\n    "+strings.ReplaceAll(yaml, "\n", "\n    ")+"\n", nil)
		if err == nil {
			err = c.validate()
		}
		if want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || want == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\n got %v\nwant %s", yaml, err, want)
		}
	}
}

type nowhere struct{}

func (nowhere) Append(context.Context, *trace.Batch) error { return os.ErrClosed }

// TestNoSteps: without steps spans go to the store itself, as if there were no chain.
func TestNoSteps(t *testing.T) {
	c, log, bodies := defaultConfig(), slog.New(slog.DiscardHandler), receive.NewBodies(1<<20, 1<<20)
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	if next := receive.Sink(nowhere{}); c.processed(next, bodies, log, prometheus.NewRegistry()) != next {
		t.Error("a chain was put in")
	}
	if err := (&steps{&c.steps}).Set("[{kind: sample}]"); err != nil {
		t.Fatal(err)
	}
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	if _, is := c.processed(nowhere{}, bodies, log, prometheus.NewRegistry()).(*process.Chain); !is {
		t.Error("no chain was put in")
	}
	if err := c.closeSteps(); errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}
