// Package zipkin_test sends the same spans to Zipkin's own server and to Clew, and asks both.
package zipkin_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/openzipkin/zipkin-go/model"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/test/zipkin/v1span"
)

// TestAlike: what Zipkin's server answers, Clew does.
func TestAlike(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts Zipkin's server")
	}
	testkit.ClassPath(t, "server") // which is fetched where there is a network
	testkit.NodeModules(t, "lens")
	testkit.Binary(t)
	if !own(t) {
		return
	}
	peers := []*peer{startZipkin(t), startClew(t)}
	now := time.Now()
	t.Run("bytes", func(t *testing.T) { bytesAlike(t, peers, now) })
	t.Run("lens", func(t *testing.T) { lens(t, peers) })
	d := &dialogue{t: t, peers: peers, now: now, sent: map[string]string{}}
	m := newMaker(1, now.Add(-30*time.Minute))
	d.sendV1(m)
	d.sendV2(m)
	d.settle()
	t.Run("traces", func(t *testing.T) { d.traces(t) })
	t.Run("names", func(t *testing.T) { d.names(t) })
	t.Run("searches", func(t *testing.T) { d.searches(t) })
	t.Run("dependencies", func(t *testing.T) { d.dependencies(t) })
	t.Run("more dependencies", func(t *testing.T) {
		// Of other spans, among which there once was a difference.
		other := &dialogue{t: t, peers: peers, now: now.Add(-2 * time.Hour), sent: map[string]string{}}
		other.sendV1(newMaker(7, other.now.Add(-30*time.Minute)))
		other.settle()
		other.dependencies(t)
	})
	t.Run("refusals", func(t *testing.T) { d.refusals(t) })
	t.Run("forward", func(t *testing.T) { forwarded(t, peers[0]) })
}

// dialogue is what was sent to both, and when.
type dialogue struct {
	t     *testing.T
	peers []*peer // Zipkin first
	now   time.Time
	ids   []string          // of all traces
	sent  map[string]string // what they were made of, of those in v1
}

func (d *dialogue) sendV1(m *maker) {
	send := func(fn func(p *peer, spans []v1span.Span)) {
		var spans []v1span.Span
		for range 150 {
			s := m.v1("wild-a", "wild-b", "wild-c")
			spans = append(spans, s)
			d.ids = append(d.ids, s.TraceID)
			d.sent[s.TraceID] = string(v1span.JSON([]v1span.Span{s}))
		}
		for _, p := range d.peers {
			fn(p, spans)
		}
	}
	send(func(p *peer, spans []v1span.Span) {
		p.must(d.t, "/api/v1/spans", "application/json", v1span.JSON(spans))
	})
	send(func(p *peer, spans []v1span.Span) {
		p.must(d.t, "/api/v1/spans", "application/x-thrift", v1span.Thrift(spans))
	})
	send(func(p *peer, spans []v1span.Span) {
		// Zipkin's scribe keeps the first of the spans that a v1 span becomes, and loses the others: it is sent those that become one.
		p.logCall(d.t, slices.DeleteFunc(slices.Clone(spans), func(s v1span.Span) bool { return becomesSeveral(&s) }))
	})
}

// becomesSeveral reports whether a span may become several.
func becomesSeveral(s *v1span.Span) bool {
	names, kinds := map[string]bool{}, map[string]bool{}
	for _, a := range s.Annotations {
		if a.Endpoint != nil {
			names[a.Endpoint.Service], kinds[a.Value] = true, true
		}
	}
	for _, b := range s.Binary {
		if b.Endpoint != nil {
			names[b.Endpoint.Service] = true
		}
	}
	return len(names) > 1 || (kinds["cs"] || kinds["cr"]) && (kinds["sr"] || kinds["ss"]) || kinds["ms"] && kinds["mr"]
}

func (d *dialogue) sendV2(m *maker) {
	for i := range 120 {
		spans := m.trace()
		id := spans[0].TraceID.String()
		d.ids = append(d.ids, id)
		for _, p := range d.peers {
			if i%2 == 0 {
				p.must(d.t, "/api/v2/spans", "application/json", v2(d.t, spans))
			} else {
				p.must(d.t, "/api/v2/spans", "application/x-protobuf", proto(d.t, spans))
			}
		}
	}
}

