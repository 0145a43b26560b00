package zipkin

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// side is what counts of a span when calls are counted: what it says of one side of a call, and of the other.
type side struct {
	id, parent trace.SpanID // parent: zero for none
	kind       trace.Kind   // unspecified for one that Zipkin does not have
	shared     bool
	at         host
	remote     string // empty for none
	failed     bool
	start      uint64 // ns
}

// host is a local endpoint. The zero host says nothing.
type host struct {
	service, ipv4, ipv6 string
	port                int64
}

// node is a side in the tree of a trace.
type node struct {
	*side
	parent   *node
	children []*node
}

// pair is who calls whom.
type pair struct{ parent, child string }

// links counts the calls between services as Zipkin's server does (its DependencyLinker): also those that only one side tells of, of
// services that send no spans, by way of what a span says of its remote endpoint.
type links map[pair]*link

// link is one line of the answer.
type link struct {
	Parent string `json:"parent"`
	Child  string `json:"child"`
	Count  uint64 `json:"callCount"`
	Errors uint64 `json:"errorCount,omitempty"`
}

func (l links) add(parent, child string, failed bool) {
	k := l[pair{parent, child}]
	if k == nil {
		k = &link{Parent: parent, Child: child}
		l[pair{parent, child}] = k
	}
	k.Count++
	if failed {
		k.Errors++
	}
}

// merge adds what others counted.
func (l links) merge(others links) {
	for p, o := range others {
		k := l[p]
		if k == nil {
			l[p] = o
			continue
		}
		k.Count += o.Count
		k.Errors += o.Errors
	}
}

// list returns the links in order of their names.
func (l links) list() []*link {
	out := make([]*link, 0, len(l))
	for _, k := range l {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b *link) int {
		return cmp.Or(strings.Compare(a.Parent, b.Parent), strings.Compare(a.Child, b.Child))
	})
	return out
}

// addTrace adds the calls of a trace.
func (l links) addTrace(t *trace.Trace) {
	root := treeOf(merge(sidesOf(t)))
	queue := []*node{root}
	for ; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		queue = append(queue, n.children...)
		if n.side != nil {
			l.addSide(n, n == root)
		}
	}
}

// addSide adds the call that a span is a side of.
func (l links) addSide(n *node, isRoot bool) {
	kind := n.kind
	switch {
	case kind == trace.KindClient && len(n.children) > 0:
		return // the server's side tells
	case kind == trace.KindUnspecified && n.at.service != "" && n.remote != "":
		kind = trace.KindClient
	case kind == trace.KindUnspecified:
		return
	}
	parent, child := n.at.service, n.remote
	if kind == trace.KindServer || kind == trace.KindConsumer {
		if parent, child = n.remote, n.at.service; isRoot && parent == "" {
			return
		}
	}
	failed := n.failed
	if kind == trace.KindProducer || kind == trace.KindConsumer {
		if parent != "" && child != "" { // the broker is the other side of both
			l.add(parent, child, failed)
		}
		return
	}
	if above := n.caller(); above != nil && above.at.service != "" {
		if kind == trace.KindClient && n.at.service != "" && above.at.service != n.at.service {
			l.add(above.at.service, n.at.service, false) // a server between them sent no span
		}
		if kind == trace.KindServer || parent == "" {
			parent = above.at.service
		}
		if !failed && above.kind == trace.KindClient && n.side.parent == above.id {
			failed = above.failed
		}
	}
	if parent != "" && child != "" {
		l.add(parent, child, failed)
	}
}

// caller returns the next side of a call above a span, or nil.
func (n *node) caller() *node {
	for n = n.parent; n != nil; n = n.parent {
		if n.side != nil && n.kind != trace.KindUnspecified {
			return n
		}
	}
	return nil
}

// sidesOf returns what counts of a trace's spans, as they are written for Zipkin.
func sidesOf(t *trace.Trace) []*side {
	all := make([]side, len(t.Spans))
	out := make([]*side, len(t.Spans))
	for i := range t.Spans {
		all[i].read(&t.Spans[i])
		out[i] = &all[i]
	}
	return out
}

// sideKeys are the attributes that read looks at, beside "error".
var sideKeys = []string{"peer.service", "network.local.address", "network.local.ipv6", "network.local.port", "zipkin.shared"}

func (s *side) read(from *trace.Span) {
	s.id, s.start = from.ID, from.Start
	if from.Parent != from.ID {
		s.parent = from.Parent
	}
	if from.Kind >= trace.KindServer && from.Kind <= trace.KindConsumer {
		s.kind = from.Kind
	}
	if v, ok := trace.Get(from.Resource.Attrs, "service.name"); ok {
		s.at.service = v.Text()
	}
	s.failed = from.Status == trace.StatusError
	for i := range from.Attrs {
		v := from.Attrs[i].Value
		switch from.Attrs[i].Key {
		case "peer.service":
			s.remote = cmp.Or(s.remote, v.Text())
		case "network.local.address":
			s.at.ipv4 = cmp.Or(s.at.ipv4, v.Text())
		case "network.local.ipv6":
			s.at.ipv6 = cmp.Or(s.at.ipv6, v.Text())
		case "network.local.port":
			s.at.port = cmp.Or(s.at.port, v.Int())
		case "zipkin.shared":
			s.shared = v.Bool()
		case "error":
			s.failed = true
		}
	}
}

