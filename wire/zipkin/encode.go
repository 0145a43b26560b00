package zipkin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// jsonSpan is one span of Zipkin's v2 JSON.
type jsonSpan struct {
	TraceID     string            `json:"traceId"`
	ParentID    string            `json:"parentId,omitempty"`
	ID          string            `json:"id"`
	Kind        string            `json:"kind,omitempty"`
	Name        string            `json:"name,omitempty"`
	Timestamp   uint64            `json:"timestamp,omitempty"` // µs
	Duration    uint64            `json:"duration,omitempty"`  // µs
	Local       *jsonEndpoint     `json:"localEndpoint,omitempty"`
	Remote      *jsonEndpoint     `json:"remoteEndpoint,omitempty"`
	Annotations []jsonAnnotation  `json:"annotations,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Debug       bool              `json:"debug,omitempty"`
	Shared      bool              `json:"shared,omitempty"`
}

type jsonEndpoint struct {
	Service string `json:"serviceName,omitempty"`
	IPv4    string `json:"ipv4,omitempty"`
	IPv6    string `json:"ipv6,omitempty"`
	Port    int    `json:"port,omitempty"`
}

type jsonAnnotation struct {
	Timestamp uint64 `json:"timestamp"` // µs
	Value     string `json:"value"`
}

func (a jsonAnnotation) compare(b jsonAnnotation) int {
	return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.Value, b.Value))
}

// EncodeTrace returns a trace's spans as a list in Zipkin's v2 JSON, in order of their start.
func EncodeTrace(t *trace.Trace) json.RawMessage {
	order := make([]*trace.Span, len(t.Spans))
	for i := range t.Spans {
		order[i] = &t.Spans[i]
	}
	slices.SortStableFunc(order, func(a, b *trace.Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), slices.Compare(a.ID[:], b.ID[:]), cmp.Compare(a.Kind, b.Kind))
	})
	out := make([]jsonSpan, len(order))
	for i, s := range order {
		out[i] = encode(s)
	}
	return marshal(out)
}

// Encode returns spans as a list in a format, in their order.
func Encode(f Format, spans []trace.Span) []byte {
	v2 := make([]jsonSpan, len(spans))
	for i := range spans {
		v2[i] = encode(&spans[i])
	}
	switch f {
	case Proto3:
		return encodeProto(v2)
	case Thrift:
		return encodeThrift(v2)
	case JSONV1:
		v1 := make([]jsonSpanV1, len(v2))
		for i := range v2 {
			v1[i] = v2[i].v1()
		}
		return marshal(v1)
	}
	return marshal(v2)
}

// EncodeNames returns a list of names as JSON.
func EncodeNames(names []string) []byte { return marshal(append([]string{}, names...)) }

// marshal returns JSON as Zipkin's server writes it: with <, > and & as they are.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // strings and numbers alone
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// FormatID returns a trace ID as Zipkin writes it: 16 digits if the first half is zero, else 32.
func FormatID(id trace.ID) string {
	return strings.TrimPrefix(id.String(), "0000000000000000")
}

func encode(s *trace.Span) jsonSpan {
	z := jsonSpan{
		TraceID: FormatID(s.TraceID), ID: s.ID.String(), Name: s.Name, Timestamp: s.Start / 1000,
		Local: &jsonEndpoint{}, Remote: &jsonEndpoint{}, Tags: map[string]string{},
	}
	if !s.Parent.IsZero() && s.Parent != s.ID { // Zipkin has no span that is its own parent
		z.ParentID = s.Parent.String()
	}
	if s.Kind >= trace.KindServer {
		z.Kind = strings.ToUpper(s.Kind.String())
	}
	if s.End > s.Start {
		z.Duration = max(1, (s.End-s.Start)/1000)
	}
	if v, ok := trace.Get(s.Resource.Attrs, attrService); ok {
		z.Local.Service = v.Text()
	}
	for _, a := range s.Attrs {
		if !z.special(a) {
			z.Tags[a.Key] = a.Value.Text()
		}
	}
	z.otel(s)
	for _, e := range s.Events {
		at := e.Time / 1000
		if at == 0 { // readers refuse a list that has an annotation without a time
			at = max(1, s.Start/1000)
		}
		z.Annotations = append(z.Annotations, jsonAnnotation{at, eventText(e)})
	}
	slices.SortFunc(z.Annotations, jsonAnnotation.compare)
	z.Annotations = slices.Compact(z.Annotations)
	if *z.Local == (jsonEndpoint{}) {
		z.Local = nil
	}
	if *z.Remote == (jsonEndpoint{}) {
		z.Remote = nil
	}
	return z
}

// special sets what has a place of its own in Zipkin's form.
func (z *jsonSpan) special(a trace.Attr) bool {
	switch a.Key {
	case attrNoTimestamp:
		z.Timestamp = 0
	case attrDebug:
		z.Debug = a.Value.Bool()
	case attrShared:
		z.Shared = a.Value.Bool()
	case attrPeer:
		return setOnce(&z.Remote.Service, a.Value.Text())
	case attrPeerIPv4, attrPeerIPv6:
		return setIP(z.Remote, a.Value.Text())
	case attrLocalIPv4, attrLocalIPv6:
		return setIP(z.Local, a.Value.Text())
	case attrPeerPort:
		return setPort(z.Remote, a.Value)
	case attrLocalPort:
		return setPort(z.Local, a.Value)
	default:
		return false
	}
	return true
}

func setOnce(dst *string, v string) bool {
	if *dst != "" || v == "" {
		return false
	}
	*dst = v
	return true
}

func setIP(e *jsonEndpoint, v string) bool {
	addr, err := netip.ParseAddr(v)
	if err != nil {
		return false
	}
	if addr.Is4() {
		return setOnce(&e.IPv4, v)
	}
	return setOnce(&e.IPv6, v)
}

func setPort(e *jsonEndpoint, v trace.Value) bool {
	if e.Port != 0 {
		return false
	}
	e.Port = portOf(v)
	return e.Port != 0
}

func portOf(v trace.Value) int {
	n, err := strconv.Atoi(v.Text())
	if err != nil || n < 0 || n > math.MaxUint16 {
		return 0
	}
	return n
}

// otel adds what OpenTelemetry has and Zipkin has not, as tags.
func (z *jsonSpan) otel(s *trace.Span) {
	add := func(k, v string) {
		if _, ok := z.Tags[k]; !ok && v != "" {
			z.Tags[k] = v
		}
	}
	for _, a := range s.Resource.Attrs {
		if a.Key != attrService {
			add(a.Key, a.Value.Text())
		}
	}
	add(attrScopeName, s.Scope.Name)
	add(attrScopeVer, s.Scope.Version)
	add("w3c.tracestate", s.State)
	for name, n := range map[string]uint32{"attributes": s.Dropped, "events": s.DroppedEvents, "links": s.DroppedLinks} {
		if n > 0 {
			add("otel.dropped_"+name+"_count", strconv.FormatUint(uint64(n), 10))
		}
	}
	mark, marked := z.Tags[attrError]
	switch {
	case s.Status == trace.StatusOK:
		add(attrStatus, "OK")
	case s.Status == trace.StatusError && !marked:
		add(attrStatus, "ERROR")
		if add(attrError, s.StatusMessage); s.StatusMessage == "" {
			add(attrError, "true")
		}
	case marked && mark != s.StatusMessage: // came from elsewhere than Zipkin, where they are the same
		add(attrStatusText, s.StatusMessage)
	}
	if len(z.Tags) == 0 {
		z.Tags = nil
	}
}

// eventText returns an event as an annotation's value, as OpenTelemetry writes it: its name, or "name": {attributes} in JSON.
func eventText(e trace.Event) string {
	if len(e.Attrs) == 0 {
		return e.Name
	}
	name, err := json.Marshal(e.Name)
	if err != nil { // a string always marshals
		panic(err)
	}
	return string(name) + ": " + trace.Map(e.Attrs...).Text()
}
