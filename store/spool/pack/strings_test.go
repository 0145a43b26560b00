package pack

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestValueOfColumn(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	z := NewCodec()
	kinds := map[byte]bool{}
	makers := []func(i int) string{
		func(int) string { return "same" },
		func(int) string { return fmt.Sprintf("one of few %d", r.IntN(5)) },
		func(int) string { return fmt.Sprintf("a value that comes once, number %d", r.Uint64()) },
		func(int) string { return fmt.Sprintf("%016x", r.Uint64()) },
		func(int) string { return fmt.Sprintf("%x", r.Uint64())[:1+r.IntN(8)] },
		func(i int) string { return string(rune(32 + i%80 + r.IntN(90))) },
		func(int) string { return "" },
	}
	for k, make := range makers {
		for _, n := range []int{1, 2, 64, 65, 700} {
			var c Column
			for i := range n {
				c.Add([]byte(make(i)))
			}
			e := Column{Enc: z.EncodeStrings(&c)}
			kinds[e.Enc[0]] = true
			for _, i := range r.Perm(n) {
				if got, err := z.Value(&e, i, n); err != nil || string(got) != string(c.Bytes(i)) {
					t.Fatalf("maker %d: value %d of %d is %q, %v; want %q", k, i, n, got, err, c.Bytes(i))
				}
			}
		}
	}
	if len(kinds) != 5 {
		t.Errorf("encodings tried: %v; want all five", kinds)
	}
}

// FuzzPick reads single values of damaged columns: never a panic, and where all can be read, the same.
func FuzzPick(f *testing.F) {
	z := NewCodec()
	var c Column
	for i := range 100 {
		c.Add(fmt.Appendf(nil, "value %d", i%7))
	}
	f.Add(z.EncodeStrings(&c), 100)
	c = Column{}
	for i := range 500 {
		c.Add(fmt.Appendf(nil, "a value that comes once, number %d", i*i))
	}
	f.Add(z.EncodeStrings(&c), 500)
	f.Fuzz(func(t *testing.T, enc []byte, n int) {
		if n < 1 || n > 1000 || len(enc) == 0 {
			return
		}
		values, err := z.Strings(enc, n)
		one := Column{Enc: enc}
		for i := range n {
			if got, e := z.Value(&one, i, n); err == nil && (e != nil || string(got) != string(values.Bytes(i))) {
				t.Fatalf("value %d is %q, %v; all of them say %q", i, got, e, values.Bytes(i))
			}
		}
	})
}
