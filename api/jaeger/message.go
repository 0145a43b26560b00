package jaeger

import (
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// field is one field of a message of Protocol Buffers.
type field struct {
	number uint64
	num    uint64 // a varint
	body   []byte // of what has a length
}

func (f *field) text() string { return string(f.body) }

// each calls fn with each field of a message. Fields of other types than varint and length are skipped.
func each(message []byte, fn func(f field) error) error {
	fields := wire.NewFields(message)
	for fields.Next() {
		f := field{number: fields.ID >> 3}
		switch fields.ID & 7 {
		case wire.Varint:
			f.num = fields.Num
		case wire.Length:
			f.body = fields.Body
		default:
			continue
		}
		if err := fn(f); err != nil {
			return err
		}
	}
	if fields.Broken {
		return errMessage
	}
	return nil
}

var errMessage = trace.Errorf(trace.Invalid, "the message is broken")

// seconds reads a Timestamp or a Duration.
func seconds(b []byte) (s, ns int64, err error) {
	err = each(b, func(f field) error {
		switch f.number {
		case 1:
			s = int64(f.num)
		case 2:
			ns = int64(int32(f.num))
		}
		return nil
	})
	return s, ns, err
}

// timeOf reads a Timestamp as ns; one before 1970, as Go's clients send for none, is 0.
func timeOf(b []byte, name string) (uint64, error) {
	s, ns, err := seconds(b)
	if err != nil {
		return 0, err
	}
	if s < 0 {
		return 0, nil
	}
	if s > math.MaxInt64/1_000_000_000-1 || ns < 0 || ns >= 1e9 {
		return 0, trace.Errorf(trace.Invalid, "%s is no time", name)
	}
	return uint64(s*1e9 + ns), nil
}

// durationOf reads a Duration.
func durationOf(b []byte, name string) (time.Duration, error) {
	s, ns, err := seconds(b)
	if err != nil {
		return 0, err
	}
	if s < 0 || ns < 0 || s > math.MaxInt64/1_000_000_000-1 || ns >= 1e9 {
		return 0, trace.Errorf(trace.Invalid, "%s is no duration of 0 or more", name)
	}
	return time.Duration(s*1e9 + ns), nil
}

// appendText appends a text, unless it is empty: so is what is missing.
func appendText(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendName(b, number, s)
}

// appendName appends a text of a list, where empty ones count. What is not UTF-8 would make clients refuse the whole message.
func appendName(b []byte, number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), strings.ToValidUTF8(s, "\uFFFD"))
}

func appendNumber(b []byte, number protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v)
}

func appendFixed64(b []byte, number protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, number, protowire.Fixed64Type), v)
}

// appendMessage appends a message that is whole.
func appendMessage(b []byte, number protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), body)
}
