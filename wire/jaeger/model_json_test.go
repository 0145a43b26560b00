package jaeger

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

const modelSpanJSON = `{"traceId":"AAAAAAAAAAIAAAAAAAAAAQ==","spanId":"AAAAAAAAAAM=","operationName":"op","references":[{"traceId":"AAAAAAAAAAIAAAAAAAAAAQ==","spanId":"AAAAAAAAAAQ="},
{"traceId":"AAAAAAAAAAAAAAAAAAAACQ==","spanId":"AAAAAAAAAAU=","refType":"FOLLOWS_FROM"}],"flags":1,"startTime":"2017-01-26T16:46:31.639875Z","duration":"0.000005s",
"tags":[{"key":"span.kind","vStr":"server"},{"key":"n","vType":"INT64","vInt64":"-5"},{"key":"b","vType":"BOOL","vBool":true},{"key":"f","vType":"FLOAT64","vFloat64":1.5},{"key":"x","vType":"BINARY","vBinary":"AP8="}],
"logs":[{"timestamp":"2017-01-26T16:46:31.64Z","fields":[{"key":"event","vStr":"hello"}]}],"process":{"serviceName":"svc","tags":[{"key":"host","vStr":"h"}]},"processId":"p1","warnings":["late"],"unknown":{"a":[1]}}`

// TestSpanJSON reads a span in protobuf's JSON, and finds what the same span in binary gives.
func TestSpanJSON(t *testing.T) {
	field := func(b []byte, num protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), body)
	}
	number := func(b []byte, num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
	}
	timed := func(s, ns uint64) []byte { return number(number(nil, 1, s), 2, ns) }
	tag := func(key string, num protowire.Number, kind uint64, value func(b []byte, num protowire.Number) []byte) []byte {
		return value(number(field(nil, 1, []byte(key)), 2, kind), num)
	}
	str := func(s string) func([]byte, protowire.Number) []byte {
		return func(b []byte, num protowire.Number) []byte { return field(b, num, []byte(s)) }
	}
	id := []byte{7: 2, 15: 1}
	b := field(nil, 1, id)
	b = field(b, 2, []byte{7: 3})
	b = field(b, 3, []byte("op"))
	b = field(b, 4, field(field(nil, 1, id), 2, []byte{7: 4}))
	b = field(b, 4, number(field(field(nil, 1, []byte{15: 9}), 2, []byte{7: 5}), 3, 1))
	b = number(b, 5, 1)
	b = field(b, 6, timed(1485449191, 639875000))
	b = field(b, 7, timed(0, 5000))
	b = field(b, 8, tag("span.kind", 3, 0, str("server")))
	minus := int64(-5)
	b = field(b, 8, tag("n", 5, 2, func(b []byte, num protowire.Number) []byte { return number(b, num, uint64(minus)) }))
	b = field(b, 8, tag("b", 4, 1, func(b []byte, num protowire.Number) []byte { return number(b, num, 1) }))
	b = field(b, 8, tag("f", 6, 3, func(b []byte, num protowire.Number) []byte {
		return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), 0x3ff8000000000000)
	}))
	b = field(b, 8, tag("x", 7, 4, str("\x00\xff")))
	b = field(b, 9, field(field(nil, 1, timed(1485449191, 640000000)), 2, tag("event", 3, 0, str("hello"))))
	b = field(b, 10, field(field(nil, 1, []byte("svc")), 2, tag("host", 3, 0, str("h"))))
	b = field(b, 12, []byte("late"))

	want, err := (&Decoder{Limit: 1 << 20}).AppendSpan(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := (&Decoder{Limit: 1 << 20}).AppendSpanJSON(nil, []byte(modelSpanJSON))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	var batch trace.Batch
	if err := batch.Index(got, trace.DefaultLimits()); err != nil || len(batch.Spans) != 1 || batch.Refused.Total() != 0 {
		t.Errorf("%v: %d spans, %s", err, len(batch.Spans), batch.Refused.First)
	}
	for in, message := range map[string]string{
		`[]`:                                  "an array instead of an object",
		`{"traceId":"zz!"}`:                   "what is not base64",
		`{"startTime":"yesterday"}`:           `"yesterday" instead of a time`,
		`{"duration":"long"}`:                 `"long" instead of a duration`,
		`{"tags":[{"vType":"DATE"}]}`:         `"DATE" instead of one of`,
		`{"tags":[{"vInt64":"1.5"}]}`:         "is not a 64-bit number",
		`{"operationName":"op"} {}`:           "behind the end of the text",
		`{"references":{"traceId":"AAAA=="}}`: "an object instead of an array",
	} {
		if out, err := (&Decoder{Limit: 1 << 20}).AppendSpanJSON([]byte("x"), []byte(in)); trace.KindOf(err) != trace.Invalid || err == nil || !strings.Contains(err.Error(), message) || string(out) != "x" {
			t.Errorf("%s: %v, %q; want %s", in, err, out, message)
		}
	}
}

// FuzzSpanJSON: whatever comes, there is one span or an error.
func FuzzSpanJSON(f *testing.F) {
	f.Add([]byte(modelSpanJSON))
	f.Add([]byte(`{"traceId":"AAAAAAAAAAE=","spanId":"AAAAAAAAAAM=","startTime":"2017-01-26T16:46:31Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := (&Decoder{Limit: 3*len(b) + 1<<10}).AppendSpanJSON(nil, b)
		if err != nil {
			if k := trace.KindOf(err); k != trace.Invalid && k != trace.TooLarge {
				t.Errorf("%v", err)
			}
			return
		}
		var batch trace.Batch
		if err := batch.Index(out, trace.DefaultLimits()); err != nil && trace.KindOf(err) != trace.TooLarge {
			t.Errorf("%v", err)
		}
		if n := len(batch.Spans) + batch.Refused.Total(); n > 1 {
			t.Errorf("%d spans", n)
		}
	})
}
