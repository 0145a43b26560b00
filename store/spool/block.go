package spool

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/clewtrace/clew/store/census"
	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// A block file:
//
//	"CLWB" version(1 byte) its complement(1 byte) 0 0
//	groups, one after the other (group.go)
//	trace index (pack/index.go)
//	trace filter
//	statistics of attributes (store/census), compressed by zstd
//	twice: footer: JSON, see Footer
//	       trailer: footer offset (8 bytes) footer length (4) CRC-32C of the footer (4) "CLWB", all big-endian
//
// The footer is there twice because all else is lost without it.
const (
	blockMagic   = "CLWB"
	blockVersion = 1
	blockHeader  = 8
	footerCopies = 2
	trailerBytes = 20
	blockSuffix  = ".blk"
	tmpSuffix    = ".tmp"
	// footerSearch is how much of a file's end is searched for a whole footer when the last one is damaged.
	footerSearch = 64 << 20
)

// Footer describes a block; it is stored as JSON.
type Footer struct {
	Spans, Traces  int64
	Oldest, Newest uint64   // starts of the spans, Unix ns
	Segment        uint64   // the last log segment that the block has spans of
	Replaces       []uint64 // numbers of the blocks that were merged into this one
	Groups         []groupInfo
	Index, Filter  Section
	Census         Section
	Operations     map[string][]trace.Operation // by service, sorted
}

type groupInfo struct {
	Offset, Length int64   // of the group
	Header         Section // within the group
	Needles        Section // within the group; its lines have their own sums
	Spans, Traces  int
	First, Last    uint64 // starts of the first and the last trace
	Oldest, Newest uint64 // starts of the spans
}

// block is an open block. It never changes; its file is closed by the garbage collector when the last reader is gone.
type block struct {
	number uint64
	path   string
	size   int64
	file   *wal.File
	footer Footer
	id     string                 // of the footer, which has the checksums of all spans
	filter atomic.Pointer[[]byte] // in memory; nil: it is read where it lies
	report func(path string, offset int64, err error)
	hurt   atomic.Bool // something in a group is damaged: what is whole must not be merged away from it (I8)

	mu       sync.Mutex
	reported map[int64]bool // offsets
}

func blockPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d%s", number, blockSuffix))
}

func blockNumber(name string) (n uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, blockSuffix)
	if !ok || len(digits) != 12 {
		return 0, false
	}
	_, err := fmt.Sscanf(digits, "%012d", &n)
	return n, err == nil
}

// damaged reports damage in the block, each once, and returns the error with file and offset.
func (b *block) damaged(offset int64, err error) error {
	b.mu.Lock()
	known := b.reported[offset]
	if !known {
		if b.reported == nil {
			b.reported = map[int64]bool{}
		}
		b.reported[offset] = true
	}
	b.mu.Unlock()
	if !known {
		b.report(b.path, offset, err)
	}
	return &trace.Error{Kind: trace.Corrupt, Msg: fmt.Sprintf("%s, offset %d", filepath.Base(b.path), offset), Err: err}
}

// lost is damaged for a part of a group.
func (b *block) lost(offset int64, err error) error {
	b.hurt.Store(true)
	return b.damaged(offset, err)
}

// read returns a section's bytes, checked. An error of kind Corrupt says that they are damaged, any other that they cannot be read now.
func (b *block) read(s Section, base int64) ([]byte, error) { return b.readTo(nil, s, base) }

// readTo is read into memory that z has for what is not needed for long; nil: into new memory.
func (b *block) readTo(z *codec, s Section, base int64) ([]byte, error) {
	if s.Length < 0 || s.Offset < 0 || base < 0 || s.Length > b.size || base > b.size || s.Offset > b.size-s.Length-base {
		return nil, trace.Errorf(trace.Corrupt, "section of %d bytes at offset %d of %d", s.Length, base+s.Offset, b.size)
	}
	var raw []byte
	if z == nil {
		raw = make([]byte, s.Length)
	} else {
		raw = z.scratch.Take(int(s.Length))
	}
	if _, err := b.file.ReadAt(raw, base+s.Offset); err != nil {
		return nil, fmt.Errorf("read %d bytes at offset %d: %w", s.Length, base+s.Offset, err)
	}
	if checksum(raw) != s.Sum {
		return nil, trace.Errorf(trace.Corrupt, "checksum of %d bytes at offset %d is wrong", s.Length, base+s.Offset)
	}
	return raw, nil
}

