package receive

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/clewtrace/clew/trace"
)

// Bodies reads request bodies within limits: each body, and all that are held at once. Its buffers are used again.
type Bodies struct {
	maxBody int64
	maxHeld int64
	held    atomic.Int64
	buffers sync.Pool     // *Body
	gzips   sync.Pool     // *gzip.Reader
	zstds   sync.Pool     // *zstd.Decoder
	slots   chan struct{} // who is decompressing
}

// NewBodies returns a reader of bodies of at most maxBody bytes each, decompressed, and maxHeld bytes together.
func NewBodies(maxBody, maxHeld int64) *Bodies {
	b := &Bodies{maxBody: maxBody, maxHeld: maxHeld, slots: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
	b.buffers.New = func() any { return &Body{from: b} }
	return b
}

// Body is a request's body, decompressed. Release must be called when it is no longer needed.
type Body struct {
	Bytes []byte
	from  *Bodies
	taken int64
}

// Release gives the body's memory back.
func (b *Body) Release() {
	b.from.held.Add(-b.taken)
	b.taken = 0
	if cap(b.Bytes) > 4<<20 { // one large request must not hold its memory for ever
		b.Bytes = nil
	}
	b.Bytes = b.Bytes[:0]
	b.from.buffers.Put(b)
}

// Hold counts n bytes that somebody else read as held, or returns an error of kind Busy. release gives them back.
func (r *Bodies) Hold(n int64) (release func(), err error) {
	if r.held.Add(n) > r.maxHeld {
		r.held.Add(-n)
		return nil, errHeld
	}
	return func() { r.held.Add(-n) }, nil
}

var errHeld = &trace.Error{Kind: trace.Busy, Msg: "too many bytes are being received at once; send again later", After: time.Second}

// UnsupportedEncoding is the error for a Content-Encoding that Read does not know.
var UnsupportedEncoding = trace.Errorf(trace.Invalid, "Content-Encoding is not one of gzip, zstd, identity")

// Read reads and decompresses a request's body. Errors are of kind TooLarge, Busy, or Invalid (UnsupportedEncoding among them).
//
// A compressed body is read whole before it is decompressed: a decoder and its window of up to 8 MiB are then never held by a
// client that sends slowly, and there are never more of them than slots.
func (r *Bodies) Read(req *http.Request) (*Body, error) {
	coding := strings.ToLower(strings.TrimSpace(req.Header.Get("Content-Encoding")))
	switch coding {
	case "", "identity", "gzip", "x-gzip", "zstd":
	default:
		return nil, UnsupportedEncoding
	}
	if req.ContentLength > r.maxBody { // of a compressed body as well: it would not become smaller
		return nil, r.tooLarge()
	}
	b, err := r.fill(req.Body, r.maxBody+1, unread)
	if err != nil || coding == "" || coding == "identity" {
		return b, err
	}
	return r.decompress(req.Context(), b, coding)
}

// decompress returns what is in a compressed body, which it releases.
func (r *Bodies) decompress(ctx context.Context, b *Body, coding string) (*Body, error) {
	defer b.Release()
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, trace.Errorf(trace.Busy, "the client went away")
	}
	if coding == "zstd" {
		return r.unzstd(b.Bytes)
	}
	return r.gunzip(b.Bytes)
}

// unread is the message for a body of which not all came; errCutOff is the cause by which BodyReason knows it.
const unread = "body cannot be read: %v"

var errCutOff = errors.New("cut off")

func (r *Bodies) gunzip(in []byte) (*Body, error) {
	z, _ := r.gzips.Get().(*gzip.Reader)
	if z == nil {
		z = new(gzip.Reader)
	}
	defer r.gzips.Put(z)
	if err := z.Reset(bytes.NewReader(in)); err != nil {
		return nil, trace.Errorf(trace.Invalid, "body is not gzip: %v", err)
	}
	return r.fill(z, r.maxBody+1, "body is broken gzip: %v")
}

func (r *Bodies) unzstd(in []byte) (*Body, error) {
	z, _ := r.zstds.Get().(*zstd.Decoder)
	if z == nil {
		var err error
		if z, err = NewZstd(); err != nil {
			return nil, err
		}
	}
	defer func() {
		_ = z.Reset(nil)
		r.zstds.Put(z)
	}()
	if err := z.Reset(bytes.NewReader(in)); err != nil {
		return nil, trace.Errorf(trace.Invalid, "body is not zstd: %v", err)
	}
	return r.fill(z, r.maxBody+1, "body is broken zstd: %v")
}

// NewZstd returns a decoder that works in its caller's goroutine. RFC 8878 asks for windows of 8 MiB, and warns of larger ones.
func NewZstd() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
}

func (r *Bodies) tooLarge() error {
	return trace.Errorf(trace.TooLarge, "body is larger than %d bytes (decompressed); send smaller batches", r.maxBody)
}

// fill reads in to its end, or limit bytes of it. What the buffer may hold is taken from the budget before it grows.
func (r *Bodies) fill(in io.Reader, limit int64, broken string) (*Body, error) {
	b := r.buffers.Get().(*Body)
	if err := b.fill(in, limit, broken); err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

func (b *Body) fill(in io.Reader, limit int64, broken string) error {
	for int64(len(b.Bytes)) < limit {
		if len(b.Bytes) == cap(b.Bytes) || b.taken == 0 {
			if err := b.grow(limit); err != nil {
				return err
			}
		}
		n, err := in.Read(b.Bytes[len(b.Bytes):min(int64(cap(b.Bytes)), limit)])
		b.Bytes = b.Bytes[:len(b.Bytes)+n]
		switch {
		case int64(len(b.Bytes)) > b.from.maxBody: // one byte more than may be shows that there is more
			return b.from.tooLarge()
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && broken == unread:
			return cutOff(err)
		case err != nil:
			return trace.Errorf(trace.Invalid, broken, err)
		}
	}
	return nil
}

// cutOff returns the error for a body that err kept from coming whole: Busy if it was too slow, else Invalid.
func cutOff(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &trace.Error{Kind: trace.Busy, Msg: "body did not arrive in time", After: time.Second, Err: errCutOff}
	}
	return &trace.Error{Kind: trace.Invalid, Msg: fmt.Sprintf(unread, err), Err: errCutOff}
}

// grow makes room in the buffer: the first time for what it has, then twice as much each time, but not for more than limit bytes.
func (b *Body) grow(limit int64) error {
	size := max(int64(cap(b.Bytes)), 16<<10)
	if int64(len(b.Bytes)) == size {
		size = min(2*size, max(size+1, limit))
	}
	if b.from.held.Add(size-b.taken) > b.from.maxHeld {
		b.from.held.Add(b.taken - size)
		return errHeld
	}
	b.taken = size
	if size > int64(cap(b.Bytes)) {
		b.Bytes = append(make([]byte, 0, size), b.Bytes...)
	}
	return nil
}
