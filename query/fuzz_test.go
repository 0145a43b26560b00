package query

import (
	"testing"

	"github.com/clewtrace/clew/trace"
)

// FuzzCursor checks that a cursor is read back as it was written, for each kind of place, and that others are refused.
func FuzzCursor(f *testing.F) {
	sum := sumOf([]byte("a question"))
	position := trace.Position{Start: 1, ID: trace.ID{2}}
	f.Add("", uint64(0), []byte{})
	f.Add(formatCursor(position, sum), uint64(3), []byte{4})
	f.Add(formatCursor(place{5, position}, sum), uint64(3), []byte{4})
	f.Add(formatCursor(spanPlace{5, 6, trace.ID{7}, trace.SpanID{8}, 9}, sum), uint64(3), []byte{4})
	f.Fuzz(func(t *testing.T, s string, start uint64, id []byte) {
		p := trace.Position{Start: start}
		copy(p.ID[:], id)
		readBack(t, s, p, sum)
		readBack(t, s, place{^start, p}, sum)
		readBack(t, s, spanPlace{^start, start, p.ID, trace.SpanID(p.ID[8:]), uint16(start)}, sum)
	})
}

// readBack checks that a place is read back from its cursor, and a text that may be one.
func readBack[P comparable](t *testing.T, s string, want P, sum questionSum) {
	t.Helper()
	var got P
	if err := parseCursor(formatCursor(want, sum), &got, sum); err != nil || got != want {
		t.Fatalf("%v became %v, %v", want, got, err)
	}
	if err := parseCursor(s, &got, sum); err != nil {
		if trace.KindOf(err) != trace.Invalid {
			t.Fatal(err)
		}
		return
	}
	var again P
	if err := parseCursor(formatCursor(got, sum), &again, sum); err != nil || again != got {
		t.Fatalf("%q is %v, then %v (%v)", s, got, again, err)
	}
}
