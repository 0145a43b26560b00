package zipkin

import (
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
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		form, err := url.ParseQuery(s)
		if err != nil {
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
		for _, conds := range req.Scan.Spans {
			for _, c := range conds {
				if c.Field == trace.FieldAttr && c.Key == "" {
					t.Fatalf("%q: a condition on nothing", s)
				}
			}
		}
	})
}
