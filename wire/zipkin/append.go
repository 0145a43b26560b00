package zipkin

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// AppendSpans appends spans as a list in Zipkin's v2 JSON, in their order: the same as EncodeTrace writes, without maps and reflection.
func AppendSpans(b []byte, spans []trace.Span) []byte {
	var w writer
	b = append(b, '[')
	for i := range spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = w.span(b, &spans[i])
	}
	return append(b, ']')
}

// writer writes one span after the other.
type writer struct {
	z             jsonSpan // what special sets
	local, remote jsonEndpoint
	tags          []label // of attributes, by key; of one key the last counts
	notes         []jsonAnnotation
	more          []label // added where there is no tag of the key; of one key the first counts
}

type label struct{ key, value string }

func byKey(a, b label) int { return strings.Compare(a.key, b.key) }

func (w *writer) span(b []byte, s *trace.Span) []byte {
	w.collect(s)
	b = append(append(b, `{"traceId":"`...), FormatID(s.TraceID)...)
	if !s.Parent.IsZero() && s.Parent != s.ID { // Zipkin has no span that is its own parent
		b = hex.AppendEncode(append(b, `","parentId":"`...), s.Parent[:])
	}
	b = append(hex.AppendEncode(append(b, `","id":"`...), s.ID[:]), '"')
	if s.Kind >= trace.KindServer {
		b = append(append(append(b, `,"kind":"`...), strings.ToUpper(s.Kind.String())...), '"')
	}
	if s.Name != "" {
		b = appendString(append(b, `,"name":`...), s.Name)
	}
	if w.z.Timestamp != 0 {
		b = strconv.AppendUint(append(b, `,"timestamp":`...), w.z.Timestamp, 10)
	}
	if s.End > s.Start {
		b = strconv.AppendUint(append(b, `,"duration":`...), max(1, (s.End-s.Start)/1000), 10)
	}
	b = w.local.append(b, `,"localEndpoint":{`)
	b = w.remote.append(b, `,"remoteEndpoint":{`)
	b = w.appendEvents(b, s)
	b = w.appendTags(b)
	if w.z.Debug {
		b = append(b, `,"debug":true`...)
	}
	if w.z.Shared {
		b = append(b, `,"shared":true`...)
	}
	return append(b, '}')
}

// collect finds out what is a tag, and what has a place of its own.
func (w *writer) collect(s *trace.Span) {
	w.local, w.remote, w.tags, w.more = jsonEndpoint{}, jsonEndpoint{}, w.tags[:0], w.more[:0]
	w.z = jsonSpan{Timestamp: s.Start / 1000, Local: &w.local, Remote: &w.remote}
	if v, ok := trace.Get(s.Resource.Attrs, attrService); ok {
		w.local.Service = v.Text()
	}
	for _, a := range s.Attrs {
		if !w.z.special(a) {
			w.tags = append(w.tags, label{a.Key, a.Value.Text()})
		}
	}
	slices.SortStableFunc(w.tags, byKey)
	for _, a := range s.Resource.Attrs {
		if a.Key != attrService {
			w.add(a.Key, a.Value.Text())
		}
	}
	w.add(attrScopeName, s.Scope.Name)
	w.add(attrScopeVer, s.Scope.Version)
	w.add("w3c.tracestate", s.State)
	w.addDropped("attributes", s.Dropped)
	w.addDropped("events", s.DroppedEvents)
	w.addDropped("links", s.DroppedLinks)
	w.addStatus(s)
	slices.SortStableFunc(w.more, byKey)
}

func (w *writer) add(key, value string) {
	if value != "" {
		w.more = append(w.more, label{key, value})
	}
}

func (w *writer) addDropped(what string, n uint32) {
	if n > 0 {
		w.add("otel.dropped_"+what+"_count", strconv.FormatUint(uint64(n), 10))
	}
}

func (w *writer) addStatus(s *trace.Span) {
	if s.Status == trace.StatusOK {
		w.add(attrStatus, "OK")
		return
	}
	mark, marked := w.tag(attrError)
	switch {
	case s.Status == trace.StatusError && !marked:
		w.add(attrStatus, "ERROR")
		if w.add(attrError, s.StatusMessage); s.StatusMessage == "" {
			w.add(attrError, "true")
		}
	case marked && mark != s.StatusMessage: // came from elsewhere than Zipkin, where they are the same
		w.add(attrStatusText, s.StatusMessage)
	}
}

// tag returns the value of a tag, also of one that was added. The added ones are not sorted yet, and few.
func (w *writer) tag(key string) (value string, ok bool) {
	if value, ok = w.own(key); ok {
		return value, true
	}
	i := slices.IndexFunc(w.more, func(l label) bool { return l.key == key })
	if i < 0 {
		return "", false
	}
	return w.more[i].value, true
}

// own returns the value of an attribute's tag.
func (w *writer) own(key string) (value string, ok bool) {
	i, found := slices.BinarySearchFunc(w.tags, key, func(l label, key string) int { return strings.Compare(l.key, key) })
	if !found {
		return "", false
	}
	for i+1 < len(w.tags) && w.tags[i+1].key == key {
		i++
	}
	return w.tags[i].value, true
}

func (w *writer) appendTags(b []byte) []byte {
	if len(w.tags)+len(w.more) == 0 {
		return b
	}
	b = append(b, `,"tags":{`...)
	n := len(b)
	for i, l := range w.tags {
		if i+1 == len(w.tags) || w.tags[i+1].key != l.key {
			b = l.append(b, n)
		}
	}
	for i, l := range w.more {
		if _, taken := w.own(l.key); !taken && (i == 0 || w.more[i-1].key != l.key) {
			b = l.append(b, n)
		}
	}
	return append(b, '}')
}

// append appends a label to an object whose first member begins at n.
func (l label) append(b []byte, n int) []byte {
	if len(b) > n {
		b = append(b, ',')
	}
	return appendString(append(appendString(b, l.key), ':'), l.value)
}

// append appends an endpoint that has something, as a member that begins so.
func (e *jsonEndpoint) append(b []byte, begin string) []byte {
	if *e == (jsonEndpoint{}) {
		return b
	}
	b = append(b, begin...)
	n := len(b)
	for _, l := range [...]label{{"serviceName", e.Service}, {"ipv4", e.IPv4}, {"ipv6", e.IPv6}} {
		if l.value != "" {
			b = l.append(b, n)
		}
	}
	if e.Port != 0 {
		if len(b) > n {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `"port":`...), int64(e.Port), 10)
	}
	return append(b, '}')
}

// appendEvents appends annotations, in the order in which Zipkin keeps them.
func (w *writer) appendEvents(b []byte, s *trace.Span) []byte {
	if len(s.Events) == 0 {
		return b
	}
	w.notes = w.notes[:0]
	for _, e := range s.Events {
		at := e.Time / 1000
		if at == 0 { // readers refuse a list that has an annotation without a time
			at = max(1, s.Start/1000)
		}
		w.notes = append(w.notes, jsonAnnotation{at, eventText(e)})
	}
	slices.SortFunc(w.notes, jsonAnnotation.compare)
	w.notes = slices.Compact(w.notes)
	b = append(b, `,"annotations":[`...)
	for i, a := range w.notes {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(append(b, `{"timestamp":`...), a.Timestamp, 10)
		b = append(appendString(append(b, `,"value":`...), a.Value), '}')
	}
	return append(b, ']')
}

// appendString appends a text as JSON.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return append(b, marshal(s)...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
