package wasm

import "github.com/prometheus/client_golang/prometheus"

// Meter counts what modules do, by the name of their processor.
type Meter struct {
	failures    *prometheus.CounterVec
	unprocessed *prometheus.CounterVec
	paused      *prometheus.GaugeVec
	instances   *prometheus.GaugeVec
	memory      *prometheus.GaugeVec
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
		unprocessed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clew_wasm_unprocessed_spans_total", Help: "Spans that a module failed to process: with error_mode propagate they were refused, else they went on as they were.",
		}, []string{"step"}),
		paused:    gauge("clew_wasm_paused", "1 while a module that failed again and again is not called."),
		instances: gauge("clew_wasm_instances", "Instances of a module."),
		memory:    gauge("clew_wasm_memory_bytes", "Memory of a module's instances, together."),
	}
	reg.MustRegister(m.failures, m.unprocessed, m.paused, m.instances, m.memory)
	return m
}

// counts is the counts of one module.
type counts struct {
	failures          [numReasons]prometheus.Counter
	unprocessed       prometheus.Counter
	paused            prometheus.Gauge
	instances, memory prometheus.Gauge
	first             *instance
}

// newCounts returns counts that nobody sees, of a module with one instance.
func newCounts(first *instance) *counts {
	c := &counts{first: first}
	c.attach("", NewMeter(prometheus.NewRegistry()))
	return c
}

// attach has the module counted under a name.
func (c *counts) attach(step string, m *Meter) {
	for r := range numReasons {
		c.failures[r] = m.failures.WithLabelValues(step, r.String())
	}
	c.unprocessed = m.unprocessed.WithLabelValues(step)
	c.paused, c.instances, c.memory = m.paused.WithLabelValues(step), m.instances.WithLabelValues(step), m.memory.WithLabelValues(step)
	c.instances.Set(1)
	c.memory.Set(float64(c.first.mod.Memory().Size()))
}
