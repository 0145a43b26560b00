package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/process/wasm"
)

// wasmSpec is a step of kind wasm.
type wasmSpec struct{ wasm.Config }

func newWasmSpec() stepSpec { return &wasmSpec{wasm.Default()} }

func (s *wasmSpec) settings() settings {
	return settings{
		{key: "file", value: &text{&s.File}},
		{key: "config", value: &text{&s.Config.Config}},
		{key: "timeout", value: &duration{&s.Timeout}},
		{key: "memory_bytes", value: &size{&s.Memory}},
	}
}

func (s *wasmSpec) step() (process.Step, error) {
	p, err := wasm.Open(context.Background(), s.Config)
	if err != nil {
		return nil, err // not p, which would be a step that is nil
	}
	return p, nil
}

// attachModules has the chain's modules logged and counted by the names of their steps.
func (c *config) attachModules(log *slog.Logger, reg prometheus.Registerer) {
	var meter *wasm.Meter
	for _, s := range c.chain {
		if p, ok := s.Step.(*wasm.Processor); ok {
			if meter == nil {
				meter = wasm.NewMeter(reg)
			}
			p.Attach(s.Name, log, meter)
		}
	}
}
