package zipkin

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/clewtrace/clew/trace"
)

// v1Span is one span of Zipkin's first model as it was read. There it is a call, and not one side of it: each annotation says at which
// endpoint it was made, and those with well-known names say when each side began and ended.
type v1Span struct {
	head            span // its IDs, name and debug
	start, duration int64
	annotations     []v1Annotation
	binaries        []v1Binary
	places          []place

	parts []span // what it becomes: the first n of them
	n     int
	core  [numCore]mark
}

// v1Annotation is an annotation; place is an index of v1Span.places, or -1.
type v1Annotation struct {
	at    int64 // µs
	text  []byte
	place int
}

// v1Binary is a binary annotation: a tag, or the address of one end of the call.
type v1Binary struct {
	tag
	place   int
	address bool // a boolean that is true: its value is the endpoint
}

// mark is a well-known annotation: when it was made and where.
type mark struct {
	at    int64 // µs
	place int
	ok    bool
}

// The well-known annotations: client send and receive, server receive and send, message send and receive, wire send and receive.
const (
	cs = iota
	cr
	sr
	ss
	ms
	mr
	ws
	wr
	numCore
)

var coreKinds = [numCore]trace.Kind{
	cs: trace.KindClient, cr: trace.KindClient, sr: trace.KindServer, ss: trace.KindServer, ms: trace.KindProducer, mr: trace.KindConsumer,
}

// coreOf returns which of the well-known annotations a text is, or -1.
func coreOf(text []byte) int {
	if len(text) != 2 {
		return -1
	}
	return slices.Index([]string{"cs", "cr", "sr", "ss", "ms", "mr", "ws", "wr"}, string(text))
}

func (v *v1Span) reset() {
	v.head.reset()
	v.start, v.duration, v.n, v.core = 0, 0, 0, [numCore]mark{}
	v.annotations, v.binaries, v.places = v.annotations[:0], v.binaries[:0], v.places[:0]
}

// maxParts bounds how many services one v1 span may tell of: two, honestly, or a few that share a client's span.
const maxParts = 64

// v1Add adds what a v1 span becomes: a span for each service that its annotations name. The rules are those of Zipkin's server.
func (d *Decoder) v1Add() {
	v := &d.v1
	if d.err != nil {
		return
	}
	v.part(-1)
	slices.SortStableFunc(v.annotations, func(a, b v1Annotation) int { return cmp.Or(cmp.Compare(a.at, b.at), bytes.Compare(a.text, b.text)) })
	slices.SortStableFunc(v.binaries, func(a, b v1Binary) int { return bytes.Compare(a.key, b.key) })
	v.readAnnotations()
	v.rpc()
	v.messaging()
	v.readBinaries()
	if v.n > maxParts {
		d.fail(trace.TooLarge, "names more than %d services", maxParts)
	}
	for i := 0; i < v.n && d.err == nil; i++ {
		d.add(&v.parts[i])
	}
	if d.err == nil {
		d.n++
	}
}

// part adds a part whose local endpoint is a place, and returns its index. Beyond maxParts they become one.
func (v *v1Span) part(at int) int {
	if v.n > maxParts {
		return maxParts
	}
	if v.n == len(v.parts) {
		v.parts = append(v.parts, span{})
	}
	p := &v.parts[v.n]
	p.reset()
	h := &v.head
	p.traceID, p.id, p.parent, p.name, p.debug = h.traceID, h.id, h.parent, h.name, h.debug
	if at >= 0 {
		p.local = v.places[at]
	}
	v.n++
	return v.n - 1
}

// partAt returns the index of the part that is of a place's service, one added now if there is none. What has no place is of the first.
func (v *v1Span) partAt(at int) int {
	if i, ok := v.find(at); ok {
		return i
	}
	return v.part(at)
}

func (v *v1Span) find(at int) (i int, ok bool) {
	if at < 0 {
		return 0, true
	}
	if v.parts[0].local.isEmpty() {
		v.parts[0].local = v.places[at]
		return 0, true
	}
	for i := range v.n {
		if bytes.Equal(v.parts[i].local.service, v.places[at].service) {
			return i, true
		}
	}
	return 0, false
}

