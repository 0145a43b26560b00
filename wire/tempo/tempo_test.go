package tempo

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/clewtrace/clew/trace"
)

// attributes has a value of each type.
func attributes() []trace.Attr {
	return []trace.Attr{
		{Key: "s", Value: trace.String("zażółć \"quoted\" \\ \x01\n")},
		{Key: "b", Value: trace.Bool(true)},
		{Key: "i", Value: trace.Int(math.MinInt64)},
		{Key: "d", Value: trace.Double(-1.5e-7)},
		{Key: "inf", Value: trace.Double(math.Inf(-1))},
		{Key: "list", Value: trace.Array(trace.Int(1), trace.String("x"))},
		{Key: "bytes", Value: trace.Bytes([]byte{0, 255})},
		{Key: "brok\xffen", Value: trace.Array(trace.String("caf\xe9"))},
		{Key: "empty", Value: trace.String("")},
	}
}

func search() *Search {
	sets := []SpanSet{
		{Spans: []Span{{trace.SpanID{1}, "op", math.MaxInt64, 5, attributes()}, {ID: trace.SpanID{7: 2}}}, Matched: 7, Attrs: attributes()[:2]},
		{Spans: []Span{{Start: 1}}, Matched: 1},
	}
	return &Search{
		Traces: []Trace{
			{trace.ID{1, 15: 2}, "cart", "GET /", 1763885409000000123, 1_420_000_000, sets, []Service{{"cart", 3, 1}, {"a \"b\"", 1, 0}}},
			{ID: trace.ID{2}, Start: math.MaxUint64, Duration: math.MaxUint64, Sets: []SpanSet{{Spans: []Span{{Start: math.MaxUint64, Duration: math.MaxUint64}}}}},
		},
		Metrics: Metrics{Traces: 2, Bytes: 1 << 40, Blocks: 3, Jobs: 1, JobsOfWhat: 4},
	}
}

func series() []Series {
	return []Series{
		{Labels: attributes(), Samples: []Sample{{1763885409000, 1.5}, {1763885410000, 0}, {0, math.NaN()}, {1, math.Inf(1)}, {2, math.Copysign(0, -1)}}, Exemplars: []Exemplar{{attributes()[:1], Sample{3, 4}}, {}}},
		{Samples: []Sample{{}}},
	}
}

func incomplete(why string) Metrics {
	m := search().Metrics
	m.Incomplete = why
	return m
}

type answer interface {
	AppendProto(b []byte) []byte
	AppendJSON(b []byte) []byte
}

// TestBothForms decodes every answer, in protobuf and in JSON, as strictly as Grafana does: both say the same, and nothing that is not in Tempo's schema.
func TestBothForms(t *testing.T) {
	for _, c := range []struct {
		name string
		a    answer
		want []string // of what the message says
	}{
		{"SearchResponse", search(), []string{
			`traceID:"01000000000000000000000000000002"`, `rootServiceName:"cart"`, `startTimeUnixNano:1763885409000000123`, `durationMs:1420`, `spanID:"0100000000000000"`, `matched:7`, `durationMs:4294967295`,
			`inspectedBytes:1099511627776`, `completedJobs:1`, `totalJobs:4`, `errorCount:1`,
		}},
		{"SearchResponse", &Search{}, nil},
		{"SearchTagsV2Response", &Tags{Scopes: []Scope{{"span", []string{"a", "b/c", ""}}, {Name: "resource"}}, Metrics: search().Metrics}, []string{`name:"span"`, `tags:"b/c"`, `totalJobs:4`, `completedJobs:1`, `totalBlocks:3`}},
		{"SearchTagsResponse", &Names{Names: []string{"a", ""}}, []string{`tagNames:""`}},
		{"SearchTagValuesResponse", &Names{Values: true, Names: []string{"a"}, Metrics: search().Metrics}, []string{`tagValues:"a"`}},
		{"SearchTagValuesV2Response", &Values{Values: []Value{{"string", "a\xffb"}, {"int", "1"}, {"string", ""}}}, []string{`value:"a�b"`}},
		{"QueryRangeResponse", &Range{Series: series(), Metrics: incomplete("a block is damaged")}, []string{`timestampMs:1763885409000`, `value:nan`, `value:-0`, `status:PARTIAL`, `message:"a block is damaged"`}},
		{"QueryRangeResponse", &Range{}, nil},
		{"QueryInstantResponse", &Instant{Series: series(), Metrics: incomplete("x")}, []string{`value:1.5`, `status:PARTIAL`}},
	} {
		m := both(t, c.name, c.a.AppendProto(nil), c.a.AppendJSON(nil))
		text := strings.ReplaceAll(prototext.MarshalOptions{}.Format(m), ":  ", ":")
		text = strings.ReplaceAll(text, ": ", ":")
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %s:\n%s", c.name, want, text)
			}
		}
		if !json.Valid(c.a.AppendJSON(nil)) {
			t.Errorf("%s is no JSON", c.name)
		}
	}
}

