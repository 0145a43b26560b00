package trace

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// draw returns a tree as text: a span as "id", a ghost as "(id)", children in brackets.
func draw(spans []Span, t Tree) string {
	var b strings.Builder
	var at func(lo, hi int)
	at = func(lo, hi int) {
		for i := lo; i < hi; i += int(t.Rows[i].Size) {
			if i > lo {
				b.WriteByte(' ')
			}
			r := t.Rows[i]
			if r.Span < 0 {
				fmt.Fprintf(&b, "(%d)", r.ID[7])
			} else {
				b.WriteString(spans[r.Span].Name)
			}
			if r.Size > 1 {
				b.WriteByte('[')
				at(i+1, i+int(r.Size))
				b.WriteByte(']')
			}
		}
	}
	at(0, len(t.Rows))
	return b.String()
}

// check holds what is true of every tree.
func check(t testing.TB, spans []Span, tree Tree) {
	t.Helper()
	if len(tree.Rows) < len(spans) || len(tree.Rows) != len(spans)+tree.Gaps {
		t.Fatalf("%d rows and %d gaps of %d spans", len(tree.Rows), tree.Gaps, len(spans))
	}
	seen := make([]bool, len(spans))
	for i, r := range tree.Rows {
		if r.Span >= 0 {
			if seen[r.Span] || r.ID != spans[r.Span].ID {
				t.Fatalf("row %d: span %d twice, or its ID is wrong", i, r.Span)
			}
			seen[r.Span] = true
		}
		if r.Parent >= int32(i) || r.Size < 1 || i+int(r.Size) > len(tree.Rows) {
			t.Fatalf("row %d: %+v", i, r)
		}
		if r.Parent < 0 {
			if r.Depth != 0 {
				t.Fatalf("row %d: a root at depth %d", i, r.Depth)
			}
			continue
		}
		p := tree.Rows[r.Parent]
		if r.Depth != p.Depth+1 || int32(i)+r.Size > r.Parent+p.Size {
			t.Fatalf("row %d: %+v in %+v", i, r, p)
		}
	}
}

func TestArrange(t *testing.T) {
	span := func(name string, id, parent byte, start uint64, kind Kind) Span {
		return Span{Name: name, ID: SpanID{7: id}, Parent: SpanID{7: parent}, Start: start, Kind: kind}
	}
	internal, client, server := KindInternal, KindClient, KindServer
	for name, c := range map[string]struct {
		spans []Span
		want  string
		gaps  int
	}{
		"nothing":                        {nil, "", 0},
		"one":                            {[]Span{span("a", 1, 0, 1, internal)}, "a", 0},
		"siblings":                       {[]Span{span("c", 3, 1, 9, internal), span("b", 2, 1, 5, internal), span("a", 1, 0, 1, internal), span("d", 4, 2, 6, internal)}, "a[b[d] c]", 0},
		"by ID where they start at once": {[]Span{span("c", 3, 0, 1, internal), span("b", 2, 0, 1, internal)}, "b c", 0},
		"own parent":                     {[]Span{span("a", 1, 1, 1, internal)}, "a", 0},
		"ghost":                          {[]Span{span("b", 2, 9, 5, internal), span("c", 3, 9, 4, internal), span("a", 1, 0, 6, internal)}, "(9)[c b] a", 1},
		"cycle of two":                   {[]Span{span("a", 1, 2, 5, internal), span("b", 2, 1, 4, internal)}, "b[a]", 0},
		"cycle with a tail":              {[]Span{span("t", 9, 1, 1, internal), span("a", 1, 3, 5, internal), span("b", 2, 1, 4, internal), span("c", 3, 2, 6, internal)}, "b[c[a[t]]]", 0},
		"shared":                         {[]Span{span("s", 1, 7, 3, server), span("k", 2, 1, 4, internal), span("c", 1, 7, 2, client), span("r", 7, 0, 1, server)}, "r[c[s[k]]]", 0},
		"shared at the root":             {[]Span{span("s", 1, 0, 3, server), span("c", 1, 0, 2, client)}, "c[s]", 0},
		"two servers of one client":      {[]Span{span("c", 1, 0, 2, client), span("s", 1, 0, 3, server), span("u", 1, 0, 5, server), span("k", 2, 1, 4, internal)}, "c[s[k] u]", 0},
		"one ID, no halves":              {[]Span{span("a", 1, 0, 2, internal), span("b", 1, 0, 1, internal), span("k", 2, 1, 4, internal)}, "b[k] a", 0},
		"client below its own server":    {[]Span{span("c", 1, 2, 1, client), span("s", 1, 2, 2, server), span("k", 2, 1, 3, internal)}, "c[s[k]]", 0},
	} {
		tree := Arrange(c.spans)
		check(t, c.spans, tree)
		if got := draw(c.spans, tree); got != c.want || tree.Gaps != c.gaps {
			t.Errorf("%s: %s with %d gaps; want %s with %d", name, got, tree.Gaps, c.want, c.gaps)
		}
	}
}

