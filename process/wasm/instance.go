package wasm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// instance is a module with a memory of its own. It does one thing at a time.
type instance struct {
	mod     api.Module
	memory  *memory
	alloc   api.Function
	process api.Function
	stack   [1]uint64 // a call's parameter, then its result: so no call allocates them
	used    bool      // it has processed spans
}

// failure is that a module did not do what it is for.
type failure struct {
	reason reason
	err    error
}

func (f *failure) Error() string { return f.reason.String() + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// reason says why a module failed; it is the label of a metric.
type reason uint8

const (
	crashed    reason = iota // it trapped or exited
	timedOut                 // over Config.Timeout
	overMemory               // it wanted more than Config.Memory, and did not live without
	refused                  // it said itself that it cannot process these spans
	badOutput                // what it returned cannot be: no OTLP, over a limit, or spans that it was not given
	notStarted               // no instance could be made
	numReasons
)

func (r reason) String() string {
	return [...]string{"crash", "timeout", "memory", "error", "output", "start"}[r]
}

// keeps reports whether an instance that failed so can go on: what it holds is as it meant it to be.
func (r reason) keeps() bool { return r == refused }

// call calls a function with one parameter, which has so much time. A client that goes away does not end it: that would cost the instance.
func (in *instance) call(ctx context.Context, fn api.Function, param uint64, timeout time.Duration) (uint64, error) {
	in.memory.refused, in.memory.deadline = false, time.Now().Add(timeout)
	in.stack[0] = param
	if err := fn.CallWithStack(context.WithoutCancel(ctx), in.stack[:]); err != nil {
		return 0, in.failed(err, timeout)
	}
	return in.stack[0], nil
}

// failed says why a call failed.
func (in *instance) failed(err error, timeout time.Duration) error {
	if errors.Is(err, errDeadline) {
		return &failure{timedOut, fmt.Errorf("was not done within %v", timeout)}
	}
	if e, ok := errors.AsType[*sys.ExitError](err); ok {
		err = fmt.Errorf("exited with status %d", e.ExitCode())
	}
	if in.memory.refused {
		return &failure{overMemory, fmt.Errorf("wanted more than its %d bytes of memory: %w", in.memory.limit, err)}
	}
	return &failure{crashed, err}
}

// run has spans processed: a TracesData message. The result lies in the instance's memory, until the next call; nil says that the spans
// stay as they are.
func (in *instance) run(ctx context.Context, spans []byte, timeout time.Duration) ([]byte, error) {
	in.used = true
	if err := in.put(ctx, spans, timeout); err != nil {
		return nil, err
	}
	result, err := in.call(ctx, in.process, uint64(len(spans)), timeout)
	if err != nil {
		return nil, err
	}
	switch result {
	case resultSame:
		return nil, nil
	case resultFailed:
		return nil, &failure{refused, errors.New("says that it cannot process these spans")}
	}
	at, size := uint32(result>>32), uint32(result)
	if most := mostOutput(len(spans)); int64(size) > most {
		return nil, &failure{badOutput, fmt.Errorf("returned %d bytes for %d; at most %d are taken", size, len(spans), most)}
	}
	out, ok := in.mod.Memory().Read(at, size)
	if !ok {
		return nil, &failure{badOutput, fmt.Errorf("returned %d bytes at %d, beyond its memory of %d", size, at, in.mod.Memory().Size())}
	}
	return out, nil
}

// put copies bytes to where the module wants them.
func (in *instance) put(ctx context.Context, b []byte, timeout time.Duration) error {
	at, err := in.call(ctx, in.alloc, uint64(len(b)), timeout)
	if err != nil {
		return err
	}
	if at != uint64(uint32(at)) || !in.mod.Memory().Write(uint32(at), b) {
		return &failure{badOutput, fmt.Errorf("gave %d as the place for %d bytes, beyond its memory of %d", at, len(b), in.mod.Memory().Size())}
	}
	return nil
}

// mostOutput is how large the result for n bytes of spans may be: a module adds attributes, it makes no spans.
func mostOutput(n int) int64 { return 4*int64(n) + 64<<10 }
