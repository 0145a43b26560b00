package trace

import (
	"encoding/hex"
	"fmt"
)

// ID is a trace ID: 16 bytes, big-endian as on the wire. 64-bit IDs of older systems have 8 leading zero bytes.
type ID [16]byte

// SpanID is a span ID: 8 bytes, big-endian as on the wire.
type SpanID [8]byte

// IsZero reports whether no bit is set: OTLP calls such an ID invalid.
func (id ID) IsZero() bool { return id == ID{} }

// String returns 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether no bit is set: as a parent it says that there is none.
func (id SpanID) IsZero() bool { return id == SpanID{} }

// String returns 16 lower-case hexadecimal digits.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads a trace ID of 1 to 32 hexadecimal digits; missing leading digits are zero, as Jaeger and Zipkin
// write 64-bit IDs. The error is of kind Invalid.
func ParseID(s string) (ID, error) {
	var id ID
	if err := ParseHex(id[:], s); err != nil {
		return ID{}, Errorf(Invalid, "trace ID %.40q: %v", s, err)
	}
	if id.IsZero() {
		return ID{}, Errorf(Invalid, "trace ID %.40q: is zero", s)
	}
	return id, nil
}

// ParseSpanID reads a span ID of 1 to 16 hexadecimal digits. The error is of kind Invalid.
func ParseSpanID(s string) (SpanID, error) {
	var id SpanID
	if err := ParseHex(id[:], s); err != nil {
		return SpanID{}, Errorf(Invalid, "span ID %.40q: %v", s, err)
	}
	return id, nil
}

// ParseHex reads 1 to 2*len(dst) hexadecimal digits into dst, which must be zero; missing leading digits are zero.
func ParseHex(dst []byte, s string) error {
	if len(s) == 0 || len(s) > 2*len(dst) {
		return fmt.Errorf("has %d characters; want 1 to %d hexadecimal digits", len(s), 2*len(dst))
	}
	for i := range len(s) {
		c := s[len(s)-1-i]
		var v byte
		switch {
		case c >= '0' && c <= '9':
			v = c - '0'
		case c >= 'a' && c <= 'f':
			v = c - 'a' + 10
		case c >= 'A' && c <= 'F':
			v = c - 'A' + 10
		default:
			return fmt.Errorf("%q is not a hexadecimal digit", c)
		}
		dst[len(dst)-1-i/2] |= v << (4 * (i % 2))
	}
	return nil
}
