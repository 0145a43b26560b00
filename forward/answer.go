package forward

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/clewtrace/clew/wire"
)

// fate is what becomes of a request after an attempt.
type fate uint8

const (
	accepted fate = iota
	again         // the destination cannot now: try until it can
	unsure        // it may be the destination or the spans: try a few times, or these spans would hold up all behind them for ever
	tooLarge      // try halves
	refused       // trying again is useless
)

// answer is how an attempt ended.
type answer struct {
	fate     fate
	code     string        // as metrics name it: a status, or what kept it from coming
	text     string        // for the log
	after    time.Duration // when the destination wants to see us again; 0: it did not say
	rejected int           // spans, of those accepted
}

// httpAnswer judges an answer. OTLP says which statuses are to be tried again: 429, 502, 503 and 504; for what is commonly a passing fault of
// the way there (401, 404, 5xx) the queue is there to wait, and neither Jaeger nor Zipkin says.
func (c *client) httpAnswer(resp *http.Response, body []byte) answer {
	a := answer{code: strconv.Itoa(resp.StatusCode), text: fmt.Sprintf("%s: %s", resp.Status, excerpt(body))}
	switch s := resp.StatusCode; {
	case s < 300:
		if c.Protocol == OTLPHTTP {
			a.rejected, a.text = partialSuccess(body)
		}
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable:
		a.fate, a.after = again, retryAfter(resp.Header.Get("Retry-After"), time.Now())
	case s == http.StatusBadGateway, s == http.StatusGatewayTimeout, s == http.StatusRequestTimeout,
		s < 400, s == http.StatusUnauthorized, s == http.StatusProxyAuthRequired, s == http.StatusNotFound:
		a.fate = again
	case s == http.StatusRequestEntityTooLarge:
		a.fate = tooLarge
	case s >= 500:
		a.fate = unsure
	default:
		a.fate = refused
	}
	return a
}

// retryAfter reads a Retry-After: seconds or a date.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// partialSuccess reads an ExportTraceServiceResponse: {1: {1: rejected spans, 2: message}}.
func partialSuccess(body []byte) (rejected int, message string) {
	for f := wire.NewFields(body); f.Next(); { // what is no such message has been accepted all the same
		if f.ID != 1<<3|wire.Length {
			continue
		}
		for partial := wire.NewFields(f.Body); partial.Next(); {
			switch partial.ID {
			case 1<<3 | wire.Varint:
				rejected = int(min(partial.Num, 1<<31))
			case 2<<3 | wire.Length:
				message = excerpt(partial.Body)
			}
		}
	}
	return rejected, message
}

// grpcAnswer judges an answer by its status, which is in the headers or behind the body.
func (c *client) grpcAnswer(resp *http.Response, body []byte, err error) answer {
	h := resp.Header
	if h.Get("Grpc-Status") == "" {
		h = resp.Trailer
	}
	number, parse := strconv.Atoi(h.Get("Grpc-Status"))
	switch {
	case err != nil:
		return answer{fate: again, code: "connection", text: err.Error()}
	case parse != nil && resp.StatusCode != http.StatusOK: // a proxy on the way
		return c.httpAnswer(resp, body)
	case parse != nil:
		return answer{fate: again, code: "no_status", text: "the answer has no grpc-status; is it a gRPC server?"}
	}
	code := codes.Code(number)
	text, _ := url.PathUnescape(h.Get("Grpc-Message"))
	a := answer{code: strings.ToLower(code.String()), text: fmt.Sprintf("%v: %s", code, excerpt([]byte(text)))}
	delay, hinted := retryInfo(h.Get("Grpc-Status-Details-Bin"))
	a.after = delay
	switch code {
	case codes.OK:
		if c.Protocol == OTLPGRPC && len(body) >= 5 && body[0] == 0 {
			a.rejected, a.text = partialSuccess(body[5:])
		}
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.DataLoss,
		codes.Unauthenticated, codes.Unimplemented: // the last two are a wrong setting or a server on its way up
		a.fate = again
	case codes.ResourceExhausted:
		a.fate = c.exhausted(text, hinted)
	case codes.Internal, codes.Unknown:
		a.fate = unsure
	default:
		a.fate = refused
	}
	return a
}

// exhausted tells what RESOURCE_EXHAUSTED means: OTLP's servers give a RetryInfo if it passes, Jaeger's collector does not, and gRPC's own
// libraries mean the message's size.
func (c *client) exhausted(text string, hinted bool) fate {
	switch {
	case strings.Contains(text, "larger than"):
		return tooLarge
	case hinted || c.Protocol == JaegerGRPC:
		return again
	}
	return unsure
}

// retryInfo reads the delay of a google.rpc.RetryInfo in a status' details.
func retryInfo(encoded string) (delay time.Duration, ok bool) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil || len(raw) == 0 {
		return 0, false
	}
	var s status.Status
	if proto.Unmarshal(raw, &s) != nil {
		return 0, false
	}
	for _, d := range s.Details {
		var info errdetails.RetryInfo
		if d.UnmarshalTo(&info) == nil {
			return max(0, info.RetryDelay.AsDuration()), true
		}
	}
	return 0, false
}

// excerpt returns the beginning of a text as a log can have it.
func excerpt(b []byte) string {
	b = bytes.TrimSpace(b)
	return strings.ToValidUTF8(string(b[:min(len(b), 300)]), "?")
}
