package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

// Sink takes batches, as receive.Sink does: a nil error says that the batch is on disk.
type Sink interface {
	Append(ctx context.Context, b *trace.Batch) error
}

// Step does one thing to a batch. It may leave spans out (they count as dropped), refuse them (in b.Refused), or put other bytes in their
// place, but not add spans. An error must leave b as it was, or at least whole; one of kind Busy is what the sender is told whatever the
// configuration says of errors, for the step refuses the batch for now, unless it is an ErrFailed, too. A step is called by many goroutines
// at the same time, keeps nothing of b, and bears a batch of any number of spans but none.
type Step interface {
	Process(ctx context.Context, b *trace.Batch) error
}

// ErrFailed is in the chain of an error of kind Busy if the step itself could not do its work, and may be able to later.
var ErrFailed = errors.New("the step failed")

// busy reports whether a step refuses a batch for now, as it is meant to.
func busy(err error) bool {
	return err != nil && trace.KindOf(err) == trace.Busy && !errors.Is(err, ErrFailed)
}

// ErrorMode is what an error of a step means.
type ErrorMode uint8

// The error modes, as OpenTelemetry's processors have them. Each counts the error.
const (
	Ignore    ErrorMode = iota // it is logged, and the batch goes on to the next step as the step left it
	Silent                     // as Ignore, but it is not logged
	Propagate                  // the batch is refused
)

// ErrorModes are the names of the error modes, in their order.
var ErrorModes = [...]string{"ignore", "silent", "propagate"}

// Configured is a step in its place in a chain.
type Configured struct {
	Name   string // of the step in metrics and messages, no two alike
	Reason string // why spans that it leaves out are dropped: the label of a metric
	Step   Step
	When   When
	Errors ErrorMode
}

// Config is what a chain is made of.
type Config struct {
	Steps []Configured

	// Known says which tenants there are. The batches of others go to the sink as they came, for it to refuse. Nil: all that are named.
	Known func(tenant string) bool
	// Hold counts bytes as held while a batch is processed, or refuses them; as receive.Bodies does. Nil: they are not counted. No batch
	// counts for more than MostHeld, or it might never be let in; 0: however many they are.
	Hold     func(n int64) (release func(), err error)
	MostHeld int64
	// Tap, if there is one, is shown each batch after it was stored, as it was stored. It must not change or keep it.
	Tap func(ctx context.Context, b *trace.Batch)
}

// Chain runs steps on each batch in their order, and hands what is left to a sink.
type Chain struct {
	cfg    Config
	next   Sink
	log    *slog.Logger
	weight int64        // times its bytes that a batch takes
	quiet  []limitedLog // one a step
	part   sync.Pool    // *trace.Batch of those resources of a batch that a step is for

	dropped *prometheus.CounterVec
	errors  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// New returns a chain in front of a sink.
func New(next Sink, cfg Config, log *slog.Logger, reg prometheus.Registerer) *Chain {
	c := &Chain{cfg: cfg, next: next, log: log, weight: weight(cfg.Steps), quiet: make([]limitedLog, len(cfg.Steps))}
	c.part.New = func() any { return new(trace.Batch) }
	c.dropped = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "clew_process_dropped_spans_total", Help: "Spans that a processing step left out on purpose; they are acknowledged.",
	}, []string{"step", "reason", "tenant"})
	c.errors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "clew_process_errors_total", Help: "Errors of a processing step, of which its error_mode says what becomes of the batch.",
	}, []string{"step"})
	c.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "clew_process_seconds", Help: "Time that a processing step took for a batch.", Buckets: prometheus.ExponentialBuckets(0.00001, 4, 10),
	}, []string{"step"})
	reg.MustRegister(c.dropped, c.errors, c.seconds)
	for _, s := range cfg.Steps {
		c.dropped.WithLabelValues(s.Name, s.Reason, trace.DefaultTenant)
		c.errors.WithLabelValues(s.Name)
	}
	return c
}

// copies is how many times its bytes a batch may take while it is processed: it is read from one copy and written to another. A step
// that takes more has a method Weight, which says how many times more.
const copies = 2

func weight(steps []Configured) int64 {
	most := 0
	for _, s := range steps {
		if w, ok := s.Step.(interface{ Weight() int }); ok {
			most = max(most, w.Weight())
		}
	}
	return int64(copies + most)
}

