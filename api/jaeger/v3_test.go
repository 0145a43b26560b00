package jaeger

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/otlp"
)

// What Jaeger's page demands of an answer before it shows anything (packages/jaeger-ui/src/api/v3, its schemas), in words of ours; and no other
// fields than OTLP has. A rule says what is wrong with a value, if anything is.
type rule func(v any) error

func wrong(v any, want string) error { return fmt.Errorf("%.60v is not %s", v, want) }

func isText(v any) error {
	if _, ok := v.(string); !ok {
		return wrong(v, "a text")
	}
	return nil
}

func isBool(v any) error {
	if _, ok := v.(bool); !ok {
		return wrong(v, "a boolean")
	}
	return nil
}

func isNumber(v any) error {
	if _, ok := v.(json.Number); !ok {
		return wrong(v, "a number")
	}
	return nil
}

// isCount is a whole number of 0 or more.
func isCount(v any) error {
	n, ok := v.(json.Number)
	if _, err := strconv.ParseUint(string(n), 10, 53); !ok || err != nil {
		return wrong(v, "a whole number")
	}
	return nil
}

func matches(pattern string, bits int) rule {
	re := regexp.MustCompile(pattern)
	return func(v any) error {
		s, ok := v.(string)
		if !ok || !re.MatchString(s) || strings.Trim(s, "0") == "" && len(s) > 1 {
			return wrong(v, pattern)
		}
		var err error
		switch bits {
		case 64:
			_, err = strconv.ParseUint(s, 10, 64)
		case -64:
			_, err = strconv.ParseInt(s, 10, 64)
		}
		return err
	}
}

func isBase64(v any) error {
	s, ok := v.(string)
	if _, err := base64.StdEncoding.DecodeString(s); !ok || err != nil {
		return wrong(v, "base64")
	}
	return nil
}

