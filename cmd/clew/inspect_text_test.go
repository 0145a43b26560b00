package main

import "testing"

func TestSeveral(t *testing.T) {
	for n, want := range map[int]string{0: "0 spans", 1: "1 span", 2: "2 spans", 12345: "12,345 spans"} {
		if got := several(n, "span"); got != want {
			t.Errorf("several(%d) is %q; want %q", n, got, want)
		}
	}
}
