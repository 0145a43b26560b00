package zipkin

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/openzipkin/zipkin-go/model"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

func TestEncodeGolden(t *testing.T) {
	spans := testkit.Sample()
	testkit.Golden(t, "testdata/trace.json", EncodeTrace(&trace.Trace{ID: spans[0].TraceID, Spans: spans}))
}

// TestZipkinGo reads our JSON with the library that Grafana reads it with: it refuses a whole list for one bad span.
func TestZipkinGo(t *testing.T) {
	spans := testkit.Sample()
	var got []model.SpanModel
	if err := json.Unmarshal(EncodeTrace(&trace.Trace{ID: spans[0].TraceID, Spans: spans}), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(spans) {
		t.Fatalf("%d spans; want %d", len(got), len(spans))
	}
	root, client, server := got[0], got[1], got[2]
	if root.TraceID.String() != spans[0].TraceID.String() || root.ParentID != nil || root.Kind != model.Server || root.Tags["http.status_code"] != "200" ||
		root.LocalEndpoint.ServiceName != "shop/web" || len(root.Annotations) != 4 || root.Timestamp.UnixMicro() != testkit.SampleTime/1000 || root.Duration.Milliseconds() != 100 {
		t.Errorf("root %+v", root)
	}
	if client.ID != server.ID || client.Kind != model.Client || client.Tags["error"] != "no stock" || client.RemoteEndpoint == nil ||
		client.RemoteEndpoint.ServiceName != "stock" || client.RemoteEndpoint.IPv4.String() != "10.0.0.7" || client.RemoteEndpoint.Port != 8080 {
		t.Errorf("client %+v with %+v", client, client.RemoteEndpoint)
	}
	if server.LocalEndpoint.IPv6.String() != "::1" || server.Tags["error"] != "true" {
		t.Errorf("server %+v", server)
	}
}

// TestAppendSpans: the list is what EncodeTrace makes of each span.
func TestAppendSpans(t *testing.T) {
	spans := testkit.Sample()
	text := func(k, v string) trace.Attr { return trace.Attr{Key: k, Value: trace.String(v)} }
	odd := spans[1]
	odd.Resource = &trace.Resource{Attrs: []trace.Attr{text("a", "1"), text("error", "of the resource"), text("a", "2"), text("z", "")}}
	odd.Attrs = []trace.Attr{
		text("z", "last"), text("a", "x"), text("a", "y"), text("zipkin.no_timestamp", ""),
		{Key: "zipkin.debug", Value: trace.Bool(true)},
		{Key: "zipkin.shared", Value: trace.Bool(true)},
		{Key: "network.local.port", Value: trace.Int(80)},
		text("\"\n<", "\xff\u2028"), text("otel.scope.name", "taken"),
	}
	bare := trace.Span{TraceID: odd.TraceID, ID: odd.ID, Resource: &trace.Resource{}, Scope: &trace.Scope{}}
	came := spans[2]
	came.StatusMessage = "no stock"
	for _, s := range append(spans, odd, bare, came) {
		var got, want any
		if err := json.Unmarshal(AppendSpans(nil, []trace.Span{s}), &got); err != nil {
			t.Fatalf("%v: %s", err, AppendSpans(nil, []trace.Span{s}))
		}
		if err := json.Unmarshal(EncodeTrace(&trace.Trace{Spans: []trace.Span{s}}), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v\nwant %v", got, want)
		}
	}
	var all []any
	if err := json.Unmarshal(AppendSpans(nil, spans), &all); err != nil || len(all) != len(spans) || string(AppendSpans(nil, nil)) != "[]" {
		t.Errorf("%d spans, %v", len(all), err)
	}
}

// TestStatusDescription: a message that came apart from the mark of an error goes out as it came.
func TestStatusDescription(t *testing.T) {
	const tags = `{"error":"true","otel.status_code":"ERROR","otel.status_description":"no stock"}`
	spans := decode(t, `[{"traceId":"1","id":"2","timestamp":1,"tags":`+tags+`}]`)
	var got []model.SpanModel
	if err := json.Unmarshal(AppendSpans(nil, spans), &got); err != nil {
		t.Fatal(err)
	}
	if have := got[0].Tags; have["error"] != "true" || have["otel.status_description"] != "no stock" {
		t.Errorf("tags %v; want %s", have, tags)
	}
}

func TestFormatID(t *testing.T) {
	for in, want := range map[string]string{"ab": "00000000000000ab", "1000000000000000ab": "000000000000001000000000000000ab"} {
		id, err := trace.ParseID(in)
		if err != nil || FormatID(id) != want {
			t.Errorf("%s is %s (%v); want %s", in, FormatID(id), err, want)
		}
	}
}

// TestEncode: spans come out of each format as they went in, but for what v1 has no place for.
func TestEncode(t *testing.T) {
	list := `[
	{"traceId":"463ac35c9f6413ad48485a3953bb6124","id":"a2fb4a1d1a96d312","kind":"CLIENT","name":"get /api","timestamp":1472470996199000,"duration":207000,
	 "localEndpoint":{"serviceName":"frontend","ipv4":"127.0.0.1","port":8080},"remoteEndpoint":{"serviceName":"backend","ipv4":"192.168.99.101","port":9000},
	 "annotations":[{"timestamp":1472470996238000,"value":"foo"},{"timestamp":1472470996403000,"value":"bar"}],"tags":{"http.path":"/api","error":"","x":"y"}},
	{"traceId":"463ac35c9f6413ad48485a3953bb6124","parentId":"00000000000000aa","id":"a2fb4a1d1a96d312","kind":"SERVER","name":"post","timestamp":1472470996200000,"duration":10,
	 "localEndpoint":{"serviceName":"backend"},"debug":true},
	{"traceId":"48485a3953bb6124","id":"000000000000000a","name":"local","timestamp":7,"duration":1,"localEndpoint":{"serviceName":"backend"}},
	{"traceId":"48485a3953bb6124","id":"000000000000000b","name":"in","kind":"CONSUMER","timestamp":5,"duration":2,"localEndpoint":{"serviceName":"backend","ipv6":"2001:db8::c001"}},
	{"traceId":"48485a3953bb6124","id":"000000000000000c","name":"out","kind":"PRODUCER","timestamp":6,"duration":3,"localEndpoint":{"serviceName":"backend"},"remoteEndpoint":{"serviceName":"kafka"}}]`
	want := parsed(t, list)
	byText := cmpopts.SortSlices(func(a, b map[string]any) bool { return fmt.Sprint(a) < fmt.Sprint(b) }) // the order is the encoder's
	for _, f := range []Format{JSONV2, JSONV1, Proto3, Thrift} {
		if diff := gocmp.Diff(want, through(t, f, Encode(f, decode(t, list))), byText); diff != "" {
			t.Errorf("%v (-in +out):\n%s", f, diff)
		}
	}
	span := decode(t, list)[0]
	d := NewDecoder(time.Unix(1, 0), trace.DefaultLimits())
	if err := d.ThriftSpan(AppendThriftSpan(nil, &span)); err != nil {
		t.Error(err)
	}
}
