package wire

import (
	"testing"
	"time"
)

func TestGRPCTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "99999999m": 99999999 * time.Millisecond, "5u": 5 * time.Microsecond, "6n": 6, "0S": 0,
		"": -1, "S": -1, "1": -1, "1s": -1, "-1S": -1, "123456789S": -1, "99999999H": -1,
	} {
		if got, ok := GRPCTimeout(text); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, ok, want)
		}
	}
}
