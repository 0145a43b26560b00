package spool

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/clewtrace/clew/store/census"
	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/trace"
)

// A group is some thousand traces of a block, whole, as rows of their own. It is what is built, encoded and read at once.
const (
	// groupSpans is how many spans close a group: enough for dense columns, few enough to read one for a single trace.
	groupSpans = 64 << 10
	// groupBytes closes a group of large values early.
	groupBytes = 32 << 20
)

func checksum(b []byte) uint32 { return pack.Checksum(b) }

// groupWriter collects traces, which must come in order of their start, and encodes them. It notes which rows of which sources the
// spans are; their columns are read when it encodes.
type groupWriter struct {
	tally     *tally
	dict      *rows // shapes, resources and scopes as they are numbered here
	shapes    []shapeRefs
	sources   map[*rows]*source
	last      *source
	spans     int
	bytes     int64 // of the spans, about
	traces    []groupTrace
	templates map[string]uint32
	list      []template
	parents   []trace.SpanID // those that no template can tell
	oldest    uint64         // of the spans' starts
	newest    uint64

	limit    int // of spans
	nodes    []node
	byNode   []int32
	inOrder  []int32
	stack    []int32
	key      []byte
	template template // of the trace that is added
	spare    []shapeRefs
	dropped  int // duplicates
}

// source is rows that spans come from, with the numbers that their shapes and resources have here, + 1; 0: not known yet.
type source struct {
	rows              *rows
	shapes, resources []uint32
	sizes             []uint32 // by shape: bytes of a span, on average
}

// shapeRefs is a shape's spans: where they are.
type shapeRefs struct {
	ids    []trace.SpanID
	starts []uint64 // since the trace's start
	rows   []uint32
	runs   []run // each up to the next
}

// run is a stretch of a shape's rows that come from one shape of one source.
type run struct {
	src  *source
	from *shapeRows
	at   int // the first, in shapeRefs.rows
}

type groupTrace struct {
	id       trace.ID
	start    uint64 // of the earliest span of this part of the trace
	template uint32
}

// template is a trace without its values: for each span, in tree pre-order, its shape and where its parent is.
type template struct {
	shapes  []uint32
	parents []uint32 // 0: none; 1: the next of the group's explicit parents; 1+k: the span k places before
}

func newGroupWriter() *groupWriter {
	return &groupWriter{tally: &tally{Census: census.None()}, dict: newRows(nil), sources: map[*rows]*source{}, templates: map[string]uint32{}, limit: groupSpans}
}

// next returns a writer for the group after this one, which takes over the memory.
func (g *groupWriter) next() *groupWriter {
	n := newGroupWriter()
	n.tally, n.limit, n.nodes, n.byNode, n.inOrder, n.stack, n.key = g.tally, g.limit, g.nodes, g.byNode, g.inOrder, g.stack, g.key
	n.traces, n.parents, n.spare = g.traces[:0], g.parents[:0], g.spare
	for _, r := range g.shapes {
		clear(r.runs)
		n.spare = append(n.spare, shapeRefs{r.ids[:0], r.starts[:0], r.rows[:0], r.runs[:0]})
	}
	return n
}

func (g *groupWriter) full() bool { return g.spans >= g.limit || g.bytes >= groupBytes }

func (g *groupWriter) source(r *rows) *source {
	if g.last == nil || g.last.rows != r {
		if g.last = g.sources[r]; g.last == nil {
			g.last = &source{rows: r}
			g.sources[r] = g.last
		}
	}
	return g.last
}

// number returns entry i of a list of numbers, which grows as needed.
func number(list *[]uint32, i int) *uint32 {
	if i >= len(*list) {
		*list = append(*list, make([]uint32, i+1-len(*list))...)
	}
	return &(*list)[i]
}

// shape returns the number here of a shape of a source.
func (g *groupWriter) shape(r *rows, i uint32) (uint32, error) {
	n := number(&g.source(r).shapes, int(i))
	if *n == 0 {
		s := r.shapes[i].shape
		sc := &r.scopes[s.scope]
		var err error
		if s.scope, err = g.dict.internScope([]byte(sc.body), []byte(sc.schemaURL)); err != nil {
			return 0, err
		}
		if err := r.load(r.shapes[i]); err != nil {
			return 0, err
		}
		*n = uint32(g.dict.intern(s)) + 1
		*number(&g.source(r).sizes, int(i)) = r.shapes[i].size()
		for len(g.shapes) < len(g.dict.shapes) {
			g.shapes = append(g.shapes, g.room())
		}
	}
	return *n - 1, nil
}

