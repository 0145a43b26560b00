package receive

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/trace"
)

// Bodies reads request bodies within limits: each body, and all that are held at once. Its buffers are used again.
type Bodies struct {
	maxBody int64
	maxHeld int64
	held    atomic.Int64
	buffers [9]sync.Pool // *[]byte of smallest bytes, twice as many, and so on
	gzips   sync.Pool    // *gzip.Reader
	zstds   sync.Pool    // *zstd.Decoder
	turns   *Turns
	tenants *Tenants
}

// NewBodies returns a reader of bodies of at most maxBody bytes each, decompressed, and maxHeld bytes together.
func NewBodies(maxBody, maxHeld int64) *Bodies {
	return &Bodies{maxBody: maxBody, maxHeld: maxHeld, turns: newTurns()}
}

// Turns returns the turns in which bodies are decompressed, and in which what is in them is to be worked on; see Inlet.
func (r *Bodies) Turns() *Turns { return r.turns }

// Register makes metrics of how much is being received.
func (r *Bodies) Register(reg prometheus.Registerer) {
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "clew_receive_held_bytes", Help: "Memory of requests being received; receive.held_bytes is its limit.",
		}, func() float64 { return float64(r.held.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "clew_receive_waiting_requests", Help: "Requests that wait for their turn to be worked on.",
		}, func() float64 { return float64(r.turns.Waiting()) }),
	)
}

// Share has the memory shared out among tenants, and those refused that send more than they may, before anything else is read.
func (r *Bodies) Share(t *Tenants) { r.tenants = t }

// Body is a request's body, decompressed. Release must be called when it is no longer needed.
type Body struct {
	Bytes []byte
	from  *Bodies
	of    *account
	taken int64
}

// Release gives the body's memory back.
func (b *Body) Release() {
	b.from.give(b.of, b.taken)
	b.from.keep(b.Bytes)
	b.Bytes, b.taken = nil, 0
}

// smallest is the size of a buffer at first. Others are twice as large as the one before, so that a body holds at most twice what it
// has, be it a small one after large ones or a large one of which not much has come.
const smallest = 16 << 10

// pool returns where buffers of a size are kept to be used again, or nil: one large request must not hold its memory for ever.
func (r *Bodies) pool(size int) *sync.Pool {
	n := bits.Len(uint(size / smallest))
	if n == 0 || n > len(r.buffers) || size != smallest<<(n-1) {
		return nil
	}
	return &r.buffers[n-1]
}

func (r *Bodies) buffer(size int) []byte {
	if p := r.pool(size); p != nil {
		if b, ok := p.Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, size)
}

func (r *Bodies) keep(b []byte) {
	if p := r.pool(cap(b)); p != nil {
		p.Put(&b)
	}
}

// Hold counts n bytes that somebody else read as held, or returns an error of kind Busy. release gives them back.
func (r *Bodies) Hold(n int64) (release func(), err error) { return r.holdFor(nil, n) }

// HoldFor is Hold for the tenant in a context.
func (r *Bodies) HoldFor(ctx context.Context, n int64) (release func(), err error) {
	a, err := r.tenants.of(ctx)
	if err != nil {
		return nil, err
	}
	return r.holdFor(a, n)
}

// Hold is Bodies.Hold for the tenant of the body.
func (b *Body) Hold(n int64) (release func(), err error) { return b.from.holdFor(b.of, n) }

func (r *Bodies) holdFor(a *account, n int64) (release func(), err error) {
	if err := r.take(a, n); err != nil {
		a.refuse(err)
		return nil, err
	}
	return func() { r.give(a, n) }, nil
}

// take counts n more bytes as held, by a tenant if there are any. The error is of kind Busy.
func (r *Bodies) take(a *account, n int64) error {
	held := r.held.Add(n)
	switch {
	case held > r.maxHeld:
		r.held.Add(-n)
		return errHeld
	case !a.hold(n, r.maxHeld-held):
		r.held.Add(-n)
		return errShare
	}
	return nil
}

func (r *Bodies) give(a *account, n int64) {
	r.held.Add(-n)
	a.hold(-n, 0)
}

// admit returns the account of a request's tenant, or an error if there is none, it has sent more than it may, or there is too much from all.
func (r *Bodies) admit(ctx context.Context) (*account, error) {
	a, err := r.tenants.of(ctx)
	if err == nil {
		if err = a.admit(time.Now()); err == nil && r.turns.Behind(ctx) {
			err = errBehind
		}
		a.refuse(err)
	}
	return a, err
}

var errHeld = &trace.Error{Kind: trace.Busy, Msg: "too many bytes are being received at once; send again later", After: time.Second}

// UnsupportedEncoding is the error for a Content-Encoding that Read does not know.
var UnsupportedEncoding = trace.Errorf(trace.Invalid, "Content-Encoding is not one of gzip, zstd, identity")

// Read reads and decompresses a request's body. Errors are of kind TooLarge, Busy, UnknownTenant, or Invalid (UnsupportedEncoding among them).
//
// A compressed body is read whole before it is decompressed: a decoder and its window of up to 8 MiB are then never held by a
// client that sends slowly, and there are never more of them than turns.
func (r *Bodies) Read(req *http.Request) (*Body, error) {
	b, err := r.read(req)
	if kind := trace.KindOf(err); err != nil && (kind == trace.Busy || kind == trace.UnknownTenant) {
		r.skip(req)
	}
	return b, err
}

