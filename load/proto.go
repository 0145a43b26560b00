package load

import "encoding/binary"

// appendField appends a field with a body: wire type 2 of Protocol Buffers.
func appendField(b []byte, num byte, body []byte) []byte {
	b = append(b, num<<3|2)
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...)
}