// room returns an empty list of spans, with memory if there is some that was used before.
func (g *groupWriter) room() (r shapeRefs) {
	if n := len(g.spare); n > 0 {
		r, g.spare = g.spare[n-1], g.spare[:n-1]
	}
	return r
}

// resource returns the number here of a source's resource.
func (g *groupWriter) resource(src *source, i uint64) (uint64, error) {
	n := number(&src.resources, int(i))
	if *n == 0 {
		res := &src.rows.resources[i]
		k, err := g.dict.internResource([]byte(res.body), []byte(res.schemaURL))
		if err != nil {
			return 0, err
		}
		*n = k + 1
	}
	return uint64(*n - 1), nil
}

type node struct {
	at       *at
	shape    uint32 // in the group
	parent   int32  // node, -1: none in this trace
	next     int32  // sibling, -1: last
	child    int32  // first child, -1: none
	position int32  // in the order, -1: not yet placed
}

// add adds the spans of a trace. Of exact duplicates one is kept. More spans than fit are added as several
// parts of the trace; the caller asks full() between traces only.
func (g *groupWriter) add(id trace.ID, spans []at) error {
	spans, err := g.unique(id, spans)
	if err != nil {
		return err
	}
	order, err := g.order(spans)
	if err != nil {
		return err
	}
	for len(order) > 0 {
		n := min(len(order), g.limit)
		if err := g.addPart(id, order[:n]); err != nil {
			return err
		}
		order = order[n:]
	}
	return nil
}

// order links spans to their parents and returns the nodes' numbers in pre-order, siblings by shape, then start: that makes the fewest templates.
func (g *groupWriter) order(spans []at) ([]int32, error) {
	g.nodes, g.byNode = g.nodes[:0], g.byNode[:0]
	for i := range spans {
		s, err := g.shape(spans[i].src, spans[i].shape)
		if err != nil {
			return nil, err
		}
		g.nodes = append(g.nodes, node{at: &spans[i], shape: s, parent: -1, next: -1, child: -1, position: -1})
		g.byNode = append(g.byNode, int32(i))
	}
	g.link()
	slices.SortFunc(g.byNode, func(x, y int32) int {
		a, b := &g.nodes[x], &g.nodes[y]
		if a.shape != b.shape {
			return cmp.Compare(a.shape, b.shape)
		}
		return cmp.Or(cmp.Compare(a.at.start, b.at.start), slices.Compare(a.at.id[:], b.at.id[:]))
	})
	g.inOrder = g.inOrder[:0]
	root := int32(-1)
	for _, i := range slices.Backward(g.byNode) { // each goes in front of its siblings
		n := &g.nodes[i]
		if n.parent < 0 {
			n.next, root = root, i
			continue
		}
		p := &g.nodes[n.parent]
		n.next, p.child = p.child, i
	}
	for ; root >= 0; root = g.nodes[root].next {
		g.place(root)
	}
	for _, i := range g.byNode { // what hangs in a cycle
		g.place(i)
	}
	return g.inOrder, nil
}

// place puts a node and what hangs from it in order.
func (g *groupWriter) place(root int32) {
	g.stack = append(g.stack[:0], root)
	for len(g.stack) > 0 {
		i := g.stack[len(g.stack)-1]
		g.stack = g.stack[:len(g.stack)-1]
		n := &g.nodes[i]
		if n.position >= 0 {
			continue
		}
		n.position = int32(len(g.inOrder))
		g.inOrder = append(g.inOrder, i)
		at := len(g.stack)
		for c := n.child; c >= 0; c = g.nodes[c].next {
			g.stack = append(g.stack, c)
		}
		slices.Reverse(g.stack[at:])
	}
}

// link finds the parents within the trace.
func (g *groupWriter) link() {
	var byID map[trace.SpanID]int32
	if len(g.nodes) > fewSpans {
		byID = make(map[trace.SpanID]int32, len(g.nodes))
		for i, v := range slices.Backward(g.nodes) {
			byID[v.at.id] = int32(i)
		}
	}
	for i := range g.nodes {
		n := &g.nodes[i]
		if n.at.parent.IsZero() || n.at.parent == n.at.id {
			continue
		}
		if byID != nil {
			if p, ok := byID[n.at.parent]; ok {
				n.parent = p
			}
			continue
		}
		for j := range g.nodes {
			if g.nodes[j].at.id == n.at.parent {
				n.parent = int32(j)
				break
			}
		}
	}
}

