package zipkin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// forwarded has a Clew that was sent OTLP forward it to Zipkin's server, and asks both for it: compressed and not, Zipkin must have what Clew has.
func forwarded(t *testing.T, zipkin *peer) {
	for i, compression := range []string{"none", "gzip"} {
		s := testkit.Start(t, "--forward.to", fmt.Sprintf(`[{name: zipkin, protocol: zipkin, endpoint: %q, compression: %s}]`, zipkin.http, compression))
		clew := &peer{name: "clew", http: s.URL("zipkin")}
		spans := testkit.Sample()
		shift := uint64(time.Now().Add(-time.Minute).UnixNano()) - testkit.SampleTime
		for k := range spans {
			sp := &spans[k]
			sp.TraceID = trace.ID{0xf0, 15: byte(i + 1)}
			sp.Start, sp.End = sp.Start+shift, sp.End+shift
			sp.Resource, sp.Name = lower(sp.Resource), strings.ToLower(sp.Name) // as Zipkin keeps them
		}
		spans[0].Attrs = spans[0].Attrs[:3] // the rest of what it has is no text in Zipkin
		r, err := http.Post(s.URL("otlp_http")+"/v1/traces", "application/x-protobuf", bytes.NewReader(trace.AppendTraces(nil, spans)))
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatal(r, err)
		}
		_ = r.Body.Close()
		path := "/api/v2/trace/" + spans[0].TraceID.String()
		var answers [2]any
		for k, p := range []*peer{zipkin, clew} {
			status, text := p.get(t, path)
			for begin := time.Now(); status != http.StatusOK && time.Since(begin) < time.Minute; status, text = p.get(t, path) {
				time.Sleep(20 * time.Millisecond)
			}
			if err := json.Unmarshal([]byte(text), &answers[k]); err != nil {
				t.Fatalf("%s: %d %.300s: %v", p.name, status, text, err)
			}
		}
		if diff := gocmp.Diff(tidy(answers[0]), tidy(answers[1])); diff != "" {
			t.Errorf("%s (-Zipkin +Clew):\n%s", compression, diff)
		}
	}
}

// lower returns a resource whose service is one that Zipkin keeps as it is.
func lower(r *trace.Resource) *trace.Resource {
	if r.Service() == trace.UnknownService {
		return &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("named")}}}
	}
	return r
}
