package pack

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestFilters(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 50, 5000} {
		hashes := make([]uint64, n)
		var s Set
		for i := range hashes {
			hashes[i] = r.Uint64()
			s.Add(hashes[i])
			s.Add(hashes[i])
		}
		raw := s.AppendLines(nil)
		if len(AppendLines(nil, hashes)) != len(raw) {
			t.Error("a filter over hashes has another size than one over their set")
		}
		file := bytes.NewReader(raw)
		if err := CheckLines(file, file.Size()); err != nil {
			t.Fatal(err)
		}
		for _, h := range hashes {
			if ok, err := HasLine(file, file.Size(), h); !ok || err != nil {
				t.Fatalf("of %d hashes, one is missing (%v)", n, err)
			}
		}
		wrong := 0
		for range 10_000 {
			if ok, _ := HasLine(file, file.Size(), r.Uint64()); ok {
				wrong++
			}
		}
		if wrong > 12 {
			t.Errorf("lines of %d hashes find %d of 10,000 that were not added", n, wrong)
		}
		raw[len(raw)-1] ^= 1
		if err := CheckLines(file, file.Size()); err == nil {
			t.Error("damage is not found")
		}
	}
	if ok, err := HasLine(bytes.NewReader(nil), 0, 1); !ok || err != nil {
		t.Error("no filter knows better than nothing")
	}
}
