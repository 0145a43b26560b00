package zipkin

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// fuzz decodes in, and what was taken must be taken by a batch, come out as JSON, and be taken again.
func fuzz(t *testing.T, f Format, in []byte) (taken bool) {
	raw, err := Decode(f, in, now, trace.DefaultLimits())
	if err != nil {
		if len(err.Error()) > 1000 {
			t.Fatalf("the message has %d bytes", len(err.Error()))
		}
		return false
	}
	if len(raw) > 2*(growth*len(in)+spareRoom) {
		t.Fatalf("%d bytes became %d", len(in), len(raw))
	}
	var b trace.Batch
	if err := b.Index(raw, trace.DefaultLimits()); err != nil {
		t.Fatalf("own encoding is refused: %v", err)
	}
	spans, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range spans {
		spans[i].Scope = nil // Zipkin has none
	}
	if again := trace.AppendTraces(nil, spans); b.Refused.Total() == 0 && len(spans) > 0 && !bytes.Equal(again, b.Raw) {
		t.Fatalf("own encoding is not the one of trace:\n%x\n%x", b.Raw, again)
	}
	for i := range spans {
		spans[i].Scope = &trace.Scope{}
	}
	out := EncodeTrace(&trace.Trace{Spans: spans})
	if !json.Valid(out) {
		t.Fatalf("not JSON: %s", out)
	}
	raw, err = Decode(JSONV2, out, now, trace.DefaultLimits())
	if err != nil {
		t.Fatalf("own JSON is refused: %v\n%s", err, out)
	}
	var again trace.Batch
	if err := again.Index(raw, trace.DefaultLimits()); err != nil || len(again.Spans) != len(spans) {
		t.Fatalf("%d spans became %d: %v", len(spans), len(again.Spans), err)
	}
	return true
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`[{"traceId":"463ac35c9f6413ad48485a3953bb6124","parentId":"1","id":"a2fb","kind":"CLIENT","name":"get","timestamp":1472470996199000,"duration":207000,"localEndpoint":{"serviceName":"a","ipv4":"127.0.0.1","port":80},"remoteEndpoint":{"ipv6":"::1"},"annotations":[{"timestamp":1,"value":"foo"}],"tags":{"error":"x","n":1},"debug":true,"shared":true}]`))
	f.Add([]byte(`[{"traceId":"1","id":"2","timestamp":1e3,"tags":{"otel.status_code":"OK","network.peer.address":"x","peer.service":"\ud83d\u0000"}}]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if fuzz(t, JSONV2, in) && len(bytes.TrimSpace(in)) > 0 && !json.Valid(bytes.ToValidUTF8(in, nil)) && !json.Valid(in) {
			t.Fatal("taken, but not JSON")
		}
	})
}

func FuzzDecodeJSONV1(f *testing.F) {
	f.Add([]byte(v1JSON))
	f.Fuzz(func(t *testing.T, in []byte) {
		if fuzz(t, JSONV1, in) && len(bytes.TrimSpace(in)) > 0 && !json.Valid(bytes.ToValidUTF8(in, nil)) && !json.Valid(in) {
			t.Fatal("taken, but not JSON")
		}
	})
}

func FuzzDecodeProto(f *testing.F) {
	f.Add(protoOf(f, v2JSON))
	f.Fuzz(func(t *testing.T, in []byte) { fuzz(t, Proto3, in) })
}

func FuzzDecodeThrift(f *testing.F) {
	f.Add(thriftOf(f, v1JSON))
	f.Fuzz(func(t *testing.T, in []byte) { fuzz(t, Thrift, in) })
}
