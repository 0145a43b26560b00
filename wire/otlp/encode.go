package otlp

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/clewtrace/clew/trace"
)

// AppendJSON appends spans as OTLP/JSON: {"resourceSpans": [...]}. Neighbours with the same Resource and Scope pointers share them. What is not UTF-8 becomes U+FFFD.
func AppendJSON(b []byte, spans []trace.Span) []byte {
	return append(form{}.appendSpans(append(b, `{"resourceSpans":`...), spans), '}')
}

// AppendMappedJSON appends spans as an array of ResourceSpans in the JSON that protobuf's own mapping makes of them, as Tempo answers: as
// OTLP/JSON, but for IDs in base64 and enumerations by name.
func AppendMappedJSON(b []byte, spans []trace.Span) []byte {
	return form{mapped: true}.appendSpans(b, spans)
}

// form is one of the two JSONs of OTLP.
type form struct{ mapped bool }

func (f form) appendSpans(b []byte, spans []trace.Span) []byte {
	b = append(b, '[')
	for i := 0; i < len(spans); {
		j := i + 1
		for j < len(spans) && spans[j].Resource == spans[i].Resource {
			j++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = f.appendResourceSpans(b, spans[i:j])
		i = j
	}
	return append(b, ']')
}

func (f form) appendResourceSpans(b []byte, spans []trace.Span) []byte {
	b = append(b, `{"resource":{`...)
	res := spans[0].Resource
	if res != nil {
		o := object{b: b}
		o.attrs(res.Attrs)
		o.count("droppedAttributesCount", res.Dropped)
		b = o.b
	}
	b = append(b, `},"scopeSpans":[`...)
	for i := 0; i < len(spans); {
		j := i + 1
		for j < len(spans) && spans[j].Scope == spans[i].Scope {
			j++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = f.appendScopeSpans(b, spans[i:j])
		i = j
	}
	b = append(b, ']')
	if res != nil && res.SchemaURL != "" {
		b = append(b, `,"schemaUrl":`...)
		b = AppendString(b, res.SchemaURL)
	}
	return append(b, '}')
}

func (f form) appendScopeSpans(b []byte, spans []trace.Span) []byte {
	b = append(b, `{"scope":{`...)
	scope := spans[0].Scope
	if scope != nil {
		o := object{b: b}
		o.text("name", scope.Name)
		o.text("version", scope.Version)
		o.attrs(scope.Attrs)
		o.count("droppedAttributesCount", scope.Dropped)
		b = o.b
	}
	b = append(b, `},"spans":[`...)
	for i := range spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = f.appendSpan(b, &spans[i])
	}
	b = append(b, ']')
	if scope != nil && scope.SchemaURL != "" {
		b = append(b, `,"schemaUrl":`...)
		b = AppendString(b, scope.SchemaURL)
	}
	return append(b, '}')
}

func (f form) appendSpan(b []byte, s *trace.Span) []byte {
	o := object{b: append(b, '{'), form: f}
	o.id("traceId", s.TraceID[:])
	o.id("spanId", s.ID[:])
	o.text("traceState", s.State)
	if !s.Parent.IsZero() {
		o.id("parentSpanId", s.Parent[:])
	}
	o.count("flags", s.Flags)
	o.key("name")
	o.b = AppendString(o.b, s.Name)
	o.enum("kind", kindNames[:], uint32(s.Kind))
	o.time("startTimeUnixNano", s.Start)
	o.time("endTimeUnixNano", s.End)
	o.attrs(s.Attrs)
	o.count("droppedAttributesCount", s.Dropped)
	if len(s.Events) > 0 {
		o.key("events")
		o.b = append(o.b, '[')
		for i := range s.Events {
			o.next(i)
			e := object{b: append(o.b, '{')}
			e.time("timeUnixNano", s.Events[i].Time)
			e.text("name", s.Events[i].Name)
			e.attrs(s.Events[i].Attrs)
			e.count("droppedAttributesCount", s.Events[i].Dropped)
			o.b = append(e.b, '}')
		}
		o.b = append(o.b, ']')
	}
	o.count("droppedEventsCount", s.DroppedEvents)
	if len(s.Links) > 0 {
		o.key("links")
		o.b = append(o.b, '[')
		for i := range s.Links {
			o.next(i)
			o.b = f.appendLink(o.b, &s.Links[i])
		}
		o.b = append(o.b, ']')
	}
	o.count("droppedLinksCount", s.DroppedLinks)
	o.key("status")
	st := object{b: append(o.b, '{'), form: f}
	st.text("message", s.StatusMessage)
	st.enum("code", statusNames[:], uint32(s.Status))
	return append(st.b, "}}"...)
}

func (f form) appendLink(b []byte, l *trace.Link) []byte {
	o := object{b: append(b, '{'), form: f}
	o.id("traceId", l.TraceID[:])
	o.id("spanId", l.SpanID[:])
	o.text("traceState", l.State)
	o.attrs(l.Attrs)
	o.count("droppedAttributesCount", l.Dropped)
	o.count("flags", l.Flags)
	return append(o.b, '}')
}

// object appends a JSON object's members.
type object struct {
	b    []byte
	any  bool
	form form
}

// The names of SpanKind and StatusCode in OTLP's protobuf.
var (
	kindNames   = [...]string{"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"}
	statusNames = [...]string{"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"}
)

// enum appends a value of an enumeration, a number where there is no name for it.
func (o *object) enum(k string, names []string, v uint32) {
	if !o.form.mapped || v == 0 || v >= uint32(len(names)) {
		o.count(k, v)
		return
	}
	o.key(k)
	o.b = append(append(append(o.b, '"'), names[v]...), '"')
}

func (o *object) key(k string) {
	if o.any {
		o.b = append(o.b, ',')
	}
	o.any = true
	o.b = append(append(append(o.b, '"'), k...), '"', ':')
}

func (o *object) next(i int) {
	if i > 0 {
		o.b = append(o.b, ',')
	}
}

func (o *object) text(k, v string) {
	if v != "" {
		o.key(k)
		o.b = AppendString(o.b, v)
	}
}

func (o *object) count(k string, v uint32) {
	if v != 0 {
		o.key(k)
		o.b = strconv.AppendUint(o.b, uint64(v), 10)
	}
}

func (o *object) time(k string, v uint64) {
	o.key(k)
	o.b = append(strconv.AppendUint(append(o.b, '"'), v, 10), '"')
}

func (o *object) id(k string, id []byte) {
	o.key(k)
	if o.form.mapped {
		o.b = append(base64.StdEncoding.AppendEncode(append(o.b, '"'), id), '"')
		return
	}
	o.b = append(hex.AppendEncode(append(o.b, '"'), id), '"')
}

func (o *object) attrs(attrs []trace.Attr) {
	if len(attrs) > 0 {
		o.key("attributes")
		o.b = appendAttrs(o.b, attrs)
	}
}

// AppendAttrsJSON appends attributes as an array of KeyValues in JSON, of which there is but one form.
func AppendAttrsJSON(b []byte, attrs []trace.Attr) []byte { return appendAttrs(b, attrs) }

func appendAttrs(b []byte, attrs []trace.Attr) []byte {
	b = append(b, '[')
	for i := range attrs {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(append(b, `{"key":`...), attrs[i].Key)
		b = append(appendValue(append(b, `,"value":`...), attrs[i].Value), '}')
	}
	return append(b, ']')
}

func appendValue(b []byte, v trace.Value) []byte {
	switch v.Type() {
	case trace.TypeString:
		b = AppendString(append(b, `{"stringValue":`...), v.Str())
	case trace.TypeBool:
		b = strconv.AppendBool(append(b, `{"boolValue":`...), v.Bool())
	case trace.TypeInt:
		b = append(strconv.AppendInt(append(b, `{"intValue":"`...), v.Int(), 10), '"')
	case trace.TypeDouble:
		b = appendDouble(append(b, `{"doubleValue":`...), v.Double())
	case trace.TypeArray:
		b = append(b, `{"arrayValue":{"values":[`...)
		for i, e := range v.List() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, e.Value)
		}
		b = append(b, "]}"...)
	case trace.TypeMap:
		b = append(appendAttrs(append(b, `{"kvlistValue":{"values":`...), v.List()), '}')
	case trace.TypeBytes:
		b = append(base64.StdEncoding.AppendEncode(append(b, `{"bytesValue":"`...), []byte(v.Str())), '"')
	default:
		b = append(b, '{')
	}
	return append(b, '}')
}

