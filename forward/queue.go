package forward

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// queue is the records that wait for a destination: log segments in a folder of its own, and the position up to which they are done with.
// Any number of goroutines add; one takes.
type queue struct {
	disk   *wal.Disk
	dir    string
	limit  int64 // bytes of segments
	rotate int64 // bytes after which a segment ends
	keep   bool  // nothing is dropped to make room: whoever adds has reserved it
	log    *slog.Logger
	drop   func(reason string, spans int)

	adding sync.Mutex // held while a record gets its place, and while a segment ends
	wal    *wal.Log

	mu       sync.Mutex
	segments []*segment // oldest first; the last one is being written
	reserved int64      // bytes that are about to be added
	jobs     []*job     // taken and not done with, in order
	done     position   // everything before it is
	saved    position   // done as it is on disk
	wake     chan struct{}

	reading reading // of the goroutine that takes
}

// segment is a file of the queue. Counts are of what was not taken yet.
type segment struct {
	number  uint64
	bytes   int64 // of the file, with what is being written
	durable int64 // of the file: what may be read
	spans   int64
	dropped bool // the file is deleted; nobody else counts its spans
}

// position is a place in the queue: the first record at or behind it is the next.
type position struct {
	segment uint64
	offset  int64
}

// reasons for which spans are dropped by the queue
const (
	droppedFull    = "full"
	droppedDisk    = "disk"
	droppedDamaged = "damaged"
)

// openQueue opens the queue in a folder, which it makes.
func openQueue(q *queue) error {
	if err := os.MkdirAll(q.dir, 0o750); err != nil {
		return err
	}
	q.wake = make(chan struct{}, 1)
	q.rotate = min(max(q.limit/16, 64<<10), 8<<20)
	if err := q.recover(); err != nil {
		return err
	}
	next := uint64(1)
	if n := len(q.segments); n > 0 {
		next = q.segments[n-1].number + 1
	}
	next = max(next, q.done.segment+1) // or its first records would be taken for those that are done with
	w, err := wal.Open(q.disk, q.dir, next, q.synced)
	if err != nil {
		return err
	}
	q.wal = w
	q.segments = append(q.segments, &segment{number: next, bytes: wal.SegmentHeader, durable: wal.SegmentHeader})
	return nil
}

// synced is told by the log that so many bytes more of the last segment are on disk.
func (q *queue) synced(_ time.Duration, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.segments[len(q.segments)-1].durable += int64(bytes)
	q.stir()
}

// stir tells who waits to take that there may be something.
func (q *queue) stir() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// add puts records into the queue and returns when they are on disk. What cannot be put there is dropped and counted, and reported.
func (q *queue) add(records [][]byte, spans []int) error {
	tickets, at := make([]uint64, len(records)), make([]*segment, len(records))
	for i, r := range records {
		tickets[i], at[i] = q.enqueue(r, spans[i])
	}
	var all error
	for i := range records {
		if at[i] == nil {
			continue // it found no room, and was counted
		}
		if err := q.wal.Wait(tickets[i]); err != nil {
			q.forget(at[i], int64(wal.RecordHeader+len(records[i])), spans[i])
			all = err
		}
	}
	return all
}

// enqueue gives a record its place in the log; there is none if it is larger than all the queue may be.
func (q *queue) enqueue(r []byte, spans int) (ticket uint64, at *segment) {
	size := int64(wal.RecordHeader + len(r))
	q.adding.Lock()
	defer q.adding.Unlock()
	if !q.makeRoom(size) {
		q.drop(droppedFull, spans)
		return 0, nil
	}
	q.mu.Lock()
	at = q.segments[len(q.segments)-1]
	at.bytes += size
	at.spans += int64(spans)
	q.mu.Unlock()
	return q.wal.Add(r), at
}

// makeRoom ends the segment if it is long enough, and drops the oldest ones until so many bytes fit. q.adding is held.
func (q *queue) makeRoom(size int64) bool {
	for {
		q.mu.Lock()
		last, total := q.segments[len(q.segments)-1].bytes, q.bytes()
		full := total+size > q.limit && !q.keep
		if full && len(q.segments) > 1 {
			q.dropOldest()
			q.mu.Unlock()
			continue
		}
		q.mu.Unlock()
		if last == wal.SegmentHeader || last+size <= q.rotate && !full {
			return last > wal.SegmentHeader || !full
		}
		number := q.wal.Next() // what was added is on disk, or has failed
		q.mu.Lock()
		q.segments = append(q.segments, &segment{number: number, bytes: wal.SegmentHeader, durable: wal.SegmentHeader})
		q.stir()
		q.mu.Unlock()
	}
}

