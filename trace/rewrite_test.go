package trace

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
)

// TestEdit changes, leaves out and keeps random spans, twice over, and holds what comes of it against the same done to spans.
func TestEdit(t *testing.T) {
	for seed := range uint64(300) {
		r := maker{rand.New(rand.NewPCG(seed, 2))}
		spans := r.spans(1 + r.IntN(9))
		var b Batch
		if err := Pack(&b, spans, DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			changes := make([]Change, len(spans))
			var want []Span
			for i := range changes {
				if changes[i] = Change(r.IntN(3)); changes[i] == Left {
					continue
				}
				want = append(want, spans[i])
				if changes[i] == Changed {
					want[len(want)-1].Dropped = 77
				}
			}
			err := b.Edit(&Edit{Span: func(dst []byte, i int, body []byte) ([]byte, Change) {
				return appendUint(append(dst, body...), 10, 77), changes[i]
			}})
			if err != nil || len(b.Spans) != len(want) {
				t.Fatalf("seed %d: %v, %d spans; want %d", seed, err, len(b.Spans), len(want))
			}
			if diff := gocmp.Diff(slices.Clip(want), decode(t, &b)[:len(want)], compareValues); diff != "" && len(want) > 0 {
				t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
			}
			if again := index(t, b.Raw, DefaultLimits()); len(again.Spans) != len(want) {
				t.Fatalf("seed %d: Raw has %d spans; want %d", seed, len(again.Spans), len(want))
			}
			spans = want
		}
	}
}

