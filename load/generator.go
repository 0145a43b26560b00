package load

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/clewtrace/clew/trace"
)

const (
	productLen = 10    // characters of a product's ID
	numUsers   = 90000 // customers; the most active ones come much more often
	numGoods   = 1500  // products
	maxScopes  = 3     // of a service

	// splitTraces of 1<<16 traces have spans in two requests, as when a collector's batch was full in their middle.
	splitTraces = 65536 * 7 / 100
	// callerOverhead is the part of a span's own time that passes before its first call, of 256.
	callerOverhead = 90
	// retryPause is the median time before a failed call is tried again.
	retryPause = 25 * time.Millisecond
	// queueLag is the median time that a message lies in a queue.
	queueLag = 40 * time.Millisecond
)

// Generator makes OTLP export requests full of a shop's traces. It is not safe for concurrent use: let each sender have its own.
type Generator struct {
	rng     random
	flows   [1024]*node // by share
	pods    []pod
	podsOf  [][]int // by service
	spreads [spreadKinds]*spread
	goods   []byte
	scopes  [][]byte // encoded scope fields, by service*maxScopes + scope
	micros  []bool   // by service

	// What was made but not yet sent: encoded span fields by pod and scope, for this request and the next one.
	bufs  [2][][]byte
	spans [2]int
	cur   int

	last   uint64 // time of the newest trace
	traces int    // so far

	tr tracing
}

// tracing is what the spans of one trace have in common.
type tracing struct {
	id       trace.ID
	user     uint64
	session  [2]uint64
	order    uint64
	linkID   trace.ID
	linkSpan uint64
	split    uint64 // bit per pod modulo 64: its spans are in the next request
}

// node is a step, compiled.
type node struct {
	service, slot int // slot: scope index in the generator's scopes
	ok, failed    template
	thrown        []template // by stack trace
	chance, fails uint32     // of 1<<16
	lo, hi        uint64
	parallel      bool
	detached      bool
	async         bool // whoever calls it does not wait
	retries       int
	median        uint64 // ns
	spread        *spread
	children      []*node
}

// frame is one span in the making.
type frame struct {
	pod, peer  int
	id, parent uint64
	start, end uint64
}

// New returns a generator. Those of other seeds have other pods and products; those of the same seed and another stream
// make other traces of the same shop, for senders side by side.
func New(seed uint64, stream int) *Generator {
	shop := random(seed * 0x2545f4914f6cdd1d)
	g := &Generator{pods: pods(&shop)}
	g.podsOf = make([][]int, len(services))
	var addresses []string
	for i := range g.pods {
		g.podsOf[g.pods[i].service] = append(g.podsOf[g.pods[i].service], i)
		addresses = append(addresses, g.pods[i].address)
	}
	g.scopes = make([][]byte, len(services)*maxScopes)
	for si := range services {
		g.micros = append(g.micros, runtimes[services[si].language].micros)
		for i, sc := range services[si].scopes {
			g.scopes[si*maxScopes+i] = scope(sc)
		}
	}
	for i, sigma := range sigmas {
		g.spreads[i] = newSpread(sigma)
	}
	for range numGoods * productLen {
		g.goods = append(g.goods, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[shop.below(32)])
	}
	g.rng = random(shop.next() ^ uint64(stream)*0x9fb21c651e98df25)
	for i := range g.bufs {
		g.bufs[i] = make([][]byte, len(g.pods)*maxScopes)
	}
	g.compile(addresses)
	return g
}

func (g *Generator) compile(addresses []string) {
	at, share := 0, 0
	all := flows()
	for i := range all {
		root := g.node(&all[i].root, true, addresses)
		share += all[i].share
		for ; at < len(g.flows) && (at*1000 < share*len(g.flows) || i == len(all)-1); at++ {
			g.flows[at] = root
		}
	}
}

func (g *Generator) node(s *step, root bool, peers []string) *node {
	op := s.op
	n := &node{
		lo: uint64(s.lo), hi: uint64(s.hi), parallel: s.parallel, detached: s.detached, retries: s.retries, async: op.kind == trace.KindConsumer,
		chance: uint32(s.chance * 65536), fails: uint32(op.fails * 65536), median: uint64(op.median), spread: g.spreads[op.spread],
	}
	for si := range services {
		if services[si].name == op.service {
			n.service, n.slot = si, op.scope
		}
	}
	h := how{root: root || s.detached, linked: s.detached, flagged: 0x101}
	if op.kind == trace.KindServer || op.kind == trace.KindConsumer {
		h.flagged = 0x301 // the parent is remote
	}
	n.ok = op.compile(h, peers)
	h.failed = true
	n.failed = op.compile(h, peers)
	if op.throws != nil {
		h.thrown = true
		for h.stack = range op.throws.stacks {
			n.thrown = append(n.thrown, op.compile(h, peers))
		}
	}
	for i := range s.steps {
		n.children = append(n.children, g.node(&s.steps[i], false, peers))
	}
	return n
}