func appendDouble(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

const hexDigits = "0123456789abcdef"

// AppendString appends a JSON string; what is not UTF-8 becomes U+FFFD.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf {
			if c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, c)
			i++
			continue
		}
		if c < 0x20 {
			switch c {
			case '\n':
				b = append(b, `\n`...)
			case '\t':
				b = append(b, `\t`...)
			case '\r':
				b = append(b, `\r`...)
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		b = utf8.AppendRune(b, r) // U+FFFD for what is broken
		i += n
	}
	return append(b, '"')
}

// AppendResponse appends an ExportTraceServiceResponse in protobuf: empty, or with its partial_success.
func AppendResponse(b []byte, rejected int, message string) []byte {
	if rejected == 0 && message == "" {
		return b
	}
	var p []byte
	if rejected != 0 {
		p = binary.AppendUvarint(append(p, 1<<3), uint64(rejected))
	}
	if message != "" {
		p = append(binary.AppendUvarint(append(p, 2<<3|2), uint64(len(message))), message...)
	}
	return append(binary.AppendUvarint(append(b, 1<<3|2), uint64(len(p))), p...)
}

// AppendResponseJSON appends an ExportTraceServiceResponse in OTLP/JSON.
func AppendResponseJSON(b []byte, rejected int, message string) []byte {
	if rejected == 0 && message == "" {
		return append(b, `{"partialSuccess":{}}`...)
	}
	b = append(b, `{"partialSuccess":{"rejectedSpans":"`...)
	b = strconv.AppendInt(b, int64(rejected), 10)
	b = AppendString(append(b, `","errorMessage":`...), message)
	return append(b, "}}"...)
}

