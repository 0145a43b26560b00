package spool

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// Report says what the bytes of a file are for: Parts and Columns together are all of them, and no byte is counted twice.
type Report struct {
	Kind           string // block or log
	Format         int    // its version
	Bytes          int64
	Spans          int64
	Traces, Groups int64 // of a block
	Records        int64 // of a log segment
	Oldest, Newest uint64
	Parts          map[string]int64 // bytes of what is no column
	Shapes         map[uint64]Shape // by a hash of what its spans have in common
	Columns        map[Column]Size
	Damage         []Damage
}

// Shape is a shape of spans. A wide one takes the spans that would need too many shapes or columns.
type Shape struct {
	Service, Name string
	Kind          trace.Kind
	Status        trace.StatusCode
	Wide          bool
	Attributes    int
	Spans         int64
}

// Column is a column of a shape in one of its encodings: each group has that which suits it best.
type Column struct {
	Shape     uint64 // key of Report.Shapes
	Name      string // an attribute's key, or what each span has
	Attribute bool
	Type      trace.ValueType // of an attribute
	Encoding  string
}

// Size is how much there is of a column.
type Size struct{ Values, Bytes int64 }

// Damage is where in a file something is wrong, and what.
type Damage struct {
	Offset int64
	Cause  string
	Last   bool // at the end of a log segment: a record that is being written, one that a crash cut short, or damage
}

// Inspect reads all of a block file or log segment and says what is in it. It takes no lock and changes nothing: the file may be in use.
// Damage is not an error; an error says that the file cannot be read, is neither, or is of a later format.
func Inspect(path string) (*Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	head, tail := make([]byte, max(blockHeader, wal.SegmentHeader)), make([]byte, len(blockMagic))
	n, _ := f.ReadAt(head, 0)
	_, _ = f.ReadAt(tail, st.Size()-int64(len(tail))) // of what is too short, nothing
	in := &inspection{path: path, z: newCodec(), Report: Report{
		Bytes: st.Size(), Parts: map[string]int64{}, Shapes: map[uint64]Shape{}, Columns: map[Column]Size{},
	}}
	magic := string(head[:min(n, len(blockMagic))])
	switch {
	case magic == wal.SegmentMagic || strings.HasSuffix(path, wal.SegmentSuffix):
		err = in.segment(f, head[:n])
	case magic == blockMagic || string(tail) == blockMagic || strings.HasSuffix(path, blockSuffix):
		err = in.block(head[:n])
	default:
		err = trace.Errorf(trace.Invalid, "%s is neither a block nor a log segment", path)
	}
	return &in.Report, err
}

type inspection struct {
	Report
	path string
	z    *codec
}

func (in *inspection) segment(f io.Reader, head []byte) error {
	in.Kind = "log"
	version, ok := wal.HeaderVersion(wal.SegmentMagic, head)
	in.Format = int(version)
	var b trace.Batch
	limits := replayLimits()
	bad, err := wal.ReadSegment(f, in.Bytes, func(offset int64, payload []byte) error {
		in.Records++
		in.Parts["record headers"] += wal.RecordHeader
		in.Parts["batches"] += int64(len(payload))
		if err := b.Index(payload, limits); err != nil {
			in.damaged("", offset, err)
		}
		in.Spans += int64(len(b.Spans))
		return nil
	})
	if ok {
		in.Parts["file header"] = wal.SegmentHeader
	}
	for _, d := range bad {
		in.Parts["damaged"] += d.Bytes
		in.Damage = append(in.Damage, Damage{d.Offset, fmt.Sprintf("no whole record in %d bytes", d.Bytes), d.Last})
	}
	in.rest()
	if err != nil {
		return inFile(in.path, err)
	}
	return nil
}

func (in *inspection) damaged(_ string, offset int64, err error) {
	in.Damage = append(in.Damage, Damage{offset, err.Error(), false})
}

// rest counts what nothing was said of.
func (in *inspection) rest() {
	left := in.Bytes
	for _, n := range in.Parts {
		left -= n
	}
	for _, s := range in.Columns {
		left -= s.Bytes
	}
	if left != 0 {
		in.Parts["not readable"] += left
	}
}

