package receive

import (
	"container/list"
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/clewtrace/clew/trace"
)

// Turns bounds how many requests are worked on at once: decompressed, converted, indexed, put into the store. However many arrive, questions
// then wait for few of them, and requests wait for their turn in order, for a short time only. Where there are tenants, each has a line of
// its own, and the lines take turns: the many requests of one do not make the few of another wait. A nil *Turns bounds nothing.
type Turns struct {
	mu    sync.Mutex
	free  int
	lines []*line // those in which somebody waits. The first is next
}

// line is a tenant's.
type line struct {
	tenant string
	begun  list.List // of *waiter: requests that had a turn already, whose work would be in vain. They come before
	fresh  list.List // of *waiter: all others. The one that came first is in front
}

// queue returns the part of a line in which a request waits.
func (l *line) queue(begun bool) *list.List {
	if begun {
		return &l.begun
	}
	return &l.fresh
}

func (l *line) empty() bool { return l.begun.Len()+l.fresh.Len() == 0 }

// line returns the line of a tenant, or nil if nobody waits in it.
func (t *Turns) line(tenant string) *line {
	for _, l := range t.lines {
		if l.tenant == tenant {
			return l
		}
	}
	return nil
}

// wait puts a request at the end of its tenant's line, and returns what takes it out again.
func (t *Turns) wait(tenant string, begun bool, w *waiter) (leave func()) {
	l := t.line(tenant)
	if l == nil {
		l = &line{tenant: tenant}
		t.lines = append(t.lines, l)
	}
	e := l.queue(begun).PushBack(w)
	return func() {
		l.queue(begun).Remove(e)
		t.drop(l)
	}
}

// drop forgets a line in which nobody waits.
func (t *Turns) drop(l *line) {
	if l.empty() {
		t.lines = slices.DeleteFunc(t.lines, func(o *line) bool { return o == l })
	}
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
func (t *Turns) Take(ctx context.Context) error { return t.take(ctx, false, maxWait) }

// take is Take for a request that had a turn already, or had none, and waits for some time.
func (t *Turns) take(ctx context.Context, begun bool, atMost time.Duration) error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	w := &waiter{since: time.Now(), turn: make(chan struct{})}
	leave := t.wait(trace.TenantOf(ctx), begun, w)
	t.mu.Unlock()
	limit := time.NewTimer(atMost)
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
		leave()
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
	if len(t.lines) == 0 {
		t.free++
		return
	}
	next := t.lines[0]
	queue := next.queue(next.begun.Len() > 0)
	close(queue.Remove(queue.Front()).(*waiter).turn)
	t.lines = append(t.lines[1:], next)
	t.drop(next)
}

// Waiting returns how many requests wait for their turn.
func (t *Turns) Waiting() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		n += l.begun.Len() + l.fresh.Len()
	}
	return n
}

// Behind reports whether requests of a context's tenant wait so long already that one which arrives now had better come back later: it is
// then told so before memory is taken for it.
func (t *Turns) Behind(ctx context.Context) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.line(trace.TenantOf(ctx))
	if l == nil {
		return false
	}
	first := l.fresh.Front()
	return first != nil && time.Since(first.Value.(*waiter).since) > maxWait/2
}
