// Package wal is the store's write-ahead log, and the disk under all that the store writes.
package wal

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/clewtrace/clew/store/spool/pack"
)

// A log segment is a file of records, one an accepted batch:
//
//	"CLWL" version(1 byte) its complement(1 byte) 0 0
//	record: "CLWR" | payload length, 4 bytes | CRC-32C of length and payload, 4 bytes | payload: OTLP TracesData
//
// Numbers are little-endian. The mark in front of each record lets a reader go on behind damage. The payload is not
// compressed: that costs more CPU than the log's short life is worth, and replay would take several times as long.
const (
	SegmentMagic   = "CLWL" // the first bytes of a segment
	SegmentVersion = 1      // of the format
	SegmentHeader  = 8      // bytes before the first record
	SegmentSuffix  = ".log" // of a segment's file
	RecordHeader   = 12     // bytes before a record's payload
	recordMagic    = "CLWR"
	// MaxRecord bounds what a record may claim to be. Receivers take less in one request.
	MaxRecord = 1 << 30
	// maxPending bounds what waits to be written while a sync is under way.
	maxPending = 64 << 20
)

// SegmentPath returns the file of a segment in the log's folder.
func SegmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d%s", number, SegmentSuffix))
}

// SegmentNumber returns the number of the segment in a file of the log's folder; false: it is no segment.
func SegmentNumber(name string) (n uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, SegmentSuffix)
	if !ok || len(digits) != 12 {
		return 0, false
	}
	_, err := fmt.Sscanf(digits, "%012d", &n)
	return n, err == nil
}

// Log appends records to segments. Writers Add and then Wait; one goroutine writes and syncs for all that wait.
type Log struct {
	disk   *Disk
	dir    string
	onSync func(d time.Duration, bytes int) // told of each sync

	mu      sync.Mutex
	changed *sync.Cond
	pending records // to be written to the segment
	spare   records
	added   uint64 // tickets given out
	done    uint64 // tickets up to here have their answer
	failed  map[uint64]error
	segment uint64 // number of the segment that pending goes to
	rotate  bool   // pending starts a new segment
	busy    bool   // a sync is under way
	closed  bool

	file *File // of the syncing goroutine
	size int64
	end  chan struct{}
}

// Open starts a log whose first segment has a number.
func Open(d *Disk, dir string, segment uint64, synced func(time.Duration, int)) (*Log, error) {
	w := &Log{disk: d, dir: dir, segment: segment, onSync: synced, failed: map[uint64]error{}, end: make(chan struct{})}
	w.changed = sync.NewCond(&w.mu)
	if err := w.create(segment); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// Create makes a segment file and the syncing goroutine's own.
func (w *Log) create(number uint64) error {
	f, err := w.disk.Create(SegmentPath(w.dir, number))
	if err != nil {
		return err
	}
	if _, err = f.Write(FileHeader(SegmentMagic, SegmentVersion)); err == nil {
		err = w.disk.SyncDir(w.dir)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	w.file, w.size = f, SegmentHeader
	return nil
}

// records is some records one after the other: bytes, with payloads between them that were too large to be copied.
type records struct {
	bytes []byte
	large []payload
	size  int // of all
}

type payload struct {
	at  int // in bytes
	raw []byte
}

// copyUpTo is the size of payloads that are copied, so that many small ones become one write.
const copyUpTo = 32 << 10

func (r *records) add(raw []byte) {
	r.size += RecordHeader + len(raw)
	if len(raw) <= copyUpTo {
		r.bytes = AppendRecord(r.bytes, raw)
		return
	}
	r.bytes = appendHeader(r.bytes, raw)
	r.large = append(r.large, payload{len(r.bytes), raw})
}

// reset makes the records empty; memory that few need goes.
func (r *records) reset() {
	if clear(r.large); cap(r.bytes) > maxPending/4 {
		r.bytes = nil
	}
	*r = records{bytes: r.bytes[:0], large: r.large[:0]}
}

func (r *records) writeTo(f *File) error {
	at := 0
	for _, p := range r.large {
		if _, err := f.Write(r.bytes[at:p.at]); err != nil {
			return err
		}
		if _, err := f.Write(p.raw); err != nil {
			return err
		}
		at = p.at
	}
	if at == len(r.bytes) {
		return nil
	}
	_, err := f.Write(r.bytes[at:])
	return err
}

// Add queues a batch, which must not change until Wait has returned, and returns a ticket to wait for. It blocks while too much is
// pending.
func (w *Log) Add(raw []byte) (ticket uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.pending.size > maxPending {
		w.changed.Wait()
	}
	w.pending.add(raw)
	w.added++
	w.changed.Broadcast()
	return w.added
}

// AppendRecord appends a record to dst.
func AppendRecord(dst, raw []byte) []byte { return append(appendHeader(dst, raw), raw...) }

func appendHeader(dst, raw []byte) []byte {
	dst = append(dst, recordMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(raw)))
	return binary.LittleEndian.AppendUint32(dst, recordSum(dst[len(dst)-4:], raw))
}

// recordSum returns the checksum of a record's length, as it is written, and payload.
func recordSum(length, payload []byte) uint32 { return pack.Checksum(payload) ^ pack.Checksum(length) }

// Wait returns when the ticket's batch is on disk (nil) or cannot be.
func (w *Log) Wait(ticket uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.done < ticket {
		w.changed.Wait()
	}
	err := w.failed[ticket]
	delete(w.failed, ticket)
	return err
}

// Next starts a new segment and returns its number; what was added before goes to the old one, and is on disk when next returns.
func (w *Log) Next() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.rotate || w.busy || w.pending.size > 0 {
		w.changed.Wait()
	}
	w.segment++
	w.rotate = true
	w.changed.Broadcast()
	return w.segment
}

