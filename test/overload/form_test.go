package overload

import (
	"bytes"
	"encoding/hex"
	"slices"
	"sync"
	"testing"
	"time"
)

// form is a batch in a protocol, of which others are made that differ in their trace alone: to encode each of them would cost more than it costs
// the server to take it in.
type form struct {
	t   *testing.T
	way way

	mu   sync.Mutex
	made time.Time
	raw  []byte
	ids  []int // where in raw the lower half of the trace's ID is, by which traces differ
}

const (
	formAge   = 5 * time.Second // after which it is made anew, for the spans' times
	formBatch = 1 << 41         // whose it is
)

// batch returns a batch as it is sent.
func (f *form) batch(n int) []byte {
	f.mu.Lock()
	if time.Since(f.made) > formAge {
		f.make()
	}
	raw, ids := slices.Clone(f.raw), f.ids
	f.mu.Unlock()
	id := f.id(n)
	for _, at := range ids {
		copy(raw[at:], id)
	}
	return f.way.pack(raw)
}

func (f *form) make() {
	f.made, f.raw, f.ids = time.Now(), f.way.encode(batch(formBatch)), nil
	id := f.id(formBatch)
	for at := 0; ; at += len(id) {
		next := bytes.Index(f.raw[at:], id)
		if next < 0 {
			break
		}
		at += next
		f.ids = append(f.ids, at)
	}
	if len(f.ids) < batchSpans {
		f.t.Errorf("%s: the trace's ID is in a batch %d times; want at least %d", f.way.name, len(f.ids), batchSpans)
	}
}

// id returns the lower half of a batch's trace ID, as it is written.
func (f *form) id(n int) []byte {
	id := traceID(n)
	if f.way.hex {
		return hex.AppendEncode(nil, id[8:])
	}
	return id[8:]
}