func list(of rule) rule {
	return func(v any) error {
		l, ok := v.([]any)
		if !ok {
			return wrong(v, "a list")
		}
		for i := range l {
			if err := of(l[i]); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return nil
	}
}

// object has these fields and no others; those with a ! must be there.
func object(fields map[string]rule) rule {
	return func(v any) error {
		o, ok := v.(map[string]any)
		if !ok {
			return wrong(v, "an object")
		}
		for name, of := range fields {
			name, must := strings.CutSuffix(name, "!")
			inner, there := o[name]
			if !there {
				if must {
					return fmt.Errorf("%s is missing", name)
				}
				continue
			}
			if err := of(inner); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		for name := range o {
			if fields[name] == nil && fields[name+"!"] == nil {
				return fmt.Errorf("%s is no field", name)
			}
		}
		return nil
	}
}

var (
	traceIDRule = matches(`^[0-9a-f]{32}$`, 0)
	spanIDRule  = matches(`^[0-9a-f]{16}$`, 0)
	nanoRule    = matches(`^[0-9]+$`, 64)
)

func isValue(v any) error {
	o, ok := v.(map[string]any)
	if !ok || len(o) != 1 {
		return wrong(v, "an object with one field")
	}
	return object(map[string]rule{
		"stringValue": isText, "boolValue": isBool, "intValue": matches(`^-?[0-9]+$`, -64), "doubleValue": isNumber, "bytesValue": isBase64,
		"arrayValue": object(map[string]rule{"values": list(isValue)}), "kvlistValue": object(map[string]rule{"values": list(isAttr)}),
	})(v)
}

func isAttr(v any) error { return object(map[string]rule{"key!": isText, "value!": isValue})(v) }

func tracesRule() rule {
	attrs := list(isAttr)
	event := object(map[string]rule{"timeUnixNano": nanoRule, "name": isText, "attributes": attrs, "droppedAttributesCount": isCount})
	link := object(map[string]rule{"traceId!": traceIDRule, "spanId!": spanIDRule, "traceState": isText, "attributes": attrs, "droppedAttributesCount": isCount, "flags": isCount})
	span := object(map[string]rule{
		"traceId!": traceIDRule, "spanId!": spanIDRule, "traceState": isText, "parentSpanId": spanIDRule, "flags": isCount, "name": isText, "kind": isCount,
		"startTimeUnixNano": nanoRule, "endTimeUnixNano": nanoRule, "attributes": attrs, "droppedAttributesCount": isCount, "events": list(event), "droppedEventsCount": isCount,
		"links": list(link), "droppedLinksCount": isCount, "status": object(map[string]rule{"message": isText, "code": isCount}),
	})
	scope := object(map[string]rule{"name": isText, "version": isText, "attributes": attrs, "droppedAttributesCount": isCount})
	scopeSpans := object(map[string]rule{"scope": scope, "spans!": list(span), "schemaUrl": isText})
	resource := object(map[string]rule{"attributes": attrs, "droppedAttributesCount": isCount})
	return object(map[string]rule{"result!": object(map[string]rule{
		"resourceSpans": list(object(map[string]rule{"resource": resource, "scopeSpans!": list(scopeSpans), "schemaUrl": isText})),
	})})
}

func summariesRule() rule {
	service := object(map[string]rule{"name!": isText, "spanCount": isCount, "errorSpanCount": isCount})
	return object(map[string]rule{"summaries": list(object(map[string]rule{
		"traceId!": traceIDRule, "rootServiceName": isText, "rootOperationName": isText, "minStartTimeUnixNano": nanoRule, "maxEndTimeUnixNano": nanoRule,
		"spanCount": isCount, "errorSpanCount": isCount, "orphanSpanCount": isCount, "services": list(service),
	}))})
}

// follows decodes JSON and holds it against a rule.
func follows(t testing.TB, what string, raw []byte, r rule) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := r(v); err != nil {
		t.Errorf("%s: %v in %.500s", what, err, raw)
	}
}

const v3Range = "query.start_time_min=2025-11-23T08:10:09Z&query.start_time_max=2025-11-23T10:10:10.5%2B02:00"

// TestV3Schemas holds each answer against what Jaeger's page demands of it.
func TestV3Schemas(t *testing.T) {
	sample := testkit.Sample()
	for i := range sample {
		sample[i].Links = append(sample[i].Links, trace.Link{SpanID: trace.SpanID{1}}) // to nowhere
	}
	s := server(t, sample)
	id := sample[0].TraceID.String()
	operations := object(map[string]rule{"operations!": list(object(map[string]rule{"name!": isText, "spanKind!": isText}))})
	for path, r := range map[string]rule{
		"services":                                          object(map[string]rule{"services!": list(isText)}),
		"operations?service=shop/web":                       operations,
		"operations?service=none":                           operations,
		"operations?service=stock&span_kind=server":         operations,
		"operations?service=stock&spanKind=server":          operations,
		"traces/" + id:                                      tracesRule(),
		"traces/" + id + "?raw_traces=true":                 tracesRule(),
		"traces?" + v3Range:                                 tracesRule(),
		"trace-summaries?" + v3Range:                        summariesRule(),
		"trace-summaries?query.serviceName=none&" + v3Range: summariesRule(),
		"dependencies?start_time=2025-11-23T08:10:09Z&end_time=2025-11-23T08:10:19Z": object(map[string]rule{"dependencies!": list(object(map[string]rule{
			"parent!": isText, "child!": isText, "callCount!": matches(`^[0-9]+$`, 64),
		}))}),
	} {
		status, raw := get(t, s, "/api/v3/"+path)
		if status != 200 {
			t.Errorf("%s: %d %s", path, status, raw)
			continue
		}
		follows(t, path, raw, r)
	}
	_, raw := get(t, s, "/api/v3/traces/"+id)
	testkit.Golden(t, "testdata/v3_trace.json", raw)
	_, raw = get(t, s, "/api/v3/trace-summaries?"+v3Range)
	testkit.Golden(t, "testdata/v3_summaries.json", raw)
}

// TestV3Trace finds a trace by its ID in all forms, with times as they are sent, and gets all of it.
func TestV3Trace(t *testing.T) {
	sample := testkit.Sample()
	s := server(t, sample)
	id := sample[0].TraceID
	_, want := get(t, s, "/api/v3/traces/"+id.String())
	var got struct{ Result json.RawMessage }
	if err := json.Unmarshal(want, &got); err != nil {
		t.Fatal(err)
	}
	raw, err := otlp.AppendBinary(nil, got.Result)
	if err != nil {
		t.Fatal(err)
	}
	var b trace.Batch
	if err := b.Index(raw, trace.DefaultLimits()); err != nil || len(b.Spans) != len(sample) {
		t.Errorf("%d spans of %d: %v", len(b.Spans), len(sample), err)
	}
	for _, path := range []string{
		strings.ToUpper(id.String()), url.PathEscape(base64.StdEncoding.EncodeToString(id[:])), base64.URLEncoding.EncodeToString(id[:]), base64.RawURLEncoding.EncodeToString(id[:]),
		id.String() + "?start_time=2025-11-23T10:10:09.000000001+02:00&end_time=2025-11-23T10:10:10+02:00", id.String() + "?startTime=2025-11-23T08:10:09Z",
	} {
		if status, raw := get(t, s, "/api/v3/traces/"+path); status != 200 || string(raw) != string(want) {
			t.Errorf("%s: %d %.200s", path, status, raw)
		}
	}
	for path, want := range map[string]string{
		"12":                                  `404 {"error":{"httpCode":404,"message":"No traces found"}}`,
		"nothex":                              `400 {"error":{"httpCode":400,"message":"malformed parameter trace_id: `,
		"00":                                  `400 {"error":{"httpCode":400,"message":"malformed parameter trace_id: `,
		"AAAAAAAAAAAAAAAAAAAAAA==":            `400 {"error":{"httpCode":400,"message":"malformed parameter trace_id: `,
		id.String() + "?start_time=yesterday": `400 {"error":{"httpCode":400,"message":"malformed parameter start_time: `,
		id.String() + "?endTime=1":            `400 {"error":{"httpCode":400,"message":"malformed parameter endTime: `,
		id.String() + "?raw_traces=x":         `400 {"error":{"httpCode":400,"message":"malformed parameter raw_traces: `,
	} {
		status, raw := get(t, s, "/api/v3/traces/"+path)
		if got := fmt.Sprintf("%d %s", status, raw); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s; want %s", path, got, want)
		}
	}
}

