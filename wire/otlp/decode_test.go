package otlp

import (
	"bytes"
	"math"
	"regexp"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/clewtrace/clew/trace"
)

// decodeJSON reads an ExportTraceServiceRequest in OTLP/JSON. Spans over trace.DefaultLimits are left out.
func decodeJSON(b []byte) ([]trace.Span, error) {
	raw, err := AppendBinary(nil, b)
	if err != nil {
		return nil, err
	}
	var batch trace.Batch
	if err := batch.Index(raw, trace.DefaultLimits()); err != nil {
		return nil, err
	}
	return batch.Decode()
}

// inSpan is a request with one span that has some members besides its IDs and start.
func inSpan(members string) []byte {
	return []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","startTimeUnixNano":"1",` + members + `}]}]}]}`)
}

func TestDecodeJSONKinds(t *testing.T) {
	for in, want := range map[string]trace.Kind{
		`0`: trace.KindUnspecified, `3`: trace.KindClient, `"3"`: trace.KindClient, `"SPAN_KIND_CLIENT"`: trace.KindClient, `"SPAN_KIND_CONSUMER"`: trace.KindConsumer,
		`"SPAN_KIND_OF_MAGIC"`: trace.KindUnspecified, `77`: trace.KindUnspecified, `-1`: trace.KindUnspecified, `null`: trace.KindUnspecified, `""`: trace.KindUnspecified,
	} {
		spans, err := decodeJSON(inSpan(`"kind":` + in))
		if err != nil || spans[0].Kind != want {
			t.Errorf("%s: %v, %v; want %v", in, spans, err, want)
		}
	}
	for in, want := range map[string]trace.StatusCode{
		`0`: trace.StatusUnset, `1`: trace.StatusOK, `"2"`: trace.StatusError, `"STATUS_CODE_ERROR"`: trace.StatusError, `"ODD"`: trace.StatusUnset, `9`: trace.StatusUnset,
	} {
		spans, err := decodeJSON(inSpan(`"status":{"code":` + in + `,"message":"m"}`))
		if err != nil || spans[0].Status != want || spans[0].StatusMessage != "m" {
			t.Errorf("%s: %v, %v; want %v", in, spans, err, want)
		}
	}
}

func TestDecodeJSONValues(t *testing.T) {
	for in, want := range map[string]trace.Value{
		`{}`: {}, `null`: {}, `{"stringValue":null}`: {}, `{"unknownValue":[1]}`: {}, `{"stringValue":""}`: trace.String(""),
		`{"intValue":"-9223372036854775808"}`: trace.Int(math.MinInt64), `{"intValue":-7}`: trace.Int(-7), `{"intValue":1e3}`: trace.Int(1000), `{"intValue":2.0}`: trace.Int(2),
		`{"doubleValue":3}`: trace.Double(3), `{"doubleValue":"-Infinity"}`: trace.Double(math.Inf(-1)), `{"doubleValue":"NaN"}`: trace.Double(math.NaN()), `{"doubleValue":-0.0}`: trace.Double(math.Copysign(0, -1)),
		`{"boolValue":false}`: trace.Bool(false), `{"bytesValue":""}`: trace.Bytes(nil), `{"bytesValue":"/+8="}`: trace.Bytes([]byte{255, 239}), `{"bytesValue":"_-8"}`: trace.Bytes([]byte{255, 239}),
		`{"arrayValue":{}}`: trace.Array(), `{"arrayValue":{"values":null}}`: trace.Array(), `{"arrayValue":{"values":[{},null,{"intValue":1}]}}`: trace.Array(trace.Value{}, trace.Value{}, trace.Int(1)),
		`{"kvlistValue":{"values":[{"key":"a"},{"value":{"boolValue":true}}]}}`: trace.Map(trace.Attr{Key: "a"}, trace.Attr{Value: trace.Bool(true)}),
		`{"stringValue":"\ud83d\ude00 \ud83d \u00e9\/\b"}`:                      trace.String("😀 \ufffd é/\b"), `{"stringValue":"` + "\xff" + `"}`: trace.String("\xff"),
	} {
		spans, err := decodeJSON(inSpan(`"attributes":[{"key":"k","value":` + in + `}]`))
		if err != nil || len(spans) != 1 || len(spans[0].Attrs) != 1 || !spans[0].Attrs[0].Value.Equal(want) {
			t.Errorf("%s: %+v, %v; want %v", in, spans, err, want)
		}
	}
}

