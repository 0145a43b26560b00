package receive

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/clewtrace/clew/trace"
)

// Turns bounds how many requests are worked on at once: decompressed, converted, indexed, put into the store. However many arrive, questions
// then wait for few of them, and requests wait for their turn in order, for a short time only. A nil *Turns bounds nothing.
type Turns struct {
	mu    sync.Mutex
	free  int
	begun list.List // of *waiter: requests that had a turn already, whose work would be in vain. They come before
	fresh list.List // of *waiter: all others. The one that came first is in front
}

type waiter struct {
	since time.Time
	turn  chan struct{} // closed when it is its turn
}

// maxWait is how long a request waits for its turn before its sender is told to come back. It is well below the 10 s that OpenTelemetry's SDKs wait for an
// answer: what is stored after that is sent again in vain.
const maxWait = 2 * time.Second

// newTurns returns turns for as many requests as there are cores for Go's code.
func newTurns() *Turns { return &Turns{free: runtime.GOMAXPROCS(0)} }

var errBehind = &trace.Error{Kind: trace.Busy, Msg: "more is being received than can be kept; send again later", After: time.Second}

// Take waits for a turn, which Done gives back. The error, of kind Busy, says that it took too long.
func (t *Turns) Take(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.take(ctx, &t.fresh)
}

// again is Take for a request that had a turn already.
func (t *Turns) again(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.take(ctx, &t.begun)
}

func (t *Turns) take(ctx context.Context, queue *list.List) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	w := &waiter{since: time.Now(), turn: make(chan struct{})}
	e := queue.PushBack(w)
	t.mu.Unlock()
	limit := time.NewTimer(maxWait)
	defer limit.Stop()
	var err error
	select {
	case <-w.turn:
		return nil
	case <-limit.C:
		err = errBehind
	case <-ctx.Done():
		err = trace.Errorf(trace.Busy, "the client went away")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-w.turn: // just now
		return nil
	default:
		queue.Remove(e)
		return err
	}
}

// Done ends a turn: it is another request's now.
func (t *Turns) Done() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, queue := range []*list.List{&t.begun, &t.fresh} {
		if first := queue.Front(); first != nil {
			close(queue.Remove(first).(*waiter).turn)
			return
		}
	}
	t.free++
}

// Waiting returns how many requests wait for their turn.
func (t *Turns) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begun.Len() + t.fresh.Len()
}

// Behind reports whether requests wait so long already that one which arrives now had better come back later: it is then told so before
// memory is taken for it.
func (t *Turns) Behind() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.fresh.Front()
	return first != nil && time.Since(first.Value.(*waiter).since) > maxWait/2
}
