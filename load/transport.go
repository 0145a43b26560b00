package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

// transport is one connection to a server.
type transport interface {
	// export sends a request. What the server, or the way to it, had against it is a *refusal.
	export(ctx context.Context, body []byte) (answer, error)
	close() error
}

// answer is what a server says of a request that it took.
type answer struct {
	rejected int64
	message  string
	wire     int // bytes of the body as sent; 0 if not known
}

// refusal is a request that was not taken.
type refusal struct {
	reason  string // few different ones: a status
	message string
	again   bool          // OTLP has the client send it again
	after   time.Duration // but not before
}

func (r *refusal) Error() string { return r.reason + ": " + r.message }

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 64 << 10

// httpTransport posts bodies.
type httpTransport struct {
	target
	address  string
	client   *http.Client
	encoding string
	squeezed bytes.Buffer
	gzip     *gzip.Writer
	zstd     *zstd.Encoder
	answer   []byte
}

func openHTTP(to target) (transport, error) {
	t := &httpTransport{target: to, address: to.url.String(), answer: make([]byte, maxAnswer)}
	t.client = &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true, WriteBufferSize: 64 << 10, TLSClientConfig: to.cfg.TLS.Clone()}}
	var err error
	switch to.cfg.Compression {
	case "gzip":
		t.encoding = to.cfg.Compression
		t.gzip, err = gzip.NewWriterLevel(nil, gzip.BestSpeed)
	case "zstd":
		t.encoding = to.cfg.Compression
		t.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	}
	return t, err
}

func (t *httpTransport) close() error {
	t.client.CloseIdleConnections()
	return nil
}

// squeeze compresses a body as the transport is set.
func (t *httpTransport) squeeze(body []byte) ([]byte, error) {
	switch {
	case t.gzip != nil:
		t.squeezed.Reset()
		t.gzip.Reset(&t.squeezed)
		if _, err := t.gzip.Write(body); err != nil {
			return nil, err
		}
		if err := t.gzip.Close(); err != nil {
			return nil, err
		}
		return t.squeezed.Bytes(), nil
	case t.zstd != nil:
		return t.zstd.EncodeAll(body, nil), nil
	}
	return body, nil
}

func (t *httpTransport) export(ctx context.Context, body []byte) (answer, error) {
	body, err := t.squeeze(body)
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.address, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", t.contentType)
	req.Header.Set("User-Agent", "clew-load")
	for name, value := range t.cfg.Headers {
		req.Header.Set(name, value)
	}
	if t.encoding != "" {
		req.Header.Set("Content-Encoding", t.encoding)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return answer{}, &refusal{reason: "no answer", message: err.Error(), again: true}
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.ReadFull(resp.Body, t.answer)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return answer{}, &refusal{reason: "no answer", message: err.Error(), again: true}
	}
	if resp.StatusCode == t.ok {
		a, err := t.parse(t.answer[:n])
		a.wire = len(body)
		return a, err
	}
	return answer{}, refusedHTTP(resp, t.answer[:n])
}

// parse reads the answer to what was taken, of which there is most in OTLP. In Zipkin's and Jaeger's protocols there is none; Clew's says as text what it did not take.
func (t *httpTransport) parse(body []byte) (a answer, err error) {
	switch {
	case t.encode == nil:
		return parseAnswer(body)
	case t.ok == http.StatusOK:
		var said struct {
			PartialSuccess struct {
				RejectedSpans int64 `json:",string"`
				ErrorMessage  string
			}
		}
		if err := json.Unmarshal(body, &said); err != nil {
			return a, &refusal{reason: "unreadable answer", message: err.Error()}
		}
		return answer{rejected: said.PartialSuccess.RejectedSpans, message: said.PartialSuccess.ErrorMessage}, nil
	case len(body) > 0:
		a.message = string(body[:min(len(body), 200)])
		_, _ = fmt.Sscanf(a.message, "%d of", &a.rejected)
	}
	return a, nil
}

func parseAnswer(body []byte) (answer, error) {
	var r collector.ExportTraceServiceResponse
	if err := proto.Unmarshal(body, &r); err != nil {
		return answer{}, &refusal{reason: "unreadable answer", message: err.Error()}
	}
	return answer{rejected: r.GetPartialSuccess().GetRejectedSpans(), message: r.GetPartialSuccess().GetErrorMessage()}, nil
}

// refusedHTTP reads a refusal as the OTLP specification has it, whatever the protocol: 429, 502, 503 and 504 are to be sent again.
func refusedHTTP(resp *http.Response, body []byte) *refusal {
	r := &refusal{reason: fmt.Sprintf("HTTP %d", resp.StatusCode)}
	var st rpcstatus.Status
	if resp.Header.Get("Content-Type") == "application/x-protobuf" && proto.Unmarshal(body, &st) == nil {
		r.message = st.Message
	} else {
		r.message = string(body[:min(len(body), 200)])
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		r.again = true
	}
	if v := resp.Header.Get("Retry-After"); v != "" {
		if s, err := strconv.Atoi(v); err == nil {
			r.after = time.Duration(s) * time.Second
		} else if at, err := http.ParseTime(v); err == nil {
			r.after = time.Until(at)
		}
	}
	return r
}