// TestBadIDs: an ID that is none costs its span alone.
func TestBadIDs(t *testing.T) {
	for _, id := range []string{`"xyz"`, `7`, `null`, `""`, `"0102"`, `["a"]`, `{"a":"b"}`, `"` + strings.Repeat("0a", 500) + `"`} {
		raw, err := AppendBinary(nil, []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":`+id+`,"spanId":"0102030405060708","startTimeUnixNano":1},
			{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","startTimeUnixNano":1}]}]}]}`))
		var b trace.Batch
		if err == nil {
			err = b.Index(raw, trace.DefaultLimits())
		}
		if err != nil || len(b.Spans) != 1 || b.Refused.Count[trace.BadTraceID] != 1 {
			t.Errorf("%s: %v, %d spans, refused %+v", id, err, len(b.Spans), b.Refused)
		}
	}
}

// TestNestedJSON: values may be as deep as in the binary form, one deeper costs the span, and far deeper the request, at once.
func TestNestedJSON(t *testing.T) {
	nested := func(depth int) []byte {
		return inSpan(`"attributes":[{"key":"k","value":` + strings.Repeat(`{"kvlistValue":{"values":[{"key":"k","value":`, depth) + `{}` + strings.Repeat(`}]}}`, depth) + `}]`)
	}
	for depth, refused := range map[int]int{64: 0, 65: 1, 100: 1} {
		raw, err := AppendBinary(nil, nested(depth))
		var b trace.Batch
		if err == nil {
			err = b.Index(raw, trace.DefaultLimits())
		}
		if err != nil || b.Refused.Count[trace.TooDeep] != refused {
			t.Errorf("depth %d: %v, refused %+v; want %d", depth, err, b.Refused, refused)
		}
	}
	deep := nested(100_000)
	if _, err := AppendBinary(nil, deep); trace.KindOf(err) != trace.Invalid || !strings.Contains(err.Error(), "nested deeper than 512") {
		t.Errorf("depth 100,000: %v", err)
	}
	// The same in a place that is not looked at.
	if _, err := AppendBinary(nil, []byte(`{"x":`+strings.Repeat(`{"x":`, 1_000_000))); trace.KindOf(err) != trace.Invalid {
		t.Errorf("unknown, depth 1,000,000: %v", err)
	}
	if n := testing.AllocsPerRun(1, func() { _, _ = AppendBinary(nil, deep) }); n > 10_000 {
		t.Errorf("refusing it allocates %v times", n)
	}
}

// TestBinaryIsShorter: what a request costs in its binary form is never more than it weighs in JSON.
func TestBinaryIsShorter(t *testing.T) {
	for _, in := range []string{
		`{"resourceSpans":[` + strings.Repeat(`{},`, 1000) + `{}]}`,
		string(inSpan(`"attributes":[` + strings.Repeat(`{},`, 1000) + `{}]`)),
		string(inSpan(`"attributes":[{"value":{"arrayValue":{"values":[` + strings.Repeat(`{},`, 1000) + `{}]}}}]`)),
		string(inSpan(`"links":[` + strings.Repeat(`{"flags":1},`, 1000) + `{}],"events":[` + strings.Repeat(`{},`, 1000) + `{}]`)),
		string(AppendJSON(nil, sample())),
	} {
		raw, err := AppendBinary(nil, []byte(in))
		if err != nil || len(raw) > len(in) {
			t.Errorf("%.60s: %d bytes became %d, %v", in, len(in), len(raw), err)
		}
	}
}

// notSpecified are protobuf's own names of fields, which protojson takes and OTLP/JSON does not have, and fields traces must not use.
var notSpecified = regexp.MustCompile(`[a-z]_[a-z]|\\u|trindex`)

// FuzzDecodeJSON holds the decoder against protojson, which takes hexadecimal IDs for base64: IDs are left out of the comparison.
func FuzzDecodeJSON(f *testing.F) {
	f.Add(AppendJSON(nil, sample()))
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"value":{"arrayValue":{"values":[{}]}}}]}]}]}]}`))
	f.Add(inSpan(`"kind":"SPAN_KIND_SERVER","status":{"code":"STATUS_CODE_ERROR"},"flags":"1","x":{"y":[null,true,-1.5e3]},"attributes":[{"key":"a","value":{"intValue":1}}]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		raw, err := AppendBinary(nil, in)
		var official collector.ExportTraceServiceRequest
		officialErr := protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(in, &official)
		if err != nil {
			if officialErr == nil && !strings.Contains(err.Error(), "nested deeper") && !notSpecified.Match(in) {
				t.Fatalf("protojson takes it: %v", err)
			}
			return
		}
		if len(raw) > len(in) {
			t.Fatalf("%d bytes became %d", len(in), len(raw))
		}
		var b trace.Batch
		if err := b.Index(bytes.Clone(raw), trace.DefaultLimits()); err != nil {
			if trace.KindOf(err) == trace.TooLarge || strings.Contains(err.Error(), "nested deeper") {
				return
			}
			t.Fatalf("own encoding is refused: %v", err)
		}
		spans, err := b.Decode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeJSON(AppendJSON(nil, spans)); err != nil || len(again) != len(spans) {
			t.Fatalf("%d spans became %d: %v", len(spans), len(again), err)
		}
		if officialErr != nil || notSpecified.Match(in) || b.Refused.Count[trace.TooDeep] > 0 {
			return
		}
		var ours collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(raw, &ours); err != nil {
			t.Fatalf("own encoding is no protobuf: %v", err)
		}
		for _, m := range []*collector.ExportTraceServiceRequest{&official, &ours} {
			withoutIDs(m)
		}
		if !proto.Equal(&official, &ours) {
			t.Fatalf("means something else to protojson:\n%v\n%v", &official, &ours)
		}
	})
}

