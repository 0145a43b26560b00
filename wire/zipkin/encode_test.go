package zipkin

import (
	"encoding/json"
	"testing"

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

// TestStatusDescription: a message that came apart from the mark of an error goes out as it came.
func TestStatusDescription(t *testing.T) {
	const tags = `{"error":"true","otel.status_code":"ERROR","otel.status_description":"no stock"}`
	spans := decode(t, `[{"traceId":"1","id":"2","timestamp":1,"tags":`+tags+`}]`)
	var got []model.SpanModel
	if err := json.Unmarshal(EncodeSpans(spans), &got); err != nil {
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
