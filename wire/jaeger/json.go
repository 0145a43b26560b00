// Package jaeger turns spans into the JSON that Jaeger's query service answers with, and its UI and Grafana read, and what Jaeger's clients
// send, in Thrift or protobuf, into OTLP bytes.
//
// The mapping is that of OpenTelemetry's Jaeger translation: parents become CHILD_OF references, links FOLLOWS_FROM, events logs,
// resource attributes the process's tags.
package jaeger

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/clewtrace/clew/trace"
)

// Encoder writes traces in Jaeger's form: for each its ID, its spans in tree pre-order with times in µs, and its processes, as one JSON
// object. It writes without values in between: an answer has a hundred thousand tags. The zero Encoder is ready. One is for one answer
// and one goroutine: it keeps what traces of it share.
type Encoder struct {
	// Raw leaves all as it came. Else, as Jaeger's query service does it, server spans that share their client's ID, which is Zipkin's
	// way, get an ID of their own and the client as parent, and what was mended is in the warnings.
	Raw bool

	id        []byte // of the trace, as JSON text
	processes map[*trace.Resource]process
	numbers   map[string]int // by a process's JSON: equal resources of different batches are one process
	order     []string       // of numbers' keys
	traces    int            // the number of the trace
}

// process is a service and its tags.
type process struct {
	json   string
	number int // from 1 on, in the trace it was last used in
	trace  int // that one
}

// Append appends a trace.
func (e *Encoder) Append(b []byte, t *trace.Trace) []byte {
	e.begin(t.ID)
	tree := trace.Arrange(t.Spans)
	ids := identify(t.Spans, tree, e.Raw)
	b = append(append(append(b, `{"traceID":`...), e.id...), `,"spans":[`...)
	first := true
	for row, r := range tree.Rows {
		if r.Span < 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		s := &t.Spans[r.Span]
		parent, cut := s.Parent, false
		if !e.Raw {
			switch {
			case r.Parent >= 0 && tree.Rows[r.Parent].Span >= 0:
				parent = ids[r.Parent]
			case r.Parent < 0 && !parent.IsZero():
				parent, cut = trace.SpanID{}, true
			}
		}
		b = e.span(b, s, ids[row], parent)
		b = e.warnings(b, s, cut)
		b = append(b, '}')
	}
	b = append(b, `],"processes":{`...)
	for i, p := range e.order {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(append(b, `"p`...), int64(i+1), 10), `":`...)
		b = append(b, p...)
	}
	return append(b, `},"warnings":null}`...)
}

func (e *Encoder) begin(id trace.ID) {
	if e.processes == nil {
		e.processes, e.numbers = map[*trace.Resource]process{}, map[string]int{}
	}
	e.traces++
	clear(e.numbers)
	e.order = e.order[:0]
	e.id = appendID(e.id[:0], id)
}

// number returns the number in this trace of the process that a resource is.
func (e *Encoder) number(r *trace.Resource) int {
	p := e.processes[r]
	if p.trace == e.traces {
		return p.number
	}
	if p.json == "" {
		p.json = string(appendProcess(nil, r))
	}
	n, ok := e.numbers[p.json]
	if !ok {
		e.order = append(e.order, p.json)
		n = len(e.order)
		e.numbers[p.json] = n
	}
	p.number, p.trace = n, e.traces
	e.processes[r] = p
	return n
}

func appendProcess(b []byte, r *trace.Resource) []byte {
	b = appendText(append(b, `{"serviceName":`...), r.Service())
	b = append(b, `,"tags":[`...)
	n, named := len(b), false
	for i := range r.Attrs {
		if !named && r.Attrs[i].Key == attrService {
			named = true
			continue
		}
		b = appendAttr(comma(b, n), &r.Attrs[i])
	}
	return append(b, "]}"...)
}

// identify returns an ID for each row: its own, or, if not raw, one that is free for a server span below the client that it shares it with.
func identify(spans []trace.Span, tree trace.Tree, raw bool) []trace.SpanID {
	ids := make([]trace.SpanID, len(tree.Rows))
	var shared []int
	for i, r := range tree.Rows {
		ids[i] = r.ID
		if !raw && r.Parent >= 0 && r.Span >= 0 && tree.Rows[r.Parent].ID == r.ID && spans[r.Span].Kind == trace.KindServer {
			shared = append(shared, i)
		}
	}
	if len(shared) == 0 {
		return ids
	}
	taken := make(map[trace.SpanID]bool, len(ids))
	for _, id := range ids {
		taken[id] = true
	}
	next := uint64(0)
	for _, i := range shared {
		for free := false; !free; free = !taken[ids[i]] {
			next++
			binary.BigEndian.PutUint64(ids[i][:], next)
		}
	}
	return ids
}

