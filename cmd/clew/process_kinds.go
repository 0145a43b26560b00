package main

import (
	"fmt"
	"strconv"

	"github.com/clewtrace/clew/process"
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
