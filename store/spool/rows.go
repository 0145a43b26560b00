package spool

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/trace"
)

// rows is spans as columns, by shape: of a head, or of a group read from a block. In the latter case columns are decoded when first used, and a
// rows is for one goroutine. Of a group under construction it has only the shapes, resources and scopes.
type rows struct {
	resources []resource
	scopes    []scope
	shapes    []*shapeRows
	spans     int
	bytes     int64 // what the columns hold, about
	growing   bool  // spans are appended: in heads

	seed       uint64
	byShape    map[uint64]int32 // hash to index into shapes; a collision moves on to hash+1
	byResource map[string]uint32
	byScope    map[string]uint32
	perService map[string]int // shapes that each service has
	expect     sizes          // of rows like these, for the columns' first capacities
	z          *pack.Codec    // for groups read from a block
	rest       []byte         // scratch of add

	last, follows int32 // the shape of the last span, and the one that came after it before
}

type resource struct {
	body, schemaURL string // OTLP Resource message and its schema URL
	service         string
	decoded         *trace.Resource
}

type scope struct {
	body, schemaURL string
	decoded         *trace.Scope
}

// shapeRows is the spans of one shape. Row i of each column is the same span.
type shapeRows struct {
	shape
	next       int32 // in heads: the shape of the span that came after the last one of this
	n          int
	ids        []trace.SpanID
	encodedIDs []byte         // in groups, instead: 8 bytes each
	parents    []trace.SpanID // nil in groups: templates have them
	start      pack.Column    // Unix ns; in groups relative to the trace's start
	duration   pack.Column    // end - start, two's complement
	resource   pack.Column    // index into rows.resources
	rest       pack.Column    // OTLP fields that have no column of their own, as they came
	names      pack.Column    // of a wide shape
	attrs      []pack.Column  // by shape.keys
}

// newRows returns empty rows. What is expected of them may be nil.
func newRows(expect sizes) *rows {
	return &rows{
		seed: rand.Uint64(), byShape: map[uint64]int32{}, byResource: map[string]uint32{},
		byScope: map[string]uint32{}, perService: map[string]int{}, expect: expect,
	}
}

// sizes tells how large a shape's columns were in the rows before: what comes next is alike, and columns that have their
// room from the start need not be copied as they grow, which would be a fifth of all work.
type sizes map[uint64]shapeSizes

type shapeSizes struct {
	rows        int
	rest, names int
	attrs       []int // bytes of columns that have a value for each row; 0 for others
}

// sizeSeed is the seed of the hashes of sizes. A collision costs only a wrong guess.
const sizeSeed = 0

func (r *rows) sizes() sizes {
	out := make(sizes, len(r.shapes))
	bytes := func(c *pack.Column) int {
		if c.Form == pack.Each {
			return len(c.Data)
		}
		return 0
	}
	for _, s := range r.shapes {
		v := shapeSizes{rows: s.n, rest: bytes(&s.rest), names: bytes(&s.names), attrs: make([]int, len(s.attrs))}
		for i := range s.attrs {
			v.attrs[i] = bytes(&s.attrs[i])
		}
		out[s.hash(sizeSeed)] = v
	}
	return out
}

// grow makes a new shape's columns, with room for the rows that are expected of it.
func (s *shapeRows) grow(e sizes) {
	s.attrs = make([]pack.Column, len(s.keys))
	v, ok := e[s.hash(sizeSeed)]
	if !ok || len(v.attrs) != len(s.attrs) {
		v = shapeSizes{attrs: make([]int, len(s.attrs))}
	}
	some := func(n int) int { return n + n/8 + 8 }
	n := some(v.rows)
	s.ids, s.parents = make([]trace.SpanID, 0, n), make([]trace.SpanID, 0, n)
	for _, c := range []*pack.Column{&s.start, &s.duration, &s.resource} {
		c.Nums = make([]uint64, 0, n)
	}
	begin := func(c *pack.Column, bytes int) {
		if bytes > 0 { // a value for each row
			bytes = some(bytes)
		}
		c.Expect(n, bytes)
	}
	begin(&s.rest, v.rest)
	begin(&s.names, v.names)
	for i := range s.attrs {
		begin(&s.attrs[i], v.attrs[i])
	}
}

// internResource returns the index of a resource, adding it if it is new.
func (r *rows) internResource(body, schemaURL []byte) (uint32, error) {
	var key [256]byte
	k := append(binary.AppendUvarint(key[:0], uint64(len(body))), body...)
	k = append(k, schemaURL...)
	if i, ok := r.byResource[string(k)]; ok {
		return i, nil
	}
	res := resource{body: string(body), schemaURL: string(schemaURL)}
	if err := res.decode(); err != nil {
		return 0, err
	}
	i := uint32(len(r.resources))
	r.resources = append(r.resources, res)
	r.byResource[string(k)] = i
	r.bytes += int64(3 * len(k))
	return i, nil
}

