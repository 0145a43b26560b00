package query

import (
	"testing"

	"github.com/clewtrace/clew/trace"
)

// FuzzCursor checks that a cursor is read back as it was written, and that others are refused.
func FuzzCursor(f *testing.F) {
	sum := sumOf(trace.Scan{})
	f.Add("", uint64(0), []byte{})
	f.Add(formatCursor(trace.Position{Start: 1, ID: trace.ID{2}}, sum), uint64(3), []byte{4})
	f.Fuzz(func(t *testing.T, s string, start uint64, id []byte) {
		want := trace.Position{Start: start}
		copy(want.ID[:], id)
		if got, err := parseCursor(formatCursor(want, sum), sum); err != nil || got != want {
			t.Fatalf("%v became %v, %v", want, got, err)
		}
		got, err := parseCursor(s, sum)
		if err != nil {
			if trace.KindOf(err) != trace.Invalid {
				t.Fatal(err)
			}
			return
		}
		if again, err := parseCursor(formatCursor(got, sum), sum); err != nil || again != got {
			t.Fatalf("%q is %v, then %v (%v)", s, got, again, err)
		}
	})
}
