//go:build unix

package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/clewtrace/clew/trace"
)

// nothing is a sink that costs nothing.
type nothing struct{}

func (nothing) Append(context.Context, *trace.Batch) error { return nil }

// BenchmarkSteps measures each step on 1000 spans as SDKs send them; index is what is there without any, and in each figure.
func BenchmarkSteps(b *testing.B) {
	redactor := func(keys ...trace.Glob) Step {
		r, err := NewRedactor(Redaction{Mask: "***", Key: []byte("0123456789abcdef"), Rules: []RedactionRule{{Keys: append(keys, "*password*")}, {Patterns: patterns(b, Patterns()...)}}})
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	renamer, _ := NewRenamer(Renaming{IDs: IDKinds[:], With: "{id}"})
	resource, _ := NewResourceAttributes(text("k8s.cluster.name", "c"), nil)
	limiter, _ := NewLimiter(RateLimit{Rate: Rate{Spans: 1e12, Bytes: 1e15}})
	ids := plain(1000)
	for i := range ids {
		ids[i].Name = fmt.Sprintf("GET /users/%d", 1000+i)
	}
	var state stepFunc = func(context.Context, *trace.Batch) error { return nil }
	for _, c := range []struct {
		name  string
		step  Step
		spans []trace.Span
	}{
		{"index", nil, plain(1000)},
		{"chain of nothing", state, plain(1000)},
		{"sample 10 %", NewSampler(Sampling{Percent: 10}), randomIDs(plain(1000))},
		{"sample 90 %", NewSampler(Sampling{Percent: 90}), randomIDs(plain(1000))},
		{"redact, nothing found", redactor(), plain(1000)},
		{"redact, one attribute of each", redactor("url.full"), plain(1000)},
		{"rename, nothing to", renamer, plain(1000)},
		{"rename all", renamer, ids},
		{"resource", resource, plain(1000)},
		{"limit", limiter, plain(1000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			in, work := batchOf(b, c.spans...), new(trace.Batch)
			var cfg Config
			if c.step != nil {
				cfg.Steps = []Configured{{Name: "s", Step: c.step}}
			}
			ch, _, _ := chain(nothing{}, cfg)
			b.ReportAllocs()
			begin := cpu()
			for b.Loop() {
				if err := work.Index(in.Raw, trace.DefaultLimits()); err != nil {
					b.Fatal(err)
				}
				if err := ch.Append(b.Context(), work); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu()-begin)/float64(b.N)/float64(len(c.spans)), "cpu-ns/span")
		})
	}
}

func randomIDs(spans []trace.Span) []trace.Span {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range spans {
		for j := range spans[i].TraceID {
			spans[i].TraceID[j] = byte(r.Uint32())
		}
	}
	return spans
}

// cpu returns the time that the process has computed: on a machine that does other things, too, it says more than the clock.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
