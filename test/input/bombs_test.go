package input_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// bomb is a request that is small on the wire and large when it is read.
type bomb struct {
	name, port, path, contentType string
	head, fill                    string // fill is repeated up to a size
	size                          int
	tail                          string
}

// body returns the bomb compressed: members of gzip, one behind the other, of which those that fill it are all the same.
func (b *bomb) body(t testing.TB) []byte {
	t.Helper()
	chunk := strings.Repeat(b.fill, 1+(1<<20)/len(b.fill))
	filling := bytes.Repeat(member(t, chunk), (b.size-1)/len(chunk))
	return slices.Concat(member(t, b.head), filling, member(t, b.tail))
}

func member(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func bombs() []bomb {
	const otlpJSON, protobuf, thrift, size = "application/json", "application/x-protobuf", "application/x-thrift", 63 << 20
	const jaegerBatch = "\x0c\x00\x01\x0b\x00\x01\x00\x00\x00\x00\x00"
	// A list of one span, whose annotations are 32 millions.
	const thriftHead = "\x0c\x00\x00\x00\x01\x0a\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x0a\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x0f\x00\x06\x0c\x01\xe0\x00\x00"
	list := []bomb{
		{name: "resources", contentType: otlpJSON, head: `{"resourceSpans":[`, fill: `{},`, size: size, tail: `{}]}`},
		{name: "spans", contentType: otlpJSON, head: `{"resourceSpans":[{"scopeSpans":[{"spans":[`, fill: `{},`, size: size, tail: `{}]}]}]}`},
		{name: "attributes", contentType: otlpJSON, head: `{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[`, fill: `{},`, size: size, tail: `{}]}]}]}]}`},
		{name: "elements", contentType: otlpJSON, head: `{"resourceSpans":[{"resource":{"attributes":[{"value":{"arrayValue":{"values":[`, fill: `{},`, size: size, tail: `{}]}}}]}}]}`},
		{name: "nested", contentType: otlpJSON, head: `{"x":`, fill: `[`, size: size, tail: `]`},
		{name: "nested values", contentType: otlpJSON, head: `{"resourceSpans":[{"resource":{"attributes":[{"value":`, fill: `{"arrayValue":{"values":[{"value":`, size: size, tail: `{}`},
		{name: "nested text", contentType: otlpJSON, head: `{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"value":` + strings.Repeat(`{"arrayValue":{"values":[`, 64) + `{"stringValue":"`, fill: `x`, size: size, tail: `"}` + strings.Repeat(`]}}`, 64) + `}]}]}]}]}`},
		{name: "protobuf resources", contentType: protobuf, fill: "\x0a\x00", size: size, tail: "\x0a\x00"},
		{name: "protobuf nested", contentType: protobuf, fill: "\x0a\x80\x80\x80\x01", size: size, tail: "\x0a\x00"},
		{name: "10 GB of zeros", contentType: protobuf, fill: strings.Repeat("\x00", 1<<20), size: 1 << 30, tail: "\x00"},
		{name: "Zipkin spans", port: "zipkin", contentType: otlpJSON, head: `[`, fill: `{"traceId":"1","id":"1"},`, size: size, tail: `{}]`},
		{name: "Zipkin tags", port: "zipkin", contentType: otlpJSON, head: `[{"traceId":"1","id":"1","tags":{`, fill: `"":"",`, size: size, tail: `"":""}}]`},
		{name: "Zipkin v1 annotations", port: "zipkin", path: "/api/v1/spans", contentType: otlpJSON, head: `[{"traceId":"1","id":"1","annotations":[`, fill: `{"timestamp":1,"value":"","endpoint":{"port":1}},`, size: size / 2, tail: `{}]}]`},
		{name: "Zipkin Thrift annotations", port: "zipkin", path: "/api/v1/spans", contentType: thrift, head: thriftHead, fill: "\x0a\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x0b\x00\x02\x00\x00\x00\x00\x00", size: size / 2, tail: "\x00"},
		{name: "Zipkin Thrift nothings", port: "zipkin", path: "/api/v1/spans", contentType: thrift, head: strings.Replace(thriftHead, "\x0a\x00\x04", "\x0a\x00\x05", 1), fill: "\x00", size: size / 2, tail: "\x00"},
		{name: "Zipkin proto3 spans", port: "zipkin", contentType: protobuf, fill: "\x0a\x14\x0a\x08\x00\x00\x00\x00\x00\x00\x00\x01\x1a\x08\x00\x00\x00\x00\x00\x00\x00\x02", size: size / 2, tail: "\x0a\x00"},
		{name: "Zipkin nested", port: "zipkin", contentType: otlpJSON, head: `[{"traceId":"1","id":"1","x":`, fill: `{"":`, size: size, tail: `]`},
		{name: "Jaeger spans", port: "jaeger_http", contentType: thrift, head: jaegerBatch + "\x0f\x00\x02\x0c\x00\xf0\x00\x00", fill: "\x00", size: size, tail: "\x00"},
		{name: "Jaeger bytes", port: "jaeger_http", contentType: thrift, head: jaegerBatch + "\x0f\x00\x02\x0c\x7f\xff\xff\xff", fill: "\x00", size: size, tail: "\x00"},
		{name: "Jaeger nested", port: "jaeger_http", contentType: thrift, fill: "\x0c\x00\x09", size: size, tail: "\x00"},
		{name: "Jaeger text", port: "jaeger_http", contentType: thrift, head: jaegerBatch + "\x0b\x00\x05\xff\xff\xff\xff", fill: "x", size: size, tail: "\x00"},
		{
			name: "Jaeger tags", port: "jaeger_http", contentType: thrift, head: "\x0c\x00\x01\x0b\x00\x01\x00\x00\x00\x00\x0f\x00\x02\x0c\x00\x38\x00\x00",
			fill: "\x0b\x00\x01\x00\x00\x00\x00\x08\x00\x02\x00\x00\x00\x00\x00", size: size, tail: "\x00",
		},
	}
	for i := range list {
		list[i].port = cmp.Or(list[i].port, "otlp_http")
		list[i].path = cmp.Or(list[i].path, map[string]string{"jaeger_http": "/api/traces", "zipkin": "/api/v2/spans", "otlp_http": "/v1/traces"}[list[i].port])
	}
	return list
}

// send sends the bomb, compressed, and holds that the server refuses it; where it may be busy, that is a refusal, too.
func (b *bomb) send(t testing.TB, s *testkit.Server, body []byte, mayBeBusy bool) {
	r, err := http.NewRequest(http.MethodPost, s.URL(b.port)+b.path, bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Content-Type", b.contentType)
	r.Header.Set("Content-Encoding", "gzip")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Errorf("%s, %d bytes: %v", b.name, len(body), err)
		return
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	switch {
	case err != nil:
	case a.StatusCode == http.StatusServiceUnavailable && mayBeBusy:
	case a.StatusCode == http.StatusBadRequest, a.StatusCode == http.StatusRequestEntityTooLarge:
	case a.StatusCode == http.StatusOK && bytes.Contains(answer, []byte(`"rejectedSpans":"1"`)): // its one span is refused
	default:
		t.Errorf("%s, %d bytes: answered %d %.300q", b.name, len(body), a.StatusCode, answer)
	}
}

// TestBombs sends them one by one, and then all at once: the server refuses them, or says that it is busy, and lives in bounded memory.
func TestBombs(t *testing.T) {
	s := testkit.Start(t)
	list := bombs()
	bodies := make([][]byte, len(list))
	for i := range list {
		bodies[i] = list[i].body(t)
		list[i].send(t, s, bodies[i], false)
		now, peak := memory(t, s.PID())
		t.Logf("%s, %d bytes: %d MiB of memory, at most %d so far", list[i].name, len(bodies[i]), now, peak)
	}
	var wg sync.WaitGroup
	for i := range list {
		for range 3 {
			wg.Go(func() { list[i].send(t, s, bodies[i], true) })
		}
	}
	wg.Wait()
	now, peak := memory(t, s.PID())
	t.Logf("%d bombs at once: %d MiB of memory, at most %d", 3*len(list), now, peak)
	if peak > 3000 { // some ten times the bytes that may be held, of which half is waiting to be collected
		t.Errorf("%d MiB of memory", peak)
	}
	id := newID()
	if refused, _ := send(t, s, []trace.Span{good(id, 1)}); refused != 0 {
		t.Errorf("%d spans were refused", refused)
	}
	if got := readBack(t, s, id); got != [3]int{1, 1, 1} {
		t.Errorf("Clew, Jaeger and Zipkin have %v spans; want 1", got)
	}
	refused := 0
	for k, n := range counters(t, s) {
		if strings.HasPrefix(k, "clew_refused") {
			refused += n
			t.Log(k, n)
		}
	}
	if refused != 4*len(list) {
		t.Errorf("%d refusals were counted; want %d", refused, 4*len(list))
	}
	balance(t, s)
}
