package receive

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// ReadMessage reads the one message of a unary gRPC call, and decompresses it. Errors are as of Read.
//
// On the wire, as gRPC's "PROTOCOL-HTTP2" has it:
//
//	| flag, 1 byte: 0, or 1 if compressed as Grpc-Encoding says | length, 4 bytes, big-endian | message |
//
// The length is a promise: memory is taken as bytes come, so that a client that only promises holds next to none.
func (r *Bodies) ReadMessage(ctx context.Context, req *http.Request) (*Body, error) {
	coding := strings.ToLower(req.Header.Get("Grpc-Encoding"))
	switch coding {
	case "", "identity", "gzip", "zstd":
	default:
		return nil, UnsupportedEncoding
	}
	a, err := r.admit(ctx)
	if err != nil {
		return nil, err
	}
	var head [5]byte
	if _, err := io.ReadFull(req.Body, head[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, trace.Errorf(trace.Invalid, "call ends before its message begins")
	} else if err != nil {
		return nil, cutOff(err)
	}
	compressed, size := head[0] == 1, int64(binary.BigEndian.Uint32(head[1:]))
	switch {
	case head[0] > 1:
		return nil, trace.Errorf(trace.Invalid, "message's first byte is %d; want 0 or 1", head[0])
	case compressed && (coding == "" || coding == "identity"):
		return nil, trace.Errorf(trace.Invalid, "message is marked as compressed, but grpc-encoding does not say how")
	case size > r.maxBody:
		return nil, r.tooLarge()
	}
	b, err := r.fill(a, req.Body, size, unread)
	if err != nil {
		return nil, err
	}
	if err := wholeMessage(b, size, req.Body); err != nil {
		b.Release()
		return nil, err
	}
	if compressed {
		return r.decompress(ctx, b, coding)
	}
	return b, nil
}

// wholeMessage holds that all of a message came, and that nothing comes after it.
func wholeMessage(b *Body, size int64, in io.Reader) error {
	if n := int64(len(b.Bytes)); n < size {
		return trace.Errorf(trace.Invalid, "message of %d bytes ends after %d", size, n)
	}
	var more [1]byte
	switch _, err := io.ReadFull(in, more[:]); {
	case err == nil:
		return trace.Errorf(trace.Invalid, "call goes on after its message of %d bytes; send one message", size)
	case !errors.Is(err, io.EOF):
		return cutOff(err)
	}
	return nil
}
