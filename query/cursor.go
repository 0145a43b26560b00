package query

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/clewtrace/clew/trace"
)

// A cursor is the place of a page's last element in the answer's order, a struct of fixed size in big-endian, and the sum of the question,
// by which it is refused with another: in base64 without padding, as URLs take it.

// questionSum tells a question from others.
type questionSum [4]byte

func sumOf(question []byte) questionSum {
	h := sha256.Sum256(question)
	return questionSum(h[:4])
}

func formatCursor(place any, sum questionSum) string {
	b, err := binary.Append(nil, binary.BigEndian, place)
	if err != nil { // a place has a fixed size
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:]...))
}

// parseCursor reads a place into what place points to. Errors are of kind Invalid.
func parseCursor(s string, place any, sum questionSum) error {
	b, err := base64.RawURLEncoding.DecodeString(s)
	size := binary.Size(place)
	if err != nil || len(b) != size+len(sum) {
		return trace.Errorf(trace.Invalid, "cursor %.60q is not one that an answer gave", s)
	}
	if questionSum(b[size:]) != sum {
		return trace.Errorf(trace.Invalid, "cursor %.60q is of another search; start without it", s)
	}
	_, err = binary.Decode(b, binary.BigEndian, place)
	return err
}
