package zipkin_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"

	"github.com/clewtrace/clew/test/zipkin/v1span"
	"github.com/clewtrace/clew/wire/thrift"
)

// post sends a body, and returns the status and the text of the answer.
func (p *peer) post(t *testing.T, path, contentType string, body []byte) (status int, text string) {
	t.Helper()
	resp, err := http.Post(p.http+path, contentType, bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	return resp.StatusCode, string(b)
}

// must sends a body that is to be taken.
func (p *peer) must(t *testing.T, path, contentType string, body []byte) {
	t.Helper()
	if status, text := p.post(t, path, contentType, body); status != http.StatusAccepted {
		t.Fatalf("%s, %s as %s: %d %.500s", p.name, path, contentType, status, text)
	}
}

// get asks, and returns the status and the answer.
func (p *peer) get(t *testing.T, path string) (status int, text string) {
	t.Helper()
	resp, err := http.Get(p.http + path)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	return resp.StatusCode, string(b)
}

// v2 returns spans in v2 JSON, and proto in proto3.
func v2(t *testing.T, spans []*model.SpanModel) []byte {
	t.Helper()
	b, err := json.Marshal(spans)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func proto(t *testing.T, spans []*model.SpanModel) []byte {
	t.Helper()
	b, err := zipkin_proto3.SpanSerializer{}.Serialize(spans)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// logCall sends spans by scribe, each in a message, and holds that the answer is OK.
func (p *peer) logCall(t *testing.T, spans []v1span.Span) {
	t.Helper()
	var w thrift.Writer
	w.Message(thrift.Message{Type: thrift.Call, Name: []byte("Log"), Seq: 7})
	w.Struct()
	w.Field(1<<8 | thrift.List)
	w.List(thrift.Struct, len(spans))
	for i := range spans {
		w.Struct()
		w.Field(1<<8 | thrift.String)
		w.String("zipkin")
		w.Field(2<<8 | thrift.String)
		w.String(base64.StdEncoding.EncodeToString(spans[i].One()) + "\n")
		w.End()
	}
	w.End()
	conn, err := net.Dial("tcp", p.scribe)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	defer func() { _ = conn.Close() }()
	answer, err := exchange(conn, w.Out)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	r := thrift.NewBinary(answer)
	m := r.Message()
	code := int32(-1)
	for r.Struct(); r.Next(); {
		if r.Field == 0<<8|thrift.I32 {
			code = r.I32()
		} else {
			r.Skip()
		}
	}
	if m.Type != thrift.Reply || m.Seq != 7 || code != 0 || r.Err() != nil {
		t.Fatalf("%s answers %q", p.name, answer)
	}
}

func exchange(conn net.Conn, message []byte) ([]byte, error) {
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(conn, answer)
	return answer, err
}
