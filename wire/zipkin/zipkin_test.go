package zipkin

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clewtrace/clew/trace"
)

var now = time.Unix(1_700_000_000, 42)

// decode returns what the batch of a list has. It fails the test if the list is refused.
func decode(t testing.TB, list string) []trace.Span {
	t.Helper()
	raw, err := Decode(JSONV2, []byte(list), now, trace.DefaultLimits())
	if err != nil {
		t.Fatalf("%.200s: %v", list, err)
	}
	var b trace.Batch
	if err := b.Index(raw, trace.DefaultLimits()); err != nil || b.Refused.Total() > 0 {
		t.Fatalf("%.200s: %v, refused %+v", list, err, b.Refused)
	}
	spans, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	return spans
}

// attrsOf returns attributes as text.
func attrsOf(s *trace.Span) string {
	var out []string
	for _, a := range s.Attrs {
		out = append(out, a.Key+"="+a.Value.Text())
	}
	return strings.Join(out, " ")
}

func TestDecode(t *testing.T) {
	f := func(members, field, want string) {
		t.Helper()
		s := &decode(t, `[{"traceId":"1","id":"2","timestamp":5,`+members+`}]`)[0]
		got := map[string]string{
			"attrs": attrsOf(s), "trace": s.TraceID.String(), "id": s.ID.String(), "parent": s.Parent.String(), "kind": s.Kind.String(), "name": s.Name,
			"times": fmt.Sprint(s.Start, s.End), "status": s.Status.String() + " " + s.StatusMessage, "service": s.Service(), "events": fmt.Sprint(s.Events),
		}[field]
		if got != want {
			t.Errorf("%s: %s is %q; want %q", members, field, got, want)
		}
	}
	// IDs: 64 and 128 bits, leading zeros left out, upper case.
	f(`"traceId":"ABCDEF"`, "trace", "00000000000000000000000000abcdef")
	f(`"traceId":"463ac35c9f6413ad"`, "trace", "0000000000000000463ac35c9f6413ad")
	f(`"traceId":"463ac35c9f6413ad48485a3953bb6124"`, "trace", "463ac35c9f6413ad48485a3953bb6124")
	f(`"traceId":"1463ac35c9f6413ad"`, "trace", "0000000000000001463ac35c9f6413ad")
	f(`"id":"f"`, "id", "000000000000000f")
	f(`"parentId":"A"`, "parent", "000000000000000a")
	f(`"parentId":"0000000000000000"`, "parent", "0000000000000000")
	f(`"parentId":null`, "parent", "0000000000000000")
	// Kinds and names.
	f(`"kind":"CLIENT"`, "kind", "client")
	f(`"kind":"CONSUMER"`, "kind", "consumer")
	f(`"kind":null`, "kind", "unspecified")
	f(`"kind":"WHO_KNOWS"`, "kind", "unspecified")
	f(`"name":"GET /żółć \ud83d\ude00"`, "name", "GET /żółć 😀")
	// Times: µs; a number in any form; what does not fit is the end of time, and not the beginning.
	f(`"timestamp":1472470996199000,"duration":207000`, "times", "1472470996199000000 1472470996406000000")
	f(`"timestamp":1.472470996199E15`, "times", "1472470996199000000 1472470996199000000")
	f(`"timestamp":"7","duration":"1"`, "times", "7000 8000")
	f(`"timestamp":0`, "times", "1700000000000000042 1700000000000000042")
	f(`"timestamp":0`, "attrs", "zipkin.no_timestamp=true")
	f(`"timestamp":-1,"duration":-5`, "attrs", "zipkin.no_timestamp=true") // as Zipkin's server has it
	f(`"duration":18446744073709551615`, "times", fmt.Sprint(5000, uint64(math.MaxUint64)))
	f(`"timestamp":18446744073709552`, "times", fmt.Sprint(uint64(math.MaxUint64), uint64(math.MaxUint64)))
	// Endpoints.
	f(`"localEndpoint":{"serviceName":"cart"}`, "service", "cart")
	f(`"localEndpoint":{}`, "service", "unknown_service")
	f(`"localEndpoint":null`, "service", "unknown_service")
	f(`"localEndpoint":{"serviceName":"a","ipv4":"10.0.0.1","port":80}`, "attrs", "network.local.address=10.0.0.1 network.local.port=80")
	f(`"remoteEndpoint":{"serviceName":"b","ipv4":"10.0.0.2","ipv6":"2001:DB8::C001","port":"443"}`, "attrs", "peer.service=b network.peer.address=10.0.0.2 network.peer.ipv6=2001:db8::c001 network.peer.port=443")
	f(`"remoteEndpoint":{"ipv6":"::ffff:10.0.0.3"}`, "attrs", "network.peer.address=10.0.0.3")
	f(`"remoteEndpoint":{"ipv4":"2001:db8::1"}`, "attrs", "network.peer.ipv6=2001:db8::1")
	f(`"remoteEndpoint":{"ipv6":"::10.0.0.3","port":-1}`, "attrs", "network.peer.address=10.0.0.3")
	f(`"remoteEndpoint":{"ipv6":"::1"}`, "attrs", "network.peer.ipv6=::1")
	f(`"remoteEndpoint":{"ipv4":"db.local","port":0}`, "attrs", "network.peer.address=db.local")
	f(`"remoteEndpoint":{"ipv4":""}`, "attrs", "")
	// Tags, in order of their keys; the last of one key counts.
	f(`"tags":{"b":"2","a":"1","b":"3"}`, "attrs", "a=1 b=3")
	f(`"tags":{"n":1.50,"t":true,"z":null}`, "attrs", "n=1.50 t=true z=")
	f(`"tags":{"error":""}`, "status", "error ")
	f(`"tags":{"error":"timeout"}`, "status", "error timeout")
	f(`"tags":{"error":"timeout"}`, "attrs", "error=timeout")
	f(`"tags":{"otel.status_code":"OK"}`, "status", "ok ")
	f(`"tags":{"otel.status_code":"ERROR","error":"x"}`, "status", "error x")
	f(`"tags":{"otel.status_code":"ERROR","otel.status_description":"no stock","error":"true"}`, "status", "error no stock") // the Collector's exporter
	f(`"tags":{"otel.status_description":"no stock"}`, "attrs", "otel.status_description=no stock")
	f(`"tags":{"otel.status_code":"ODD"}`, "attrs", "otel.status_code=ODD")
	f(`"debug":true,"shared":true`, "attrs", "zipkin.debug=true zipkin.shared=true")
	f(`"kind":"CLIENT","shared":true`, "attrs", "")
	f(`"debug":false,"shared":false`, "attrs", "")
	f(`"annotations":[{"timestamp":6,"value":"foo"},{"value":"bar","timestamp":7}]`, "events", `[{6000 foo [] 0} {7000 bar [] 0}]`)
	f(`"annotations":null,"tags":null,"whatever":{"x":[1,{"y":null}]}`, "attrs", "")
}

