package pack

import "testing"

func TestCache(t *testing.T) {
	c := NewCache[int, string](10)
	for i := range 5 {
		c.Put(i, "four", 4)
		c.Get(0)
	}
	for i, want := range []bool{true, false, false, false, true} {
		if v, ok := c.Get(i); ok != want || ok && v != "four" {
			t.Errorf("%d is %q, %t; want it there: %t", i, v, ok, want)
		}
	}
	c.Put(4, "other", 1)
	if v, _ := c.Get(4); v != "four" {
		t.Error("a value took another's place")
	}
	c.Put(9, "large", 100)
	if _, ok := c.Get(9); !ok || len(c.entries) != 1 || c.bytes != 100 {
		t.Errorf("a large value is there: %t, of %d; %d bytes", ok, len(c.entries), c.bytes)
	}
	c.Forget(func(k int) bool { return k == 9 })
	if _, ok := c.Get(9); ok || c.bytes != 0 {
		t.Error("what is gone is there")
	}
	var none *Cache[int, string]
	none.Put(1, "", 1)
	if _, ok := none.Get(1); ok {
		t.Error("no cache keeps something")
	}
}

func TestScratch(t *testing.T) {
	var s Scratch
	a, b := s.Take(200<<10), s.Take(200<<10)
	a[len(a)-1], b[0] = 1, 2
	if a = append(a, 3); a[len(a)-1] != 3 || b[0] != 2 {
		t.Error("one stretch runs into another")
	}
	for n := 0; !s.Full(); n++ {
		if s.Take(scratchChunk); n > scratchChunks {
			t.Fatal("never full")
		}
	}
	if s.Reset(); s.Full() || len(s.Take(2*scratchChunk)) != 2*scratchChunk {
		t.Error("not empty again")
	}
}
