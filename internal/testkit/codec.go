package testkit

import (
	"fmt"
	"slices"
)

// RawCodec is gRPC's codec of messages that are bytes already.
type RawCodec struct{}

// Name is the subtype of the content that is sent.
func (RawCodec) Name() string { return "proto" }

// Marshal takes []byte.
func (RawCodec) Marshal(v any) ([]byte, error) {
	if b, ok := v.([]byte); ok {
		return b, nil
	}
	return nil, fmt.Errorf("%T is no []byte", v)
}

// Unmarshal fills a *[]byte.
func (RawCodec) Unmarshal(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is no *[]byte", v)
	}
	*b = slices.Clone(data)
	return nil
}
