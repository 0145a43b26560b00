package scribe

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime/debug"
	"time"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
	wire "github.com/clewtrace/clew/wire/zipkin"
)

// reply is what an answer repeats of its call.
type reply struct {
	thrift.Message
	old bool // the call has the head of before Thrift's protocol had versions
}

// finagleProbe is the method by which Finagle asks on each connection whether calls may have a head of its own; what is no Finagle says
// that it has no such method.
const finagleProbe = "__can__finagle__trace__v3__"

// The ResultCodes of scribe.
const (
	resultOK       = 0
	resultTryLater = 1
)

// answer does a call and returns the frame of its answer, or nothing for a call that wants none.
func (c *conn) answer(ctx context.Context, in *call) (out []byte) {
	to := reply{old: in.head[0]&0x80 == 0}
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("request panicked", "protocol", c.inlet.Protocol, "panic", p, "stack", string(debug.Stack()))
			c.inlet.Meter.RefuseRequest(c.inlet.Protocol, trace.Internal.String())
			out = to.exception(thrift.InternalError, internal)
		}
	}()
	b := in.head
	if !in.busy {
		defer in.body.Release()
		b = in.body.Bytes
	}
	r := thrift.NewBinary(b)
	to.Message = r.Message()
	to.Name = bytes.Clone(to.Name[:min(len(to.Name), maxHead)]) // the answer repeats it, and may be written when the body is gone
	switch {
	case r.Err() != nil:
		return c.refuseCall(to, "undecodable", thrift.ProtocolError, r.Err())
	case to.Type != thrift.Call && to.Type != thrift.Oneway:
		return c.refuseCall(to, "undecodable", thrift.InvalidMessageType, trace.Errorf(trace.Invalid, "message of type %d; want a call", to.Type))
	case string(to.Name) == finagleProbe:
		return to.exception(thrift.UnknownMethod, "no")
	case string(to.Name) != "Log":
		return c.refuseCall(to, "method", thrift.UnknownMethod, trace.Errorf(trace.Invalid, "there is no method %.60q; scribe's is Log", to.Name))
	case in.busy:
		c.inlet.Meter.RefuseRequest(c.inlet.Protocol, trace.Busy.String())
		return to.result(resultTryLater)
	}
	return c.outcome(to, c.store(ctx, &r, len(b)))
}

// refuseCall counts a call that is none of Log's.
func (c *conn) refuseCall(to reply, reason string, kind int32, err error) []byte {
	c.inlet.Meter.RefuseRequest(c.inlet.Protocol, reason)
	return to.exception(kind, trace.ErrorOf(err).Msg)
}

const internal = "internal error; see Clew's log"

// outcome returns the answer for what became of a call: a client sends again on TRY_LATER, and not on an exception.
func (c *conn) outcome(to reply, err error) []byte {
	if err == nil {
		return to.result(resultOK)
	}
	switch e := trace.ErrorOf(err); e.Kind {
	case trace.Busy:
		return to.result(resultTryLater)
	case trace.Invalid, trace.TooLarge, trace.UnknownTenant:
		return to.exception(thrift.InternalError, e.Msg)
	}
	c.log.Error("request failed", "protocol", c.inlet.Protocol, "err", err)
	return to.exception(thrift.InternalError, internal)
}

// store stores the spans of a call. As with Zipkin's server, one message that is no span makes all of them refused.
func (c *conn) store(ctx context.Context, r *thrift.Reader, size int) error {
	plain := int64(size) * 3 / 4                   // what base64 of a size stands for at most,
	release, err := c.bodies.HoldFor(ctx, 3*plain) // in Thrift, by service, and then in one piece
	if err != nil {
		c.inlet.Meter.RefuseRequest(c.inlet.Protocol, trace.Busy.String())
		return err
	}
	defer release()
	more := func() {}
	defer func() { more() }()
	b := c.batches.Get().(*trace.Batch)
	defer c.put(b)
	err = c.inlet.Convert(ctx, b, func() (raw []byte, err error) {
		d := wire.NewDecoder(time.Now(), c.inlet.Limits(ctx))
		if err := c.entries(r, d); err != nil {
			return nil, err
		}
		raw = d.Append(nil)
		if n := 2 * (int64(len(raw)) - plain); n > 0 {
			var rest func()
			if rest, err = c.bodies.HoldFor(ctx, n); err == nil {
				more = rest
			}
		}
		return raw, err
	})
	if err != nil || len(b.Raw) == 0 {
		return err
	}
	return c.inlet.Write(ctx, b)
}

