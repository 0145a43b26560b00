package zipkin

import (
	"encoding/hex"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// encodeProto returns spans as a ListOfSpans of zipkin.proto3.
func encodeProto(spans []jsonSpan) []byte {
	var out, one []byte
	for i := range spans {
		one = spans[i].appendProto(one[:0])
		out = appendField(out, 1, one)
	}
	return out
}

// protoKinds are the kinds by their numbers.
var protoKinds = []string{"", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"}

func (z *jsonSpan) appendProto(b []byte) []byte {
	number := func(n protowire.Number, v uint64) {
		if v != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
		}
	}
	b = appendID(b, 1, z.TraceID)
	b = appendID(b, 2, z.ParentID)
	b = appendID(b, 3, z.ID)
	number(4, uint64(max(0, slices.Index(protoKinds, z.Kind))))
	b = protoText(b, 5, z.Name)
	if z.Timestamp != 0 {
		b = protowire.AppendFixed64(protowire.AppendTag(b, 6, protowire.Fixed64Type), z.Timestamp)
	}
	number(7, z.Duration)
	b = z.Local.appendProto(b, 8)
	b = z.Remote.appendProto(b, 9)
	var one []byte
	for _, a := range z.Annotations {
		one = protowire.AppendFixed64(protowire.AppendTag(one[:0], 1, protowire.Fixed64Type), a.Timestamp)
		b = appendField(b, 10, protoText(one, 2, a.Value))
	}
	for key, text := range z.Tags {
		one = protoText(protoText(one[:0], 1, key), 2, text)
		b = appendField(b, 11, one)
	}
	number(12, protowire.EncodeBool(z.Debug))
	number(13, protowire.EncodeBool(z.Shared))
	return b
}

func (e *jsonEndpoint) appendProto(b []byte, number protowire.Number) []byte {
	if e == nil {
		return b
	}
	one := protoText(nil, 1, e.Service)
	for n, text := range map[protowire.Number]string{2: e.IPv4, 3: e.IPv6} {
		if addr, err := netip.ParseAddr(text); err == nil {
			one = appendField(one, n, addr.AsSlice())
		}
	}
	if e.Port != 0 {
		one = protowire.AppendVarint(protowire.AppendTag(one, 4, protowire.VarintType), uint64(e.Port))
	}
	return appendField(b, number, one)
}

func appendField(b []byte, number protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), v)
}

func protoText(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

func appendID(b []byte, number protowire.Number, id string) []byte {
	raw, err := hex.DecodeString(id)
	if err != nil || id == "" { // there is none
		return b
	}
	return appendField(b, number, raw)
}
