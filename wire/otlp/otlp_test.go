package otlp

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/clewtrace/clew/trace"
)

var compareValues = gocmp.Comparer(func(a, b trace.Value) bool { return a.Equal(b) })

// sample has every field of the protocol, and values of every type.
func sample() []trace.Span {
	attrs := []trace.Attr{
		{Key: "s", Value: trace.String("zażółć \"quoted\" \\ \x01\n")},
		{Key: "empty", Value: trace.String("")},
		{Key: "b", Value: trace.Bool(true)},
		{Key: "i", Value: trace.Int(math.MinInt64)},
		{Key: "d", Value: trace.Double(-1.5e-7)},
		{Key: "whole", Value: trace.Double(3)},
		{Key: "inf", Value: trace.Double(math.Inf(-1))},
		{Key: "bytes", Value: trace.Bytes([]byte{0, 255, 16})},
		{Key: "nothing", Value: trace.Value{}},
		{Key: "list", Value: trace.Array(trace.Int(1), trace.String("x"), trace.Value{}, trace.Array())},
		{Key: "map", Value: trace.Map(trace.Attr{Key: "k", Value: trace.Map(trace.Attr{Key: "", Value: trace.Bool(false)})})},
	}
	res := &trace.Resource{Attrs: attrs, Dropped: 1, SchemaURL: "https://r"}
	scope := &trace.Scope{Name: "lib", Version: "1.2", Attrs: attrs[:2], Dropped: 2, SchemaURL: "https://s"}
	full := trace.Span{
		TraceID: trace.ID{1, 2, 15: 9}, ID: trace.SpanID{3, 7: 1}, Parent: trace.SpanID{4}, State: "a=1,b=2", Flags: 0x301, Name: "op",
		Kind: trace.KindProducer, Start: 1763885409000000123, End: 1763885409000000456, Attrs: attrs, Dropped: 3,
		Events:        []trace.Event{{Time: 1763885409000000124, Name: "e", Attrs: attrs, Dropped: 4}, {Time: 1}},
		DroppedEvents: 5,
		Links:         []trace.Link{{TraceID: trace.ID{8}, SpanID: trace.SpanID{9}, State: "c=3", Flags: 0x100, Attrs: attrs, Dropped: 6}},
		DroppedLinks:  7, Status: trace.StatusError, StatusMessage: "bad", Resource: res, Scope: scope,
	}
	plain := trace.Span{TraceID: trace.ID{1}, ID: trace.SpanID{2}, Start: 1, End: 2, Resource: &trace.Resource{}, Scope: &trace.Scope{}}
	return []trace.Span{full, plain}
}

func TestJSONRoundTrip(t *testing.T) {
	want := sample()
	b := AppendJSON(nil, want)
	if !json.Valid(b) {
		t.Fatalf("not JSON: %s", b)
	}
	got, err := decodeJSON(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got, compareValues); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}

// TestOfficialProtobuf holds both our encodings against the official generated code.
func TestOfficialProtobuf(t *testing.T) {
	var msg collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(trace.AppendTraces(nil, sample()), &msg); err != nil {
		t.Fatal(err)
	}
	official, err := proto.Marshal(&msg)
	if err != nil {
		t.Fatal(err)
	}
	var b trace.Batch
	if err := b.Index(official, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	got, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(sample(), got, compareValues); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}

	// OTLP/JSON writes IDs in hexadecimal where protojson has base64; all else must be the same.
	noIDs := sample()
	for i := range noIDs {
		noIDs[i].TraceID, noIDs[i].ID, noIDs[i].Parent = trace.ID{}, trace.SpanID{}, trace.SpanID{}
		noIDs[i].Links = nil
	}
	text := string(AppendJSON(nil, noIDs))
	text = strings.ReplaceAll(text, `"traceId":"00000000000000000000000000000000","spanId":"0000000000000000",`, "")
	var fromJSON collector.ExportTraceServiceRequest
	if err := protojson.Unmarshal([]byte(text), &fromJSON); err != nil {
		t.Fatalf("protojson cannot read our JSON: %v\n%s", err, text)
	}
	for _, rs := range msg.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				s.TraceId, s.SpanId, s.ParentSpanId, s.Links = nil, nil, nil, nil
				if s.Status == nil && len(fromJSON.ResourceSpans) == 2 {
					fromJSON.ResourceSpans[1].ScopeSpans[0].Spans[0].Status = nil // absent and empty are the same
				}
			}
		}
	}
	if !proto.Equal(&msg, &fromJSON) {
		t.Errorf("JSON means something else to protojson:\n%v\n%v", &msg, &fromJSON)
	}
}