// Made says how many spans are in a request, and how many traces began in it.
type Made struct{ Spans, Traces int }

// Request appends an OTLP ExportTraceServiceRequest of about spans spans to dst, of traces that have ended at a time, the first ones up to a
// second earlier. A trace's spans are all in it but for one in fourteen traces, whose other spans are in the next request.
// Times should not go back from one request to the next.
func (g *Generator) Request(dst []byte, spans int, at time.Time) ([]byte, Made) {
	now := uint64(at.UnixNano())
	from := max(g.last, now-uint64(time.Second))
	if from >= now {
		from = now - 1
	}
	before := g.traces
	for g.spans[g.cur] < spans {
		// The place of a trace between the last request and this one is known by how full this one is.
		t := from + (now-from)*uint64(g.spans[g.cur])/uint64(spans)
		g.trace(t)
	}
	g.last = now
	made := Made{Spans: g.spans[g.cur], Traces: g.traces - before}
	return g.assemble(dst), made
}

// trace makes one trace that ends at about a time.
func (g *Generator) trace(end uint64) {
	root := g.flows[g.rng.next()>>54]
	g.begin()
	g.tr.split = 0
	if g.rng.chance(splitTraces) {
		g.tr.split = g.rng.next()
	}
	// Most requests take less than this; one that takes longer ends a little late, as clocks and queues have it.
	start := end - uint64(150*time.Millisecond)
	f := frame{pod: -1}
	g.call(root, &f, start)
}

func (g *Generator) begin() {
	t := &g.tr
	g.newID()
	t.user = g.rng.skewed(numUsers)
	t.order = g.rng.next()
	// A customer's session is the same in all of its requests.
	s := random(t.user)
	t.session = [2]uint64{s.next(), s.next()}
}

// newID begins a trace.
func (g *Generator) newID() {
	binary.BigEndian.PutUint64(g.tr.id[:], g.rng.next()|1)
	binary.BigEndian.PutUint64(g.tr.id[8:], g.rng.next())
	g.traces++
}

// call makes a node's span and those below it. It returns when the span ended and whether it failed.
func (g *Generator) call(n *node, from *frame, start uint64) (end uint64, failed bool) {
	f := frame{parent: from.id, start: start, pod: from.pod, peer: max(from.pod, 0), id: g.rng.next() | 1}
	if from.pod < 0 || g.pods[from.pod].service != n.service {
		of := g.podsOf[n.service]
		f.pod = of[g.rng.below(uint64(len(of)))]
		from.peer = f.pod
	}
	own := n.spread.draw(&g.rng, n.median)
	cur := start + own*callerOverhead>>8
	last := cur
	for _, c := range n.children {
		if c.chance < 65536 && !g.rng.chance(c.chance) {
			continue
		}
		times := c.lo
		if c.hi > c.lo {
			times += g.rng.below(c.hi - c.lo + 1)
		}
		for range times {
			end, bad := g.try(c, &f, cur)
			failed = failed || bad
			if c.async {
				continue
			}
			last = max(last, end)
			if !n.parallel {
				cur = end + own>>6
			}
		}
	}
	f.end = max(last, cur) + own - own*callerOverhead>>8
	g.finish(n, &f, &failed)
	return f.end, failed
}

// try calls a node, again if it fails and may be tried again.
func (g *Generator) try(c *node, f *frame, at uint64) (end uint64, failed bool) {
	if c.async {
		at += g.spreads[wild].draw(&g.rng, uint64(queueLag))
	}
	for left := c.retries; ; left-- {
		if c.detached {
			end, failed = g.detached(c, f, at)
		} else {
			end, failed = g.call(c, f, at)
		}
		if !failed || left <= 0 {
			return end, failed && !c.async
		}
		at = end + g.spreads[usual].draw(&g.rng, uint64(retryPause))
	}
}

// detached calls a node whose spans are a trace of their own, linked to this one.
func (g *Generator) detached(c *node, f *frame, at uint64) (end uint64, failed bool) {
	id := g.tr.id
	g.tr.linkID, g.tr.linkSpan = id, f.id
	g.newID()
	end, failed = g.call(c, f, at)
	g.tr.id = id
	return end, failed
}

// finish writes a span, in the form for how it went.
func (g *Generator) finish(n *node, f *frame, failed *bool) {
	t := &n.ok
	switch {
	case n.fails > 0 && g.rng.chance(n.fails):
		t = &n.thrown[g.rng.below(uint64(len(n.thrown)))]
		*failed = true
	case *failed:
		t = &n.failed
	}
	p := &g.pods[f.pod]
	f.start += uint64(p.skew)
	end := f.end
	f.end += uint64(p.skew)
	if g.micros[n.service] {
		f.start -= f.start % 1000 // the end comes from a monotonic clock, which has nanoseconds
	}
	gen := g.cur
	if g.tr.split>>(f.pod&63)&1 != 0 {
		gen ^= 1
	}
	slot := f.pod*maxScopes + n.slot
	g.bufs[gen][slot] = g.write(g.bufs[gen][slot], t, f)
	g.spans[gen]++
	f.end = end
}

