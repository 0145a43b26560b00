package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/process/ottl"
)

// ottlGroup is a group of statements or conditions. Of mode, nothing is as the step has it.
type ottlGroup struct {
	ottl.Group
	mode string
}

// ottlGroups is what the Collector's processors take as trace_statements and trace_conditions: a list of texts, which are one group, or a
// list of groups.
type ottlGroups struct {
	p          *[]ottlGroup
	statements bool
}

func (v *ottlGroups) settings(g *ottlGroup) settings {
	ss := settings{
		{key: "context", value: &choice{&g.Context, append([]string{""}, ottl.Contexts[:]...)}},
		{key: "conditions", value: &texts{p: &g.Conditions}},
		{key: "error_mode", value: &choice{&g.mode, append([]string{""}, process.ErrorModes[:]...)}},
	}
	if v.statements {
		ss = append(ss, &setting{key: "statements", value: &texts{p: &g.Statements}}, &setting{key: "shared_cache", value: &boolean{&g.SharedCache}})
	}
	return ss
}

func (v *ottlGroups) String() string {
	all := make([]string, len(*v.p))
	for i := range *v.p {
		all[i] = flow(v.settings(&(*v.p)[i]), v.settings(new(ottlGroup)))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (v *ottlGroups) Set(s string) error {
	return fmt.Errorf("%.100q is one text; want a list of statements, or of groups of them", s)
}

func (v *ottlGroups) loadNode(path, key string, n *yaml.Node) error {
	*v.p = nil
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return wants(path, key, n, "a list of statements or conditions, or of groups of them")
	}
	if n.Content[0].Kind == yaml.ScalarNode {
		var g ottlGroup
		list := &texts{p: v.texts(&g)}
		if err := list.loadNode(path, key, n); err != nil {
			return err
		}
		*v.p = []ottlGroup{g}
		return v.check(&g, n, func(i int) string { return fmt.Sprintf("%s%s[%d]", where(path, n.Content[i].Line), key, i) })
	}
	for i, e := range n.Content {
		var g ottlGroup
		at := fmt.Sprintf("%s[%d]", key, i)
		if err := v.settings(&g).loadSection(path, at+".", e); err != nil {
			return err
		}
		if len(*v.texts(&g)) == 0 {
			return fmt.Errorf("%s%s: is empty; want %s", where(path, e.Line), at, v.name())
		}
		list := valueOf(e, v.name())
		if err := v.check(&g, list, func(i int) string {
			return fmt.Sprintf("%s%s.%s[%d]", where(path, list.Content[i].Line), at, v.name(), i)
		}); err != nil {
			return err
		}
		*v.p = append(*v.p, g)
	}
	return nil
}

func (v *ottlGroups) name() string {
	if v.statements {
		return "statements"
	}
	return "conditions"
}

func (v *ottlGroups) texts(g *ottlGroup) *[]string {
	if v.statements {
		return &g.Statements
	}
	return &g.Conditions
}

// valueOf returns what a section has at a key.
func valueOf(section *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(section.Content); i += 2 {
		if section.Content[i].Value == key {
			return section.Content[i+1]
		}
	}
	return section
}

// check parses a group. An error is told where the first text is that is wrong by itself, or else where the list is: they do not go together.
func (v *ottlGroups) check(g *ottlGroup, list *yaml.Node, at func(i int) string) error {
	err := ottl.Check(g.Group)
	if err == nil {
		return nil
	}
	all := *v.texts(g)
	for i := range all {
		one := g.Group
		if v.statements {
			one.Statements = all[i : i+1]
		} else {
			one.Conditions = all[i : i+1]
		}
		if wrong := ottl.Check(one); wrong != nil && i < len(list.Content) {
			return fmt.Errorf("%s: %w", at(i), wrong)
		}
	}
	return fmt.Errorf("%s: %w", at(0), err)
}

// groups returns the groups with the step's error mode where they have none.
func (v *ottlGroups) groups(mode process.ErrorMode) (out []ottl.Group) {
	for _, g := range *v.p {
		g.Errors = mode
		if i := slices.Index(process.ErrorModes[:], g.mode); i >= 0 {
			g.Errors = process.ErrorMode(i)
		}
		out = append(out, g.Group)
	}
	return out
}

// transformSpec is a step of kind transform.
type transformSpec struct {
	statements []ottlGroup
	mode       process.ErrorMode
}

func (s *transformSpec) value() *ottlGroups { return &ottlGroups{&s.statements, true} }
func (s *transformSpec) settings() settings {
	return settings{{key: "trace_statements", value: s.value()}}
}
func (s *transformSpec) errorMode(m process.ErrorMode) { s.mode = m }

func (s *transformSpec) step() (process.Step, error) {
	if len(s.statements) == 0 {
		return nil, errors.New("trace_statements: there are none")
	}
	return ottl.NewTransform(s.value().groups(s.mode))
}

// filterSpec is a step of kind filter.
type filterSpec struct {
	conditions             []ottlGroup
	resource, span, events []string // as the Collector had them before trace_conditions
	mode                   process.ErrorMode
}

func (s *filterSpec) value() *ottlGroups { return &ottlGroups{&s.conditions, false} }

func (s *filterSpec) settings() settings {
	in := func(context string, p *[]string) *setting {
		return &setting{key: "traces." + context, value: &texts{p: p, check: func(text string) error {
			return ottl.Check(ottl.Group{Context: context, Conditions: []string{text}})
		}}}
	}
	return settings{
		{key: "trace_conditions", value: s.value()},
		in("resource", &s.resource), in("span", &s.span), in("spanevent", &s.events),
	}
}

func (s *filterSpec) errorMode(m process.ErrorMode) { s.mode = m }

func (s *filterSpec) step() (process.Step, error) {
	groups := s.value().groups(s.mode)
	for i, texts := range [][]string{s.resource, s.span, s.events} {
		if len(texts) > 0 {
			groups = append(groups, ottl.Group{Context: []string{"resource", "span", "spanevent"}[i], Conditions: texts, Errors: s.mode})
		}
	}
	if len(groups) == 0 {
		return nil, errors.New("trace_conditions: there are none")
	}
	return ottl.NewFilter(groups)
}