// run writes and syncs until the log is closed.
func (w *Log) run() {
	defer close(w.end)
	for {
		w.mu.Lock()
		for w.pending.size == 0 && !w.rotate && !w.closed {
			w.changed.Wait()
		}
		if w.pending.size == 0 && !w.rotate {
			w.mu.Unlock()
			return
		}
		batch, from, to, number, rotate := w.pending, w.done, w.added, w.segment, w.rotate
		w.pending, w.rotate, w.busy = w.spare, false, true
		w.mu.Unlock()

		err := w.flush(&batch, number, rotate)

		w.mu.Lock()
		batch.reset()
		w.spare, w.busy = batch, false
		if err != nil {
			for t := from + 1; t <= to; t++ {
				w.failed[t] = err
			}
		}
		w.done = to
		w.changed.Broadcast()
		w.mu.Unlock()
	}
}

// flush writes records to a segment and syncs it. After a fault the segment is cut back to what was on disk for sure.
func (w *Log) flush(batch *records, number uint64, rotate bool) error {
	if rotate && w.file != nil {
		_ = w.file.Close() // synced before
		w.file = nil
	}
	if rotate {
		w.size = 0
	}
	if w.file == nil {
		if err := w.reopen(number); err != nil {
			return err
		}
	}
	if batch.size == 0 {
		return nil
	}
	begin := time.Now()
	err := batch.writeTo(w.file)
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		// What a failed sync left behind is unknown: cut it off, and open the file anew.
		_ = w.file.Truncate(w.size)
		_ = w.file.Close()
		w.file = nil
		return err
	}
	w.size += int64(batch.size)
	w.onSync(time.Since(begin), batch.size)
	return nil
}

// reopen opens a segment to append to, or makes it.
func (w *Log) reopen(number uint64) error {
	if w.size < SegmentHeader { // there is nothing in it
		return w.create(number)
	}
	size := w.size // what was cut off may still be there if cutting failed, too
	f, err := w.disk.OpenFile(SegmentPath(w.dir, number), os.O_WRONLY)
	if err != nil {
		return err
	}
	if err = f.Truncate(size); err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	w.file = f
	return nil
}

// Close waits until all that was added is on disk.
func (w *Log) Close() error {
	w.mu.Lock()
	w.closed = true
	w.changed.Broadcast()
	w.mu.Unlock()
	<-w.end
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}
