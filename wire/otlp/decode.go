// Package otlp turns OTLP/JSON into spans and back, and writes OTLP's answers.
//
// The binary form needs no package of its own: it is the form of a trace.Batch. Source: the OTLP specification 1.x, "JSON
// Protobuf Encoding", and opentelemetry-proto.
package otlp

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// DecodeJSON reads an ExportTraceServiceRequest in OTLP/JSON. IDs that are no hexadecimal become zero, so that
// indexing the batch refuses their spans alone. Errors are of kind Invalid and say where.
func DecodeJSON(b []byte) ([]trace.Span, error) {
	var req jsonTraces
	if err := json.Unmarshal(b, &req); err != nil {
		return nil, trace.Errorf(trace.Invalid, "not OTLP/JSON: %s", explain(err))
	}
	var spans []trace.Span
	for i := range req.ResourceSpans {
		rs := &req.ResourceSpans[i]
		res := &trace.Resource{Attrs: attrs(rs.Resource.Attributes), Dropped: rs.Resource.Dropped, SchemaURL: rs.SchemaURL}
		for j := range rs.ScopeSpans {
			ss := &rs.ScopeSpans[j]
			scope := &trace.Scope{
				Name: ss.Scope.Name, Version: ss.Scope.Version, Attrs: attrs(ss.Scope.Attributes), Dropped: ss.Scope.Dropped, SchemaURL: ss.SchemaURL,
			}
			for k := range ss.Spans {
				s := ss.Spans[k].span()
				s.Resource, s.Scope = res, scope
				spans = append(spans, s)
			}
		}
	}
	return spans, nil
}

// explain turns encoding/json's errors into what a sender can act on.
func explain(err error) string {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("%v, at byte %d", e, e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("%s cannot be a %s, at byte %d", e.Field, e.Value, e.Offset)
	}
	return err.Error()
}

type jsonTraces struct {
	ResourceSpans []struct {
		Resource struct {
			Attributes []jsonAttr `json:"attributes"`
			Dropped    uint32     `json:"droppedAttributesCount"`
		} `json:"resource"`
		ScopeSpans []struct {
			Scope struct {
				Name       string     `json:"name"`
				Version    string     `json:"version"`
				Attributes []jsonAttr `json:"attributes"`
				Dropped    uint32     `json:"droppedAttributesCount"`
			} `json:"scope"`
			Spans     []jsonSpan `json:"spans"`
			SchemaURL string     `json:"schemaUrl"`
		} `json:"scopeSpans"`
		SchemaURL string `json:"schemaUrl"`
	} `json:"resourceSpans"`
}

type jsonSpan struct {
	TraceID       jsonID      `json:"traceId"`
	SpanID        jsonID      `json:"spanId"`
	Parent        jsonID      `json:"parentSpanId"`
	State         string      `json:"traceState"`
	Flags         uint32      `json:"flags"`
	Name          string      `json:"name"`
	Kind          jsonKind    `json:"kind"`
	Start         jsonUint    `json:"startTimeUnixNano"`
	End           jsonUint    `json:"endTimeUnixNano"`
	Attributes    []jsonAttr  `json:"attributes"`
	Dropped       uint32      `json:"droppedAttributesCount"`
	Events        []jsonEvent `json:"events"`
	DroppedEvents uint32      `json:"droppedEventsCount"`
	Links         []jsonLink  `json:"links"`
	DroppedLinks  uint32      `json:"droppedLinksCount"`
	Status        struct {
		Message string     `json:"message"`
		Code    jsonStatus `json:"code"`
	} `json:"status"`
}

type jsonEvent struct {
	Time       jsonUint   `json:"timeUnixNano"`
	Name       string     `json:"name"`
	Attributes []jsonAttr `json:"attributes"`
	Dropped    uint32     `json:"droppedAttributesCount"`
}

type jsonLink struct {
	TraceID    jsonID     `json:"traceId"`
	SpanID     jsonID     `json:"spanId"`
	State      string     `json:"traceState"`
	Flags      uint32     `json:"flags"`
	Attributes []jsonAttr `json:"attributes"`
	Dropped    uint32     `json:"droppedAttributesCount"`
}

func (j *jsonSpan) span() trace.Span {
	s := trace.Span{
		State: j.State, Flags: j.Flags, Name: j.Name, Kind: trace.Kind(j.Kind), Start: uint64(j.Start), End: uint64(j.End),
		Attrs: attrs(j.Attributes), Dropped: j.Dropped, DroppedEvents: j.DroppedEvents, DroppedLinks: j.DroppedLinks,
		Status: trace.StatusCode(j.Status.Code), StatusMessage: j.Status.Message,
	}
	copyID(s.TraceID[:], j.TraceID)
	copyID(s.ID[:], j.SpanID)
	copyID(s.Parent[:], j.Parent)
	for i := range j.Events {
		e := &j.Events[i]
		s.Events = append(s.Events, trace.Event{Time: uint64(e.Time), Name: e.Name, Attrs: attrs(e.Attributes), Dropped: e.Dropped})
	}
	for i := range j.Links {
		l := &j.Links[i]
		link := trace.Link{State: l.State, Flags: l.Flags, Attrs: attrs(l.Attributes), Dropped: l.Dropped}
		copyID(link.TraceID[:], l.TraceID)
		copyID(link.SpanID[:], l.SpanID)
		s.Links = append(s.Links, link)
	}
	return s
}

