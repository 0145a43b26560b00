package overload

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// answerTimeout is how long a sender waits for an answer: for as long as it takes on a machine that has much else to do.
const answerTimeout = 2 * time.Minute

// flood is senders that send batches, each of them again until it is acknowledged, whatever they are told of when to come back.
type flood struct {
	t       *testing.T
	book    *book
	ctx     context.Context // ends when no more is to be sent; what is under way is waited for
	stop    context.CancelFunc
	work    sync.WaitGroup
	turns   chan struct{} // one for each batch that may be sent; nil: as fast as answers come
	killing atomic.Bool   // from here on, no answer is no surprise
}

// newFlood starts n senders, of each way as many, that send at a rate of batches a second; 0: as fast as answers come.
func newFlood(t *testing.T, s *testkit.Server, b *book, n int, rate float64) *flood {
	f := &flood{t: t, book: b}
	f.ctx, f.stop = context.WithCancel(t.Context())
	t.Cleanup(f.end)
	if rate > 0 {
		f.turns = make(chan struct{})
		f.work.Go(func() { f.pace(rate) })
	}
	var forms []*form
	for _, w := range ways {
		forms = append(forms, &form{t: t, way: w})
	}
	for i := range n {
		form := forms[i%len(forms)]
		send := form.way.open(s)
		f.work.Go(func() { f.run(form, send) })
	}
	return f
}

// end stops the senders and waits for the answers to what is under way.
func (f *flood) end() {
	f.stop()
	f.work.Wait()
}

// pace gives turns at a rate; those that nobody is free to take are lost.
func (f *flood) pace(rate float64) {
	const every = 5 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	last, due := time.Now(), 0.0
	for {
		select {
		case <-f.ctx.Done():
			return
		case now := <-tick.C:
			due = min(due+rate*now.Sub(last).Seconds(), rate/10)
			last = now
		}
		for ; due >= 1; due-- {
			select {
			case f.turns <- struct{}{}:
				continue
			default:
			}
			break
		}
	}
}

// turn waits until a batch may be sent; false when no more is to be sent.
func (f *flood) turn() bool {
	if f.turns == nil {
		return f.ctx.Err() == nil
	}
	select {
	case <-f.turns:
		return true
	case <-f.ctx.Done():
		return false
	}
}

func (f *flood) run(form *form, send sender) {
	for {
		if !f.turn() {
			return
		}
		n := f.book.next()
		raw := form.batch(n)
		for {
			f.book.offer()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), answerTimeout)
			err := send(ctx, raw)
			cancel()
			if err == nil {
				f.book.note(n, acknowledged)
				break
			}
			if !errors.Is(err, errPushBack) {
				f.book.note(n, unknown)
				if errors.Is(err, errWrong) {
					f.t.Errorf("%s: batch %d: %v", form.way.name, n, err)
				} else if !f.killing.Load() { // as of a connection that timed out, on a machine that has much else to do
					f.t.Logf("%s: batch %d: %v", form.way.name, n, err)
				}
				return
			}
			if !f.turn() {
				return
			}
		}
	}
}
