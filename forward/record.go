package forward

import (
	"encoding/binary"
	"time"

	"github.com/clewtrace/clew/trace"
)

// A record in a queue's log is some spans of one tenant that came the same way:
//
//	| version, 1 byte | number of servers n, 1 byte | length of the tenant t, 1 byte | 0 | spans, 4 bytes | Unix ns, 8 bytes |
//	| tenant, t bytes | servers, 8 bytes each | OTLP TracesData |
//
// Numbers are little-endian. The time is when the record was put into the queue; the servers are the Clews that the spans have been at.
// docs/format/forward.md has more.
type record struct {
	origin
	spans int
	at    time.Time
	otlp  []byte
}

// origin is whose spans are, and where they have been.
type origin struct {
	tenant string
	via    via
}

const (
	recordVersion = 1
	recordHead    = 16 // bytes before the tenant
)

func (r *record) append(b []byte) []byte {
	b = append(b, recordVersion, byte(len(r.via)), byte(len(r.tenant)), 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.spans))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.at.UnixNano()))
	b = append(b, r.tenant...)
	for _, id := range r.via {
		b = append(b, id[:]...)
	}
	return append(b, r.otlp...)
}

var errRecord = trace.Errorf(trace.Corrupt, "a record of the queue makes no sense")

// parseRecord reads a record. Its OTLP bytes are part of b.
func parseRecord(b []byte) (r record, err error) {
	if len(b) < recordHead {
		return r, errRecord
	}
	if b[0] != recordVersion {
		return r, trace.Errorf(trace.Corrupt, "a record of the queue has version %d; this version of clew reads up to %d", b[0], recordVersion)
	}
	n, t := int(b[1]), int(b[2])
	if n > maxVia || len(b) < recordHead+t+n*len(serverID{}) {
		return r, errRecord
	}
	r.spans = int(binary.LittleEndian.Uint32(b[4:]))
	r.at = time.Unix(0, int64(binary.LittleEndian.Uint64(b[8:])))
	b = b[recordHead:]
	r.tenant, b = string(b[:t]), b[t:]
	for range n {
		r.via = append(r.via, serverID(b[:len(serverID{})]))
		b = b[len(serverID{}):]
	}
	r.otlp = b
	return r, nil
}

// same reports whether spans of two origins can be in one request.
func (o *origin) same(other *origin) bool {
	if o.tenant != other.tenant || len(o.via) != len(other.via) {
		return false
	}
	for i := range o.via {
		if o.via[i] != other.via[i] {
			return false
		}
	}
	return true
}
