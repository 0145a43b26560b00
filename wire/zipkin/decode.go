package zipkin

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/trace"
)

// DecodeJSON reads a list of spans in Zipkin's v2 JSON. A span without a timestamp, which Zipkin allows, starts now. Errors are
// of kind Invalid and say which span is wrong; none of the list is then taken, as Zipkin's server does it.
func DecodeJSON(b []byte, now time.Time) ([]trace.Span, error) {
	if b = bytes.TrimLeft(b, " \t\r\n"); len(b) == 0 || b[0] != '[' {
		return nil, trace.Errorf(trace.Invalid, "Expected a JSON_V2 encoded list")
	}
	if bytes.Contains(b[:min(len(b), 4096)], []byte(`"binaryAnnotations"`)) {
		return nil, trace.Errorf(trace.Invalid, "Expected a JSON_V2 encoded list, but received: JSON_V1")
	}
	var in []span
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, trace.Errorf(trace.Invalid, "Expected a JSON_V2 encoded list: %v", err)
	}
	resources := map[string]*trace.Resource{}
	scope := &trace.Scope{}
	out := make([]trace.Span, len(in))
	for i := range in {
		service := ""
		if in[i].Local != nil {
			service = in[i].Local.Service
		}
		res := resources[service]
		if res == nil {
			res = &trace.Resource{}
			if service != "" {
				res.Attrs = []trace.Attr{{Key: attrService, Value: trace.String(service)}}
			}
			resources[service] = res
		}
		if err := in[i].decode(&out[i], now); err != nil {
			return nil, trace.Errorf(trace.Invalid, "span %d of the list: %v", i, err)
		}
		out[i].Resource, out[i].Scope = res, scope
	}
	slices.SortStableFunc(out, func(a, b trace.Span) int { return strings.Compare(a.Service(), b.Service()) })
	return out, nil
}

func (z *span) decode(s *trace.Span, now time.Time) (err error) {
	if s.TraceID, err = trace.ParseID(z.TraceID); err != nil {
		return err
	}
	if s.ID, err = trace.ParseSpanID(z.ID); err != nil {
		return err
	}
	if z.ParentID != "" {
		if s.Parent, err = trace.ParseSpanID(z.ParentID); err != nil {
			return err
		}
	}
	s.Name = z.Name
	s.Kind, _ = trace.ParseKind(z.Kind)
	s.Start = z.Timestamp * 1000
	if z.Timestamp == 0 {
		s.Start = uint64(now.UnixNano())
		s.Attrs = append(s.Attrs, trace.Attr{Key: attrNoTimestamp, Value: trace.Bool(true)})
	}
	s.End = s.Start + z.Duration*1000
	if e := z.Local; e != nil {
		s.Attrs = appendAddress(s.Attrs, e, attrLocalIPv4, attrLocalIPv6, attrLocalPort)
	}
	if e := z.Remote; e != nil {
		if e.Service != "" {
			s.Attrs = append(s.Attrs, trace.Attr{Key: attrPeer, Value: trace.String(e.Service)})
		}
		s.Attrs = appendAddress(s.Attrs, e, attrPeerIPv4, attrPeerIPv6, attrPeerPort)
	}
	for _, k := range slices.Sorted(maps.Keys(z.Tags)) {
		v := z.Tags[k]
		switch k {
		case attrError:
			s.Status, s.StatusMessage = trace.StatusError, v
		case attrStatus:
			switch v {
			case "OK":
				s.Status = trace.StatusOK
				continue
			case "ERROR":
				s.Status = trace.StatusError
				continue
			}
		}
		s.Attrs = append(s.Attrs, trace.Attr{Key: k, Value: trace.String(v)})
	}
	if z.Debug {
		s.Attrs = append(s.Attrs, trace.Attr{Key: attrDebug, Value: trace.Bool(true)})
	}
	if z.Shared {
		s.Attrs = append(s.Attrs, trace.Attr{Key: attrShared, Value: trace.Bool(true)})
	}
	for _, a := range z.Annotations {
		s.Events = append(s.Events, trace.Event{Time: a.Timestamp * 1000, Name: a.Value})
	}
	return nil
}

func appendAddress(attrs []trace.Attr, e *endpoint, ipv4, ipv6, port string) []trace.Attr {
	if e.IPv4 != "" {
		attrs = append(attrs, trace.Attr{Key: ipv4, Value: trace.String(e.IPv4)})
	}
	if e.IPv6 != "" {
		attrs = append(attrs, trace.Attr{Key: ipv6, Value: trace.String(e.IPv6)})
	}
	if e.Port != 0 {
		attrs = append(attrs, trace.Attr{Key: port, Value: trace.Int(int64(e.Port))})
	}
	return attrs
}

func portOf(v trace.Value) int {
	n, err := strconv.Atoi(v.Text())
	if err != nil || n < 0 || n > 65535 {
		return 0
	}
	return n
}
