// Package v1span writes spans of Zipkin's first model, as its clients do: in JSON, and in Thrift.
//
// Source: zipkinCore.thrift and zipkin-api.yaml.
package v1span

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"net/netip"
	"strconv"

	"github.com/clewtrace/clew/wire/thrift"
)

// Span is a span in the form that its JSON has.
type Span struct {
	TraceID     string       `json:"traceId"`
	Name        string       `json:"name"`
	ID          string       `json:"id"`
	ParentID    string       `json:"parentId,omitempty"`
	Timestamp   int64        `json:"timestamp,omitempty"` // µs
	Duration    int64        `json:"duration,omitempty"`  // µs
	Annotations []Annotation `json:"annotations,omitempty"`
	Binary      []Binary     `json:"binaryAnnotations,omitempty"`
	Debug       bool         `json:"debug,omitempty"`
}

// Annotation is something that happened at a moment.
type Annotation struct {
	Timestamp int64     `json:"timestamp"` // µs
	Value     string    `json:"value"`
	Endpoint  *Endpoint `json:"endpoint,omitempty"`
}

// Binary is a tag, or an address. Value is a string, a bool, an int16, int32 or int64, a float64 or bytes.
type Binary struct {
	Key      string    `json:"key"`
	Value    any       `json:"value"`
	Type     string    `json:"type,omitempty"`
	Endpoint *Endpoint `json:"endpoint,omitempty"`
}

// Endpoint is where something happened.
type Endpoint struct {
	Service string `json:"serviceName,omitempty"`
	IPv4    string `json:"ipv4,omitempty"`
	IPv6    string `json:"ipv6,omitempty"`
	Port    uint16 `json:"port,omitempty"`
}

// JSON returns spans as a list in JSON.
func JSON(spans []Span) []byte {
	b, err := json.Marshal(spans)
	if err != nil { // numbers, texts and booleans alone
		panic(err)
	}
	return b
}

// Thrift returns spans as a list in Thrift's binary protocol.
func Thrift(spans []Span) []byte {
	var w thrift.Writer
	w.List(thrift.Struct, len(spans))
	for i := range spans {
		spans[i].write(&w)
	}
	return w.Out
}

// One returns the span alone in Thrift's binary protocol, as scribe's messages have it.
func (s *Span) One() []byte {
	var w thrift.Writer
	s.write(&w)
	return w.Out
}

func (s *Span) write(w *thrift.Writer) {
	high, low := "", s.TraceID
	if n := len(low); n > 16 {
		high, low = low[:n-16], low[n-16:]
	}
	w.Struct()
	number(w, 1, hex(low))
	w.Field(3<<8 | thrift.String)
	w.String(s.Name)
	number(w, 4, hex(s.ID))
	if s.ParentID != "" {
		number(w, 5, hex(s.ParentID))
	}
	w.Field(6<<8 | thrift.List)
	w.List(thrift.Struct, len(s.Annotations))
	for _, a := range s.Annotations {
		w.Struct()
		number(w, 1, a.Timestamp)
		w.Field(2<<8 | thrift.String)
		w.String(a.Value)
		a.Endpoint.write(w, 3<<8|thrift.Struct)
		w.End()
	}
	w.Field(8<<8 | thrift.List)
	w.List(thrift.Struct, len(s.Binary))
	for _, b := range s.Binary {
		b.write(w)
	}
	w.Field(9<<8 | thrift.Bool)
	w.Bool(s.Debug)
	if s.Timestamp != 0 {
		number(w, 10, s.Timestamp)
	}
	if s.Duration != 0 {
		number(w, 11, s.Duration)
	}
	if high != "" {
		number(w, 12, hex(high))
	}
	w.End()
}

func number(w *thrift.Writer, id int, v int64) {
	w.Field(thrift.Field(id<<8 | thrift.I64))
	w.I64(v)
}

func hex(s string) int64 {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil { // of a test's own making
		panic(err)
	}
	return int64(v)
}

func (b *Binary) write(w *thrift.Writer) {
	w.Struct()
	w.Field(1<<8 | thrift.String)
	w.String(b.Key)
	var value []byte
	var typ int32
	switch v := b.Value.(type) {
	case bool:
		value = []byte{0}
		if v {
			value[0] = 1
		}
	case []byte:
		value, typ = v, 1
	case int16:
		value, typ = binary.BigEndian.AppendUint16(nil, uint16(v)), 2
	case int32:
		value, typ = binary.BigEndian.AppendUint32(nil, uint32(v)), 3
	case int64:
		value, typ = binary.BigEndian.AppendUint64(nil, uint64(v)), 4
	case float64:
		value, typ = binary.BigEndian.AppendUint64(nil, math.Float64bits(v)), 5
	case string:
		value, typ = []byte(v), 6
	}
	w.Field(2<<8 | thrift.String)
	w.Bytes(value)
	w.Field(3<<8 | thrift.I32)
	w.I32(typ)
	b.Endpoint.write(w, 4<<8|thrift.Struct)
	w.End()
}

func (e *Endpoint) write(w *thrift.Writer, f thrift.Field) {
	if e == nil {
		return
	}
	w.Field(f)
	w.Struct()
	var ip int32
	if addr, err := netip.ParseAddr(e.IPv4); err == nil {
		a := addr.As4()
		ip = int32(binary.BigEndian.Uint32(a[:]))
	}
	w.Field(1<<8 | thrift.I32)
	w.I32(ip)
	w.Field(2<<8 | thrift.I16)
	w.I16(int16(e.Port))
	w.Field(3<<8 | thrift.String)
	w.String(e.Service)
	if addr, err := netip.ParseAddr(e.IPv6); err == nil {
		a := addr.As16()
		w.Field(4<<8 | thrift.String)
		w.Bytes(a[:])
	}
	w.End()
}
