// Package wasm has spans processed by a module that a user wrote: WebAssembly, in a sandbox with bounded time and memory.
//
// A module is loaded, and compiled, once. Its instances, at most one a core, each with a memory of its own, are given batches as OTLP bytes
// and return OTLP bytes, or that nothing changed. What comes back is read as carefully as what comes from the network: it must be OTLP, within
// the limits, and hold no span that was not in the batch. A module that crashes, hangs, or wants too much loses its instance, not Clew
// its life. docs/processors.md describes the interface, which has a version.
//
// What never happens: that spans count as processed which a module failed to process.
package wasm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/trace"
)

// Config is what a processor can be told.
type Config struct {
	File    string        // the module
	Config  string        // for the module: handed to it as it is
	Timeout time.Duration // for a piece of a batch of up to 1 MiB
	Memory  int64         // of one instance, in bytes

	start time.Duration // in which an instance must have started, with its clew_init
}

// Default returns the configuration of a processor without a file.
func Default() Config {
	return Config{Timeout: 5 * time.Second, Memory: 64 << 20, start: 10 * time.Second}
}

// Validate says which key has a value that cannot be, and what can.
func (c *Config) Validate() error {
	switch {
	case c.File == "":
		return errors.New("file: is empty; want the path of a WebAssembly module")
	case c.Timeout < time.Millisecond || c.Timeout > time.Minute:
		return fmt.Errorf("timeout: is %v; want 1ms to 1m", c.Timeout)
	case c.Memory < 1<<20 || c.Memory > 1<<30:
		return fmt.Errorf("memory_bytes: is %d; want 1MiB to 1GiB", c.Memory)
	}
	return nil
}

// Processor is a module at work: a process.Step.
type Processor struct {
	config  Config
	module  *loaded
	log     *moduleLog
	meter   *counts
	breaker breaker
	turns   chan struct{} // as many as there may be instances at work
	scratch sync.Pool     // of *scratch

	mu   sync.Mutex
	idle []*instance // the last one that worked is the next that does: the others need not be
}

// scratch is memory that is used again.
type scratch struct {
	ids   []id
	piece []byte
	out   []byte
}

// id is what a span is known by.
type id struct {
	trace trace.ID
	span  trace.SpanID
}

