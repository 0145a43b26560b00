package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/trace"
)

// decimal is a number that need not be whole.
type decimal struct {
	p        *float64
	min, max float64
}

func (v *decimal) String() string { return strconv.FormatFloat(*v.p, 'g', -1, 64) }
func (v *decimal) Set(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= v.min && f <= v.max) { // nor NaN
		return fmt.Errorf("%q is not a number from %g to %g", s, v.min, v.max)
	}
	*v.p = f
	return nil
}

// sampleSpec is a step of kind sample.
type sampleSpec struct {
	process.Sampling
	mode  string
	rules []sampleRule
}

type sampleRule struct {
	services, operations []string
	percent              float64
}

func newSampleSpec() *sampleSpec {
	return &sampleSpec{Sampling: process.Sampling{Percent: 100}, mode: process.SamplingModes[0]}
}

func (s *sampleSpec) settings() settings {
	return settings{
		{key: "percent", value: &decimal{&s.Percent, 0, 100}},
		{key: "mode", value: &choice{&s.mode, process.SamplingModes[:]}},
		{key: "keep_errors", value: &boolean{&s.KeepErrors}},
		{key: "rules", value: &sections[sampleRule]{p: &s.rules, fresh: sampleRule{percent: 100}, keys: func(r *sampleRule) settings {
			return settings{
				{key: "services", value: &texts{p: &r.services}},
				{key: "operations", value: &texts{p: &r.operations}},
				{key: "percent", value: &decimal{&r.percent, 0, 100}},
			}
		}}},
	}
}

func (s *sampleSpec) step() (process.Step, error) {
	cfg := s.Sampling
	cfg.Proportional = s.mode == process.SamplingModes[1]
	for _, r := range s.rules {
		cfg.Rules = append(cfg.Rules, process.SamplingRule{Services: globs(r.services), Operations: globs(r.operations), Percent: r.percent})
	}
	return process.NewSampler(cfg), nil
}

// renameSpec is a step of kind rename.
type renameSpec struct {
	process.Renaming
	rules []renameRule
}

type renameRule struct{ match, replacement string }

func newRenameSpec() *renameSpec {
	return &renameSpec{Renaming: process.Renaming{IDs: slices.Clone(process.IDKinds[:]), With: "{id}"}}
}

func (s *renameSpec) settings() settings {
	return settings{
		{key: "ids", value: &list{&s.IDs}},
		{key: "with", value: &text{&s.With}},
		{key: "original", value: &text{&s.Original}},
		{key: "rules", value: &sections[renameRule]{p: &s.rules, keys: func(r *renameRule) settings {
			return settings{{key: "match", value: &expression{&r.match}}, {key: "replacement", value: &text{&r.replacement}}}
		}}},
	}
}

func (s *renameSpec) step() (process.Step, error) {
	cfg := s.Renaming
	for i, r := range s.rules {
		if r.match == "" {
			return nil, fmt.Errorf("rules[%d].match: is empty; want a regular expression", i)
		}
		re, err := regexp.Compile(r.match)
		if err != nil {
			return nil, fmt.Errorf("rules[%d].match: %w", i, err)
		}
		cfg.Rules = append(cfg.Rules, process.RenamingRule{Match: re, Replacement: r.replacement})
	}
	return process.NewRenamer(cfg)
}

// expression is a regular expression.
type expression struct{ p *string }

func (v *expression) String() string { return *v.p }
func (v *expression) Set(s string) error {
	if _, err := regexp.Compile(s); err != nil {
		return fmt.Errorf("%q is no regular expression: %w", s, err)
	}
	*v.p = s
	return nil
}

// resourceSpec is a step of kind resource.
type resourceSpec struct {
	insert, set []trace.Attr
	detect      []string
}

func (s *resourceSpec) settings() settings {
	return settings{
		{key: "insert", value: &textPairs{&s.insert}},
		{key: "set", value: &textPairs{&s.set}},
		{key: "detect", value: &list{&s.detect}},
	}
}

func (s *resourceSpec) step() (process.Step, error) {
	insert := slices.Clone(s.insert)
	for _, d := range s.detect {
		found, err := process.ThisHost().Detect(d)
		if err != nil {
			return nil, fmt.Errorf("detect: %w", err)
		}
		insert = append(insert, found...)
	}
	return process.NewResourceAttributes(insert, s.set)
}

// limitSpec is a step of kind limit.
type limitSpec struct {
	process.Rate
	per   string
	rules []limitRule
}

type limitRule struct {
	services []string
	process.Rate
}

func rateSettings(r *process.Rate) settings {
	return settings{
		{key: "spans_per_second", value: &number{&r.Spans}},
		{key: "spans_burst", value: &number{&r.SpansBurst}},
		{key: "bytes_per_second", value: &size{&r.Bytes}},
		{key: "bytes_burst", value: &size{&r.BytesBurst}},
	}
}

func (s *limitSpec) settings() settings {
	return append(rateSettings(&s.Rate),
		&setting{key: "per", value: &choice{&s.per, []string{"service", "tenant"}}},
		&setting{key: "rules", value: &sections[limitRule]{p: &s.rules, keys: func(r *limitRule) settings {
			return append(settings{{key: "services", value: &texts{p: &r.services}}}, rateSettings(&r.Rate)...)
		}}})
}

func (s *limitSpec) step() (process.Step, error) {
	cfg := process.RateLimit{Rate: s.Rate, PerTenant: s.per == "tenant"}
	for _, r := range s.rules {
		cfg.Rules = append(cfg.Rules, process.RateRule{Services: globs(r.services), Rate: r.Rate})
	}
	return process.NewLimiter(cfg)
}