// fewSpans is up to how many spans comparing all with all is faster than a map.
const fewSpans = 32

func (g *groupWriter) addPart(id trace.ID, order []int32) error {
	first := g.nodes[order[0]].position
	t := &g.template
	t.shapes, t.parents = t.shapes[:0], t.parents[:0]
	start := ^uint64(0)
	for _, i := range order {
		start = min(start, g.nodes[i].at.start)
	}
	g.key = g.key[:0]
	for _, i := range order {
		n := &g.nodes[i]
		parent := uint32(0)
		switch {
		case n.at.parent.IsZero():
		case n.parent >= 0 && g.nodes[n.parent].position >= first && g.nodes[n.parent].position < n.position:
			parent = uint32(n.position-g.nodes[n.parent].position) + 1
		default:
			parent = 1
			g.parents = append(g.parents, n.at.parent)
		}
		t.shapes, t.parents = append(t.shapes, n.shape), append(t.parents, parent)
		g.key = binary.AppendUvarint(g.key, uint64(n.shape))
		g.key = binary.AppendUvarint(g.key, uint64(parent))
		g.addSpan(n, start)
		if g.oldest == 0 || n.at.start < g.oldest {
			g.oldest = n.at.start
		}
		g.newest = max(g.newest, n.at.start)
	}
	k, ok := g.templates[string(g.key)]
	if !ok {
		k = uint32(len(g.list))
		g.templates[string(g.key)] = k
		g.list = append(g.list, template{slices.Clone(t.shapes), slices.Clone(t.parents)})
	}
	g.traces = append(g.traces, groupTrace{id, start, k})
	return nil
}

// addSpan notes where a span is, whose trace's part starts at a time.
func (g *groupWriter) addSpan(n *node, start uint64) {
	src := g.source(n.at.src)
	r, from := &g.shapes[n.shape], src.rows.shapes[n.at.shape]
	if k := len(r.runs); k == 0 || r.runs[k-1].from != from {
		r.runs = append(r.runs, run{src, from, len(r.rows)})
	}
	r.ids = append(r.ids, n.at.id)
	r.starts = append(r.starts, n.at.start-start)
	r.rows = append(r.rows, n.at.row)
	g.spans++
	g.bytes += int64(src.sizes[n.at.shape])
}

// size returns how many bytes a row whose columns are there has on average, about.
func (s *shapeRows) size() uint32 {
	n := len(s.rest.Data)
	for i := range s.attrs {
		if s.attrs[i].Form == pack.Each {
			n += len(s.attrs[i].Data)
		}
	}
	return uint32(40 + n/max(s.n, 1))
}

