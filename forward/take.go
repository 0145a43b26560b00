package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// job is neighbouring records of one origin that are sent together.
type job struct {
	origin
	otlp  []byte
	spans int
	at    time.Time // when the first was put into the queue
	end   position
	parts []part
	done  bool // under the queue's lock
}

// part is what of a job is from one segment.
type part struct {
	from  *segment
	spans int
}

// reading is where records are taken from.
type reading struct {
	file   *wal.File
	from   *segment
	offset int64
	buf    []byte
	held   *record // taken from the file, but for the next job
}

func (r *reading) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
	r.file = nil
}

// take waits for records and returns some of one origin, of no more than max bytes if the first is not larger. ok is false when ctx is done.
func (q *queue) take(ctx context.Context, most int64) (j *job, ok bool) {
	for {
		if ctx.Err() != nil {
			return nil, false
		}
		j, err := q.tryTake(most)
		if j != nil {
			return j, true
		}
		pause := time.Hour
		if err != nil {
			q.log.Error("the queue cannot be read; it is tried again", "dir", q.dir, "err", err)
			pause = time.Second
		}
		timer := time.NewTimer(pause)
		select {
		case <-q.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// tryTake returns what there is now, or nil.
func (q *queue) tryTake(most int64) (*job, error) {
	var j *job
	for {
		r, seg, err := q.next()
		if err != nil || r == nil {
			return j, err
		}
		if j != nil && (!j.same(&r.origin) || int64(len(j.otlp)+len(r.otlp)) > most) {
			q.reading.held = r
			return j, nil
		}
		q.mu.Lock()
		if seg.dropped {
			q.mu.Unlock()
			continue
		}
		seg.spans -= int64(r.spans)
		if j == nil {
			j = &job{origin: r.origin, at: r.at}
			q.jobs = append(q.jobs, j)
		}
		j.note(seg, r.spans)
		j.end = position{seg.number, q.reading.offset}
		q.mu.Unlock()
		j.otlp = append(j.otlp, r.otlp...)
		if int64(len(j.otlp)) >= most {
			return j, nil
		}
	}
}

func (j *job) note(from *segment, spans int) {
	j.spans += spans
	if n := len(j.parts); n > 0 && j.parts[n-1].from == from {
		j.parts[n-1].spans += spans
		return
	}
	j.parts = append(j.parts, part{from, spans})
}

// next returns the next record, valid until the next call, and its segment; nil: there is none now.
func (q *queue) next() (*record, *segment, error) {
	if r := q.reading.held; r != nil {
		q.reading.held = nil
		return r, q.reading.from, nil
	}
	for {
		ready, err := q.seek()
		if err != nil || !ready {
			return nil, nil, err
		}
		r := &q.reading
		q.mu.Lock()
		durable := r.from.durable
		q.mu.Unlock()
		payload, behind, err := wal.ReadRecord(r.file, r.offset, durable, r.buf)
		if err != nil && !corrupt(err) {
			return nil, nil, err
		}
		if err != nil {
			if err := q.skip(durable); err != nil {
				return nil, nil, err
			}
			continue
		}
		r.buf, r.offset = payload, behind
		rec, err := parseRecord(payload)
		if err != nil {
			q.log.Error("a record of the queue is left out", "file", r.file.Name(), "offset", behind, "err", err)
			continue
		}
		return &rec, r.from, nil
	}
}

// seek opens the segment that is to be read. It returns false if there is nothing to read.
func (q *queue) seek() (ready bool, err error) {
	r := &q.reading
	for {
		from, nothing := q.choose()
		if from != r.from {
			r.close()
			r.from = from
		}
		if nothing || r.file != nil {
			return !nothing, nil
		}
		r.file, err = q.disk.Open(wal.SegmentPath(q.dir, from.number))
		if err == nil {
			return true, nil
		}
		r.file = nil // not one of a nil pointer
		q.mu.Lock()
		gone := from.dropped // in between
		q.mu.Unlock()
		if !gone {
			return false, err
		}
	}
}

// choose returns the segment that is to be read, and sets the offset. nothing says that there is nothing in it yet.
func (q *queue) choose() (from *segment, nothing bool) {
	r := &q.reading
	q.mu.Lock()
	defer q.mu.Unlock()
	last := q.segments[len(q.segments)-1]
	if from = r.from; from == nil {
		from, r.offset = q.segments[0], wal.SegmentHeader
		if q.done.segment == from.number {
			r.offset = max(q.done.offset, wal.SegmentHeader)
		}
	}
	for from != last && (from.dropped || r.offset >= from.durable) {
		number := from.number
		i := slices.IndexFunc(q.segments, func(s *segment) bool { return s.number > number }) // there is one: the last is never dropped
		from, r.offset = q.segments[i], wal.SegmentHeader
	}
	return from, from == last && r.offset >= from.durable
}

// skip goes on behind damage, to the next record that is whole.
func (q *queue) skip(durable int64) error {
	r := &q.reading
	next, err := wholeRecord(r.file, r.offset, durable)
	if err != nil {
		return err
	}
	q.log.Error("damage in the queue is left out", "file", r.file.Name(), "offset", r.offset, "bytes", next-r.offset)
	r.offset = next
	return nil
}

// wholeRecord returns where the next record behind a damaged one begins; at the end if there is none.
func wholeRecord(f io.ReaderAt, offset, size int64) (int64, error) {
	offset++
	found := errors.New("found")
	next := size
	_, err := wal.ReadSegment(io.NewSectionReader(f, offset, size-offset), size-offset, func(at int64, _ []byte) error {
		next = offset + at
		return found
	})
	if errors.Is(err, found) {
		err = nil
	}
	return next, err
}

// The file "position" says up to where a queue is done with:
//
//	| "CLWP" | segment, 8 bytes | offset, 8 bytes | CRC-32C of what is before, 4 bytes |
//
// Numbers are little-endian. Without the file, or if it is damaged, everything that is there is sent.
const positionMagic = "CLWP"

func (q *queue) positionPath() string { return filepath.Join(q.dir, "position") }

func (q *queue) writePosition(p position) error {
	b := []byte(positionMagic)
	b = binary.LittleEndian.AppendUint64(b, p.segment)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.offset))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return replaceFile(q.disk, q.positionPath(), b)
}

func (q *queue) readPosition() (p position) {
	b, err := os.ReadFile(q.positionPath())
	if err == nil && (len(b) != 24 || string(b[:4]) != positionMagic ||
		crc32.Checksum(b[:20], crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(b[20:])) {
		err = trace.Errorf(trace.Corrupt, "it is damaged")
	}
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			q.log.Warn("the queue's position cannot be read; all that is there is sent", "file", q.positionPath(), "err", err)
		}
		return p
	}
	return position{binary.LittleEndian.Uint64(b[4:]), int64(binary.LittleEndian.Uint64(b[12:]))}
}