// TestText holds what clients read without a schema: 64-bit numbers are text, and lists are there when they are empty.
func TestText(t *testing.T) {
	for _, c := range []struct {
		a    answer
		want string
	}{
		{&Search{Traces: []Trace{{ID: trace.ID{1}, Start: 5, Duration: 7_000_000}}}, `{"traces":[{"traceID":"01000000000000000000000000000000","startTimeUnixNano":"5","durationMs":7}],"metrics":{}}`},
		{&Search{}, `{"traces":[],"metrics":{}}`},
		{&Tags{}, `{"scopes":[],"metrics":{}}`},
		{&Names{}, `{"tagNames":[],"metrics":{}}`},
		{&Names{Values: true}, `{"tagValues":[],"metrics":{}}`},
		{&Values{Values: []Value{{"string", ""}}}, `{"tagValues":[{"type":"string","value":""}],"metrics":{}}`},
		{&Range{Series: []Series{{Samples: []Sample{{1000, 0}}}}}, `{"series":[{"samples":[{"timestampMs":"1000","value":0}]}],"metrics":{}}`},
		{&Instant{}, `{"series":[],"metrics":{}}`},
	} {
		if got := string(c.a.AppendJSON(nil)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestTrace(t *testing.T) {
	scope := &trace.Scope{Name: "lib", Version: "1", Attrs: attributes()[:1]}
	resource := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("cart")}}, SchemaURL: "https://r"}
	spans := []trace.Span{
		{
			TraceID: trace.ID{1, 2, 15: 9}, ID: trace.SpanID{3, 7: 1}, Parent: trace.SpanID{4}, State: "a=1", Flags: 0x301, Name: "op", Kind: trace.KindServer, Start: 1763885409000000123,
			End: 1763885409000000456, Attrs: attributes(), Events: []trace.Event{{Time: 1, Name: "e", Attrs: attributes()}}, Links: []trace.Link{{TraceID: trace.ID{8}, SpanID: trace.SpanID{9}}},
			Status: trace.StatusError, StatusMessage: "bad", Resource: resource, Scope: scope,
		},
		{TraceID: trace.ID{1, 2, 15: 9}, ID: trace.SpanID{5}, Kind: 77, Start: 1, End: 2, Status: trace.StatusOK, Resource: resource, Scope: &trace.Scope{Name: "x"}},
	}
	spans = trace.ValidTexts(spans)
	m := both(t, "TraceByIDResponse", AppendTrace(nil, spans, 12345, "a block is damaged"), AppendTraceJSON(nil, spans, 12345, "a block is damaged"))
	text := prototext.Format(m)
	for _, want := range []string{"SPAN_KIND_SERVER", "STATUS_CODE_ERROR", "PARTIAL", "12345"} {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %s:\n%s", want, text)
		}
	}
	both(t, "TraceByIDResponse", AppendTrace(nil, spans, 0, ""), AppendTraceJSON(nil, spans, 0, ""))
}

func TestDecode(t *testing.T) {
	all := messages(t)
	marshal := func(name, text string) []byte {
		m := dynamicpb.NewMessage(all.ByName(protoName(name)))
		if err := prototext.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var s SearchRequest
	err := s.Decode(marshal("SearchRequest", `Tags:{key:"a" value:"b"} MinDurationMs:1 MaxDurationMs:4294967295 Limit:3 start:4 end:5 Query:"{}" SpansPerSpanSet:6`))
	want := SearchRequest{"{}", []Tag{{"a", "b"}}, time.Millisecond, 4294967295 * time.Millisecond, 3, 6, 4, 5}
	if diff := gocmp.Diff(want, s); err != nil || diff != "" {
		t.Errorf("%v, differs (-want +got):\n%s", err, diff)
	}
	var tags TagsRequest
	if err := tags.Decode(marshal("SearchTagsRequest", `scope:"span" query:"{}" start:3 end:4 maxTagsPerScope:5 staleValuesThreshold:6`)); err != nil || tags != (TagsRequest{"span", "{}", 3, 4, 5}) {
		t.Errorf("%+v, %v", tags, err)
	}
	var values ValuesRequest
	if err := values.Decode(marshal("SearchTagValuesRequest", `tagName:"span.a/b" query:"{}" start:4 end:5 maxTagValues:6 staleValueThreshold:7`)); err != nil || values != (ValuesRequest{"span.a/b", "{}", 4, 5, 6}) {
		t.Errorf("%+v, %v", values, err)
	}
	var metrics MetricsRequest
	if err := metrics.Decode(marshal("QueryRangeRequest", `query:"{} | rate()" start:1763885409000000123 end:2 step:3 exemplars:16 maxSeries:17`)); err != nil ||
		metrics != (MetricsRequest{"{} | rate()", 1763885409000000123, 2, 3, 16, 17}) {
		t.Errorf("%+v, %v", metrics, err)
	}
	for _, b := range []string{"\x0a", "\x0a\x05a", "\xff", "\x08", "\x00"} {
		if err := new(SearchRequest).Decode([]byte(b)); trace.KindOf(err) != trace.Invalid {
			t.Errorf("%q: %v", b, err)
		}
	}
	if err := new(SearchRequest).Decode([]byte(strings.Repeat("\x0a\x00", MaxTags+1))); trace.KindOf(err) != trace.Invalid || !strings.Contains(err.Error(), "100 tags") {
		t.Errorf("too many tags: %v", err)
	}
}
