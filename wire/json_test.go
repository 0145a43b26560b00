package wire

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/clewtrace/clew/trace"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		`""`: "", ` "a" `: "a", `"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t", `"\u00e9\u20AC"`: "é€", `"\ud83d\ude00x"`: "😀x", `"\ud83d"`: "\ufffd", `"\ude00\ud83d!"`: "\ufffd\ufffd!",
		`"\ud83d\u0041"`: "\ufffdA", "\"\xff\"": "\xff", `null`: "", `"a\u0000b"`: "a\x00b",
	} {
		r := NewJSON([]byte(in))
		got := string(r.Text())
		if r.End(); got != want || r.Err() != nil {
			t.Errorf("%s: %q, %v; want %q", in, got, r.Err(), want)
		}
	}
}

func TestNumbers(t *testing.T) {
	u := func(in string, bits int, want uint64, ok bool) {
		t.Helper()
		r := NewJSON([]byte(in))
		if got := r.Uint(bits); got != want || (r.Err() == nil) != ok {
			t.Errorf("%s: %d, %v; want %d", in, got, r.Err(), want)
		}
	}
	u(`0`, 64, 0, true)
	u(`18446744073709551615`, 64, math.MaxUint64, true)
	u(`"18446744073709551615"`, 64, math.MaxUint64, true)
	u(`18446744073709551616`, 64, 0, false)
	u(`1.7e18`, 64, 1_700_000_000_000_000_000, true)
	u(`4294967295`, 32, math.MaxUint32, true)
	u(`4294967296`, 32, 0, false)
	u(`1.5`, 64, 0, false)
	u(`-1`, 64, 0, false)
	u(`"1 "`, 64, 0, false)
	u(`null`, 64, 0, true)
	i := func(in string, want int64, ok bool) {
		t.Helper()
		r := NewJSON([]byte(in))
		if got := r.Int(); got != want || (r.Err() == nil) != ok {
			t.Errorf("%s: %d, %v; want %d", in, got, r.Err(), want)
		}
	}
	i(`-9223372036854775808`, math.MinInt64, true)
	i(`9223372036854775808`, 0, false)
	i(`-1e18`, -1e18, true)
	i(`1e19`, 0, false)
	d := func(in string, want float64, ok bool) {
		t.Helper()
		r := NewJSON([]byte(in))
		if got := r.Double(); (got != want && !(math.IsNaN(got) && math.IsNaN(want))) || (r.Err() == nil) != ok {
			t.Errorf("%s: %v, %v; want %v", in, got, r.Err(), want)
		}
	}
	d(`-0.5e-3`, -0.0005, true)
	d(`"NaN"`, math.NaN(), true)
	d(`"-Infinity"`, math.Inf(-1), true)
	d(`1e999`, math.Inf(1), true)
	d(`"x"`, 0, false)
	d(`NaN`, 0, false)
}

// TestFirstError: after an error nothing is read any more, and the first is told.
func TestFirstError(t *testing.T) {
	r := NewJSON([]byte(`{"a":1,"b":x,"c":[{}]}`))
	var keys []string
	r.Object(func(key []byte) {
		keys = append(keys, string(key))
		r.Skip()
	})
	r.End()
	if strings.Join(keys, "") != "ab" || trace.KindOf(r.Err()) != trace.Invalid || r.Err().Error() != "'x' instead of a number at byte 11 of 22" {
		t.Errorf("keys %v, error %v", keys, r.Err())
	}
}

// FuzzSkip holds the reader's grammar against the standard library's.
func FuzzSkip(f *testing.F) {
	for _, in := range []string{`{"a":[1,-0.5e+3,"\u00e9\n",true,false,null,{}],"":{}}`, `[[[]]]`, `"x`, `{"a":}`, `01`, ` 1 2`, `[1,]`, `-`, `1e`, `nul`} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewJSON(in)
		r.Skip()
		r.End()
		valid := json.Valid(in)
		if r.Err() == nil != valid {
			if valid && strings.Contains(r.Err().Error(), "nested deeper") {
				return
			}
			t.Fatalf("valid JSON: %v; the reader says %v", valid, r.Err())
		}
		if r.Err() != nil && (r.at > len(in) || len(r.Err().Error()) > 300) {
			t.Fatalf("error at %d of %d: %v", r.at, len(in), r.Err())
		}
		var want string
		if utf8.Valid(in) && json.Unmarshal(in, &want) == nil {
			if got := string(NewJSON(in).Text()); got != want {
				t.Fatalf("read %q; want %q", got, want)
			}
		}
	})
}

// TestPlain: eight bytes at a time, the end of a text is found where one byte at a time finds it.
func TestPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	special := []byte{'"', '\\', 0, 1, 0x1f, ' ', '!', '#', '[', ']', 0x7f, 0x80, 0xa0, 0xa2, 0xdc, 0xff}
	for range 200_000 {
		b := make([]byte, r.IntN(40))
		for i := range b {
			if b[i] = 'a'; r.IntN(8) == 0 {
				b[i] = special[r.IntN(len(special))]
			}
		}
		from := r.IntN(len(b) + 1)
		want := from
		for want < len(b) && b[want] != '"' && b[want] != '\\' && b[want] >= ' ' {
			want++
		}
		if got := plain(b, from); got != want {
			t.Fatalf("%q from %d: %d; want %d", b, from, got, want)
		}
	}
}
