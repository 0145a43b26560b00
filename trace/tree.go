package trace

import (
	"bytes"
	"cmp"
	"slices"
)

// Tree is a trace's spans in tree pre-order. Roots, and siblings, are in order of start time, then span ID. A parent
// that is named but missing stands as a row of its own, a ghost, above the spans that name it.
type Tree struct {
	Rows []Row
	Gaps int // the number of ghosts
}

// Row is one row of a Tree.
type Row struct {
	Span   int32 // index into the trace's spans, -1 for a ghost
	Parent int32 // row of the parent, -1 for none
	Size   int32 // rows in the subtree, this one included
	Depth  int32
	ID     SpanID
}

// Arrange orders spans as a tree. Spans that share an ID are rows each: a server half hangs below its client half, as
// Zipkin and Jaeger write them, and takes the ID's children. A cycle is cut above its earliest span. The order of the spans does not matter.
func Arrange(spans []Span) Tree {
	b := arranger{spans: spans}
	b.link()
	b.cutCycles()
	return b.walk()
}

// An arranger's nodes are the spans, by index, followed by the ghosts.
type arranger struct {
	spans  []Span
	parent []int32 // by node, -1 for none
	ghosts []SpanID
}

func (a *arranger) link() {
	taker := make(map[SpanID]int32, len(a.spans)) // the node that takes an ID's children
	halves := map[SpanID]int32{}                  // the client half of an ID that several spans share
	for i := range a.spans {
		s := &a.spans[i]
		j, seen := taker[s.ID]
		if !seen {
			taker[s.ID] = int32(i)
			continue
		}
		for _, k := range [2]int32{j, int32(i)} {
			if h, ok := halves[s.ID]; a.spans[k].Kind == KindClient && (!ok || compare(&a.spans[k], &a.spans[h]) < 0) {
				halves[s.ID] = k
			}
		}
		if prefer(s, &a.spans[j]) {
			taker[s.ID] = int32(i)
		}
	}
	ghost := map[SpanID]int32{}
	a.parent = make([]int32, len(a.spans), len(a.spans)+8)
	for i := range a.spans {
		s := &a.spans[i]
		if h, ok := halves[s.ID]; ok && s.Kind == KindServer {
			a.parent[i] = h
			continue
		}
		if s.Parent.IsZero() || s.Parent == s.ID {
			a.parent[i] = -1
			continue
		}
		p, ok := taker[s.Parent]
		if !ok {
			if p, ok = ghost[s.Parent]; !ok {
				p = int32(len(a.spans) + len(a.ghosts))
				ghost[s.Parent] = p
				a.ghosts = append(a.ghosts, s.Parent)
			}
		}
		a.parent[i] = p
	}
	for range a.ghosts {
		a.parent = append(a.parent, -1)
	}
}

// prefer reports whether s takes the children of the ID it shares with t: a server half does, since what it calls is its own.
func prefer(s, t *Span) bool {
	if (s.Kind == KindServer) != (t.Kind == KindServer) {
		return s.Kind == KindServer
	}
	return compare(s, t) < 0
}

// compare is an order of spans that depends on nothing but the spans: stores return them in one order from memory and in another
// from disk, and a trace must look the same.
func compare(s, t *Span) int {
	return cmp.Or(
		cmp.Compare(s.Start, t.Start), bytes.Compare(s.ID[:], t.ID[:]), cmp.Compare(s.End, t.End), cmp.Compare(s.Kind, t.Kind),
		cmp.Compare(s.Name, t.Name), bytes.Compare(s.Parent[:], t.Parent[:]),
	)
}

// cutCycles makes a root of the earliest span of each cycle.
func (a *arranger) cutCycles() {
	seen := make([]int32, len(a.parent)) // 0: not yet; else the walk, by its first node + 1, that came by
	for i := range a.parent {
		walk := int32(i + 1)
		n := int32(i)
		for n >= 0 && seen[n] == 0 {
			seen[n] = walk
			n = a.parent[n]
		}
		if n < 0 || seen[n] != walk {
			continue
		}
		first := n
		for m := a.parent[n]; m != n; m = a.parent[m] {
			if compare(&a.spans[m], &a.spans[first]) < 0 {
				first = m
			}
		}
		a.parent[first] = -1
	}
}

