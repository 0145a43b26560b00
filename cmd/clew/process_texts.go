package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/trace"
)

// textPairs is a section of names and texts of any kind, in their order.
type textPairs struct{ p *[]trace.Attr }

func (v *textPairs) String() string {
	parts := make([]string, len(*v.p))
	for i, a := range *v.p {
		parts[i] = strconv.Quote(a.Key) + ": " + strconv.Quote(a.Value.Str())
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (v *textPairs) Set(s string) error {
	return fmt.Errorf("%.100q is one text; want a section of names and values", s)
}

func (v *textPairs) loadNode(path, key string, n *yaml.Node) error {
	*v.p = nil
	if n.Kind != yaml.MappingNode {
		return wants(path, key, n, "a section of names and values")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, value := n.Content[i], n.Content[i+1]
		if value.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s%s.%s: is not a plain text", where(path, value.Line), key, k.Value)
		}
		text, err := process.ThisHost().Expand(value.Value)
		if err != nil {
			return fmt.Errorf("%s%s.%s: %w", where(path, value.Line), key, k.Value, err)
		}
		*v.p = append(*v.p, trace.Attr{Key: k.Value, Value: trace.String(text)})
	}
	return nil
}

// redactSpec is a step of kind redact.
type redactSpec struct {
	rules            []redactRule
	allowed, ignored []string
	mask, keyFile    string
}

type redactRule struct {
	keys, patterns, regexps []string
	action                  string
}

func (s *redactSpec) settings() settings {
	return settings{
		{key: "rules", value: &sections[redactRule]{p: &s.rules, fresh: redactRule{action: process.Actions[0]}, keys: func(r *redactRule) settings {
			return settings{
				{key: "keys", value: &texts{p: &r.keys}},
				{key: "patterns", value: &texts{p: &r.patterns, check: func(s string) error { _, err := process.PatternOf(s); return err }}},
				{key: "regexps", value: &texts{p: &r.regexps, check: func(s string) error { _, err := process.Regexp(s); return err }}},
				{key: "action", value: &choice{&r.action, process.Actions[:]}},
			}
		}}},
		{key: "allowed_keys", value: &texts{p: &s.allowed}},
		{key: "ignored_keys", value: &texts{p: &s.ignored}},
		{key: "mask", value: &text{&s.mask}},
		{key: "key_file", value: &text{&s.keyFile}},
	}
}

func (s *redactSpec) step() (process.Step, error) {
	cfg := process.Redaction{Allowed: globs(s.allowed), Ignored: globs(s.ignored), Mask: s.mask}
	if len(s.rules)+len(s.allowed) == 0 {
		return nil, errors.New("rules: there are none, and no allowed_keys")
	}
	if s.keyFile != "" {
		raw, err := os.ReadFile(s.keyFile)
		if err != nil {
			return nil, fmt.Errorf("key_file: %w", err)
		}
		cfg.Key = []byte(strings.TrimSpace(string(raw)))
	}
	for _, r := range s.rules {
		rule := process.RedactionRule{Keys: globs(r.keys), Action: process.Action(slices.Index(process.Actions[:], r.action))}
		for _, name := range r.patterns {
			p, err := process.PatternOf(name)
			if err != nil {
				return nil, fmt.Errorf("rules: %w", err)
			}
			rule.Patterns = append(rule.Patterns, p)
		}
		for _, text := range r.regexps {
			p, err := process.Regexp(text)
			if err != nil {
				return nil, fmt.Errorf("rules: %w", err)
			}
			rule.Patterns = append(rule.Patterns, p)
		}
		cfg.Rules = append(cfg.Rules, rule)
	}
	return process.NewRedactor(cfg)
}