// v3Found searches and returns the operations of the roots found.
func v3Found(t testing.TB, raw []byte) (names []string) {
	t.Helper()
	var b struct {
		Summaries []struct{ RootOperationName string }
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	for _, s := range b.Summaries {
		names = append(names, s.RootOperationName)
	}
	return names
}

// TestV3Search asks for each parameter, by all its names, in the URL and in a body.
func TestV3Search(t *testing.T) {
	make := func(n byte) trace.Span {
		sp := served("shop", fmt.Sprintf("op%d", n), 0, 0)
		sp.TraceID, sp.Start = trace.ID{15: n}, sp.Start+uint64(n)*1_000_000_000
		sp.End = sp.Start + uint64(n)*1_000_000
		sp.Attrs = []trace.Attr{{Key: "n", Value: trace.Int(int64(n))}, {Key: "all", Value: trace.String("x y")}}
		return sp
	}
	s := server(t, []trace.Span{make(1), make(2), make(3)})
	const always = "query.startTimeMin=2026-03-04T05:06:00Z&query.startTimeMax=2026-03-04T05:07:00Z"
	for query, want := range map[string]string{
		"":                           "op3 op2 op1",
		"query.service_name=shop":    "op3 op2 op1",
		"query.serviceName=shop":     "op3 op2 op1",
		"query.serviceName=Shop":     "",
		"query.operation_name=op2":   "op2",
		"query.operationName=op2":    "op2",
		"query.span_name=op2":        "op2",
		"query.search_depth=2":       "op3 op2",
		"query.searchDepth=2":        "op3 op2",
		"query.num_traces=1":         "op3",
		"query.numTraces=1":          "op3",
		"query.duration_min=2ms":     "op3 op2",
		"query.durationMax=0.002s":   "op2 op1",
		`query.attributes={"n":"2"}`: "op2",
		`query.attributes={"n":"2","all":"x y"}&query.rawTraces=true`: "op2",
		`query.attributes={"n":"4"}`:                                  "",
		"query.filter=":                                               "op3 op2 op1",
	} {
		status, raw := get(t, s, "/api/v3/trace-summaries?"+always+"&"+strings.NewReplacer(`"`, "%22", " ", "%20").Replace(query))
		if got := strings.Join(v3Found(t, raw), " "); status != 200 || got != want {
			t.Errorf("%s: %d %q; want %q", query, status, got, want)
		}
	}
	for when, want := range map[string]string{ // the second time is exclusive
		"query.start_time_min=2026-03-04T05:06:01Z&query.start_time_max=2026-03-04T05:06:03Z":                     "op2 op1",
		"query.start_time_min=2026-03-04T05:06:01.000000001Z&query.start_time_max=2026-03-04T05:06:03.000000001Z": "op3 op2",
		"query.start_time_min=2026-03-04T06:06:01+01:00&query.start_time_max=2026-03-04T06:06:02.5+01:00":         "op2 op1",
		"query.start_time_min=2026-03-04T06:06:01%2B01:00&query.start_time_max=2026-03-04T06:06:01.5%2B01:00":     "op1",
	} {
		if _, raw := get(t, s, "/api/v3/trace-summaries?"+when); strings.Join(v3Found(t, raw), " ") != want {
			t.Errorf("%s: %s; want %q", when, raw, want)
		}
	}
	for body, want := range map[string]string{
		`{"query": {"service_name": "shop", "start_time_min": "2026-03-04T05:06:00Z", "start_time_max": "2026-03-04T05:07:00Z"}}`:                                                                              "op3 op2 op1",
		`{"query": {"attributes": {"n": "2"}, "searchDepth": 5, "rawTraces": false, "durationMin": "0.001s", "filter": null, "startTimeMin": "2026-03-04T05:06:00Z", "startTimeMax": "2026-03-04T05:07:00Z"}}`: "op2",
	} {
		status, raw := post(t, s, "/api/v3/trace-summaries", []byte(body))
		if got := strings.Join(v3Found(t, raw), " "); status != 200 || got != want {
			t.Errorf("%s: %d %s; want %q", body, status, raw, want)
		}
		if status, raw := post(t, s, "/api/v3/traces", []byte(body)); status != 200 || bytes.Count(raw, []byte(`"resourceSpans"`)) != 1 || bytes.Count(raw, []byte(`"spanId"`)) != len(strings.Fields(want)) {
			t.Errorf("%s: %d %s", body, status, raw)
		}
	}
	if status, raw := get(t, s, "/api/v3/traces?query.service_name=none&"+always); status != 404 || string(raw) != `{"error":{"httpCode":404,"message":"No traces found"}}` {
		t.Errorf("%d %s", status, raw)
	}
}

// TestV3Errors holds that what is wrong is named, in the gateway's form.
func TestV3Errors(t *testing.T) {
	s := server(t)
	gateway := object(map[string]rule{"error!": object(map[string]rule{"httpCode!": isCount, "message!": isText})})
	for path, want := range map[string]string{
		"operations":                       "service is required",
		"operations?service=a&span_kind=x": "'span_kind'",
		"traces":                           "query.start_time_min and query.start_time_max are required",
		"traces?query.start_time_min=2026-01-01T00:00:00Z":                   "query.start_time_min and query.start_time_max are required",
		"traces?query.start_time_min=1970-01-01T00:00:00%2B14:00":            "is not between 1970 and 2261",
		"traces?query.start_time_min=1":                                      "parameter query.start_time_min",
		"traces?query.startTimeMax=1":                                        "parameter query.startTimeMax",
		"traces?query.startTimeMax=1900-01-01T00:00:00Z":                     "parameter query.startTimeMax",
		"traces?query.num_traces=x":                                          "parameter query.num_traces",
		"traces?query.search_depth=-1":                                       "parameter query.search_depth",
		"traces?query.search_depth=20001":                                    "parameter query.search_depth",
		"traces?query.duration_min=5":                                        "parameter query.duration_min",
		"traces?query.durationMax=-5s":                                       "parameter query.durationMax",
		"traces?query.raw_traces=5":                                          "parameter query.raw_traces",
		"traces?query.attributes=5":                                          "parameter query.attributes",
		"traces?query.attributes=%7B%22a%22:1%7D":                            "parameter query.attributes",
		"traces?query.filter=%7B%7D":                                         "query.filter",
		"traces?" + v3Range + "&query.duration_min=2s&query.duration_max=1s": "duration_max",
		"trace-summaries?":                                                   "required",
		"dependencies":                                                       "start_time and end_time are required",
		"dependencies?start_time=1":                                          "start_time",
		"traces?query.service_name=%zz":                                      "query string is broken",
	} {
		status, raw := get(t, s, "/api/v3/"+path)
		if status != 400 || !strings.Contains(string(raw), want) {
			t.Errorf("%s: %d %s; want %s", path, status, raw, want)
		}
		follows(t, path, raw, gateway)
	}
	if status, raw := get(t, s, "/api/v3/nothing"); status != 404 || !strings.Contains(string(raw), `"httpCode":404`) {
		t.Errorf("%d %s", status, raw)
	}
	for body, want := range map[string]int{"": 400, "[]": 400, "{}": 400, `{"query": 1}`: 400, `{"query": {"filter": {"op": "eq"}}}`: 400, strings.Repeat(" ", maxQuestion+1): 413} {
		if status, raw := post(t, s, "/api/v3/traces", []byte(body)); status != want {
			t.Errorf("%.60q: %d %s", body, status, raw)
		}
	}
}

// TestGrouped holds that spans of a resource and scope are written together however they come, each once.
func TestGrouped(t *testing.T) {
	r := []*trace.Resource{{}, {}}
	sc := []*trace.Scope{{Name: "a"}, {Name: "b"}}
	tr := &trace.Trace{ID: trace.ID{1}}
	for i := range 40 {
		tr.Spans = append(tr.Spans, trace.Span{TraceID: tr.ID, ID: trace.SpanID{7: byte(i + 1)}, Start: uint64(40 - i), Resource: r[i%2], Scope: sc[i/2%2]})
	}
	for _, raw := range []bool{true, false} {
		got := forOTLP(tr, raw)
		changes := 0
		for i := range got {
			if i > 0 && (got[i].Resource != got[i-1].Resource || got[i].Scope != got[i-1].Scope) {
				changes++
			}
		}
		if changes != 3 || len(got) != 40 {
			t.Errorf("%d spans in %d groups", len(got), changes+1)
		}
	}
	if !cmp.Equal(tr.Spans[0].ID, trace.SpanID{7: 1}) || !slices.IsSortedFunc(tr.Spans, func(a, b trace.Span) int { return bytes.Compare(a.ID[:], b.ID[:]) }) {
		t.Error("the trace was changed")
	}
}