// settle waits until Zipkin's server, which answers before it stores, has stored everything.
func (d *dialogue) settle() {
	d.t.Helper()
	want := 0
	for _, id := range d.ids {
		if status, _ := d.peers[1].get(d.t, "/api/v2/trace/"+id); status == 200 {
			want++
		}
	}
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(100 * time.Millisecond) {
		n := 0
		for _, id := range d.ids {
			if status, _ := d.peers[0].get(d.t, "/api/v2/trace/"+id); status == 200 {
				n++
			}
		}
		if n == want {
			return
		}
	}
	d.t.Fatal("Zipkin's server has not stored all traces")
}

// ask asks both, and compares their answers.
func (d *dialogue) ask(t *testing.T, path string) {
	t.Helper()
	var answers [2]any
	for i, p := range d.peers {
		status, text := p.get(t, path)
		if status != 200 {
			answers[i] = fmt.Sprint(status, " ", text)
			continue
		}
		text = strings.Replace(text, `"unknown_service",`, "", 1) // as which Clew lists what has none
		if err := json.Unmarshal([]byte(text), &answers[i]); err != nil {
			t.Fatalf("%s answers %s with %.300s: %v", p.name, path, text, err)
		}
	}
	if diff := gocmp.Diff(tidy(answers[0]), tidy(answers[1])); diff != "" {
		t.Errorf("%s (-Zipkin +Clew):\n%.2000s%s", path, diff, d.sent[strings.TrimPrefix(path, "/api/v2/trace/")])
	}
}

// tidy makes answers comparable: spans of a trace have no order in Zipkin's, and Clew keeps values that Zipkin drops.
func tidy(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	for i := range list {
		list[i] = tidy(list[i])
		span, ok := list[i].(map[string]any)
		if !ok {
			continue
		}
		tags, _ := span["tags"].(map[string]any)
		for k := range tags {
			if strings.HasPrefix(k, "typed.") {
				delete(tags, k)
			}
		}
		if len(tags) == 0 {
			delete(span, "tags")
		}
	}
	if len(list) > 0 {
		if _, ok := list[0].(map[string]any); ok {
			texts := make(map[string]any, len(list)) // not each again for each comparison: that took most of the test's time
			keys := make([]string, len(list))
			for i, v := range list {
				keys[i] = fmt.Sprint(v) + fmt.Sprintf(" %09d", i)
				texts[keys[i]] = v
			}
			slices.Sort(keys)
			for i, k := range keys {
				list[i] = texts[k]
			}
		}
	}
	return list
}

// traces asks for each trace, alone and among others.
func (d *dialogue) traces(t *testing.T) {
	for _, id := range d.ids {
		d.ask(t, "/api/v2/trace/"+id)
	}
	d.ask(t, "/api/v2/trace/1")
	d.ask(t, "/api/v2/trace/00000000000000000000000000000001")
	d.ask(t, "/api/v2/trace/10000000000000001")
	d.ask(t, "/api/v2/traceMany?traceIds="+d.ids[3]+","+d.ids[400])
	d.ask(t, "/api/v2/traceMany?traceIds="+d.ids[3]+",1")
}

func (d *dialogue) names(t *testing.T) {
	d.ask(t, "/api/v2/services")
	for _, s := range append([]string{"wild-a", "wild-b", "wild-c", "nobody", ""}, services...) {
		d.ask(t, "/api/v2/spans?serviceName="+s)
		d.ask(t, "/api/v2/remoteServices?serviceName="+s)
	}
	for key := range strings.SplitSeq(autocompleteKeys, ",") {
		d.ask(t, "/api/v2/autocompleteValues?key="+key)
	}
}

