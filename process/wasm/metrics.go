package wasm

import "github.com/prometheus/client_golang/prometheus"

// Meter counts what modules do, by the name of their processor.
type Meter struct {
	failures  *prometheus.CounterVec
	passed    *prometheus.CounterVec
	paused    *prometheus.GaugeVec
	instances *prometheus.GaugeVec
	memory    *prometheus.GaugeVec
}

// NewMeter returns a meter whose counts are registered.
func NewMeter(reg prometheus.Registerer) *Meter {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"step"})
	}
	m := &Meter{
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clew_wasm_failures_total", Help: "Times that a WebAssembly module did not process what it was given, by reason.",
		}, []string{"step", "reason"}),
		passed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clew_wasm_unprocessed_spans_total", Help: "Spans that went on without being processed, since the module failed and on_error is pass.",
		}, []string{"step"}),
		paused:    gauge("clew_wasm_paused", "1 while a module that failed again and again is not called."),
		instances: gauge("clew_wasm_instances", "Instances of a module."),
		memory:    gauge("clew_wasm_memory_bytes", "Memory of a module's instances, together."),
	}
	reg.MustRegister(m.failures, m.passed, m.paused, m.instances, m.memory)
	return m
}

// announce makes a module's series, with 0.
func (m *Meter) announce(name string) {
	for r := range numReasons {
		m.failures.WithLabelValues(name, r.String())
	}
	m.passed.WithLabelValues(name)
	m.paused.WithLabelValues(name)
	m.instances.WithLabelValues(name)
	m.memory.WithLabelValues(name)
}
