package kafka_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/otlp"
	"github.com/clewtrace/clew/wire/zipkin"
)

// began is the start of all spans: the same however often a record is read.
var began = uint64(time.Now().Add(-time.Minute).UnixMicro()) * 1000

// traceID returns the ID of the nth trace of a test.
func traceID(t testing.TB, n int) (id trace.ID) {
	copy(id[:8], t.Name()[len(t.Name())-8:])
	binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
	return id
}

// spansOf returns count spans of a trace, the first with ID from.
func spansOf(id trace.ID, from, count int) []trace.Span {
	resource := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("queued")}}}
	out := make([]trace.Span, count)
	for i := range out {
		out[i] = trace.Span{
			TraceID: id, Name: "op", Kind: trace.KindServer, Start: began + uint64(from+i)*1000, End: began + uint64(from+i)*1000 + 1e6, Resource: resource, Scope: &trace.Scope{},
			Attrs: []trace.Attr{{Key: "text", Value: trace.String("as it was sent")}},
		}
		binary.BigEndian.PutUint64(out[i].ID[:], uint64(from+i))
	}
	return out
}

// encode returns spans in a format.
func encode(t testing.TB, format string, spans []trace.Span) []byte {
	t.Helper()
	switch format {
	case "otlp_proto":
		return trace.AppendTraces(nil, spans)
	case "otlp_json":
		return otlp.AppendJSON(nil, spans)
	case "jaeger_proto":
		if len(spans) != 1 {
			t.Fatalf("Jaeger writes one span a record, not %d", len(spans))
		}
		return modelSpan(&spans[0])
	case "zipkin_proto":
		return zipkinProto(spans)
	case "zipkin_thrift":
		return zipkinThrift(spans)
	case "zipkin_json":
		return zipkin.EncodeTrace(&trace.Trace{ID: spans[0].TraceID, Spans: spans})
	}
	t.Fatalf("there is no format %s", format)
	return nil
}

// encodeAll returns spans in a format as the values of records.
func encodeAll(t testing.TB, format string, spans []trace.Span) (values [][]byte) {
	if format != "jaeger_proto" {
		return [][]byte{encode(t, format, spans)}
	}
	for i := range spans {
		values = append(values, encode(t, format, spans[i:i+1]))
	}
	return values
}

