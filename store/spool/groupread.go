package spool

import (
	"encoding/binary"
	"slices"

	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/trace"
)

// Section is a stretch of a block's file.
type Section struct {
	Offset int64  // from the start of what holds it
	Length int64  // bytes
	Sum    uint32 // CRC-32C of the bytes
}

// group is a group being read: by one goroutine, for one question.
type group struct {
	*groupHeader
	block  *block
	info   *groupInfo
	rows   *rows  // of its shapes, those that were asked for: see rowsOf
	ready  []bool // by shape: section read
	broken []bool // by shape: damaged
	reader *reader
}

// groupHeader is what a group's header says. It is shared by those who read the group, and never changed.
type groupHeader struct {
	resources []resource
	scopes    []scope
	shapes    []shape
	traces    []groupTrace
	list      []template
	parents   []trace.SpanID
	sections  []Section // by shape
	counts    []int     // by shape: rows
	firsts    []uint32  // by trace: its row of each span, in the template's order, see locate
	offsets   []uint32  // by trace: where in firsts
	explicit  []uint32  // by trace: its first explicit parent
}

// cursor reads a header's fields one after the other; the first fault stays.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uint() uint64 {
	v, k := binary.Uvarint(c.b)
	if k <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[k:]
	return v
}

func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) sized() []byte { return c.take(c.uint()) }

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

// count reads a number of things that take at least size bytes each in what follows.
func (c *cursor) count(size int) int {
	n := c.uint()
	if n > uint64(len(c.b)/size) {
		c.bad, c.b = true, nil
		return 0
	}
	return int(n)
}

// headerBytes is how much memory decoded group headers may take. One of 65,000 spans takes about 1 MB, and decoding it a millisecond.
const headerBytes = 32 << 20

type headerCache = pack.Cache[groupAt, *groupHeader]

// memory returns how much memory the header takes, about.
func (g *groupHeader) memory() int64 {
	n := int64(len(g.traces))*40 + int64(len(g.firsts))*4 + int64(len(g.parents))*8
	for i := range g.list {
		n += int64(len(g.list[i].shapes))*8 + 48
	}
	for i := range g.shapes {
		n += 160 + int64(len(g.shapes[i].keys))*40
	}
	for i := range g.resources {
		n += 4 * int64(len(g.resources[i].body))
	}
	return n
}

// A reader reads groups for one question, or one merge, and keeps the last ones: traces that are asked for together lie together.
type reader struct {
	z     *codec
	cache *headerCache // nil for a merge, which reads everything once
	want  *want        // of traces' spans
	read  int64        // bytes of groups
	held  *trace.Budget
	spans int64 // bytes held for the trace that was read last
	opens int64 // for groups that are open
	round int   // how often memory was taken back from the groups
	open  map[groupAt]*group
	order []groupAt // of open, least recently opened first
}

type groupAt struct {
	block *block
	index int
}

func (g groupAt) info() *groupInfo { return &g.block.footer.Groups[g.index] }

// keepGroups is how many groups a reader keeps: one or two for each block of a merge, since all of them are in order of time.
const keepGroups = 2*mergeBlocks + 2

// newReader returns a reader that takes the codec's memory: what an earlier reader of the codec has read is not to be used any more.
func newReader(z *codec, cache *headerCache) *reader {
	z.scratch.Reset()
	return &reader{z: z, cache: cache, open: map[groupAt]*group{}}
}

func (r *reader) group(at groupAt) (*group, error) {
	if g := r.open[at]; g != nil {
		return g, nil
	}
	h, err := r.header(at)
	if err != nil {
		return nil, err
	}
	if r.z.scratch.Full() { // whoever asks for a group has done with those before
		r.z.scratch.Reset()
		r.close()
		r.round++
	}
	g := newGroup(at, h, r)
	r.open[at] = g
	r.owe(at.info().memory())
	if r.order = append(r.order, at); len(r.order) > keepGroups {
		r.owe(-r.order[0].info().memory())
		delete(r.open, r.order[0])
		r.order = r.order[1:]
	}
	return g, nil
}

// memory returns how much is read and decoded of a group, about.
func (i *groupInfo) memory() int64 { return i.Length + 16*int64(i.Spans) }

func (r *reader) owe(n int64) {
	r.opens += n
	r.held.Owe(n)
}

// close forgets the groups that are open.
func (r *reader) close() {
	r.owe(-r.opens)
	clear(r.open)
	r.order = r.order[:0]
}

