package trace

import (
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		glob Glob
		yes  string
		no   string
	}{
		{"cart", "cart", "carts scart car"},
		{"*", "a /x/y", ""},
		{"cart*", "cart cart-db cart/x", "acart car"},
		{"*-db", "cart-db -db", "cart-dbx db"},
		{"*/x", "/x a/b/x", "x/ a/b/xy"},
		{"a*b*c", "abc aXbXc abbcc a-b-b-c", "ab acb abcd a-b-b-cd"},
		{"a?c", "abc aéc a€c", "ac abbc aébc"},
		{"*??", "ab éa abc €€", "a é €"},
		{"[a]", "[a]", "a"},
		{"GET /*/[x]", "", "a"},
		{Glob(strings.Repeat("a*", 50) + "b"), strings.Repeat("a", 1000) + "b", strings.Repeat("a", 10_000)},
	} {
		for name := range strings.FieldsSeq(c.yes) {
			if !c.glob.Match([]byte(name)) || !c.glob.MatchString(name) {
				t.Errorf("%.80s does not match %.80s", c.glob, name)
			}
		}
		for name := range strings.FieldsSeq(c.no) {
			if c.glob.Match([]byte(name)) || c.glob.MatchString(name) {
				t.Errorf("%.80s matches %.80s", c.glob, name)
			}
		}
	}
	if !Glob("*").Match(nil) || !Glob("**").Match(nil) || !Glob("").Match(nil) || Glob("").MatchString("a") || Glob("?").Match(nil) || Glob("?").MatchString("") {
		t.Error("nothing")
	}
}