func (r *resource) decode() error {
	d, err := trace.DecodeResource([]byte(r.body))
	if err != nil {
		return err
	}
	d.SchemaURL = r.schemaURL
	r.decoded, r.service = d, d.Service()
	return nil
}

// internScope returns the index of a scope, adding it if it is new.
func (r *rows) internScope(body, schemaURL []byte) (uint32, error) {
	var key [256]byte
	k := append(binary.AppendUvarint(key[:0], uint64(len(body))), body...)
	k = append(k, schemaURL...)
	if i, ok := r.byScope[string(k)]; ok {
		return i, nil
	}
	sc := scope{body: string(body), schemaURL: string(schemaURL)}
	if err := sc.decode(); err != nil {
		return 0, err
	}
	i := uint32(len(r.scopes))
	r.scopes = append(r.scopes, sc)
	r.byScope[string(k)] = i
	r.bytes += int64(3 * len(k))
	return i, nil
}

func (s *scope) decode() error {
	d, err := trace.DecodeScope([]byte(s.body))
	if err != nil {
		return err
	}
	d.SchemaURL = s.schemaURL
	s.decoded = d
	return nil
}

// find returns the index of the shape with a hash that same accepts, or -1 and the hash under which to add it.
func (r *rows) find(hash uint64, same func(*shape) bool) (int32, uint64) {
	for {
		i, ok := r.byShape[hash]
		if !ok {
			return -1, hash
		}
		if same(&r.shapes[i].shape) {
			return i, hash
		}
		hash++
	}
}

// intern returns the index of a shape, adding it, or the catch-all shape for it when there is no room.
func (r *rows) intern(s shape) int32 {
	i, hash := r.find(s.hash(r.seed), s.equal)
	if i >= 0 {
		return i
	}
	if !s.wide && (len(s.keys) > maxColumns || len(r.shapes) >= maxShapes || r.perService[s.service] >= maxServiceShapes) {
		return r.intern(s.widened())
	}
	i = int32(len(r.shapes))
	sr := &shapeRows{shape: s}
	if r.growing {
		sr.grow(r.expect)
	}
	r.shapes = append(r.shapes, sr)
	r.byShape[hash] = i
	r.perService[s.service]++
	r.bytes += int64(1024 + 256*len(s.keys)) // so that many shapes of few spans close a head early, too
	return i
}

// add appends a span of a batch, whose resource and scope were interned, and returns its shape and row.
func (r *rows) add(b *trace.Batch, ref *trace.SpanRef, res, sc uint32) (shapeIndex, row uint32) {
	service := r.resources[res].service
	i := r.follows // what came after this shape the last time is likely to come again
	if int(i) >= len(r.shapes) || !r.shapes[i].matches(b, ref, sc, service) {
		i, _ = r.find(r.shapeHash(b, ref, sc, service), func(s *shape) bool { return s.matches(b, ref, sc, service) })
		if i < 0 {
			i = r.intern(shapeOf(b, ref, sc, service))
		}
		if int(r.last) < len(r.shapes) {
			r.shapes[r.last].next = i
		}
	}
	s := r.shapes[i]
	r.last, r.follows = i, s.next
	s.ids = append(s.ids, ref.ID)
	s.parents = append(s.parents, ref.Parent)
	s.start.Nums = append(s.start.Nums, ref.Start)
	s.duration.Nums = append(s.duration.Nums, ref.End-ref.Start)
	s.resource.Nums = append(s.resource.Nums, uint64(res))
	size := 48
	rest := r.rest[:0]
	for _, p := range b.Rest[ref.RestLo:ref.RestHi] {
		rest = append(rest, b.Bytes(p)...)
	}
	if s.wide {
		size += s.names.Push(b.Bytes(ref.Name), s.n, r.seed)
		for _, a := range b.Attrs[ref.AttrLo:ref.AttrHi] {
			rest = appendAttr(rest, b, &a)
		}
	} else {
		for j, a := range b.Attrs[ref.AttrLo:ref.AttrHi] {
			if c := &s.attrs[j]; isNumber(a.Type) {
				size += c.PushNum(a.Num, s.n)
			} else {
				size += c.Push(b.Bytes(a.Val), s.n, r.seed)
			}
		}
	}
	size += s.rest.Push(rest, s.n, r.seed)
	r.rest = rest
	row = uint32(s.n)
	s.n++
	r.spans++
	r.bytes += int64(size)
	return uint32(i), row
}

