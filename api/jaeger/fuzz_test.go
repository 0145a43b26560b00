package jaeger

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/query"
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

// FuzzMetrics checks that points are within limits, and that a span counts for none beyond them.
func FuzzMetrics(f *testing.F) {
	f.Add("service=a&quantile=0.5&endTs=1763885409000&lookback=3600000&step=60000&ratePer=600000&spanKind=server&groupByOperation=true", uint64(1_763_885_409_000_000_000))
	f.Add("service=a&service=b&endTs=4398046511104&lookback=549755813888&step=549755813888&ratePer=549755813888", uint64(1)<<62)
	f.Add("service=a&endTs=0&lookback=0&step=1&ratePer=1", uint64(0))
	f.Fuzz(func(t *testing.T, s string, at uint64) {
		form, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		q, err := parseMetrics(form, time.Unix(1_763_885_409, 0))
		if err != nil {
			if trace.KindOf(err) != trace.Invalid || err.Error() == "" {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		n := q.points()
		if n < 1 || n > maxPoints || len(q.services) == 0 || len(q.kinds) == 0 || q.start > q.end {
			t.Fatalf("%q: %+v", s, q)
		}
		sc := q.scan("a")
		if !sc.Range.Contains(at) {
			return
		}
		lo, hi := q.window(at)
		if lo < 0 || hi > n || lo > hi {
			t.Fatalf("%q: a span at %d counts for points %d to %d of %d", s, at, lo, hi, n)
		}
		for k := lo; k < hi && k < lo+3; k++ {
			if p := q.start + int64(k)*q.step; p < int64(at) || p-q.ratePer >= int64(at) {
				t.Fatalf("%q: a span at %d counts for point %d, at %d", s, at, k, p)
			}
		}
	})
}

// FuzzMessage checks that whatever comes over gRPC is a question within limits or an error of the caller's.
func FuzzMessage(f *testing.F) {
	fields := appendMessage(appendText(appendText(nil, 1, "shop"), 2, "pay"), 3, appendText(appendText(nil, 1, "k"), 2, "v"))
	for number, s := range map[protowire.Number]uint64{4: 1_763_885_409, 5: 1_763_885_410, 6: 1, 7: 2} {
		fields = appendMessage(fields, number, appendNumber(appendNumber(nil, 1, s), 2, 5))
	}
	f.Add(appendMessage(nil, 1, appendNumber(appendNumber(fields, 8, 20), 9, 1)))
	f.Add(appendMessage(appendMessage(nil, 1, []byte("5b8efff798038103d269b633813fc60c")), 2, appendNumber(nil, 1, 1<<63)))
	f.Add([]byte("\x0a\x10[\x8e\xff\xf7\x98\x03\x81\x03\xd2i\xb63\x81?\xc6\x0c"))
	f.Fuzz(func(t *testing.T, message []byte) {
		for _, v3 := range []bool{false, true} {
			q, err := parseFind(message, v3)
			if err == nil {
				var req query.Request
				req, err = q.request(time.Unix(1_763_885_409, 0))
				if err == nil && (req.Limit < 1 || req.Limit > maxLimit || req.Scan.Range.To == 0 && q.max != 1) {
					t.Fatalf("%x: %+v", message, req)
				}
			}
			if err != nil && trace.KindOf(err) != trace.Invalid {
				t.Fatalf("%x: %v", message, err)
			}
			if r, err := parseTraceRequest(message, v3); err == nil && r.id.IsZero() || err != nil && trace.KindOf(err) != trace.Invalid {
				t.Fatalf("%x: %v %v", message, r, err)
			}
		}
	})
}

// FuzzV3 checks that whatever is asked of api/v3 is a question within limits or an error of the caller's.
func FuzzV3(f *testing.F) {
	for _, s := range []string{
		v3Range + "&query.service_name=a&query.attributes=%7B%22a%22%3A%22b%22%7D&query.numTraces=5", v3Range + "&query.duration_min=1h&query.durationMax=2h&query.rawTraces=1",
		"query.start_time_min=1970-01-01T00:00:00Z&query.start_time_max=2261-12-31T23:59:59.999999999+14:00&query.searchDepth=20000",
	} {
		f.Add(s, `{"query": {"service_name": "a", "start_time_min": "2026-01-01T00:00:00Z", "search_depth": 5, "attributes": {"a": "b"}, "filter": null}}`, "W47/95gDgQPSabYzgT/GDA==")
	}
	f.Fuzz(func(t *testing.T, form, body, id string) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := &http.Request{Method: method, URL: &url.URL{RawQuery: form}, Body: io.NopCloser(strings.NewReader(body))}
			q, err := questionOf(r)
			if err == nil {
				var req query.Request
				req, err = q.request(time.Unix(1_763_885_409, 0))
				if err == nil && (req.Limit < 1 || req.Limit > maxLimit || q.min == 0) {
					t.Fatalf("%q %q: %+v", form, body, req)
				}
			}
			if err != nil && trace.KindOf(err) != trace.Invalid && trace.KindOf(err) != trace.TooLarge {
				t.Fatalf("%q %q: %v", form, body, err)
			}
		}
		if got, err := parseIDV3(id); err == nil && got.IsZero() || err != nil && trace.KindOf(err) != trace.Invalid {
			t.Fatalf("%q: %v %v", id, got, err)
		}
	})
}
