package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

// TestSlots: a tenant that asks for all it can get leaves a slot for others; who waits is let in by how few of its queries run.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(8, nil, prometheus.NewRegistry())
		g.Share([]Tenant{{Name: "default"}, {Name: "a"}, {Name: "b"}, {Name: "c", Queries: 1}}, prometheus.NewRegistry())
		s := &g.slots
		take := func(tenant string) error {
			a, err := s.of(trace.WithTenant(context.Background(), tenant))
			if err != nil {
				return err
			}
			return s.take(context.Background(), a, 10*time.Second)
		}
		fill := func(tenant string) (n int) {
			for take(tenant) == nil {
				n++
			}
			return n
		}
		if a, b, c := fill("a"), fill("b"), fill("c"); a != 6 || b != 1 || c != 1 {
			t.Errorf("a has %d slots, then b %d, then c %d", a, b, c)
		}
		if err := take("nobody"); trace.KindOf(err) != trace.UnknownTenant {
			t.Errorf("an unknown tenant: %v", err)
		}
		// All slots are taken. a waits first, but of default nothing runs.
		var order []string
		for _, tenant := range []string{"a", "c", "default"} {
			go func() {
				if err := take(tenant); err != nil && !errors.Is(err, errQueries) {
					t.Error(err)
				} else if err == nil {
					order = append(order, tenant)
				}
			}()
			synctest.Wait()
		}
		for range 4 { // with three of others running, it may have no more than three
			s.give(s.tenants["a"])
			synctest.Wait()
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if len(order) != 2 || order[0] != "default" || order[1] != "a" { // and c has its one
			t.Errorf("let in: %v", order)
		}
		if len(s.waiting) != 0 {
			t.Errorf("%d wait for ever", len(s.waiting))
		}
	})
}

// TestSlotsOfOne: without tenants all slots are there for whoever comes, in order; and one slot is there for each tenant in turn.
func TestSlotsOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slots{free: 2}
		for range 2 {
			if err := s.take(t.Context(), nil, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		var order []int
		for i := range 3 {
			go func() {
				if s.take(context.Background(), nil, time.Hour) == nil {
					order = append(order, i)
				}
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.take(ctx, nil, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that went away: %v", err)
		}
		for range 5 {
			s.give(nil)
			synctest.Wait()
		}
		if len(order) != 3 || order[0] != 0 || order[1] != 1 || order[2] != 2 || s.free != 2 {
			t.Errorf("order %v, %d free", order, s.free)
		}
	})
}
