// Package insight says what a trace shows: where its time went, which path it had to wait for, and what is missing.
//
// Its functions are pure: they take spans and their arrangement, and keep nothing.
package insight

import (
	"cmp"
	"slices"

	"github.com/clewtrace/clew/trace"
)

// Times is a trace's rows in time. Slices are by row of the Tree.
type Times struct {
	Start, End []uint64 // Unix ns; a ghost's enclose its children's
	Self       []uint64 // ns in which none of the row's children ran
	Critical   []bool   // on the critical path
	First      uint64   // the earliest start
	Last       uint64   // the latest end
}

// Measure returns when a trace's rows ran. Its cost is that of sorting.
func Measure(spans []trace.Span, t trace.Tree) Times {
	n := len(t.Rows)
	m := Times{Start: make([]uint64, n), End: make([]uint64, n), Self: make([]uint64, n), Critical: make([]bool, n)}
	for i, r := range t.Rows {
		if r.Span >= 0 {
			s := &spans[r.Span]
			m.Start[i], m.End[i] = s.Start, max(s.Start, s.End)
		} else {
			m.Start[i] = ^uint64(0)
		}
	}
	for i := n - 1; i >= 0; i-- {
		if p := t.Rows[i].Parent; p >= 0 && t.Rows[p].Span < 0 {
			m.Start[p], m.End[p] = min(m.Start[p], m.Start[i]), max(m.End[p], m.End[i])
		}
	}
	for i := range n {
		if i == 0 || m.Start[i] < m.First {
			m.First = m.Start[i]
		}
		m.Last = max(m.Last, m.End[i])
	}
	m.self(t)
	m.critical(t)
	return m
}

// self subtracts from each row the union of its children's times, clipped to its own. Siblings come in order of start.
func (m *Times) self(t trace.Tree) {
	covered := make([]uint64, len(t.Rows)) // up to where a row's children cover it
	for i, r := range t.Rows {
		m.Self[i] += m.End[i] - m.Start[i]
		covered[i] = m.Start[i]
		p := r.Parent
		if p < 0 {
			continue
		}
		lo, hi := max(m.Start[i], covered[p]), min(m.End[i], m.End[p])
		if hi > lo {
			m.Self[p] -= hi - lo
			covered[p] = hi
		}
	}
	for i, r := range t.Rows {
		if r.Span < 0 {
			m.Self[i] = 0 // nobody knows what a missing span did
		}
	}
}

// critical marks the rows that the longest root had to wait for. Going back from a row's end, the child that ended last
// before then is waited for; before its start, the next. A child that outlives its parent is clipped to it.
//
// The idea is that of Uber's CRISP (Zhang et al., USENIX ATC 2022).
func (m *Times) critical(t trace.Tree) {
	root, best := -1, uint64(0)
	for i := 0; i < len(t.Rows); i += int(t.Rows[i].Size) {
		if d := m.End[i] - m.Start[i]; root < 0 || d > best {
			root, best = i, d
		}
	}
	if root < 0 {
		return
	}
	type visit struct {
		row int
		end uint64
	}
	stack := []visit{{root, m.End[root]}}
	var kids []int
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		m.Critical[v.row] = true
		kids = kids[:0]
		for c := v.row + 1; c < v.row+int(t.Rows[v.row].Size); c += int(t.Rows[c].Size) {
			kids = append(kids, c)
		}
		slices.SortFunc(kids, func(a, b int) int { return cmp.Compare(m.End[b], m.End[a]) })
		at := v.end
		for _, c := range kids {
			// One that ran on past this moment was not waited for, unless nothing came after it.
			if m.Start[c] >= at || m.End[c] > at && at != v.end {
				continue
			}
			stack = append(stack, visit{c, min(m.End[c], at)})
			at = max(m.Start[c], m.Start[v.row])
		}
	}
}

// Summary is a trace in a line.
type Summary struct {
	RootService, RootName string
	Start                 uint64 // Unix ns
	Duration              uint64 // ns, from the earliest start to the latest end
	Spans, Errors, Gaps   int
	Services              []ServiceShare // most self time first
}

// ServiceShare is what one service did in a trace.
type ServiceShare struct {
	Name          string
	Spans, Errors int
	Self          uint64 // ns
}

// Summarize returns a trace in a line. The root is the earliest span without a parent, or else the earliest span.
func Summarize(spans []trace.Span, t trace.Tree, m Times) Summary {
	s := Summary{Start: m.First, Duration: m.Last - m.First, Spans: len(spans), Gaps: t.Gaps}
	byName := map[string]int{}
	var root *trace.Span
	for i, r := range t.Rows {
		if r.Span < 0 {
			continue
		}
		span := &spans[r.Span]
		if better(span, root) {
			root = span
		}
		name := span.Service()
		k, ok := byName[name]
		if !ok {
			k = len(s.Services)
			byName[name] = k
			s.Services = append(s.Services, ServiceShare{Name: name})
		}
		share := &s.Services[k]
		share.Spans++
		share.Self += m.Self[i]
		if span.Status == trace.StatusError {
			share.Errors++
			s.Errors++
		}
	}
	if root != nil {
		s.RootService, s.RootName = root.Service(), root.Name
	}
	slices.SortStableFunc(s.Services, func(a, b ServiceShare) int {
		return cmp.Or(cmp.Compare(b.Self, a.Self), cmp.Compare(a.Name, b.Name))
	})
	return s
}

func better(s, than *trace.Span) bool {
	if than == nil {
		return true
	}
	if s.Parent.IsZero() != than.Parent.IsZero() {
		return s.Parent.IsZero()
	}
	return s.Start < than.Start
}
