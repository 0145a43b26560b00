package load

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
	"github.com/clewtrace/clew/wire/zipkin"
)

// udpTransport sends packets, of which nobody says whether they came.
type udpTransport struct{ conn net.Conn }

func openUDP(to target) (transport, error) {
	conn, err := net.Dial("udp", to.url.Host)
	return udpTransport{conn}, err
}

func (t udpTransport) close() error { return t.conn.Close() }

func (t udpTransport) export(_ context.Context, body []byte) (answer, error) {
	if _, err := t.conn.Write(body); err != nil {
		return answer{}, &refusal{reason: "not sent", message: err.Error()}
	}
	return answer{wire: len(body)}, nil
}

// scribeTransport makes calls of scribe, one after the other.
type scribeTransport struct {
	address string
	conn    net.Conn // nil: there is none yet, or it broke
}

func openScribe(to target) (transport, error) { return &scribeTransport{address: to.url.Host}, nil }

func (t *scribeTransport) close() error {
	if t.conn == nil {
		return nil
	}
	return t.conn.Close()
}

func (t *scribeTransport) export(ctx context.Context, body []byte) (answer, error) {
	if t.conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.address)
		if err != nil {
			return answer{}, &refusal{reason: "no answer", message: err.Error(), again: true}
		}
		t.conn = conn
	}
	defer context.AfterFunc(ctx, func() { _ = t.conn.Close() })()
	said, err := t.call(body)
	if err != nil {
		_ = t.conn.Close() // it is of no use any more
		t.conn = nil
		return answer{}, &refusal{reason: "no answer", message: err.Error(), again: true}
	}
	if no := refusedScribe(said); no != nil {
		return answer{}, no
	}
	return answer{wire: len(body)}, nil
}

// call sends a frame and returns the one that answers it.
func (t *scribeTransport) call(frame []byte) ([]byte, error) {
	if _, err := t.conn.Write(frame); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(t.conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxAnswer {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	said := make([]byte, n)
	_, err := io.ReadFull(t.conn, said)
	return said, err
}

// refusedScribe reads an answer: ResultCode OK, TRY_LATER, or an exception. It returns nil for OK.
func refusedScribe(said []byte) *refusal {
	r := thrift.NewBinary(said)
	m := r.Message()
	code, text := int32(-1), ""
	for r.Struct(); r.Next(); {
		switch {
		case m.Type == thrift.Reply && r.Field == 0<<8|thrift.I32:
			code = r.I32()
		case m.Type == thrift.Exception && r.Field == 1<<8|thrift.String:
			text = string(r.Bytes())
		default:
			r.Skip()
		}
	}
	switch {
	case r.Err() != nil:
		return &refusal{reason: "unreadable answer", message: r.Err().Error()}
	case m.Type == thrift.Exception:
		return &refusal{reason: "exception", message: text}
	case code == 0:
		return nil
	}
	return &refusal{reason: "TRY_LATER", message: "the server cannot take it now", again: true}
}

// scribeCall returns the frame of a call of Log.
func scribeCall(spans []trace.Span) []byte {
	w := thrift.Writer{Out: make([]byte, 4)}
	w.Message(thrift.Message{Type: thrift.Call, Name: []byte("Log")})
	w.Struct()
	w.Field(1<<8 | thrift.List)
	w.List(thrift.Struct, len(spans))
	stripped(spans)
	var span, text []byte
	for i := range spans {
		span = zipkin.AppendThriftSpan(span[:0], &spans[i])
		text = base64.StdEncoding.AppendEncode(text[:0], span)
		w.Struct()
		w.Field(1<<8 | thrift.String)
		w.String("zipkin")
		w.Field(2<<8 | thrift.String)
		w.Bytes(text)
		w.End()
	}
	w.End()
	binary.BigEndian.PutUint32(w.Out, uint32(len(w.Out)-4))
	return w.Out
}