// at returns a section as a file of its own.
func (b *block) at(base int64, s Section) io.ReaderAt {
	return io.NewSectionReader(b.file, base+s.Offset, s.Length)
}

// openBlock opens a block file and checks its footer. An error of kind Corrupt says that the file is no whole block.
func openBlock(d *wal.Disk, path string, number uint64, report func(string, int64, error)) (*block, error) {
	f, err := d.Open(path)
	if err != nil {
		return nil, err
	}
	b := &block{number: number, path: path, file: f, report: report}
	if err := b.readFooter(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return b, nil
}

func (b *block) readFooter() error {
	st, err := b.file.Stat()
	if err != nil {
		return err
	}
	b.size = st.Size()
	if b.size < blockHeader+trailerBytes {
		return b.damaged(b.size, trace.Errorf(trace.Corrupt, "file of %d bytes is too short", b.size))
	}
	var h [blockHeader]byte
	if _, err := b.file.ReadAt(h[:], 0); err != nil {
		return err
	}
	version, ok := wal.HeaderVersion(blockMagic, h[:])
	if version > blockVersion {
		return fmt.Errorf("%s has block format %d; this version of clew reads up to %d", b.path, version, blockVersion)
	}
	var tail [trailerBytes]byte
	if _, err := b.file.ReadAt(tail[:], b.size-trailerBytes); err != nil {
		return err
	}
	err = b.footerOf(tail[:], b.size)
	if trace.KindOf(err) == trace.Corrupt {
		err = b.damaged(b.size-trailerBytes, err)
		found, ferr := b.findFooter()
		if ferr != nil {
			return ferr
		}
		if found {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	if !ok {
		_ = b.damaged(0, trace.Errorf(trace.Corrupt, "no block header"))
	}
	return nil
}

// footerOf reads the footer whose trailer, of which the bytes are given, ends at end.
func (b *block) footerOf(t []byte, end int64) error {
	s := Section{Offset: int64(binary.BigEndian.Uint64(t)), Length: int64(binary.BigEndian.Uint32(t[8:])), Sum: binary.BigEndian.Uint32(t[12:])}
	if string(t[16:]) != blockMagic || s.Offset < 0 || s.Offset > end || s.Offset+s.Length != end-trailerBytes {
		return trace.Errorf(trace.Corrupt, "no block trailer")
	}
	raw, err := b.read(s, 0)
	if err != nil {
		return err
	}
	var f Footer
	if err := json.Unmarshal(raw, &f); err != nil {
		return &trace.Error{Kind: trace.Corrupt, Msg: "broken footer", Err: err}
	}
	b.footer, b.id = f, fileID(raw)
	return nil
}

// findFooter looks for another footer, from the end of the file on.
func (b *block) findFooter() (bool, error) {
	tail := make([]byte, min(b.size, footerSearch))
	base := b.size - int64(len(tail))
	if _, err := b.file.ReadAt(tail, base); err != nil {
		return false, err
	}
	for end := len(tail); end >= trailerBytes; {
		i := bytes.LastIndex(tail[:end], []byte(blockMagic))
		if i < trailerBytes-len(blockMagic) {
			return false, nil
		}
		end = i + len(blockMagic)
		err := b.footerOf(tail[end-trailerBytes:end], base+int64(end))
		if trace.KindOf(err) != trace.Corrupt {
			return err == nil, err
		}
		end--
	}
	return false, nil
}

// filterBytes is how much memory the newest blocks' filters may take: those of some 40 million traces.
const filterBytes = 64 << 20

// keepFilters keeps the filters of the newest blocks in memory: where there are many blocks, reading a line of each costs more than
// all else that a trace takes to be found.
func keepFilters(blocks []*block) {
	blocks = slices.Clone(blocks)
	slices.SortFunc(blocks, func(a, b *block) int { return cmp.Compare(b.footer.Newest, a.footer.Newest) })
	left := int64(filterBytes)
	for _, b := range blocks {
		if left -= b.footer.Filter.Length; left < 0 {
			b.filter.Store(nil)
		} else if b.filter.Load() == nil {
			raw := make([]byte, b.footer.Filter.Length)
			if _, err := b.at(0, b.footer.Filter).ReadAt(raw, 0); err == nil {
				b.filter.Store(&raw)
			}
		}
	}
}

// mayHaveTrace reports whether the filter leaves a chance that the block has a trace. Damage costs speed alone.
func (b *block) mayHaveTrace(hash uint64) bool {
	lines := b.at(0, b.footer.Filter)
	if raw := b.filter.Load(); raw != nil {
		lines = bytes.NewReader(*raw)
	}
	may, err := pack.HasLine(lines, b.footer.Filter.Length, hash)
	if err != nil {
		_ = b.damaged(b.footer.Filter.Offset, err)
	}
	return may || err != nil
}

// find returns where in the block a trace lies: pairs of group and trace in it. Damage in the index costs a search of all groups.
func (b *block) find(id trace.ID, z *codec) (places [][2]int) {
	hash := idHash(id)
	if !b.mayHaveTrace(hash) {
		return nil
	}
	numbers, err := pack.Lookup(b.at(0, b.footer.Index), b.footer.Index.Length, hash)
	if err != nil {
		_ = b.damaged(b.footer.Index.Offset, err)
		return b.search(id, z)
	}
	for _, n := range numbers {
		i, n := 0, int(n)
		for i < len(b.footer.Groups) && n >= b.footer.Groups[i].Traces {
			n -= b.footer.Groups[i].Traces
			i++
		}
		if i < len(b.footer.Groups) {
			places = append(places, [2]int{i, n})
		}
	}
	return places
}

func (b *block) search(id trace.ID, z *codec) (places [][2]int) {
	for i := range b.footer.Groups {
		g, err := b.groupHeader(i, z)
		if err != nil {
			continue // reported
		}
		for k := range g.traces {
			if g.traces[k].id == id {
				places = append(places, [2]int{i, k})
			}
		}
	}
	return places
}

// trace appends the spans that the block has of a trace to out. What is damaged is reported and left out.
func (b *block) trace(id trace.ID, r *reader, out []trace.Span) ([]trace.Span, error) {
	places := b.find(id, r.z)
	for i, p := range places {
		g, err := r.group(groupAt{b, p[0]})
		if err != nil || g.traces[p[1]].id != id { // damaged, or another trace with the same hash
			continue
		}
		if err := r.hold(spanMemory * g.spansOf(p[1])); err != nil {
			return nil, err
		}
		spans, n := g.ats(p[1], nil), len(out)
		out = slices.Grow(out, len(spans)*(len(places)-i)) // a large trace's parts are about of one size
		for _, a := range spans {
			var s trace.Span
			if err := a.span(id, r.want, &s); err != nil {
				_ = b.lost(g.info.Offset+g.sections[a.shape].Offset, err)
				continue
			}
			out = append(out, s)
		}
		if err := r.holdSpans(out[n:]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// blockWriter writes a block. Traces must be added in order of their start; groups that are copied may be of any time.
type blockWriter struct {
	path    string // the final name
	disk    *wal.Disk
	file    *wal.File // nil: closed
	done    bool      // the file is whole and has its name
	at      int64
	z       *codec
	group   *groupWriter
	buf     []byte
	entries []pack.Entry
	names   census.Operations
	census  *census.Census
	footer  Footer
	dropped int // exact duplicates
}

func createBlock(d *wal.Disk, path string, z *codec) (*blockWriter, error) {
	f, err := d.Create(path + tmpSuffix)
	if err != nil {
		return nil, err
	}
	w := &blockWriter{path: path, disk: d, file: f, z: z, group: newGroupWriter(), names: census.Operations{}, census: census.New()}
	w.group.tally = &tally{Census: w.census}
	if err := w.write(wal.FileHeader(blockMagic, blockVersion)); err != nil {
		w.abort()
		return nil, err
	}
	return w, nil
}

func (w *blockWriter) write(b []byte) error {
	n, err := w.file.Write(b)
	w.at += int64(n)
	return err
}

// add adds a trace's spans.
func (w *blockWriter) add(id trace.ID, spans []at) error {
	if err := w.group.add(id, spans); err != nil {
		return err
	}
	if w.group.full() {
		return w.flush()
	}
	return nil
}

// empty reports whether nothing was added.
func (w *blockWriter) empty() bool { return len(w.footer.Groups) == 0 && len(w.group.traces) == 0 }

// flush writes the group.
func (w *blockWriter) flush() error {
	g := w.group
	w.dropped += g.dropped
	if len(g.traces) == 0 {
		return nil
	}
	info := groupInfo{
		Spans: g.spans, Traces: len(g.traces),
		First: g.traces[0].start, Last: g.traces[0].start, Oldest: g.oldest, Newest: g.newest,
	}
	for i := range g.traces { // parts of a trace that was split may be out of order
		info.First, info.Last = min(info.First, g.traces[i].start), max(info.Last, g.traces[i].start)
	}
	g.operations(w.names)
	var err error
	if w.buf, err = g.encode(w.z, w.buf[:0], &info); err != nil {
		return err
	}
	if err := w.copyGroup(info, g.traces, w.buf); err != nil {
		return err
	}
	w.group = g.next()
	return nil
}

// copyGroup writes an encoded group, described by info but for its place, and its traces into the index.
func (w *blockWriter) copyGroup(info groupInfo, traces []groupTrace, raw []byte) error {
	info.Offset, info.Length = w.at, int64(len(raw))
	if err := w.write(raw); err != nil {
		return err
	}
	f := &w.footer
	for i := range traces {
		w.entries = append(w.entries, pack.Entry{Hash: idHash(traces[i].id), Number: uint32(f.Traces) + uint32(i)})
	}
	if f.Oldest == 0 || info.Oldest < f.Oldest {
		f.Oldest = info.Oldest
	}
	f.Newest = max(f.Newest, info.Newest)
	f.Spans += int64(info.Spans)
	f.Traces += int64(info.Traces)
	f.Groups = append(f.Groups, info)
	return nil
}

// finish writes what remains, syncs and gives the file its name (I5).
func (w *blockWriter) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	hashes := make([]uint64, len(w.entries))
	for i, e := range w.entries {
		hashes[i] = max(e.Hash, 1)
	}
	lines := pack.AppendLines(nil, hashes)
	index := pack.AppendIndex(nil, w.entries)
	w.footer.Index = Section{w.at, int64(len(index)), 0} // its pages have their own sums
	if err := w.write(index); err != nil {
		return err
	}
	w.footer.Filter = Section{w.at, int64(len(lines)), 0} // and so have its lines
	if err := w.write(lines); err != nil {
		return err
	}
	counts := w.z.Compress(w.census.Append(nil))
	w.footer.Census = Section{w.at, int64(len(counts)), checksum(counts)}
	if err := w.write(counts); err != nil {
		return err
	}
	w.footer.Operations = w.names.Sorted()
	foot, err := json.Marshal(&w.footer)
	if err != nil {
		return err
	}
	for range footerCopies {
		t := binary.BigEndian.AppendUint64(slices.Clone(foot), uint64(w.at))
		t = binary.BigEndian.AppendUint32(t, uint32(len(foot)))
		t = binary.BigEndian.AppendUint32(t, checksum(foot))
		if err := w.write(append(t, blockMagic...)); err != nil {
			return err
		}
	}
	return w.name()
}

// name syncs the file and gives it its name.
func (w *blockWriter) name() error {
	if err := w.file.Sync(); err != nil {
		return err
	}
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return err
	}
	if err := w.disk.Rename(w.path+tmpSuffix, w.path); err != nil {
		return err
	}
	if err := w.disk.SyncDir(filepath.Dir(w.path)); err != nil {
		return err
	}
	w.done = true
	return nil
}

// open opens the finished block. If that fails the file goes, since its spans will be written again.
func (w *blockWriter) open(number uint64, report func(string, int64, error)) (*block, error) {
	b, err := openBlock(w.disk, w.path, number, report)
	w.done = err == nil
	return b, err
}

// abort removes what was written; it does nothing when the block is finished.
func (w *blockWriter) abort() {
	if w.done {
		return
	}
	if w.file != nil {
		_ = w.file.Close()
		w.file = nil
	}
	_ = w.disk.Remove(w.path + tmpSuffix)
	_ = w.disk.Remove(w.path) // where its name could not be made durable
}
