//go:build unix

package ottl

import (
	"syscall"
	"testing"
	"time"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/trace"
)

func benchmark(b *testing.B, step process.Step) {
	in, work := batch(b, spans(1000)), new(trace.Batch)
	b.ReportAllocs()
	begin := cpu()
	for b.Loop() {
		if err := work.Index(in.Raw, trace.DefaultLimits()); err != nil {
			b.Fatal(err)
		}
		if err := step.Process(b.Context(), work); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu()-begin)/float64(b.N)/1000, "cpu-ns/span")
}

func BenchmarkTransformNothing(b *testing.B) {
	step, err := NewTransform([]Group{{Statements: []string{`set(span.attributes["x"], "y") where span.name == "nobody"`}}})
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, step)
}

func BenchmarkTransformAll(b *testing.B) {
	step, err := NewTransform([]Group{{Statements: []string{`set(span.attributes["x"], "y")`, `replace_pattern(span.name, "\\d+", "{n}")`}}})
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, step)
}

func BenchmarkFilter(b *testing.B) {
	step, err := NewFilter([]Group{{Conditions: []string{`span.name == "op 1"`}}})
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, step)
}

// cpu returns the time that the process has computed.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