func (v *v1Span) at(m mark) *span { return &v.parts[v.partAt(m.place)] }

// sameService reports whether two annotations were made at one service: something calls itself.
func (v *v1Span) sameService(a, b mark) bool {
	return bytes.Equal(v.places[a.place].service, v.places[b.place].service)
}

// other returns the part of the far side of a call, b, whose near side is a. If both are of one service it gets a part of its own.
func (v *v1Span) other(a, b mark, near, far trace.Kind) *span {
	if !v.sameService(a, b) {
		return v.at(b)
	}
	v.at(a).kind = near
	s := &v.parts[v.part(b.place)]
	s.kind = far
	return s
}

func (s *span) note(at int64, text []byte) {
	s.events = append(s.events, event{nanoseconds(uint64(max(0, at))), text})
}

// readAnnotations gives each annotation to its part, but for the well-known ones, which say the part's kind.
func (v *v1Span) readAnnotations() {
	for i := range v.annotations {
		a := &v.annotations[i]
		s := &v.parts[v.partAt(a.place)]
		c := coreOf(a.text)
		if c < 0 || a.place < 0 {
			s.note(a.at, a.text)
			continue
		}
		v.core[c] = mark{a.at, a.place, true}
		if coreKinds[c] != 0 {
			s.kind = coreKinds[c]
		}
	}
}

// ends reports whether a mark is just where the span says that it ends; it then begins where the span does.
func (v *v1Span) ends(m mark) bool {
	return m.ok && v.start != 0 && v.duration != 0 && v.start+v.duration == m.at
}

// rpc sets the times of client and server.
func (v *v1Span) rpc() {
	k := &v.core
	if !k[cs].ok && v.ends(k[cr]) {
		k[cs] = mark{v.start, k[cr].place, true}
	}
	if !k[sr].ok && v.ends(k[ss]) {
		k[sr] = mark{v.start, k[ss].place, true}
	}
	switch {
	case k[cs].ok && k[sr].ok:
		v.between(k[cs], k[cr])
		server := v.other(k[cs], k[sr], trace.KindClient, trace.KindServer)
		server.shared = true
		server.setTime(k[sr].at)
		if k[ss].ok {
			server.setDuration(k[ss].at - k[sr].at)
		}
		if !k[cr].ok && v.duration == 0 {
			v.at(k[cs]).duration = 0 // one way
		}
	case k[cs].ok && k[cr].ok:
		v.between(k[cs], k[cr])
	case k[sr].ok && k[ss].ok:
		v.between(k[sr], k[ss])
	default:
		v.incomplete()
	}
	// A server that does not know when the span began, or how long it took, took it over from its client.
	if !k[cs].ok && k[sr].ok && (v.start == 0 || k[ss].ok && v.duration == 0) {
		v.at(k[sr]).shared = true
	}
}

// between sets a part's times: the span's own if it has both, else those of its annotations.
func (v *v1Span) between(begin, end mark) {
	s := v.at(begin)
	if v.start != 0 && v.duration != 0 {
		s.setTime(v.start)
		s.setDuration(v.duration)
		return
	}
	s.setTime(begin.at)
	if end.ok {
		s.setDuration(end.at - begin.at)
	}
}

// incomplete sets the times of a call of which only one end of a side is known. An end without its beginning stays an annotation.
func (v *v1Span) incomplete() {
	k := &v.core
	for i := range v.n {
		s := &v.parts[i]
		begin, end, text := k[cs], k[cr], "cr"
		switch s.kind {
		case trace.KindClient:
		case trace.KindServer:
			begin, end, text = k[sr], k[ss], "ss"
		default:
			continue
		}
		if begin.ok {
			s.setTime(begin.at)
		}
		if end.ok {
			s.note(end.at, []byte(text))
		}
	}
	if v.start != 0 {
		v.parts[0].setTime(v.start)
		v.parts[0].setDuration(v.duration)
	}
}