func TestDecodeErrors(t *testing.T) {
	for list, want := range map[string]string{
		`{}`:                           "Expected a JSON_V2 encoded list",
		`[{"binaryAnnotations":[]}]`:   "but received: JSON_V1",
		`[`:                            "span 0: the end instead of",
		`[{"traceId":"1","id":"2"}`:    "span 1: the end instead of , or ]",
		`[{"traceId":"1","id":"2"},7]`: "span 1: a number instead of an object at byte 26",
		`[{"traceId":"1","id":"2"}] x`: "behind the end",
		`[{}]`:                         "span 0: has no traceId",
		`[null]`:                       "span 0: has no traceId",
		`[{"traceId":"1"}]`:            "span 0: has no id",
		`[{"traceId":"x","id":"2"}]`:   `span 0: traceId "x": 'x' is not a hexadecimal digit`,
		`[{"traceId":"","id":"2"}]`:    `traceId "": has 0 characters`,
		`[{"traceId":7,"id":"2"}]`:     "a number instead of a string",
		`[{"traceId":"1","id":"12345678901234567"}]`:                   "has 17 characters",
		`[{"traceId":"1","id":"2","parentId":"-"}]`:                    `parentId "-"`,
		`[{"traceId":"1","id":"2","timestamp":"now"}]`:                 `"now" is not an unsigned 64-bit number`,
		`[{"traceId":"1","id":"2","localEndpoint":{"port":65536}}]`:    "port 65536; want at most 65535",
		`[{"traceId":"1","id":"2","tags":{"a":{}}}]`:                   "an object instead of a number",
		`[{"traceId":"1","id":"2","tags":["a"]}]`:                      "an array instead of an object",
		`[{"traceId":"1","id":"2","x":` + strings.Repeat("[", 100_000): "nested deeper than 512",
	} {
		_, err := Decode(JSONV2, []byte(list), now, trace.DefaultLimits())
		if trace.KindOf(err) != trace.Invalid || err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("%.60s: %v; want %q in it", list, err, want)
		}
	}
	many := `[{"traceId":"1","id":"2","tags":{` + strings.Repeat(`"k":"v",`, 1<<18) + `"k":"v"}}]`
	if _, err := Decode(JSONV2, []byte(many), now, trace.DefaultLimits()); trace.KindOf(err) != trace.TooLarge {
		t.Errorf("262145 tags: %v", err)
	}
}

