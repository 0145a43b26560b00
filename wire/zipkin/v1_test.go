package zipkin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"

	"github.com/clewtrace/clew/test/zipkin/v1span"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
)

// v2JSON and v1JSON are lists with all that the formats have; the second is of calls that both sides reported.
const (
	v2JSON = `[{"traceId":"463ac35c9f6413ad48485a3953bb6124","parentId":"00000000000000aa","id":"a2fb4a1d1a96d312","kind":"CLIENT","name":"get /api",
	"timestamp":1472470996199000,"duration":207000,"localEndpoint":{"serviceName":"frontend","ipv4":"127.0.0.1","port":8080},
	"remoteEndpoint":{"serviceName":"backend","ipv4":"192.168.99.101","ipv6":"2001:db8::c001","port":9000},
	"annotations":[{"timestamp":1472470996238000,"value":"foo"},{"timestamp":1472470996403000,"value":"bar"}],
	"tags":{"clnt/finagle.version":"6.45.0","http.path":"/api","error":"","empty":""},"debug":true},
	{"traceId":"463ac35c9f6413ad48485a3953bb6124","parentId":"00000000000000aa","id":"a2fb4a1d1a96d312","kind":"SERVER",
	"timestamp":1472470996200000,"duration":1000,"localEndpoint":{"serviceName":"backend"},"shared":true}]`
	v1JSON = `[{"traceId":"463ac35c9f6413ad48485a3953bb6124","name":"get","id":"a2fb4a1d1a96d312","parentId":"00000000000000aa",
	"timestamp":1472470996199000,"duration":207000,"debug":true,
	"annotations":[{"timestamp":1472470996199000,"value":"cs","endpoint":{"serviceName":"frontend","ipv4":"127.0.0.1","port":8080}},
	{"timestamp":1472470996238000,"value":"sr","endpoint":{"serviceName":"backend","ipv6":"2001:db8::c001","port":9000}},
	{"timestamp":1472470996250000,"value":"Demo2Application.foo","endpoint":{"serviceName":"backend","ipv6":"2001:db8::c001","port":9000}},
	{"timestamp":1472470996350000,"value":"ss","endpoint":{"serviceName":"backend","ipv6":"2001:db8::c001","port":9000}},
	{"timestamp":1472470996406000,"value":"cr","endpoint":{"serviceName":"frontend","ipv4":"127.0.0.1","port":8080}}],
	"binaryAnnotations":[{"key":"http.path","value":"/api","endpoint":{"serviceName":"frontend","ipv4":"127.0.0.1","port":8080}},
	{"key":"http.rsp.status","value":200,"type":"I32","endpoint":{"serviceName":"backend","ipv6":"2001:db8::c001","port":9000}},
	{"key":"l5d.ratio","value":0.5,"type":"DOUBLE","endpoint":{"serviceName":"frontend"}},
	{"key":"sa","value":true,"endpoint":{"serviceName":"backend","ipv4":"10.0.0.9","port":9000}},
	{"key":"ca","value":true,"endpoint":{"serviceName":"frontend","ipv4":"127.0.0.1","port":63840}}]}]`
)

func thriftOf(t testing.TB, list string) []byte {
	t.Helper()
	var spans []v1span.Span
	if err := json.Unmarshal([]byte(list), &spans); err != nil {
		t.Fatal(err)
	}
	for i := range spans {
		for j := range spans[i].Binary { // JSON's numbers
			if v, ok := spans[i].Binary[j].Value.(float64); ok && spans[i].Binary[j].Type == "I32" {
				spans[i].Binary[j].Value = int32(v)
			}
		}
	}
	return v1span.Thrift(spans)
}