// FormatID returns a trace ID as Jaeger writes it: 16 digits if the first half is zero, else 32.
func FormatID(id trace.ID) string {
	if [8]byte(id[:8]) == [8]byte{} {
		return hex.EncodeToString(id[8:])
	}
	return id.String()
}

// appendID appends a trace ID as JSON text.
func appendID(b []byte, id trace.ID) []byte {
	digits := id[:]
	if [8]byte(id[:8]) == [8]byte{} {
		digits = id[8:]
	}
	return append(hex.AppendEncode(append(b, '"'), digits), '"')
}

// span appends a span up to its warnings.
func (e *Encoder) span(b []byte, s *trace.Span, id, parent trace.SpanID) []byte {
	b = append(append(b, `{"traceID":`...), e.id...)
	b = append(hex.AppendEncode(append(b, `,"spanID":"`...), id[:]), '"')
	if flags := flagsOf(s); flags != 0 {
		b = strconv.AppendUint(append(b, `,"flags":`...), uint64(flags), 10)
	}
	b = appendText(append(b, `,"operationName":`...), s.Name)
	b = e.references(append(b, `,"references":[`...), s, parent)
	b = strconv.AppendUint(append(b, `],"startTime":`...), s.Start/1000, 10)
	duration := uint64(0)
	if s.End > s.Start {
		duration = (s.End - s.Start) / 1000
	}
	b = strconv.AppendUint(append(b, `,"duration":`...), duration, 10)
	b = appendTags(append(b, `,"tags":[`...), s)
	b = append(b, `],"logs":[`...)
	for i := range s.Events {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendLog(b, &s.Events[i])
	}
	return append(strconv.AppendInt(append(b, `],"processID":"p`...), int64(e.number(s.Resource)), 10), '"')
}

// flagSampled is the one W3C flag that Jaeger shows.
const flagSampled = 1

// flagsOf returns a span's flags: all that its sender set, if that was a client of Jaeger's.
func flagsOf(s *trace.Span) uint32 {
	for i := range s.Attrs {
		if isFlags(&s.Attrs[i]) {
			return uint32(s.Attrs[i].Value.Int())
		}
	}
	return s.Flags & flagSampled
}

func isFlags(a *trace.Attr) bool { return a.Key == attrFlags && a.Value.Type() == trace.TypeInt }

// isWarnings reports whether an attribute is the warnings that came with a span, an array of texts.
func isWarnings(a *trace.Attr) bool {
	return a.Key == attrWarnings && a.Value.Type() == trace.TypeArray
}

// references appends the parent and the links. Links to the parent tell in what way it is one.
func (e *Encoder) references(b []byte, s *trace.Span, parent trace.SpanID) []byte {
	n := len(b)
	if !parent.IsZero() {
		told := false
		for i := range s.Links {
			if l := &s.Links[i]; tellsOfParent(s, l) {
				told = true
				b = e.parent(comma(b, n), refType(l), parent)
			}
		}
		if !told {
			b = e.parent(b, "CHILD_OF", parent)
		}
	}
	for i := range s.Links {
		l := &s.Links[i]
		if !parent.IsZero() && tellsOfParent(s, l) {
			continue
		}
		b = append(append(append(comma(b, n), `{"refType":"`...), refType(l)...), `","traceID":`...)
		b = append(appendID(b, l.TraceID), `,"spanID":"`...)
		b = append(hex.AppendEncode(b, l.SpanID[:]), `"}`...)
	}
	return b
}

// parent appends a reference to the parent.
func (e *Encoder) parent(b []byte, kind string, id trace.SpanID) []byte {
	b = append(append(append(b, `{"refType":"`...), kind...), `","traceID":`...)
	b = append(append(b, e.id...), `,"spanID":"`...)
	return append(hex.AppendEncode(b, id[:]), `"}`...)
}

// tellsOfParent reports whether a link is to the span's parent: it tells in what way it is one.
func tellsOfParent(s *trace.Span, l *trace.Link) bool {
	return l.SpanID == s.Parent && l.TraceID == s.TraceID
}

// refType returns what a link is: FOLLOWS_FROM unless the attribute that OpenTracing's bridge sets says otherwise.
func refType(l *trace.Link) string {
	if v, ok := trace.Get(l.Attrs, "opentracing.ref_type"); ok && v.Text() == "child_of" {
		return "CHILD_OF"
	}
	return "FOLLOWS_FROM"
}