// TestEditResourceAndScope adds to resources and scopes, also where there is none.
func TestEditResourceAndScope(t *testing.T) {
	s := good(1)
	bare := appendMessage(nil, 1, func(b []byte) []byte {
		return appendMessage(b, 2, func(b []byte) []byte { return appendBytes(b, 2, AppendSpan(nil, &s)) })
	})
	s.Resource, s.Scope = &Resource{Attrs: []Attr{{"a", Int(1)}}, SchemaURL: "u"}, &Scope{Name: "lib"}
	b := index(t, append(bare, AppendTraces(nil, []Span{s})...), DefaultLimits())
	err := b.Edit(&Edit{
		Resource: func(dst []byte, i int, body []byte) ([]byte, Change) {
			return appendAttrs(append(dst, body...), 1, []Attr{{"i", Int(int64(i))}}), Changed
		},
		Scope: func(dst []byte, i int, body []byte) ([]byte, Change) {
			return appendAttrs(append(dst, body...), 3, []Attr{{"i", Int(int64(i))}}), Changed
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := decode(t, b)
	want := []*Resource{{Attrs: []Attr{{"i", Int(0)}}}, {Attrs: []Attr{{"a", Int(1)}, {"i", Int(1)}}, SchemaURL: "u"}}
	if diff := gocmp.Diff(want, []*Resource{got[0].Resource, got[1].Resource}, compareValues); diff != "" {
		t.Error(diff)
	}
	if diff := gocmp.Diff([]Attr{{"i", Int(1)}}, got[1].Scope.Attrs, compareValues); diff != "" || got[1].Scope.Name != "lib" || len(got[0].Scope.Attrs) != 1 {
		t.Errorf("%+v, %+v: %s", got[0].Scope, got[1].Scope, diff)
	}
}

// TestKeep leaves spans out, and a resource of which none is left.
func TestKeep(t *testing.T) {
	spans := []Span{good(1), good(2), good(3)}
	for i := range spans {
		spans[i].Resource = &Resource{Attrs: []Attr{{"n", Int(int64(i))}}}
	}
	b := index(t, AppendTraces(nil, spans), DefaultLimits())
	raw := b.Raw
	if n, err := b.Keep(func(int) bool { return true }); n != 0 || err != nil || &b.Raw[0] != &raw[0] {
		t.Errorf("keeping all left out %d, %v, and made a copy: %v", n, err, &b.Raw[0] != &raw[0])
	}
	if n, err := b.Keep(func(i int) bool { return i != 1 }); n != 1 || err != nil || len(b.Spans) != 2 || len(b.Resources) != 2 || b.Refused.Total() != 0 {
		t.Errorf("left out %d, %v: %d spans, %d resources are left", n, err, len(b.Spans), len(b.Resources))
	}
	if n, err := b.Keep(func(int) bool { return false }); n != 2 || err != nil || len(b.Spans)+len(b.Raw) != 0 {
		t.Errorf("left out %d, %v: %d spans and %d bytes are left", n, err, len(b.Spans), len(b.Raw))
	}
}

// TestRewrite holds other bytes to the batch's limits, counts what they break once, and is as before when they are no OTLP.
func TestRewrite(t *testing.T) {
	limits := DefaultLimits()
	limits.Oldest = 5
	old, fine, other := good(1), good(2), good(3)
	old.Start, fine.Start, other.Start = 1, 10, 10
	other.Name = "bad \xff text"
	b := index(t, AppendTraces(nil, []Span{old, fine, other}), limits)
	before, first := bytes.Clone(b.Raw), b.Refused.First
	err := b.Rewrite(func(dst []byte) []byte { return append(dst, "\x0a\x05xx"...) })
	if KindOf(err) != Invalid || !bytes.Equal(b.Raw, before) || len(b.Spans) != 2 || b.Refused.Count[TooOld] != 1 || b.InvalidText != 1 {
		t.Errorf("%v, %d spans, refused %+v, %d invalid texts", err, len(b.Spans), b.Refused, b.InvalidText)
	}
	early, none := fine, fine
	early.Start, none.Start = 2, 0
	if err := b.Rewrite(func(dst []byte) []byte { return AppendTraces(dst, []Span{early, fine, none}) }); err != nil {
		t.Fatal(err)
	}
	if len(b.Spans) != 1 || b.Refused.Count[TooOld] != 2 || b.Refused.Count[NoStartTime] != 1 || b.Refused.First != first || b.InvalidText != 1 {
		t.Errorf("%d spans, refused %+v", len(b.Spans), b.Refused)
	}
}

// TestEditAllocation: editing costs a few closures for each batch, and nothing for each of its 100 spans.
func TestEditAllocation(t *testing.T) {
	raw, b := realistic(), index(t, realistic(), DefaultLimits())
	edit := func() {
		if err := b.Index(raw, DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		if n, err := b.Keep(func(i int) bool { return i%2 == 0 }); n != 50 || err != nil {
			t.Fatal(n, err)
		}
		if err := b.Edit(&Edit{Span: func(dst []byte, i int, body []byte) ([]byte, Change) { return append(dst, body...), Changed }}); err != nil {
			t.Fatal(err)
		}
	}
	edit()
	edit() // both buffers have grown
	if n := testing.AllocsPerRun(50, edit); n > 10 {
		t.Errorf("editing a used batch twice allocates %v times; want 10 at most", n)
	}
}

// FuzzEdit edits whatever is taken as OTLP: what comes of it is always taken, and spans that are not touched are the same bytes.
func FuzzEdit(f *testing.F) {
	f.Add(realistic(), uint64(0b110110))
	f.Add(AppendTraces(nil, maker{rand.New(rand.NewPCG(1, 1))}.spans(5)), uint64(0x123456789))
	f.Add([]byte("\x0a\x00\x0a\x02\x12\x00"), uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, plan uint64) {
		var b, again Batch
		if b.Index(in, DefaultLimits()) != nil {
			return
		}
		change := func(i int) Change { return Change(plan >> (2 * (i % 32)) & 3 % 3) }
		before := bodies(t, b.Raw)
		if len(before) != len(b.Spans) {
			t.Fatalf("%d spans, %d in the bytes", len(b.Spans), len(before))
		}
		refused, seen := b.Refused.Total(), 0
		err := b.Edit(&Edit{Span: func(dst []byte, i int, body []byte) ([]byte, Change) {
			if !bytes.Equal(body, before[i]) || i != seen {
				t.Fatalf("call %d has span %d: %x; want %x", seen, i, body, before[i])
			}
			seen++
			return appendUint(append(dst, body...), 10, 3), change(i)
		}})
		if err != nil {
			if !strings.Contains(err.Error(), "send smaller batches") {
				t.Fatal(err)
			}
			return
		}
		after := bodies(t, b.Raw)
		for i, body := range before {
			if change(i) == Left {
				continue
			}
			if len(after) == 0 {
				t.Fatalf("span %d is gone", i)
			}
			if change(i) == Same && !bytes.Equal(body, after[0]) {
				t.Fatalf("span %d was not to be touched: %x became %x", i, body, after[0])
			}
			after = after[1:]
		}
		if err := again.Index(b.Raw, DefaultLimits()); err != nil || len(again.Spans) != len(b.Spans) || len(after) != 0 || b.Refused.Total() != refused {
			t.Fatalf("%v: %d spans, %d before, %d left over; refused %+v", err, len(again.Spans), len(b.Spans), len(after), b.Refused)
		}
	})
}

// bodies returns the spans' messages, as protobuf's own code finds them.
func bodies(t *testing.T, raw []byte) (spans [][]byte) {
	for _, rs := range messages(t, raw, 1) {
		for _, ss := range messages(t, rs, 2) {
			spans = append(spans, messages(t, ss, 2)...)
		}
	}
	return spans
}

func messages(t *testing.T, b []byte, num protowire.Number) (out [][]byte) {
	for len(b) > 0 {
		n, wire, size := protowire.ConsumeField(b)
		if size < 0 {
			t.Fatal(protowire.ParseError(size))
		}
		if n == num && wire == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(b)
			body, _ := protowire.ConsumeBytes(b[tag:])
			out = append(out, body)
		}
		b = b[size:]
	}
	return out
}
