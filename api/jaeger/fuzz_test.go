package jaeger

import (
	"net/url"
	"testing"
	"time"

	"github.com/clewtrace/clew/trace"
)

// FuzzParse checks that whatever is asked is a question within limits or an error of the caller's.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"service=a&tag=k:v&tag=:&tags=%7B%22a%22%3A%22b%22%7D&limit=5", "service=a&minDuration=1h&maxDuration=2h&lookback=2w", "service=a&start=9007199254740991&end=0&lookback=1h",
		"service=a&tag=error:false&tag=span.kind:SERVER&tag=otel.status_code:OK", "service=a&lookback=4999w", "service=a&end=1&lookback=9999h",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		form, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		now := time.Unix(1_763_885_409, 0)
		req, err := parse(form, now)
		if err != nil {
			if trace.KindOf(err) != trace.Invalid || err.Error() == "" {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if req.Limit < 1 || req.Limit > maxLimit || len(req.Scan.Spans) != 1 || req.Scan.Range.To == 0 {
			t.Fatalf("%q: %+v", s, req)
		}
		if form.Get("start") == "" && req.Scan.Range.From > req.Scan.Range.To {
			t.Fatalf("%q: from %d to %d", s, req.Scan.Range.From, req.Scan.Range.To)
		}
	})
}
