package insight

import (
	"slices"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// span makes a span of one-letter IDs; times are small numbers.
func span(id, parent byte, start, end uint64) trace.Span {
	s := trace.Span{ID: trace.SpanID{id}, Start: 1000 + start, End: 1000 + end, Name: string(id), Resource: &trace.Resource{}, Scope: &trace.Scope{}}
	if parent != 0 {
		s.Parent = trace.SpanID{parent}
	}
	return s
}

func TestMeasure(t *testing.T) {
	spans := []trace.Span{
		span('a', 0, 0, 100),
		span('b', 'a', 10, 40),
		span('c', 'a', 30, 60),   // overlaps b
		span('d', 'a', 70, 120),  // outlives a
		span('e', 'c', 30, 35),   // not waited for at the end of c
		span('f', 'x', 80, 90),   // its parent never came
		span('g', 'b', 200, 210), // outside of b
	}
	tree := trace.Arrange(spans)
	m := Measure(spans, tree)
	self := map[string]uint64{}
	var critical []string
	for i, r := range tree.Rows {
		name := "ghost"
		if r.Span >= 0 {
			name = spans[r.Span].Name
		}
		self[name] = m.Self[i]
		if m.Critical[i] {
			critical = append(critical, name)
		}
	}
	want := map[string]uint64{"a": 20, "b": 30, "c": 25, "d": 50, "e": 5, "f": 10, "g": 10, "ghost": 0}
	for k, v := range want {
		if self[k] != v {
			t.Errorf("self time of %s is %d; want %d", k, self[k], v)
		}
	}
	slices.Sort(critical)
	if !slices.Equal(critical, []string{"a", "c", "d", "e"}) {
		t.Errorf("critical path is %v", critical)
	}
	sum := Summarize(spans, tree, m)
	if sum.RootName != "a" || sum.Gaps != 1 || sum.Duration != 210 || sum.Spans != 7 {
		t.Errorf("summary %+v", sum)
	}
}

func TestDeepAndWide(t *testing.T) {
	const n = 200_000
	deep := make([]trace.Span, n)
	for i := range deep {
		deep[i] = trace.Span{ID: id(i + 1), Start: uint64(i), End: 2*n - uint64(i), Resource: &trace.Resource{}, Scope: &trace.Scope{}}
		if i > 0 {
			deep[i].Parent = id(i)
		}
	}
	tree := trace.Arrange(deep)
	m := Measure(deep, tree)
	if tree.Rows[n-1].Depth != n-1 || !m.Critical[n-1] {
		t.Errorf("depth %d, critical %v", tree.Rows[n-1].Depth, m.Critical[n-1])
	}
	for i := range deep {
		deep[i].Parent = id(1)
	}
	deep[0].Parent = trace.SpanID{}
	tree = trace.Arrange(deep)
	if m := Measure(deep, tree); len(m.Self) != n {
		t.Errorf("%d rows", len(m.Self))
	}
}

func id(i int) trace.SpanID {
	return trace.SpanID{0: byte(i >> 16), 1: byte(i >> 8), 2: byte(i), 7: 1}
}
