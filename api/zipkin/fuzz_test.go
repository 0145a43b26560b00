package zipkin

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/clewtrace/clew/trace"
)

// FuzzParse checks that whatever is asked is a question within limits or an error of the caller's.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"serviceName=a&spanName=b&remoteServiceName=c&annotationQuery=error+and+a%3Db+and+c", "minDuration=1&maxDuration=4503599627370495", "endTs=1&lookback=4503599627370495",
		"annotationQuery=+and+and+%3D+and+%3Dx+and+error%3Dtrue+and+otel.status_code%3Dok", "limit=20000&endTs=4503599627370495",
		"minDuration=9223372036854775807&endTs=9223372036854775807&lookback=9223372036854775807", "limit=&limit=%00;%zz",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		form, err := params(&http.Request{URL: &url.URL{RawQuery: s}})
		if err != nil {
			if trace.KindOf(err) != trace.Invalid {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		req, err := parse(form, time.Unix(1_763_885_409, 0))
		if err != nil {
			if trace.KindOf(err) != trace.Invalid || err.Error() == "" {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if r := req.Scan.Range; req.Limit < 1 || req.Limit > maxLimit || r.From > r.To || r.To == 0 {
			t.Fatalf("%q: %+v", s, req)
		}
		if n := len(req.Scan.Spans); n > maxConditions+3 {
			t.Fatalf("%q: %d conditions", s, n)
		}
	})
}