// appendAttr appends an attribute as field 9 of a Span message.
func appendAttr(dst []byte, b *trace.Batch, a *trace.AttrRef) []byte {
	v, err := trace.DecodeAttr(a.Type, a.Num, b.Bytes(a.Val))
	if err != nil { // the index has walked it already
		panic(err)
	}
	return trace.AppendSpanAttr(dst, trace.Attr{Key: string(b.Bytes(a.Key)), Value: v})
}

// at is one span of some rows.
type at struct {
	src        *rows
	shape, row uint32
	id, parent trace.SpanID
	start      uint64
}

// load decodes all columns of a shape that a whole span needs.
func (r *rows) load(s *shapeRows) error {
	if err := r.loadResource(s); err != nil {
		return err
	}
	for _, c := range []*pack.Column{&s.duration, &s.rest, &s.names} {
		if err := r.z.Load(c, s.n); err != nil {
			return err
		}
	}
	for i := range s.attrs {
		if err := r.z.Load(&s.attrs[i], s.n); err != nil {
			return err
		}
	}
	return nil
}

// loadResource decodes a shape's column of resources, which must be numbers of resources that there are.
func (r *rows) loadResource(s *shapeRows) error {
	enc := s.resource.Enc
	if len(enc) == 0 {
		return nil
	}
	if err := r.z.Load(&s.resource, s.n); err != nil {
		return err
	}
	for _, k := range s.resource.Nums {
		if k >= uint64(len(r.resources)) {
			s.resource = pack.Column{Enc: enc}
			return errColumn
		}
	}
	return nil
}

// span writes what is wanted of a span to out.
func (a *at) span(id trace.ID, w *want, out *trace.Span) error {
	if err := a.spanOf(a.src.shapes[a.shape], w, out); err != nil {
		return err
	}
	out.TraceID = id
	return nil
}

// spanOf writes what is wanted of a span of a shape to out, but for its trace ID. Of encoded columns it reads its own row alone.
func (a *at) spanOf(s *shapeRows, w *want, out *trace.Span) error {
	i, z := int(a.row), a.src.z
	duration, err := s.duration.Num(i, s.n)
	if err != nil {
		return err
	}
	res, err := s.resource.Num(i, s.n)
	if err != nil {
		return err
	}
	if res >= uint64(len(a.src.resources)) {
		return errColumn
	}
	*out = trace.Span{
		ID: a.id, Parent: a.parent, Flags: s.flags, Name: s.name, Kind: s.kind, Status: s.status, Start: a.start, End: a.start + duration,
		Resource: a.src.resources[res].decoded, Scope: a.src.scopes[s.scope].decoded,
	}
	if s.wide {
		name, err := z.Value(&s.names, i, s.n)
		if err != nil {
			return err
		}
		out.Name = string(name)
	}
	if w == nil && len(s.keys) > 0 {
		out.Attrs = make([]trace.Attr, 0, len(s.keys))
	}
	for j := range s.keys {
		if !w.has(s.keys[j].key) {
			continue
		}
		v, err := s.attr(z, j, i)
		if err != nil {
			return err
		}
		out.Attrs = append(out.Attrs, trace.Attr{Key: s.keys[j].key, Value: v})
	}
	if w != nil && !w.rest && !s.wide {
		return nil
	}
	rest, err := z.Value(&s.rest, i, s.n)
	if err != nil {
		return err
	}
	return trace.DecodeRest(rest, out)
}

// attr returns the value of attribute j of row i.
func (s *shapeRows) attr(z *pack.Codec, j, i int) (trace.Value, error) {
	c, typ := &s.attrs[j], s.keys[j].typ
	if isNumber(typ) {
		v, err := c.Num(i, s.n)
		if err != nil {
			return trace.Value{}, err
		}
		return trace.DecodeAttr(typ, v, nil)
	}
	b, err := z.Value(c, i, s.n)
	if err != nil {
		return trace.Value{}, err
	}
	return trace.DecodeAttr(typ, 0, b)
}

// want is what is needed of spans beside what all have; nil: everything.
type want struct {
	keys []string // of attributes
	rest bool     // what has no column
}

// wanted returns what whoever asks for a scan needs.
func wanted(sc *trace.Scan) *want {
	if !sc.Outline {
		return nil
	}
	w := &want{keys: append([]string{"error"}, sc.Keys...), rest: sc.Details}
	for _, conds := range slices.Concat(sc.Spans, sc.Any) {
		for i := range conds {
			f := conds[i].Field
			w.rest = w.rest || f == trace.FieldEvent || f == trace.FieldTag || f == trace.FieldMark
			w.keys = append(w.keys, conds[i].Key)
		}
	}
	return w
}

func (w *want) has(key string) bool { return w == nil || slices.Contains(w.keys, key) }