// Append runs the steps on b and hands it to the sink. A batch of which all spans were dropped is done: there is nothing to store.
func (c *Chain) Append(ctx context.Context, b *trace.Batch) error {
	if len(b.Spans) > 0 && len(c.cfg.Steps) > 0 {
		if err := c.process(ctx, b); err != nil {
			return err
		}
		if len(b.Spans) == 0 {
			return nil
		}
	}
	if err := c.next.Append(ctx, b); err != nil {
		return err
	}
	if c.cfg.Tap != nil {
		c.cfg.Tap(ctx, b)
	}
	return nil
}

func (c *Chain) process(ctx context.Context, b *trace.Batch) error {
	tenant := trace.TenantOf(ctx)
	if c.cfg.Known != nil && !c.cfg.Known(tenant) {
		return nil
	}
	if c.cfg.Hold != nil {
		n := c.weight * int64(len(b.Raw))
		if c.cfg.MostHeld > 0 {
			n = min(n, c.cfg.MostHeld)
		}
		release, err := c.cfg.Hold(n)
		if err != nil {
			return err
		}
		defer release()
	}
	for i := range c.cfg.Steps {
		if len(b.Spans) == 0 {
			return nil
		}
		if s := &c.cfg.Steps[i]; s.When.tenant(tenant) {
			if err := c.step(ctx, i, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// step runs a step, and counts what it did.
func (c *Chain) step(ctx context.Context, i int, b *trace.Batch) error {
	s := &c.cfg.Steps[i]
	which := s.When.resources(b)
	if which == none {
		return nil
	}
	begin, spans, refused := time.Now(), len(b.Spans), b.Refused.Total()
	var err error
	if which == all {
		err = c.guarded(ctx, s, b)
	} else {
		err = c.some(ctx, s, b)
	}
	c.seconds.WithLabelValues(s.Name).Observe(time.Since(begin).Seconds())
	if dropped := spans - len(b.Spans) - (b.Refused.Total() - refused); dropped > 0 {
		c.dropped.WithLabelValues(s.Name, s.Reason, trace.TenantOf(ctx)).Add(float64(dropped))
	} else if dropped < 0 {
		_, _ = b.Keep(func(i int) bool { return i < len(b.Spans)+dropped })             // as many as came
		return trace.Errorf(trace.Internal, "step %s added %d spans", s.Name, -dropped) // the books could not be kept otherwise
	}
	if err == nil || busy(err) {
		return err
	}
	c.errors.WithLabelValues(s.Name).Inc()
	if s.Errors == Propagate {
		return fmt.Errorf("process: %s: %w", s.Name, err)
	}
	if s.Errors == Ignore {
		c.quiet[i].warn(c.log, s.Name, err)
	}
	return nil
}

// guarded runs a step, and makes an error of its panic: a mistake in one step must not end the process, whatever it is that it met.
func (c *Chain) guarded(ctx context.Context, s *Configured, b *trace.Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("processing step panicked", "step", s.Name, "panic", p, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return s.Step.Process(ctx, b)
}

var errPanic = errors.New("the step panicked; see Clew's log")

// some runs a step on those resources of b that it is for, in a batch of their own, and puts both parts together again.
func (c *Chain) some(ctx context.Context, s *Configured, b *trace.Batch) error {
	part := c.part.Get().(*trace.Batch)
	defer func() {
		part.Raw = nil
		if part.Small() {
			c.part.Put(part)
		}
	}()
	in := func(i int) bool { return s.When.service(b, i) }
	if err := b.Split(part, in); err != nil {
		return err
	}
	spans, raw := len(part.Spans), part.Raw
	err := c.guarded(ctx, s, part)
	if busy(err) { // the others shall not wait for these
		refuse(part, trace.ErrorOf(err).Msg)
		err = nil
	}
	if len(part.Spans) == spans && unsafe.SliceData(part.Raw) == unsafe.SliceData(raw) {
		return err // nothing was done
	}
	return errors.Join(err, b.Join(part, in))
}

// refuse refuses all spans of a batch as over a rate.
func refuse(b *trace.Batch, why string) {
	b.Refused.Count[trace.RateLimited] += len(b.Spans)
	if b.Refused.First == "" {
		b.Refused.First = why
	}
	_, _ = b.Keep(func(int) bool { return false }) // leaving all out cannot fail: nothing is no broken OTLP
}
