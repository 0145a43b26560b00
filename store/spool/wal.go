package spool

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A log segment is a file of records, one an accepted batch:
//
//	"CLWL" version(1 byte) its complement(1 byte) 0 0
//	record: "CLWR" | payload length, 4 bytes | CRC-32C of length and payload, 4 bytes | payload: OTLP TracesData
//
// Numbers are little-endian. The mark in front of each record lets a reader go on behind damage. The payload is not
// compressed: that costs more CPU than the log's short life is worth, and replay would take several times as long.
const (
	segmentMagic   = "CLWL"
	segmentVersion = 1
	segmentHeader  = 8
	segmentSuffix  = ".log"
	recordMagic    = "CLWR"
	recordHeader   = 12
	// maxRecord bounds what a record may claim to be. Receivers take less in one request.
	maxRecord = 1 << 30
	// maxPending bounds what waits to be written while a sync is under way.
	maxPending = 64 << 20
)

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d%s", number, segmentSuffix))
}

func segmentNumber(name string) (n uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 12 {
		return 0, false
	}
	_, err := fmt.Sscanf(digits, "%012d", &n)
	return n, err == nil
}

// wal appends records to segments. Writers add and then wait; one goroutine writes and syncs for all that wait.
type wal struct {
	disk   *disk
	dir    string
	onSync func(d time.Duration, bytes int) // told of each sync

	mu      sync.Mutex
	changed *sync.Cond
	pending []byte // records to be written to the segment
	spare   []byte
	added   uint64 // tickets given out
	done    uint64 // tickets up to here have their answer
	failed  map[uint64]error
	segment uint64 // number of the segment that pending goes to
	rotate  bool   // pending starts a new segment
	busy    bool   // a sync is under way
	closed  bool

	file *diskFile // of the syncing goroutine
	size int64
	end  chan struct{}
}

// openWAL starts a log whose first segment has a number.
func openWAL(d *disk, dir string, segment uint64, synced func(time.Duration, int)) (*wal, error) {
	w := &wal{disk: d, dir: dir, segment: segment, onSync: synced, failed: map[uint64]error{}, end: make(chan struct{})}
	w.changed = sync.NewCond(&w.mu)
	if err := w.create(segment); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// create makes a segment file and the syncing goroutine's own.
func (w *wal) create(number uint64) error {
	f, err := w.disk.create(segmentPath(w.dir, number))
	if err != nil {
		return err
	}
	if _, err = f.Write(fileHeader(segmentMagic, segmentVersion)); err == nil {
		err = w.disk.syncDir(w.dir)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	w.file, w.size = f, segmentHeader
	return nil
}

// add queues a batch and returns a ticket to wait for. It blocks while too much is pending.
func (w *wal) add(raw []byte) (ticket uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) > maxPending {
		w.changed.Wait()
	}
	w.pending = appendRecord(w.pending, raw)
	w.added++
	w.changed.Broadcast()
	return w.added
}

func appendRecord(dst, raw []byte) []byte {
	lo := len(dst)
	dst = append(dst, recordMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(raw)))
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, raw...)
	binary.LittleEndian.PutUint32(dst[lo+8:], recordSum(dst[lo:]))
	return dst
}

// recordSum returns the checksum of a whole record.
func recordSum(r []byte) uint32 {
	return checksum(r[recordHeader:]) ^ checksum(r[4:8])
}

// wait returns when the ticket's batch is on disk (nil) or cannot be.
func (w *wal) wait(ticket uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.done < ticket {
		w.changed.Wait()
	}
	err := w.failed[ticket]
	delete(w.failed, ticket)
	return err
}

// next starts a new segment and returns its number; what was added before goes to the old one, and is on disk when next returns.
func (w *wal) next() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.rotate || w.busy || len(w.pending) > 0 {
		w.changed.Wait()
	}
	w.segment++
	w.rotate = true
	w.changed.Broadcast()
	return w.segment
}

// run writes and syncs until the log is closed.
func (w *wal) run() {
	defer close(w.end)
	for {
		w.mu.Lock()
		for len(w.pending) == 0 && !w.rotate && !w.closed {
			w.changed.Wait()
		}
		if len(w.pending) == 0 && !w.rotate {
			w.mu.Unlock()
			return
		}
		batch, from, to, number, rotate := w.pending, w.done, w.added, w.segment, w.rotate
		w.pending, w.rotate, w.busy = w.spare[:0], false, true
		w.mu.Unlock()

		err := w.flush(batch, number, rotate)

		w.mu.Lock()
		w.spare, w.busy = batch, false
		if cap(w.spare) > maxPending/4 {
			w.spare = nil
		}
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
func (w *wal) flush(batch []byte, number uint64, rotate bool) error {
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
	if len(batch) == 0 {
		return nil
	}
	begin := time.Now()
	_, err := w.file.Write(batch)
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
	w.size += int64(len(batch))
	w.onSync(time.Since(begin), len(batch))
	return nil
}

// reopen opens a segment to append to, or makes it.
func (w *wal) reopen(number uint64) error {
	if w.size < segmentHeader { // there is nothing in it
		return w.create(number)
	}
	size := w.size // what was cut off may still be there if cutting failed, too
	f, err := w.disk.openFile(segmentPath(w.dir, number), os.O_WRONLY)
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

// close waits until all that was added is on disk.
func (w *wal) close() error {
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