// searches asks for traces by all kinds of conditions, of the services whose spans all have a time.
func (d *dialogue) searches(t *testing.T) {
	find := func(params ...string) {
		t.Helper()
		q := url.Values{"endTs": {fmt.Sprint(d.now.Add(time.Minute).UnixMilli())}, "lookback": {"3600000"}, "limit": {"1000"}, "serviceName": {"front"}}
		for i := 0; i < len(params); i += 2 {
			q.Set(params[i], params[i+1])
		}
		d.ask(t, "/api/v2/traces?"+q.Encode())
	}
	for _, s := range services {
		find("serviceName", s)
		find("serviceName", s, "spanName", "get "+s)
		find("serviceName", s, "limit", "3")
	}
	find("spanName", "get cart")
	find("spanName", "all")
	find("spanName", "nothing")
	for _, remote := range []string{"mysql", "kafka", "cart", "nobody"} {
		find("remoteServiceName", remote)
	}
	for _, q := range []string{
		"error", "error=timeout", "http.method", "http.method=GET", "http.method=get", "site=eu and http.method=POST", "retry", "retry and cache miss",
		"site=eu and retry and error", "nothing", "site=", " site = eu ", "site=eu and site=us",
	} {
		find("annotationQuery", q)
	}
	for _, d := range [][2]string{{"1000", ""}, {"900000", ""}, {"900001", ""}, {"10000", "20000"}, {"1", "5"}} {
		if d[1] == "" {
			find("minDuration", d[0])
		} else {
			find("minDuration", d[0], "maxDuration", d[1])
		}
	}
	find("minDuration", "10000", "spanName", "get front", "annotationQuery", "site=eu", "limit", "5")
	find("serviceName", "cart", "remoteServiceName", "kafka", "annotationQuery", "retry", "minDuration", "100")
	between := d.now.Add(-30*time.Minute + 500*time.Second) // among the traces of v2, between two of them
	find("endTs", fmt.Sprint(between.UnixMilli()))
	find("endTs", fmt.Sprint(between.UnixMilli()), "lookback", "20000")
	find("serviceName", "nobody")
}

// dependencies asks for calls until before now, which is when spans without a time begin in Clew; in Zipkin's server they are before all.
func (d *dialogue) dependencies(t *testing.T) {
	end := d.now.Add(-time.Minute).UnixMilli()
	d.ask(t, fmt.Sprintf("/api/v2/dependencies?endTs=%d&lookback=3600000", end))
	d.ask(t, fmt.Sprintf("/api/v2/dependencies?endTs=%d&lookback=1000", end-7200_000))
}

// refusals sends and asks what is refused.
func (d *dialogue) refusals(t *testing.T) {
	list := []v1span.Span{{TraceID: "1", ID: "2", Annotations: []v1span.Annotation{{Timestamp: 1, Value: "x"}}, Binary: []v1span.Binary{{Key: "a", Value: "b"}}}}
	spans := []*model.SpanModel{{SpanContext: model.SpanContext{TraceID: model.TraceID{Low: 1}, ID: 2}, LocalEndpoint: &model.Endpoint{ServiceName: "a"}, Tags: map[string]string{"a": "b"}}}
	for _, c := range []struct {
		path, contentType string
		body              []byte
	}{
		{"/api/v2/spans", "application/json", []byte("{}")},
		{"/api/v2/spans", "application/json", []byte("hello")},
		{"/api/v2/spans", "application/json", v1span.JSON(list)},
		{"/api/v2/spans", "application/x-protobuf", []byte("hello")},
		{"/api/v1/spans", "application/json", v2(t, spans)},
		{"/api/v1/spans", "application/json", []byte("{}")},
		{"/api/v1/spans", "application/x-thrift", []byte("hello")},
		{"/api/v1/spans", "application/x-thrift", nil},
		{"/api/v2/spans", "application/json", nil},
		{"/api/v2/spans", "application/json", []byte("[]")},
	} {
		var answers [2]string
		for i, p := range d.peers {
			status, text := p.post(t, c.path, c.contentType, c.body)
			answers[i] = fmt.Sprint(status, " ", text)
		}
		if answers[0] != answers[1] {
			t.Errorf("%s as %s, %.20q: Zipkin says %q, Clew %q", c.path, c.contentType, c.body, answers[0], answers[1])
		}
	}
	for _, path := range []string{
		"/api/v2/traceMany", "/api/v2/traceMany?traceIds=", "/api/v2/traceMany?traceIds=1", "/api/v2/traceMany?traceIds=1,1", "/api/v2/traceMany?traceIds=1,x",
		"/api/v2/trace/x", "/api/v2/trace/0", "/api/v2/trace/123456789012345678901234567890123", "/api/v2/dependencies", "/api/v2/dependencies?endTs=0",
		"/api/v2/traces?limit=0", "/api/v2/traces?limit=-1", "/api/v2/traces?limit=x", "/api/v2/traces?endTs=0", "/api/v2/traces?lookback=0", "/api/v2/traces?minDuration=0",
		"/api/v2/traces?minDuration=5&maxDuration=4", "/api/v2/traces?minDuration=x", "/api/v2/spans", "/api/v2/remoteServices", "/api/v2/autocompleteValues", "/api/v2/autocompleteValues?key=",
	} {
		d.ask(t, path)
	}
}
