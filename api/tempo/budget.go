package tempo

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/clewtrace/clew/trace"
)

// maxAnswerBytes is how large an answer to a search or for series may be: it is held several times over, as found, in Tempo's form, and as it is sent.
const maxAnswerBytes = 64 << 20

// budget bounds the memory of answers that are being made: what was found is held until all of it is written.
type budget struct {
	most int64 // bytes of all
	held atomic.Int64
}

// share is what one answer holds of a budget.
type share struct {
	of   *budget
	most int64
	less string // what to ask for less of

	mu   sync.Mutex
	held int64
	done bool // all was given back
}

// share returns a share for the answer to a context's question. It is given back when that is done.
func (b *budget) share(ctx context.Context, less string) *share {
	s := &share{of: b, most: min(maxAnswerBytes, b.most/2), less: less}
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done = true
		b.held.Add(-s.held)
	})
	return s
}

// take holds n more bytes. The error is of kind TooLarge, or Busy where it is because of others.
func (s *share) take(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return context.Canceled
	}
	if s.held+int64(n) > s.most {
		return trace.Errorf(trace.TooLarge, "the answer is larger than %d MiB; ask for %s", s.most>>20, s.less)
	}
	if s.of.held.Add(int64(n)) > s.of.most {
		s.of.held.Add(int64(-n))
		return trace.Errorf(trace.Busy, "the answers to other queries take the memory there is for them; try again, or ask for %s", s.less)
	}
	s.held += int64(n)
	return nil
}

// clear gives back what is held, for a stream's next message.
func (s *share) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.of.held.Add(-s.held)
		s.held = 0
	}
}
