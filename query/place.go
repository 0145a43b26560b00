package query

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// place is a trace's place in the order of an answer: by a key, and of those that have the same, by trace.Position.
type place struct {
	key      uint64
	position trace.Position
}

// before reports whether p comes before q, with the larger key, or, ascending, the smaller one.
func (p place) before(q place, asc bool) bool {
	if p.key != q.key {
		return (p.key < q.key) == asc
	}
	return p.position.Precedes(q.position)
}

// placeOf returns the place of a trace in which sets were found.
func (s *search) placeOf(c *eval.Context, sets []eval.Set) place {
	first, last := c.Bounds()
	p := place{position: trace.Position{Start: first, ID: c.Trace.ID}}
	if s.newestFirst() {
		return p
	}
	switch s.Query.Order.Key {
	case traceql.ByStartTime:
		p.key = first
	case traceql.ByTraceDuration:
		p.key = last - first
	case traceql.ByDuration:
		for _, set := range sets {
			for _, i := range set.Spans {
				p.key = max(p.key, uint64(c.Trace.Spans[i].Duration()))
			}
		}
	}
	return p
}

// A search's cursor is the place of the page's last trace and a sum of the query and its range, in base64: 8 bytes key, 8 bytes start, 16 bytes
// trace ID, 4 bytes sum.
const placeLen = 8 + 8 + 16 + 4

func sumOfQuery(q *traceql.Query, r trace.Range) [4]byte {
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", q, r.From, r.To))
	return [4]byte(h[:4])
}

func formatPlace(p place, sum [4]byte) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, placeLen), p.key)
	b = binary.BigEndian.AppendUint64(b, p.position.Start)
	b = append(b, p.position.ID[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:]...))
}

func parsePlace(s string, sum [4]byte) (place, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != placeLen {
		return place{}, trace.Errorf(trace.Invalid, "cursor %.60q is not one that an answer gave", s)
	}
	if [4]byte(b[32:]) != sum {
		return place{}, trace.Errorf(trace.Invalid, "cursor %.60q is of another search; start without it", s)
	}
	p := place{key: binary.BigEndian.Uint64(b), position: trace.Position{Start: binary.BigEndian.Uint64(b[8:])}}
	copy(p.position.ID[:], b[16:32])
	return p, nil
}

func timeText(ns uint64) string { return time.Unix(0, int64(ns)).UTC().Format(time.RFC3339Nano) }