// hold takes memory for more of the trace that is read.
func (r *reader) hold(n int64) error {
	err := r.held.Take(n)
	if err == nil {
		r.spans += n
	}
	return err
}

// holdSpans is hold for what spans have beside themselves.
func (r *reader) holdSpans(spans []trace.Span) (err error) {
	if r.held != nil {
		err = r.hold(trace.Beside(spans))
	}
	return err
}

// drop gives back what is held for a trace.
func (r *reader) drop() {
	r.held.Give(r.spans)
	r.spans = 0
}

func (r *reader) header(at groupAt) (*groupHeader, error) {
	if h, ok := r.cache.Get(at); ok {
		return h, nil
	}
	h, err := at.block.groupHeader(at.index, r.z)
	if err == nil {
		r.read += at.info().Header.Length
		r.cache.Put(at, h, h.memory())
	}
	return h, err
}

func newGroup(at groupAt, h *groupHeader, r *reader) *group {
	k := len(h.shapes)
	return &group{
		groupHeader: h, block: at.block, info: at.info(), ready: make([]bool, k), broken: make([]bool, k), reader: r,
		rows: &rows{z: r.z.Codec, resources: h.resources, scopes: h.scopes, shapes: make([]*shapeRows, k)},
	}
}

// rowsOf returns the rows of a shape, whose columns may not be available. They are made when first asked for: a trace has few of a group's shapes.
func (g *group) rowsOf(i uint32) *shapeRows {
	s := g.rows.shapes[i]
	if s == nil {
		s = &shapeRows{shape: g.shapes[i]}
		g.rows.shapes[i] = s
	}
	return s
}

// groupHeader reads a group's header.
func (b *block) groupHeader(i int, z *codec) (*groupHeader, error) {
	info := &b.footer.Groups[i]
	raw, err := b.read(info.Header, info.Offset)
	if err != nil {
		return nil, b.lost(info.Offset+info.Header.Offset, err)
	}
	g := &groupHeader{}
	if err := g.decode(&cursor{b: raw}, z, info); err != nil {
		return nil, b.lost(info.Offset+info.Header.Offset, err)
	}
	return g, nil
}

// groupBytes reads a whole group and checks all of it.
func (b *block) groupBytes(i int, z *codec) (*groupHeader, []byte, error) {
	h, err := b.groupHeader(i, z)
	if err != nil {
		return nil, nil, err
	}
	info := &b.footer.Groups[i]
	if info.Length < 0 || info.Length > b.size || info.Offset > b.size-info.Length {
		return nil, nil, b.lost(info.Offset, errHeader)
	}
	raw := make([]byte, info.Length)
	if _, err := b.file.ReadAt(raw, info.Offset); err != nil {
		return nil, nil, err
	}
	for _, s := range append([]Section{info.Header}, h.sections...) {
		if s.Length < 0 || s.Offset < 0 || s.Length > info.Length || s.Offset > info.Length-s.Length {
			return nil, nil, b.lost(info.Offset+s.Offset, errHeader)
		}
		if checksum(raw[s.Offset:s.Offset+s.Length]) != s.Sum {
			return nil, nil, b.lost(info.Offset+s.Offset, trace.Errorf(trace.Corrupt, "wal.Checksum of %d bytes is wrong", s.Length))
		}
	}
	return h, raw, nil
}

var (
	errHeader = trace.Errorf(trace.Corrupt, "broken group header")
	errColumn = trace.Errorf(trace.Corrupt, "broken column")
)

func (g *groupHeader) decode(c *cursor, z *codec, info *groupInfo) error {
	n := c.count(16)
	if n != info.Traces {
		return errHeader
	}
	g.traces = make([]groupTrace, n)
	for i := range g.traces {
		copy(g.traces[i].id[:], c.take(16))
	}
	starts, err := pack.Read(c.sized(), n)
	if err != nil {
		return err
	}
	templates, err := pack.Read(c.sized(), n)
	if err != nil {
		return err
	}
	if err := g.templates(c, z); err != nil {
		return err
	}
	for i := range g.traces {
		if templates[i] >= uint64(len(g.list)) {
			return errHeader
		}
		g.traces[i].start, g.traces[i].template = starts[i], uint32(templates[i])
	}
	g.parents = make([]trace.SpanID, c.count(8))
	for i := range g.parents {
		copy(g.parents[i][:], c.take(8))
	}
	if err := g.dictionaries(c, z, info.Spans); err != nil {
		return err
	}
	k := len(g.shapes)
	var dir [4][]uint64 // rows, offsets, lengths, sums
	for i := range dir {
		if dir[i], err = pack.Read(c.sized(), k); err != nil {
			return err
		}
	}
	if c.bad {
		return errHeader
	}
	g.sections, g.counts = make([]Section, k), make([]int, k)
	for i := range g.sections {
		g.sections[i] = Section{Offset: int64(dir[1][i]), Length: int64(dir[2][i]), Sum: uint32(dir[3][i])}
		if dir[0][i] > pack.MaxBytes/8 {
			return errHeader
		}
		g.counts[i] = int(dir[0][i])
	}
	return g.locate(info.Spans)
}

