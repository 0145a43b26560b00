package trace

import (
	"fmt"
	"runtime"
	"testing"
)

// TestMemory: what Memory says of a trace is near what the heap grows by when it is made.
func TestMemory(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	x := &Trace{Spans: make([]Span, 20_000)}
	resource, scope := &Resource{}, &Scope{}
	for i := range x.Spans {
		s := &x.Spans[i]
		*s = Span{Resource: resource, Scope: scope, Attrs: make([]Attr, 4)}
		for k := range s.Attrs {
			s.Attrs[k] = Attr{"key", String(fmt.Sprintf("value %060d", i))}
		}
		if i%10 == 0 {
			s.Events = []Event{{Name: "event", Attrs: []Attr{{"list", Array(Int(1), Int(2))}}}}
			s.Links = make([]Link, 2)
		}
	}
	took := int64(heap() - before)
	if got := x.Memory(); got < took*8/10 || got > took*12/10 {
		t.Errorf("it says %d bytes; the heap grew by %d", got, took)
	}
	runtime.KeepAlive(x)
}