// merge puts together what was sent of one span in pieces, and finds servers that share their client's span without saying so.
func merge(sides []*side) []*side {
	slices.SortStableFunc(sides, func(a, b *side) int {
		// Of a v1 span that was sent and got by one host Zipkin makes a sender's span first, then a receiver's, whenever they were.
		consumes := cmp.Compare(btoi(a.kind == trace.KindConsumer), btoi(b.kind == trace.KindConsumer))
		return cmp.Or(bytes.Compare(a.id[:], b.id[:]), compareSides(a, b), a.at.compare(&b.at), consumes, cmp.Compare(a.start, b.start))
	})
	out := sides[:0]
	var last *side
	for i := 0; i < len(sides); i++ {
		s := sides[i]
		shared, at, kind, parent := s.shared, s.at, s.kind, s.parent // of its first piece
		for ; i+1 < len(sides) && sides[i+1].id == s.id && sides[i+1].shared == shared && at.take(&sides[i+1].at); i++ {
			s.add(sides[i+1])
		}
		if last != nil && last.id == s.id {
			if last.kind == trace.KindClient && kind == trace.KindServer {
				shared, s.shared = true, true
			}
			if shared && parent.IsZero() && !last.parent.IsZero() {
				s.parent = last.parent
			}
		}
		out = append(out, s)
		last = s
	}
	return out
}

// compareSides puts clients first and those last that share a client's span.
func compareSides(a, b *side) int {
	rank := func(s *side) int {
		switch {
		case s.shared:
			return 2
		case s.kind == trace.KindClient:
			return 0
		}
		return 1
	}
	return cmp.Compare(rank(a), rank(b))
}

// compare is an order in which hosts that say nothing come first, and those that lack a field last.
func (h *host) compare(o *host) int {
	if *h == (host{}) || *o == (host{}) {
		return cmp.Compare(btoi(*h != host{}), btoi(*o != host{}))
	}
	field := func(a, b string) int { return cmp.Or(cmp.Compare(btoi(a == ""), btoi(b == "")), strings.Compare(a, b)) }
	return cmp.Or(field(h.service, o.service), field(h.ipv4, o.ipv4), field(h.ipv6, o.ipv6))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// take adds to a host what another says, and returns false if they are two.
func (h *host) take(o *host) bool {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	if differ(h.service, o.service) || differ(h.ipv4, o.ipv4) || differ(h.ipv6, o.ipv6) || h.port != 0 && o.port != 0 && h.port != o.port {
		return false
	}
	*h = host{cmp.Or(h.service, o.service), cmp.Or(h.ipv4, o.ipv4), cmp.Or(h.ipv6, o.ipv6), cmp.Or(h.port, o.port)}
	return true
}

// add adds another piece of the span.
func (s *side) add(o *side) {
	if s.parent.IsZero() {
		s.parent = o.parent
	}
	s.kind, s.remote = cmp.Or(s.kind, o.kind), cmp.Or(s.remote, o.remote)
	s.at.take(&o.at)
	s.failed = s.failed || o.failed
}

// place is where a span is looked for in a trace: by its ID, or, if it shares its client's, by its host as well.
type place struct {
	id     trace.SpanID
	shared bool
	at     host
}

// treeOf returns the tree of a trace. What has no parent, or none that is there, hangs below the first such span, or below a node that is
// no span if there is none. Children are of the host's own half of a span that several share.
func treeOf(sides []*side) *node {
	parentOf := make(map[place]place, len(sides))
	var order []place // of parentOf's keys
	put := func(k, parent place) {
		if _, ok := parentOf[k]; !ok {
			order = append(order, k)
		}
		parentOf[k] = parent
	}
	for _, s := range sides {
		if s.shared {
			put(place{s.id, true, s.at}, place{id: s.id})
		} else {
			put(place{id: s.id}, place{id: s.parent})
		}
	}
	nodes := make(map[place]*node, len(sides))
	var root *node
	for _, s := range sides {
		n := &node{side: s}
		key := place{id: s.id, shared: s.shared}
		half := place{s.parent, true, s.at}
		switch _, ok := parentOf[half]; {
		case s.shared:
			nodes[place{s.id, true, s.at}] = n
		case !s.parent.IsZero() && ok:
			put(key, half)
		case s.parent.IsZero() && root == nil:
			root = n
			delete(parentOf, key)
			continue
		}
		nodes[key] = n
	}
	if root == nil {
		root = &node{}
	}
	for _, k := range order {
		p, ok := parentOf[k]
		child, parent := nodes[k], nodes[p]
		if parent == nil {
			parent = root
		}
		if ok && child != nil && child != parent && child.parent == nil {
			parent.children = append(parent.children, child)
			child.parent = parent
		}
	}
	return root
}
