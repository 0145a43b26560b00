package overload

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
	"github.com/clewtrace/clew/wire/zipkin"
)

// scribeSpans returns spans in Thrift, each with its length before it.
func scribeSpans(spans []trace.Span) (out []byte) {
	for i := range spans {
		begin := len(out)
		out = zipkin.AppendThriftSpan(append(out, 0, 0, 0, 0), &spans[i])
		binary.BigEndian.PutUint32(out[begin:], uint32(len(out)-begin-4))
	}
	return out
}

// scribeCall returns the frame of a call of Log with what scribeSpans made.
func scribeCall(raw []byte) []byte {
	w := thrift.Writer{Out: make([]byte, 4)}
	w.Message(thrift.Message{Type: thrift.Call, Name: []byte("Log")})
	w.Struct()
	w.Field(1<<8 | thrift.List)
	w.List(thrift.Struct, batchSpans)
	for len(raw) > 0 {
		n := 4 + binary.BigEndian.Uint32(raw)
		w.Struct()
		w.Field(1<<8 | thrift.String)
		w.String("zipkin")
		w.Field(2<<8 | thrift.String)
		w.String(base64.StdEncoding.EncodeToString(raw[4:n]))
		w.End()
		raw = raw[n:]
	}
	w.End()
	binary.BigEndian.PutUint32(w.Out, uint32(len(w.Out)-4))
	return w.Out
}

// overScribe makes calls over one connection. A push-back is TRY_LATER.
func overScribe(s *testkit.Server) sender {
	var conn net.Conn
	return func(ctx context.Context, raw []byte) (err error) {
		if conn == nil {
			if conn, err = new(net.Dialer).DialContext(ctx, "tcp", s.Address("scribe")); err != nil {
				return err
			}
		}
		if at, ok := ctx.Deadline(); ok {
			_ = conn.SetDeadline(at)
		}
		if _, err := conn.Write(raw); err != nil {
			return err
		}
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return err
		}
		said := make([]byte, min(binary.BigEndian.Uint32(size[:]), 1<<16))
		if _, err := io.ReadFull(conn, said); err != nil {
			return err
		}
		r := thrift.NewBinary(said)
		m := r.Message()
		for r.Struct(); r.Next(); {
			if m.Type == thrift.Reply && r.Field == 0<<8|thrift.I32 {
				if code := r.I32(); code == 0 {
					return nil
				}
				return errPushBack
			}
			r.Skip()
		}
		return fmt.Errorf("%w: %q", errWrong, said)
	}
}
