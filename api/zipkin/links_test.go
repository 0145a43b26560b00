package zipkin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/zipkin"
)

// TestLinks holds how calls are counted, case by case; test/zipkin holds it against Zipkin's server.
func TestLinks(t *testing.T) {
	f := func(name, spans, want string) {
		t.Helper()
		raw, err := wire.Decode(wire.JSONV2, []byte("["+spans+"]"), time.Unix(1, 0), trace.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		var b trace.Batch
		if err := b.Index(raw, trace.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		decoded, err := b.Decode()
		if err != nil {
			t.Fatal(err)
		}
		l := links{}
		l.addTrace(&trace.Trace{Spans: decoded})
		var got []string
		for _, k := range l.list() {
			got = append(got, fmt.Sprintf("%s>%s %d/%d", k.Parent, k.Child, k.Count, k.Errors))
		}
		if out, _ := json.Marshal(got); string(out) != want {
			t.Errorf("%s: %s; want %s", name, out, want)
		}
	}
	span := func(id, parent, kind, service, remote, more string) string {
		s := fmt.Sprintf(`{"traceId":"1","id":"%s","timestamp":1,"localEndpoint":{"serviceName":"%s"},"remoteEndpoint":{"serviceName":"%s"}`, id, service, remote)
		if parent != "" {
			s += fmt.Sprintf(`,"parentId":"%s"`, parent)
		}
		if kind != "" {
			s += fmt.Sprintf(`,"kind":"%s"`, kind)
		}
		return s + more + "}"
	}
	f("a client alone", span("1", "", "CLIENT", "a", "b", ""), `["a\u003eb 1/0"]`)
	f("a client that does not know of whom", span("1", "", "CLIENT", "a", "", ""), `null`)
	f("a server whose client is known", span("1", "", "SERVER", "b", "a", ""), `["a\u003eb 1/0"]`)
	f("a server whose client is not", span("1", "", "SERVER", "b", "", ""), `null`)
	f("what says no kind but both sides", span("1", "", "", "a", "b", ""), `["a\u003eb 1/0"]`)
	f("a call with a span for each side", span("1", "", "SERVER", "a", "", "")+","+span("2", "1", "CLIENT", "a", "wrong", "")+","+span("3", "2", "SERVER", "b", "", ""), `["a\u003eb 1/0"]`)
	f("one span for both", span("1", "", "CLIENT", "a", "", "")+","+span("1", "", "SERVER", "b", "", `,"shared":true`), `["a\u003eb 1/0"]`)
	f("one that does not say so", span("1", "", "CLIENT", "a", "", "")+","+span("1", "", "SERVER", "b", "", ""), `["a\u003eb 1/0"]`)
	f("the client failed", span("1", "", "CLIENT", "a", "", `,"tags":{"error":""}`)+","+span("2", "1", "SERVER", "b", "", ""), `["a\u003eb 1/1"]`)
	f("a message", span("1", "", "PRODUCER", "a", "kafka", "")+","+span("2", "1", "CONSUMER", "b", "kafka", ""), `["a\u003ekafka 1/0","kafka\u003eb 1/0"]`)
	f("work in between", span("1", "", "SERVER", "a", "", "")+","+span("2", "1", "", "a", "", "")+","+span("3", "2", "CLIENT", "a", "b", ""), `["a\u003eb 1/0"]`)
	f("a server that sent nothing", span("1", "", "SERVER", "a", "", "")+","+span("2", "1", "CLIENT", "b", "c", ""), `["a\u003eb 1/0","b\u003ec 1/0"]`)
	f("no root", span("2", "1", "CLIENT", "a", "b", "")+","+span("4", "3", "SERVER", "d", "", ""), `["a\u003eb 1/0"]`)
	f("a circle", span("1", "2", "CLIENT", "a", "b", "")+","+span("2", "1", "CLIENT", "a", "b", ""), `null`)
	f("in pieces", span("1", "", "CLIENT", "a", "", "")+","+span("1", "", "", "a", "b", ""), `["a\u003eb 1/0"]`)
	later := func(span string) string { return strings.Replace(span, `"timestamp":1,`, `"timestamp":9,`, 1) }
	f("a message that its sender got, too", span("1", "", "CONSUMER", "a", "", `,"shared":true`)+","+later(span("1", "", "PRODUCER", "a", "b", `,"shared":true`)), `["a\u003eb 1/0"]`)
	f("who calls itself", span("1", "", "CLIENT", "a", "", "")+","+span("2", "1", "SERVER", "a", "", ""), `["a\u003ea 1/0"]`)
}
