package trace

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A Pool is the memory that all queries together may hold. Each that runs has a part of its own, of the same size, which nobody else can
// take: so small ones are answered while large ones hold all of the rest. The zero Pool is not usable: see NewPool.
type Pool struct {
	size              PoolSize
	own, each, common int64
	queries           atomic.Int64 // how many hold something
	tooLarge, busy    atomic.Uint64

	mu    sync.Mutex
	drawn int64         // of common
	freed chan struct{} // closed when some of it was given back; nil: nobody waits for that
}

// PoolSize is how large a Pool is.
type PoolSize struct {
	All  int64 // bytes that all queries may hold together
	Each int64 // that one may hold at most; 0: seven eighths of what is nobody's own
	Runs int   // queries that run at once
}

// ownBytes is how much a query has of its own, unless that is more than a quarter of the pool for all: a page of a list takes less.
const ownBytes = 16 << 20

// drawBytes is how much of a pool is drawn at once, at least, so that those who hold little more ask for it seldom.
const drawBytes = 1 << 20

// poolWait is how long a query waits for memory that others hold.
const poolWait = 2 * time.Second

// NewPool returns a pool of which nothing is held.
func NewPool(s PoolSize) *Pool {
	runs := int64(max(1, s.Runs))
	p := &Pool{own: min(ownBytes, s.All/4/runs)}
	p.common = s.All - p.own*runs
	if s.Each == 0 {
		s.Each = p.common / 8 * 7
	}
	p.each = min(s.Each, p.common)
	p.own = min(p.own, p.each)
	p.size = PoolSize{s.All, p.each, s.Runs}
	return p
}

// Held returns how many bytes are spoken for: those of every query's own, of those that run, and what they have drawn beside.
func (p *Pool) Held() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drawn + min(p.queries.Load(), int64(p.size.Runs))*p.own // others wait for their turn, or send
}

// Size returns how large the pool is.
func (p *Pool) Size() PoolSize { return p.size }

// Refused returns how many queries were refused because they wanted more than one may have, and how many because of others.
func (p *Pool) Refused() (tooLarge, busy uint64) { return p.tooLarge.Load(), p.busy.Load() }

// draw takes n bytes of what is nobody's own, and waits for them a while.
func (p *Pool) draw(ctx context.Context, n int64) error {
	var limit <-chan time.Time
	for {
		p.mu.Lock()
		if p.drawn+n <= p.common {
			p.drawn += n
			p.mu.Unlock()
			return nil
		}
		if p.freed == nil {
			p.freed = make(chan struct{})
		}
		freed := p.freed
		p.mu.Unlock()
		if limit == nil {
			t := time.NewTimer(poolWait)
			defer t.Stop()
			limit = t.C
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			p.busy.Add(1)
			return &Error{Kind: Busy, Msg: Errorf(Busy, "other queries hold the %d MiB of memory that there are for them (Clew's setting query.memory); try again, or ask for less at once", p.common>>20).Msg, After: time.Second}
		}
	}
}

// give gives back n bytes that were drawn; below 0 it draws them, whether they are there or not.
func (p *Pool) give(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drawn -= n
	if p.freed != nil && n > 0 {
		close(p.freed)
		p.freed = nil
	}
}

// A Budget is the memory that one query holds, of a pool. Its methods may be called at the same time, and on nil, which has no end.
//
// What is held in proportion to data is taken before, and given back as soon as it is no longer held. Both cost an addition.
type Budget struct {
	pool *Pool
	ctx  context.Context // of the query, which the budget lives as long as
	held atomic.Int64
	room atomic.Int64 // that may be held without asking the pool: own + drawn

	mu    sync.Mutex
	own   int64
	drawn int64
	ended bool
}

type budgetKey struct{}

// Open returns a context with a budget for one query. It must be closed.
func (p *Pool) Open(ctx context.Context) (context.Context, *Budget) {
	b := &Budget{pool: p, ctx: ctx, own: p.own}
	b.room.Store(p.own)
	p.queries.Add(1)
	return context.WithValue(ctx, budgetKey{}, b), b
}