// recover finds out what is in the queue's folder. Segments before the position are deleted.
func (q *queue) recover() error {
	entries, err := q.disk.ReadDir(q.dir)
	if err != nil {
		return err
	}
	q.done = q.readPosition()
	q.saved = q.done
	for _, e := range entries {
		number, ok := wal.SegmentNumber(e.Name())
		if !ok {
			continue
		}
		if number < q.done.segment {
			q.remove(number)
			continue
		}
		s, err := q.count(number)
		if err != nil {
			return err
		}
		if s.spans == 0 {
			q.remove(number)
			continue
		}
		q.segments = append(q.segments, s)
	}
	return nil
}

// count reads a segment through, and counts what is not done with.
func (q *queue) count(number uint64) (*segment, error) {
	f, err := q.disk.Open(wal.SegmentPath(q.dir, number))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s := &segment{number: number, bytes: st.Size(), durable: wal.SegmentHeader}
	damage, err := wal.ReadSegment(f, st.Size(), func(at int64, payload []byte) error {
		s.durable = at + wal.RecordHeader + int64(len(payload))
		if number == q.done.segment && at < q.done.offset {
			return nil
		}
		r, err := parseRecord(payload)
		if err == nil {
			s.spans += int64(r.spans)
		}
		return nil // next reports what makes no sense
	})
	for _, d := range damage {
		level := q.log.Error
		if d.Last { // a record that was being written, and was not acknowledged
			level = q.log.Warn
		}
		level("damage in the queue", "file", f.Name(), "offset", d.Offset, "bytes", d.Bytes)
	}
	return s, err
}