// copyID leaves dst zero unless id has its length.
func copyID(dst []byte, id jsonID) {
	if len(id) == len(dst) {
		copy(dst, id)
	}
}

// jsonID is an ID in hexadecimal digits; nil if it is not.
type jsonID []byte

func (id *jsonID) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return nil // a number, say: refused as a bad ID
	}
	if raw, err := hex.DecodeString(s); err == nil {
		*id = raw
	}
	return nil
}

// jsonUint is a 64-bit number, as a number or in quotes.
type jsonUint uint64

func (u *jsonUint) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "null" || s == "" {
		return nil
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64) // 1.7e18 is a JSON number, too
		if ferr != nil || f < 0 || f >= math.MaxUint64 {
			return fmt.Errorf("%.40s is not an unsigned 64-bit number", b)
		}
		v = uint64(f)
	}
	*u = jsonUint(v)
	return nil
}

type jsonKind uint8

func (k *jsonKind) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if v, err := strconv.ParseUint(s, 10, 32); err == nil {
		if v <= uint64(trace.KindConsumer) {
			*k = jsonKind(v)
		}
		return nil
	}
	if v, ok := trace.ParseKind(strings.TrimPrefix(s, "SPAN_KIND_")); ok {
		*k = jsonKind(v)
	}
	return nil // what is unknown is unspecified, as in the binary form
}

type jsonStatus uint8

func (c *jsonStatus) UnmarshalJSON(b []byte) error {
	switch strings.Trim(string(b), `"`) {
	case "1", "STATUS_CODE_OK":
		*c = jsonStatus(trace.StatusOK)
	case "2", "STATUS_CODE_ERROR":
		*c = jsonStatus(trace.StatusError)
	}
	return nil
}

type jsonAttr struct {
	Key   string    `json:"key"`
	Value jsonValue `json:"value"`
}

func attrs(js []jsonAttr) []trace.Attr {
	if len(js) == 0 {
		return nil
	}
	out := make([]trace.Attr, len(js))
	for i := range js {
		out[i] = trace.Attr{Key: js[i].Key, Value: js[i].Value.v}
	}
	return out
}

type jsonValue struct{ v trace.Value }

func (j *jsonValue) UnmarshalJSON(b []byte) error {
	var any struct {
		String *string     `json:"stringValue"`
		Bool   *bool       `json:"boolValue"`
		Int    *jsonInt    `json:"intValue"`
		Double *jsonDouble `json:"doubleValue"`
		Array  *struct {
			Values []jsonValue `json:"values"`
		} `json:"arrayValue"`
		Map *struct {
			Values []jsonAttr `json:"values"`
		} `json:"kvlistValue"`
		Bytes *string `json:"bytesValue"`
	}
	if err := json.Unmarshal(b, &any); err != nil {
		return err
	}
	switch {
	case any.String != nil:
		j.v = trace.String(*any.String)
	case any.Bool != nil:
		j.v = trace.Bool(*any.Bool)
	case any.Int != nil:
		j.v = trace.Int(int64(*any.Int))
	case any.Double != nil:
		j.v = trace.Double(float64(*any.Double))
	case any.Array != nil:
		vs := make([]trace.Value, len(any.Array.Values))
		for i := range vs {
			vs[i] = any.Array.Values[i].v
		}
		j.v = trace.Array(vs...)
	case any.Map != nil:
		j.v = trace.Map(attrs(any.Map.Values)...)
	case any.Bytes != nil:
		raw, err := decodeBase64(*any.Bytes)
		if err != nil {
			return fmt.Errorf("bytesValue: %w", err)
		}
		j.v = trace.Bytes(raw)
	}
	return nil
}

// decodeBase64 takes the standard and the URL alphabet, with and without padding, as protobuf's JSON mapping asks.
func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	return base64.RawStdEncoding.DecodeString(s)
}

type jsonInt int64

func (i *jsonInt) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<63 {
			return fmt.Errorf("intValue: %.40s is not a 64-bit number", b)
		}
		v = int64(f)
	}
	*i = jsonInt(v)
	return nil
}

type jsonDouble float64

func (d *jsonDouble) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64) // also NaN and Infinity
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("doubleValue: %.40s is not a number", b)
	}
	*d = jsonDouble(v)
	return nil
}