// TestArrangeOrder holds that the order in which a store returns spans, which differs between memory and blocks, does not matter.
func TestArrangeOrder(t *testing.T) {
	spans := []Span{
		{Name: "a", ID: SpanID{1}, Start: 1, End: 5},
		{Name: "b", ID: SpanID{1}, Start: 1, End: 9},
		{Name: "c", ID: SpanID{1}, Start: 1, End: 5},
		{Name: "k", ID: SpanID{2}, Parent: SpanID{1}, Start: 1},
		{Name: "x", ID: SpanID{5}, Kind: KindClient, Start: 1},
		{Name: "y", ID: SpanID{5}, Kind: KindClient, Start: 1, End: 2},
		{Name: "z", ID: SpanID{5}, Kind: KindServer, Start: 1},
		{Name: "u", ID: SpanID{7}, Parent: SpanID{8}, Start: 4},
		{Name: "v", ID: SpanID{8}, Parent: SpanID{7}, Start: 4},
	}
	want := draw(spans, Arrange(spans))
	for i := range spans {
		turned := append(slices.Clone(spans[i:]), spans[:i]...)
		if got := draw(turned, Arrange(turned)); got != want {
			t.Errorf("turned by %d: %s; want %s", i, got, want)
		}
		slices.Reverse(turned)
		if got := draw(turned, Arrange(turned)); got != want {
			t.Errorf("turned by %d and back: %s; want %s", i, got, want)
		}
	}
}

func chain(n int) []Span {
	spans := make([]Span, n)
	for i := range spans {
		binary.BigEndian.PutUint64(spans[i].ID[:], uint64(i+1))
		binary.BigEndian.PutUint64(spans[i].Parent[:], uint64(i))
		spans[i].Start = uint64(i)
	}
	return spans
}

// TestArrangeDeep: what strangers send may be a chain of any length, or a cycle.
func TestArrangeDeep(t *testing.T) {
	const n = 1_000_000
	spans := chain(n)
	tree := Arrange(spans)
	check(t, spans, tree)
	if last := tree.Rows[n-1]; last.Depth != n-1 || tree.Rows[0].Size != n {
		t.Errorf("the last row is %+v", last)
	}
	binary.BigEndian.PutUint64(spans[0].Parent[:], n) // the last
	tree = Arrange(spans)
	check(t, spans, tree)
	if tree.Rows[0].Size != n || tree.Rows[0].Span != 0 {
		t.Errorf("the cycle was cut into %+v", tree.Rows[0])
	}
}

func FuzzArrange(f *testing.F) {
	f.Add([]byte{1, 0, 3, 1, 1, 0, 2, 2, 2, 1, 4, 0})
	f.Add([]byte{1, 2, 3, 1, 2, 1, 2, 2, 1, 2, 3, 2})
	f.Fuzz(func(t *testing.T, in []byte) {
		var spans []Span
		for ; len(in) >= 4; in = in[4:] {
			spans = append(spans, Span{ID: SpanID{7: in[0]}, Parent: SpanID{7: in[1]}, Start: uint64(in[2]), Kind: Kind(in[3] % 6), End: uint64(in[3])})
		}
		tree := Arrange(spans)
		check(t, spans, tree)
		for i := range spans {
			spans[i].Name = fmt.Sprint(spans[i].ID[7], spans[i].Kind, spans[i].Start, spans[i].End)
		}
		turned := slices.Clone(spans)
		slices.Reverse(turned)
		if got, want := draw(turned, Arrange(turned)), draw(spans, tree); got != want && distinctSpans(spans) {
			t.Fatalf("%s; in reverse %s", want, got)
		}
	})
}

// distinctSpans reports whether no two spans are the same but for their parent: stores drop exact duplicates, and nothing tells the
// others apart that Arrange could go by.
func distinctSpans(spans []Span) bool {
	seen := map[string]bool{}
	for i := range spans {
		if seen[spans[i].Name] {
			return false
		}
		seen[spans[i].Name] = true
	}
	return true
}