func withoutIDs(m *collector.ExportTraceServiceRequest) {
	for _, rs := range m.ResourceSpans {
		if rs.Resource != nil { // in development, not kept
			rs.Resource.EntityRefs = nil
		}
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				s.TraceId, s.SpanId, s.ParentSpanId = nil, nil, nil
				for _, l := range s.Links {
					l.TraceId, l.SpanId = nil, nil
				}
			}
		}
	}
}

// BenchmarkAppendBinary reads an ordinary request, and one that is as nested and as large as it may be.
func BenchmarkAppendBinary(b *testing.B) {
	var spans []trace.Span
	for range 50 {
		spans = append(spans, sample()...)
	}
	for name, in := range map[string][]byte{
		"ordinary": AppendJSON(nil, spans),
		"worst": inSpan(`"attributes":[{"key":"k","value":` + strings.Repeat(`{"kvlistValue":{"values":[{"value":`, 64) +
			`{"stringValue":"` + strings.Repeat("x", 60<<20) + `"}` + strings.Repeat(`}]}}`, 64) + `}]`),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := AppendBinary(make([]byte, 0, len(in)), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestDecodeJSONNames: members are named as OTLP/JSON has it, and no others mean anything, such as protobuf's own names; of what comes twice the last counts.
func TestDecodeJSONNames(t *testing.T) {
	spans, err := decodeJSON(inSpan(`"name":"a","end_time_unix_nano":"9","trace_state":"x","endTimeUnixNano":2,"endTimeUnixNano":"3","name":"b","dropped_attributes_count":4,"NAME":"c"`))
	if err != nil || len(spans) != 1 {
		t.Fatalf("%v, %v", spans, err)
	}
	if s := spans[0]; s.Name != "b" || s.End != 3 || s.State != "" || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	for in, want := range map[string]trace.Value{ // beyond what a double can tell apart
		`{"intValue":9007199254740993}`: trace.Int(9007199254740993), `{"intValue":"9223372036854775807"}`: trace.Int(math.MaxInt64), `{"int_value":"1"}`: {},
		`{"stringValue":"a","intValue":2}`: trace.Int(2), `{"doubleValue":"1.5"}`: trace.Double(1.5), `{"doubleValue":"Infinity"}`: trace.Double(math.Inf(1)), `{"doubleValue":1e400}`: trace.Double(math.Inf(1)),
	} {
		spans, err := decodeJSON(inSpan(`"attributes":[{"key":"k","value":` + in + `}]`))
		if err != nil || len(spans) != 1 || !spans[0].Attrs[0].Value.Equal(want) {
			t.Errorf("%s: %+v, %v; want %v", in, spans, err, want)
		}
	}
}