func protoOf(t testing.TB, list string) []byte {
	t.Helper()
	var spans []*model.SpanModel
	err := json.Unmarshal([]byte(list), &spans)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := zipkin_proto3.SpanSerializer{}.Serialize(spans)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// through is what comes out as v2 JSON when a list goes in.
func through(t testing.TB, f Format, list []byte) []map[string]any {
	t.Helper()
	raw, err := Decode(f, list, now, trace.DefaultLimits())
	if err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	var b trace.Batch
	if err := b.Index(raw, trace.DefaultLimits()); err != nil || b.Refused.Total() > 0 {
		t.Fatalf("%s: %v, refused %+v", f, err, b.Refused)
	}
	spans, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	if err := json.Unmarshal(EncodeTrace(&trace.Trace{Spans: spans}), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func parsed(t testing.TB, list string) []map[string]any {
	t.Helper()
	var out []map[string]any
	if err := json.Unmarshal([]byte(list), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestProto: what zipkin-go writes is what it says in JSON.
func TestProto(t *testing.T) {
	if diff := gocmp.Diff(through(t, JSONV2, []byte(v2JSON)), through(t, Proto3, protoOf(t, v2JSON))); diff != "" {
		t.Errorf("(-JSON +proto3):\n%s", diff)
	}
	if diff := gocmp.Diff(parsed(t, v2JSON), through(t, Proto3, protoOf(t, v2JSON))); diff != "" {
		t.Errorf("(-in +out):\n%s", diff)
	}
}

// TestSharedSpan: both sides of a call, in one v1 span, are two spans, with what Zipkin's server drops.
func TestSharedSpan(t *testing.T) {
	want := parsed(t, `[{"traceId":"463ac35c9f6413ad48485a3953bb6124","parentId":"00000000000000aa","id":"a2fb4a1d1a96d312","kind":"CLIENT","name":"get",
	"timestamp":1472470996199000,"duration":207000,"localEndpoint":{"serviceName":"frontend","ipv4":"127.0.0.1","port":8080},
	"remoteEndpoint":{"serviceName":"backend","ipv4":"10.0.0.9","port":9000},"tags":{"http.path":"/api","l5d.ratio":"0.5"},"debug":true},
	{"traceId":"463ac35c9f6413ad48485a3953bb6124","parentId":"00000000000000aa","id":"a2fb4a1d1a96d312","kind":"SERVER","name":"get",
	"timestamp":1472470996238000,"duration":112000,"localEndpoint":{"serviceName":"backend","ipv6":"2001:db8::c001","port":9000},
	"remoteEndpoint":{"serviceName":"frontend","ipv4":"127.0.0.1","port":63840},"annotations":[{"timestamp":1472470996250000,"value":"Demo2Application.foo"}],
	"tags":{"http.rsp.status":"200"},"shared":true,"debug":true}]`)
	if diff := gocmp.Diff(want, through(t, JSONV1, []byte(v1JSON))); diff != "" {
		t.Errorf("JSON (-want +out):\n%s", diff)
	}
	if diff := gocmp.Diff(want, through(t, Thrift, thriftOf(t, v1JSON))); diff != "" {
		t.Errorf("Thrift (-want +out):\n%s", diff)
	}
}

// TestV1 holds the rules, one by one; test/zipkin holds them against Zipkin's server.
func TestV1(t *testing.T) {
	const a, b, c = `"endpoint":{"serviceName":"a"}`, `"endpoint":{"serviceName":"b"}`, `"endpoint":{"serviceName":"c","port":7}`
	at := func(us int, value, endpoint string) string {
		return fmt.Sprintf(`{"timestamp":%d,"value":%q,%s}`, us, value, endpoint)
	}
	tag := func(key, value, endpoint string) string {
		return fmt.Sprintf(`{"key":%q,"value":%s,%s}`, key, value, endpoint)
	}
	f := func(name, head string, annotations, binaries []string, want ...string) {
		t.Helper()
		list := fmt.Sprintf(`[{"traceId":"1","id":"2",%s"annotations":[%s],"binaryAnnotations":[%s]}]`, head, strings.Join(annotations, ","), strings.Join(binaries, ","))
		for format, in := range map[Format][]byte{JSONV1: []byte(list), Thrift: thriftOf(t, list)} {
			var got []string
			for _, m := range through(t, format, in) {
				delete(m, "traceId")
				delete(m, "id")
				out, err := json.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(out))
			}
			slices.Sort(got)
			if slices.Sort(want); !slices.Equal(got, want) {
				t.Errorf("%s in %s:\n%s; want\n%s", name, format, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	none := []string{}
	f("a local span", `"timestamp":5,"duration":7,"name":"Work",`, none, []string{tag("lc", `""`, a)},
		`{"duration":7,"localEndpoint":{"serviceName":"a"},"name":"Work","timestamp":5}`)
	f("a component", `"timestamp":5,`, none, []string{tag("lc", `"jdbc"`, a)}, `{"localEndpoint":{"serviceName":"a"},"tags":{"lc":"jdbc"},"timestamp":5}`)
	f("a client", "", []string{at(9, "cr", a), at(5, "cs", a)}, []string{tag("sa", "true", c)},
		`{"duration":4,"kind":"CLIENT","localEndpoint":{"serviceName":"a"},"remoteEndpoint":{"port":7,"serviceName":"c"},"timestamp":5}`)
	f("a client whose own times count", `"timestamp":4,"duration":6,`, []string{at(9, "cr", a), at(5, "cs", a)}, none,
		`{"duration":6,"kind":"CLIENT","localEndpoint":{"serviceName":"a"},"timestamp":4}`)
	f("a server", `"timestamp":5,"duration":4,`, []string{at(5, "sr", a), at(9, "ss", a)}, []string{tag("ca", "true", c)},
		`{"duration":4,"kind":"SERVER","localEndpoint":{"serviceName":"a"},"remoteEndpoint":{"port":7,"serviceName":"c"},"timestamp":5}`)
	f("a server with a client's name and port", `"timestamp":5,"duration":4,`, []string{at(5, "sr", a), at(9, "ss", a)}, []string{tag("ca", "true", `"endpoint":{"serviceName":"a","port":7}`)},
		`{"duration":4,"kind":"SERVER","localEndpoint":{"serviceName":"a"},"remoteEndpoint":{"port":7},"timestamp":5}`)
	f("a server that took the span over", "", []string{at(5, "sr", a), at(9, "ss", a)}, none,
		`{"duration":4,"kind":"SERVER","localEndpoint":{"serviceName":"a"},"shared":true,"timestamp":5}`)
	f("the end of a client alone, where the span ends", `"timestamp":5,"duration":4,`, []string{at(9, "cr", a)}, none,
		`{"duration":4,"kind":"CLIENT","localEndpoint":{"serviceName":"a"},"timestamp":5}`)
	f("the end of a client alone", "", []string{at(9, "cr", a)}, none,
		`{"annotations":[{"timestamp":9,"value":"cr"}],"kind":"CLIENT","localEndpoint":{"serviceName":"a"}}`)
	f("the begin of a client alone", "", []string{at(5, "cs", a)}, none, `{"kind":"CLIENT","localEndpoint":{"serviceName":"a"},"timestamp":5}`)
	f("the begin of a server alone", "", []string{at(5, "sr", a)}, none, `{"kind":"SERVER","localEndpoint":{"serviceName":"a"},"shared":true,"timestamp":5}`)
	f("one way", "", []string{at(5, "cs", a), at(7, "sr", b)}, none,
		`{"kind":"CLIENT","localEndpoint":{"serviceName":"a"},"timestamp":5}`, `{"kind":"SERVER","localEndpoint":{"serviceName":"b"},"shared":true,"timestamp":7}`)
	f("who calls itself", "", []string{at(5, "cs", a), at(6, "sr", a), at(8, "ss", a), at(9, "cr", a)}, none,
		`{"duration":4,"kind":"CLIENT","localEndpoint":{"serviceName":"a"},"timestamp":5}`, `{"duration":2,"kind":"SERVER","localEndpoint":{"serviceName":"a"},"shared":true,"timestamp":6}`)
	f("a message from end to end", "", []string{at(1, "ms", a), at(2, "ws", a), at(3, "wr", b), at(4, "mr", b)}, []string{tag("ma", "true", c)},
		`{"duration":1,"kind":"PRODUCER","localEndpoint":{"serviceName":"a"},"remoteEndpoint":{"port":7,"serviceName":"c"},"timestamp":1}`,
		`{"duration":1,"kind":"CONSUMER","localEndpoint":{"serviceName":"b"},"remoteEndpoint":{"port":7,"serviceName":"c"},"shared":true,"timestamp":3}`)
	f("a message that was sent", "", []string{at(1, "ms", a)}, none, `{"kind":"PRODUCER","localEndpoint":{"serviceName":"a"},"timestamp":1}`)
	f("a message that came", "", []string{at(4, "mr", a), at(2, "wr", a)}, none, `{"duration":2,"kind":"CONSUMER","localEndpoint":{"serviceName":"a"},"timestamp":2}`)
	f("on the wire, but no message", "", []string{at(5, "cs", a), at(6, "ws", a), at(8, "wr", a), at(9, "cr", a)}, none,
		`{"annotations":[{"timestamp":6,"value":"ws"},{"timestamp":8,"value":"wr"}],"duration":4,"kind":"CLIENT","localEndpoint":{"serviceName":"a"},"timestamp":5}`)
	f("addresses alone", `"timestamp":5,`, none, []string{tag("ca", "true", a), tag("sa", "true", b)},
		`{"localEndpoint":{"serviceName":"a"},"remoteEndpoint":{"serviceName":"b"},"timestamp":5}`)
	f("a server's address alone", `"timestamp":5,`, none, []string{tag("sa", "true", b)}, `{"remoteEndpoint":{"serviceName":"b"},"timestamp":5}`)
	f("a client's address alone", `"timestamp":5,`, none, []string{tag("ca", "true", b)}, `{"kind":"SERVER","remoteEndpoint":{"serviceName":"b"},"timestamp":5}`)
	f("no endpoints", `"timestamp":5,`, []string{`{"timestamp":6,"value":"cs"}`}, []string{`{"key":"k","value":"v"}`}, `{"annotations":[{"timestamp":6,"value":"cs"}],"tags":{"k":"v"},"timestamp":5}`)
	f("tags of two services", `"timestamp":5,`, none, []string{tag("k", `"v"`, b), tag("j", `"w"`, a)},
		`{"localEndpoint":{"serviceName":"a"},"tags":{"j":"w"},"timestamp":5}`, `{"localEndpoint":{"serviceName":"b"},"tags":{"k":"v"}}`)
	f("what Zipkin drops makes no spans", `"timestamp":5,`, none, []string{tag("k", `"v"`, a), tag("yes", "true", b), tag("n", "1.5", b), tag("sa", "false", b)},
		`{"localEndpoint":{"serviceName":"a"},"tags":{"k":"v","n":"1.5","sa":"false","yes":"true"},"timestamp":5}`)
}

// TestTypedValues: they stay what they are.
func TestTypedValues(t *testing.T) {
	s := v1span.Span{TraceID: "1", ID: "2", Timestamp: 5, Binary: []v1span.Binary{
		{Key: "bool", Value: true},
		{Key: "bytes", Value: []byte{0xfe, 0}},
		{Key: "i16", Value: int16(-2)},
		{Key: "i32", Value: int32(-3)},
		{Key: "i64", Value: int64(1) << 62},
		{Key: "double", Value: -0.25},
		{Key: "string", Value: "s"},
		{Key: "error", Value: "broke"},
	}}
	raw, err := Decode(Thrift, v1span.Thrift([]v1span.Span{s}), now, trace.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var b trace.Batch
	if err := b.Index(raw, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	spans, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]trace.Value{
		"bool": trace.Bool(true), "bytes": trace.Bytes([]byte{0xfe, 0}), "i16": trace.Int(-2), "i32": trace.Int(-3), "i64": trace.Int(1 << 62),
		"double": trace.Double(-0.25), "string": trace.String("s"), "error": trace.String("broke"),
	} {
		if got, ok := trace.Get(spans[0].Attrs, key); !ok || !got.Equal(want) {
			t.Errorf("%s is %v %s; want %v %s", key, got.Type(), got.Text(), want.Type(), want.Text())
		}
	}
	if spans[0].Status != trace.StatusError || spans[0].StatusMessage != "broke" {
		t.Errorf("status %v %q", spans[0].Status, spans[0].StatusMessage)
	}
}

// TestFormatErrors: texts begin as Zipkin's.
func TestFormatErrors(t *testing.T) {
	whole := thriftOf(t, v1JSON)
	huge := append([]byte{12, 0x7f, 0xff, 0xff, 0xff}, whole[5:]...)
	f := func(format Format, in, want string) {
		t.Helper()
		_, err := Decode(format, []byte(in), now, trace.DefaultLimits())
		if trace.KindOf(err) != trace.Invalid || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s %.40q: %v; want %q", format, in, err, want)
		}
	}
	f(JSONV1, "{}", "Expected a JSON_V1 encoded list")
	f(JSONV1, v2JSON, "Expected a JSON_V1 encoded list, but received: JSON_V2")
	f(JSONV2, v1JSON, "Expected a JSON_V2 encoded list, but received: JSON_V1")
	f(JSONV1, `[{"traceId":"1","id":"2"},{"id":"1"}]`, "Malformed reading List<Span> from json: span 1: has no traceId")
	f(JSONV1, `[{"traceId":"1","id":"2","annotations":[{"value":"x"}]}]`, "Malformed reading List<Span> from json: span 0: has an annotation without a timestamp or a value")
	f(JSONV1, `[{"traceId":"1","id":"2","binaryAnnotations":[{"value":"x"}]}]`, "Malformed reading List<Span> from json: span 0: has a binary annotation without a key")
	f(Proto3, "[]", "Expected a PROTO3 encoded list")
	f(Proto3, "\x0a\x05\x0a\x10", "Malformed reading List<Span> from proto3: span 0: broken field")
	f(Proto3, "\x0a\x02\x0a\x10", "Malformed reading List<Span> from proto3: span 0: broken field")
	f(Proto3, "\x0a\x00", "Malformed reading List<Span> from proto3: span 0: has no trace_id")
	f(Proto3, "\x0a\x13\x0a\x11"+strings.Repeat("x", 17), "Malformed reading List<Span> from proto3: span 0: trace_id has 17 bytes; want 1 to 16")
	f(Thrift, "[]", "Expected a THRIFT encoded list")
	f(Thrift, "\x0c\xff\xff\xff\xff", "Malformed reading List<Span> from TBinary: span 0: list of -1 elements")
	f(Thrift, "\x0c\x00\x00\x00\x01\x00", "Malformed reading List<Span> from TBinary: span 0: has no trace_id")
	f(Thrift, string(whole[:len(whole)-9]), "Malformed reading List<Span> from TBinary: span 0: ")
	f(Thrift, string(huge), "Malformed reading List<Span> from TBinary: span 1: struct does not end")
	for _, format := range []Format{JSONV1, JSONV2, Proto3, Thrift} {
		if raw, err := Decode(format, nil, now, trace.DefaultLimits()); err != nil || len(raw) > 0 {
			t.Errorf("nothing in %s: %d bytes, %v", format, len(raw), err)
		}
	}
}

// TestManyServices: a name that would be in the spans of many services does not become many times what came.
func TestManyServices(t *testing.T) {
	s := v1span.Span{TraceID: "1", ID: "2", Name: strings.Repeat("n", 1<<20)}
	for i := range 60 {
		s.Annotations = append(s.Annotations, v1span.Annotation{Timestamp: 1, Value: "x", Endpoint: &v1span.Endpoint{Service: fmt.Sprint(i)}})
	}
	_, err := Decode(Thrift, v1span.Thrift([]v1span.Span{s}), now, trace.DefaultLimits())
	if trace.KindOf(err) != trace.TooLarge || !strings.Contains(err.Error(), "becomes far larger than it came") {
		t.Errorf("a long name: %v", err)
	}
	s.Name = ""
	if raw, err := Decode(Thrift, v1span.Thrift([]v1span.Span{s}), now, trace.DefaultLimits()); err != nil || len(raw) == 0 {
		t.Errorf("no name: %v", err)
	}
	for i := range 60 {
		s.Annotations = append(s.Annotations, v1span.Annotation{Timestamp: 1, Value: "x", Endpoint: &v1span.Endpoint{Service: fmt.Sprint(100 + i)}})
	}
	_, err = Decode(Thrift, v1span.Thrift([]v1span.Span{s}), now, trace.DefaultLimits())
	if trace.KindOf(err) != trace.TooLarge || !strings.Contains(err.Error(), "names more than 64 services") {
		t.Errorf("120 services: %v", err)
	}
}

// TestAllocations: a span more costs no allocation but room for its bytes, an IPv6 address in JSON's text, and JSON's rare numbers in v1.
func TestAllocations(t *testing.T) {
	many := func(list string, n int) string {
		one := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(list), "["), "]")
		return "[" + strings.Repeat(one+",", n-1) + one + "]"
	}
	for _, c := range []struct {
		f    Format
		most float64 // of an element of the list, beside those for longer buffers
		make func(n int) []byte
	}{
		{JSONV2, 1.5, func(n int) []byte { return []byte(many(v2JSON, n)) }},
		{Proto3, 0.5, func(n int) []byte { return protoOf(t, many(v2JSON, n)) }},
		{JSONV1, 6, func(n int) []byte { return []byte(many(strings.ReplaceAll(v1JSON, `"value":0.5`, `"value":"0.5"`), n)) }},
		{Thrift, 0.5, func(n int) []byte { return thriftOf(t, many(v1JSON, n)) }},
	} {
		few, more := c.make(1), c.make(101)
		count := func(in []byte) float64 {
			return testing.AllocsPerRun(5, func() {
				if _, err := Decode(c.f, in, now, trace.DefaultLimits()); err != nil {
					t.Fatal(err)
				}
			})
		}
		if n := (count(more) - count(few)) / 100; n > c.most+raceAllocations {
			t.Errorf("%s: %.2f allocations a list's element", c.f, n)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		f    Format
		in   []byte
		each int // spans that come out of the list
	}{
		{JSONV2, []byte(v2JSON), 2}, {Proto3, protoOf(b, v2JSON), 2}, {JSONV1, []byte(v1JSON), 2}, {Thrift, thriftOf(b, v1JSON), 2},
	} {
		in := c.in
		switch c.f { // a thousand spans
		case JSONV1, JSONV2:
			in = []byte("[" + strings.Repeat(strings.Trim(string(in), "[]")+",", 499) + strings.Trim(string(in), "[]") + "]")
		case Proto3:
			in = []byte(strings.Repeat(string(in), 500))
		case Thrift:
			in = append([]byte{12, 0, 0, 1, 0xf4}, strings.Repeat(string(in[5:]), 500)...)
		}
		b.Run(c.f.String(), func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(c.f, in, now, trace.DefaultLimits()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/span")
		})
	}
}

// TestManyEndpoints: a v1 span may have no more endpoints than it may have annotations, though one annotation may repeat its own.
func TestManyEndpoints(t *testing.T) {
	limits := trace.DefaultLimits()
	limits.Items = 100
	annotation := `{"timestamp":1,"value":"a"` + strings.Repeat(`,"endpoint":{"port":1}`, 101) + `}`
	var w thrift.Writer
	w.List(thrift.Struct, 1)
	w.Struct()
	w.Field(6<<8 | thrift.List)
	w.List(thrift.Struct, 1)
	w.Struct()
	for range 101 {
		w.Field(3<<8 | thrift.Struct)
		w.Struct()
		w.Field(2<<8 | thrift.I16)
		w.I16(1)
		w.End()
	}
	w.End()
	w.End()
	for f, list := range map[Format]string{JSONV1: `[{"traceId":"1","id":"2","annotations":[` + annotation + `]}]`, Thrift: string(w.Out)} {
		if _, err := Decode(f, []byte(list), now, limits); trace.KindOf(err) != trace.TooLarge {
			t.Errorf("%v: %v; want an error of kind too large", f, err)
		}
	}
}
