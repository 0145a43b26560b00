package otlp

import (
	"math"
	"reflect"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// TestDecodeLibrarySpans: SDKs of before OTLP 0.15 call scopes instrumentation libraries. In protobuf the numbers are the same; in
// JSON their spans must not be lost to another name.
func TestDecodeLibrarySpans(t *testing.T) {
	const body = `{"resourceSpans":[{"resource":{"attributes":[],"droppedAttributesCount":0},"instrumentationLibrarySpans":[{"spans":[{
		"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"GET /hello","kind":2,
		"startTimeUnixNano":1795540312754819000,"endTimeUnixNano":1795540312812121000,"status":{"code":0}}],
		"instrumentationLibrary":{"name":"@opentelemetry/instrumentation-http","version":"0.24.0"}}]}]}`
	spans, err := decodeJSON([]byte(body))
	if err != nil || len(spans) != 1 {
		t.Fatalf("%d spans, %v; want 1", len(spans), err)
	}
	if s := spans[0]; s.Name != "GET /hello" || s.Scope.Name != "@opentelemetry/instrumentation-http" || s.Scope.Version != "0.24.0" {
		t.Errorf("got %q of scope %+v", s.Name, s.Scope)
	}
}

// TestDecodeHugeInt: the Node.js SDK calls every whole number an integer in JSON, also one beyond 64 bits. It is a double, as
// in the SDK's protobuf, and the rest of the batch is kept.
func TestDecodeHugeInt(t *testing.T) {
	for text, want := range map[string]trace.Value{
		"100000000000000000000":   trace.Double(1e20),
		"1.7976931348623157e+308": trace.Double(math.MaxFloat64),
		"9223372036854776000":     trace.Double(1 << 63),
		"9223372036854775807":     trace.Int(math.MaxInt64),
		"-9223372036854776000":    trace.Int(math.MinInt64),
		"-1e+19":                  trace.Double(-1e19),
	} {
		spans, err := decodeJSON([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",
			"startTimeUnixNano":"1795540312754819000","endTimeUnixNano":"1795540312754819000","attributes":[{"key":"n","value":{"intValue":` + text + `}}]}]}]}]}`))
		if err != nil || len(spans) != 1 {
			t.Errorf("%s: %d spans, %v", text, len(spans), err)
		} else if got := spans[0].Attrs[0].Value; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v %v, want %v %v", text, got.Type(), got, want.Type(), want)
		}
	}
}
