package trace

import "context"

type yieldKey struct{}

// WithYield returns a context in which Yield calls f. Who hands a batch on passes it, and takes what it gets back for others.
func WithYield(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, yieldKey{}, f)
}

// Yield says that what is left to be done for a batch is hardly more than waiting, as for a disk: its share of the CPU can be another's.
func Yield(ctx context.Context) {
	if f, ok := ctx.Value(yieldKey{}).(func()); ok {
		f()
	}
}