// messaging sets the times of producer and consumer. What was on the wire is part of the consumer's time, and of the producer's.
func (v *v1Span) messaging() {
	k := &v.core
	switch {
	case k[ms].ok && k[mr].ok:
		consumer := v.other(k[ms], k[mr], trace.KindProducer, trace.KindConsumer)
		consumer.shared = true
		consumer.setTime(k[mr].at)
		if k[wr].ok {
			consumer.setTime(k[wr].at)
			consumer.setDuration(k[mr].at - k[wr].at)
		}
		producer := v.at(k[ms])
		producer.setTime(k[ms].at)
		producer.duration = 0
		if k[ws].ok {
			producer.setDuration(k[ws].at - k[ms].at)
		}
	case k[ms].ok:
		v.between(k[ms], k[ws])
	case k[mr].ok && k[wr].ok:
		v.between(k[wr], k[mr])
	case k[mr].ok:
		v.between(k[mr], mark{})
	default:
		if k[ws].ok {
			v.at(k[ws]).note(k[ws].at, []byte("ws"))
		}
		if k[wr].ok {
			v.at(k[wr]).note(k[wr].at, []byte("wr"))
		}
	}
}

// readBinaries gives each tag to its part, and then the addresses of the far ends.
func (v *v1Span) readBinaries() {
	ca, sa, ma := -1, -1, -1
	for i := range v.binaries {
		b := &v.binaries[i]
		if b.address || b.typ == trace.TypeString && b.place >= 0 {
			switch string(b.key) {
			case "ca":
				ca = b.place
				continue
			case "sa":
				sa = b.place
				continue
			case "ma":
				ma = b.place
				continue
			}
		}
		if b.typ != trace.TypeString {
			continue // below
		}
		s := &v.parts[v.partAt(b.place)]
		if string(b.key) != "lc" || len(b.text) > 0 { // which says of a local span no more than where it was
			s.tags = append(s.tags, b.tag)
		}
	}
	v.addresses(ca, sa, ma)
	// What Zipkin's server drops comes last, and makes no parts of its own.
	for i := range v.binaries {
		b := &v.binaries[i]
		if b.typ == trace.TypeString || b.address {
			continue
		}
		at, _ := v.find(b.place)
		s := &v.parts[at]
		s.tags = append(s.tags, b.tag)
	}
}

// addresses sets the remote endpoints: places, or -1. The addresses of a span that no well-known annotation says the sides of tell them.
func (v *v1Span) addresses(ca, sa, ma int) {
	k := &v.core
	if !k[cs].ok && !k[cr].ok && !k[sr].ok && !k[ss].ok && (ca >= 0 || sa >= 0) {
		switch {
		case ca >= 0 && sa >= 0:
			v.parts[v.partAt(ca)].remote = v.places[sa]
		case sa >= 0:
			v.parts[0].remote = v.places[sa]
		default:
			v.parts[0].kind, v.parts[0].remote = trace.KindServer, v.places[ca]
		}
		return
	}
	if server := either(k[sr], k[ss]); ca >= 0 && server.ok && !v.places[ca].equal(&v.places[server.place]) {
		p := v.places[ca]
		if bytes.Equal(p.service, v.places[server.place].service) {
			p.service = nil // an address of the caller, with the name of the called
		}
		v.at(server).remote = p
	}
	if client := either(k[cs], k[cr]); sa >= 0 && client.ok {
		v.at(client).remote = v.places[sa]
	}
	for _, c := range [2]int{ms, mr} {
		if ma >= 0 && k[c].ok {
			v.at(k[c]).remote = v.places[ma]
		}
	}
}

func either(a, b mark) mark {
	if a.ok {
		return a
	}
	return b
}

func (p *place) equal(q *place) bool {
	return bytes.Equal(p.service, q.service) && bytes.Equal(p.ipv4, q.ipv4) && bytes.Equal(p.ipv6, q.ipv6) && p.port == q.port
}