func (g *groupHeader) templates(c *cursor, z *codec) error {
	n, total := c.uint(), c.uint()
	var v [3][]uint64 // lengths, shapes, parents
	for i := range v {
		raw, err := z.Decompress(c.sized())
		if err != nil {
			return errHeader
		}
		in := cursor{b: raw}
		want := total
		if i == 0 {
			want = n
		}
		if want > uint64(len(raw)) {
			return errHeader
		}
		v[i] = make([]uint64, want)
		for k := range v[i] {
			v[i][k] = in.uint()
		}
		if in.bad {
			return errHeader
		}
	}
	g.list = make([]template, n)
	shapes, parents := v[1], v[2]
	for i, l := range v[0] {
		if l > uint64(len(shapes)) {
			return errHeader
		}
		t := template{make([]uint32, l), make([]uint32, l)}
		for k := range t.shapes {
			t.shapes[k], t.parents[k] = uint32(shapes[k]), uint32(parents[k])
			if parents[k] > uint64(k)+1 {
				return errHeader
			}
		}
		g.list[i] = t
		shapes, parents = shapes[l:], parents[l:]
	}
	return nil
}

func (g *groupHeader) dictionaries(c *cursor, z *codec, spans int) error {
	pair := func() (bodies, urls pack.Column, n int, err error) {
		n = int(min(c.uint(), pack.MaxBytes))
		if n > spans { // each is some span's
			return bodies, urls, 0, errHeader
		}
		if bodies, err = z.Strings(c.sized(), n); err != nil {
			return
		}
		urls, err = z.Strings(c.sized(), n)
		return
	}
	bodies, urls, n, err := pair()
	if err != nil {
		return err
	}
	for i := range n {
		r := resource{body: string(bodies.Bytes(i)), schemaURL: string(urls.Bytes(i))}
		if err := r.decode(); err != nil {
			return err
		}
		g.resources = append(g.resources, r)
	}
	if bodies, urls, n, err = pair(); err != nil {
		return err
	}
	for i := range n {
		s := scope{body: string(bodies.Bytes(i)), schemaURL: string(urls.Bytes(i))}
		if err := s.decode(); err != nil {
			return err
		}
		g.scopes = append(g.scopes, s)
	}
	k := c.uint()
	raw, err := z.Decompress(c.sized())
	if err != nil || k > uint64(len(raw)) {
		return errHeader
	}
	in := &cursor{b: raw}
	for range k {
		var s shape
		if err := s.decode(in); err != nil {
			return err
		}
		if int(s.scope) >= len(g.scopes) {
			return errHeader
		}
		g.shapes = append(g.shapes, s)
	}
	return nil
}

func (s *shape) decode(c *cursor) error {
	s.service, s.name = string(c.sized()), string(c.sized())
	s.scope = uint32(c.uint())
	s.kind, s.status, s.wide = trace.Kind(c.byte()), trace.StatusCode(c.byte()), c.byte() != 0
	s.flags = uint32(c.uint())
	n := c.count(2)
	for range n {
		k := attrKey{key: string(c.sized())}
		k.typ = trace.ValueType(c.byte())
		if k.typ > trace.TypeBytes {
			return errHeader
		}
		s.keys = append(s.keys, k)
	}
	if c.bad {
		return errHeader
	}
	return nil
}