// produce writes records and waits until the broker has them.
func produce(t testing.TB, client *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// flags returns those of a Clew that reads topics, given as name=format.
func (b *broker) flags(group string, topics ...string) []string {
	var list []string
	for _, t := range topics {
		name, format, _ := strings.Cut(t, "=")
		list = append(list, fmt.Sprintf("{name: %s, format: %s}", name, format))
	}
	return []string{"--kafka.brokers", b.plain, "--kafka.group", group, "--kafka.topics", "[" + strings.Join(list, ", ") + "]"}
}

type tag struct {
	Key   string
	Value any
}

// stored returns the span IDs of a trace, as numbers in order. A span that is there twice is in it twice.
func stored(t testing.TB, s *testkit.Server, id trace.ID, header ...string) []int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL("query")+"/api/traces/"+id.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(header) == 2 {
		req.Header.Set(header[0], header[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	var got struct {
		Data []struct {
			Spans []struct {
				SpanID, OperationName string
				StartTime             uint64
				Tags                  []tag
			}
			Processes map[string]struct{ ServiceName string }
		}
	}
	if err := errors.Join(err, resp.Body.Close(), json.Unmarshal(body, &got)); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var ids []int
	for _, d := range got.Data {
		for _, p := range d.Processes {
			if p.ServiceName != "queued" {
				t.Errorf("a process is %+v", p)
			}
		}
		for _, span := range d.Spans {
			n, err := strconv.ParseUint(span.SpanID, 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			if whole := span.OperationName == "op" && span.StartTime == began/1000+n && slices.Contains(span.Tags, tag{"text", "as it was sent"}); !whole {
				t.Errorf("a span is %+v", span)
			}
			ids = append(ids, int(n))
		}
	}
	slices.Sort(ids)
	return ids
}

// upTo returns the numbers from 1 to n.
func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i + 1
	}
	return out
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// metric returns the value of a series, 0 if there is none.
func metric(t testing.TB, s *testkit.Server, series string) float64 {
	t.Helper()
	lines := metricLines(t, s, series+" ")
	if len(lines) == 0 {
		return 0
	}
	v, err := strconv.ParseFloat(lines[0][len(series)+1:], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// metricLines returns the lines of /metrics that begin with something.
func metricLines(t testing.TB, s *testkit.Server, prefix string) (out []string) {
	t.Helper()
	resp, err := http.Get(s.URL("admin") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, prefix) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// message writes a field whose body is a message.
func message(b []byte, num protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), body)
}

// modelSpan returns a span as a Span of Jaeger's model.proto.
func modelSpan(s *trace.Span) []byte {
	timed := func(ns uint64) []byte {
		b := protowire.AppendVarint([]byte{1 << 3}, ns/1e9)
		return protowire.AppendVarint(append(b, 2<<3), ns%1e9)
	}
	b := message(nil, 1, s.TraceID[:])
	b = message(b, 2, s.ID[:])
	b = message(b, 3, []byte(s.Name))
	b = message(b, 6, timed(s.Start))
	b = message(b, 7, timed(s.End-s.Start))
	b = message(b, 8, message(message(nil, 1, []byte("span.kind")), 3, []byte("server")))
	b = message(b, 8, message(message(nil, 1, []byte("text")), 3, []byte("as it was sent")))
	return message(b, 10, message(nil, 1, []byte("queued")))
}

// zipkinProto returns spans as a ListOfSpans of zipkin.proto3.
func zipkinProto(spans []trace.Span) (list []byte) {
	for _, s := range spans {
		b := message(nil, 1, s.TraceID[:])
		b = message(b, 3, s.ID[:])
		b = protowire.AppendVarint(append(b, 4<<3), 2) // SERVER
		b = message(b, 5, []byte(s.Name))
		b = protowire.AppendFixed64(append(b, 6<<3|1), s.Start/1000)
		b = protowire.AppendVarint(append(b, 7<<3), (s.End-s.Start)/1000)
		b = message(b, 8, message(nil, 1, []byte("queued")))
		b = message(b, 11, message(message(nil, 1, []byte("text")), 2, []byte("as it was sent")))
		list = message(list, 1, b)
	}
	return list
}

// zipkinThrift returns spans as a list of v1 spans in Thrift's binary protocol.
func zipkinThrift(spans []trace.Span) []byte {
	u16, u32, u64 := binary.BigEndian.AppendUint16, binary.BigEndian.AppendUint32, binary.BigEndian.AppendUint64
	field := func(b []byte, kind byte, id uint16) []byte { return u16(append(b, kind), id) }
	text := func(b []byte, s string) []byte { return append(u32(b, uint32(len(s))), s...) }
	endpoint := func(b []byte) []byte {
		b = u32(field(b, 8, 1), 0)
		b = u16(field(b, 6, 2), 0)
		return append(text(field(b, 11, 3), "queued"), 0)
	}
	b := u32([]byte{12}, uint32(len(spans)))
	for _, s := range spans {
		b = u64(field(b, 10, 1), binary.BigEndian.Uint64(s.TraceID[8:]))
		b = text(field(b, 11, 3), s.Name)
		b = u64(field(b, 10, 4), binary.BigEndian.Uint64(s.ID[:]))
		b = u32(append(field(b, 15, 6), 12), 1) // annotations
		b = u64(field(b, 10, 1), s.Start/1000)
		b = text(field(b, 11, 2), "sr")
		b = append(endpoint(field(b, 12, 3)), 0)
		b = u32(append(field(b, 15, 8), 12), 1) // binary annotations
		b = text(field(b, 11, 1), "text")
		b = text(field(b, 11, 2), "as it was sent")
		b = u32(field(b, 8, 3), 6)
		b = append(endpoint(field(b, 12, 4)), 0)
		b = u64(field(b, 10, 10), s.Start/1000)
		b = u64(field(b, 10, 11), (s.End-s.Start)/1000)
		b = u64(field(b, 10, 12), binary.BigEndian.Uint64(s.TraceID[:8]))
		b = append(b, 0)
	}
	return b
}