// bytes returns how much there is on disk. q.mu is held.
func (q *queue) bytes() int64 {
	var total int64
	for _, s := range q.segments {
		total += s.bytes
	}
	return total
}

// dropOldest deletes the oldest segment with all of it that was not taken. q.mu is held.
func (q *queue) dropOldest() {
	s := q.segments[0]
	s.dropped = true
	if s.spans > 0 {
		q.drop(droppedFull, int(s.spans))
	}
	q.segments = q.segments[1:]
	q.remove(s.number)
	q.done = later(q.done, position{segment: s.number + 1})
}

func (q *queue) remove(number uint64) {
	if err := q.disk.Remove(wal.SegmentPath(q.dir, number)); err != nil && !errors.Is(err, os.ErrNotExist) {
		q.log.Warn("a file of the queue cannot be deleted; it is done with at the next start", "err", err)
	}
}

// forget takes back a record that could not be written.
func (q *queue) forget(s *segment, size int64, spans int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !s.dropped { // else all that it had is counted
		s.bytes -= size
		s.spans -= int64(spans)
		q.drop(droppedDisk, spans)
	}
}

// reserve takes room for so many bytes, until release is called, or returns false if there is none. An empty queue has room for anything.
func (q *queue) reserve(bytes int64) (release func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	total := q.bytes() + q.reserved
	if total+bytes > q.limit && (q.unsent() > 0 || q.reserved > 0) {
		return nil, false
	}
	q.reserved += bytes
	return func() {
		q.mu.Lock()
		q.reserved -= bytes
		q.mu.Unlock()
	}, true
}

// unsent returns the spans that wait or are being sent. q.mu is held.
func (q *queue) unsent() (spans int64) {
	for _, s := range q.segments {
		spans += s.spans
	}
	for _, j := range q.jobs {
		spans += int64(j.spans)
	}
	return spans
}

// state is what metrics tell of a queue.
type state struct {
	bytes, spans int64
	oldest       time.Duration // how long the oldest has been waiting that is being sent
}

func (q *queue) state(now time.Time) state {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := state{bytes: q.bytes(), spans: q.unsent()}
	if len(q.jobs) > 0 {
		s.oldest = max(0, now.Sub(q.jobs[0].at))
	}
	return s
}

// finish notes that a job is done with, deletes what no other needs, and wakes who waits for the end.
func (q *queue) finish(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	j.done = true
	for len(q.jobs) > 0 && q.jobs[0].done {
		q.done = later(q.done, q.jobs[0].end)
		q.jobs[0] = nil
		q.jobs = q.jobs[1:]
	}
	for len(q.segments) > 1 && (q.segments[0].number < q.done.segment || q.atEnd(q.segments[0])) {
		s := q.segments[0]
		s.dropped = true
		if s.spans > 0 { // could not be read
			q.drop(droppedDamaged, int(s.spans))
		}
		q.segments = q.segments[1:]
		q.remove(s.number)
	}
}

// atEnd reports whether everything in a segment, which is not the last one, is done with. q.mu is held.
func (q *queue) atEnd(s *segment) bool {
	return q.done.segment == s.number && q.done.offset >= s.durable
}

func later(a, b position) position {
	if a.segment > b.segment || a.segment == b.segment && a.offset >= b.offset {
		return a
	}
	return b
}

// save writes the position down. Until then a crash has what is before it sent once more.
func (q *queue) save() error {
	q.mu.Lock()
	at := q.done
	changed := at != q.saved
	q.mu.Unlock()
	if !changed {
		return nil
	}
	if err := q.writePosition(at); err != nil {
		return err
	}
	q.mu.Lock()
	q.saved = at
	q.mu.Unlock()
	return nil
}

// close ends the queue. Nobody may add or take any more.
func (q *queue) close() error {
	q.reading.close()
	err := errors.Join(q.wal.Close(), q.save())
	q.mu.Lock()
	q.dropHomeless()
	empty := q.unsent() == 0 && len(q.segments) == 1
	q.mu.Unlock()
	if empty && err == nil { // leave nothing that has to be read at the start
		q.remove(q.segments[0].number)
	}
	if err != nil {
		return fmt.Errorf("close queue %s: %w", q.dir, err)
	}
	return nil
}

// dropHomeless counts what was being sent when its segment was dropped: no file has it. q.mu is held.
func (q *queue) dropHomeless() {
	for _, j := range q.jobs {
		for _, p := range j.parts {
			if !j.done && p.from.dropped {
				q.drop(droppedFull, p.spans)
			}
		}
	}
}

func corrupt(err error) bool { return trace.KindOf(err) == trace.Corrupt }