// warnings appends what was mended, or null for nothing, as Jaeger writes it. cut: the span's parent was left out.
func (e *Encoder) warnings(b []byte, s *trace.Span, cut bool) []byte {
	b = append(b, `,"warnings":`...)
	turned := s.End < s.Start && !e.Raw
	came := slices.IndexFunc(s.Attrs, func(a trace.Attr) bool { return isWarnings(&a) })
	if !cut && !turned && came < 0 {
		return append(b, "null"...)
	}
	b = append(b, '[')
	n := len(b)
	if came >= 0 {
		for _, w := range s.Attrs[came].Value.List() {
			b = appendText(comma(b, n), w.Value.Text())
		}
	}
	if cut {
		b = append(append(append(comma(b, n), '"'), warningCycle...), '"')
	}
	if turned {
		b = append(append(append(comma(b, n), '"'), turnedWarning(s)...), '"')
	}
	return append(b, ']')
}

func appendLog(b []byte, e *trace.Event) []byte {
	b = strconv.AppendUint(append(b, `{"timestamp":`...), e.Time/1000, 10)
	b = append(b, `,"fields":[`...)
	n := len(b)
	if _, named := trace.Get(e.Attrs, "event"); e.Name != "" && !named {
		b = appendString(b, "event", e.Name)
	}
	for i := range e.Attrs {
		b = appendAttr(comma(b, n), &e.Attrs[i])
	}
	return append(b, "]}"...)
}

func appendTags(b []byte, s *trace.Span) []byte {
	n := len(b)
	if s.Scope.Name != "" {
		b = appendString(b, "otel.scope.name", s.Scope.Name)
	}
	if s.Scope.Version != "" {
		b = appendString(comma(b, n), "otel.scope.version", s.Scope.Version)
	}
	for i := range s.Attrs {
		if a := &s.Attrs[i]; !isFlags(a) && !isWarnings(a) {
			b = appendAttr(comma(b, n), a)
		}
	}
	if s.Kind != trace.KindUnspecified {
		b = appendString(comma(b, n), "span.kind", s.Kind.String())
	}
	switch s.Status {
	case trace.StatusOK:
		b = appendString(comma(b, n), "otel.status_code", "OK")
	case trace.StatusError:
		b = appendString(comma(b, n), "otel.status_code", "ERROR")
		if !slices.ContainsFunc(s.Attrs, func(a trace.Attr) bool { return a.Key == "error" && a.Value.Text() == "true" }) {
			b = append(b, `,{"key":"error","type":"bool","value":true}`...)
		}
	}
	if s.StatusMessage != "" {
		b = appendString(comma(b, n), "otel.status_description", s.StatusMessage)
	}
	if s.State != "" {
		b = appendString(comma(b, n), "w3c.tracestate", s.State)
	}
	return b
}

// maxSafe is the largest integer that a browser's numbers hold exactly; Jaeger writes what is beyond it as text.
const maxSafe = 1<<53 - 1

// appendAttr appends a tag. Its type is string, bool, int64, float64 or binary (the value in base64).
func appendAttr(b []byte, a *trace.Attr) []byte {
	b = appendText(append(b, `{"key":`...), a.Key)
	switch a.Value.Type() {
	case trace.TypeString:
		return append(appendText(append(b, `,"type":"string","value":`...), a.Value.Str()), '}')
	case trace.TypeBool:
		return append(strconv.AppendBool(append(b, `,"type":"bool","value":`...), a.Value.Bool()), '}')
	case trace.TypeInt:
		b = append(b, `,"type":"int64","value":`...)
		if i := a.Value.Int(); i <= maxSafe && i >= -maxSafe {
			return append(strconv.AppendInt(b, i, 10), '}')
		}
		return append(appendText(b, a.Value.Text()), '}')
	case trace.TypeDouble:
		if f := a.Value.Double(); f-f == 0 { // JSON has no NaN and no infinity
			return append(appendDouble(append(b, `,"type":"float64","value":`...), f), '}')
		}
	case trace.TypeBytes:
		b = append(b, `,"type":"binary","value":"`...)
		return append(base64.StdEncoding.AppendEncode(b, []byte(a.Value.Str())), `"}`...)
	}
	return append(appendText(append(b, `,"type":"string","value":`...), a.Value.Text()), '}')
}

// appendString appends a tag that is text. The key needs no escapes.
func appendString(b []byte, key, value string) []byte {
	b = append(append(append(b, `{"key":"`...), key...), `","type":"string","value":`...)
	return append(appendText(b, value), '}')
}

// comma appends a comma unless b is still n bytes long, as it was before the list's first element.
func comma(b []byte, n int) []byte {
	if len(b) > n {
		b = append(b, ',')
	}
	return b
}