func (r *Bodies) read(req *http.Request) (*Body, error) {
	coding := strings.ToLower(strings.TrimSpace(req.Header.Get("Content-Encoding")))
	switch coding {
	case "", "identity", "gzip", "x-gzip", "zstd":
	default:
		return nil, UnsupportedEncoding
	}
	if req.ContentLength > r.maxBody { // of a compressed body as well: it would not become smaller
		return nil, r.tooLarge()
	}
	a, err := r.admit(req.Context())
	if err != nil {
		return nil, err
	}
	b, err := r.fill(a, req.Body, r.maxBody+1, unread)
	if err != nil || coding == "" || coding == "identity" {
		return b, err
	}
	return r.decompress(req.Context(), b, coding)
}

// skip reads what is left of a body that is not taken now, and forgets it: who sends over HTTP/1 and is still at it when the connection is
// closed may not see the answer, and then drops what it should send again, or sends again what it should drop. Who asked whether to send the body at all is told by the answer.
func (r *Bodies) skip(req *http.Request) {
	if req.ProtoMajor == 1 && req.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, req.Body, r.maxBody)
	}
}

// ReadFrame reads n bytes of a connection, where the protocol says how many come. Memory is taken as they do. Errors are as of Read; how
// much was read then is not known.
func (r *Bodies) ReadFrame(ctx context.Context, in io.Reader, n int64) (*Body, error) {
	if err := r.Fits(n); err != nil {
		return nil, err
	}
	a, err := r.admit(ctx)
	if err != nil {
		return nil, err
	}
	b, err := r.fill(a, in, n, unread)
	if err == nil && int64(len(b.Bytes)) < n {
		b.Release()
		return nil, cutOff(io.ErrUnexpectedEOF)
	}
	return b, err
}

// Fits returns an error of kind TooLarge if a body may not have n bytes.
func (r *Bodies) Fits(n int64) error {
	if n > r.maxBody {
		return r.tooLarge()
	}
	return nil
}

// decompress returns what is in a compressed body, which it releases.
func (r *Bodies) decompress(ctx context.Context, b *Body, coding string) (*Body, error) {
	defer b.Release()
	if err := r.turns.Take(ctx); err != nil {
		return nil, err
	}
	defer r.turns.Done()
	if coding == "zstd" {
		return r.unzstd(b.of, b.Bytes)
	}
	return r.gunzip(b.of, b.Bytes)
}

// unread is the message for a body of which not all came; errCutOff is the cause by which BodyReason knows it.
const unread = "body cannot be read: %v"

var errCutOff = errors.New("cut off")

func (r *Bodies) gunzip(a *account, in []byte) (*Body, error) {
	z, _ := r.gzips.Get().(*gzip.Reader)
	if z == nil {
		z = new(gzip.Reader)
	}
	defer r.gzips.Put(z)
	if err := z.Reset(bytes.NewReader(in)); err != nil {
		return nil, trace.Errorf(trace.Invalid, "body is not gzip: %v", err)
	}
	return r.fill(a, z, r.maxBody+1, "body is broken gzip: %v")
}

func (r *Bodies) unzstd(a *account, in []byte) (*Body, error) {
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
	return r.fill(a, z, r.maxBody+1, "body is broken zstd: %v")
}

// NewZstd returns a decoder that works in its caller's goroutine. RFC 8878 asks for windows of 8 MiB, and warns of larger ones.
func NewZstd() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
}

func (r *Bodies) tooLarge() error {
	return trace.Errorf(trace.TooLarge, "body is larger than %d bytes (decompressed); send smaller batches", r.maxBody)
}

// fill reads in to its end, or limit bytes of it. What the buffer may hold is taken from the budget before it grows.
func (r *Bodies) fill(a *account, in io.Reader, limit int64, broken string) (*Body, error) {
	b := &Body{from: r, of: a}
	if err := b.fill(in, limit, broken); err != nil {
		a.refuse(err)
		b.Release()
		return nil, err
	}
	return b, nil
}

func (b *Body) fill(in io.Reader, limit int64, broken string) error {
	for int64(len(b.Bytes)) < limit {
		if len(b.Bytes) == cap(b.Bytes) {
			if err := b.grow(); err != nil {
				return err
			}
		}
		n, err := in.Read(b.Bytes[len(b.Bytes):min(int64(cap(b.Bytes)), limit)])
		b.Bytes = b.Bytes[:len(b.Bytes)+n]
		switch {
		case int64(len(b.Bytes)) > b.from.maxBody:
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

// grow makes room in the buffer: twice as much each time.
func (b *Body) grow() error {
	size := int64(smallest)
	if n := int64(cap(b.Bytes)); n > 0 {
		size = min(2*n, max(n+1, b.from.maxBody+1)) // one byte more than may be shows that there is more
	}
	if err := b.from.take(b.of, size-b.taken); err != nil {
		return err
	}
	b.taken = size
	old := b.Bytes
	b.Bytes = append(b.from.buffer(int(size)), old...)
	b.from.keep(old)
	return nil
}
