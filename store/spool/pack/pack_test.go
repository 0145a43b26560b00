package pack

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// numbers returns n numbers of a sort for which Append takes each of its encodings.
func numbers(r *rand.Rand, sort, n int) []uint64 {
	v := make([]uint64, n)
	for i := range v {
		switch sort {
		case 0:
			v[i] = 7
		case 1:
			v[i] = r.Uint64()
		case 2:
			v[i] = uint64(i)*1000 + r.Uint64N(1000)
		case 3:
			v[i] = []uint64{1, 1 << 40, 1 << 60}[r.IntN(3)]
		case 4:
			v[i] = r.Uint64N(100) * 1_000_000
		default:
			v[i] = uint64(int64(r.IntN(2000) - 1000))
		}
	}
	return v
}

func TestAt(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var p Packer
	kinds := map[byte]bool{}
	for sort := range 6 {
		for _, n := range []int{1, 2, 63, 64, 65, 200, 1000} {
			v := numbers(r, sort, n)
			enc := p.Append(nil, v)
			kinds[enc[0]] = true
			if all, err := Read(enc, n); err != nil || !slices.Equal(all, v) {
				t.Fatalf("sort %d, encoding %d: %v, %v; want %v", sort, enc[0], all, err, v)
			}
			for lo := 0; lo < n; lo += blockValues {
				hi := min(n, lo+2*blockValues)
				if got, err := Range(enc, lo, hi, n); err != nil || !slices.Equal(got, v[lo:hi]) {
					t.Fatalf("sort %d, encoding %d: %d to %d: %v, %v; want %v", sort, enc[0], lo, hi, got, err, v[lo:hi])
				}
			}
			checkFew(t, &p, v)
			for i := range v {
				if got, err := At(enc, i, n); err != nil || got != v[i] {
					t.Fatalf("sort %d, encoding %d: number %d of %d is %d, %v; want %d", sort, enc[0], i, n, got, err, v[i])
				}
			}
		}
	}
	if len(kinds) != 4 {
		t.Errorf("encodings tried: %v; want all four", kinds)
	}
}

// checkFew holds what a packer says of a column's values against them.
func checkFew(t *testing.T, p *Packer, v []uint64) {
	t.Helper()
	want := map[uint64]uint64{}
	for _, x := range v {
		want[x]++
	}
	few, counts, ok := p.Few(v)
	if !ok {
		if len(want) == 1 || len(want) <= len(v)/2 && len(v) < 1000 {
			t.Fatalf("%d values in %d rows are many", len(want), len(v))
		}
		return
	}
	got := map[uint64]uint64{}
	for i, x := range few {
		got[x] = counts[i]
	}
	if !maps.Equal(got, want) || len(few) != len(want) {
		t.Fatalf("values %v, of rows %v; want %v", few, counts, want)
	}
}

// FuzzAt reads single numbers of damaged columns: never a panic, and where all can be read, the same.
func FuzzAt(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	var p Packer
	for sort := range 6 {
		f.Add(p.Append(nil, numbers(r, sort, 100)), 100)
	}
	f.Fuzz(func(t *testing.T, enc []byte, n int) {
		if n < 1 || n > 1000 || len(enc) == 0 {
			return
		}
		all, err := Read(enc, n)
		for lo := 0; lo < n; lo += blockValues {
			hi := min(n, lo+blockValues)
			if got, e := Range(enc, lo, hi, n); err == nil && (e != nil || !slices.Equal(got, all[lo:hi])) {
				t.Fatalf("numbers %d to %d are %v, %v; all of them say %v", lo, hi, got, e, all[lo:hi])
			}
		}
		for i := range n {
			if got, e := At(enc, i, n); err == nil && (e != nil || got != all[i]) {
				t.Fatalf("number %d is %d, %v; all of them say %d", i, got, e, all[i])
			}
		}
	})
}
