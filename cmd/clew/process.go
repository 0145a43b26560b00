package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
)

// stepKind is a kind of processing step that can be configured.
type stepKind struct {
	fresh  func() stepSpec
	reason string // why the spans are dropped that it leaves out
	errors process.ErrorMode
}

// stepSpec is what a step of some kind is told.
type stepSpec interface {
	// settings is the kind's own keys. Values that are wrong by themselves are refused as they are set, with their line.
	settings() settings
	// step makes the step. An error is about what does not fit together, and begins with a key. A step that is an io.Closer is closed at the end.
	step() (process.Step, error)
}

// stepKinds are the kinds, by their names.
func stepKinds() map[string]stepKind {
	return map[string]stepKind{
		"filter":    {func() stepSpec { return &filterSpec{} }, "filtered", process.Ignore},
		"limit":     {func() stepSpec { return &limitSpec{per: "service"} }, "limited", process.Ignore},
		"redact":    {func() stepSpec { return &redactSpec{mask: "***"} }, "redacted", process.Propagate},
		"rename":    {func() stepSpec { return newRenameSpec() }, "renamed", process.Ignore},
		"resource":  {func() stepSpec { return &resourceSpec{} }, "changed", process.Ignore},
		"sample":    {func() stepSpec { return newSampleSpec() }, "sampled_out", process.Ignore},
		"transform": {func() stepSpec { return &transformSpec{} }, "filtered", process.Ignore},
		"wasm":      {newWasmSpec, "module", process.Propagate},
	}
}

// stepConfig is one step of the chain.
type stepConfig struct {
	kind, name, mode  string
	tenants, services []string
	spec              stepSpec
	at                string // file and line, as an error begins
}

// newStep returns a step of a kind that is told nothing yet.
func newStep(kind string) (*stepConfig, error) {
	k, ok := stepKinds()[kind]
	if !ok {
		return nil, fmt.Errorf("%q is no kind of step; want one of %s", kind, strings.Join(slices.Sorted(maps.Keys(stepKinds())), ", "))
	}
	return &stepConfig{kind: kind, mode: process.ErrorModes[k.errors], spec: k.fresh()}, nil
}

func (c *stepConfig) settings() settings {
	return append(settings{
		{key: "kind", value: &choice{&c.kind, []string{c.kind}}},
		{key: "name", value: &text{&c.name}},
		{key: "error_mode", value: &choice{&c.mode, process.ErrorModes[:]}},
		{key: "when.tenants", value: &list{&c.tenants}},
		{key: "when.services", value: &list{&c.services}},
	}, c.spec.settings()...)
}

// steps is the chain. In a file it is a list of sections, each with a kind and that kind's keys; as text it is the same YAML in one line.
type steps struct{ p *[]*stepConfig }

func (v *steps) String() string {
	all := make([]string, len(*v.p))
	for i, c := range *v.p {
		fresh, _ := newStep(c.kind) // it was made once
		all[i] = flow(c.settings(), fresh.settings(), "kind: "+c.kind)
	}
	if len(all) == 0 {
		return ""
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (v *steps) Set(s string) error { return setYAML(v, s) }

func (v *steps) loadNode(path, key string, n *yaml.Node) error {
	*v.p = nil
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return wants(path, key, n, "a list of steps, each of which begins with - kind:")
	}
	for i, e := range n.Content {
		c, err := loadStep(path, fmt.Sprintf("%s[%d]", key, i), e)
		if err != nil {
			return err
		}
		*v.p = append(*v.p, c)
	}
	return nil
}

func loadStep(path, key string, n *yaml.Node) (*stepConfig, error) {
	var kind *yaml.Node
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "kind" {
			kind = n.Content[i+1]
		}
	}
	if kind == nil {
		return nil, fmt.Errorf("%s%s: has no kind; want one of %s", where(path, n.Line), key, strings.Join(slices.Sorted(maps.Keys(stepKinds())), ", "))
	}
	c, err := newStep(kind.Value)
	if err != nil {
		return nil, fmt.Errorf("%s%s.kind: %w", where(path, kind.Line), key, err)
	}
	c.at = where(path, n.Line)
	return c, c.settings().loadSection(path, key+".", n)
}

// texts is a list of texts that may have commas in them, each of which is checked where it stands.
type texts struct {
	p     *[]string
	check func(s string) error // nil: any will do
}

func (v *texts) String() string {
	quoted := make([]string, len(*v.p))
	for i, s := range *v.p {
		quoted[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func (v *texts) Set(s string) error {
	*v.p = nil
	return v.add(s)
}

func (v *texts) add(s string) error {
	if v.check != nil {
		if err := v.check(s); err != nil {
			return err
		}
	}
	*v.p = append(*v.p, s)
	return nil
}

func (v *texts) loadNode(path, key string, n *yaml.Node) error {
	*v.p = nil
	if n.Kind != yaml.SequenceNode {
		return wants(path, key, n, "a list of texts")
	}
	for i, e := range n.Content {
		at := fmt.Sprintf("%s%s[%d]", where(path, e.Line), key, i)
		if e.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s: is not a plain text", at)
		}
		if err := v.add(e.Value); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

// validateSteps makes the chain's steps.
func (c *config) validateSteps() error {
	c.chain = nil
	names := map[string]bool{}
	for i, s := range c.steps {
		at := fmt.Sprintf("%sprocess.steps[%d].", s.at, i)
		name := s.name
		if name == "" {
			name = s.kind
			for n := 2; names[name]; n++ {
				name = fmt.Sprint(s.kind, n)
			}
		}
		if names[name] {
			return fmt.Errorf("%sname: there is a step %s already; want names that differ", at, name)
		}
		names[name] = true
		mode := process.ErrorMode(slices.Index(process.ErrorModes[:], s.mode))
		if m, ok := s.spec.(interface{ errorMode(m process.ErrorMode) }); ok {
			m.errorMode(mode)
		}
		step, err := s.spec.step()
		if err != nil {
			return fmt.Errorf("%s%w", at, err)
		}
		c.chain = append(c.chain, process.Configured{
			Name: name, Reason: stepKinds()[s.kind].reason, Step: step, Errors: mode,
			When: process.When{Tenants: globs(s.tenants), Services: globs(s.services)},
		})
	}
	return nil
}

func globs(texts []string) (out []trace.Glob) {
	for _, s := range texts {
		out = append(out, trace.Glob(s))
	}
	return out
}

// processed returns the sink that runs the configured steps in front of another: that one itself if there are none.
func (c *config) processed(next receive.Sink, bodies *receive.Bodies, log *slog.Logger, reg prometheus.Registerer) receive.Sink {
	if len(c.chain) == 0 {
		return next
	}
	c.attachModules(log, reg)
	known := map[string]bool{trace.DefaultTenant: true}
	for _, t := range c.tenants {
		known[t.name] = true
	}
	cfg := process.Config{Steps: c.chain, Known: func(name string) bool { return known[name] }, Hold: bodies.Hold, MostHeld: c.heldBytes / 2}
	return process.New(next, cfg, log, reg)
}

// closeSteps closes those steps that hold something.
func (c *config) closeSteps() error {
	var errs []error
	for _, s := range c.chain {
		if closer, ok := s.Step.(io.Closer); ok {
			errs = append(errs, closer.Close())
		}
	}
	return errors.Join(errs...)
}