// Open loads a module and starts its first instance, so that what is wrong with the module, or its configuration, is known at once.
func Open(ctx context.Context, c Config) (*Processor, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := &Processor{config: c, log: newModuleLog(), turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
	p.scratch.New = func() any { return new(scratch) }
	var err error
	if p.module, err = load(ctx, &p.config, p.log); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	first, err := p.module.start(ctx, &p.config, p.log)
	if err != nil {
		p.module.close()
		if f, ok := errors.AsType[*failure](err); ok {
			err = f.err
		}
		return nil, fmt.Errorf("file: %s does not start: %w", c.File, err)
	}
	p.idle = []*instance{first}
	p.meter = newCounts(first)
	return p, nil
}

// Attach says as what the processor is logged and counted: as a step of that name. It is called before the first batch comes.
func (p *Processor) Attach(name string, log *slog.Logger, m *Meter) {
	p.log.attach(log.With("step", name))
	p.meter.attach(name, m)
}

// Close ends the instances, once they are done. The processor must not be called any more.
func (p *Processor) Close() error {
	for range cap(p.turns) {
		p.turns <- struct{}{}
	}
	for _, in := range p.idle {
		in.close()
	}
	p.module.close()
	return nil
}

// Process has the module process a batch. An error is of kind Busy, and b is then as it was: the spans were not processed, and may be
// sent again. If the module failed, and nothing else, it is a process.ErrFailed.
func (p *Processor) Process(ctx context.Context, b *trace.Batch) error {
	if len(b.Spans) == 0 {
		return nil
	}
	err := p.attempt(ctx, b)
	if errors.Is(err, process.ErrFailed) {
		p.meter.unprocessed.Add(float64(len(b.Spans)))
	}
	return err
}

// attempt processes a batch, unless the module is at rest.
func (p *Processor) attempt(ctx context.Context, b *trace.Batch) error {
	idle, err := p.take(ctx)
	if err != nil {
		return err
	}
	if wait := p.breaker.allow(time.Now()); wait > 0 {
		p.put(idle)
		return failing(wait)
	}
	var in *instance // what is left to work with, also after a panic
	defer func() { p.put(in) }()
	fresh := idle == nil || !idle.used
	in, err = p.with(ctx, idle, b)
	if f, ok := errors.AsType[*failure](err); ok && !fresh && (f.reason == crashed || f.reason == overMemory) {
		// It may be what earlier batches left behind: a module whose memory leaks works on in a fresh instance.
		p.meter.failures[f.reason].Inc()
		p.log.say(slog.LevelWarn, "module failed, and is tried again in a fresh instance", "reason", f.reason.String(), "err", f.err)
		in, err = p.with(ctx, nil, b)
	}
	return p.judge(err)
}

// take waits for a turn, and returns an instance to work with; nil is one that is yet to be started.
func (p *Processor) take(ctx context.Context) (*instance, error) {
	select {
	case p.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, &trace.Error{Kind: trace.Busy, Msg: "a processor of spans is busy", After: time.Second, Err: ctx.Err()}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil, nil
	}
	in := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return in, nil
}

// put ends a turn; in is nil if its instance has ended.
func (p *Processor) put(in *instance) {
	if in != nil {
		p.mu.Lock()
		p.idle = append(p.idle, in)
		p.mu.Unlock()
	}
	<-p.turns
}

// failing is what a sender is told while the module fails.
func failing(wait time.Duration) error {
	return &trace.Error{Kind: trace.Busy, Msg: "a processor of spans fails at the moment", After: wait, Err: process.ErrFailed}
}

// judge counts and logs how it went, and returns what the sender is told.
func (p *Processor) judge(err error) error {
	if err == nil {
		if p.breaker.succeeded() {
			p.meter.paused.Set(0)
			p.log.important(slog.LevelInfo, "module works again")
		}
		return nil
	}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return err
	}
	p.meter.failures[f.reason].Inc()
	p.log.say(slog.LevelError, "module failed", "reason", f.reason.String(), "err", f.err)
	pause := p.breaker.failed(time.Now())
	if pause > 0 {
		p.meter.paused.Set(1)
		p.log.important(slog.LevelError, "module fails again and again: it is not called for a while", "pause", pause)
	}
	return failing(max(pause, time.Second))
}

// with processes a batch in an instance, started if it is nil, and returns the instance unless that cannot be used any more.
func (p *Processor) with(ctx context.Context, in *instance, b *trace.Batch) (*instance, error) {
	if in == nil {
		var err error
		if in, err = p.module.start(ctx, &p.config, p.log); err != nil {
			return nil, &failure{notStarted, err}
		}
		p.meter.instances.Inc()
		p.meter.memory.Add(float64(in.mod.Memory().Size()))
	}
	size := in.mod.Memory().Size()
	err := p.transform(ctx, in, b)
	if f, ok := errors.AsType[*failure](err); ok && !f.reason.keeps() {
		in.close()
		p.meter.instances.Dec()
		p.meter.memory.Sub(float64(size))
		return nil, err
	}
	if grown := in.mod.Memory().Size() - size; grown > 0 {
		p.meter.memory.Add(float64(grown))
	}
	return in, err
}

// transform has a batch processed piece by piece, and makes it what came out.
func (p *Processor) transform(ctx context.Context, in *instance, b *trace.Batch) error {
	s := p.scratch.Get().(*scratch)
	defer func() {
		if cap(s.out)+cap(s.piece) <= 4*pieceBytes && cap(s.ids) <= 1<<16 {
			p.scratch.Put(s)
		}
	}()
	s.out = s.out[:0]
	changed := false
	var err error
	s.piece, err = split(s.piece, b.Raw, func(piece []byte) error {
		out, err := in.run(ctx, piece, p.config.Timeout)
		switch {
		case err != nil:
			return err
		case out != nil:
			changed = true
			s.out = append(s.out, out...)
		case changed || len(piece) < len(b.Raw): // a batch in one piece need not be copied
			s.out = append(s.out, piece...)
		}
		return nil
	})
	if err != nil || !changed {
		return err
	}
	if most := mostOutput(len(b.Raw)); int64(len(s.out)) > most {
		return &failure{badOutput, fmt.Errorf("returned %d bytes for %d; at most %d are taken", len(s.out), len(b.Raw), most)}
	}
	return s.replace(b)
}
