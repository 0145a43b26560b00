package scribe

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
)

// conn is one connection. One goroutine reads calls, one writes the answers in order, and there is one for each call under way.
type conn struct {
	*Server
	conn net.Conn
}

// errFramed is the error for what is no frame.
var errFramed = errors.New("not a frame")

func (c *conn) serve(ctx context.Context) {
	answers := make(chan chan []byte, pipelined)
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write(answers)
	}()
	in := bufio.NewReaderSize(c.conn, 4<<10)
	for c.wait(c) {
		call, err := c.read(ctx, in)
		if err != nil {
			c.refuse(err)
			break
		}
		answer := make(chan []byte, 1)
		answers <- answer
		go func() { answer <- c.answer(ctx, call) }()
	}
	close(answers)
	<-written
	_ = c.conn.Close()
}

// write writes answers in the order of their calls. When one cannot be written the connection ends, and the others are left to finish.
func (c *conn) write(answers <-chan chan []byte) {
	broken := false
	for answer := range answers {
		out := <-answer
		if broken || len(out) == 0 {
			continue
		}
		_ = c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // or else the write fails
		if _, err := c.conn.Write(out); err != nil {
			broken = true
			_ = c.conn.Close()
		}
	}
}

// call is a call as it was read. A busy one has no body: it was thrown away as it came.
type call struct {
	head []byte // the beginning of the message
	body *receive.Body
	busy bool
}

// maxHead is how much of a message is looked at before there is memory for it: version, name and sequence.
const maxHead = 64

// read reads one frame. An error ends the connection; io.EOF and a deadline between two frames are no fault.
func (c *conn) read(ctx context.Context, in *bufio.Reader) (*call, error) {
	if _, err := in.Peek(1); err != nil {
		return nil, io.EOF
	}
	if err := c.begin(c); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, fmt.Errorf("call is cut off: %w", noEOF(err))
	}
	n := int64(int32(binary.BigEndian.Uint32(size[:])))
	if n <= 0 {
		return nil, fmt.Errorf("%w: it begins with %x; Thrift without frames is not taken", errFramed, size)
	}
	if err := c.bodies.Fits(n); err != nil {
		return nil, err
	}
	head, err := in.Peek(int(min(n, maxHead)))
	if err != nil {
		return nil, fmt.Errorf("call is cut off: %w", noEOF(err))
	}
	out := &call{head: append([]byte(nil), head...)}
	rest := &io.LimitedReader{R: in, N: n}
	out.body, err = c.bodies.ReadFrame(ctx, rest, n)
	if trace.KindOf(err) == trace.Busy && receive.BodyReason(err) != "cut_off" {
		out.busy = true
		_, err = io.Copy(io.Discard, rest)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// noEOF makes an error of an end within a call.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// refuse counts what ends a connection.
func (c *conn) refuse(err error) {
	reason := receive.BodyReason(err)
	var known *trace.Error
	switch {
	case errors.Is(err, io.EOF):
		return
	case errors.Is(err, errFramed):
		reason = "frame"
	case !errors.As(err, &known):
		reason = "cut_off"
	}
	c.inlet.Meter.RefuseRequest(c.inlet.Protocol, reason)
	c.log.Debug("connection ended", "protocol", c.inlet.Protocol, "client", c.conn.RemoteAddr().String(), "err", err)
}
