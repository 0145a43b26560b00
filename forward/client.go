package forward

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// client sends requests to one destination. gRPC's calls are unary ones, which take no more than net/http's HTTP/2 and trailers.
type client struct {
	*Config
	url  string
	http *http.Client
	gzip sync.Pool // *gzip.Writer
	zstd *zstd.Encoder
}

// request is one message, encoded for the destination.
type request struct {
	origin
	body  []byte
	spans int
}

func newClient(c *Config) (*client, error) {
	u, err := c.url()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: min(c.Timeout, dialTimeout)}
	t := &http.Transport{
		DialContext:     dialer.DialContext,
		DialTLSContext:  tlsDialer(dialer, u, c),
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: c.TLS, // through a proxy
		MaxConnsPerHost: c.Concurrency,

		MaxIdleConnsPerHost: c.Concurrency,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
		Protocols:           new(http.Protocols),
		// A connection whose other end is gone is found by a ping, and not by a request that waits for its timeout.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 20 * time.Second, PingTimeout: 10 * time.Second},
	}
	t.Protocols.SetHTTP2(true)
	if isGRPC(c.Protocol) {
		t.Protocols.SetUnencryptedHTTP2(true)
	} else {
		t.Protocols.SetHTTP1(true)
	}
	cl := &client{Config: c, url: u.String(), http: &http.Client{
		Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	cl.gzip.New = func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a valid one
		return w
	}
	cl.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(max(1, c.Concurrency)), zstd.WithWindowSize(1<<20))
	return cl, err
}

// send makes one attempt.
func (c *client) send(ctx context.Context, r *request) answer {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var own attempt
	req, err := c.request(context.WithValue(ctx, attemptKey{}, &own), r)
	if err != nil {
		return answer{fate: again, code: "setup", text: err.Error()}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		code := "connection"
		if errors.Is(err, context.DeadlineExceeded) {
			code = "timeout"
		}
		return answer{fate: again, code: code, text: own.explain(ctx, err).Error()}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	switch {
	case isGRPC(c.Protocol):
		return c.grpcAnswer(resp, body, err)
	case err != nil && resp.StatusCode < 300: // its status has been said; what is behind it matters only for partial success
		body = nil
	}
	return c.httpAnswer(resp, body)
}

// contentTypes are what each protocol calls its bodies.
var contentTypes = map[string]string{
	OTLPGRPC: "application/grpc", JaegerGRPC: "application/grpc", OTLPHTTP: "application/x-protobuf",
	JaegerHTTP: "application/vnd.apache.thrift.binary", Zipkin: "application/json",
}

func (c *client) request(ctx context.Context, r *request) (*http.Request, error) {
	body, err := c.compress(r.body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	h := req.Header
	h.Set("Content-Type", contentTypes[c.Protocol])
	h.Set("User-Agent", "clew-forward")
	encoding := "Content-Encoding"
	if isGRPC(c.Protocol) {
		encoding = "Grpc-Encoding"
		h.Set("Te", "trailers")
		h.Set("Grpc-Timeout", fmt.Sprint(max(1, min(c.Timeout.Milliseconds(), 99999999)), "m"))
	}
	if c.Compression != "none" {
		h.Set(encoding, c.Compression)
	}
	h.Set(ViaHeader, r.via.String())
	if c.TenantHeader != "" {
		h.Set(c.TenantHeader, r.tenant)
	}
	if c.Authorization != nil {
		value, err := c.Authorization()
		if err != nil {
			return nil, fmt.Errorf("credential: %w", err)
		}
		h.Set("Authorization", value)
	}
	for name, secret := range c.Headers {
		value, err := secret.reveal()
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
		if h.Set(name, value); http.CanonicalHeaderKey(name) == "Host" {
			req.Host = value
		}
	}
	return req, nil
}

// compress returns a body as it goes over the wire; with gRPC it is framed there.
func (c *client) compress(body []byte) ([]byte, error) {
	frame, flag := 0, byte(0)
	if isGRPC(c.Protocol) {
		frame = 5
	}
	if frame == 0 && c.Compression == "none" {
		return body, nil
	}
	out := make([]byte, frame, frame+len(body)/2)
	switch c.Compression {
	case "gzip":
		w := c.gzip.Get().(*gzip.Writer)
		defer c.gzip.Put(w)
		buf := bytes.NewBuffer(out)
		w.Reset(buf)
		if _, err := w.Write(body); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		out, flag = buf.Bytes(), 1
	case "zstd":
		out, flag = c.zstd.EncodeAll(body, out), 1
	default:
		out = append(out, body...)
	}
	if frame > 0 {
		out[0] = flag
		binary.BigEndian.PutUint32(out[1:], uint32(len(out)-frame))
	}
	return out, nil
}

func (c *client) close() {
	c.http.CloseIdleConnections()
	_ = c.zstd.Close()
}