// locate finds out which rows each trace has: row numbers follow from the order of traces and their templates.
func (g *groupHeader) locate(spans int) error {
	next := make([]uint32, len(g.shapes))
	g.firsts = make([]uint32, 0, spans)
	g.offsets = make([]uint32, len(g.traces)+1)
	g.explicit = make([]uint32, len(g.traces))
	parents := uint32(0)
	for i := range g.traces {
		t := &g.list[g.traces[i].template]
		g.explicit[i] = parents
		if len(g.firsts)+len(t.shapes) > spans {
			return errHeader
		}
		for k, s := range t.shapes {
			if int(s) >= len(next) {
				return errHeader
			}
			g.firsts = append(g.firsts, next[s])
			next[s]++
			if t.parents[k] == 1 {
				parents++
			}
		}
		g.offsets[i+1] = uint32(len(g.firsts))
	}
	for s, n := range next {
		if int(n) != g.counts[s] {
			return errHeader
		}
	}
	if int(parents) != len(g.parents) || len(g.firsts) != spans {
		return errHeader
	}
	return nil
}

// shape makes a shape's columns available. It returns nil when they are damaged, having reported that.
func (g *group) shape(i uint32) *shapeRows {
	s := g.rowsOf(i)
	if g.ready[i] {
		return s
	}
	if g.broken[i] {
		return nil
	}
	z := g.reader.z
	if g.reader.cache == nil { // a merge needs groups for long
		z = nil
	}
	raw, err := g.block.readTo(z, g.sections[i], g.info.Offset)
	if err == nil {
		g.reader.read += int64(len(raw))
		err = s.attach(raw, g.counts[i])
	}
	if err == nil && g.reader.cache == nil {
		err = g.rows.z.Load(&s.start, s.n)
	}
	if err != nil {
		g.damaged(i, err)
		return nil
	}
	g.ready[i] = true
	return s
}

// damaged reports a shape's section as damaged; the shape counts as not there from then on.
func (g *group) damaged(i uint32, err error) {
	g.ready[i], g.broken[i] = false, true
	_ = g.block.lost(g.info.Offset+g.sections[i].Offset, err)
}

// spansOf returns how many spans trace i of the group has.
func (g *groupHeader) spansOf(i int) int64 { return int64(g.offsets[i+1] - g.offsets[i]) }

// id returns the ID of the span in a row of a group.
func (s *shapeRows) id(row uint32) (id trace.SpanID) {
	copy(id[:], s.encodedIDs[row*8:])
	return id
}

// attach splits a section into its columns, which stay encoded.
func (s *shapeRows) attach(raw []byte, n int) error {
	c := &cursor{b: raw}
	const firstText = 3 // what comes before rest is numbers
	var room [maxColumns]*pack.Column
	columns := append(room[:0], &s.start, &s.duration, &s.resource, &s.rest)
	if s.wide {
		columns = append(columns, &s.names)
	}
	s.attrs = make([]pack.Column, len(s.keys))
	for i := range s.attrs {
		columns = append(columns, &s.attrs[i])
	}
	if c.count(1) != len(columns) {
		return errColumn
	}
	lengths := *c
	for range columns {
		c.uint()
	}
	ids := c.take(uint64(n) * 8)
	if c.bad {
		return errColumn
	}
	s.n, s.encodedIDs = n, ids
	for i, col := range columns {
		col.Enc = c.take(lengths.uint())
		number := i < firstText || i >= len(columns)-len(s.keys) && isNumber(s.keys[i-len(columns)+len(s.keys)].typ)
		if c.bad || len(col.Enc) == 0 || number != pack.IsNumbers(col.Enc) {
			return errColumn
		}
	}
	return nil
}

// ats appends the spans of trace i of the group to out. Damaged ones are left out, and those whose parent's ID was among what is damaged.
func (g *group) ats(i int, out []at) []at {
	t := &g.list[g.traces[i].template]
	first := g.firsts[g.offsets[i]:g.offsets[i+1]]
	explicit := g.explicit[i]
	ids := make([]trace.SpanID, len(t.shapes))
	out = slices.Grow(out, len(ids))
	for k, s := range t.shapes {
		rows := g.shape(s)
		var parent trace.SpanID
		orphan := false
		switch p := t.parents[k]; p {
		case 0:
		case 1:
			parent = g.parents[explicit]
			explicit++
		default:
			parent = ids[k+1-int(p)]
			orphan = parent.IsZero()
		}
		if rows == nil {
			continue
		}
		start, err := rows.start.Num(int(first[k]), rows.n)
		if err != nil {
			g.damaged(s, err)
			continue
		}
		ids[k] = rows.id(first[k])
		if orphan {
			continue
		}
		out = append(out, at{src: g.rows, shape: s, row: first[k], id: ids[k], parent: parent, start: g.traces[i].start + start})
	}
	return out
}