// twice reports whether two of the spans have the same ID.
func twice(spans []at) bool {
	if len(spans) <= fewSpans {
		for i := range spans {
			for j := range i {
				if spans[j].id == spans[i].id {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[trace.SpanID]struct{}, len(spans))
	for i := range spans {
		seen[spans[i].id] = struct{}{}
	}
	return len(seen) < len(spans)
}

// unique returns spans without exact duplicates.
func (g *groupWriter) unique(id trace.ID, spans []at) ([]at, error) {
	if !twice(spans) {
		return spans, nil
	}
	whole := make([]trace.Span, len(spans))
	for i := range spans {
		if err := spans[i].span(id, nil, &whole[i]); err != nil {
			return nil, err
		}
	}
	keep := trace.Distinct(whole)
	out := make([]at, len(keep))
	for k, i := range keep {
		out[k] = spans[i]
	}
	g.dropped += len(spans) - len(keep)
	return out, nil
}

// encode appends the group to dst and says in info where its parts lie in it.
func (g *groupWriter) encode(z *codec, dst []byte, info *groupInfo) ([]byte, error) {
	base := len(dst)
	z.needles.Reset()
	z.needles.err = nil
	var rowCounts, offsets, lengths, sums []uint64
	for i, s := range g.dict.shapes {
		lo := len(dst)
		var err error
		if dst, err = g.appendShape(z, dst, &g.shapes[i], s); err != nil {
			return nil, err
		}
		rowCounts = append(rowCounts, uint64(len(g.shapes[i].rows)))
		offsets = append(offsets, uint64(lo-base))
		lengths = append(lengths, uint64(len(dst)-lo))
		sums = append(sums, uint64(checksum(dst[lo:])))
	}
	g.tally.finish(g.dict)
	lo := len(dst)
	dst = g.appendTraces(z, dst)
	dst = appendDictionaries(z, dst, g.dict)
	dst = pack.AppendSized(dst, z.AppendNumbers(nil, rowCounts))
	dst = pack.AppendSized(dst, z.AppendNumbers(nil, offsets))
	dst = pack.AppendSized(dst, z.AppendNumbers(nil, lengths))
	dst = pack.AppendSized(dst, z.AppendNumbers(nil, sums))
	info.Header = Section{Offset: int64(lo - base), Length: int64(len(dst) - lo), Sum: checksum(dst[lo:])}
	lo = len(dst)
	dst, err := z.needles.append(dst, g.dict.resources)
	info.Needles = Section{Offset: int64(lo - base), Length: int64(len(dst) - lo)}
	return dst, err
}

func (g *groupWriter) appendTraces(z *codec, dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(g.traces)))
	starts, templates := make([]uint64, len(g.traces)), make([]uint64, len(g.traces))
	for i := range g.traces {
		dst = append(dst, g.traces[i].id[:]...)
		starts[i], templates[i] = g.traces[i].start, uint64(g.traces[i].template)
	}
	dst = pack.AppendSized(dst, z.AppendNumbers(nil, starts))
	dst = pack.AppendSized(dst, z.AppendNumbers(nil, templates))
	var lengths, shapes, parents []uint64
	for i := range g.list {
		lengths = append(lengths, uint64(len(g.list[i].shapes)))
		for k := range g.list[i].shapes {
			shapes = append(shapes, uint64(g.list[i].shapes[k]))
			parents = append(parents, uint64(g.list[i].parents[k]))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(lengths)))
	dst = binary.AppendUvarint(dst, uint64(len(shapes)))
	dst = pack.AppendSized(dst, z.appendSmall(lengths))
	dst = pack.AppendSized(dst, z.appendSmall(shapes))
	dst = pack.AppendSized(dst, z.appendSmall(parents))
	dst = binary.AppendUvarint(dst, uint64(len(g.parents)))
	for _, p := range g.parents {
		dst = append(dst, p[:]...)
	}
	return dst
}

// appendSmall appends numbers as uvarints compressed by zstd: templates repeat in long stretches.
func (z *codec) appendSmall(v []uint64) []byte {
	var b []byte
	for _, x := range v {
		b = binary.AppendUvarint(b, x)
	}
	return z.Compress(b)
}

func appendDictionaries(z *codec, dst []byte, r *rows) []byte {
	var bodies, urls pack.Column
	for i := range r.resources {
		bodies.Add([]byte(r.resources[i].body))
		urls.Add([]byte(r.resources[i].schemaURL))
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.resources)))
	dst = pack.AppendSized(dst, z.EncodePlain(&bodies))
	dst = pack.AppendSized(dst, z.EncodeStrings(&urls))
	bodies, urls = pack.Column{}, pack.Column{}
	for i := range r.scopes {
		bodies.Add([]byte(r.scopes[i].body))
		urls.Add([]byte(r.scopes[i].schemaURL))
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.scopes)))
	dst = pack.AppendSized(dst, z.EncodePlain(&bodies))
	dst = pack.AppendSized(dst, z.EncodeStrings(&urls))
	var b []byte
	for _, s := range r.shapes {
		b = s.append(b)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.shapes)))
	return pack.AppendSized(dst, z.Compress(b))
}

func (s *shape) append(b []byte) []byte {
	b = pack.AppendSized(b, []byte(s.service))
	b = pack.AppendSized(b, []byte(s.name))
	b = binary.AppendUvarint(b, uint64(s.scope))
	wide := byte(0)
	if s.wide {
		wide = 1
	}
	b = append(b, byte(s.kind), byte(s.status), wide)
	b = binary.AppendUvarint(b, uint64(s.flags))
	b = binary.AppendUvarint(b, uint64(len(s.keys)))
	for i := range s.keys {
		b = append(pack.AppendSized(b, []byte(s.keys[i].key)), byte(s.keys[i].typ))
	}
	return b
}