func (s *Server) put(b *trace.Batch) {
	b.Raw = nil
	if b.Small() {
		s.batches.Put(b)
	}
}

// entries decodes the messages of a call: Log(1: list<LogEntry>). Those of other categories than zipkin are counted and left out.
func (c *conn) entries(r *thrift.Reader, d *wire.Decoder) error {
	var plain []byte
	for r.Struct(); r.Next(); {
		if r.Field != 1<<8|thrift.List {
			r.Skip()
			continue
		}
		n := r.List(thrift.Struct)
		for i := 0; i < n && r.Err() == nil; i++ {
			category, message := entry(r)
			if r.Err() != nil {
				break
			}
			if string(category) != "zipkin" {
				c.inlet.Meter.RefuseRequest(c.inlet.Protocol, "category")
				continue
			}
			plain = appendBase64(plain[:0], message)
			if err := d.ThriftSpan(plain); err != nil {
				return err
			}
		}
	}
	return r.Err()
}

// entry reads a LogEntry: 1: category, 2: message.
func entry(r *thrift.Reader) (category, message []byte) {
	for r.Struct(); r.Next(); {
		switch r.Field {
		case 1<<8 | thrift.String:
			category = r.Bytes()
		case 2<<8 | thrift.String:
			message = r.Bytes()
		default:
			r.Skip()
		}
	}
	return category, message
}

// appendBase64 appends what a text in base64 stands for. As MIME (RFC 2045) asks, and Zipkin's server does, everything that is not of the
// alphabet is passed over: Finagle breaks lines, and others end with one. Padding is the end. Bits that are no whole byte are left out.
func appendBase64(dst, text []byte) []byte {
	var bits uint32
	n := 0
	for i := 0; i < len(text); i++ {
		if n == 0 && i+4 <= len(text) { // mostly
			a, b, c, d := digits[text[i]], digits[text[i+1]], digits[text[i+2]], digits[text[i+3]]
			if (a | b | c | d) < none {
				dst = append(dst, a<<2|b>>4, b<<4|c>>2, c<<6|d)
				i += 3
				continue
			}
		}
		v := digits[text[i]]
		if text[i] == '=' {
			break
		}
		if v == none {
			continue
		}
		bits = bits<<6 | uint32(v)
		if n += 6; n >= 8 {
			n -= 8
			dst = append(dst, byte(bits>>n))
		}
	}
	return dst
}

// none is the value of what is no digit of base64.
const none = 0x80

// digits are the values of the digits of base64.
var digits = func() (t [256]byte) {
	for i := range t {
		t[i] = none
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	return t
}()

// result returns the frame of an answer with a ResultCode, or nothing for a call that wants none.
func (to *reply) result(code int32) []byte {
	if to.Type == thrift.Oneway {
		return nil
	}
	w := to.begin(thrift.Reply)
	w.Field(0<<8 | thrift.I32)
	w.I32(code)
	return end(w)
}

// exception returns the frame of an answer that is a TApplicationException.
func (to *reply) exception(kind int32, text string) []byte {
	if to.Type == thrift.Oneway {
		return nil
	}
	w := to.begin(thrift.Exception)
	w.Field(1<<8 | thrift.String)
	w.String(text)
	w.Field(2<<8 | thrift.I32)
	w.I32(kind)
	return end(w)
}

// begin begins an answer, with the head that its call has.
func (to *reply) begin(t thrift.MessageType) *thrift.Writer {
	w := &thrift.Writer{Out: make([]byte, 4, 64)} // the frame's length
	if to.old {
		w.Bytes(to.Name)
		w.Byte(int8(t))
		w.I32(to.Seq)
	} else {
		w.Message(thrift.Message{Type: t, Name: to.Name, Seq: to.Seq})
	}
	w.Struct()
	return w
}

func end(w *thrift.Writer) []byte {
	w.End()
	binary.BigEndian.PutUint32(w.Out, uint32(len(w.Out)-4))
	return w.Out
}