// family is who hangs below whom: the children of node p are child[kids[p]:kids[p+1]], in order; roots are the children of node n.
type family struct{ kids, child []int32 }

func (a *arranger) children() family {
	n := len(a.parent)
	start := make([]uint64, n)
	for i := range a.spans {
		start[i] = a.spans[i].Start
	}
	for i := len(a.spans); i < n; i++ {
		start[i] = ^uint64(0)
	}
	kids := make([]int32, n+2) // kids[p+1]: how many children p has
	for i, p := range a.parent {
		if p >= int32(len(a.spans)) {
			start[p] = min(start[p], start[i])
		}
		if p < 0 {
			p = int32(n)
		}
		kids[p+1]++
	}
	for i := 1; i < len(kids); i++ {
		kids[i] += kids[i-1]
	}
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int {
		if c := cmp.Compare(start[x], start[y]); c != 0 {
			return c
		}
		ix, iy := a.id(x), a.id(y)
		if c := bytes.Compare(ix[:], iy[:]); c != 0 {
			return c
		}
		if int(x) < len(a.spans) && int(y) < len(a.spans) {
			return cmp.Or(compare(&a.spans[x], &a.spans[y]), cmp.Compare(x, y))
		}
		return cmp.Compare(x, y)
	})
	child := make([]int32, n)
	next := slices.Clone(kids)
	for _, i := range order {
		p := a.parent[i]
		if p < 0 {
			p = int32(n)
		}
		child[next[p]] = i
		next[p]++
	}
	return family{kids, child}
}

// walk places the nodes in pre-order.
func (a *arranger) walk() Tree {
	n := len(a.parent)
	f := a.children()
	t := Tree{Rows: make([]Row, 0, n), Gaps: len(a.ghosts)}
	row := make([]int32, n)
	stack := make([]int32, 0, 64)
	push := func(p int32) {
		for _, c := range slices.Backward(f.child[f.kids[p]:f.kids[p+1]]) {
			stack = append(stack, c)
		}
	}
	push(int32(n))
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		r := Row{Span: i, Parent: -1, Size: 1, ID: a.id(i)}
		if int(i) >= len(a.spans) {
			r.Span = -1
		}
		if p := a.parent[i]; p >= 0 {
			r.Parent = row[p]
			r.Depth = t.Rows[r.Parent].Depth + 1
		}
		row[i] = int32(len(t.Rows))
		t.Rows = append(t.Rows, r)
		push(i)
	}
	for _, v := range slices.Backward(t.Rows) {
		if p := v.Parent; p >= 0 {
			t.Rows[p].Size += v.Size
		}
	}
	return t
}

func (a *arranger) id(n int32) SpanID {
	if int(n) < len(a.spans) {
		return a.spans[n].ID
	}
	return a.ghosts[int(n)-len(a.spans)]
}

// Root returns the index of the earliest span that has no parent, or is its own, and -1 if there is none. Of several that start at the same
// time it is the same one, in whatever order they come.
func Root(spans []Span) int {
	root := -1
	for i := range spans {
		s := &spans[i]
		if (s.Parent.IsZero() || s.Parent == s.ID) && (root < 0 || CompareSpans(s, &spans[root]) < 0) {
			root = i
		}
	}
	return root
}

// CompareSpans orders spans of a trace: by start, then ID, then what else may differ.
func CompareSpans(s, t *Span) int {
	return cmp.Or(
		cmp.Compare(s.Start, t.Start), bytes.Compare(s.ID[:], t.ID[:]), cmp.Compare(s.End, t.End), cmp.Compare(s.Kind, t.Kind),
		cmp.Compare(s.Name, t.Name), bytes.Compare(s.Parent[:], t.Parent[:]),
	)
}
