package wal

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"

	"github.com/clewtrace/clew/trace"
)

// Damage is a stretch of a segment that could not be read.
type Damage struct {
	Offset, Bytes int64
	Last          bool // at the end: a record that was being written and never acknowledged, or one whose end is lost
}

// segmentReader reads a log segment through a window, so that a long one takes no more memory than a short one.
type segmentReader struct {
	file io.Reader
	left int64  // bytes of the file that are not in the window yet
	at   int64  // where in the file the window begins
	win  []byte // never longer than a record, or WindowBytes
	buf  []byte // what win is part of
}

// WindowBytes is how much is read at once.
const WindowBytes = 1 << 20

// ReadSegment calls fn with each whole record's offset and payload, which is valid during the call, and returns what was damaged. The
// error is of reading, or says that a later version of clew wrote the segment.
func ReadSegment(file io.Reader, size int64, fn func(offset int64, payload []byte) error) ([]Damage, error) {
	r := &segmentReader{file: file, left: size}
	if err := r.fill(SegmentHeader); err != nil || len(r.win) < SegmentHeader {
		return nil, err // too short: the crash came right after the file was made
	}
	if v, ok := HeaderVersion(SegmentMagic, r.win); ok {
		if v > SegmentVersion {
			return nil, trace.Errorf(trace.Corrupt, "log format %d; this version of clew reads up to %d", v, SegmentVersion)
		}
		r.skip(SegmentHeader)
	}
	var bad []Damage
	for {
		n, err := r.record()
		if err != nil {
			return bad, err
		}
		if n == 0 {
			if len(r.win) == 0 && r.left == 0 {
				return bad, nil
			}
			d, err := r.search()
			if err != nil {
				return bad, err
			}
			bad = append(bad, d)
			continue
		}
		if err := fn(r.at, r.win[RecordHeader:n]); err != nil {
			return bad, err
		}
		r.skip(n)
	}
}

// ReadRecord returns the payload of the record at an offset of a segment's first size bytes, in buf if that is large enough, and the offset
// behind it. A damaged record is an error of kind Corrupt; any other is of reading.
func ReadRecord(file io.ReaderAt, offset, size int64, buf []byte) (payload []byte, next int64, err error) {
	var head [RecordHeader]byte
	if size-offset < RecordHeader {
		return nil, 0, errRecord
	}
	if _, err := file.ReadAt(head[:], offset); err != nil {
		return nil, 0, err
	}
	n := int64(binary.LittleEndian.Uint32(head[4:]))
	offset += RecordHeader
	if string(head[:4]) != recordMagic || n > MaxRecord || n > size-offset {
		return nil, 0, errRecord
	}
	buf = slices.Grow(buf[:0], int(n))[:n]
	if _, err := file.ReadAt(buf, offset); err != nil {
		return nil, 0, err
	}
	if recordSum(head[4:8], buf) != binary.LittleEndian.Uint32(head[8:]) {
		return nil, 0, errRecord
	}
	return buf, offset + n, nil
}

var errRecord = trace.Errorf(trace.Corrupt, "the record is damaged")

func (r *segmentReader) skip(n int) {
	r.win = r.win[n:]
	r.at += int64(n)
}

// fill makes the window n bytes long, or as long as the file is.
func (r *segmentReader) fill(n int) error {
	if n <= len(r.win) || r.left == 0 {
		return nil
	}
	if n > cap(r.win) {
		if n > len(r.buf) {
			r.buf = make([]byte, max(n+n/4, WindowBytes))
		}
		r.win = r.buf[:copy(r.buf, r.win)]
	}
	had := len(r.win)
	r.win = r.win[:min(int64(cap(r.win)), int64(had)+r.left)]
	if _, err := io.ReadFull(r.file, r.win[had:]); err != nil {
		r.win = r.win[:had]
		return err
	}
	r.left -= int64(len(r.win) - had)
	return nil
}

// record returns the length of the record at the start of the window, all of which is in it then, or 0 if there is none that is whole.
func (r *segmentReader) record() (int, error) {
	if err := r.fill(RecordHeader); err != nil {
		return 0, err
	}
	if len(r.win) < RecordHeader || string(r.win[:4]) != recordMagic {
		return 0, nil
	}
	n := RecordHeader + int64(binary.LittleEndian.Uint32(r.win[4:]))
	if n > RecordHeader+MaxRecord || n > int64(len(r.win))+r.left {
		return 0, nil
	}
	if err := r.fill(int(n)); err != nil {
		return 0, err
	}
	if recordSum(r.win[4:8], r.win[RecordHeader:n]) != binary.LittleEndian.Uint32(r.win[8:]) {
		return 0, nil
	}
	return int(n), nil
}

// search moves on to the next whole record, or to the end, and returns what it went past.
func (r *segmentReader) search() (Damage, error) {
	d := Damage{Offset: r.at}
	r.skip(1)
	for {
		if err := r.fill(RecordHeader); err != nil {
			return d, err
		}
		i := bytes.Index(r.win, []byte(recordMagic))
		if i < 0 {
			r.skip(max(0, len(r.win)-len(recordMagic)+1))
			if r.left > 0 {
				continue
			}
			r.skip(len(r.win))
			d.Bytes, d.Last = r.at-d.Offset, true
			return d, nil
		}
		r.skip(i)
		n, err := r.record()
		if err != nil {
			return d, err
		}
		if n > 0 {
			d.Bytes = r.at - d.Offset
			return d, nil
		}
		r.skip(1)
	}
}
