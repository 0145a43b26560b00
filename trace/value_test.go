package trace

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for want, v := range map[string]Value{
		"":                                     {},
		"zażółć":                               String("zażółć"),
		"true":                                 Bool(true),
		"false":                                Bool(false),
		"-9223372036854775808":                 Int(math.MinInt64),
		"3":                                    Double(3),
		"0.1":                                  Double(0.1),
		"1e+21":                                Double(1e21),
		"NaN":                                  Double(math.NaN()),
		"-Inf":                                 Double(math.Inf(-1)),
		"00ff":                                 Bytes([]byte{0, 255}),
		"[]":                                   Array(),
		"{}":                                   Map(),
		`[1,"a\"",null,true,"AP8=",1.5,"NaN"]`: Array(Int(1), String(`a"`), Value{}, Bool(true), Bytes([]byte{0, 255}), Double(1.5), Double(math.NaN())),
		`{"k":{"":[]},"k":"\ufffd"}`:           Map(Attr{"k", Map(Attr{"", Array()})}, Attr{"k", String("\xff")}),
		`["\u003cscript\u003e","\u2028","\u0000"]`: Array(String("<script>"), String("\u2028"), String("\x00")),
	} {
		got := v.Text()
		if strings.Contains(want, "fffd") {
			got = strings.ReplaceAll(got, "\ufffd", `\ufffd`)
		}
		if got != want {
			t.Errorf("%v: %s; want %s", v.Type(), got, want)
		}
	}
}

// TestTextIsJSON: the text of arrays and maps is JSON, whatever is in them.
func TestTextIsJSON(t *testing.T) {
	m := maker{rand.New(rand.NewPCG(1, 2))}
	for range 2000 {
		if v := m.value(0); (v.Type() == TypeArray || v.Type() == TypeMap) && !json.Valid([]byte(v.Text())) {
			t.Fatalf("not JSON: %s", v.Text())
		}
	}
}

func TestEqual(t *testing.T) {
	values := []Value{
		{},
		String(""), String("a"), Bytes(nil), Bytes([]byte("a")), Bool(false), Bool(true), Int(0), Int(1), Double(0), Double(math.Copysign(0, -1)),
		Double(math.NaN()), Array(), Array(Int(1)), Array(Int(1), Int(1)), Map(), Map(Attr{"", Int(1)}), Map(Attr{"a", Int(1)}), Map(Attr{"a", Int(2)}),
	}
	for i, v := range values {
		for j, w := range values {
			if v.Equal(w) != (i == j) {
				t.Errorf("%d and %d: equal %v", i, j, v.Equal(w))
			}
		}
	}
}

func TestBytesIsCopied(t *testing.T) {
	b := []byte("abc")
	v := Bytes(b)
	if b[0] = 'x'; v.Str() != "abc" {
		t.Errorf("the value is %q", v.Str())
	}
}

func TestGet(t *testing.T) {
	attrs := []Attr{{"a", Int(1)}, {"a", Int(2)}}
	if v, ok := Get(attrs, "a"); !ok || v.Int() != 1 {
		t.Errorf("got %v, %v; want the first", v, ok)
	}
	if _, ok := Get(attrs, "b"); ok {
		t.Error("found what is not there")
	}
}

func TestParseID(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		id, err := ParseID(in)
		if err != nil || id.String() != want {
			t.Errorf("%q: %v, %v; want %s", in, id, err, want)
		}
	}
	f("1", "00000000000000000000000000000001")
	f("ABCDEF0123456789", "0000000000000000abcdef0123456789")
	f("123", "00000000000000000000000000000123")
	f("ffffffffffffffffffffffffffffffff", "ffffffffffffffffffffffffffffffff")
	for in, want := range map[string]string{
		"": "has 0 characters", "0": "is zero", strings.Repeat("0", 32): "is zero", strings.Repeat("1", 33): "has 33 characters",
		"12g4": `'g' is not a hexadecimal digit`, "0x12": "'x' is not", "é": "is not a hexadecimal digit", strings.Repeat("z", 1000): "has 1000 characters",
	} {
		_, err := ParseID(in)
		if KindOf(err) != Invalid || !strings.Contains(err.Error(), want) || len(err.Error()) > 200 {
			t.Errorf("%.20q: error %v; want %q in it", in, err, want)
		}
	}
	if id, err := ParseSpanID("0"); err != nil || !id.IsZero() {
		t.Errorf("span ID 0: %v, %v", id, err)
	}
	if _, err := ParseSpanID(strings.Repeat("1", 17)); KindOf(err) != Invalid {
		t.Errorf("17 digits: %v", err)
	}
}

func TestDuration(t *testing.T) {
	for _, c := range []struct {
		start, end uint64
		want       int64
	}{
		{5, 8, 3},
		{8, 5, 0},
		{5, 5, 0},
		{5, 0, 0},
		{1, math.MaxInt64, math.MaxInt64 - 1},
		{1, math.MaxUint64, 0}, // a duration that Go cannot say must not come out negative
	} {
		s := Span{Start: c.start, End: c.end}
		if got := s.Duration(); int64(got) != c.want {
			t.Errorf("%d to %d: %d; want %d", c.start, c.end, got, c.want)
		}
	}
}
