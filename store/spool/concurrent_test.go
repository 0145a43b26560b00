package spool

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// TestAllAtOnce writes, asks, cuts, merges and expires at the same time, and closes in the midst of it: for the race detector. What was
// acknowledged must be readable at once and afterwards.
func TestAllAtOnce(t *testing.T) {
	cfg := testConfig(t)
	cfg.HeadBytes = 64 << 10
	s := open(t, cfg)
	const writers = 4
	wants := make([]model, writers)
	var work sync.WaitGroup
	done := make(chan struct{})
	for i := range writers {
		wants[i] = model{}
		work.Go(func() {
			m := newMaker(uint64(100 + i))
			for range 60 {
				spans := m.trace(10)
				var b trace.Batch
				if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
					t.Error(err)
					return
				}
				if err := s.Append(t.Context(), &b); err != nil {
					if trace.KindOf(err) != trace.Busy {
						t.Error(err)
					}
					continue
				}
				wants[i].add(spans)
				if tr, err := s.Trace(t.Context(), spans[0].TraceID, trace.Range{}); err != nil || len(tr.Spans) != len(spans) {
					t.Errorf("a trace that was acknowledged: %v, %v", tr, err)
				}
			}
		})
	}
	ask := func(fn func() error) {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := fn(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	ask(func() error {
		var rep trace.ScanReport
		n := 0
		for _, err := range s.Scan(t.Context(), trace.Scan{}, &rep) {
			if n++; err != nil || n == 50 {
				return err
			}
		}
		return nil
	})
	ask(func() error { _, err := s.Operations(t.Context(), ""); return err })
	ask(func() error { _, err := s.Stats(t.Context()); return err })
	ask(func() error { return s.expire(time.Now()) })
	time.Sleep(300 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	time.Sleep(20 * time.Millisecond) // questions go on
	close(done)
	work.Wait()
	s = open(t, cfg)
	for _, want := range wants {
		want.check(t, s)
	}
}

// TestWaitingForRoom holds that a writer waits for heads to be cut, not longer than it wants to, and goes on when they are.
func TestWaitingForRoom(t *testing.T) {
	var broken sync.Map
	broken.Store("now", true)
	d := &wal.Disk{Fault: func(op, path string) error {
		if _, ok := broken.Load("now"); ok && strings.HasSuffix(path, blockSuffix+tmpSuffix) {
			return syscall.ENOSPC
		}
		return nil
	}}
	s, err := openOn(d, testConfig(t), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.crash)
	want := model{}
	traces := smallTraces(1, maxFrozen+3, 5)
	for _, spans := range traces[:maxFrozen+1] {
		appendSpans(t, s, spans)
		want.add(spans)
		s.mu.Lock()
		s.freeze()
		s.mu.Unlock()
	}
	var b trace.Batch
	if err := trace.Pack(&b, traces[maxFrozen+1], trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := s.Append(ctx, &b); trace.KindOf(err) != trace.Busy {
		t.Errorf("append with too many heads: %v", err)
	}
	want.check(t, s)
	broken.Delete("now")
	s.settle(t)
	for _, spans := range traces[maxFrozen+1:] {
		appendSpans(t, s, spans)
		want.add(spans)
	}
	want.check(t, s)
}

// TestLogOfLargeResources cuts a head when its log is large, though its memory is not: one resource, repeated with every span, is there once.
func TestLogOfLargeResources(t *testing.T) {
	cfg := testConfig(t)
	cfg.HeadBytes = 64 << 10
	s := open(t, cfg)
	m := newMaker(1)
	res := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("s")}, {Key: "large", Value: trace.String(strings.Repeat("x", 10_000))}}}
	for range 100 {
		spans := m.trace(1)
		spans[0].Resource, spans[0].Attrs, spans[0].Name = res, nil, "op"
		appendSpans(t, s, spans)
	}
	s.mu.Lock()
	logged := s.state.Load().open.logged.Load()
	s.mu.Unlock()
	if limit := maxLogRatio * cfg.HeadBytes; logged > limit {
		t.Errorf("%d bytes of log for one head; want at most %d", logged, limit)
	}
}