func TestDecodeJSONForms(t *testing.T) {
	in := `{"unknown":[1,{"x":2}],"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174",
		"startTimeUnixNano":1544712660000000000,"endTimeUnixNano":"1544712661000000000","kind":"SPAN_KIND_SERVER","status":{"code":"STATUS_CODE_ERROR"},
		"attributes":[{"key":"n","value":{"intValue":7}},{"key":"m","value":{"intValue":"8"}},{"key":"d","value":{"doubleValue":"NaN"}},{"key":"b","value":{"bytesValue":"_-8"}}]}]}]}]}`
	spans, err := decodeJSON([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	s := spans[0]
	if s.TraceID.String() != "5b8efff798038103d269b633813fc60c" || s.Kind != trace.KindServer || s.Status != trace.StatusError || s.Start != 1544712660000000000 {
		t.Errorf("read %+v", s)
	}
	if s.Attrs[0].Value.Int() != 7 || s.Attrs[1].Value.Int() != 8 || !math.IsNaN(s.Attrs[2].Value.Double()) || s.Attrs[3].Value.Str() != "\xff\xef" {
		t.Errorf("read %+v", s.Attrs)
	}
}

func TestDecodeJSONErrors(t *testing.T) {
	for in, want := range map[string]string{
		``:                      "the end instead of an object at byte 0",
		`[]`:                    "an array instead of an object at byte 0",
		`{} {}`:                 "an object behind the end of the text at byte 3",
		`{"resourceSpans":[{]}`: "']' instead of a string at byte 19",
		`{"resourceSpans":7}`:   "a number instead of an array at byte 17",
		`{"resourceSpans":[{}`:  "the end instead of , or ]",
		`{"x":"\ud80"}`:         "broken escape in a string",
		`{"x":"`:                "string without an end",
		`{"x":"\`:               "string without an end",
		"{\"x\":\"\n\"}":        "control character",
		`{"x":01}`:              "broken number",
		`{"x":1.}`:              "broken number",
		`{"x":nul}`:             "a word that is not null",
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"soon"}]}]}]}`:     "\"soon\" is not an unsigned 64-bit number",
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":-1}]}]}]}`:         "\"-1\" is not an unsigned 64-bit number",
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"flags":4294967296}]}]}]}`:             "\"4294967296\" is not an unsigned 32-bit number",
		`{"resourceSpans":[{"resource":{"attributes":[{"value":{"bytesValue":"*"}}]}}]}`:    "bytesValue is not base64",
		`{"resourceSpans":[{"resource":{"attributes":[{"value":{"intValue":"9e18.5"}}]}}]}`: "is not a 64-bit number",
	} {
		_, err := decodeJSON([]byte(in))
		if trace.KindOf(err) != trace.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v; want %q in it", in, err, want)
		}
	}
}

// TestRetryInfo: Google's own types read what we say of when to come again.
func TestRetryInfo(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, 7 * time.Second, 1500 * time.Millisecond, time.Hour} {
		var st status.Status
		if err := proto.Unmarshal(AppendRetryDetail(AppendStatus(nil, 14, "full"), after), &st); err != nil {
			t.Fatal(err)
		}
		var info errdetails.RetryInfo
		if st.GetCode() != 14 || st.GetMessage() != "full" || len(st.GetDetails()) != 1 {
			t.Fatalf("%v: %v", after, &st)
		}
		if err := st.GetDetails()[0].UnmarshalTo(&info); err != nil || info.GetRetryDelay().AsDuration() != after {
			t.Errorf("%v came as %v, %v", after, info.GetRetryDelay().AsDuration(), err)
		}
	}
}
