package wire

import (
	"fmt"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// IsGRPC reports whether a request says that it is a call of gRPC.
func IsGRPC(req *http.Request) bool {
	t, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	return err == nil && (t == "application/grpc" || t == "application/grpc+proto")
}

// GRPCTimeout reads a Grpc-Timeout: up to eight digits and a unit.
//
// Source: gRPC's "PROTOCOL-HTTP2", as of all here.
func GRPCTimeout(s string) (t time.Duration, ok bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	unit := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}[s[len(s)-1]]
	if err != nil || unit == 0 || time.Duration(n) > math.MaxInt64/unit { // centuries
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// GRPCMessage returns text as Grpc-Message has it: printable ASCII without the percent sign as it is.
func GRPCMessage(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