// TestZeroIDs: they are refused alone, by the batch.
func TestZeroIDs(t *testing.T) {
	raw, err := Decode(JSONV2, []byte(`[{"traceId":"0","id":"1","timestamp":1},{"traceId":"1","id":"0","timestamp":1},{"traceId":"1","id":"1","timestamp":1}]`), now, trace.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var b trace.Batch
	if err := b.Index(raw, trace.DefaultLimits()); err != nil || len(b.Spans) != 1 || b.Refused.Count[trace.BadTraceID] != 1 || b.Refused.Count[trace.BadSpanID] != 1 {
		t.Errorf("%v, refused %+v", err, b.Refused)
	}
}

// TestServices: spans of one service share a resource, and keep their order.
func TestServices(t *testing.T) {
	var list []string
	for i := range 9 {
		list = append(list, fmt.Sprintf(`{"traceId":"1","id":"%d","timestamp":1,"localEndpoint":{"serviceName":"s%d"}}`, i+1, i%3))
	}
	var got []string
	spans := decode(t, "["+strings.Join(list, ",")+"]")
	for i := range spans {
		got = append(got, spans[i].Service()+":"+spans[i].ID.String()[15:])
		if i%3 > 0 && spans[i].Resource != spans[i-1].Resource {
			t.Errorf("span %d has a resource of its own", i)
		}
	}
	if want := "s0:1 s0:4 s0:7 s1:2 s1:5 s1:8 s2:3 s2:6 s2:9"; strings.Join(got, " ") != want {
		t.Errorf("%v; want %s", got, want)
	}
}

// roundTrip is the list that comes out when a list goes in.
func roundTrip(t testing.TB, list string) string {
	t.Helper()
	return string(EncodeTrace(&trace.Trace{Spans: decode(t, list)}))
}

// TestRoundTrip: what Zipkin's senders write comes out as it went in.
func TestRoundTrip(t *testing.T) {
	list := `[
	{"traceId":"463ac35c9f6413ad48485a3953bb6124","id":"a2fb4a1d1a96d312","kind":"CLIENT","name":"get /api","timestamp":1472470996199000,"duration":207000,
	 "localEndpoint":{"serviceName":"frontend","ipv4":"127.0.0.1","port":8080},
	 "remoteEndpoint":{"serviceName":"backend","ipv4":"192.168.99.101","ipv6":"2001:db8::c001","port":9000},
	 "annotations":[{"timestamp":1472470996238000,"value":"foo"},{"timestamp":1472470996403000,"value":"bar"}],
	 "tags":{"clnt/finagle.version":"6.45.0","http.path":"/api","error":"","empty":""}},
	{"traceId":"463ac35c9f6413ad48485a3953bb6124","parentId":"00000000000000aa","id":"a2fb4a1d1a96d312","kind":"SERVER","timestamp":1472470996200000,"duration":1,
	 "localEndpoint":{"serviceName":"backend"},"shared":true,"debug":true},
	{"traceId":"48485a3953bb6124","id":"000000000000000a","localEndpoint":{"serviceName":"backend"}},
	{"traceId":"48485a3953bb6124","id":"000000000000000b","timestamp":5,"localEndpoint":{"serviceName":"backend","ipv6":"::1"},"remoteEndpoint":{"port":9}},
	{"traceId":"48485a3953bb6124","id":"000000000000000c","kind":"PRODUCER","timestamp":5,"remoteEndpoint":{"serviceName":"kafka"}}]`
	var want, got []map[string]any
	if err := json.Unmarshal([]byte(list), &want); err != nil {
		t.Fatal(err)
	}
	out := roundTrip(t, list)
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	byText := cmpopts.SortSlices(func(a, b map[string]any) bool { return fmt.Sprint(a) < fmt.Sprint(b) }) // the order is the encoder's
	if diff := gocmp.Diff(want, got, byText); diff != "" {
		t.Errorf("(-in +out):\n%s", diff)
	}
	if again := roundTrip(t, out); again != out {
		t.Errorf("the second time it is\n%s\nfirst it was\n%s", again, out)
	}
}

// TestAppendGrows: many small lists can be appended to one message, as Kafka's records are, without moving it for each.
func TestAppendGrows(t *testing.T) {
	var out []byte
	moved := 0
	for range 1000 {
		d := NewDecoder(time.Unix(1, 0), trace.DefaultLimits())
		if err := d.List(JSONV2, []byte(`[{"traceId":"1","id":"2","name":"get","localEndpoint":{"serviceName":"a"}}]`)); err != nil {
			t.Fatal(err)
		}
		before := cap(out)
		if out = d.Append(out); cap(out) != before {
			moved++
		}
	}
	if moved > 50 {
		t.Errorf("moved %d times", moved)
	}
}