func (in *inspection) block(head []byte) error {
	in.Kind = "block"
	version, _ := wal.HeaderVersion(blockMagic, head)
	in.Format = int(version)
	defer in.rest()
	b, err := openBlock(&wal.Disk{}, in.path, 0, in.damaged)
	if trace.KindOf(err) == trace.Corrupt { // all of it, and said
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = b.file.Close() }() // only read
	f := &b.footer
	in.Spans, in.Traces, in.Groups, in.Oldest, in.Newest = f.Spans, f.Traces, int64(len(f.Groups)), f.Oldest, f.Newest
	in.Parts["file header"] = blockHeader
	for i := range f.Groups {
		if err := in.group(b, i); err != nil {
			return inFile(in.path, err)
		}
	}
	if err := pack.CheckIndex(b.at(0, f.Index), f.Index.Length); err != nil {
		_ = b.damaged(f.Index.Offset, err)
	}
	if err := pack.CheckLines(b.at(0, f.Filter), f.Filter.Length); err != nil {
		_ = b.damaged(f.Filter.Offset, err)
	}
	_, _ = b.census(newCodec()) // reports damage
	in.Parts["trace index"], in.Parts["trace filter"], in.Parts["statistics"] = f.Index.Length, f.Filter.Length, f.Census.Length
	foot := b.size - f.Census.Offset - f.Census.Length
	in.Parts["footers"] = foot
	for i := range int64(footerCopies - 1) { // the last one was read
		end := b.size - foot + foot/footerCopies*(i+1)
		var t [trailerBytes]byte
		_, err := b.file.ReadAt(t[:], end-trailerBytes)
		if err == nil {
			err = (&block{file: b.file, size: b.size}).footerOf(t[:], end)
		}
		if err != nil {
			_ = b.damaged(end-trailerBytes, err)
		}
	}
	return nil
}

// headerFields is what a group's header is made of, in order (group.go), and how to go past it.
func headerFields() []headerField {
	sized := func(n int) func(c *cursor) {
		return func(c *cursor) {
			for range n {
				c.sized()
			}
		}
	}
	counted := func(n int) func(c *cursor) { return func(c *cursor) { c.uint(); sized(n)(c) } }
	return []headerField{
		{"trace IDs", func(c *cursor) { c.take(c.uint() * 16) }},
		{"trace starts", sized(1)},
		{"templates", func(c *cursor) { sized(1)(c); c.uint(); counted(3)(c) }},
		{"parents outside their trace", func(c *cursor) { c.take(c.uint() * 8) }},
		{"resources", counted(2)},
		{"scopes", counted(2)},
		{"shapes", counted(1)},
		{"where shapes' sections lie", sized(4)},
	}
}

type headerField struct {
	name string
	skip func(c *cursor)
}

// group counts what a group is made of.
func (in *inspection) group(b *block, i int) error {
	info := &b.footer.Groups[i]
	in.Parts["needles"] += info.Needles.Length
	if err := pack.CheckLines(b.at(info.Offset, info.Needles), info.Needles.Length); err != nil {
		_ = b.damaged(info.Offset+info.Needles.Offset, err)
	}
	h, _ := b.groupHeader(i, in.z)
	if h == nil { // damaged, and reported
		in.Parts["damaged"] += info.Header.Offset + info.Header.Length
		return nil
	}
	raw, err := b.read(info.Header, info.Offset)
	if err != nil {
		return err
	}
	c := &cursor{b: raw}
	for _, f := range headerFields() {
		before := len(c.b)
		f.skip(c)
		in.Parts[f.name] += int64(before - len(c.b))
	}
	g := newGroup(groupAt{b, i}, h, newReader(in.z, nil))
	for k := range g.sections {
		raw, err := b.read(g.sections[k], info.Offset)
		if err == nil {
			err = g.rowsOf(uint32(k)).attach(raw, g.counts[k])
		} else if trace.KindOf(err) != trace.Corrupt {
			return err
		}
		in.shape(g.rowsOf(uint32(k)), int64(g.counts[k]), raw, err == nil)
		if err != nil {
			_ = b.lost(info.Offset+g.sections[k].Offset, err)
			in.Parts["damaged"] += g.sections[k].Length
		}
	}
	return nil
}

// shape counts a shape's section, unless it is damaged.
func (in *inspection) shape(s *shapeRows, n int64, raw []byte, whole bool) {
	key := s.shape
	key.scope = 0 // a number that only means something in this group
	id := key.hash(sizeSeed)
	sum, ok := in.Shapes[id]
	if !ok {
		sum = Shape{s.service, s.name, s.kind, s.status, s.wide, len(s.keys), 0}
	}
	sum.Spans += n
	in.Shapes[id] = sum
	if !whole {
		return
	}
	left := int64(len(raw))
	add := func(c Column, bytes int) {
		c.Shape = id
		size := in.Columns[c]
		in.Columns[c] = Size{size.Values + n, size.Bytes + int64(bytes)}
		left -= int64(bytes)
	}
	add(Column{Name: "span ID", Encoding: "as it is"}, len(s.encodedIDs))
	add(Column{Name: "start", Encoding: pack.Encoding(s.start.Enc)}, len(s.start.Enc))
	add(Column{Name: "duration", Encoding: pack.Encoding(s.duration.Enc)}, len(s.duration.Enc))
	add(Column{Name: "resource", Encoding: pack.Encoding(s.resource.Enc)}, len(s.resource.Enc))
	add(Column{Name: "rest", Encoding: pack.Encoding(s.rest.Enc)}, len(s.rest.Enc))
	if s.wide {
		add(Column{Name: "name", Encoding: pack.Encoding(s.names.Enc)}, len(s.names.Enc))
	}
	for i, k := range s.keys {
		add(Column{Name: k.key, Attribute: true, Type: k.typ, Encoding: pack.Encoding(s.attrs[i].Enc)}, len(s.attrs[i].Enc))
	}
	in.Parts["lengths of columns"] += left
}
