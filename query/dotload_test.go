package query_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/trace"
)

// loader reads the spans of a load block.
type loader struct {
	spans  []trace.Span
	trace  trace.ID
	offset uint64 // of the trace's start
	above  []int  // by depth: the span that the deeper ones hang below
}

// parseSpans reads a load block: traces, and in them spans, each indented by two more than its parent.
//
//	trace 1 +10s
//	  shop "GET /cart" server 120ms http.status_code=200 resource.cluster=eu
//	    db SELECT client +10ms 50ms error event(exception +2ms exception.type=Timeout)
func parseSpans(lines []string) ([]trace.Span, error) {
	l := &loader{}
	for _, line := range lines {
		words, err := splitWords(line)
		if err != nil {
			return nil, err
		}
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if words[0] == "trace" {
			err = l.header(words[1:])
		} else {
			err = l.span(words, (len(line)-len(strings.TrimLeft(line, " ")))/2-2)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
	}
	return l.spans, nil
}

// splitWords splits a line at spaces that are outside of quotes and brackets.
func splitWords(line string) ([]string, error) {
	var words []string
	word, quoted, depth := "", false, 0
	for _, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case !quoted && strings.ContainsRune("([", r):
			depth++
		case !quoted && strings.ContainsRune(")]", r):
			depth--
		case r == ' ' && !quoted && depth == 0:
			if word != "" {
				words = append(words, word)
			}
			word = ""
			continue
		}
		word += string(r)
	}
	if quoted || depth != 0 {
		return nil, fmt.Errorf("%s: a quote or bracket is not closed", line)
	}
	if word != "" {
		words = append(words, word)
	}
	return words, nil
}

func (l *loader) header(words []string) error {
	id, err := trace.ParseID(words[0])
	if err != nil {
		return err
	}
	l.trace, l.offset, l.above = id, 0, nil
	if len(words) > 1 {
		d, err := time.ParseDuration(words[1])
		l.offset = uint64(d)
		return err
	}
	return nil
}

func (l *loader) span(words []string, depth int) error {
	if len(words) < 2 || depth < 0 || depth > len(l.above) {
		return fmt.Errorf("a span is a service, a name, and what else it has, below its parent")
	}
	n := len(l.spans) + 1
	start := fileBase + l.offset
	s := trace.Span{
		TraceID: l.trace, ID: trace.SpanID{6: byte(n >> 8), 7: byte(n)}, Name: unquote(words[1]), Kind: trace.KindInternal,
		Scope: &trace.Scope{}, Resource: &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(words[0])}}},
	}
	if depth > 0 {
		p := &l.spans[l.above[depth-1]]
		s.Parent, start = p.ID, p.Start
	}
	s.Start = start
	length := time.Duration(0)
	for _, w := range words[2:] {
		if err := l.word(&s, w, &length); err != nil {
			return err
		}
	}
	s.End = s.Start + uint64(length)
	for i := range s.Events {
		s.Events[i].Time += s.Start
	}
	l.above = append(l.above[:depth], len(l.spans))
	l.spans = append(l.spans, s)
	return nil
}

func unquote(s string) string {
	if u, err := strconv.Unquote(s); err == nil {
		return u
	}
	return s
}

// word reads one word about a span.
func (l *loader) word(s *trace.Span, w string, length *time.Duration) error {
	if k, ok := trace.ParseKind(w); ok {
		s.Kind = k
		return nil
	}
	switch w {
	case "ok":
		s.Status = trace.StatusOK
		return nil
	case "error":
		s.Status = trace.StatusError
		return nil
	}
	if d, err := time.ParseDuration(w); err == nil {
		if w[0] == '+' {
			s.Start += uint64(d)
		} else {
			*length = d
		}
		return nil
	}
	if inside, ok := strings.CutPrefix(w, "event("); ok {
		return l.event(s, strings.TrimSuffix(inside, ")"))
	}
	if inside, ok := strings.CutPrefix(w, "link("); ok {
		return l.link(s, strings.TrimSuffix(inside, ")"))
	}
	return set(s, w)
}

// set reads key=value.
func set(s *trace.Span, w string) (err error) {
	key, text, ok := strings.Cut(w, "=")
	if !ok {
		return fmt.Errorf("%q is no kind, status, time or key=value", w)
	}
	v := value(text)
	switch scope, rest, _ := strings.Cut(key, "."); {
	case scope == "resource":
		s.Resource.Attrs = append(s.Resource.Attrs, trace.Attr{Key: rest, Value: v})
	case scope == "scope":
		s.Scope.Attrs = append(s.Scope.Attrs, trace.Attr{Key: rest, Value: v})
	case key == "scope:name":
		s.Scope.Name = v.Str()
	case key == "scope:version":
		s.Scope.Version = v.Str()
	case key == "message":
		s.StatusMessage = v.Str()
	case key == "tracestate":
		s.State = v.Str()
	case key == "id":
		s.ID, err = trace.ParseSpanID(text)
	case key == "parent":
		s.Parent, err = trace.ParseSpanID(text)
	default:
		s.Attrs = append(s.Attrs, trace.Attr{Key: key, Value: v})
	}
	return err
}

// value reads a value: true, 1, 1.5, [a, b], "text" or text.
func value(text string) trace.Value {
	if inside, ok := strings.CutPrefix(text, "["); ok {
		var list []trace.Value
		for e := range strings.SplitSeq(strings.TrimSuffix(inside, "]"), ",") {
			list = append(list, value(strings.TrimSpace(e)))
		}
		return trace.Array(list...)
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return trace.Int(i)
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return trace.Double(f)
	}
	if b, err := strconv.ParseBool(text); err == nil && len(text) > 1 {
		return trace.Bool(b)
	}
	return trace.String(unquote(text))
}

func (l *loader) event(s *trace.Span, inside string) error {
	words, err := splitWords(inside)
	if err != nil || len(words) == 0 {
		return fmt.Errorf("event(%s): wants a name: %w", inside, err)
	}
	e := trace.Event{Name: unquote(words[0])}
	for _, w := range words[1:] {
		if d, err := time.ParseDuration(w); err == nil {
			e.Time = uint64(d)
		} else if k, v, ok := strings.Cut(w, "="); ok {
			e.Attrs = append(e.Attrs, trace.Attr{Key: k, Value: value(v)})
		}
	}
	s.Events = append(s.Events, e)
	return nil
}

func (l *loader) link(s *trace.Span, inside string) error {
	words, err := splitWords(inside)
	if err != nil || len(words) < 2 {
		return fmt.Errorf("link(%s): wants a trace ID and a span ID: %w", inside, err)
	}
	var link trace.Link
	if link.TraceID, err = trace.ParseID(words[0]); err != nil {
		return err
	}
	if link.SpanID, err = trace.ParseSpanID(words[1]); err != nil {
		return err
	}
	for _, w := range words[2:] {
		if k, v, ok := strings.Cut(w, "="); ok {
			link.Attrs = append(link.Attrs, trace.Attr{Key: k, Value: value(v)})
		}
	}
	s.Links = append(s.Links, link)
	return nil
}
