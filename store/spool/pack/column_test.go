package pack

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestColumnGrows pushes values until a column goes from one form to the next, gathers some of its rows, and encodes and decodes them.
func TestColumnGrows(t *testing.T) {
	z := NewCodec()
	for _, c := range []struct {
		values   int  // different ones
		soon     bool // most of them come in the first rows
		rows     int
		form     Form
		gathered bool
	}{
		{1, false, 500, Same, true},
		{2, true, 500, Indexed, true},
		{300, false, 10_000, Indexed, true},
		{300, true, 10_000, Each, true},
		{1 << 30, true, 10_000, Each, false},
	} {
		r := rand.New(rand.NewPCG(5, uint64(c.values)))
		var col Column
		col.Expect(100, 0)
		var want []string
		for n := range c.rows {
			from := c.values
			if !c.soon {
				from = min(from, 1+n/4)
			}
			want = append(want, fmt.Sprint("value ", r.IntN(from)))
			col.Push([]byte(want[n]), n, 7)
		}
		if col.Form != c.form {
			t.Errorf("%d values in %d rows: form %d, want %d", c.values, c.rows, col.Form, c.form)
		}
		var rows []uint32
		for i := range want {
			if got := string(col.Bytes(i)); got != want[i] {
				t.Fatalf("row %d of %d is %q, want %q", i, c.rows, got, want[i])
			}
			if i%3 != 1 {
				rows = append(rows, uint32(i))
			}
		}
		out := z.Gathered()
		if ok := z.Gather(out, &col, rows, len(rows)); ok != c.gathered {
			t.Fatalf("%d values in %d rows gathered: %t, want %t", c.values, c.rows, ok, c.gathered)
		} else if !ok {
			continue
		}
		dec := Column{Enc: z.AppendStrings(nil, out)}
		if err := z.Load(&dec, len(rows)); err != nil {
			t.Fatal(err)
		}
		for k, i := range rows {
			if got := string(dec.Bytes(k)); got != want[i] {
				t.Fatalf("row %d, gathered from %d of %d, is %q, want %q", k, i, c.rows, got, want[i])
			}
		}
	}
}

func TestColumnOfNumbersGrows(t *testing.T) {
	for _, last := range []int{0, 1, 99} { // the row from which on numbers differ
		col := Column{Form: Same}
		for n := range 100 {
			col.PushNum(uint64(max(0, n-last)), n)
		}
		for i := range 100 {
			if got, err := col.Num(i, 100); err != nil || got != uint64(max(0, i-last)) {
				t.Fatalf("row %d is %d, %v; want %d", i, got, err, max(0, i-last))
			}
		}
		if same := last == 99; same != (col.Form == Same) {
			t.Errorf("numbers that differ from row %d on have form %d", last+1, col.Form)
		}
	}
}