// write appends a span as a field of a ScopeSpans message. Its length takes two bytes, for spans have 128 to 16,383 bytes.
func (g *Generator) write(b []byte, t *template, f *frame) []byte {
	at := len(b)
	b = append(b, 2<<3|2, 0, 0)
	for i := range t.pieces {
		p := &t.pieces[i]
		switch {
		case p.peer:
			b = append(b, p.pool[f.peer]...)
		case p.pool != nil:
			b = append(b, p.pool[g.rng.skewed(uint64(len(p.pool)))]...)
		default:
			lo := len(b)
			b = append(b, p.bytes...)
			g.patch(b[lo:], p.patches, f)
		}
	}
	n := len(b) - at - 3
	b[at+1], b[at+2] = byte(n)|0x80, byte(n>>7)
	return b
}

func (g *Generator) patch(b []byte, patches []patch, f *frame) {
	for i := range patches {
		p := &patches[i]
		at := b[p.at:]
		switch p.kind {
		case patchTraceID:
			copy(at, g.tr.id[:])
		case patchSpanID:
			binary.BigEndian.PutUint64(at, f.id)
		case patchParent:
			binary.BigEndian.PutUint64(at, f.parent)
		case patchStart:
			binary.LittleEndian.PutUint64(at, f.start)
		case patchEnd:
			binary.LittleEndian.PutUint64(at, f.end)
		case patchEvent:
			binary.LittleEndian.PutUint64(at, f.end-(f.end-f.start)>>4)
		case patchLinkTrace:
			copy(at, g.tr.linkID[:])
		case patchLinkSpan:
			binary.BigEndian.PutUint64(at, g.tr.linkSpan)
		case patchUser:
			putDigits(at[:6], g.tr.user)
		case patchSession:
			putHex(at[:16], g.tr.session[0])
			putHex(at[16:32], g.tr.session[1])
		case patchOrder:
			putHex(at[:8], g.tr.order)
		case patchProduct:
			i := g.rng.skewed(numGoods) * productLen
			copy(at, g.goods[i:i+productLen])
		case patchDigits:
			putDigits(at[:p.n], g.rng.next())
		case patchHex:
			putHex(at[:p.n], g.rng.next())
		case patchNumber:
			putVarint(at[:p.n], uint64(p.lo)+g.rng.skewed(uint64(p.span)))
		case patchAmount:
			cents := 99 + g.spreads[wild].draw(&g.rng, 4900)
			binary.LittleEndian.PutUint64(at, math.Float64bits(float64(cents)/100))
		}
	}
}

func putDigits(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = '0' + byte(v%10)
		v /= 10
	}
}

func putHex(b []byte, v uint64) {
	for i := range b {
		b[i] = "0123456789abcdef"[v&15]
		v >>= 4
	}
}

// putVarint writes v, whose varint has as many bytes as b.
func putVarint(b []byte, v uint64) {
	last := len(b) - 1
	for i := range last {
		b[i] = byte(v) | 0x80
		v >>= 7
	}
	b[last] = byte(v)
}

// assemble appends the request at hand, one ResourceSpans for each pod that has spans, and turns to the next one.
func (g *Generator) assemble(dst []byte) []byte {
	bufs := g.bufs[g.cur]
	first := int(g.rng.below(uint64(len(g.pods))))
	for i := range g.pods {
		pi := (first + i) % len(g.pods)
		p := &g.pods[pi]
		scopes := g.scopes[p.service*maxScopes : (p.service+1)*maxScopes]
		mine := bufs[pi*maxScopes : (pi+1)*maxScopes]
		n, size := 0, len(p.resource)+len(p.schema)
		for s, b := range mine {
			if len(b) > 0 {
				body := len(scopes[s]) + len(b)
				size += 1 + uvarintLen(body) + body
				n++
			}
		}
		if n == 0 {
			continue
		}
		dst = append(dst, 1<<3|2)
		dst = binary.AppendUvarint(dst, uint64(size))
		dst = append(dst, p.resource...)
		for s, b := range mine {
			if len(b) > 0 {
				dst = append(dst, 2<<3|2)
				dst = binary.AppendUvarint(dst, uint64(len(scopes[s])+len(b)))
				dst = append(dst, scopes[s]...)
				dst = append(dst, b...)
				mine[s] = b[:0]
			}
		}
		dst = append(dst, p.schema...)
	}
	g.spans[g.cur] = 0
	g.cur ^= 1
	return dst
}

func uvarintLen(n int) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}
