package jaeger

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the trace as encoding/json writes it. Reflection costs twice as much, for a hundred thousand tags an answer.
func (t *Trace) AppendJSON(b []byte) []byte {
	b = appendText(append(b, `{"traceID":`...), t.TraceID)
	b = appendList(append(b, `,"spans":`...), t.Spans, (*Span).append)
	b = append(b, `,"processes":{`...)
	for i, id := range slices.Sorted(maps.Keys(t.Processes)) {
		if i > 0 {
			b = append(b, ',')
		}
		p := t.Processes[id]
		b = appendText(append(appendText(b, id), `:{"serviceName":`...), p.ServiceName)
		b = appendList(append(b, `,"tags":`...), p.Tags, (*KeyValue).append)
		b = append(b, '}')
	}
	b = appendTexts(append(b, `},"warnings":`...), t.Warnings)
	return append(b, '}')
}

func (s *Span) append(b []byte) []byte {
	b = appendText(append(b, `{"traceID":`...), s.TraceID)
	b = appendText(append(b, `,"spanID":`...), s.SpanID)
	if s.Flags != 0 {
		b = strconv.AppendUint(append(b, `,"flags":`...), uint64(s.Flags), 10)
	}
	b = appendText(append(b, `,"operationName":`...), s.OperationName)
	b = appendList(append(b, `,"references":`...), s.References, (*Reference).append)
	b = strconv.AppendUint(append(b, `,"startTime":`...), s.StartTime, 10)
	b = strconv.AppendUint(append(b, `,"duration":`...), s.Duration, 10)
	b = appendList(append(b, `,"tags":`...), s.Tags, (*KeyValue).append)
	b = appendList(append(b, `,"logs":`...), s.Logs, (*Log).append)
	b = appendText(append(b, `,"processID":`...), s.ProcessID)
	b = appendTexts(append(b, `,"warnings":`...), s.Warnings)
	return append(b, '}')
}

func (r *Reference) append(b []byte) []byte {
	b = appendText(append(b, `{"refType":`...), r.RefType)
	b = appendText(append(b, `,"traceID":`...), r.TraceID)
	b = appendText(append(b, `,"spanID":`...), r.SpanID)
	return append(b, '}')
}

func (l *Log) append(b []byte) []byte {
	b = strconv.AppendUint(append(b, `{"timestamp":`...), l.Timestamp, 10)
	b = appendList(append(b, `,"fields":`...), l.Fields, (*KeyValue).append)
	return append(b, '}')
}

func (kv *KeyValue) append(b []byte) []byte {
	b = appendText(append(b, `{"key":`...), kv.Key)
	b = appendText(append(b, `,"type":`...), kv.Type)
	b = append(b, `,"value":`...)
	switch v := kv.Value.(type) {
	case string:
		b = appendText(b, v)
	case bool:
		b = strconv.AppendBool(b, v)
	case int64:
		b = strconv.AppendInt(b, v, 10)
	case float64:
		b = appendDouble(b, v)
	}
	return append(b, '}')
}

func appendList[T any](b []byte, list []T, element func(*T, []byte) []byte) []byte {
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = element(&list[i], b)
	}
	return append(b, ']')
}

// appendTexts appends a list, or null for none, as Jaeger writes its warnings.
func appendTexts(b []byte, list []string) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	return appendList(b, list, func(s *string, b []byte) []byte { return appendText(b, *s) })
}

// appendDouble appends a finite number as JavaScript writes it.
func appendDouble(b []byte, f float64) []byte {
	if abs := math.Abs(f); abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' { // e-09 is e-9
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

// appendText appends a string, with what is no UTF-8 replaced, and with what HTML would read otherwise escaped.
func appendText(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			if (r != utf8.RuneError || size > 1) && r != '\u2028' && r != '\u2029' {
				i += size
				continue
			}
			b = append(b, s[done:i]...)
			switch r {
			case '\u2028':
				b = append(b, `\u2028`...)
			case '\u2029':
				b = append(b, `\u2029`...)
			default:
				b = append(b, `\ufffd`...)
			}
		} else {
			b = append(b, s[done:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, '\\', 'b')
			case '\f':
				b = append(b, '\\', 'f')
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			}
		}
		i += size
		done = i
	}
	return append(append(b, s[done:]...), '"')
}