// BudgetOf returns the budget of the query that a context is of; nil if it has none.
func BudgetOf(ctx context.Context) *Budget {
	b, _ := ctx.Value(budgetKey{}).(*Budget)
	return b
}

// Take holds n more bytes. If it cannot, it holds none of them and returns an error of kind TooLarge, which is an ErrBudget, or, where
// others hold what there is, Busy. It may wait for them to give back, and so must not be called with a lock that others need.
func (b *Budget) Take(n int64) error {
	if b == nil {
		return nil
	}
	if held := b.held.Add(n); held <= b.room.Load() {
		return nil
	}
	if err := b.draw(); err != nil {
		b.held.Add(-n)
		return err
	}
	return nil
}

// Owe holds n more bytes without asking: little, and known too late. The next Take asks for them.
func (b *Budget) Owe(n int64) {
	if b != nil {
		b.held.Add(n)
	}
}

// Give gives n bytes back.
func (b *Budget) Give(n int64) {
	const slack = 4 * drawBytes // is kept: who gives back mostly takes again
	if b == nil {
		return
	}
	if held := b.held.Add(-n); b.room.Load()-held > slack+b.pool.own {
		b.mu.Lock()
		defer b.mu.Unlock()
		if much := min(b.drawn, b.room.Load()-max(0, b.held.Load())-slack); much > 0 {
			b.has(b.drawn - much)
			b.pool.give(much)
		}
	}
}

// Held returns how many bytes are held.
func (b *Budget) Held() int64 {
	if b == nil {
		return 0
	}
	return b.held.Load()
}

// Back gives back all but the n bytes that were held before, by a query that does nothing else meanwhile.
func (b *Budget) Back(n int64) { b.Give(b.Held() - n) }

// draw makes room for what is held.
func (b *Budget) draw() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	held := b.held.Load()
	if b.ended {
		return context.Canceled
	}
	if held > b.pool.each {
		b.pool.tooLarge.Add(1)
		return b.pool.tooMuch()
	}
	n := held - b.room.Load()
	if n <= 0 {
		return nil
	}
	n = min((n+drawBytes-1)/drawBytes*drawBytes, b.pool.each)
	if err := b.pool.draw(b.ctx, n); err != nil {
		return err
	}
	b.has(b.drawn + n)
	return nil
}

// ErrBudget is what errors are of that say that a query has used up what it may use: of time, memory, or data to be read.
var ErrBudget = errors.New("the budget is used up")

// OverBudget returns an error of kind TooLarge, which is an ErrBudget, of a query that wants more than n of something.
func OverBudget(n int64, of, setting string) error {
	const format = "the query wants more than the %d %s that it is allowed (Clew's setting %s); ask for a shorter range, or for something rarer"
	return &Error{Kind: TooLarge, Msg: Errorf(TooLarge, format, n, of, setting).Msg, Err: ErrBudget}
}

func (p *Pool) tooMuch() error {
	const format = "the query wants more than the %d MiB of memory that one may have (Clew's setting query.memory_each); ask for a shorter range, for fewer traces, spans or series at once, or for something rarer"
	return &Error{Kind: TooLarge, Msg: Errorf(TooLarge, format, p.each>>20).Msg, Err: ErrBudget}
}

// has notes how much is drawn. The caller has the lock.
func (b *Budget) has(drawn int64) {
	b.drawn = drawn
	b.room.Store(b.own + drawn)
}

// settledBytes is how much an answer may have that is always let go.
const settledBytes = 64 << 10

// Settle has the budget hold n bytes, those of the answer, and nothing else, nor anything of its own: another query may run while it is sent.
func (b *Budget) Settle(n int64) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	own := b.own
	if own > 0 {
		b.own = 0
		b.pool.queries.Add(-1)
	}
	b.held.Store(n)
	more := n - b.drawn
	if more <= settledBytes {
		b.has(n)
		b.pool.give(-more)
		b.mu.Unlock()
		return nil
	}
	b.has(b.drawn)
	b.mu.Unlock()
	return b.draw()
}

// Close gives all back.
func (b *Budget) Close() {
	if b == nil {
		return
	}
	_ = b.Settle(0)
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
}