// AppendStatus appends a google.rpc.Status in protobuf, the body of OTLP/HTTP's refusals.
func AppendStatus(b []byte, code int, message string) []byte {
	b = binary.AppendUvarint(append(b, 1<<3), uint64(code))
	return append(binary.AppendUvarint(append(b, 2<<3|2), uint64(len(message))), message...)
}

// AppendRetryInfo appends a google.rpc.RetryInfo, which says after how long to send again.
func AppendRetryInfo(b []byte, after time.Duration) []byte {
	delay := binary.AppendUvarint([]byte{1 << 3}, uint64(after/time.Second))
	delay = binary.AppendUvarint(append(delay, 2<<3), uint64(after%time.Second))
	return appendBytes(b, 1, delay)
}

// AppendRetryDetail appends a RetryInfo as the detail of a google.rpc.Status: behind what AppendStatus appends.
func AppendRetryDetail(b []byte, after time.Duration) []byte {
	detail := appendBytes(nil, 1, []byte("type.googleapis.com/google.rpc.RetryInfo"))
	return appendBytes(b, 3, appendBytes(detail, 2, AppendRetryInfo(nil, after)))
}

func appendBytes(b []byte, num byte, value []byte) []byte {
	return append(binary.AppendUvarint(append(b, num<<3|2), uint64(len(value))), value...)
}

// AppendStatusJSON appends a google.rpc.Status in JSON.
func AppendStatusJSON(b []byte, code int, message string) []byte {
	b = strconv.AppendInt(append(b, `{"code":`...), int64(code), 10)
	return append(AppendString(append(b, `,"message":`...), message), '}')
}
