package zipkin

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
)

// jsonSpanV1 is one span of Zipkin's v1 JSON.
type jsonSpanV1 struct {
	TraceID     string             `json:"traceId"`
	ParentID    string             `json:"parentId,omitempty"`
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	Timestamp   uint64             `json:"timestamp,omitempty"` // µs
	Duration    uint64             `json:"duration,omitempty"`  // µs
	Annotations []jsonAnnotationV1 `json:"annotations,omitempty"`
	Binaries    []jsonBinaryV1     `json:"binaryAnnotations,omitempty"`
	Debug       bool               `json:"debug,omitempty"`
}

type jsonAnnotationV1 struct {
	Timestamp uint64        `json:"timestamp"`
	Value     string        `json:"value"`
	Endpoint  *jsonEndpoint `json:"endpoint,omitempty"`
}

// jsonBinaryV1 is a tag, whose value is a text, or an address, whose value is true.
type jsonBinaryV1 struct {
	Key      string        `json:"key"`
	Value    any           `json:"value"`
	Endpoint *jsonEndpoint `json:"endpoint,omitempty"`
}

// v1 returns a span as v1 has it: its kind is said by when each side began and ended.
func (z *jsonSpan) v1() jsonSpanV1 {
	out := jsonSpanV1{TraceID: z.TraceID, ParentID: z.ParentID, ID: z.ID, Name: z.Name, Timestamp: z.Timestamp, Duration: z.Duration, Debug: z.Debug}
	begin, end, address := "", "", "sa"
	switch z.Kind {
	case "CLIENT":
		begin, end = "cs", "cr"
	case "SERVER":
		begin, end, address = "sr", "ss", "ca"
	case "PRODUCER":
		begin, end, address = "ms", "ws", "ma"
	case "CONSUMER":
		begin, end, address = "wr", "mr", "ma"
	}
	if z.Kind == "CONSUMER" && z.Duration == 0 {
		begin, end = "mr", ""
	}
	if begin != "" {
		out.Annotations = append(out.Annotations, jsonAnnotationV1{z.Timestamp, begin, z.Local})
	}
	if end != "" && z.Duration > 0 {
		out.Annotations = append(out.Annotations, jsonAnnotationV1{z.Timestamp + z.Duration, end, z.Local})
	}
	for _, a := range z.Annotations {
		out.Annotations = append(out.Annotations, jsonAnnotationV1{a.Timestamp, a.Value, z.Local})
	}
	for key, text := range z.Tags {
		out.Binaries = append(out.Binaries, jsonBinaryV1{key, text, z.Local})
	}
	if z.Remote != nil {
		out.Binaries = append(out.Binaries, jsonBinaryV1{address, true, z.Remote})
	}
	if len(out.Annotations)+len(out.Binaries) == 0 && z.Local != nil { // or nothing would say whose it is
		out.Binaries = append(out.Binaries, jsonBinaryV1{"lc", "", z.Local})
	}
	if z.Shared { // the client says when the call began
		out.Timestamp, out.Duration = 0, 0
	}
	return out
}

// encodeThrift returns spans as a list of v1 in Thrift's binary protocol.
func encodeThrift(spans []jsonSpan) []byte {
	w := thrift.Writer{}
	w.List(thrift.Struct, len(spans))
	for i := range spans {
		v1 := spans[i].v1()
		v1.thrift(&w)
	}
	return w.Out
}

// AppendThriftSpan appends one span of v1 in Thrift's binary protocol, as scribe's messages have it.
func AppendThriftSpan(b []byte, s *trace.Span) []byte {
	v2 := encode(s)
	v1 := v2.v1()
	w := thrift.Writer{Out: b}
	v1.thrift(&w)
	return w.Out
}

func (z *jsonSpanV1) thrift(w *thrift.Writer) {
	high, low := halves(z.TraceID)
	_, id := halves(z.ID)
	_, parent := halves(z.ParentID)
	long := func(number thrift.Field, v int64) {
		if v != 0 {
			w.Field(number<<8 | thrift.I64)
			w.I64(v)
		}
	}
	text := func(number thrift.Field, v string) {
		w.Field(number<<8 | thrift.String)
		w.String(v)
	}
	w.Struct()
	w.Field(1<<8 | thrift.I64)
	w.I64(low)
	text(3, z.Name)
	w.Field(4<<8 | thrift.I64)
	w.I64(id)
	long(5, parent)
	w.Field(6<<8 | thrift.List)
	w.List(thrift.Struct, len(z.Annotations))
	for _, a := range z.Annotations {
		w.Struct()
		long(1, int64(a.Timestamp))
		text(2, a.Value)
		a.Endpoint.thrift(w, 3)
		w.End()
	}
	w.Field(8<<8 | thrift.List)
	w.List(thrift.Struct, len(z.Binaries))
	for _, a := range z.Binaries {
		w.Struct()
		text(1, a.Key)
		value, isText := a.Value.(string)
		kind := int32(6) // STRING
		if !isText {
			value, kind = "\x01", 0 // BOOL
		}
		text(2, value)
		w.Field(3<<8 | thrift.I32)
		w.I32(kind)
		a.Endpoint.thrift(w, 4)
		w.End()
	}
	if z.Debug {
		w.Field(9<<8 | thrift.Bool)
		w.Bool(true)
	}
	long(10, int64(z.Timestamp))
	long(11, int64(z.Duration))
	long(12, high)
	w.End()
}

// halves returns the halves of an ID of up to 32 hexadecimal digits.
func halves(id string) (high, low int64) {
	var b [16]byte
	if len(id) <= 32 && len(id)%2 == 0 {
		_, _ = hex.Decode(b[16-len(id)/2:], []byte(id)) // it was written by us
	}
	return int64(binary.BigEndian.Uint64(b[:8])), int64(binary.BigEndian.Uint64(b[8:]))
}

func (e *jsonEndpoint) thrift(w *thrift.Writer, number thrift.Field) {
	if e == nil {
		return
	}
	w.Field(number<<8 | thrift.Struct)
	w.Struct()
	if addr, err := netip.ParseAddr(e.IPv4); err == nil && addr.Is4() {
		v4 := addr.As4()
		w.Field(1<<8 | thrift.I32)
		w.I32(int32(binary.BigEndian.Uint32(v4[:])))
	}
	if e.Port != 0 {
		w.Field(2<<8 | thrift.I16)
		w.I16(int16(e.Port))
	}
	w.Field(3<<8 | thrift.String)
	w.String(e.Service)
	if addr, err := netip.ParseAddr(e.IPv6); err == nil {
		v6 := addr.As16()
		w.Field(4<<8 | thrift.String)
		w.Bytes(v6[:])
	}
	w.End()
}
