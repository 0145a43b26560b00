package tracecontext

import (
	"encoding/base64"
	"encoding/binary"
)

const (
	linkerdHeader  = "L5d-Ctx-Trace"
	linkerdRequest = "L5d-Reqid" // the lower half of the trace ID, for logs
)

// Finagle's flags. The others are kept as they are.
const (
	finagleDebug   = 1 << 0
	finagleKnown   = 1 << 1 // the next one says something
	finagleSampled = 1 << 2
)

// extractLinkerd reads base64, with padding, of Finagle's TraceId, big-endian:
//
//	| span ID 8 | parent span ID 8 | trace ID, lower half, 8 | flags 8 | trace ID, upper half, 8, if it is not 0 |
//
// A root's three IDs are the same. A parent that is the span itself is none.
func extractLinkerd(h Headers) (c Context) {
	v := only(h, linkerdHeader)
	var raw [42]byte // what 56 characters may become
	if len(v) != base64.StdEncoding.EncodedLen(32) && len(v) != base64.StdEncoding.EncodedLen(40) {
		return Context{}
	}
	var text [56]byte
	n, err := base64.StdEncoding.Strict().Decode(raw[:], text[:copy(text[:], v)])
	if err != nil || n != 32 && n != 40 {
		return Context{}
	}
	copy(c.SpanID[:], raw[:8])
	copy(c.Parent[:], raw[8:16])
	copy(c.TraceID[8:], raw[16:24])
	flags := binary.BigEndian.Uint64(raw[24:])
	if n == 40 {
		copy(c.TraceID[:8], raw[32:])
	}
	if !c.Valid() {
		return Context{}
	}
	if c.Parent == c.SpanID {
		c.Parent = [8]byte{}
	}
	switch {
	case flags&finagleDebug != 0:
		c.Sampling = Debug
	case flags&finagleKnown == 0:
		c.Sampling = Deferred
	case flags&finagleSampled != 0:
		c.Sampling = Sampled
	default:
		c.Sampling = NotSampled
	}
	c.LinkerdFlags = flags &^ (finagleDebug | finagleKnown | finagleSampled)
	return c
}

func injectLinkerd(c *Context, h Headers) {
	if !c.Valid() {
		h.Del(linkerdHeader)
		h.Del(linkerdRequest)
		return
	}
	parent := c.Parent
	if parent.IsZero() {
		parent = c.SpanID
	}
	flags := c.LinkerdFlags | [...]uint64{
		Deferred: 0, NotSampled: finagleKnown, Sampled: finagleKnown | finagleSampled, Debug: finagleDebug,
	}[c.Sampling]
	var room [40]byte
	b := append(append(append(room[:0], c.SpanID[:]...), parent[:]...), c.TraceID[8:]...)
	b = binary.BigEndian.AppendUint64(b, flags)
	if [8]byte(c.TraceID[:8]) != [8]byte{} {
		b = append(b, c.TraceID[:8]...)
	}
	h.Set(linkerdHeader, base64.StdEncoding.EncodeToString(b))
	h.Set(linkerdRequest, string(appendHex(make([]byte, 0, 16), c.TraceID[8:])))
}
