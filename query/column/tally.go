package column

import (
	"cmp"
	"slices"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/trace"
)

// Places is where each row of a table counts. It is for one goroutine.
type Places struct {
	Of   []int32 // by row: its place; -1: nowhere
	Rows []int   // by place: how many rows have it
}

// Tally is how many rows have each value at each place. Equal values may be in the list more than once. They are valid as long as the table is.
type Tally struct {
	List   []eval.Value
	Counts []Count // in order of values and places
}

// Count is how many rows have a value at a place.
type Count struct{ Value, Place, Rows int }

// Tally counts the rows of a table by what they have in a field.
func (f *Field) Tally(t *trace.Table, places *Places) (out Tally, err error) {
	var p probe
	if err := p.begin(t, &f.ask); err != nil {
		return out, err
	}
	if p.fixed() {
		out.List = []eval.Value{f.read(p.at())}
		for i, n := range places.Rows {
			out.Counts = append(out.Counts, Count{0, i, n})
		}
		return out, nil
	}
	if s := p.few(); s != nil {
		return f.tallyFew(&p, s, places)
	}
	is := make([]bool, t.Rows)
	for row, at := range places.Of {
		is[row] = at >= 0
	}
	v, err := f.Values(t, Rows{Is: is})
	out.List, out.Counts = v.List, count(places, v.Index, len(v.List))
	return out, err
}

// CountBy counts the rows of a table by the number that they have in a column of indexes, which is the Value of a Count, and their place.
func CountBy(t *trace.Table, c trace.NumberColumn, places *Places) ([]Count, error) {
	index, err := t.Columns.Numbers(c)
	if err != nil {
		return nil, err
	}
	n := len(t.Resources)
	if c == trace.TraceRootColumn {
		n = len(t.Roots)
	}
	return count(places, index, n), nil
}

// tallyFew counts by the values of a source that has few, and reads those that are there.
func (f *Field) tallyFew(p *probe, s *source, places *Places) (out Tally, err error) {
	var counts []Count
	if s.texts != nil {
		counts = count(places, s.texts, s.few)
	} else {
		counts = count(places, s.nums, s.few)
	}
	out.Counts = make([]Count, len(counts))
	for i, c := range counts {
		if i == 0 || c.Value != counts[i-1].Value {
			if err := s.set(c.Value); err != nil {
				return out, err
			}
			out.List = append(out.List, f.read(p.at()))
		}
		out.Counts[i] = Count{len(out.List) - 1, c.Place, c.Rows}
	}
	return out, nil
}

// count counts rows by a number, which is below n, and their place.
func count[N uint16 | uint64 | int32](p *Places, index []N, n int) (out []Count) {
	k := len(p.Rows)
	if n > 1024+4*len(index)/max(k, 1) {
		return countSparse(p, index)
	}
	cells := make([]int32, n*k)
	for row, at := range p.Of {
		if at >= 0 {
			cells[int(index[row])*k+int(at)]++
		}
	}
	for i, rows := range cells {
		if rows > 0 {
			out = append(out, Count{i / k, i % k, int(rows)})
		}
	}
	return out
}

// countSparse is for numbers and places of which most do not meet.
func countSparse[N uint16 | uint64 | int32](p *Places, index []N) (out []Count) {
	known := map[[2]int]int{} // in out
	for row, at := range p.Of {
		if at < 0 {
			continue
		}
		key := [2]int{int(index[row]), int(at)}
		i, ok := known[key]
		if !ok {
			i = len(out)
			known[key] = i
			out = append(out, Count{key[0], key[1], 0})
		}
		out[i].Rows++
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(a.Place, b.Place)) })
	return out
}
