package overload

import (
	"encoding/binary"
	"sync"

	"github.com/clewtrace/clew/trace"
)

// batchSpans is how many spans a batch has, as from a Collector. They are one trace.
const batchSpans = 2000

// fate is what is known of a batch.
type fate uint8

const (
	refused      fate = iota // each time it was sent: it is not there
	acknowledged             // it is there, whole
	unknown                  // no answer came: it is there, whole, or it is not
)

func (f fate) String() string {
	return [...]string{"refused each time", "acknowledged", "sent, without an answer"}[f]
}

// book is what was sent, by number of the batch.
type book struct {
	mu      sync.Mutex
	fates   []fate
	newest  int // the batch that was acknowledged last; -1: none
	offered int // batches, each as often as it was sent
}

func (b *book) next() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fates = append(b.fates, refused)
	return len(b.fates) - 1
}

func (b *book) offer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offered++
}

func (b *book) note(n int, f fate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fates[n] = f
	if f == acknowledged {
		b.newest = n
	}
}

// count returns how often batches were sent, and how many there are of each fate.
func (b *book) count() (offered int, byFate [3]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.fates {
		byFate[f]++
	}
	return b.offered, byFate
}

// last returns the batch that was acknowledged last.
func (b *book) last() (n int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest, b.newest >= 0
}

func traceID(n int) (id trace.ID) {
	binary.BigEndian.PutUint64(id[:], 0x0e31_0000_0000_0001)
	binary.BigEndian.PutUint64(id[8:], uint64(n+1)*0x9e3779b97f4a7c15) // spread
	return id
}
