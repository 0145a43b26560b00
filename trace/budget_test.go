package trace

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudget(t *testing.T) {
	p := NewPool(PoolSize{All: 64 << 20, Runs: 4}) // 4 MiB are each one's own, 48 MiB are nobody's, of which one may have 42
	ctx, big := p.Open(t.Context())
	if BudgetOf(ctx) != big || BudgetOf(t.Context()) != nil {
		t.Error("a context has another budget than its own")
	}
	if err := big.Take(43 << 20); KindOf(err) != TooLarge || !errors.Is(err, ErrBudget) || !strings.Contains(err.Error(), "42 MiB") || !strings.Contains(err.Error(), "query.memory_each") {
		t.Errorf("more than one may have: %v", err)
	}
	if err := big.Take(42 << 20); err != nil {
		t.Fatal(err)
	}
	_, small := p.Open(t.Context())
	for range 100 { // what is its own
		if err := small.Take(4 << 20); err != nil {
			t.Fatal(err)
		}
		small.Give(4 << 20)
	}
	if n, want := p.Held(), int64((2*4+42-4)<<20); n != want {
		t.Errorf("%d bytes are held; want %d", n, want)
	}
	big.Back(1 << 20)
	if n := p.Held(); n > 16<<20 {
		t.Errorf("%d bytes are held of which most were given back", n)
	}
	big.Close()
	small.Close()
	if n := p.Held(); n != 0 {
		t.Errorf("%d bytes are held by nobody", n)
	}
	if big.Take(1<<20) == nil {
		t.Error("who has ended takes more")
	}
	if large, busy := p.Refused(); large != 1 || busy != 0 {
		t.Errorf("%d and %d refusals; want 1 and 0", large, busy)
	}
	var none *Budget
	if none.Take(1<<60) != nil || none.Settle(1<<60) != nil || none.Held() != 0 {
		t.Error("no budget has an end")
	}
	none.Give(1)
	none.Back(1)
	none.Owe(1)
	none.Close()
}

func TestBudgetWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolSize{All: 64 << 20, Each: 30 << 20, Runs: 4})
		_, first := p.Open(t.Context())
		gone, leave := context.WithCancel(t.Context())
		_, second := p.Open(t.Context())
		_, third := p.Open(gone)
		if err := first.Take(30 << 20); err != nil {
			t.Fatal(err)
		}
		if err := second.Take(28 << 20); KindOf(err) != Busy || ErrorOf(err).After <= 0 || !strings.Contains(err.Error(), "query.memory") {
			t.Errorf("while others hold it: %v", err)
		}
		time.AfterFunc(time.Second, func() { first.Close() })
		if err := second.Take(28 << 20); err != nil {
			t.Errorf("others give it back while it waits: %v", err)
		}
		time.AfterFunc(time.Second, leave)
		if err := third.Take(30 << 20); !errors.Is(err, context.Canceled) {
			t.Errorf("its client goes away: %v", err)
		}
		if large, busy := p.Refused(); large != 0 || busy != 1 {
			t.Errorf("%d and %d refusals; want 0 and 1", large, busy)
		}
		second.Close()
		third.Close()
		if n := p.Held(); n != 0 {
			t.Errorf("%d bytes are held by nobody", n)
		}
	})
}

// TestBudgetSettles holds that answers that are being sent count, and not what it took to make them.
func TestBudgetSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolSize{All: 16 << 20, Runs: 1})
		var sent []*Budget
		for {
			_, b := p.Open(t.Context())
			if err := b.Take(3 << 20); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, b)
			if err := b.Settle(2 << 20); err != nil {
				if KindOf(err) != Busy {
					t.Error(err)
				}
				b.Close()
				break
			}
		}
		if len(sent) != 6+1 { // 12 MiB are nobody's own
			t.Errorf("%d answers of 2 MiB were let go; want 6", len(sent)-1)
		}
		_, b := p.Open(t.Context())
		if err := b.Settle(10 << 10); err != nil {
			t.Errorf("a small answer, while large ones are sent: %v", err)
		}
		for _, b := range append(sent, b) {
			b.Close()
		}
		if n := p.Held(); n != 0 {
			t.Errorf("%d bytes are held by nobody", n)
		}
	})
}

func TestBudgetOfMany(t *testing.T) {
	p := NewPool(PoolSize{All: 64 << 20, Runs: 1})
	_, b := p.Open(t.Context())
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for n := range int64(2000) {
				if err := b.Take(n * 1000); err != nil {
					t.Error(err)
				}
				b.Owe(1)
				b.Give(n*1000 + 1)
			}
		})
	}
	work.Wait()
	if b.Held() != 0 {
		t.Errorf("%d bytes are held", b.Held())
	}
	b.Close()
	if n := p.Held(); n != 0 {
		t.Errorf("%d bytes are held by nobody", n)
	}
}

func BenchmarkBudget(b *testing.B) {
	_, own := NewPool(PoolSize{All: 64 << 20, Runs: 1}).Open(b.Context())
	defer own.Close()
	for b.Loop() {
		if err := own.Take(1000); err != nil {
			b.Fatal(err)
		}
		own.Give(1000)
	}
}
