package wasm

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/clewtrace/clew/trace"
)

// FuzzOutput: whatever a module returns, a batch is afterwards spans that it had, or as it was.
func FuzzOutput(f *testing.F) {
	raw := batchOf(f, 3).Raw
	f.Add([]byte{})
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add(append(bytes.Clone(raw), raw...))
	for _, m := range bad(f) {
		f.Add([]byte(m.module.data))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		b := batchOf(t, 3)
		s := scratch{out: out}
		err := s.replace(b)
		if _, failed := err.(*failure); err != nil && !failed { //nolint:errorlint // it is not to be wrapped
			t.Fatal(err)
		}
		if err != nil && (!bytes.Equal(b.Raw, raw) || len(b.Spans) != 3) {
			t.Fatalf("after %v the batch is not as it was", err)
		}
		if b.Refused.Total() > 0 {
			t.Fatal("spans are refused")
		}
		if err := s.known(b); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Decode(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzSplit: pieces hold the spans of the whole, each once, in order.
func FuzzSplit(f *testing.F) {
	f.Add(batchOf(f, 4000).Raw, uint16(1))
	f.Add(batchOf(f, 3).Raw, uint16(3000))
	f.Fuzz(func(t *testing.T, raw []byte, times uint16) {
		if len(raw)*int(times) > 4<<20 {
			return
		}
		raw = bytes.Repeat(raw, int(times))
		var whole, piece trace.Batch
		if whole.Index(raw, trace.Limits{SpanBytes: 1 << 20, Depth: 64}) != nil {
			return
		}
		want, err := whole.Decode()
		if err != nil {
			t.Fatal(err)
		}
		var all []byte
		var got []trace.Span
		if _, err := split(nil, whole.Raw, func(p []byte) error {
			all = append(all, p...)
			if err := piece.Index(bytes.Clone(p), trace.DefaultLimits()); err != nil {
				return err
			}
			spans, err := piece.Decode()
			got = append(got, spans...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d spans of %d", len(got), len(want))
		}
		for i := range got {
			if got[i].TraceID != want[i].TraceID || got[i].ID != want[i].ID || got[i].Service() != want[i].Service() {
				t.Fatalf("span %d is another", i)
			}
		}
		if err := whole.Index(all, trace.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzModule: no file that is said to be a module ends the process, or holds it up.
func FuzzModule(f *testing.F) {
	good := assembly{process: echo(), tables: vector([]byte{0x70, 0, 3})}.bytes()
	f.Add(good)
	for _, m := range bad(f) {
		f.Add(m.module.bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := Default()
		c.Memory, c.Timeout, c.start, c.File = 2<<20, 50*time.Millisecond, time.Second, writeModule(t, raw)
		p, err := Open(context.Background(), c)
		if err != nil {
			return
		}
		_ = p.Process(context.Background(), batchOf(t, 1))
		_ = p.Close()
	})
}
