package receive

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
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
	buffers sync.Pool // *Body
	gzips   sync.Pool // *gzip.Reader
	zstds   sync.Pool // *zstd.Decoder
}

// NewBodies returns a reader of bodies of at most maxBody bytes each, decompressed, and maxHeld bytes together.
func NewBodies(maxBody, maxHeld int64) *Bodies {
	b := &Bodies{maxBody: maxBody, maxHeld: maxHeld}
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
func (r *Bodies) Read(req *http.Request) (*Body, error) {
	var in io.Reader = req.Body
	switch req.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip", "x-gzip":
		z, _ := r.gzips.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		defer r.gzips.Put(z)
		if err := z.Reset(req.Body); err != nil {
			return nil, trace.Errorf(trace.Invalid, "body is not gzip: %v", err)
		}
		in = z
	case "zstd":
		z, _ := r.zstds.Get().(*zstd.Decoder)
		if z == nil {
			var err error
			if z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20)); err != nil {
				return nil, err
			}
		}
		defer func() {
			_ = z.Reset(nil)
			r.zstds.Put(z)
		}()
		if err := z.Reset(req.Body); err != nil {
			return nil, trace.Errorf(trace.Invalid, "body is not zstd: %v", err)
		}
		in = z
	default:
		return nil, UnsupportedEncoding
	}
	b := r.buffers.Get().(*Body)
	if err := b.fill(in); err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

// fill reads all of in. What the buffer may hold is taken from the budget before it grows.
func (b *Body) fill(in io.Reader) error {
	for {
		if len(b.Bytes) == cap(b.Bytes) || b.taken == 0 {
			size := max(int64(cap(b.Bytes)), 16<<10)
			if int64(len(b.Bytes)) == size {
				size *= 2
			}
			if b.from.held.Add(size-b.taken) > b.from.maxHeld {
				b.from.held.Add(b.taken - size)
				return errHeld
			}
			b.taken = size
			if size > int64(cap(b.Bytes)) {
				b.Bytes = append(make([]byte, 0, size), b.Bytes...)
			}
		}
		n, err := in.Read(b.Bytes[len(b.Bytes):cap(b.Bytes)])
		b.Bytes = b.Bytes[:len(b.Bytes)+n]
		if int64(len(b.Bytes)) > b.from.maxBody {
			return trace.Errorf(trace.TooLarge, "body is larger than %d bytes (decompressed); send smaller batches", b.from.maxBody)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return trace.Errorf(trace.Invalid, "body cannot be read: %v", err)
		}
	}
}
